// Processes: exec, waiting, limits, times, and what /proc and other texts say of them.
#include "check.h"

#include <sys/auxv.h>
#include <sys/sysinfo.h>
#include <sys/times.h>

CHECK(process_wait_kinds) {
    int status = 0;
    SHOW("none", wait(&status));
    pid_t a = START(_exit(1)), b = START({ setpgid(0, 0); set_flag(0); pause(); });
    await_flag(0);
    SHOW("by-pid", waitpid(a, &status, 0) == a);
    SHOW("not-yet", waitpid(b, &status, WNOHANG));
    SHOW("own-group", waitpid(0, &status, WNOHANG));
    SHOW("its-group", waitpid(-b, &status, WNOHANG));
    SHOW("stranger", waitpid(1, &status, 0));
    SHOW("options", waitpid(b, &status, 0x100));
    SHOW("pointer", (kill(b, SIGKILL), await_flag(0), nap(5), syscall(SYS_wait4, b, 8, 0, 0)));
    SHOW("reaped-anyway", waitpid(b, &status, 0) == b ? 0 : -1);
}

CHECK(process_waitid) {
    siginfo_t info;
    pid_t pid = START(_exit(300));
    memset(&info, 0, sizeof info);
    SHOW("nowait", waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
    say("pid=%d code=%d status=%d signo=%d", info.si_pid == pid, info.si_code, info.si_status, info.si_signo);
    SHOW("again", waitid(P_ALL, 0, &info, WEXITED));
    SHOW("none", waitid(P_ALL, 0, &info, WEXITED));
    pid = START(pause());
    info.si_pid = 7;
    SHOW("nohang", waitid(P_PID, pid, &info, WEXITED | WNOHANG));
    say("pid=%d", info.si_pid);
    SHOW("no-options", waitid(P_PID, pid, &info, 0));
    SHOW("type", waitid(99, pid, &info, WEXITED));
    kill(pid, SIGSTOP);
    SHOW("stopped", waitid(P_PID, pid, &info, WSTOPPED));
    say("code=%d status=%d", info.si_code, info.si_status);
    kill(pid, SIGKILL);
    SHOW("killed", waitid(P_PID, pid, &info, WEXITED));
    say("code=%d status=%d", info.si_code, info.si_status);
}

CHECK(process_zombies) {
    pid_t pid = START(_exit(1));
    while (state_of(pid) != 'Z') nap(1);
    char path[64], text[64], link[64];
    snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    SHOW("cmdline", get(path, text, sizeof text));
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    SHOW("exe", readlink(path, link, sizeof link));
    SHOW("kill", kill(pid, SIGKILL));
    show_status("end", wait_for(pid));
    SHOW("gone", kill(pid, 0));
}

CHECK(process_exec_errors) {
    own_mounts();
    touch("text", "no program"), chmod("text", 0755);
    touch("plain", "x");
    touch("script", "#!/nowhere/interpreter\n"), chmod("script", 0755);
    touch("empty", ""), chmod("empty", 0755);
    mkdir("d", 0755);
    char *arguments[] = {"x", 0};
    SHOW("missing", execve("none", arguments, environ));
    SHOW("folder", execve("d", arguments, environ));
    SHOW("no-permission", execve("plain", arguments, environ));
    SHOW("text", execve("text", arguments, environ));
    SHOW("empty", execve("empty", arguments, environ));
    SHOW("no-interpreter", execve("script", arguments, environ));
    SHOW("pointer", execve((char *)8, arguments, environ));
    SHOW("arguments", execve("/proc/self/exe", (char **)8, environ));
    SHOW("below-file", execve("text/x", arguments, environ));
    static char large[200000];
    memset(large, 'x', sizeof large - 1);
    SHOW("long-argument", execve("/proc/self/exe", (char *[]){"x", large, 0}, environ));
    int fd = open("plain", O_WRONLY);
    chmod("plain", 0755);
    SHOW("busy", execve("plain", arguments, environ));
    close(fd);
}

CHECK(process_running_program_is_busy) {
    OPENS("write", open("/proc/self/exe", O_WRONLY));
    char link[256] = "";
    SHOW("readlink", readlink("/proc/self/exe", link, sizeof link - 1) > 0 ? 0 : -1);
    SHOW("truncate", truncate(link, 0));
}

CHECK(process_scripts) {
    own_mounts();
    // The interpreter is this program: `--list` prints names, anything else is an error with exit code 1
    char line[128], link[64] = "";
    readlink("/proc/self/exe", link, sizeof link - 1);
    snprintf(line, sizeof line, "#! %s   --list \nrest", link);
    touch("script", line), chmod("script", 0755);
    touch("second", "#!/tmp/script\n"), chmod("second", 0755);
    show_status("script", RUN({ dup2(open("/dev/null", O_WRONLY), 1); dup2(1, 2); execl("./script", "x", (char *)0); say("%s", strerrorname_np(errno)); }));
    show_status("nested", RUN({ dup2(open("/dev/null", O_WRONLY), 1); dup2(1, 2); execl("./second", "x", (char *)0); say("%s", strerrorname_np(errno)); }));
    char name[8] = "s0", before[24] = "#!/tmp/second";
    for (int i = 0; i < 6; i++) {
        name[1] = '0' + i;
        touch(name, before), chmod(name, 0755);
        snprintf(before, sizeof before, "#!/tmp/%s\n", name);
    }
    SHOW("deep", execl("s5", "x", (char *)0));
}

CHECK(process_groups_and_sessions) {
    SHOW("leader", setsid() == getpid() ? 0 : -1);
    SHOW("again", setsid());
    pid_t child = START({ set_flag(0); await_flag(1); });
    await_flag(0);
    say("inherits=%d", getpgid(child) == getpgrp() && getsid(child) == getsid(0));
    SHOW("own-group", setpgid(child, child));
    say("moved=%d", getpgid(child) == child);
    SHOW("missing-group", setpgid(child, 4999));
    SHOW("negative", setpgid(child, -1));
    SHOW("stranger", setpgid(1, 1));
    SHOW("leader", setpgid(0, 0));
    SHOW("missing", getpgid(4999));
    set_flag(1);
    wait_for(child);
    pid_t other = START({ setsid(); set_flag(3); pause(); });
    await_flag(3);
    SHOW("other-session", setpgid(other, getpgrp()));
    kill(other, SIGKILL);
}

CHECK(process_limits) {
    struct rlimit limit = {10, 20}, old;
    SHOW("set", setrlimit(RLIMIT_NOFILE, &limit));
    getrlimit(RLIMIT_NOFILE, &old);
    say("%ld/%ld", (long)old.rlim_cur, (long)old.rlim_max);
    limit.rlim_cur = 30;
    SHOW("above", setrlimit(RLIMIT_NOFILE, &limit));
    SHOW("kind", setrlimit(99, &limit));
    RUN({ getrlimit(RLIMIT_NOFILE, &old); say("inherited=%ld", (long)old.rlim_cur); });
    RUN({
        become(1000);
        limit = (struct rlimit){10, 21};
        SHOW("user-raise", setrlimit(RLIMIT_NOFILE, &limit));
        limit = (struct rlimit){5, 15};
        SHOW("lower", setrlimit(RLIMIT_NOFILE, &limit));
    });
    pid_t pid = START(pause());
    limit = (struct rlimit){7, 7};
    SHOW("prlimit", prlimit(pid, RLIMIT_CORE, &limit, &old));
    prlimit(pid, RLIMIT_CORE, 0, &old);
    say("%ld", (long)old.rlim_cur);
    limit = (struct rlimit){2000000000, 2000000000};
    SHOW("nr_open", setrlimit(RLIMIT_NOFILE, &limit));
    kill(pid, SIGKILL);
}

CHECK(process_limits_text) {
    char text[4096], *line;
    struct rlimit limit = {123, 456};
    setrlimit(RLIMIT_NOFILE, &limit);
    get("/proc/self/limits", text, sizeof text);
    for (line = strtok(text, "\n"); line; line = strtok(0, "\n"))
        if (strncmp(line, "Max open", 8) == 0 || strncmp(line, "Limit", 5) == 0) show_text("", line);
}

CHECK(process_cpu_time_limit) {
    struct rlimit limit = {1, 2};
    setrlimit(RLIMIT_CPU, &limit);
    show_status("spins", RUN({ for (;;) {} }));
}

static bool used(const struct rusage *usage) { return usage->ru_utime.tv_sec + usage->ru_utime.tv_usec + usage->ru_stime.tv_sec + usage->ru_stime.tv_usec > 0; }
CHECK(process_times) {
    struct rusage own, children;
    struct tms times_now;
    RUN({ for (volatile int i = 0; i < 3000000; i++) {} });
    getrusage(RUSAGE_SELF, &own);
    SHOW("children", getrusage(RUSAGE_CHILDREN, &children));
    say("children-counted=%d", used(&children));
    say("maxrss=%d", own.ru_maxrss > 0);
    SHOW("who", getrusage(99, &own));
    OK("times", times(&times_now));
    int status;
    pid_t pid = START({ for (volatile int i = 0; i < 3000000; i++) {} });
    wait4(pid, &status, 0, &children);
    say("wait4-counted=%d", used(&children));
}

CHECK(process_clocks) {
    static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
        CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, 12};
    for (int i = 0; i < 9; i++) {
        struct timespec a, b;
        if (clock_gettime(clocks[i], &a) < 0) {
            say("%d=%s", clocks[i], strerrorname_np(errno));
            continue;
        }
        for (volatile int j = 0; j < 1000; j++) {}
        clock_gettime(clocks[i], &b);
        say("%d=%s", clocks[i], b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec) ? "on" : "back");
    }
    struct timespec resolution;
    SHOW("getres", clock_getres(CLOCK_MONOTONIC, &resolution));
    say("res=%ld", resolution.tv_nsec);
    struct timespec past = {0, 0}, wrong = {0, -1};
    say("abstime-past=%d", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &past, 0));
    say("wrong=%s", strerrorname_np(clock_nanosleep(CLOCK_MONOTONIC, 0, &wrong, 0)));
    say("thread-clock=%s", strerrorname_np(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &past, 0)));
    RUN({ become(1000); SHOW("settime", clock_settime(CLOCK_REALTIME, &past)); });
    SHOW("monotonic", clock_settime(CLOCK_MONOTONIC, &past));
}

CHECK(process_auxiliary_vector) {
    say("pagesz=%lu clktck=%lu secure=%lu", getauxval(AT_PAGESZ), getauxval(AT_CLKTCK), getauxval(AT_SECURE));
    say("uid=%lu euid=%lu gid=%lu egid=%lu", getauxval(AT_UID), getauxval(AT_EUID), getauxval(AT_GID), getauxval(AT_EGID));
    say("phent=%lu random=%d execfn=%d platform=%d", getauxval(AT_PHENT), getauxval(AT_RANDOM) != 0, getauxval(AT_EXECFN) != 0, getauxval(AT_PLATFORM) != 0);
    say("hwcap-has-imafdc=%d", (getauxval(AT_HWCAP) & 0x112d) == 0x112d);
}

CHECK(process_vfork) {
    volatile int value = 1;
    pid_t pid = vfork();
    if (pid == 0) {
        value = 2;
        _exit(0);
    }
    say("value=%d", value);
    wait_for(pid);
}

CHECK(process_fork_copies) {
    own_mounts();
    int fd = open("f", O_CREAT | O_RDWR, 0644);
    alarm(50);
    chdir("/dev");
    umask(077);
    RUN({
        char path[64];
        getcwd(path, sizeof path);
        say("cwd=%s umask=%o alarm=%d", path, umask(0), alarm(0));
        write(fd, "child", 5);
        chdir("/proc");
    });
    char path[64];
    getcwd(path, sizeof path);
    say("cwd=%s offset=%ld alarm=%d", path, (long)lseek(fd, 0, SEEK_CUR), alarm(0) > 40);
}

CHECK(proc_stat_fields) {
    char text[1024], state;
    int pid, ppid, group, session, tty, foreground;
    get("/proc/self/stat", text, sizeof text);
    char *end = strrchr(text, ')');
    sscanf(text, "%d", &pid);
    say("matched=%d", sscanf(end + 2, "%c %d %d %d %d %d", &state, &ppid, &group, &session, &tty, &foreground));
    say("pid=%d state=%c ppid=%d group=%d session=%d tty=%d foreground=%d", pid == getpid(), state, ppid == getppid(), group == getpgrp(), session == getsid(0), tty, foreground);
    int fields = 2;
    for (char *at = end + 1; *at; at++) fields += *at == ' ';
    say("fields=%d", fields);
}

CHECK(proc_status_names) {
    char text[4096], *line;
    get("/proc/self/status", text, sizeof text);
    for (line = strtok(text, "\n"); line; line = strtok(0, "\n")) {
        char *colon = strchr(line, ':');
        if (colon) *colon = 0;
        if (strncmp(line, "Vm", 2) && strncmp(line, "Rss", 3) && strncmp(line, "Huge", 4) && strncmp(line, "x86", 3) && strncmp(line, "Spec", 4) && strncmp(line, "Untag", 5)) say("%s", line);
    }
}

CHECK(proc_cmdline_comm_environ) {
    own_mounts();
    pid_t pid = START({
        dup2(open("/dev/null", O_RDWR), 1);
        execle("/proc/self/exe", "first", "--timeout", "60000", "process-cpu-time-limit", (char *)0, (char *[]){"A=1", "B=two", 0});
    });
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    for (int i = 0; i < 1000 && strncmp(text, "exe", 3); i++) nap(1), get(path, text, sizeof text);
    show_text("comm", text);
    snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    long length = 0;
    for (int i = 0; i < 1000 && length <= 0; i++) nap(1), length = get(path, text, sizeof text);
    for (long i = 0; i < length; i++) if (!text[i]) text[i] = '+';
    say("cmdline=%s", text);
    snprintf(path, sizeof path, "/proc/%d/environ", pid);
    length = get(path, text, sizeof text);
    for (long i = 0; i < length; i++) if (!text[i]) text[i] = '+';
    say("environ=%s", text);
    RUN({ become(1000); SHOW("others-environ", open(path, O_RDONLY)); });
    kill(pid, SIGKILL);
}

CHECK(proc_fd_and_cwd_and_root) {
    own_mounts();
    mkdir("jail", 0755), touch("f", "");
    int fd = open("f", O_RDONLY), ends[2], unix_socket = socket(AF_UNIX, SOCK_STREAM, 0);
    pipe(ends);
    char path[64], link[64];
    const int fds[3] = {fd, ends[0], unix_socket};
    for (int i = 0; i < 3; i++) {
        memset(link, 0, sizeof link);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fds[i]);
        readlink(path, link, sizeof link - 1);
        link[strcspn(link, "[")] = 0;
        show_text("fd", link);
    }
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    char text[256];
    get(path, text, sizeof text);
    text[strcspn(text, "m")] = 0;
    show_text("fdinfo", text);
    pid_t pid = START({ chroot("jail"); chdir("/"); set_flag(0); pause(); });
    await_flag(0);
    memset(link, 0, sizeof link);
    snprintf(path, sizeof path, "/proc/%d/root", pid);
    readlink(path, link, sizeof link - 1);
    show_text("root", link);
    snprintf(path, sizeof path, "/proc/%d/cwd/../f", pid);
    SHOW("through-cwd", access(path, F_OK)); // .. of a folder reached by a magic link is bound by the walker's root alone
    RUN({ become(1000); snprintf(path, sizeof path, "/proc/%d/root", pid); SHOW("stranger", readlink(path, link, sizeof link)); });
    kill(pid, SIGKILL);
}

CHECK(proc_maps_text) {
    FILE *file = fopen("/proc/self/maps", "r");
    char line[512], rights[8], name[128];
    bool code = false, heap = false, stack = false;
    sbrk(4096);
    while (file && fgets(line, sizeof line, file)) {
        name[0] = 0;
        if (sscanf(line, "%*s %7s %*s %*s %*s %127s", rights, name) < 1) continue;
        code |= strcmp(rights, "r-xp") == 0 && name[0] == '/';
        heap |= strcmp(name, "[heap]") == 0 && strcmp(rights, "rw-p") == 0;
        stack |= strcmp(name, "[stack]") == 0 && strcmp(rights, "rw-p") == 0;
    }
    say("code=%d heap=%d stack=%d", code, heap, stack);
}

CHECK(proc_system_files) {
    static const char *const paths[] = {"/proc/meminfo", "/proc/uptime", "/proc/loadavg", "/proc/stat", "/proc/version", "/proc/cpuinfo", "/proc/filesystems", "/proc/mounts",
        "/proc/self/mountinfo", "/proc/self/cgroup", "/proc/sys/kernel/ostype", "/proc/sys/kernel/osrelease", "/proc/sys/kernel/pid_max", "/proc/net/dev",
        "/proc/sys/kernel/random/boot_id", "/proc/cmdline", "/proc/self/oom_score_adj", "/proc/self/statm", "/proc/self/wchan", "/proc/self/loginuid", "/proc/self/smaps"};
    char text[4096];
    for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++) if (get(paths[i], text, sizeof text) <= 0) say("missing:%s", paths[i]);
    show_file("ostype", "/proc/sys/kernel/ostype");
    get("/proc/meminfo", text, sizeof text);
    say("meminfo=%d%d%d", strstr(text, "MemTotal:") != 0, strstr(text, "MemFree:") != 0, strstr(text, "MemAvailable:") != 0);
    get("/proc/filesystems", text, sizeof text);
    say("filesystems=%d%d%d%d", strstr(text, "nodev\tproc\n") != 0, strstr(text, "nodev\ttmpfs\n") != 0, strstr(text, "nodev\tcgroup2\n") != 0, strstr(text, "nodev\toverlay\n") != 0);
}

CHECK(proc_write_rules) {
    SHOW("pid-folder", mkdir("/proc/xyz", 0755));
    OPENS("create", open("/proc/xyz", O_CREAT | O_RDWR, 0644));
    SHOW("unlink", unlink("/proc/self/status"));
    SHOW("oom", put("/proc/self/oom_score_adj", "500"));
    show_file("oom", "/proc/self/oom_score_adj");
    SHOW("range", put("/proc/self/oom_score_adj", "1001"));
    RUN({ become(1000); SHOW("user-lower", put("/proc/self/oom_score_adj", "-1")); });
    SHOW("comm", put("/proc/self/comm", "renamed"));
    show_file("comm", "/proc/self/comm");
    SHOW("read-only", put("/proc/self/status", "x"));
    SHOW("ostype", put("/proc/sys/kernel/ostype", "x"));
}

CHECK(proc_hides_nothing_by_default_but_hidepid_does) {
    own_mounts();
    mkdir("p", 0755);
    RUN_WITH(CLONE_NEWPID, {
        SHOW("mount", mount("proc", "p", "proc", 0, "hidepid=2"));
        RUN({ become(1000); SHOW("init", access("p/1", F_OK)); SHOW("own", access("p/self/stat", F_OK)); });
    });
}

CHECK(process_sysinfo_uname_getcpu) {
    struct sysinfo info;
    struct utsname name;
    unsigned cpu = 99, node = 99;
    SHOW("sysinfo", sysinfo(&info));
    say("unit=%u total=%d procs=%d", info.mem_unit, info.totalram > 0, info.procs > 0);
    uname(&name);
    say("%s %s %s", name.sysname, name.machine, name.nodename);
    SHOW("getcpu", syscall(SYS_getcpu, &cpu, &node, 0));
    say("cpu-given=%d node=%u", cpu != 99, node);
    SHOW("personality", syscall(SYS_personality, 0xffffffff));
}

CHECK(process_getrandom) {
    char bytes[300];
    SHOW("300", syscall(SYS_getrandom, bytes, 300, 0));
    SHOW("random", syscall(SYS_getrandom, bytes, 10, 2));
    SHOW("flags", syscall(SYS_getrandom, bytes, 10, 99));
    SHOW("pointer", syscall(SYS_getrandom, 8, 10, 0));
    SHOW("zero", syscall(SYS_getrandom, bytes, 0, 0));
}

CHECK(process_unknown_call) {
    SHOW("unknown", syscall(9999));
    SHOW("removed", syscall(SYS_nfsservctl));
    SHOW("negative", syscall(-5));
}

CHECK(process_ptrace) {
    int status;
    pid_t pid = START({ syscall(SYS_ptrace, 0, 0, 0, 0); raise(SIGUSR1); _exit(5); });
    waitpid(pid, &status, 0);
    show_status("traced", status);
    SHOW("cont", syscall(SYS_ptrace, 7, pid, 0, 0));
    show_status("end", wait_for(pid));
    SHOW("missing", syscall(SYS_ptrace, 16, 4999, 0, 0));
}
