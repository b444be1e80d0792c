// Threads: what clone shares, futexes of every kind, robust lists, thread-local storage, exits and signals among threads.
#include "check.h"

#include <linux/futex.h>

static long futex(volatile int *at, int operation, int value, const void *time, volatile int *second, int third) {
    return syscall(SYS_futex, at, operation, value, time, second, third);
}
static char stacks[4][65536] __attribute__((aligned(16)));
#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
static void pause_for(void) { usleep(20000); }

static volatile int word, done, counter;
static void *waits_on_word(void *argument) {
    long result = futex(&word, FUTEX_WAIT, 0, 0, 0, 0);
    shared->numbers[(long)argument] = result == 0 ? 0 : errno;
    __atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
    return 0;
}
// Starts threads that wait on the word, one after another
static void start_waiters(pthread_t *threads, long number) {
    for (long i = 0; i < number; i++) {
        pthread_create(&threads[i], 0, waits_on_word, (void *)i);
        pause_for();
    }
}

CHECK(thread_futex_wait_and_wake) {
    pthread_t threads[3];
    struct timespec soon = {0, 1000000}, wrong = {0, 1000000000};
    SHOW("wrong-value", futex(&word, FUTEX_WAIT, 1, 0, 0, 0));
    SHOW("time-out", futex(&word, FUTEX_WAIT, 0, &soon, 0, 0));
    SHOW("bad-time", futex(&word, FUTEX_WAIT, 0, &wrong, 0, 0));
    SHOW("nobody", futex(&word, FUTEX_WAKE, 1, 0, 0, 0));
    start_waiters(threads, 3);
    SHOW("wake-1", futex(&word, FUTEX_WAKE, 1, 0, 0, 0));
    SHOW("wake-all", futex(&word, FUTEX_WAKE, 100, 0, 0, 0));
    for (int i = 0; i < 3; i++) pthread_join(threads[i], 0);
    say("done=%d", done);
    SHOW("unaligned", futex((int *)((char *)&word + 1), FUTEX_WAKE, 1, 0, 0, 0));
    SHOW("pointer", futex((int *)8, FUTEX_WAIT, 0, 0, 0, 0));
    SHOW("operation", futex(&word, 99, 0, 0, 0, 0));
}

CHECK(thread_futex_bitset) {
    struct timespec past = {0, 1};
    SHOW("zero", futex(&word, FUTEX_WAIT_BITSET, 0, 0, 0, 0));
    SHOW("absolute-past", futex(&word, FUTEX_WAIT_BITSET, 0, &past, 0, -1));
    pthread_t thread;
    start_waiters(&thread, 1);
    SHOW("wake-bitset", futex(&word, FUTEX_WAKE_BITSET, 1, 0, 0, 4)); // FUTEX_WAIT waits for any bit
    pthread_join(thread, 0);
}

CHECK(thread_futex_requeue) {
    static volatile int other;
    pthread_t threads[3];
    start_waiters(threads, 3);
    SHOW("wrong-value", futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)10, &other, 7));
    SHOW("requeue", futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)10, &other, 0));
    SHOW("first-is-empty", futex(&word, FUTEX_WAKE, 10, 0, 0, 0));
    SHOW("second", futex(&other, FUTEX_WAKE, 10, 0, 0, 0));
    for (int i = 0; i < 3; i++) pthread_join(threads[i], 0);
    int operation = (FUTEX_OP_ADD << 28) | (FUTEX_OP_CMP_EQ << 24) | (5 << 12);
    other = 0;
    SHOW("wake-op", futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &other, operation));
    say("other=%d", other);
}

CHECK(thread_futex_between_processes) {
    volatile int *at = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = START({ SHOW("wait", futex(at, FUTEX_WAIT, 0, 0, 0, 0)); });
    await_sleep(pid);
    SHOW("private-does-not-match", futex(at, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, 0, 0, 0));
    long woken = futex(at, FUTEX_WAKE, 1, 0, 0, 0);
    wait_for(pid);
    SHOW("woken", woken);
}

static void ignores(int number) { (void)number; }
CHECK(thread_futex_interrupted) {
    pid_t pid = START({
        struct sigaction action = {.sa_handler = ignores};
        sigaction(SIGUSR1, &action, 0);
        set_flag(0);
        SHOW("wait", futex(&word, FUTEX_WAIT, 0, 0, 0, 0));
    });
    await_flag(0);
    await_sleep(pid);
    kill(pid, SIGUSR1);
    wait_for(pid);
}

CHECK(thread_priority_inheritance) {
    pthread_mutexattr_t attributes;
    pthread_mutex_t mutex;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    int error = pthread_mutex_init(&mutex, &attributes);
    say("init=%s", error ? strerrorname_np(error) : "ok");
    say("lock=%d unlock=%d", pthread_mutex_lock(&mutex), pthread_mutex_unlock(&mutex));
    word = 0;
    SHOW("lock-pi", futex(&word, FUTEX_LOCK_PI, 0, 0, 0, 0));
    say("owner-is-self=%d", (word & FUTEX_TID_MASK) == getpid());
    SHOW("again", futex(&word, FUTEX_LOCK_PI, 0, 0, 0, 0));
    SHOW("unlock-pi", futex(&word, FUTEX_UNLOCK_PI, 0, 0, 0, 0));
    SHOW("not-owner", futex(&word, FUTEX_UNLOCK_PI, 0, 0, 0, 0));
    word = 0;
}

CHECK(thread_robust_mutex) {
    pthread_mutexattr_t attributes;
    pthread_mutex_t *mutex = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(mutex, &attributes);
    RUN({ pthread_mutex_lock(mutex); kill(getpid(), SIGKILL); });
    int error = pthread_mutex_lock(mutex);
    say("lock=%s", error ? strerrorname_np(error) : "ok");
    say("consistent=%d unlock=%d", pthread_mutex_consistent(mutex), pthread_mutex_unlock(mutex));
    SHOW("size", syscall(SYS_set_robust_list, 0, 7));
    void *head;
    size_t size = 0;
    SHOW("get", syscall(SYS_get_robust_list, 0, &head, &size));
    say("size=%zu", size);
}

static void *adds(void *argument) {
    pthread_mutex_t *mutex = argument;
    for (int i = 0; i < 1000; i++) pthread_mutex_lock(mutex), counter++, pthread_mutex_unlock(mutex);
    return 0;
}
CHECK(thread_mutexes_and_joins) {
    pthread_t threads[4];
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], 0, adds, &mutex);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
    say("counter=%d", counter);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static void *waits_on_condition(void *argument) {
    pthread_barrier_wait(&barrier);
    pthread_mutex_lock(&lock);
    while (!word) pthread_cond_wait(&condition, &lock);
    counter++;
    pthread_mutex_unlock(&lock);
    return argument;
}
CHECK(thread_conditions_and_barriers) {
    pthread_t threads[3];
    pthread_barrier_init(&barrier, 0, 4);
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], 0, waits_on_condition, 0);
    pthread_barrier_wait(&barrier);
    pthread_mutex_lock(&lock);
    word = 1;
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], 0);
    say("counter=%d", counter);
    struct timespec time = {0, 0};
    pthread_mutex_lock(&lock);
    say("timedwait=%s", strerrorname_np(pthread_cond_timedwait(&condition, &lock, &time)));
    word = 0;
}

static __thread int local = 5;
static void *sees_local(void *argument) {
    say("thread=%d", local);
    local = 9;
    return argument;
}
CHECK(thread_local_storage) {
    pthread_t thread;
    local = 7;
    pthread_create(&thread, 0, sees_local, 0);
    pthread_join(thread, 0);
    say("main=%d", local);
    RUN({ say("child=%d", local); });
}

static void *says_ids(void *argument) {
    say("same-pid=%d other-tid=%d same-ppid=%d", getpid() == shared->numbers[0], gettid() != getpid(), getppid() == shared->numbers[1]);
    say("same-group=%d same-session=%d", getpgrp() == shared->numbers[2], getsid(0) == shared->numbers[3]);
    return argument;
}
CHECK(thread_ids) {
    pthread_t thread;
    shared->numbers[0] = getpid(), shared->numbers[1] = getppid(), shared->numbers[2] = getpgrp(), shared->numbers[3] = getsid(0);
    say("leader=%d", gettid() == getpid());
    pthread_create(&thread, 0, says_ids, 0);
    pthread_join(thread, 0);
}

static void *changes_things(void *argument) {
    chdir("/dev");
    umask(0777);
    close(50);
    signal(SIGUSR2, SIG_IGN);
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, 0);
    syscall(SYS_setresuid, 1000, 1000, 1000); // of this thread alone
    prctl(PR_SET_NAME, "other");
    return argument;
}
CHECK(thread_what_is_shared) {
    pthread_t thread;
    char path[64] = "", name[16];
    sigset_t set;
    struct sigaction action;
    dup2(0, 50);
    pthread_create(&thread, 0, changes_things, 0);
    pthread_join(thread, 0);
    getcwd(path, sizeof path);
    sigaction(SIGUSR2, 0, &action);
    sigprocmask(SIG_BLOCK, 0, &set);
    prctl(PR_GET_NAME, name);
    say("cwd=%s umask=%o fd-closed=%d ignored=%d", path, umask(022), fcntl(50, F_GETFD) < 0, action.sa_handler == SIG_IGN);
    say("mask=%d uid=%d name-same=%d", sigismember(&set, SIGHUP), getuid(), strcmp(name, "other") != 0);
}

static int says_and_ends(void *argument) {
    done = 1;
    return *(int *)argument;
}
CHECK(thread_clone_tid_words) {
    volatile int parent_tid = 0, child_tid = 77;
    int value = 3;
    long tid = clone(says_and_ends, stacks[0] + 65536, THREAD_FLAGS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID, &value, &parent_tid, 0, &child_tid);
    say("parent-settid=%d", parent_tid == tid);
    while (child_tid) futex(&child_tid, FUTEX_WAIT, 77, 0, 0, 0);
    say("word=%d done=%d", child_tid, done);
    for (int i = 0; i < 1000 && syscall(SYS_tgkill, getpid(), tid, 0) == 0; i++) nap(1);
    SHOW("tgkill", syscall(SYS_tgkill, getpid(), tid, 0));
}

CHECK(thread_clone_without_thread) {
    int value = 4, status = 0;
    pid_t pid = clone(says_and_ends, stacks[0] + 65536, CLONE_VM | SIGCHLD, &value);
    waitpid(pid, &status, 0);
    show_status("vm", status);
    say("memory-shared=%d", done);
    done = 0;
    pid = clone(says_and_ends, stacks[0] + 65536, CLONE_VM, &value); // no signal at its end
    SHOW("plain-wait", waitpid(pid, &status, 0));
    SHOW("clone-wait", waitpid(pid, &status, __WCLONE) == pid);
    pid = clone(says_and_ends, stacks[0] + 65536, CLONE_VM | CLONE_VFORK | SIGCHLD, &value);
    say("vfork-done=%d", done);
    waitpid(pid, &status, 0);
}

static void *kills_itself(void *argument) {
    syscall(SYS_tgkill, getpid(), gettid(), SIGKILL);
    return argument;
}
static void *exits_group(void *argument) {
    _exit((long)argument);
}
static void *pauses(void *argument) {
    pause();
    return argument;
}
CHECK(thread_deaths) {
    pthread_t thread;
    show_status("kill-one", RUN({ pthread_create(&thread, 0, kills_itself, 0); pause(); }));
    show_status("exit-group", RUN({ pthread_create(&thread, 0, exits_group, (void *)6); pause(); }));
    show_status("leader-exits", RUN({ pthread_create(&thread, 0, exits_group, (void *)8); syscall(SYS_exit, 2); }));
    show_status("leader-is-last", RUN({ syscall(SYS_exit, 2); }));
}

CHECK(thread_leader_that_ended_is_a_zombie) {
    pid_t pid = START({ pthread_t thread; pthread_create(&thread, 0, pauses, 0); syscall(SYS_exit, 2); });
    while (state_of(pid) != 'Z') nap(1);
    SHOW("wait", waitpid(pid, 0, WNOHANG));
    SHOW("kill", kill(pid, SIGKILL));
    show_status("end", wait_for(pid));
}

static void *executes(void *argument) {
    dup2(open("/dev/null", O_WRONLY), 1);
    execl("/proc/self/exe", "x", "--list", (char *)0);
    return argument;
}
CHECK(thread_exec_ends_the_others) {
    pid_t pid = START({ pthread_t thread; pthread_create(&thread, 0, executes, 0); pause(); });
    show_status("end", wait_for(pid)); // under the leader's pid
}

static volatile int signalled_tid;
static void notes_tid(int number) {
    (void)number;
    signalled_tid = gettid();
}
CHECK(thread_signals_go_where_they_can) {
    pthread_t thread;
    sigset_t set;
    signal(SIGUSR1, notes_tid);
    pthread_create(&thread, 0, pauses, 0);
    sigemptyset(&set), sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, 0);
    pause_for();
    kill(getpid(), SIGUSR1); // the main thread blocks it: the other takes it
    pthread_join(thread, 0);
    say("other-took-it=%d", signalled_tid && signalled_tid != getpid());
    signalled_tid = 0;
    pthread_create(&thread, 0, pauses, 0); // inherits the mask
    pause_for();
    pthread_kill(thread, SIGUSR1);
    sigset_t pending;
    sigpending(&pending);
    say("pending-of-the-other=%d", sigismember(&pending, SIGUSR1));
    syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1);
    sigpending(&pending);
    say("own=%d", sigismember(&pending, SIGUSR1));
}

CHECK(thread_proc_task_lists_them) {
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], 0, pauses, 0);
    DIR *folder = opendir("/proc/self/task");
    int count = 0;
    for (struct dirent *entry; (entry = readdir(folder));) count += atoi(entry->d_name) > 0;
    char text[4096], *line;
    get("/proc/self/status", text, sizeof text);
    line = strstr(text, "Threads:");
    if (line) line[strcspn(line, "\n")] = 0;
    say("tasks=%d", count);
    show_text("status", line ? line : "none");
}

CHECK(thread_limit_of_processes) {
    // RLIMIT_NPROC counts threads of the user, and not for root
    struct rlimit limit = {3, 3};
    pthread_t threads[4];
    become(1234);
    setrlimit(RLIMIT_NPROC, &limit);
    int made = 0, error = 0;
    while (made < 4 && (error = pthread_create(&threads[made], 0, pauses, 0)) == 0) made++;
    say("made=%d %s", made, strerrorname_np(error));
    OK("fork", fork());
}

CHECK(thread_scheduling) {
    struct sched_param parameter = {0};
    SHOW("policy", sched_getscheduler(0));
    SHOW("batch", sched_setscheduler(0, SCHED_BATCH, &parameter));
    SHOW("policy", sched_getscheduler(0));
    parameter.sched_priority = 5;
    SHOW("other-with-priority", sched_setscheduler(0, SCHED_OTHER, &parameter));
    SHOW("nice", setpriority(PRIO_PROCESS, 0, 5));
    SHOW("getpriority", getpriority(PRIO_PROCESS, 0));
    SHOW("large", setpriority(PRIO_PROCESS, 0, 100));
    SHOW("getpriority", getpriority(PRIO_PROCESS, 0));
    SHOW("max", sched_get_priority_max(SCHED_FIFO));
    SHOW("missing", sched_getscheduler(4999));
    cpu_set_t set;
    CPU_ZERO(&set);
    SHOW("no-cpu", sched_setaffinity(0, sizeof set, &set));
    CPU_SET(0, &set);
    SHOW("first", sched_setaffinity(0, sizeof set, &set));
    SHOW("yield", sched_yield());
    RUN({ become(1000); SHOW("user-lower-nice", setpriority(PRIO_PROCESS, 0, 0)); SHOW("fifo", sched_setscheduler(0, SCHED_FIFO, &parameter)); });
}
