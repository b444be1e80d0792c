// Calls about mounts: their errors, umount, the newer calls, the texts in /proc, limits of tmpfs, paths that stay inside.
#include "mount.h"

CHECK(mount_user_needs_cap_sys_admin) {
    folder("a");
    become(1000);
    SHOW("mount", mount("probe", "a", "tmpfs", 0, 0));
    SHOW("umount", umount2("/tmp", 0));
    SHOW("unshare", unshare(CLONE_NEWNS));
    SHOW("pivot", syscall(SYS_pivot_root, ".", "."));
    SHOW("chroot", chroot("."));
}

CHECK(mount_umount_errors) {
    own_mounts();
    tree("t", 0);
    SHOW("no-mount", umount2("t/d", 0));
    SHOW("missing", umount2("none", 0));
    SHOW("flags", umount2("t", 0x100));
    int fd = open("t/x", O_CREAT | O_RDWR, 0644);
    SHOW("busy", umount2("t", 0));
    SHOW("expire-busy", umount2("t", MNT_EXPIRE));
    SHOW("detach", umount2("t", MNT_DETACH));
    SHOW("write", write(fd, "x", 1));
    say("gone=%d", !exists("t/x"));
    close(fd);
    folder("v");
    MUST(tmpfs("v"));
    SHOW("expire", umount2("v", MNT_EXPIRE));
    SHOW("expired", umount2("v", MNT_EXPIRE));
    symlink("v", "link");
    MUST(tmpfs("v"));
    SHOW("nofollow", umount2("link", UMOUNT_NOFOLLOW));
    SHOW("follow", umount2("link", 0));
}

CHECK(mount_umount_of_a_parent_is_busy) {
    own_mounts();
    tree("t", 0);
    MUST(tmpfs("t/d"));
    SHOW("parent", umount2("t", 0));
    SHOW("child", umount2("t/d", 0));
    SHOW("parent", umount2("t", 0));
}

CHECK(mount_stacks) {
    own_mounts();
    folder("t");
    MUST(tmpfs("t"));
    touch("t/first", "");
    MUST(tmpfs("t"));
    touch("t/second", "");
    say("first=%d second=%d", exists("t/first"), exists("t/second"));
    MUST(umount2("t", 0));
    say("first=%d second=%d", exists("t/first"), exists("t/second"));
}

CHECK(mount_errors) {
    own_mounts();
    folder("t");
    touch("f", "");
    SHOW("type", mount("probe", "t", "nosuchfs", 0, 0));
    SHOW("no-type", mount("probe", "t", 0, 0, 0));
    SHOW("target", mount("probe", "none", "tmpfs", 0, 0));
    SHOW("on-file", mount("probe", "f", "tmpfs", 0, 0));
    SHOW("option", mount("probe", "t", "tmpfs", 0, "nosuch=1"));
    SHOW("size", mount("probe", "t", "tmpfs", 0, "size=64k,mode=700"));
    struct stat info;
    stat("t", &info);
    say("mode=%o", info.st_mode & 07777);
}

CHECK(mount_tmpfs_size_is_a_limit) {
    own_mounts();
    folder("t");
    MUST(mount("probe", "t", "tmpfs", 0, "size=64k,nr_inodes=5"));
    int fd = open("t/x", O_CREAT | O_RDWR, 0644);
    static char data[128 << 10];
    SHOW("write", write(fd, data, sizeof data));
    SHOW("again", write(fd, data, 1));
    struct statfs info;
    statfs("t", &info);
    say("blocks=%ld free=%ld bsize=%ld type=%lx", (long)info.f_blocks, (long)info.f_bfree, (long)info.f_bsize, (long)info.f_type);
    char name[8] = "t/0";
    int made = 0;
    for (; made < 9 && (name[2]++, mkdir(name, 0755)) == 0; made++) {}
    say("made=%d %s", made, strerrorname_np(errno));
}

CHECK(mount_proc_mounts_text) {
    own_mounts();
    folder("t"), folder("with space"), folder("u");
    MUST(mount("my source", "with space", "tmpfs", MS_NOSUID | MS_NOATIME, 0));
    MUST(mount("probe", "t", "tmpfs", MS_RDONLY, "size=1m,mode=711"));
    MUST(bind_mount("t", "u"));
    FILE *file = fopen("/proc/self/mounts", "r");
    char line[512];
    while (file && fgets(line, sizeof line, file)) {
        char *inode = strstr(line, ",inode64");
        if (inode) memmove(inode, inode + 8, strlen(inode + 8) + 1);
        if (strstr(line, " /tmp/")) show_text("", line);
    }
}

CHECK(mount_mountinfo_text) {
    own_mounts();
    tree("t", 0);
    folder("t/d/inner"), folder("u");
    MUST(bind_mount("t/d", "u"));
    FILE *file = fopen("/proc/self/mountinfo", "r");
    char line[512], root[64], at[64], options[64], rest[256];
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "%*d %*d %*s %63s %63s %63s %255[^\n]", root, at, options, rest) == 4 && strncmp(at, "/tmp", 4) == 0)
            say("%s %s %s %.14s;", root, at, options, rest);
}

CHECK(mount_hidden_outside_a_chroot) {
    own_mounts();
    tree("jail", 0);
    folder("jail/proc");
    MUST(mount("/proc", "jail/proc", 0, MS_BIND, 0));
    MUST(tmpfs("jail/d"));
    MUST(chroot("jail"));
    FILE *file = fopen("/proc/self/mounts", "r");
    char line[512], at[64];
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "%*s %63s", at) == 1) say("%s", at);
}

CHECK(mount_setns_changes_root_and_cwd) {
    own_mounts();
    tree("t", 0);
    pid_t pid = START_WITH(CLONE_NEWNS, { MUST(tmpfs("t/d")); touch("t/d/inner", ""); set_flag(0); pause(); });
    await_flag(0);
    SHOW("before", access("/tmp/t/d/inner", F_OK));
    MUST(chdir("t"));
    SHOW("setns", setns(ns_open(pid, "mnt"), CLONE_NEWNS));
    SHOW("after", access("/tmp/t/d/inner", F_OK));
    char path[64] = "";
    syscall(SYS_getcwd, path, sizeof path);
    show_text("cwd", path);
    kill(pid, SIGKILL);
}

static void *waits(void *argument) { pause(); return argument; }
CHECK(mount_setns_with_shared_fs) {
    pthread_t thread;
    int fd = ns_open(0, "mnt");
    pthread_create(&thread, 0, waits, 0);
    SHOW("setns", setns(fd, CLONE_NEWNS));
    SHOW("unshare", unshare(CLONE_NEWNS));
    SHOW("user", unshare(CLONE_NEWUSER));
    SHOW("chroot", chroot("/"));
}

CHECK(mount_new_api) {
    own_mounts();
    folder("t"), folder("u");
    int fs;
    OK("fsopen", fs = syscall(SYS_fsopen, "tmpfs", 0));
    SHOW("early", syscall(SYS_fsmount, fs, 0, 0));
    SHOW("source", syscall(SYS_fsconfig, fs, 1, "source", "probe", 0));
    SHOW("mode", syscall(SYS_fsconfig, fs, 1, "mode", "700", 0));
    SHOW("wrong", syscall(SYS_fsconfig, fs, 1, "nosuch", "1", 0));
    SHOW("create", syscall(SYS_fsconfig, fs, 6, 0, 0, 0));
    int mounted;
    OK("fsmount", mounted = syscall(SYS_fsmount, fs, 0, 0));
    SHOW("move", syscall(SYS_move_mount, mounted, "", AT_FDCWD, "t", 4));
    touch("t/x", "");
    int copy;
    OK("open_tree", copy = syscall(SYS_open_tree, AT_FDCWD, "t", 1));
    SHOW("detached", faccessat(copy, "x", F_OK, 0));
    SHOW("attach", syscall(SYS_move_mount, copy, "", AT_FDCWD, "u", 4));
    say("same=%d", same_file("t/x", "u/x"));
    OK("unknown", syscall(SYS_fsopen, "nosuchfs", 0));
}

CHECK(mount_attributes) {
    own_mounts();
    tree("t", 0);
    MUST(tmpfs("t/d"));
    struct { uint64_t set, clear, propagation, userns; } attributes = {1, 0, 0, 0};
    SHOW("rdonly", syscall(SYS_mount_setattr, AT_FDCWD, "t", AT_RECURSIVE, &attributes, sizeof attributes));
    OPENS("write", open("t/x", O_CREAT | O_WRONLY, 0644));
    OPENS("inner", open("t/d/x", O_CREAT | O_WRONLY, 0644));
    attributes.set = 0, attributes.clear = 1, attributes.propagation = MS_SHARED;
    SHOW("clear", syscall(SYS_mount_setattr, AT_FDCWD, "t", 0, &attributes, sizeof attributes));
    show_propagation("t", "/tmp/t");
    OPENS("write", open("t/x", O_CREAT | O_WRONLY, 0644));
    SHOW("size", syscall(SYS_mount_setattr, AT_FDCWD, "t", 0, &attributes, 8));
    SHOW("no-mount", syscall(SYS_mount_setattr, AT_FDCWD, "t/e", 0, &attributes, sizeof attributes));
}

CHECK(mount_openat2_resolve) {
    own_mounts();
    folder("root"), folder("root/in");
    touch("secret", "outside"), touch("root/secret", "inside");
    MUST(symlink("/secret", "root/absolute"));
    MUST(symlink("../secret", "root/up"));
    int fd = open("root", O_PATH | O_DIRECTORY);
    char text[16] = "";
    struct { uint64_t flags, mode, resolve; } how = {O_RDONLY, 0, 0x10}; // RESOLVE_IN_ROOT
    read(syscall(SYS_openat2, fd, "absolute", &how, sizeof how), text, 15);
    show_text("in-root", text);
    read(syscall(SYS_openat2, fd, "up", &how, sizeof how), text, 15);
    show_text("up", text);
    how.resolve = 0x08; // RESOLVE_BENEATH
    OPENS("beneath", syscall(SYS_openat2, fd, "secret", &how, sizeof how));
    OPENS("beneath-absolute", syscall(SYS_openat2, fd, "absolute", &how, sizeof how));
    OPENS("beneath-up", syscall(SYS_openat2, fd, "up", &how, sizeof how));
    OPENS("beneath-dots", syscall(SYS_openat2, fd, "in/../../secret", &how, sizeof how));
    how.resolve = 0x04; // RESOLVE_NO_SYMLINKS
    OPENS("no-symlinks", syscall(SYS_openat2, fd, "up", &how, sizeof how));
    how.resolve = 0x01; // RESOLVE_NO_XDEV
    OPENS("no-xdev", syscall(SYS_openat2, AT_FDCWD, "/proc/self", &how, sizeof how));
    how.resolve = 0x1000;
    OPENS("unknown", syscall(SYS_openat2, fd, "up", &how, sizeof how));
    OPENS("size", syscall(SYS_openat2, fd, "up", &how, 8));
}
