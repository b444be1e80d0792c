// Waits for ever under a timer that nobody hears; then, with an argument, nests epoll instances until it is refused.
#include "probe.h"

#include <sys/epoll.h>
#include <sys/time.h>

int main(int count, char **words) {
    (void)words;
    if (count > 1) {
        int outer = epoll_create1(0), added = 0;
        for (int i = 0; i < 20; i++) {
            struct epoll_event event = {.events = EPOLLIN};
            if (epoll_ctl(outer, EPOLL_CTL_ADD, epoll_create1(0), &event) == 0) added++;
        }
        printf("%d nested\n", added);
        return 0;
    }
    struct itimerval often = {{0, 1000}, {0, 1000}};
    signal(SIGALRM, SIG_IGN);
    setitimer(ITIMER_REAL, &often, NULL);
    for (;;) pause();
}
