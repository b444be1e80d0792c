// System V IPC and POSIX message queues (sysvipc(7), mq_overview(7)): order, limits, permissions, what is shown of them.
#include "check.h"

#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

struct message {
    long type;
    char text[64];
};
static long post(int id, long type, const char *text, int flags) {
    struct message message = {.type = type};
    strcpy(message.text, text);
    return msgsnd(id, &message, strlen(text) + 1, flags);
}
static void take(const char *label, int id, long type, int flags) {
    struct message message = {0};
    long size = msgrcv(id, &message, sizeof message.text, type, flags);
    if (size < 0) show(label, size);
    else say("%s=%ld:%s", label, message.type, message.text);
}
static long step(int id, int number, int change, int flags) { return semop(id, &(struct sembuf){number, change, flags}, 1); }

CHECK(sem_waiters_are_served_in_their_order) {
    int id = semget(IPC_PRIVATE, 1, 0600);
    pid_t first = START({ step(id, 0, -2, 0); shared->numbers[0] = ++shared->numbers[9]; });
    await_sleep(first);
    pid_t second = START({ step(id, 0, -1, 0); shared->numbers[1] = ++shared->numbers[9]; });
    await_sleep(second);
    pid_t third = START({ step(id, 0, -1, 0); shared->numbers[2] = ++shared->numbers[9]; });
    await_sleep(third);
    say("waiting=%d zero=%d", semctl(id, 0, GETNCNT), semctl(id, 0, GETZCNT));
    SHOW("add", step(id, 0, 1, 0));
    wait_for(second);
    say("waiting=%d value=%d", semctl(id, 0, GETNCNT), semctl(id, 0, GETVAL));
    SHOW("add", step(id, 0, 2, 0));
    wait_for(first);
    SHOW("nothing-is-left", step(id, 0, -1, IPC_NOWAIT));
    SHOW("add", step(id, 0, 1, 0));
    wait_for(third);
    say("order=%ld,%ld,%ld", shared->numbers[0], shared->numbers[1], shared->numbers[2]);
    semctl(id, 0, IPC_RMID);
}

CHECK(sem_all_operations_or_none) {
    int id = semget(IPC_PRIVATE, 3, 0600);
    unsigned short values[3] = {1, 0, 5};
    SHOW("setall", semctl(id, 0, SETALL, values));
    struct sembuf both[2] = {{0, -1, 0}, {1, -1, 0}};
    pid_t pid = START({ shared->numbers[0] = semop(id, both, 2) + 1; });
    await_sleep(pid);
    say("first=%d waiting=%d,%d", semctl(id, 0, GETVAL), semctl(id, 0, GETNCNT), semctl(id, 1, GETNCNT));
    SHOW("add", step(id, 1, 1, 0));
    wait_for(pid);
    say("both=%d", shared->numbers[0] == 1);
    SHOW("getall", semctl(id, 0, GETALL, values));
    say("values=%d,%d,%d", values[0], values[1], values[2]);
    struct sembuf same[2] = {{2, -5, 0}, {2, 3, 0}}, too_much[2] = {{2, 3, 0}, {2, 32767, 0}};
    SHOW("same-twice", semop(id, same, 2));
    SHOW("overflow", semop(id, too_much, 2));
    say("untouched=%d", semctl(id, 2, GETVAL));
    SHOW("too-large", semctl(id, 2, SETVAL, 32768));
    SHOW("negative", semctl(id, 2, SETVAL, -1));
    SHOW("number", semctl(id, 3, GETVAL));
    SHOW("command", semctl(id, 0, 99));
    struct sembuf many[501] = {{0}};
    SHOW("many", semop(id, many, 501));
    SHOW("none", semop(id, many, 0));
    semctl(id, 0, IPC_RMID);
}

CHECK(sem_zero_timeouts_and_signals) {
    int id = semget(IPC_PRIVATE, 1, 0600);
    struct timespec little = {0, 20000000}, wrong = {0, 1000000000};
    SHOW("timeout", semtimedop(id, &(struct sembuf){0, -1, 0}, 1, &little));
    SHOW("wrong", semtimedop(id, &(struct sembuf){0, -1, 0}, 1, &wrong));
    semctl(id, 0, SETVAL, 2);
    pid_t zero = START({ shared->numbers[0] = step(id, 0, 0, 0) + 1; });
    await_sleep(zero);
    say("for-zero=%d", semctl(id, 0, GETZCNT));
    SHOW("take", step(id, 0, -1, 0));
    say("for-zero=%d", semctl(id, 0, GETZCNT));
    SHOW("take", step(id, 0, -1, 0));
    wait_for(zero);
    say("zero=%d", shared->numbers[0] == 1);
    struct sigaction action = {.sa_handler = (void (*)(int))set_flag, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, 0);
    pid_t parent = getpid(), child = START({ await_sleep(parent); kill(parent, SIGUSR1); });
    SHOW("interrupted", step(id, 0, -1, 0));
    wait_for(child);
    pid_t removed = START({ SHOW("removed", step(id, 0, -1, 0)); });
    await_sleep(removed);
    semctl(id, 0, IPC_RMID);
    wait_for(removed);
}

CHECK(sem_undo) {
    int id = semget(IPC_PRIVATE, 2, 0600);
    semctl(id, 0, SETVAL, 3);
    RUN({ step(id, 0, -1, SEM_UNDO); step(id, 0, -1, SEM_UNDO); step(id, 0, 1, 0); say("inside=%d", semctl(id, 0, GETVAL)); });
    say("after=%d last-is-other=%d", semctl(id, 0, GETVAL), semctl(id, 0, GETPID) != getpid());
    RUN({ step(id, 0, -3, SEM_UNDO); RUN({ step(id, 0, 1, SEM_UNDO); }); say("grandchild-undid=%d", semctl(id, 0, GETVAL)); });
    say("after=%d", semctl(id, 0, GETVAL));
    RUN({ step(id, 0, -3, SEM_UNDO); semctl(id, 0, SETVAL, 7); });
    say("set-forgets=%d", semctl(id, 0, GETVAL));
    semctl(id, 0, SETVAL, 1);
    pid_t waits = START({ SHOW("waited", step(id, 0, -2, 0)); });
    await_sleep(waits);
    RUN({ step(id, 0, 0, SEM_UNDO | IPC_NOWAIT); step(id, 0, -1, SEM_UNDO); step(id, 0, 1, 0); });
    wait_for(waits);
    say("undoing-wakes=%d", semctl(id, 0, GETVAL));
    RUN({ step(id, 0, 2, SEM_UNDO); RUN({ step(id, 0, -1, 0); }); });
    say("never-below-zero=%d", semctl(id, 0, GETVAL));
    RUN({ step(id, 1, 32767, SEM_UNDO); SHOW("adjustment-range", step(id, 1, -32767, SEM_UNDO)); });
    RUN({ step(id, 1, 5, SEM_UNDO); MUST(unshare(CLONE_SYSVSEM)); say("unshared=%d", semctl(id, 1, GETVAL)); });
    semctl(id, 0, IPC_RMID);
}

CHECK(sem_get_and_stat) {
    SHOW("none", semget(10, 0, IPC_CREAT | 0600));
    SHOW("many", semget(10, 32001, IPC_CREAT | 0600));
    OK("get", semget(10, 2, IPC_CREAT | 0640));
    int id = semget(10, 0, 0);
    SHOW("larger", semget(10, 3, 0));
    SHOW("excl", semget(10, 2, IPC_CREAT | IPC_EXCL));
    SHOW("missing", semget(11, 2, 0));
    struct semid_ds info;
    SHOW("stat", semctl(id, 0, IPC_STAT, &info));
    say("mode=%o count=%lu otime=%d ctime=%d uid=%d", info.sem_perm.mode, info.sem_nsems, info.sem_otime != 0, info.sem_ctime != 0, info.sem_perm.uid);
    step(id, 0, 1, 0);
    semctl(id, 0, IPC_STAT, &info);
    say("otime=%d", info.sem_otime != 0);
    info.sem_perm.mode = 0400, info.sem_perm.uid = 1000;
    SHOW("set", semctl(id, 0, IPC_SET, &info));
    RUN({ become(1000); SHOW("owner-reads", semctl(id, 0, GETVAL)); SHOW("owner-writes", step(id, 0, 1, 0)); SHOW("owner-removes", semctl(id, 0, IPC_RMID)); });
    SHOW("gone", semctl(id, 0, GETVAL));
}

CHECK(ipc_ids_after_removal) {
    int first = msgget(IPC_PRIVATE, 0600), second = msgget(IPC_PRIVATE, 0600);
    say("ids=%d,%d", first, second);
    SHOW("remove", msgctl(first, IPC_RMID, 0));
    SHOW("again", msgget(IPC_PRIVATE, 0600));
    SHOW("third", msgget(IPC_PRIVATE, 0600));
    SHOW("old", post(first, 1, "x", 0));
    SHOW("remove-old", msgctl(first, IPC_RMID, 0));
    SHOW("negative", msgctl(-1, IPC_RMID, 0));
}

CHECK(ipc_permissions) {
    int shm = shmget(5, 4096, IPC_CREAT | 0644), sem = semget(5, 1, IPC_CREAT | 0600), queue = msgget(5, IPC_CREAT | 0622);
    RUN({
        become(1000);
        SHOW("attach", (long)shmat(shm, 0, 0));
        OK("attach-to-read", (long)shmat(shm, 0, SHM_RDONLY));
        SHOW("get-read", shmget(5, 4096, 0444) == shm ? 0 : -1);
        SHOW("get-write", shmget(5, 4096, 0666));
        SHOW("semop", step(sem, 0, 1, 0));
        SHOW("getval", semctl(sem, 0, GETVAL));
        SHOW("send", post(queue, 1, "a", 0));
        take("receive", queue, 0, IPC_NOWAIT);
        SHOW("stat", msgctl(queue, IPC_STAT, &(struct msqid_ds){0}));
        SHOW("remove", msgctl(queue, IPC_RMID, 0));
        SHOW("remove", shmctl(shm, IPC_RMID, 0));
    });
    RUN({ enter_user_namespace(); SHOW("user-namespace-root", step(sem, 0, 1, 0)); });
    RUN({
        become(1000);
        enter_user_namespace();
        MUST(unshare(CLONE_NEWIPC));
        int own = semget(5, 1, IPC_CREAT | 0);
        SHOW("owner-of-the-namespace", step(own, 0, 1, 0));
    });
    say("value=%d", semctl(sem, 0, GETVAL));
}

CHECK(shm_attach_flags) {
    int id = shmget(IPC_PRIVATE, 3 * 4096 - 5, 0600);
    char *memory = shmat(id, 0, 0);
    strcpy(memory, "text");
    RUN({ char *other = shmat(id, 0, SHM_RDONLY); show_text("read", other); other[0] = 'x'; });
    show_status("write", RUN({ char *other = shmat(id, 0, SHM_RDONLY); other[0] = 'x'; }));
    SHOW("in-use", (long)shmat(id, memory, 0));
    SHOW("in-use-partly", (long)shmat(id, memory + 2 * 4096, 0));
    SHOW("unaligned", (long)shmat(id, memory + 100, 0));
    say("replaced=%d", shmat(id, memory, SHM_REMAP) == memory);
    say("rounded=%d", shmat(id, (char *)0x2000000064, SHM_RND) == (char *)0x2000000000);
    SHOW("remap-nowhere", (long)shmat(id, 0, SHM_REMAP));
    SHOW("missing", (long)shmat(id + 1, 0, 0));
    struct shmid_ds info;
    shmctl(id, IPC_STAT, &info);
    say("size=%zu attached=%d cpid=%d lpid=%d", info.shm_segsz, (int)info.shm_nattch, info.shm_cpid == getpid(), info.shm_lpid == getpid());
    SHOW("detach-middle", shmdt(memory + 4096));
    SHOW("detach", shmdt(memory));
    shmctl(id, IPC_STAT, &info);
    say("attached=%d", (int)info.shm_nattch);
    shmctl(id, IPC_RMID, 0);
}

static int attached(int id) {
    struct shmid_ds info;
    return shmctl(id, IPC_STAT, &info) < 0 ? -errno : (int)info.shm_nattch;
}

CHECK(shm_counts_and_removal) {
    int id = shmget(50, 8192, IPC_CREAT | 0600);
    char *memory = shmat(id, 0, 0);
    say("one=%d", attached(id));
    RUN({ say("forked=%d", attached(id)); munmap(memory + 4096, 4096); say("cut=%d", attached(id)); mprotect(memory, 4096, PROT_READ); say("protected=%d", attached(id)); });
    say("after=%d", attached(id));
    munmap(memory, 4096);
    say("cut=%d", attached(id));
    strcpy(memory + 4096, "kept");
    SHOW("remove", shmctl(id, IPC_RMID, 0));
    struct shmid_ds info;
    shmctl(id, IPC_STAT, &info);
    say("mode=%o key=%d", info.shm_perm.mode, info.shm_perm.__key);
    char *again = shmat(id, 0, 0);
    show_text("again", again + 4096);
    SHOW("new-with-the-key", shmget(50, 4096, IPC_CREAT | IPC_EXCL | 0600) == id);
    SHOW("detach-rest", shmdt(memory));
    say("left=%d", attached(id));
    SHOW("detach", shmdt(again));
    say("gone=%d", attached(id) == -EINVAL);
    SHOW("nothing", shmget(IPC_PRIVATE, 0, 0600));
}

CHECK(msg_types) {
    int id = msgget(IPC_PRIVATE, 0600);
    post(id, 3, "three", 0), post(id, 1, "one", 0), post(id, 2, "two", 0), post(id, 1, "uno", 0);
    take("copy", id, 2, MSG_COPY | IPC_NOWAIT);
    take("copy-none", id, 9, MSG_COPY | IPC_NOWAIT);
    take("copy-waits", id, 0, MSG_COPY);
    take("at-most", id, -2, 0);
    take("at-most", id, -2, 0);
    take("except", id, 3, MSG_EXCEPT);
    take("type", id, 7, IPC_NOWAIT);
    struct message message = {0};
    SHOW("small", msgrcv(id, &message, 2, 0, 0));
    SHOW("cut", msgrcv(id, &message, 2, 0, MSG_NOERROR));
    say("text=%.2s", message.text);
    SHOW("type-0", post(id, 0, "x", 0));
    SHOW("large", msgsnd(id, &message, 8193, 0));
    SHOW("size", msgrcv(id, &message, -1, 0, 0));
    SHOW("pointer", msgsnd(id, (void *)8, 4, 0));
    msgctl(id, IPC_RMID, 0);
}

CHECK(msg_waiting_for_a_type_and_for_room) {
    int id = msgget(IPC_PRIVATE, 0600);
    pid_t five = START({ take("five", id, 5, 0); shared->numbers[0] = ++shared->numbers[9]; });
    await_sleep(five);
    pid_t any = START({ take("any", id, 0, 0); shared->numbers[1] = ++shared->numbers[9]; });
    await_sleep(any);
    post(id, 4, "four", 0);
    wait_for(any);
    post(id, 5, "five", 0);
    wait_for(five);
    struct msqid_ds info;
    msgctl(id, IPC_STAT, &info);
    say("bytes=%lu count=%lu most=%lu lspid=%d", info.__msg_cbytes, info.msg_qnum, info.msg_qbytes, info.msg_lspid == getpid());
    info.msg_qbytes = 10;
    SHOW("set", msgctl(id, IPC_SET, &info));
    SHOW("send", post(id, 1, "12345678", IPC_NOWAIT));
    SHOW("full", post(id, 1, "12", IPC_NOWAIT));
    pid_t sender = START({ SHOW("sent", post(id, 1, "12", 0)); });
    await_sleep(sender);
    take("room", id, 0, 0);
    wait_for(sender);
    take("next", id, 0, IPC_NOWAIT);
    SHOW("raise", (info.msg_qbytes = 20000, msgctl(id, IPC_SET, &info)));
    RUN({ prctl(PR_CAPBSET_DROP, 0); become(1000); SHOW("other", msgctl(id, IPC_SET, &info)); });
    pid_t removed = START({ take("removed", id, 0, 0); });
    await_sleep(removed);
    msgctl(id, IPC_RMID, 0);
    wait_for(removed);
}

CHECK(proc_sysvipc_texts) {
    MUST(unshare(CLONE_NEWIPC));
    char text[1024], *line;
    OK("shm", shmget(7, 5000, IPC_CREAT | 0640));
    OK("sem", semget(8, 3, IPC_CREAT | 0600));
    int queue = msgget(9, IPC_CREAT | 0666);
    post(queue, 1, "hello", 0);
    get("/proc/sysvipc/msg", text, sizeof text);
    line = strchr(text, '\n') + 1;
    say("head=%d", !strncmp(text, "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime\n", 120));
    say("[%.52s]", line);
    get("/proc/sysvipc/sem", text, sizeof text);
    line = strchr(text, '\n') + 1;
    say("head=%d", !strncmp(text, "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n", line - text));
    say("[%.62s]", line);
    get("/proc/sysvipc/shm", text, sizeof text);
    line = strchr(text, '\n') + 1;
    say("head=%d", !strncmp(text, "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid ", 90));
    say("[%.51s]", line);
    static const char *const controls[] = {"kernel/shmmni", "kernel/shmmax", "kernel/sem", "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "fs/mqueue/msg_max", "fs/mqueue/queues_max"};
    for (int i = 0; i < 8; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/sys/%s", controls[i]);
        show_file(strrchr(path, '/') + 1, path);
    }
    SHOW("limit", put("/proc/sys/kernel/msgmax", "3"));
    SHOW("send", post(queue, 1, "hello", 0));
    RUN({ MUST(unshare(CLONE_NEWIPC)); show_file("other", "/proc/sys/kernel/msgmax"); });
}

CHECK(mq_order_attributes_and_flags) {
    struct mq_attr attributes = {.mq_maxmsg = 3, .mq_msgsize = 8}, now;
    mqd_t queue = mq_open("/order", O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0640, &attributes);
    OK("open", queue);
    SHOW("excl", mq_open("/order", O_RDWR | O_CREAT | O_EXCL, 0640, &attributes));
    SHOW("flags", mq_open("/order", 3));
    mq_send(queue, "a", 2, 1), mq_send(queue, "b", 2, 5), mq_send(queue, "c", 2, 5);
    char text[16] = "";
    unsigned priority;
    SHOW("short", mq_receive(queue, text, 7, &priority));
    for (int i = 0; i < 4; i++) {
        long size = mq_receive(queue, text, sizeof text, &priority);
        if (size < 0) show("empty", size);
        else say("%s:%u", text, priority);
    }
    SHOW("long", mq_send(queue, "123456789", 9, 0));
    SHOW("priority", mq_send(queue, "x", 1, 32768));
    mq_getattr(queue, &now);
    say("flags=%lo most=%ld size=%ld now=%ld", now.mq_flags, now.mq_maxmsg, now.mq_msgsize, now.mq_curmsgs);
    now.mq_flags = 0;
    SHOW("setattr", mq_setattr(queue, &now, 0));
    SHOW("wrong-flag", (now.mq_flags = O_APPEND, mq_setattr(queue, &now, 0)));
    struct timespec past = {1, 0}, wrong = {1, -1};
    SHOW("timeout", mq_timedreceive(queue, text, sizeof text, 0, &past));
    SHOW("wrong-time", mq_timedreceive(queue, text, sizeof text, 0, &wrong));
    mqd_t reader = mq_open("/order", O_RDONLY);
    SHOW("send-to-reader", mq_send(reader, "x", 1, 0));
    SHOW("no-queue", mq_send(0, "x", 1, 0));
    SHOW("slash", syscall(SYS_mq_open, "a/b", O_RDWR | O_CREAT, 0600, 0));
    SHOW("nothing", syscall(SYS_mq_open, "", O_RDWR | O_CREAT, 0600, 0));
    SHOW("unlink", mq_unlink("/order"));
    SHOW("still", mq_send(queue, "x", 1, 0));
    SHOW("gone", mq_open("/order", O_RDONLY));
}

CHECK(mq_waiting_and_polling) {
    struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 8};
    mqd_t queue = mq_open("/wait", O_RDWR | O_CREAT, 0600, &attributes);
    char text[8] = "";
    struct pollfd poller = {queue, POLLIN | POLLOUT, 0};
    poll(&poller, 1, 0);
    say("poll=%x", poller.revents);
    pid_t receiver = START({ long size = mq_receive(queue, text, 8, 0); say("received=%ld:%s", size, text); });
    await_sleep(receiver);
    mq_send(queue, "one", 4, 0);
    wait_for(receiver);
    mq_send(queue, "two", 4, 0);
    poll(&poller, 1, 0);
    say("poll=%x", poller.revents);
    pid_t sender = START({ SHOW("sent", mq_send(queue, "three", 6, 0)); });
    await_sleep(sender);
    mq_receive(queue, text, 8, 0);
    wait_for(sender);
    mq_receive(queue, text, 8, 0);
    show_text("last", text);
    mq_unlink("/wait");
}

static volatile int noticed, notice_code, notice_value;
static void notice(int number, siginfo_t *info, void *context) { (void)number, (void)context, noticed++, notice_code = info->si_code, notice_value = info->si_int; }

CHECK(mq_notification) {
    mqd_t queue = mq_open("/notify", O_RDWR | O_CREAT | O_NONBLOCK, 0600, 0);
    struct sigaction action = {.sa_sigaction = notice, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, 0);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42};
    SHOW("ask", mq_notify(queue, &event));
    SHOW("twice", mq_notify(queue, &event));
    RUN({ SHOW("other", mq_notify(queue, &event)); SHOW("other-forgets", mq_notify(queue, 0)); });
    RUN({ mq_send(queue, "x", 1, 0); });
    say("noticed=%d code=%d value=%d", noticed, notice_code, notice_value);
    mq_send(queue, "y", 1, 0);
    say("once=%d", noticed);
    SHOW("ask", mq_notify(queue, &event));
    mq_send(queue, "z", 1, 0);
    say("not-empty=%d", noticed);
    SHOW("forget", mq_notify(queue, 0));
    SHOW("ask", mq_notify(queue, &event));
    mqd_t same = mq_open("/notify", O_RDWR);
    mq_close(same);
    RUN({ SHOW("closed-forgets", mq_notify(queue, &event)); });
    mq_unlink("/notify");
}

CHECK(mq_limits_of_users) {
    struct mq_attr many = {.mq_maxmsg = 11, .mq_msgsize = 8}, large = {.mq_maxmsg = 1, .mq_msgsize = 8193}, costly = {.mq_maxmsg = 10, .mq_msgsize = 8192};
    RUN({
        become(1000);
        SHOW("many", mq_open("/m", O_RDWR | O_CREAT, 0600, &many));
        SHOW("large", mq_open("/l", O_RDWR | O_CREAT, 0600, &large));
        int opened = 0;
        char name[16];
        for (; opened < 20 && (snprintf(name, sizeof name, "/c%d", opened), mq_open(name, O_RDWR | O_CREAT, 0600, &costly)) >= 0; opened++) {}
        say("opened=%d", opened);
        SHOW("then", mq_open("/x", O_RDWR | O_CREAT, 0600, &costly));
        OK("unlink", mq_unlink("/c0"));
        SHOW("still-open", mq_open("/x", O_RDWR | O_CREAT, 0600, &costly));
        SHOW("root-only", (long)mq_open("/r", O_RDWR));
    });
    OK("root", mq_open("/m", O_RDWR | O_CREAT, 0600, &many));
    RUN({ become(1001); SHOW("others", mq_open("/m", O_RDWR)); SHOW("unlink", mq_unlink("/m")); });
}

CHECK(mq_file_system) {
    MUST(unshare(CLONE_NEWIPC));
    mkdir("/tmp/mq", 0755);
    SHOW("mount", mount("mqueue", "/tmp/mq", "mqueue", 0, 0));
    mqd_t queue = mq_open("/shown", O_RDWR | O_CREAT, 0644, 0);
    mq_send(queue, "hello", 5, 0);
    show_file("text", "/tmp/mq/shown");
    struct stat info;
    stat("/tmp/mq/shown", &info);
    say("mode=%o", info.st_mode);
    OK("create", open("/tmp/mq/made", O_CREAT | O_RDWR, 0600));
    OK("made", mq_open("/made", O_RDWR));
    SHOW("folder", mkdir("/tmp/mq/folder", 0700));
    SHOW("unlink", unlink("/tmp/mq/shown"));
    SHOW("gone", mq_open("/shown", O_RDWR));
    mkdir("/tmp/mq2", 0755);
    SHOW("again", mount("mqueue", "/tmp/mq2", "mqueue", 0, 0));
    SHOW("same", access("/tmp/mq2/made", F_OK));
    RUN({ MUST(unshare(CLONE_NEWIPC | CLONE_NEWNS)); SHOW("still", access("/tmp/mq/made", F_OK)); SHOW("other", mount("mqueue", "/tmp/mq2", "mqueue", 0, 0)); SHOW("empty", access("/tmp/mq2/made", F_OK)); });
    umount("/tmp/mq2"), umount("/tmp/mq");
}
