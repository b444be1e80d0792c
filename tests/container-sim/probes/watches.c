// Watching files (inotify(7)) and timers (timer_create(2), setitimer(2)) and the order of what epoll tells.
#include "check.h"

#include <sys/epoll.h>
#include <sys/inotify.h>

// Reads what has been told: mask, name and whether the cookie is set.
static void show_events(const char *label, int fd) {
    char buffer[4096];
    long length = read(fd, buffer, sizeof buffer);
    if (length < 0) return show(label, length);
    say("%s:", label);
    for (long at = 0; at < length;) {
        struct inotify_event *event = (struct inotify_event *)(buffer + at);
        say("%d,%x,%s%s", event->wd, event->mask, event->len ? event->name : "-", event->cookie ? ",c" : "");
        at += sizeof *event + event->len;
    }
}

CHECK(inotify_of_a_folder) {
    own_mounts();
    mkdir("d", 0755);
    int fd = inotify_init1(IN_NONBLOCK);
    SHOW("watch", inotify_add_watch(fd, "d", IN_ALL_EVENTS));
    int file = open("d/a", O_CREAT | O_RDWR, 0644);
    write(file, "text", 4), write(file, "more", 4);
    char text[4];
    pread(file, text, 4, 0);
    close(file);
    show_events("file", fd);
    mkdir("d/sub", 0755), rmdir("d/sub");
    symlink("a", "d/link"), link("d/a", "d/b"), mkfifo("d/pipe", 0600);
    show_events("names", fd);
    chmod("d/a", 0600), chown("d/a", 1, 1), truncate("d/a", 1);
    show_events("attributes", fd);
    rename("d/a", "d/c"), rename("d/c", "out");
    show_events("moves", fd);
    unlink("d/b"), unlink("d/link");
    show_events("deletes", fd);
    close(open("d", O_RDONLY | O_DIRECTORY));
    show_events("folder", fd);
}

CHECK(inotify_of_a_file) {
    own_mounts();
    touch("f", "text"), link("f", "g");
    int fd = inotify_init1(IN_NONBLOCK);
    SHOW("watch", inotify_add_watch(fd, "f", IN_ALL_EVENTS & ~(IN_OPEN | IN_ACCESS)));
    touch("f", "new");
    show_events("write", fd);
    rename("f", "h");
    show_events("move", fd);
    unlink("g");
    show_events("one-name", fd);
    unlink("h");
    show_events("last-name", fd);
    SHOW("gone", inotify_rm_watch(fd, 1));
}

CHECK(inotify_calls_and_masks) {
    own_mounts();
    touch("f", ""), symlink("f", "link"), mkdir("d", 0755);
    int fd = inotify_init1(IN_NONBLOCK);
    SHOW("no-events", inotify_add_watch(fd, "f", 0));
    SHOW("missing", inotify_add_watch(fd, "none", IN_OPEN));
    SHOW("no-inotify", inotify_add_watch(0, "f", IN_OPEN));
    SHOW("first", inotify_add_watch(fd, "f", IN_OPEN));
    SHOW("again", inotify_add_watch(fd, "f", IN_CLOSE));
    SHOW("through-link", inotify_add_watch(fd, "link", IN_OPEN | IN_MASK_ADD));
    SHOW("link-itself", inotify_add_watch(fd, "link", IN_OPEN | IN_DONT_FOLLOW));
    SHOW("only-folder", inotify_add_watch(fd, "f", IN_OPEN | IN_ONLYDIR));
    SHOW("create", inotify_add_watch(fd, "f", IN_OPEN | IN_MASK_CREATE));
    SHOW("once", inotify_add_watch(fd, "d", IN_CREATE | IN_ONESHOT));
    touch("d/a", ""), touch("d/b", "");
    show_events("once", fd);
    close(open("f", O_RDONLY));
    show_events("added", fd);
    SHOW("remove", inotify_rm_watch(fd, 1));
    show_events("removed", fd);
    SHOW("twice", inotify_rm_watch(fd, 1));
    SHOW("flags", inotify_init1(0x4));
    char small[8];
    close(open("link", O_PATH | O_NOFOLLOW));
    inotify_add_watch(fd, "f", IN_OPEN), close(open("f", O_RDONLY));
    SHOW("small", read(fd, small, sizeof small));
    say("poll=%d", poll(&(struct pollfd){fd, POLLIN, 0}, 1, 0));
}

CHECK(epoll_tells_in_the_order_of_events) {
    int pipes[4][2], epoll = epoll_create1(0);
    struct epoll_event out[8];
    for (int i = 0; i < 4; i++) {
        MUST(pipe(pipes[i]));
        struct epoll_event event = {i == 3 ? EPOLLIN | EPOLLET : EPOLLIN, {.u32 = i}};
        epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[i][0], &event);
    }
    static const int order[] = {3, 1, 0, 2};
    for (int i = 0; i < 4; i++) write(pipes[order[i]][1], "xy", 2);
    for (int round = 0; round < 3; round++) {
        int count = epoll_wait(epoll, out, 2, 0);
        for (int i = 0; i < count; i++) say("%u", out[i].data.u32);
        say("|");
    }
    char text[2];
    read(pipes[1][0], text, 2);
    write(pipes[3][1], "z", 1);
    int count = epoll_wait(epoll, out, 8, 0);
    for (int i = 0; i < count; i++) say("%u", out[i].data.u32);
}

static volatile int calls, last_overrun, last_value, last_code;
static void on_timer(int number, siginfo_t *info, void *context) { (void)number, (void)context, calls++, last_overrun = info->si_overrun, last_value = info->si_int, last_code = info->si_code; }

CHECK(timer_periods_and_overrun) {
    struct sigaction action = {.sa_sigaction = on_timer, .sa_flags = SA_SIGINFO};
    sigaction(SIGRTMIN, &action, 0);
    sigset_t set, old;
    sigemptyset(&set), sigaddset(&set, SIGRTMIN);
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 7};
    SHOW("create", timer_create(CLOCK_MONOTONIC, &event, &timer));
    sigprocmask(SIG_BLOCK, &set, &old);
    struct itimerspec time = {{0, 10000000}, {0, 10000000}}, now;
    SHOW("set", timer_settime(timer, 0, &time, 0));
    nap(95);
    sigprocmask(SIG_SETMASK, &old, 0);
    say("calls=%d several=%d value=%d code=%d", calls, last_overrun >= 5, last_value, last_code);
    SHOW("overrun", timer_getoverrun(timer) == last_overrun);
    SHOW("get", timer_gettime(timer, &now));
    say("interval=%ld left=%d", now.it_interval.tv_nsec, now.it_value.tv_nsec > 0 && now.it_value.tv_nsec <= 10000000);
    struct itimerspec off = {0}, was;
    SHOW("stop", timer_settime(timer, 0, &off, &was));
    say("was=%ld", was.it_interval.tv_nsec);
    timer_gettime(timer, &now);
    say("value=%ld interval=%ld", now.it_value.tv_nsec, now.it_interval.tv_nsec);
    int before = calls;
    nap(30);
    say("still=%d", calls == before);
    SHOW("delete", timer_delete(timer));
    SHOW("twice", timer_delete(timer));
    SHOW("gone", timer_settime(timer, 0, &time, 0));
}

CHECK(timer_kinds_and_errors) {
    timer_t timer, second;
    struct sigevent none = {.sigev_notify = SIGEV_NONE}, wrong = {.sigev_notify = 99}, number = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 65}, thread = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
    SHOW("clock", syscall(SYS_timer_create, 55, 0, &timer));
    SHOW("kind", syscall(SYS_timer_create, CLOCK_MONOTONIC, &wrong, &timer));
    SHOW("number", syscall(SYS_timer_create, CLOCK_MONOTONIC, &number, &timer));
    SHOW("thread", syscall(SYS_timer_create, CLOCK_MONOTONIC, &thread, &timer));
    int id = -1;
    SHOW("none", syscall(SYS_timer_create, CLOCK_REALTIME, &none, &id));
    say("id=%d", id);
    struct itimerspec time = {{0, 0}, {0, 20000000}}, wrong_time = {{0, 0}, {0, 1000000000}}, now;
    SHOW("wrong-time", syscall(SYS_timer_settime, id, 0, &wrong_time, 0));
    SHOW("set", syscall(SYS_timer_settime, id, 0, &time, 0));
    syscall(SYS_timer_gettime, id, &now);
    say("runs=%d", now.it_value.tv_nsec > 0);
    nap(30);
    syscall(SYS_timer_gettime, id, &now);
    say("over=%ld", now.it_value.tv_nsec);
    SHOW("second", timer_create(CLOCK_MONOTONIC, 0, &second));
    RUN({ SHOW("not-inherited", syscall(SYS_timer_gettime, id, &now)); });
    show_status("default", RUN({ timer_create(CLOCK_MONOTONIC, 0, &second); timer_settime(second, 0, &time, 0); nap(1000); }));
    SHOW("past", (time.it_value.tv_sec = 1, syscall(SYS_timer_settime, id, TIMER_ABSTIME, &time, 0)));
}

CHECK(timers_of_cpu_time) {
    struct itimerval interval = {{0, 0}, {0, 20000}}, old;
    show_status("virtual", RUN({ setitimer(ITIMER_VIRTUAL, &interval, 0); for (;;) {} }));
    show_status("profile", RUN({ setitimer(ITIMER_PROF, &interval, 0); for (;;) {} }));
    show_status("sleep-does-not-count", RUN({ setitimer(ITIMER_VIRTUAL, &interval, 0); nap(100); }));
    SHOW("set", setitimer(ITIMER_VIRTUAL, &interval, 0));
    SHOW("get", getitimer(ITIMER_VIRTUAL, &old));
    say("left=%d", old.it_value.tv_usec > 0);
    SHOW("kind", setitimer(3, &interval, 0));
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec time = {{0, 0}, {0, 20000000}};
    show_status("process-clock", RUN({ timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer); timer_settime(timer, 0, &time, 0); for (;;) {} }));
    show_status("thread-clock", RUN({ timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer); timer_settime(timer, 0, &time, 0); for (;;) {} }));
    struct timespec now;
    clockid_t own;
    clock_getcpuclockid(0, &own);
    SHOW("own-clock", clock_gettime(own, &now));
    SHOW("sleep-on-thread", clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &(struct timespec){0, 1}, 0));
    struct rlimit limit = {1, 1};
    show_status("hard-limit", RUN({ setrlimit(RLIMIT_CPU, &limit); signal(SIGXCPU, SIG_IGN); for (;;) {} }));
}
