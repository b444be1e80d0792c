// Pid namespaces: their init, their lifetimes, what is seen from where.
#include "check.h"

#include <linux/reboot.h>
#include <sys/reboot.h>

static volatile sig_atomic_t seen_signal, seen_pid, seen_uid, seen_code;
static void note(int number, siginfo_t *info, void *context) {
    (void)context;
    seen_signal = number, seen_pid = info->si_pid, seen_uid = info->si_uid, seen_code = info->si_code;
}
static void handle(int number) {
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    MUST(sigaction(number, &action, 0));
}
static void await_signal(void) {
    while (!seen_signal) nap(1);
}

CHECK(pid_01_init_ignores_sigterm_from_inside) {
    int status = RUN_WITH(CLONE_NEWPID, {
        RUN({ SHOW("TERM", kill(1, SIGTERM)); SHOW("KILL", kill(1, SIGKILL)); SHOW("STOP", kill(1, SIGSTOP)); SHOW("SEGV", kill(1, SIGSEGV)); });
        nap(5);
        say("pid=%d", getpid());
        _exit(7);
    });
    show_status("init", status);
}

CHECK(pid_01_init_ignores_its_own_raise) {
    show_status("init", RUN_WITH(CLONE_NEWPID, { SHOW("raise", kill(getpid(), SIGKILL)); _exit(3); }));
}

CHECK(pid_01_init_with_a_handler_is_signalled_from_inside) {
    int status = RUN_WITH(CLONE_NEWPID, {
        handle(SIGTERM);
        RUN({ SHOW("kill", kill(1, SIGTERM)); });
        await_signal();
        say("signal=%s si_pid=%d si_code=%d", signal_name(seen_signal), seen_pid, seen_code);
    });
    show_status("init", status);
}

CHECK(pid_01_abort_kills_init) {
    // A fault of its own is not a signal that somebody sent
    show_status("init", RUN_WITH(CLONE_NEWPID, { *(volatile int *)8 = 1; _exit(0); }));
}

CHECK(pid_02_parent_namespace_kills_init) {
    pid_t pid = START_WITH(CLONE_NEWPID, { set_flag(0); pause(); });
    await_flag(0);
    SHOW("kill", kill(pid, SIGKILL));
    show_status("init", wait_for(pid));
}

CHECK(pid_02_parent_namespace_sends_si_pid_0) {
    pid_t pid = START_WITH(CLONE_NEWPID, {
        handle(SIGUSR1);
        set_flag(0);
        await_signal();
        say("si_pid=%d si_uid=%d si_code=%d", seen_pid, seen_uid, seen_code);
    });
    await_flag(0);
    SHOW("kill", kill(pid, SIGUSR1));
    show_status("init", wait_for(pid));
}

CHECK(pid_02_parent_namespace_sigterm_is_ignored_sigstop_is_not) {
    pid_t pid = START_WITH(CLONE_NEWPID, { set_flag(0); await_flag(1); _exit(4); });
    int status = 0;
    await_flag(0);
    SHOW("TERM", kill(pid, SIGTERM));
    SHOW("STOP", kill(pid, SIGSTOP));
    SHOW("wait", waitpid(pid, &status, WUNTRACED) == pid);
    show_status("init", status);
    kill(pid, SIGCONT);
    set_flag(1);
    show_status("end", wait_for(pid));
}

CHECK(pid_03_exit_of_init_kills_the_namespace) {
    int ends[2];
    char byte;
    MUST(pipe(ends));
    pid_t pid = START_WITH(CLONE_NEWPID, {
        close(ends[0]);
        for (int i = 0; i < 3; i++) START({ START(pause()); pause(); });
        nap(5);
        _exit(9);
    });
    close(ends[1]);
    show_status("init", wait_for(pid));
    SHOW("read", read(ends[0], &byte, 1)); // every writer has ended when wait4 returns
}

CHECK(pid_03_fork_into_a_dead_namespace) {
    MUST(unshare(CLONE_NEWPID));
    show_status("first", RUN(_exit(1)));
    OK("fork", START(_exit(0)));
    OK("again", START(_exit(0)));
}

CHECK(pid_03_setns_into_a_dead_namespace) {
    pid_t pid = START_WITH(CLONE_NEWPID, { set_flag(0); pause(); });
    await_flag(0);
    int fd = ns_open(pid, "pid");
    kill(pid, SIGKILL);
    wait_for(pid);
    OK("setns", setns(fd, CLONE_NEWPID));
    OK("fork", START(_exit(0)));
}

CHECK(pid_04_unshare_leaves_the_caller) {
    pid_t before = getpid();
    SHOW("unshare", unshare(CLONE_NEWPID));
    say("same=%d", getpid() == before);
    RUN({ say("first=%d ppid=%d", getpid(), getppid()); RUN({ say("second=%d ppid=%d", getpid(), getppid()); }); });
}

CHECK(pid_04_second_unshare) {
    SHOW("unshare", unshare(CLONE_NEWPID));
    SHOW("again", unshare(CLONE_NEWPID));
}

CHECK(pid_04_second_unshare_after_a_child) {
    SHOW("unshare", unshare(CLONE_NEWPID));
    pid_t child = START({ set_flag(0); pause(); });
    await_flag(0);
    SHOW("again", unshare(CLONE_NEWPID));
    kill(child, SIGKILL);
}

static void *nothing(void *argument) { return argument; }
CHECK(pid_04_thread_after_unshare) {
    pthread_t thread;
    MUST(unshare(CLONE_NEWPID));
    int error = pthread_create(&thread, 0, nothing, 0);
    say("pthread_create=%s", error ? strerrorname_np(error) : "ok");
}

CHECK(pid_04_clone_flags_that_exclude_each_other) {
    SHOW("thread", syscall(SYS_clone, CLONE_NEWPID | CLONE_VM | CLONE_SIGHAND | CLONE_THREAD, 0, 0, 0, 0));
    SHOW("sighand", syscall(SYS_clone, CLONE_SIGHAND | SIGCHLD, 0, 0, 0, 0));
    SHOW("both", syscall(SYS_clone, CLONE_NEWNS | CLONE_FS | SIGCHLD, 0, 0, 0, 0));
}

CHECK(pid_05_setns_to_an_ancestor) {
    int fd = ns_open(0, "pid");
    RUN_WITH(CLONE_NEWPID, { SHOW("setns", setns(fd, CLONE_NEWPID)); });
}

CHECK(pid_05_setns_to_a_descendant_moves_children) {
    pid_t pid = START_WITH(CLONE_NEWPID, { set_flag(0); pause(); });
    await_flag(0);
    pid_t before = getpid();
    SHOW("setns", setns(ns_open(pid, "pid"), CLONE_NEWPID));
    say("same=%d", getpid() == before);
    RUN({ say("child=%d ppid=%d", getpid(), getppid()); });
    kill(pid, SIGKILL);
}

CHECK(pid_05_setns_back_to_the_own_namespace) {
    int own = ns_open(0, "pid");
    MUST(unshare(CLONE_NEWPID));
    SHOW("setns", setns(own, CLONE_NEWPID));
    RUN({ say("child-is-1=%d ppid-is-0=%d", getpid() == 1, getppid() == 0); });
}

CHECK(pid_05_setns_by_pidfd) {
    pid_t pid = START_WITH(CLONE_NEWPID | CLONE_NEWUTS, { sethostname("inner", 5); set_flag(0); pause(); });
    await_flag(0);
    int fd;
    OK("pidfd_open", fd = syscall(SYS_pidfd_open, pid, 0));
    SHOW("none", setns(fd, 0));
    SHOW("setns", setns(fd, CLONE_NEWPID | CLONE_NEWUTS));
    struct utsname name;
    uname(&name);
    say("name=%s", name.nodename);
    RUN({ say("child=%d", getpid()); });
    kill(pid, SIGKILL);
}

CHECK(pid_06_orphans_go_to_init) {
    RUN_WITH(CLONE_NEWPID, {
        RUN({ START({ await_flag(0); nap(5); say("ppid=%d", getppid()); set_flag(1); _exit(5); }); });
        set_flag(0);
        await_flag(1);
        int status = 0;
        say("reaped=%d", wait(&status));
        show_status("orphan", status);
    });
}

CHECK(pid_06_orphans_go_to_the_subreaper) {
    RUN_WITH(CLONE_NEWPID, {
        RUN({
            SHOW("prctl", prctl(PR_SET_CHILD_SUBREAPER, 1));
            int set = 0;
            prctl(PR_GET_CHILD_SUBREAPER, &set);
            say("set=%d", set);
            RUN({ START({ nap(20); say("ppid=%d", getppid()); }); });
            say("reaped=%d", wait(0));
            RUN({ prctl(PR_GET_CHILD_SUBREAPER, &set); say("inherited=%d", set); });
        });
    });
}

CHECK(pid_06_subreaper_outside_the_namespace_does_not_count) {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    RUN_WITH(CLONE_NEWPID, {
        RUN({ START({ nap(20); say("ppid=%d", getppid()); }); });
        say("reaped=%d", wait(0));
    });
}

CHECK(pid_07_proc_shows_the_mounters_namespace) {
    own_mounts();
    mkdir("p", 0755);
    RUN_WITH(CLONE_NEWPID, {
        char link[32] = "";
        SHOW("mount", mount("proc", "p", "proc", 0, 0));
        readlink("p/self", link, sizeof link - 1);
        say("inner=%s", link);
        memset(link, 0, sizeof link);
        readlink("/proc/self", link, sizeof link - 1);
        say("outer-is-1=%d", strcmp(link, "1") == 0);
        SHOW("stranger", access("p/50", F_OK));
    });
}

CHECK(pid_07_proc_of_a_namespace_seen_from_outside) {
    own_mounts();
    mkdir("p", 0755);
    pid_t pid = START_WITH(CLONE_NEWPID, { mount("proc", "p", "proc", 0, 0); set_flag(0); pause(); });
    await_flag(0);
    char link[32];
    SHOW("self", readlink("p/self", link, sizeof link));
    SHOW("one", access("p/1/stat", F_OK));
    kill(pid, SIGKILL);
    wait_for(pid);
    SHOW("dead", access("p/1/stat", F_OK));
}

CHECK(pid_07_nspid_lists_every_level) {
    own_mounts();
    RUN_WITH(CLONE_NEWPID, {
        mount("proc", "/proc", "proc", 0, 0);
        pid_t pid = START_WITH(CLONE_NEWPID, { set_flag(0); pause(); });
        await_flag(0);
        char path[64], text[4096];
        snprintf(path, sizeof path, "/proc/%d/status", pid);
        get(path, text, sizeof text);
        char *line = strstr(text, "NSpid:");
        if (line) line[strcspn(line, "\n")] = 0;
        show_text("status", line ? line : "none");
        kill(pid, SIGKILL);
        wait_for(pid);
    });
}

static void send_credentials(int socket, pid_t pid) {
    char data = 'c', control[CMSG_SPACE(sizeof(struct ucred))] = "";
    struct ucred own = {pid, getuid(), getgid()};
    struct iovec vector = {&data, 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof own), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS};
    memcpy(CMSG_DATA(head), &own, sizeof own);
    SHOW("send", sendmsg(socket, &message, 0));
}
static long receive_pid(int socket) {
    char data, control[CMSG_SPACE(sizeof(struct ucred))] = "";
    struct ucred other = {-1, -1, -1};
    struct iovec vector = {&data, 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    must("recvmsg", recvmsg(socket, &message, 0));
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (head && head->cmsg_type == SCM_CREDENTIALS) memcpy(&other, CMSG_DATA(head), sizeof other);
    return other.pid;
}

CHECK(pid_08_credentials_are_translated_inwards) {
    int ends[2], one = 1;
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
    MUST(setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one));
    pid_t pid = START_WITH(CLONE_NEWPID, { await_flag(0); say("pid=%ld", receive_pid(ends[1])); });
    send_credentials(ends[0], getpid());
    set_flag(0);
    wait_for(pid);
}

CHECK(pid_08_credentials_are_translated_outwards) {
    int ends[2], one = 1;
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
    MUST(setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one));
    pid_t pid = START_WITH(CLONE_NEWPID, { send_credentials(ends[0], 1); set_flag(0); pause(); });
    await_flag(0);
    say("translated=%d", receive_pid(ends[1]) == pid);
    kill(pid, SIGKILL);
}

CHECK(pid_08_peer_credentials_of_a_stranger) {
    int ends[2];
    struct ucred peer;
    socklen_t size = sizeof peer;
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    RUN_WITH(CLONE_NEWPID, {
        SHOW("getsockopt", getsockopt(ends[1], SOL_SOCKET, SO_PEERCRED, &peer, &size));
        say("pid=%d uid=%d", peer.pid, peer.uid);
    });
}

CHECK(pid_08_kill_all_stays_inside) {
    pid_t outside = START({ pause(); });
    RUN_WITH(CLONE_NEWPID, {
        pid_t a = START(pause()), b = START(pause());
        SHOW("kill", kill(-1, SIGKILL));
        show_status("a", wait_for(a));
        show_status("b", wait_for(b));
        SHOW("none", kill(-1, SIGKILL));
    });
    SHOW("outside", kill(outside, 0));
    kill(outside, SIGKILL);
}

CHECK(pid_08_pids_of_the_parent_cannot_be_signalled) {
    pid_t own = getpid();
    RUN_WITH(CLONE_NEWPID, { SHOW("kill", kill(own == 1 ? 2 : own, 0)); SHOW("getpgid", getpgid(own)); SHOW("pgrp", getpgrp()); SHOW("sid", getsid(0)); });
}

CHECK(pid_09_reboot_inside_is_sighup) { show_status("init", RUN_WITH(CLONE_NEWPID, { SHOW("reboot", reboot(RB_AUTOBOOT)); })); }
CHECK(pid_09_power_off_inside_is_sigint) { show_status("init", RUN_WITH(CLONE_NEWPID, { SHOW("reboot", reboot(RB_POWER_OFF)); })); }
CHECK(pid_09_halt_inside_by_a_child) {
    show_status("init", RUN_WITH(CLONE_NEWPID, { RUN({ SHOW("reboot", reboot(RB_HALT_SYSTEM)); }); nap(1000); }));
}
CHECK(pid_09_other_reboot_commands_are_refused) {
    RUN_WITH(CLONE_NEWPID, {
        SHOW("cad", reboot(RB_DISABLE_CAD));
        SHOW("magic", syscall(SYS_reboot, 1, 2, RB_AUTOBOOT, 0));
        become(1000);
        SHOW("user", reboot(RB_AUTOBOOT));
    });
}

static int nest(unsigned long flag) {
    int status = 0;
    pid_t pid = clone_child(flag);
    if (pid < 0) {
        say("%s", strerrorname_np(errno));
        return 0;
    }
    if (pid == 0) _exit(nest(flag));
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status) + 1;
}
CHECK(pid_10_nested_32_deep) {
    int levels = nest(CLONE_NEWPID);
    say("levels=%d", levels);
}
CHECK(pid_10_user_namespaces_nested_33_deep) {
    int levels = 0;
    for (; levels < 40 && unshare(CLONE_NEWUSER) == 0; levels++) {
        must("uid_map", put("/proc/self/uid_map", "0 0 1"));
        must("setgroups", put("/proc/self/setgroups", "deny"));
        must("gid_map", put("/proc/self/gid_map", "0 0 1"));
    }
    say("levels=%d %s", levels, strerrorname_np(errno));
}

CHECK(pid_pidfd_signals_and_polls) {
    pid_t pid = START({ pause(); });
    int fd = syscall(SYS_pidfd_open, pid, 0);
    struct pollfd poller = {fd, POLLIN, 0};
    SHOW("alive", poll(&poller, 1, 0));
    SHOW("null", syscall(SYS_pidfd_send_signal, fd, 0, 0, 0));
    SHOW("kill", syscall(SYS_pidfd_send_signal, fd, SIGTERM, 0, 0));
    SHOW("poll", poll(&poller, 1, 1000));
    siginfo_t info;
    SHOW("waitid", waitid(P_PIDFD, fd, &info, WEXITED));
    say("code=%d status=%d", info.si_code, info.si_status);
    SHOW("gone", syscall(SYS_pidfd_send_signal, fd, 0, 0, 0));
    SHOW("bad", syscall(SYS_pidfd_open, 4999, 0));
    SHOW("flags", syscall(SYS_pidfd_open, 1, 1 << 20));
    SHOW("zero", syscall(SYS_pidfd_open, 0, 0));
}

CHECK(pid_clone3_set_tid) {
    RUN_WITH(CLONE_NEWPID, {
        pid_t wanted = 77;
        struct { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup; } arguments = {0};
        arguments.exit_signal = SIGCHLD, arguments.set_tid = (uint64_t)&wanted, arguments.set_tid_size = 1;
        long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
        if (pid == 0) _exit(0);
        SHOW("clone3", pid);
        pid_t next = START(_exit(0));
        say("next=%d", next);
        wanted = 1;
        SHOW("taken", syscall(SYS_clone3, &arguments, sizeof arguments));
        SHOW("size", syscall(SYS_clone3, &arguments, 8));
    });
}

CHECK(pid_ns_last_pid) {
    own_mounts();
    RUN_WITH(CLONE_NEWPID, {
        mount("proc", "/proc", "proc", 0, 0);
        SHOW("write", put("/proc/sys/kernel/ns_last_pid", "500"));
        pid_t next = START(_exit(0));
        say("next=%d", next);
    });
}
