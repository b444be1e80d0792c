// Ways out of a container that have been published: what is refused, and what Linux lets pass to those with the rights for it.
#include "credential.h"

#include <linux/keyctl.h>

static void copy_self(const char *name) {
    static char data[65536];
    int from = open("/proc/self/exe", O_RDONLY), to = open(name, O_CREAT | O_WRONLY, 0755);
    for (long part; (part = read(from, data, sizeof data)) > 0;) must("copy", write(to, data, part));
    close(from), close(to);
}
// A root of its own: a tmpfs at /tmp/new, entered by pivot_root, the old one unmounted
static void new_root(void) {
    mkdir("new", 0755);
    MUST(mount("probe", "new", "tmpfs", 0, 0));
    MUST(mkdir("new/proc", 0755));
    MUST(mount("/proc", "new/proc", 0, MS_BIND | MS_REC, 0));
    MUST(chdir("new"));
    MUST(syscall(SYS_pivot_root, ".", "."));
    MUST(umount2(".", MNT_DETACH));
    MUST(chdir("/"));
}

// CVE-2019-5736: the program that enters a container is reached through /proc/PID/exe and overwritten when it has ended
CHECK(escape_overwriting_the_runtime_through_proc_exe) {
    own_mounts();
    copy_self("runtime");
    pid_t pid = START({ dup2(open("/dev/null", O_WRONLY), 1); execl("/tmp/runtime", "runtime", "--pause", (char *)0); });
    char path[64], link[64] = "";
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    for (int i = 0; i < 1000 && strcmp(link, "/tmp/runtime"); i++) nap(1), memset(link, 0, sizeof link), readlink(path, link, sizeof link - 1);
    int held;
    OK("hold", (held = open(path, O_RDONLY)) < 0 ? -1 : 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", held);
    OPENS("while-it-runs", open(path, O_WRONLY));
    kill(pid, SIGKILL);
    wait_for(pid);
    OPENS("after-its-end", open(path, O_WRONLY | O_TRUNC));
    struct stat info;
    stat("/tmp/runtime", &info);
    say("size=%ld", (long)info.st_size);
}

CHECK(escape_overwriting_a_sealed_copy) {
    own_mounts();
    int from = open("/proc/self/exe", O_RDONLY), copy = memfd_create("runtime", MFD_ALLOW_SEALING);
    static char data[65536];
    for (long part; (part = read(from, data, sizeof data)) > 0;) write(copy, data, part);
    fcntl(copy, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", copy);
    int again = open(path, O_WRONLY);
    OK("open", again < 0 ? -1 : 0);
    SHOW("write", write(again, "x", 1));
    SHOW("truncate", ftruncate(again, 0));
}

// CVE-2024-21626: a descriptor of a folder outside is left open
CHECK(escape_through_a_leaked_folder) {
    own_mounts();
    touch("outside", "secret");
    int leaked = open("/tmp", O_RDONLY | O_DIRECTORY);
    new_root();
    SHOW("by-name", access("/tmp/outside", F_OK));
    SHOW("by-descriptor", faccessat(leaked, "outside", F_OK, 0));
    SHOW("above", faccessat(leaked, "../tmp/outside", F_OK, 0));
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d/outside", leaked);
    show_file("by-proc", path);
    SHOW("fchdir", fchdir(leaked));
    SHOW("getcwd", syscall(SYS_getcwd, path, sizeof path));
    show_text("cwd", path);
    SHOW("chroot", chroot("."));
    SHOW("inside-now", access("/outside", F_OK));
}

CHECK(escape_through_proc_of_a_process_outside) {
    own_mounts();
    touch("outside", "secret");
    pid_t witness = START(pause());
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/root/tmp/outside", witness);
    RUN_WITH(CLONE_NEWNS, { new_root(); show_file("same-pid-namespace", path); RUN({ become(1000); SHOW("user", access(path, F_OK)); }); });
    RUN_WITH(CLONE_NEWNS | CLONE_NEWPID, { new_root(); MUST(mount("proc", "/proc", "proc", 0, 0)); SHOW("own-pid-namespace", access(path, F_OK)); });
    kill(witness, SIGKILL);
}

CHECK(escape_by_entering_the_namespaces_of_init) {
    pid_t outside = START(pause());
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", outside);
    RUN({ own_mounts(); SHOW("privileged", setns(open(path, O_RDONLY), CLONE_NEWNS)); });
    RUN({ become(1000); SHOW("user", open(path, O_RDONLY)); });
    RUN({ enter_user_namespace(); SHOW("root-of-a-user-namespace", open(path, O_RDONLY) < 0 ? -1 : 0); });
    int fd = open(path, O_RDONLY), user = ns_open(outside, "user");
    RUN({ enter_user_namespace(); SHOW("with-a-descriptor", setns(fd, CLONE_NEWNS)); SHOW("user-namespace", setns(user, CLONE_NEWUSER)); });
    kill(outside, SIGKILL);
}

CHECK(escape_by_the_kernels_own_files) {
    RUN({
        become(1000);
        enter_user_namespace();
        SHOW("core_pattern", put("/proc/sys/kernel/core_pattern", "|/tmp/x"));
        SHOW("modprobe", put("/proc/sys/kernel/modprobe", "/tmp/x"));
        SHOW("sysrq", put("/proc/sysrq-trigger", "h"));
        SHOW("kmsg", put("/proc/kmsg", "h"));
        SHOW("module", syscall(SYS_init_module, 0, 0, ""));
        SHOW("kexec", syscall(SYS_kexec_load, 0, 0, 0, 0));
        SHOW("swapon", syscall(SYS_swapon, "/tmp/x", 0));
        SHOW("syslog", syscall(SYS_syslog, 5, 0, 0));
        SHOW("acct", syscall(SYS_acct, 0));
        SHOW("settimeofday", settimeofday(&(struct timeval){1, 0}, 0));
    });
}

CHECK(escape_by_mounting_over_what_is_masked) {
    own_mounts();
    MUST(mount("/dev/null", "/proc/kcore", 0, MS_BIND, 0));
    mkdir("p", 0755);
    RUN({
        enter_user_namespace();
        MUST(unshare(CLONE_NEWNS | CLONE_NEWPID));
        RUN({ SHOW("unmask", umount2("/proc/kcore", 0)); SHOW("fresh-proc", mount("proc", "p", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0)); });
    });
}

CHECK(escape_by_ptrace) {
    pid_t outside = START(pause()), other = START({ become(1001); set_flag(0); pause(); });
    await_flag(0);
    RUN({ become(1000); SHOW("root-process", syscall(SYS_ptrace, 0x4206, outside, 0, 0)); SHOW("other-user", syscall(SYS_ptrace, 0x4206, other, 0, 0)); }); // PTRACE_SEIZE
    RUN({ enter_user_namespace(); SHOW("outside-of-the-user-namespace", syscall(SYS_ptrace, 0x4206, outside, 0, 0)); });
    RUN({ SHOW("root", syscall(SYS_ptrace, 0x4206, other, 0, 0)); });
    kill(outside, SIGKILL), kill(other, SIGKILL);
}

CHECK(escape_by_set_id_programs_of_a_user_namespace) {
    own_mounts();
    copy_self("s");
    chmod(".", 0777);
    RUN({
        become(1000);
        enter_user_namespace();
        MUST(unshare(CLONE_NEWNS));
        MUST(mkdir("mine", 0755));
        MUST(mount("probe", "mine", "tmpfs", 0, 0));
        copy_self("mine/s");
        SHOW("chown-to-outer-root", chown("mine/s", 1, 1)); // an id that is not mapped
        SHOW("chmod", chmod("mine/s", 04755));
        struct stat info;
        stat("mine/s", &info);
        say("owner=%d", info.st_uid);
    });
}

static long bind_tree(const char *to) { return mount("t", to, 0, MS_BIND | MS_REC, 0); }
CHECK(bound_number_of_mounts) {
    own_mounts();
    MUST(mkdir("t", 0755));
    MUST(mount("probe", "t", "tmpfs", 0, 0));
    show_file("limit", "/proc/sys/fs/mount-max");
    char name[8] = "t/a";
    int doublings = 0; // each copies all that there is into one of its folders
    for (; doublings < 20; doublings++, name[2]++)
        if (mkdir(name, 0755) < 0 || bind_tree(name) < 0) break;
    say("ends=%s before-20=%d", strerrorname_np(errno), doublings < 20);
}

CHECK(bound_nested_folders) {
    own_mounts();
    int depth = 0; // path names have an end, folders do not
    for (; depth < 3000 && mkdir("d", 0755) == 0 && chdir("d") == 0; depth++) {}
    say("depth=%d", depth);
    char path[64];
    SHOW("getcwd-small", syscall(SYS_getcwd, path, sizeof path));
    static char long_path[8192];
    SHOW("getcwd-long", syscall(SYS_getcwd, long_path, sizeof long_path));
}

CHECK(keyctl_session_keyring) {
    long own = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "probe", 0, 0, 0);
    say("joined=%d", own > 0);
    long key = syscall(SYS_add_key, "user", "name", "secret", 6, own);
    say("added=%d", key > 0);
    char text[16] = "";
    SHOW("read", syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof text - 1, 0));
    show_text("secret", text);
    SHOW("type", syscall(SYS_add_key, "nosuchtype", "name", "x", 1, own));
    SHOW("operation", syscall(SYS_keyctl, 999, 0, 0, 0, 0));
    RUN({ become(1000); SHOW("others", syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof text - 1, 0)); });
}
