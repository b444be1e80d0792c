// Mount namespaces: propagation, binds, moves, pivot_root, what is locked, what is busy.
#include "check.h"

static bool exists(const char *path) { return access(path, F_OK) == 0; }
static void folder(const char *path) { must("mkdir", mkdir(path, 0755)); }
static long bind_mount(const char *from, const char *to) { return mount(from, to, 0, MS_BIND, 0); }
static long tmpfs(const char *at) { return mount("probe", at, "tmpfs", 0, 0); }
static long propagation(const char *at, unsigned long type) { return mount(0, at, 0, type, 0); }

// A tmpfs at NAME of the given propagation, with a folder d in it
static void tree(const char *name, unsigned long type) {
    char path[64];
    folder(name);
    MUST(tmpfs(name));
    if (type) MUST(propagation(name, type));
    snprintf(path, sizeof path, "%s/d", name);
    folder(path);
    snprintf(path, sizeof path, "%s/e", name);
    folder(path);
}

// The optional fields of the mount at PATH, with the numbers of groups left out
static void show_propagation(const char *label, const char *path) {
    FILE *file = fopen("/proc/self/mountinfo", "r");
    char line[1024], at[512], result[64] = "not-there";
    must("mountinfo", file ? 0 : -1);
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "%*d %*d %*s %*s %511s", at) != 1 || strcmp(at, path) != 0) continue;
        snprintf(result, sizeof result, "%s%s%s%s", strstr(line, " shared:") ? "shared" : "", strstr(line, " master:") ? "slave" : "",
                 strstr(line, " unbindable") ? "unbindable" : "", strstr(line, "shared:") || strstr(line, "master:") || strstr(line, "unbind") ? "" : "private");
    }
    fclose(file);
    say("%s=%s", label, result);
}

CHECK(mount_11_shared_goes_both_ways) {
    own_mounts();
    tree("t", MS_SHARED);
    pid_t pid = START_WITH(CLONE_NEWNS, { await_flag(0); say("inner-sees=%d", exists("t/d/x")); MUST(tmpfs("t/e")); touch("t/e/y", ""); set_flag(1); });
    MUST(tmpfs("t/d"));
    touch("t/d/x", "");
    set_flag(0);
    await_flag(1);
    say("outer-sees=%d", exists("t/e/y"));
    wait_for(pid);
}

CHECK(mount_11_slave_goes_one_way) {
    own_mounts();
    tree("t", MS_SHARED);
    pid_t pid = START_WITH(CLONE_NEWNS, {
        SHOW("slave", propagation("t", MS_SLAVE));
        set_flag(2);
        await_flag(0);
        say("inner-sees=%d", exists("t/d/x"));
        MUST(tmpfs("t/e"));
        touch("t/e/y", "");
        set_flag(1);
    });
    await_flag(2);
    MUST(tmpfs("t/d"));
    touch("t/d/x", "");
    set_flag(0);
    await_flag(1);
    say("outer-sees=%d", exists("t/e/y"));
    wait_for(pid);
}

CHECK(mount_11_private_goes_nowhere) {
    own_mounts();
    tree("t", MS_PRIVATE);
    pid_t pid = START_WITH(CLONE_NEWNS, { await_flag(0); say("inner-sees=%d", exists("t/d/x")); });
    MUST(tmpfs("t/d"));
    touch("t/d/x", "");
    set_flag(0);
    wait_for(pid);
}

CHECK(mount_11_unbindable) {
    own_mounts();
    tree("t", MS_UNBINDABLE);
    folder("u");
    SHOW("bind", bind_mount("t", "u"));
    folder("t/d/in");
    SHOW("subfolder", bind_mount("t/d", "u"));
    tree("s", MS_PRIVATE);
    MUST(tmpfs("s/d"));
    MUST(propagation("s/d", MS_UNBINDABLE));
    touch("s/d/x", "");
    SHOW("recursive", mount("s", "u", 0, MS_BIND | MS_REC, 0));
    say("pruned=%d", !exists("u/d/x"));
}

CHECK(mount_11_bind_of_shared_is_a_peer) {
    own_mounts();
    tree("t", MS_SHARED);
    folder("u");
    MUST(bind_mount("t", "u"));
    show_propagation("bind", "/tmp/u");
    MUST(tmpfs("u/d"));
    touch("u/d/x", "");
    say("sees=%d", exists("t/d/x"));
    SHOW("umount", umount2("t/d", 0));
    say("gone=%d", !exists("u/d/x"));
}

CHECK(mount_11_slave_and_shared) {
    own_mounts();
    tree("t", MS_SHARED);
    folder("u");
    MUST(bind_mount("t", "u"));
    MUST(propagation("u", MS_SLAVE));
    show_propagation("slave", "/tmp/u");
    MUST(propagation("u", MS_SHARED));
    show_propagation("both", "/tmp/u");
    folder("v");
    MUST(bind_mount("u", "v"));
    show_propagation("bind", "/tmp/v");
    MUST(tmpfs("t/d"));
    touch("t/d/x", "");
    say("v-sees=%d", exists("v/d/x"));
    MUST(tmpfs("v/e"));
    touch("v/e/y", "");
    say("u-sees=%d t-sees=%d", exists("u/e/y"), exists("t/e/y"));
    MUST(propagation("t", MS_PRIVATE));
    show_propagation("orphaned", "/tmp/u");
}

CHECK(mount_11_move_out_of_shared) {
    own_mounts();
    tree("t", MS_SHARED);
    MUST(tmpfs("t/d"));
    folder("m");
    SHOW("move", mount("t/d", "m", 0, MS_MOVE, 0));
    MUST(propagation("t", MS_PRIVATE));
    SHOW("private", mount("t/d", "m", 0, MS_MOVE, 0));
}

CHECK(mount_11_move) {
    own_mounts();
    tree("t", 0);
    folder("m");
    touch("t/d/x", "");
    SHOW("move", mount("t", "m", 0, MS_MOVE, 0));
    say("there=%d here=%d", exists("m/d/x"), exists("t/d"));
    SHOW("into-itself", mount("m", "m/d", 0, MS_MOVE, 0));
    SHOW("no-mount", mount("m/d", "t", 0, MS_MOVE, 0));
    SHOW("missing", mount("none", "t", 0, MS_MOVE, 0));
    touch("file", "");
    SHOW("onto-file", mount("m", "file", 0, MS_MOVE, 0));
}

CHECK(mount_11_propagation_flags) {
    own_mounts();
    tree("t", 0);
    SHOW("two", propagation("t", MS_SHARED | MS_PRIVATE));
    SHOW("with-flag", propagation("t", MS_SHARED | MS_NOSUID));
    SHOW("no-mount", propagation("t/d", MS_SHARED));
    MUST(tmpfs("t/d"));
    SHOW("recursive", propagation("t", MS_SHARED | MS_REC));
    show_propagation("inner", "/tmp/t/d");
}

CHECK(mount_12_new_user_namespace_turns_shared_into_slave) {
    own_mounts();
    tree("t", MS_SHARED);
    pid_t pid = START({
        enter_user_namespace();
        MUST(unshare(CLONE_NEWNS));
        show_propagation("inner", "/tmp/t");
        set_flag(0);
        await_flag(1);
        say("inner-sees=%d", exists("t/d/x"));
        SHOW("inner-mount", tmpfs("t/e"));
        touch("t/e/y", "");
        set_flag(2);
    });
    await_flag(0);
    MUST(tmpfs("t/d"));
    touch("t/d/x", "");
    set_flag(1);
    await_flag(2);
    say("outer-sees=%d", exists("t/e/y"));
    wait_for(pid);
}

CHECK(mount_13_locked_mounts) {
    own_mounts();
    tree("t", 0);
    MUST(tmpfs("t/d"));
    RUN({
        enter_user_namespace();
        MUST(unshare(CLONE_NEWNS));
        folder("t/e/u");
        SHOW("umount", umount2("t/d", 0));
        SHOW("detach", umount2("t/d", MNT_DETACH));
        SHOW("bind", bind_mount("t", "t/e/u"));
        SHOW("recursive", mount("t", "t/e/u", 0, MS_BIND | MS_REC, 0));
        SHOW("umount-copy", umount2("t/e/u/d", 0));
        SHOW("umount-whole", umount2("t/e/u", MNT_DETACH));
        SHOW("move", mount("t/d", "t/e/u", 0, MS_MOVE, 0));
    });
}

CHECK(mount_13_locked_flags) {
    own_mounts();
    folder("t");
    MUST(mount("probe", "t", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, 0));
    RUN({
        enter_user_namespace();
        MUST(unshare(CLONE_NEWNS));
        SHOW("keep", mount(0, "t", 0, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, 0));
        SHOW("drop-ro", mount(0, "t", 0, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV, 0));
        SHOW("drop-nosuid", mount(0, "t", 0, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV, 0));
        SHOW("add-noexec", mount(0, "t", 0, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, 0));
        SHOW("whole", mount(0, "t", 0, MS_REMOUNT | MS_NOSUID, 0));
    });
}

CHECK(mount_14_pivot_root_refusals) {
    own_mounts();
    folder("plain");
    folder("plain/old");
    SHOW("no-mount-point", syscall(SYS_pivot_root, "plain", "plain/old"));
    tree("new", 0);
    folder("outside");
    SHOW("put-old-outside", syscall(SYS_pivot_root, "new", "outside"));
    SHOW("root-itself", syscall(SYS_pivot_root, "/", "/tmp"));
    touch("file", "");
    SHOW("file", syscall(SYS_pivot_root, "file", "outside"));
    SHOW("missing", syscall(SYS_pivot_root, "none", "outside"));
    MUST(propagation("/tmp", MS_SHARED));
    SHOW("shared-parent", syscall(SYS_pivot_root, "new", "new/d"));
    MUST(propagation("/tmp", MS_PRIVATE));
    MUST(propagation("new", MS_SHARED));
    SHOW("shared-new", syscall(SYS_pivot_root, "new", "new/d"));
}

CHECK(mount_14_pivot_root) {
    own_mounts();
    tree("new", 0);
    touch("new/mark", "");
    pid_t other = START({ await_flag(0); say("others-root-moved=%d", exists("/mark")); });
    SHOW("pivot", syscall(SYS_pivot_root, "new", "new/d"));
    say("mark=%d old=%d", exists("/mark"), exists("/d/tmp"));
    char path[64];
    SHOW("getcwd", syscall(SYS_getcwd, path, sizeof path));
    show_text("cwd", path);
    set_flag(0);
    wait_for(other);
    SHOW("umount-busy", umount2("/d", 0));
    MUST(chdir("/"));
    SHOW("detach", umount2("/d", MNT_DETACH));
    say("empty=%d", !exists("/d/tmp"));
}

CHECK(mount_14_pivot_root_dot_dot) {
    own_mounts();
    tree("new", 0);
    touch("new/mark", "");
    MUST(chdir("new"));
    SHOW("pivot", syscall(SYS_pivot_root, ".", "."));
    SHOW("umount", umount2(".", MNT_DETACH));
    say("mark=%d", exists("/mark"));
    SHOW("proc", access("/proc", F_OK));
}

CHECK(mount_14_pivot_root_in_a_chroot) {
    own_mounts();
    tree("jail", 0);
    folder("jail/d/new");
    folder("plain");
    RUN({
        MUST(chroot("jail"));
        MUST(chdir("/"));
        MUST(mount("probe", "/d/new", "tmpfs", 0, 0));
        folder("/d/new/old");
        SHOW("root-is-a-mount", syscall(SYS_pivot_root, "/d/new", "/d/new/old"));
    });
    RUN({
        MUST(chroot("plain"));
        MUST(chdir("/"));
        folder("/new");
        MUST(mount("probe", "/new", "tmpfs", 0, 0));
        folder("/new/old");
        SHOW("root-is-a-folder", syscall(SYS_pivot_root, "/new", "/new/old"));
    });
}

CHECK(mount_15_bind_ignores_rdonly_at_first) {
    own_mounts();
    tree("t", 0);
    folder("u");
    SHOW("bind", mount("t", "u", 0, MS_BIND | MS_RDONLY, 0));
    OPENS("write", open("u/x", O_CREAT | O_WRONLY, 0644));
    SHOW("remount", mount(0, "u", 0, MS_REMOUNT | MS_BIND | MS_RDONLY, 0));
    OPENS("read-only", open("u/y", O_CREAT | O_WRONLY, 0644));
    OPENS("other-side", open("t/y", O_CREAT | O_WRONLY, 0644));
    SHOW("mkdir", mkdir("u/z", 0755));
    SHOW("chmod", chmod("u/x", 0600));
    SHOW("unlink", unlink("u/x"));
    SHOW("access", access("u/x", W_OK));
}

CHECK(mount_15_rename_and_link_across_a_bind) {
    own_mounts();
    tree("t", 0);
    touch("t/x", "");
    folder("u");
    MUST(bind_mount("t", "u"));
    SHOW("rename", rename("t/x", "u/y"));
    SHOW("link", link("t/x", "u/y"));
    SHOW("within", rename("t/x", "t/y"));
    say("same=%d", same_file("t/y", "u/y"));
}

CHECK(mount_15_bind_kinds) {
    own_mounts();
    folder("d");
    touch("f", "file");
    touch("g", "other");
    SHOW("folder-on-file", bind_mount("d", "f"));
    SHOW("file-on-folder", bind_mount("f", "d"));
    SHOW("file-on-file", bind_mount("f", "g"));
    show_file("g", "g");
    SHOW("unlink", unlink("g"));
    SHOW("unlink-source", unlink("f"));
    show_file("still", "g");
    SHOW("missing", bind_mount("none", "d"));
    SHOW("no-target", bind_mount("d", "none"));
}

CHECK(mount_15_remount_read_only_with_writers) {
    own_mounts();
    tree("t", 0);
    int fd = open("t/x", O_CREAT | O_WRONLY, 0644);
    SHOW("busy", mount(0, "t", 0, MS_REMOUNT | MS_RDONLY, 0));
    SHOW("bind-busy", mount(0, "t", 0, MS_REMOUNT | MS_BIND | MS_RDONLY, 0));
    close(fd);
    SHOW("remount", mount(0, "t", 0, MS_REMOUNT | MS_RDONLY, 0));
    OPENS("open", open("t/x", O_WRONLY));
    OK("truncate", truncate("t/x", 0));
    SHOW("no-mount", mount(0, "t/d", 0, MS_REMOUNT, 0));
}

CHECK(mount_16_rmdir_of_a_mount_point_elsewhere) {
    own_mounts();
    folder("d");
    pid_t pid = START_WITH(CLONE_NEWNS, {
        MUST(tmpfs("d"));
        touch("d/x", "");
        set_flag(0);
        await_flag(1);
        SHOW("x", access("d/x", F_OK));
        SHOW("d", access("d", F_OK));
    });
    await_flag(0);
    SHOW("rmdir", rmdir("d"));
    set_flag(1);
    wait_for(pid);
}

CHECK(mount_16_own_mount_points_are_busy) {
    own_mounts();
    folder("d");
    MUST(tmpfs("d"));
    SHOW("rmdir", rmdir("d"));
    SHOW("rename", rename("d", "e"));
    touch("f", ""), touch("g", "");
    MUST(bind_mount("f", "g"));
    SHOW("unlink", unlink("g"));
    SHOW("rename-onto", rename("f", "g"));
}

CHECK(mount_17_binding_namespace_files) {
    own_mounts();
    touch("mnt", ""), touch("uts", "");
    SHOW("own-mnt", bind_mount("/proc/self/ns/mnt", "mnt"));
    SHOW("uts", bind_mount("/proc/self/ns/uts", "uts"));
    say("same=%d", same_file("uts", "/proc/self/ns/uts"));
    pid_t pid = START_WITH(CLONE_NEWNS, { set_flag(0); pause(); });
    await_flag(0);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
    SHOW("younger-mnt", bind_mount(path, "mnt"));
    kill(pid, SIGKILL);
}

CHECK(mount_17_chroot_is_escaped_by_fchdir) {
    own_mounts();
    folder("jail");
    touch("outside", "");
    int fd = open(".", O_RDONLY | O_DIRECTORY);
    MUST(chroot("jail"));
    MUST(chdir("/"));
    SHOW("before", access("../outside", F_OK));
    SHOW("fchdir", fchdir(fd));
    SHOW("after", access("./outside", F_OK));
    SHOW("chroot", chroot("../../../.."));
    SHOW("proc", access("/proc", F_OK));
    char path[64] = "";
    MUST(chroot("jail"));
    SHOW("getcwd", syscall(SYS_getcwd, path, sizeof path));
    show_text("cwd", path);
}

CHECK(mount_17_user_namespace_in_a_chroot) {
    own_mounts();
    folder("jail");
    MUST(chroot("jail"));
    SHOW("unshare", unshare(CLONE_NEWUSER));
    SHOW("newns", unshare(CLONE_NEWNS));
}

CHECK(mount_18_filesystems_in_a_user_namespace) {
    own_mounts();
    folder("a"), folder("b");
    RUN({
        become(1000);
        enter_user_namespace();
        MUST(unshare(CLONE_NEWNS));
        SHOW("tmpfs", tmpfs("a"));
        SHOW("ext4", mount("/dev/none", "b", "ext4", 0, 0));
        SHOW("unknown", mount("none", "b", "nosuchfs", 0, 0));
        SHOW("proc", mount("proc", "b", "proc", 0, 0));
        SHOW("sysfs", mount("sysfs", "b", "sysfs", 0, 0));
        SHOW("devpts", mount("devpts", "b", "devpts", 0, "newinstance"));
        SHOW("mqueue", mount("mqueue", "b", "mqueue", 0, 0));
    });
}

CHECK(mount_18_proc_with_its_own_pid_namespace) {
    own_mounts();
    folder("p"), folder("s"), folder("c");
    RUN({
        enter_user_namespace();
        MUST(unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP));
        RUN({
            SHOW("proc", mount("proc", "p", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0));
            SHOW("sysfs", mount("sysfs", "s", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0));
            SHOW("cgroup2", mount("cgroup2", "c", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0));
        });
    });
}

CHECK(mount_18_devices_in_a_user_namespace) {
    own_mounts();
    RUN({
        enter_user_namespace();
        MUST(unshare(CLONE_NEWNS));
        folder("t");
        MUST(tmpfs("t"));
        SHOW("null", mknod("t/null", S_IFCHR | 0666, makedev(1, 3)));
        SHOW("block", mknod("t/disk", S_IFBLK | 0666, makedev(8, 0)));
        SHOW("fifo", mknod("t/fifo", S_IFIFO | 0666, 0));
        SHOW("file", mknod("t/file", S_IFREG | 0666, 0));
        SHOW("whiteout", mknod("t/whiteout", S_IFCHR | 0666, makedev(0, 0)));
        SHOW("sock", mknod("t/sock", S_IFSOCK | 0666, 0));
        SHOW("folder", mknod("t/folder", S_IFDIR | 0777, 0));
    });
}

CHECK(mount_18_devices_on_a_nodev_mount) {
    own_mounts();
    MUST(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
    OPENS("open", open("null", O_RDWR));
    folder("t");
    MUST(mount("/tmp", "t", 0, MS_BIND, 0));
    MUST(mount(0, "t", 0, MS_REMOUNT | MS_BIND | MS_NODEV | MS_NOEXEC, 0));
    OPENS("nodev", open("t/null", O_RDWR));
    touch("x", "#!/bin/probe\n");
    chmod("x", 0755);
    SHOW("noexec", execl("t/x", "x", (char *)0));
    SHOW("access", access("t/x", X_OK));
    OPENS("unknown-device", open((mknod("odd", S_IFCHR | 0666, makedev(250, 77)), "odd"), O_RDWR));
}

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
