// Signals: delivery, masks, queues, stacks, what is restarted and what is interrupted, stopping and waiting.
#include "check.h"

#include <setjmp.h>
#include <sys/signalfd.h>
#include <ucontext.h>

static volatile sig_atomic_t calls, last, last_code, last_value;
static char order[64];
static void note(int number) {
    calls++, last = number;
    size_t length = strlen(order);
    if (length < sizeof order - 8) snprintf(order + length, 8, "%d,", number);
}
static void note_info(int number, siginfo_t *info, void *context) {
    (void)context;
    note(number);
    last_code = info->si_code, last_value = info->si_value.sival_int;
}
static void handle(int number, void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    MUST(sigaction(number, &action, 0));
}
static void handle_info(int number, int flags) {
    struct sigaction action = {.sa_sigaction = note_info, .sa_flags = flags | SA_SIGINFO};
    MUST(sigaction(number, &action, 0));
}
static sigset_t set_of(int a, int b) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, a);
    if (b) sigaddset(&set, b);
    return set;
}
static void block(int a, int b) {
    sigset_t set = set_of(a, b);
    MUST(sigprocmask(SIG_BLOCK, &set, 0));
}
static void unblock(int a, int b) {
    sigset_t set = set_of(a, b);
    MUST(sigprocmask(SIG_UNBLOCK, &set, 0));
}

CHECK(signal_default_actions) {
    for (int number = 1; number < 32; number++) {
        if (number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU) continue;
        char label[8];
        snprintf(label, sizeof label, "%d", number);
        show_status(label, RUN({ struct rlimit none = {0, 0}; setrlimit(RLIMIT_CORE, &none); raise(number); _exit(0); }));
    }
}

CHECK(signal_handler_runs_and_returns) {
    handle(SIGUSR1, note, 0);
    SHOW("raise", raise(SIGUSR1));
    say("calls=%d last=%s", calls, signal_name(last));
}

CHECK(signal_sigaction_errors) {
    struct sigaction action = {.sa_handler = SIG_IGN};
    SHOW("kill", sigaction(SIGKILL, &action, 0));
    SHOW("stop", sigaction(SIGSTOP, &action, 0));
    SHOW("zero", syscall(SYS_rt_sigaction, 0, 0, 0, 8));
    SHOW("65", syscall(SYS_rt_sigaction, 65, 0, 0, 8));
    SHOW("size", syscall(SYS_rt_sigaction, SIGUSR1, 0, 0, 4));
    SHOW("query-kill", sigaction(SIGKILL, 0, &action));
    SHOW("pointer", syscall(SYS_rt_sigaction, SIGUSR1, 8, 0, 8));
}

CHECK(signal_kill_errors) {
    SHOW("missing", kill(4999, 0));
    SHOW("number", kill(getpid(), 65));
    SHOW("negative", kill(getpid(), -1));
    SHOW("group", kill(-4999, SIGTERM));
    SHOW("tgkill", syscall(SYS_tgkill, getpid(), 4999, 0));
    SHOW("tgkill-zero", syscall(SYS_tgkill, 0, getpid(), 0));
    SHOW("tkill", syscall(SYS_tkill, 0, 0));
    RUN({ become(1000); SHOW("others", kill(1, 0)); });
}

CHECK(signal_mask_holds_back) {
    handle(SIGUSR1, note, 0);
    block(SIGUSR1, 0);
    raise(SIGUSR1), raise(SIGUSR1), raise(SIGUSR1);
    sigset_t pending;
    sigpending(&pending);
    say("before=%d pending=%d", calls, sigismember(&pending, SIGUSR1));
    unblock(SIGUSR1, 0);
    sigpending(&pending);
    say("after=%d pending=%d", calls, sigismember(&pending, SIGUSR1));
}

CHECK(signal_real_time_signals_queue_in_order) {
    handle_info(SIGRTMIN, 0), handle_info(SIGRTMIN + 1, 0);
    block(SIGRTMIN, SIGRTMIN + 1);
    for (int i = 1; i <= 3; i++) MUST(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = i}));
    MUST(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 9}));
    sigset_t set = set_of(SIGRTMIN, SIGRTMIN + 1);
    siginfo_t info;
    for (int i = 0; i < 4; i++) {
        int number = sigwaitinfo(&set, &info);
        say("%d:%d code=%d", number - SIGRTMIN, info.si_value.sival_int, info.si_code);
    }
    struct timespec none = {0, 0};
    SHOW("empty", sigtimedwait(&set, &info, &none));
}

CHECK(signal_lowest_number_first) {
    handle(SIGUSR1, note, 0), handle(SIGUSR2, note, 0), handle(SIGHUP, note, 0);
    sigset_t all, old;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    raise(SIGUSR2), raise(SIGUSR1), raise(SIGHUP);
    sigprocmask(SIG_SETMASK, &old, 0);
    show_text("entered-last-first", order); // the frames are stacked: the lowest number's handler is entered last
}

static void in_handler(int number) {
    sigset_t mask;
    sigprocmask(SIG_BLOCK, 0, &mask);
    say("%s: own=%d other=%d", signal_name(number), sigismember(&mask, number), sigismember(&mask, SIGUSR2));
}
CHECK(signal_mask_in_a_handler) {
    struct sigaction action = {.sa_handler = in_handler};
    sigaddset(&action.sa_mask, SIGUSR2);
    sigaction(SIGUSR1, &action, 0);
    raise(SIGUSR1);
    handle(SIGUSR1, in_handler, SA_NODEFER);
    raise(SIGUSR1);
    sigset_t mask;
    sigprocmask(SIG_BLOCK, 0, &mask);
    say("after=%d", sigismember(&mask, SIGUSR1));
}

CHECK(signal_resethand) {
    handle(SIGUSR1, note, SA_RESETHAND);
    struct sigaction action;
    raise(SIGUSR1);
    sigaction(SIGUSR1, 0, &action);
    say("calls=%d default=%d", calls, action.sa_handler == SIG_DFL);
}

static stack_t stack;
static void on_stack(int number) {
    (void)number;
    char here;
    stack_t now;
    say("within=%d", &here > (char *)stack.ss_sp && &here < (char *)stack.ss_sp + stack.ss_size);
    sigaltstack(0, &now);
    say("flags=%d", now.ss_flags);
    SHOW("change", sigaltstack(&stack, 0));
}
CHECK(signal_alternative_stack) {
    stack = (stack_t){malloc(65536), 0, 65536};
    SHOW("set", sigaltstack(&stack, 0));
    handle(SIGUSR1, on_stack, SA_ONSTACK);
    raise(SIGUSR1);
    stack_t small = {stack.ss_sp, 0, 100}, off = {0, SS_DISABLE, 0}, wrong = {stack.ss_sp, 99, 65536};
    SHOW("small", sigaltstack(&small, 0));
    SHOW("flags", sigaltstack(&wrong, 0));
    SHOW("off", sigaltstack(&off, &small));
    say("was=%zu", small.ss_size);
}

static sigjmp_buf back;
static void jump(int number, siginfo_t *info, void *context) {
    (void)context;
    last = number, last_code = info->si_code, last_value = info->si_addr == (void *)16;
    siglongjmp(back, 1);
}
CHECK(signal_faults_carry_code_and_address) {
    struct sigaction action = {.sa_sigaction = jump, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, 0), sigaction(SIGBUS, &action, 0), sigaction(SIGILL, &action, 0), sigaction(SIGTRAP, &action, 0);
    if (sigsetjmp(back, 1) == 0) *(volatile int *)16 = 1;
    say("unmapped=%s,%d,%d", signal_name(last), last_code, last_value);
    volatile char *volatile page = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (sigsetjmp(back, 1) == 0) *page = 1;
    say("read-only=%s,%d", signal_name(last), last_code);
    touch("empty", "");
    page = mmap(0, 4096, PROT_READ, MAP_SHARED, open("empty", O_RDONLY), 0);
    if (sigsetjmp(back, 1) == 0) (void)*page;
    say("beyond-file=%s,%d", signal_name(last), last_code);
    if (sigsetjmp(back, 1) == 0) __asm__ volatile(".word 0");
    say("illegal=%s,%d", signal_name(last), last_code);
    if (sigsetjmp(back, 1) == 0) __asm__ volatile("ebreak");
    say("breakpoint=%s,%d", signal_name(last), last_code);
}

CHECK(signal_blocked_fault_kills) {
    handle(SIGSEGV, note, 0);
    show_status("blocked", RUN({ block(SIGSEGV, 0); *(volatile int *)16 = 1; }));
    signal(SIGSEGV, SIG_IGN);
    show_status("ignored", RUN({ *(volatile int *)16 = 1; }));
}

static void kill_after_sleep(pid_t pid, int number) {
    await_sleep(pid);
    kill(pid, number);
}
CHECK(signal_read_is_interrupted_or_restarted) {
    for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
        int ends[2];
        MUST(pipe(ends));
        pid_t pid = START({ char byte; handle(SIGUSR1, note, flags); set_flag(flags != 0); SHOW(flags ? "restart" : "interrupt", read(ends[0], &byte, 1)); say("calls=%d", calls); });
        await_flag(flags != 0);
        kill_after_sleep(pid, SIGUSR1);
        if (flags) await_sleep(pid), write(ends[1], "x", 1);
        wait_for(pid);
    }
}

CHECK(signal_sleep_is_interrupted_with_the_rest) {
    pid_t pid = START({
        struct timespec time = {100, 0}, rest = {0, 0};
        handle(SIGUSR1, note, SA_RESTART);
        set_flag(0);
        SHOW("nanosleep", nanosleep(&time, &rest));
        say("rest=%d", rest.tv_sec == 99 || rest.tv_sec == 100);
    });
    await_flag(0);
    kill_after_sleep(pid, SIGUSR1);
    wait_for(pid);
}

CHECK(signal_which_calls_are_restarted) {
    static const char *const names[] = {"poll", "pause", "sigsuspend", "wait"};
    for (int i = 0; i < 4; i++) {
        pid_t pid = START({
            sigset_t none;
            sigemptyset(&none);
            handle(SIGUSR1, note, SA_RESTART);
            pid_t child = i == 3 ? START(nap(300)) : 0;
            set_flag(i);
            if (i == 0) SHOW(names[i], poll(0, 0, 60000));
            if (i == 1) SHOW(names[i], pause());
            if (i == 2) SHOW(names[i], sigsuspend(&none));
            if (i == 3) SHOW(names[i], waitpid(child, 0, 0) == child);
            say("calls=%d", calls);
        });
        await_flag(i);
        kill_after_sleep(pid, SIGUSR1);
        wait_for(pid);
    }
}

CHECK(signal_stop_and_continue_restart_a_sleep) {
    int ends[2], status;
    MUST(pipe(ends));
    pid_t pid = START({ char byte; SHOW("read", read(ends[0], &byte, 1)); });
    await_sleep(pid);
    kill(pid, SIGSTOP);
    waitpid(pid, &status, WUNTRACED);
    show_status("stop", status);
    say("state=%c", state_of(pid));
    SHOW("again", waitpid(pid, &status, WUNTRACED | WNOHANG));
    kill(pid, SIGCONT);
    waitpid(pid, &status, WCONTINUED);
    show_status("cont", status);
    write(ends[1], "x", 1);
    show_status("end", wait_for(pid));
}

CHECK(signal_stopped_process_keeps_signals_but_dies_of_kill) {
    int status;
    pid_t pid = START({ handle(SIGUSR1, note, 0); set_flag(0); while (!calls) nap(1); say("handled"); set_flag(1); pause(); });
    await_flag(0);
    kill(pid, SIGSTOP);
    waitpid(pid, &status, WUNTRACED);
    kill(pid, SIGUSR1);
    nap(10);
    say("handled-while-stopped=%d", shared->flags[1]);
    kill(pid, SIGCONT);
    await_flag(1);
    kill(pid, SIGSTOP);
    waitpid(pid, &status, WUNTRACED);
    kill(pid, SIGKILL);
    show_status("end", wait_for(pid));
}

CHECK(signal_cont_discards_stop) {
    block(SIGTSTP, SIGCONT);
    raise(SIGTSTP), raise(SIGCONT);
    sigset_t pending;
    sigpending(&pending);
    say("tstp=%d cont=%d", sigismember(&pending, SIGTSTP), sigismember(&pending, SIGCONT));
    raise(SIGTSTP);
    sigpending(&pending);
    say("tstp=%d cont=%d", sigismember(&pending, SIGTSTP), sigismember(&pending, SIGCONT));
}

CHECK(signal_ignored_is_not_queued) {
    signal(SIGUSR1, SIG_IGN);
    block(SIGUSR1, 0);
    raise(SIGUSR1);
    sigset_t pending;
    sigpending(&pending);
    say("pending-while-blocked=%d", sigismember(&pending, SIGUSR1));
    signal(SIGUSR1, SIG_IGN);
    sigpending(&pending);
    say("after-ignoring=%d", sigismember(&pending, SIGUSR1));
}

CHECK(signal_fork_and_exec_inherit) {
    handle(SIGUSR1, note, 0);
    signal(SIGUSR2, SIG_IGN);
    block(SIGHUP, SIGUSR1);
    raise(SIGUSR1);
    RUN({
        sigset_t set;
        struct sigaction action;
        sigpending(&set);
        sigaction(SIGUSR1, 0, &action);
        say("pending=%d handler=%d", sigismember(&set, SIGUSR1), action.sa_handler == note);
        sigprocmask(SIG_BLOCK, 0, &set);
        say("mask=%d", sigismember(&set, SIGHUP));
    });
    char text[4096], *line;
    get("/proc/self/status", text, sizeof text);
    for (line = strtok(text, "\n"); line; line = strtok(0, "\n"))
        if (strncmp(line, "SigB", 4) == 0 || strncmp(line, "SigI", 4) == 0 || strncmp(line, "SigP", 4) == 0 || strncmp(line, "ShdP", 4) == 0) show_text("", line);
}

CHECK(signal_child_reports) {
    handle_info(SIGCHLD, SA_NOCLDSTOP);
    pid_t pid = START(_exit(3));
    while (!calls) nap(1);
    say("code=%d", last_code == CLD_EXITED);
    wait_for(pid);
    pid = START({ set_flag(0); pause(); });
    await_flag(0);
    calls = 0;
    kill(pid, SIGSTOP);
    waitpid(pid, 0, WUNTRACED);
    say("stopped-calls=%d", calls);
    kill(pid, SIGKILL);
    while (!calls) nap(1);
    say("killed=%d", last_code == CLD_KILLED);
}

CHECK(signal_ignored_children_leave_no_zombies) {
    signal(SIGCHLD, SIG_IGN);
    pid_t pid = START(_exit(3));
    SHOW("wait", waitpid(pid, 0, 0));
    signal(SIGCHLD, SIG_DFL);
    struct sigaction action = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
    sigaction(SIGCHLD, &action, 0);
    pid = START(_exit(3));
    SHOW("nocldwait", waitpid(pid, 0, 0));
}

CHECK(signal_timers) {
    handle(SIGALRM, note, 0);
    struct itimerval timer = {{0, 0}, {0, 5000}}, old;
    SHOW("setitimer", setitimer(ITIMER_REAL, &timer, 0));
    SHOW("pause", pause());
    say("calls=%d", calls);
    SHOW("alarm", alarm(100));
    SHOW("alarm", alarm(0));
    timer.it_value.tv_sec = 50;
    setitimer(ITIMER_REAL, &timer, 0);
    getitimer(ITIMER_REAL, &old);
    say("rest=%d", old.it_value.tv_sec == 49 || old.it_value.tv_sec == 50);
    timer.it_value.tv_usec = 1000000;
    SHOW("wrong", setitimer(ITIMER_REAL, &timer, 0));
    RUN({ getitimer(ITIMER_REAL, &old); say("inherited=%ld", (long)old.it_value.tv_sec); });
}

CHECK(signal_posix_timer) {
    timer_t timer;
    handle_info(SIGRTMIN, 0);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 42};
    struct itimerspec time = {{0, 0}, {0, 2000000}};
    SHOW("create", timer_create(CLOCK_MONOTONIC, &event, &timer));
    SHOW("settime", timer_settime(timer, 0, &time, 0));
    while (!calls) nap(1);
    say("code=%d value=%d", last_code, last_value);
    SHOW("overrun", timer_getoverrun(timer));
    SHOW("delete", timer_delete(timer));
}

CHECK(signal_signalfd) {
    block(SIGUSR1, SIGUSR2);
    sigset_t set = set_of(SIGUSR1, 0), both = set_of(SIGUSR1, SIGUSR2);
    int fd;
    OK("signalfd", fd = signalfd(-1, &set, SFD_NONBLOCK));
    struct signalfd_siginfo info[4];
    struct pollfd poller = {fd, POLLIN, 0};
    SHOW("empty", read(fd, info, sizeof info));
    SHOW("poll", poll(&poller, 1, 0));
    raise(SIGUSR1), raise(SIGUSR2);
    SHOW("poll", poll(&poller, 1, 0));
    SHOW("read", read(fd, info, sizeof info));
    say("signo=%d code=%d", info[0].ssi_signo, info[0].ssi_code);
    SHOW("update", signalfd(fd, &both, 0) == fd);
    SHOW("read", read(fd, info, sizeof info));
    say("signo=%d", info[0].ssi_signo);
    SHOW("small", read(fd, info, 10));
    SHOW("wrong", signalfd(0, &set, 0));
}

CHECK(signal_sigpipe) {
    int ends[2];
    MUST(pipe(ends));
    close(ends[0]);
    show_status("default", RUN({ write(ends[1], "x", 1); }));
    signal(SIGPIPE, SIG_IGN);
    SHOW("ignored", write(ends[1], "x", 1));
}

CHECK(signal_process_groups) {
    handle(SIGUSR1, note, 0);
    setpgid(0, 0);
    pid_t a = START({ set_flag(0); pause(); }), b = START({ setpgid(0, 0); set_flag(1); pause(); });
    await_flag(0), await_flag(1);
    SHOW("group", kill(0, SIGUSR1));
    show_status("a", wait_for(a));
    say("self=%d", calls);
    SHOW("b-lives", waitpid(b, 0, WNOHANG));
    SHOW("by-number", kill(-b, SIGKILL));
    show_status("b", wait_for(b));
}

CHECK(signal_orphaned_stopped_group_gets_hup) {
    pid_t leader = START({
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        pid_t middle = START({
            setsid();
            START({ setpgid(0, 0); set_flag(0); raise(SIGSTOP); set_flag(2); nap(100); });
            await_flag(0);
            nap(20);
        });
        wait_for(middle);
        int status;
        wait(&status);
        show_status("orphan", status);
    });
    wait_for(leader);
}

static void skip(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    ((ucontext_t *)context)->uc_mcontext.__gregs[0] += 4;
    calls++;
}
CHECK(signal_handler_moves_the_pc) {
    struct sigaction action = {.sa_sigaction = skip, .sa_flags = SA_SIGINFO};
    sigaction(SIGILL, &action, 0);
    __asm__ volatile(".option push\n.option norvc\n.word 0\n.option pop");
    say("calls=%d", calls);
}

CHECK(signal_floating_point_survives) {
    volatile double a = 1.5, b = 2.25;
    handle(SIGUSR1, note, 0);
    double c = a * b;
    raise(SIGUSR1);
    say("c=%g", c + a);
}
