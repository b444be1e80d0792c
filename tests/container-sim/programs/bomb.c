// A fork bomb: every process that can be made makes more.
#include <stdio.h>
#include <unistd.h>

int main(void) {
    int refused = 0;
    for (int i = 0; i < 100000 && refused < 3; i++)
        if (fork() < 0) refused++, usleep(1000);
    if (getpid() == 1) printf("refused\n");
    if (getpid() != 1) pause();
    return 0;
}
