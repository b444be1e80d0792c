// Mount namespaces: propagation, binds, moves, pivot_root, what is locked, what a user namespace may mount.
#include "mount.h"

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
