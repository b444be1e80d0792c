// Credentials: ids, groups, what files permit, set-id programs, what exec makes of capabilities, prctl.
#include "credential.h"

CHECK(cred_setresuid_rules) {
    SHOW("three", setresuid(1, 2, 3));
    show_ids("ids");
    SHOW("swap", setresuid(2, 3, 1));
    show_ids("ids");
    SHOW("stranger", setresuid(4, -1, -1));
    SHOW("setuid-saved", setuid(1));
    show_ids("ids");
    SHOW("setreuid", setreuid(3, 2));
    show_ids("ids");
}

CHECK(cred_fsuid_and_groups) {
    gid_t groups[4] = {5, 3, 9}, got[4] = {0};
    SHOW("setgroups", syscall(SYS_setgroups, 3, groups));
    SHOW("getgroups", getgroups(4, got));
    say("groups=%d,%d,%d", got[0], got[1], got[2]);
    SHOW("small", getgroups(1, got));
    SHOW("count", getgroups(0, got));
    SHOW("many", syscall(SYS_setgroups, 70000, groups));
    SHOW("setfsuid", syscall(SYS_setfsuid, 1000));
    SHOW("setfsuid", syscall(SYS_setfsuid, -1));
    RUN({ become(7); SHOW("user", syscall(SYS_setgroups, 0, 0)); });
}

CHECK(cred_file_permissions) {
    own_mounts();
    touch("a", "text"), touch("g", "text");
    chmod("a", 0604), chown("a", 1000, 1000);
    chmod("g", 0060), chown("g", 0, 50);
    mkdir("d", 0700), touch("d/x", "");
    RUN({ become(2000); OPENS("other-read", open("a", O_RDONLY)); OPENS("other-write", open("a", O_WRONLY)); OPENS("search", open("d/x", O_RDONLY)); });
    RUN({ MUST(setgid(1000)); MUST(syscall(SYS_setgroups, 0, 0)); MUST(setuid(2000)); OPENS("group-read", open("a", O_RDONLY)); });
    RUN({ gid_t group = 50; syscall(SYS_setgroups, 1, &group); setgid(1000); setuid(1000); OPENS("supplementary", open("g", O_RDWR)); });
    RUN({ become(1000); OPENS("owner", open("a", O_RDWR)); SHOW("chmod", chmod("a", 04777)); SHOW("chown", chown("a", 0, -1)); SHOW("others", chmod("g", 0777)); });
    struct stat info;
    stat("a", &info);
    say("mode=%o", info.st_mode & 07777);
}

CHECK(cred_sticky_and_setgid_folders) {
    own_mounts();
    mkdir("s", 0), chmod("s", 01777), touch("s/roots", "");
    mkdir("g", 0), chown("g", 0, 50), chmod("g", 02777);
    RUN({
        become(1000);
        SHOW("unlink", unlink("s/roots"));
        SHOW("rename", rename("s/roots", "s/x"));
        touch("g/f", ""), mkdir("g/d", 0755);
        struct stat info;
        stat("g/f", &info);
        say("file=%d/%o", info.st_gid, info.st_mode & 07777);
        stat("g/d", &info);
        say("folder=%d/%o", info.st_gid, info.st_mode & 07777);
    });
}

// A copy of this program, to be given an owner and a mode
static void copy_self(const char *name) {
    static char data[65536];
    int from = open("/proc/self/exe", O_RDONLY), to = open(name, O_CREAT | O_WRONLY, 0755);
    for (long part; (part = read(from, data, sizeof data)) > 0;) must("copy", write(to, data, part));
    close(from), close(to);
}
// Says who the copy is when it runs
static void show_self(const char *label, const char *name) {
    int ends[2];
    char text[256] = "";
    MUST(pipe(ends));
    pid_t pid = START({ dup2(ends[1], 1); execl(name, name, "--self", (char *)0); dprintf(1, "%s", strerrorname_np(errno)); });
    close(ends[1]);
    for (long length = 0, part; (part = read(ends[0], text + length, sizeof text - 1 - length)) > 0;) length += part;
    close(ends[0]);
    wait_for(pid);
    show_text(label, text);
}

CHECK(cred_setuid_program) {
    own_mounts();
    copy_self("s");
    chown("s", 500, 600), chmod("s", 06755);
    RUN({ become(1000); show_self("user", "./s"); });
    RUN({ become(1000); prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); show_self("no-new-privs", "./s"); });
    MUST(mount(0, "/tmp", 0, MS_REMOUNT | MS_BIND | MS_NOSUID, 0));
    RUN({ become(1000); show_self("nosuid", "./s"); });
}

CHECK(cred_setuid_root_program) {
    own_mounts();
    copy_self("s");
    chmod("s", 04755);
    RUN({ become(1000); show_self("root", "./s"); });
    prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN);
    RUN({ become(1000); show_self("bounded", "./s"); });
    pid_t pid = START_WITH(CLONE_NEWUSER, { await_flag(0); MUST(setresgid(5, 5, 5)); MUST(setresuid(5, 5, 5)); show_self("unmapped", "./s"); });
    map_ids(pid, 5, 1005, 1);
    set_flag(0);
    wait_for(pid);
}

CHECK(cred_setuid_bits_are_dropped) {
    own_mounts();
    struct stat info;
    touch("s", "");
    chown("s", 1000, 1000), chmod("s", 06755);
    RUN({ become(1000); touch("s", "x"); });
    stat("s", &info);
    say("after-write=%o", info.st_mode & 07777);
    chmod("s", 06755);
    chown("s", 1000, 1001);
    stat("s", &info);
    say("after-chown=%o", info.st_mode & 07777);
    chmod("s", 06745), touch("s", "y");
    stat("s", &info);
    say("after-roots-write=%o", info.st_mode & 07777);
}

CHECK(cred_capabilities_across_exec) {
    own_mounts();
    copy_self("s");
    show_self("root", "./s");
    RUN({
        struct caps caps;
        caps_get(&caps);
        caps.data[0].inheritable = 1 << CAP_NET_RAW;
        MUST(caps_set(&caps));
        MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0));
        prctl(PR_SET_KEEPCAPS, 1);
        become(1000);
        show_self("ambient", "./s");
    });
    RUN({ prctl(PR_SET_KEEPCAPS, 1); become(1000); show_self("keepcaps", "./s"); });
}

CHECK(cred_no_new_privs) {
    SHOW("get", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    SHOW("wrong", prctl(PR_SET_NO_NEW_PRIVS, 2, 0, 0, 0));
    SHOW("set", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    SHOW("unset", prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    RUN({ SHOW("inherited", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)); });
}

CHECK(cred_prctl_values) {
    char name[20] = "";
    int value = 0;
    SHOW("name", prctl(PR_SET_NAME, "a name longer than sixteen"));
    prctl(PR_GET_NAME, name);
    show_text("name", name);
    show_file("comm", "/proc/self/comm");
    SHOW("pdeathsig", prctl(PR_SET_PDEATHSIG, SIGUSR1));
    prctl(PR_GET_PDEATHSIG, &value);
    say("value=%d", value);
    SHOW("pdeathsig", prctl(PR_SET_PDEATHSIG, 99));
    SHOW("dumpable", prctl(PR_GET_DUMPABLE));
    SHOW("dumpable", prctl(PR_SET_DUMPABLE, 3));
    SHOW("unknown", prctl(9999, 0, 0, 0, 0));
}

CHECK(cred_pdeathsig_is_sent) {
    pid_t reaper = START({
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        pid_t parent = START({ START({ prctl(PR_SET_PDEATHSIG, SIGUSR1); set_flag(0); pause(); }); await_flag(0); });
        wait_for(parent);
        int status = 0;
        wait(&status);
        show_status("orphan", status);
    });
    wait_for(reaper);
}
