// Pipes, poll, epoll, eventfd, timerfd, memfd and pidfd: what is ready when, what waits, what is refused.
#include "check.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/timerfd.h>

static int ready(int fd, short events) {
    struct pollfd poller = {fd, events, 0};
    poll(&poller, 1, 0);
    return poller.revents;
}
static void catch(int number) { (void)number; }

CHECK(pipe_capacity_and_atomic_writes) {
    int ends[2];
    static char data[70000];
    MUST(pipe2(ends, O_NONBLOCK));
    SHOW("size", fcntl(ends[1], F_GETPIPE_SZ));
    SHOW("fill", write(ends[1], data, sizeof data));
    SHOW("full", write(ends[1], data, 1));
    SHOW("read", read(ends[0], data, 4095));
    SHOW("atomic", write(ends[1], data, 4096));
    SHOW("read", read(ends[0], data, 1));
    SHOW("atomic", write(ends[1], data, 4096));
    int count = 0;
    ioctl(ends[0], FIONREAD, &count);
    say("fionread=%d", count);
}

CHECK(pipe_set_size) {
    int ends[2];
    MUST(pipe(ends));
    SHOW("4096", fcntl(ends[1], F_SETPIPE_SZ, 4096));
    SHOW("5000", fcntl(ends[1], F_SETPIPE_SZ, 5000));
    static char data[6000];
    write(ends[1], data, 6000);
    SHOW("busy", fcntl(ends[1], F_SETPIPE_SZ, 4096));
    RUN({ become(1000); SHOW("user-large", fcntl(ends[1], F_SETPIPE_SZ, 2 << 20)); SHOW("user-1M", fcntl(ends[1], F_SETPIPE_SZ, 1 << 20)); });
    SHOW("no-pipe", fcntl(0, F_GETPIPE_SZ));
}

CHECK(pipe_ends) {
    int ends[2];
    char byte;
    MUST(pipe(ends));
    SHOW("read-of-writer", read(ends[1], &byte, 1));
    SHOW("write-of-reader", write(ends[0], "x", 1));
    say("empty=%x writer=%x", ready(ends[0], POLLIN | POLLOUT), ready(ends[1], POLLIN | POLLOUT));
    write(ends[1], "x", 1);
    say("filled=%x", ready(ends[0], POLLIN));
    close(ends[1]);
    say("closed=%x", ready(ends[0], POLLIN));
    SHOW("rest", read(ends[0], &byte, 1));
    SHOW("end", read(ends[0], &byte, 1));
    say("hup=%x", ready(ends[0], POLLIN));
    MUST(pipe(ends));
    close(ends[0]);
    say("no-reader=%x", ready(ends[1], POLLOUT));
    SHOW("seek", lseek(ends[1], 0, SEEK_SET));
    SHOW("flags", pipe2(ends, 0x1));
    SHOW("pointer", pipe((int *)8));
    SHOW("zero", read(ends[1], &byte, 0));
}

CHECK(pipe_readers_wait_in_turn) {
    int ends[2];
    MUST(pipe(ends));
    pid_t pids[3];
    for (int i = 0; i < 3; i++) {
        pids[i] = START({ char byte; read(ends[0], &byte, 1); shared->numbers[i] = byte; });
        await_sleep(pids[i]);
    }
    for (int i = 0; i < 3; i++) write(ends[1], &"abc"[i], 1), wait_for(pids[i]);
    say("%c%c%c", (char)shared->numbers[0], (char)shared->numbers[1], (char)shared->numbers[2]);
}

CHECK(pipe_packets) {
    int ends[2];
    char text[16];
    MUST(pipe2(ends, O_DIRECT | O_NONBLOCK));
    write(ends[1], "one", 3), write(ends[1], "three", 5);
    SHOW("first", read(ends[0], text, 16));
    SHOW("cut", read(ends[0], text, 2));
    SHOW("rest-is-lost", read(ends[0], text, 16));
}

CHECK(pipe_vmsplice_and_tee) {
    int a[2], b[2];
    char text[8] = "";
    MUST(pipe(a)), MUST(pipe(b));
    write(a[1], "tee", 3);
    SHOW("tee", tee(a[0], b[1], 10, 0));
    SHOW("both", read(a[0], text, 8) + read(b[0], text, 8));
    struct iovec vector = {"splice", 6};
    SHOW("vmsplice", vmsplice(a[1], &vector, 1, 0));
    SHOW("read", read(a[0], text, 8));
    SHOW("same", tee(a[0], a[1], 1, SPLICE_F_NONBLOCK));
}

CHECK(poll_results) {
    int ends[2];
    MUST(pipe(ends));
    struct pollfd pollers[4] = {{ends[0], POLLIN, 7}, {ends[1], POLLOUT, 7}, {99, POLLIN, 7}, {-1, POLLIN, 7}};
    SHOW("poll", poll(pollers, 4, 0));
    say("%x %x %x %x", pollers[0].revents, pollers[1].revents, pollers[2].revents, pollers[3].revents);
    SHOW("none", poll(0, 0, 1));
    SHOW("pointer", poll((void *)8, 1, 0));
    int file = open("/proc/self/exe", O_RDONLY);
    say("file=%x null=%x", ready(file, POLLIN | POLLOUT), ready(0, POLLIN | POLLOUT));
    struct rlimit limit = {10, 10};
    setrlimit(RLIMIT_NOFILE, &limit);
    SHOW("many", poll(pollers, 11, 0));
}

CHECK(poll_wakes) {
    int ends[2];
    MUST(pipe(ends));
    pid_t pid = START({ struct pollfd poller = {ends[0], POLLIN, 0}; SHOW("poll", poll(&poller, 1, -1)); say("revents=%x", poller.revents); });
    await_sleep(pid);
    write(ends[1], "x", 1);
    wait_for(pid);
}

CHECK(poll_ppoll_mask_and_time) {
    sigset_t usr1, none;
    sigemptyset(&usr1), sigaddset(&usr1, SIGUSR1), sigemptyset(&none);
    sigprocmask(SIG_BLOCK, &usr1, 0);
    signal(SIGUSR1, catch);
    raise(SIGUSR1);
    struct timespec time = {10, 0}, wrong = {0, 1000000000}, negative = {-1, 0};
    SHOW("pending-goes-in", ppoll(0, 0, &time, &none));
    SHOW("then-none", ppoll(0, 0, &(struct timespec){0, 1000}, &none));
    SHOW("wrong", ppoll(0, 0, &wrong, 0));
    SHOW("negative", ppoll(0, 0, &negative, 0));
    sigset_t now;
    sigprocmask(SIG_BLOCK, 0, &now);
    say("mask-is-back=%d", sigismember(&now, SIGUSR1));
}

CHECK(poll_select) {
    int ends[2];
    MUST(pipe(ends));
    fd_set in, out;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(ends[0], &in);
    FD_SET(ends[1], &out);
    struct timeval time = {0, 1000};
    SHOW("select", select(ends[1] + 1, &in, &out, 0, &time));
    say("in=%d out=%d", !!FD_ISSET(ends[0], &in), !!FD_ISSET(ends[1], &out));
    int closed = dup(0);
    close(closed);
    FD_SET(closed, &in);
    SHOW("closed", select(closed + 1, &in, 0, 0, &time));
    SHOW("negative", select(-1, 0, 0, 0, &time));
    FD_ZERO(&in);
    FD_SET(ends[0], &in);
    SHOW("time-out", select(ends[1] + 1, &in, 0, 0, &time));
    say("in=%d", !!FD_ISSET(ends[0], &in));
}

CHECK(epoll_levels_and_edges) {
    int ends[2], epoll;
    char byte;
    MUST(pipe2(ends, O_NONBLOCK));
    OK("create", epoll = epoll_create1(EPOLL_CLOEXEC));
    struct epoll_event event = {EPOLLIN, {.u32 = 7}}, out[4];
    SHOW("add", epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event));
    SHOW("empty", epoll_wait(epoll, out, 4, 0));
    write(ends[1], "xy", 2);
    SHOW("level", epoll_wait(epoll, out, 4, 0));
    say("events=%x data=%u", out[0].events, out[0].data.u32);
    SHOW("level", epoll_wait(epoll, out, 4, 0));
    event.events = EPOLLIN | EPOLLET;
    SHOW("mod", epoll_ctl(epoll, EPOLL_CTL_MOD, ends[0], &event));
    SHOW("edge", epoll_wait(epoll, out, 4, 0));
    SHOW("edge-again", epoll_wait(epoll, out, 4, 0));
    read(ends[0], &byte, 1);
    SHOW("after-part", epoll_wait(epoll, out, 4, 0));
    write(ends[1], "z", 1);
    SHOW("new-edge", epoll_wait(epoll, out, 4, 0));
    event.events = EPOLLIN | EPOLLONESHOT;
    epoll_ctl(epoll, EPOLL_CTL_MOD, ends[0], &event);
    SHOW("once", epoll_wait(epoll, out, 4, 0));
    SHOW("no-more", epoll_wait(epoll, out, 4, 0));
}

CHECK(epoll_errors) {
    int ends[2], epoll = epoll_create1(0);
    MUST(pipe(ends));
    struct epoll_event event = {EPOLLIN, {0}}, out[2];
    epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event);
    SHOW("twice", epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event));
    SHOW("missing", epoll_ctl(epoll, EPOLL_CTL_MOD, ends[1], &event));
    SHOW("delete-missing", epoll_ctl(epoll, EPOLL_CTL_DEL, ends[1], 0));
    SHOW("self", epoll_ctl(epoll, EPOLL_CTL_ADD, epoll, &event));
    SHOW("file", epoll_ctl(epoll, EPOLL_CTL_ADD, open("/proc/self/exe", O_RDONLY), &event));
    SHOW("closed", epoll_ctl(epoll, EPOLL_CTL_ADD, 99, &event));
    SHOW("operation", epoll_ctl(epoll, 9, ends[1], &event));
    SHOW("no-epoll", epoll_ctl(ends[0], EPOLL_CTL_ADD, ends[1], &event));
    SHOW("max-0", epoll_wait(epoll, out, 0, 0));
    SHOW("flags", epoll_create1(99));
    SHOW("size", epoll_create(0));
    int a = epoll_create1(0), b = epoll_create1(0);
    SHOW("nest", epoll_ctl(a, EPOLL_CTL_ADD, b, &event));
    SHOW("cycle", epoll_ctl(b, EPOLL_CTL_ADD, a, &event));
}

CHECK(epoll_order_and_lifetimes) {
    int pipes[3][2], epoll = epoll_create1(0);
    struct epoll_event out[4];
    for (int i = 0; i < 3; i++) {
        MUST(pipe(pipes[i]));
        struct epoll_event event = {EPOLLIN, {.u32 = i}};
        epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[i][0], &event);
    }
    write(pipes[2][1], "x", 1), write(pipes[0][1], "x", 1), write(pipes[1][1], "x", 1);
    int count = epoll_wait(epoll, out, 4, 0);
    say("count=%d order=%u%u%u", count, out[0].data.u32, out[1].data.u32, out[2].data.u32);
    SHOW("one", epoll_wait(epoll, out, 1, 0));
    say("first=%u", out[0].data.u32);
    SHOW("one", epoll_wait(epoll, out, 1, 0));
    say("next=%u", out[0].data.u32);
    int copy = dup(pipes[0][0]);
    close(pipes[0][0]);
    SHOW("duplicate-keeps-it", epoll_wait(epoll, out, 4, 0));
    close(copy);
    SHOW("closed-forgets-it", epoll_wait(epoll, out, 4, 0));
    SHOW("poll", ready(epoll, POLLIN));
}

CHECK(epoll_nested_and_waking) {
    int ends[2], inner = epoll_create1(0), outer = epoll_create1(0);
    MUST(pipe(ends));
    struct epoll_event event = {EPOLLIN, {.u32 = 1}}, out[2];
    epoll_ctl(inner, EPOLL_CTL_ADD, ends[0], &event);
    epoll_ctl(outer, EPOLL_CTL_ADD, inner, &event);
    pid_t pid = START({ SHOW("woken", epoll_wait(outer, out, 2, -1)); });
    await_sleep(pid);
    write(ends[1], "x", 1);
    wait_for(pid);
    SHOW("time-out", epoll_wait(epoll_create1(0), out, 2, 5));
}

CHECK(eventfd_counts) {
    int fd;
    OK("create", fd = eventfd(3, EFD_NONBLOCK));
    uint64_t value = 0;
    SHOW("read", read(fd, &value, 8));
    say("value=%ld ready=%x", (long)value, ready(fd, POLLIN | POLLOUT));
    SHOW("empty", read(fd, &value, 8));
    value = 5;
    write(fd, &value, 8), write(fd, &value, 8);
    SHOW("read", read(fd, &value, 8));
    say("sum=%ld", (long)value);
    SHOW("small", read(fd, &value, 4));
    value = ~0ull;
    SHOW("minus-1", write(fd, &value, 8));
    value = ~0ull - 1;
    SHOW("max", write(fd, &value, 8));
    say("ready=%x", ready(fd, POLLIN | POLLOUT));
    value = 1;
    SHOW("overflow", write(fd, &value, 8));
    int semaphore = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
    for (int i = 0; i < 3; i++) SHOW("semaphore", read(semaphore, &value, 8));
    SHOW("flags", eventfd(0, 99));
}

CHECK(timerfd_expirations) {
    int fd;
    OK("create", fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    uint64_t count = 0;
    struct itimerspec time = {{0, 5000000}, {0, 5000000}}, now;
    SHOW("unset", read(fd, &count, 8));
    SHOW("set", timerfd_settime(fd, 0, &time, 0));
    SHOW("early", read(fd, &count, 8));
    nap(30);
    say("ready=%x", ready(fd, POLLIN));
    SHOW("read", read(fd, &count, 8));
    say("several=%d", count >= 3);
    timerfd_gettime(fd, &now);
    say("interval=%ld rest=%d", now.it_interval.tv_nsec, now.it_value.tv_nsec > 0 && now.it_value.tv_nsec <= 5000000);
    memset(&time, 0, sizeof time);
    SHOW("disarm", timerfd_settime(fd, 0, &time, &now));
    time.it_value.tv_nsec = 1;
    SHOW("absolute-past", timerfd_settime(fd, TFD_TIMER_ABSTIME, &time, 0));
    nap(1);
    SHOW("read", read(fd, &count, 8));
    say("count=%ld", (long)count);
    time.it_value.tv_nsec = 1000000000;
    SHOW("nanoseconds", timerfd_settime(fd, 0, &time, 0));
    SHOW("clock", timerfd_create(99, 0));
    SHOW("write", write(fd, &count, 8));
}

CHECK(timerfd_blocks_until_due) {
    int fd = timerfd_create(CLOCK_REALTIME, 0);
    struct itimerspec time = {{0, 0}, {0, 3000000}};
    uint64_t count = 0;
    timerfd_settime(fd, 0, &time, 0);
    SHOW("read", read(fd, &count, 8));
    say("count=%ld", (long)count);
}

CHECK(memfd_and_seals) {
    int fd;
    OK("create", fd = memfd_create("probe", MFD_ALLOW_SEALING | MFD_CLOEXEC));
    SHOW("write", write(fd, "text", 4));
    char path[64], link[64] = "";
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    readlink(path, link, sizeof link - 1);
    show_text("link", link);
    SHOW("seals", fcntl(fd, F_GET_SEALS));
    SHOW("shrink-grow", fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
    SHOW("grow", ftruncate(fd, 100));
    SHOW("shrink", ftruncate(fd, 1));
    SHOW("overwrite", pwrite(fd, "T", 1, 0));
    char *map = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    SHOW("write-seal-mapped", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    munmap(map, 4096);
    SHOW("write-seal", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL));
    SHOW("write", pwrite(fd, "T", 1, 0));
    SHOW("more", fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    SHOW("map", mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
    SHOW("unsealable", fcntl(memfd_create("x", 0), F_ADD_SEALS, F_SEAL_GROW));
    SHOW("flags", memfd_create("x", 0x1000));
}

CHECK(memfd_execution) {
    int in = open("/proc/self/exe", O_RDONLY), fd = memfd_create("copy", 0);
    static char data[65536];
    for (long part; (part = read(in, data, sizeof data)) > 0;) write(fd, data, part);
    show_status("execveat", RUN({
        dup2(open("/dev/null", O_WRONLY), 1);
        char *arguments[] = {"copy", "--list", 0};
        syscall(SYS_execveat, fd, "", arguments, environ, AT_EMPTY_PATH);
        say("%s", strerrorname_np(errno));
    }));
    SHOW("no-empty-path", syscall(SYS_execveat, fd, "", (char *[]){"x", 0}, environ, 0));
}

CHECK(descriptors_are_passed) {
    int ends[2], inner[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends)), MUST(pipe(inner));
    RUN({ SHOW("send", send_fd(ends[0], inner[1])); });
    close(inner[1]);
    int fd = receive_fd(ends[1]);
    SHOW("write", write(fd, "through", 7));
    char text[8] = "";
    read(inner[0], text, 7);
    show_text("text", text);
    SHOW("cloexec", fcntl(fd, F_GETFD));
    close(fd);
    say("last-writer-gone=%ld", (long)read(inner[0], text, 1));
}

CHECK(pidfd_getfd_and_kcmp) {
    int ends[2];
    MUST(pipe(ends));
    pid_t pid = START(pause());
    int pidfd = syscall(SYS_pidfd_open, pid, 0), fd;
    OK("getfd", fd = syscall(SYS_pidfd_getfd, pidfd, ends[1], 0));
    SHOW("write", write(fd, "x", 1));
    SHOW("closed", syscall(SYS_pidfd_getfd, pidfd, 99, 0));
    RUN({ become(1000); SHOW("stranger", syscall(SYS_pidfd_getfd, pidfd, ends[1], 0)); });
    kill(pid, SIGKILL);
}
