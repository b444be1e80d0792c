// User namespaces and capabilities: maps, who may write them, against whose namespace a capability counts.
#include "credential.h"

static bool can_bind_low_port(void) { // CAP_NET_BIND_SERVICE against the owner of the net namespace
    struct { uint16_t family, port; uint32_t address; char zero[8]; } at = {AF_INET, 0x5000, 0, ""};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool could = bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
    close(fd);
    return could;
}

CHECK(user_19_unmapped_ids_read_65534_with_all_capabilities) {
    SHOW("unshare", unshare(CLONE_NEWUSER));
    show_ids("ids");
    show_caps("caps");
    show_file("uid_map", "/proc/self/uid_map");
    struct stat info;
    stat("/proc/self", &info);
    say("owner=%d/%d", info.st_uid, info.st_gid);
    SHOW("setuid", setuid(0));
    show_file("overflow", "/proc/sys/kernel/overflowuid");
}

CHECK(user_19_map_is_written_once) {
    MUST(unshare(CLONE_NEWUSER));
    SHOW("first", put("/proc/self/uid_map", "0 0 1"));
    SHOW("second", put("/proc/self/uid_map", "0 0 1"));
    show_file("map", "/proc/self/uid_map");
    show_ids("ids");
}

// Maps are written by a privileged process of the parent namespace, so that only their text counts
static void try_map(const char *label, const char *text) {
    int reaches[2];
    MUST(pipe(reaches));
    pid_t pid = START_WITH(CLONE_NEWUSER, { char byte; close(reaches[1]); read(reaches[0], &byte, 1); });
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/uid_map", pid);
    SHOW(label, put(path, text));
    close(reaches[1]), close(reaches[0]);
    kill(pid, SIGKILL);
    wait_for(pid);
}

CHECK(user_19_map_of_340_lines) {
    static char text[16384];
    for (int lines = 340; lines <= 341; lines++) {
        int length = 0;
        for (int i = 0; i < lines; i++) length += sprintf(text + length, "%d %d 1\n", i, i);
        say("bytes<4096=%d", length < 4096);
        try_map(lines == 340 ? "340" : "341", text);
    }
}

CHECK(user_19_map_overlaps) {
    try_map("two", "0 0 10\n10 10 10\n");
    try_map("inside", "0 0 10\n5 100 10\n");
    try_map("outside", "0 0 10\n100 5 10\n");
    try_map("same", "0 0 1\n0 0 1\n");
}

CHECK(user_19_map_text_errors) {
    try_map("empty", "");
    try_map("words", "a b c");
    try_map("two-fields", "0 0");
    try_map("four-fields", "0 0 1 1");
    try_map("count-0", "0 0 0");
    try_map("wraps", "4294967295 0 2");
    try_map("minus-one", "4294967295 0 1");
    try_map("whole", "0 0 4294967295");
    try_map("negative", "-1 0 1");
    try_map("tabs", "\t0 \t 0\t1\n");
}

CHECK(user_19_map_text_is_the_readers) {
    pid_t pid = START_WITH(CLONE_NEWUSER, {
        await_flag(0);
        MUST(setresgid(0, 0, 0));
        MUST(setresuid(0, 0, 0));
        MUST(prctl(PR_SET_DUMPABLE, 1));
        show_file("own", "/proc/self/uid_map");
        RUN_WITH(CLONE_NEWUSER, {
            must("map", put("/proc/self/uid_map", "5 0 1"));
            show_file("inner", "/proc/self/uid_map");
            set_flag(1);
            await_flag(2);
        });
    });
    map_ids(pid, 0, 1000, 10);
    show_file("outer", "/proc/self/uid_map");
    set_flag(0);
    await_flag(1);
    set_flag(2);
    wait_for(pid);
}

CHECK(user_20_unprivileged_maps) {
    RUN({
        become(1000);
        MUST(unshare(CLONE_NEWUSER));
        SHOW("other-id", put("/proc/self/uid_map", "0 1001 1"));
        SHOW("two-ids", put("/proc/self/uid_map", "0 1000 2"));
        SHOW("own-id", put("/proc/self/uid_map", "0 1000 1"));
        SHOW("gid-early", put("/proc/self/gid_map", "0 1000 1"));
        show_file("setgroups", "/proc/self/setgroups");
        SHOW("deny", put("/proc/self/setgroups", "deny"));
        SHOW("gid", put("/proc/self/gid_map", "0 1000 1"));
        SHOW("setgroups", syscall(SYS_setgroups, 0, 0));
        SHOW("allow", put("/proc/self/setgroups", "allow"));
        show_ids("ids");
    });
}

CHECK(user_20_setgroups_after_the_gid_map) {
    pid_t pid = START_WITH(CLONE_NEWUSER, {
        gid_t group = 3;
        SHOW("word", put("/proc/self/setgroups", "maybe"));
        SHOW("early", syscall(SYS_setgroups, 0, 0));
        set_flag(0);
        await_flag(1);
        SHOW("deny", put("/proc/self/setgroups", "deny"));
        SHOW("setgroups", syscall(SYS_setgroups, 1, &group));
        group = 70;
        SHOW("unmapped", syscall(SYS_setgroups, 1, &group));
        show_file("setgroups", "/proc/self/setgroups");
    });
    await_flag(0);
    map_ids(pid, 0, 0, 10);
    set_flag(1);
    wait_for(pid);
}

CHECK(user_20_parent_writes_the_map_of_a_child) {
    pid_t pid = START_WITH(CLONE_NEWUSER, { await_flag(0); show_ids("before"); SHOW("setuid", setuid(5)); SHOW("unmapped", setuid(50)); show_ids("after"); });
    map_ids(pid, 0, 0, 10);
    set_flag(0);
    wait_for(pid);
}

CHECK(user_21_capabilities_count_against_the_owner) {
    RUN({
        enter_user_namespace();
        SHOW("old-uts", sethostname("x", 1));
        SHOW("unshare", unshare(CLONE_NEWUTS));
        SHOW("new-uts", sethostname("x", 1));
        say("old-net=%d", can_bind_low_port());
        MUST(unshare(CLONE_NEWNET));
        say("new-net=%d", can_bind_low_port());
        struct timespec time = {0, 0};
        SHOW("settime", clock_settime(CLOCK_REALTIME, &time));
        struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
        SHOW("nice", setpriority(PRIO_PROCESS, 0, -5));
        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_max += 1;
        SHOW("rlimit", setrlimit(RLIMIT_NOFILE, &limit));
    });
}

CHECK(user_21_parents_owner_has_all_capabilities_inside) {
    RUN({
        become(1000);
        pid_t pid = START({ enter_user_namespace(); MUST(unshare(CLONE_NEWUTS)); set_flag(0); pause(); });
        await_flag(0);
        int user = ns_open(pid, "user");
        RUN({ SHOW("uts-first", setns(ns_open(pid, "uts"), CLONE_NEWUTS)); });
        SHOW("setns", setns(user, CLONE_NEWUSER));
        SHOW("uts", setns(ns_open(pid, "uts"), CLONE_NEWUTS));
        SHOW("sethostname", sethostname("y", 1));
        show_caps("caps");
        kill(pid, SIGKILL);
    });
}

CHECK(user_21_stranger_may_not_enter) {
    pid_t pid = START({ enter_user_namespace(); set_flag(0); pause(); });
    await_flag(0);
    int user = ns_open(pid, "user");
    RUN({ become(1000); SHOW("setns", setns(user, CLONE_NEWUSER)); });
    RUN({ enter_user_namespace(); SHOW("sibling", setns(user, CLONE_NEWUSER)); });
    kill(pid, SIGKILL);
}

CHECK(user_21_files_of_unmapped_owners) {
    own_mounts();
    touch("roots", "secret"), touch("users", "");
    chown("users", 1000, 1000);
    chmod("roots", 0600);
    pid_t pid = START_WITH(CLONE_NEWUSER, {
        await_flag(0);
        struct stat info;
        stat("roots", &info);
        say("owner=%d/%d", info.st_uid, info.st_gid);
        OPENS("open", open("roots", O_RDONLY));
        SHOW("chown", chown("roots", 0, 0));
        SHOW("chmod", chmod("roots", 0666));
        stat("users", &info);
        say("mapped=%d/%d", info.st_uid, info.st_gid);
        chmod("users", 0);
        OPENS("dac", open("users", O_RDWR));
        SHOW("chown-unmapped", chown("users", 5000, 5000));
        SHOW("chown-mapped", chown("users", 3, 3));
    });
    map_ids(pid, 0, 1000, 10);
    set_flag(0);
    wait_for(pid);
    struct stat info;
    stat("users", &info);
    say("outside=%d/%d", info.st_uid, info.st_gid);
}

CHECK(user_21_signals_to_the_parents_processes) {
    pid_t other = START({ pause(); });
    RUN({ become(1000); enter_user_namespace(); SHOW("root", kill(other, 0)); });
    RUN({ enter_user_namespace(); SHOW("same-uid", kill(other, 0)); });
    RUN({ become(1000); SHOW("user", kill(other, SIGTERM)); SHOW("cont", kill(other, SIGCONT)); });
    kill(other, SIGKILL);
}

CHECK(user_21_ns_get_owner) {
    pid_t pid = START({ enter_user_namespace(); MUST(unshare(CLONE_NEWUTS)); set_flag(0); pause(); });
    await_flag(0);
    int uts = ns_open(pid, "uts"), user = ns_open(pid, "user"), own = ns_open(0, "user");
    int owner = ioctl(uts, 0xb701), parent = ioctl(user, 0xb702); // NS_GET_USERNS, NS_GET_PARENT
    struct stat a, b;
    fstat(owner, &a), fstat(user, &b);
    say("userns-is-child=%d", a.st_ino == b.st_ino);
    fstat(parent, &a), fstat(own, &b);
    say("parent-is-own=%d", a.st_ino == b.st_ino);
    SHOW("type", ioctl(uts, 0xb703)); // NS_GET_NSTYPE
    uid_t id = 77;
    SHOW("owner-uid", ioctl(user, 0xb704, &id));
    say("uid=%u", id);
    OK("parent-of-uts", ioctl(uts, 0xb702));
    OK("above", ioctl(own, 0xb702));
    kill(pid, SIGKILL);
}

CHECK(user_22_setns_to_the_own_namespace) {
    SHOW("own", setns(ns_open(0, "user"), CLONE_NEWUSER));
    SHOW("wrong-type", setns(ns_open(0, "uts"), CLONE_NEWUSER));
    RUN({
        int above = ns_open(0, "user");
        enter_user_namespace();
        SHOW("own-inner", setns(ns_open(0, "user"), 0));
        SHOW("above", setns(above, 0));
    });
}

CHECK(user_22_newuser_with_shared_fs) {
    SHOW("clone", syscall(SYS_clone, CLONE_NEWUSER | CLONE_FS | SIGCHLD, 0, 0, 0, 0));
    SHOW("thread", syscall(SYS_clone, CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, 0, 0, 0, 0));
    SHOW("unshare", unshare(CLONE_NEWUSER | CLONE_FS));
}

CHECK(user_23_setuid_clears_capabilities) {
    show_caps("root");
    SHOW("setuid", setresuid(1000, 1000, 1000));
    show_caps("user");
    SHOW("back", setuid(0));
    SHOW("sethostname", sethostname("x", 1));
}

CHECK(user_23_seteuid_keeps_permitted) {
    SHOW("seteuid", seteuid(1000));
    show_caps("lowered");
    SHOW("back", seteuid(0));
    show_caps("raised");
}

CHECK(user_23_keepcaps_keeps_permitted) {
    SHOW("keepcaps", prctl(PR_SET_KEEPCAPS, 1));
    SHOW("setuid", setresuid(1000, 1000, 1000));
    show_caps("user");
    struct caps caps;
    caps_get(&caps);
    caps.data[0] = (struct __user_cap_data_struct){1 << CAP_SETUID, 1 << CAP_SETUID, 0};
    caps.data[1] = (struct __user_cap_data_struct){0, 0, 0};
    SHOW("capset", caps_set(&caps));
    show_caps("setuid-only");
    SHOW("setuid", setuid(5));
    caps.data[0].effective |= 1 << CAP_KILL;
    SHOW("not-permitted", caps_set(&caps));
}

CHECK(user_23_ambient_needs_permitted_and_inheritable) {
    struct caps caps;
    SHOW("early", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0));
    caps_get(&caps);
    caps.data[0].inheritable = 1 << CAP_NET_RAW;
    SHOW("inheritable", caps_set(&caps));
    SHOW("raise", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0));
    SHOW("is-set", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_RAW, 0, 0));
    caps.data[0].inheritable = 0;
    SHOW("drop", caps_set(&caps));
    SHOW("is-set", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_RAW, 0, 0));
    SHOW("unknown", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 63, 0, 0));
}

CHECK(user_23_bounding_set) {
    SHOW("read", prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN));
    SHOW("drop", prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN));
    SHOW("read", prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN));
    show_caps("still");
    SHOW("unknown", prctl(PR_CAPBSET_READ, 63));
    RUN({ become(1000); SHOW("user-drop", prctl(PR_CAPBSET_DROP, CAP_CHOWN)); });
}

CHECK(user_23_proc_status_of_capabilities) {
    char text[4096], *line;
    get("/proc/self/status", text, sizeof text);
    for (line = strtok(text, "\n"); line; line = strtok(0, "\n"))
        if (strncmp(line, "Cap", 3) == 0 || strncmp(line, "NoNewPrivs", 10) == 0) show_text("", line);
    show_file("last", "/proc/sys/kernel/cap_last_cap");
}

CHECK(user_23_capget_errors) {
    struct caps caps;
    struct __user_cap_header_struct header = {0x12345678, 0};
    SHOW("version", syscall(SYS_capget, &header, caps.data));
    say("offered=%x", header.version);
    header.pid = 4999;
    SHOW("missing", syscall(SYS_capget, &header, caps.data));
    header.pid = 1;
    SHOW("others", syscall(SYS_capset, &header, caps.data));
}

CHECK(user_23_securebits_noroot) {
    SHOW("get", prctl(PR_GET_SECUREBITS));
    SHOW("set", prctl(PR_SET_SECUREBITS, 4)); // SECBIT_NO_SETUID_FIXUP
    SHOW("setuid", setresuid(1000, 1000, 1000));
    show_caps("kept");
}
