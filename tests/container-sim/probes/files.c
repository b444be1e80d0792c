// Files, folders and names: open's flags, locks, links, renames, times, attributes, limits.
#include "check.h"

#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>

static bool exists(const char *path) {
    struct stat info;
    return lstat(path, &info) == 0;
}

CHECK(file_open_flags) {
    own_mounts();
    touch("f", "text"), mkdir("d", 0755), symlink("f", "link"), symlink("none", "dangling");
    OPENS("excl", open("f", O_CREAT | O_EXCL | O_RDWR, 0644));
    OPENS("excl-dangling", open("dangling", O_CREAT | O_EXCL | O_RDWR, 0644));
    OPENS("nofollow", open("link", O_RDONLY | O_NOFOLLOW));
    OPENS("directory", open("f", O_RDONLY | O_DIRECTORY));
    OPENS("write-folder", open("d", O_RDWR));
    OPENS("create-folder", open("d", O_CREAT | O_RDONLY, 0644));
    OPENS("create-through-dangling", open("dangling", O_CREAT | O_RDWR, 0644));
    say("made=%d", exists("none"));
    OPENS("below-file", open("f/x", O_RDONLY));
    OPENS("trailing", open("f/", O_RDONLY));
    OPENS("empty", open("", O_RDONLY));
    OPENS("create-directory", open("e", O_CREAT | O_DIRECTORY, 0644));
}

CHECK(file_o_path) {
    own_mounts();
    touch("f", "text"), symlink("f", "link");
    char text[8];
    struct stat info;
    int fd = open("link", O_PATH | O_NOFOLLOW);
    OK("open", fd < 0 ? -1 : 0);
    SHOW("read", read(fd, text, 4));
    SHOW("fstat", fstat(fd, &info));
    say("link=%d", S_ISLNK(info.st_mode));
    SHOW("readlinkat", readlinkat(fd, "", text, sizeof text));
    SHOW("fchmod", fchmod(fd, 0600));
    SHOW("getfl", fcntl(fd, F_GETFL) & ~0100000); // without O_LARGEFILE
    char path[64];
    int file = open("f", O_PATH);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    OPENS("reopen", open(path, O_RDWR));
    SHOW("mmap", mmap(0, 4096, PROT_READ, MAP_PRIVATE, file, 0) == MAP_FAILED ? -1 : 0);
}

CHECK(file_tmpfile_and_linkat) {
    own_mounts();
    char path[64];
    int fd;
    OK("tmpfile", fd = open(".", O_TMPFILE | O_RDWR, 0644));
    struct stat info;
    fstat(fd, &info);
    say("links=%d", (int)info.st_nlink);
    write(fd, "text", 4);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    SHOW("linkat", linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
    show_file("named", "named");
    OPENS("read-only", open(".", O_TMPFILE | O_RDONLY, 0644));
}

CHECK(file_append_and_offsets) {
    own_mounts();
    int a = open("f", O_CREAT | O_RDWR | O_APPEND, 0644), b = open("f", O_RDWR), c = dup(b);
    write(b, "12345", 5);
    write(a, "abc", 3);
    SHOW("append", lseek(a, 0, SEEK_CUR));
    SHOW("dup-shares", lseek(c, 0, SEEK_CUR));
    SHOW("pwrite-appends", pwrite(a, "X", 1, 0)); // Linux: O_APPEND wins over the offset
    show_file("text", "f");
    SHOW("hole", lseek(b, 10000, SEEK_SET));
    write(b, "z", 1);
    SHOW("seek-hole", lseek(b, 0, SEEK_HOLE));
    SHOW("seek-data", lseek(b, 5000, SEEK_DATA));
    SHOW("beyond", lseek(b, 20000, SEEK_DATA));
    SHOW("negative", lseek(b, -1, SEEK_SET));
    RUN({ lseek(b, 3, SEEK_SET); });
    SHOW("fork-shares", lseek(b, 0, SEEK_CUR));
}

CHECK(file_fcntl) {
    touch("f", "");
    int fd = open("f", O_RDWR | O_CLOEXEC);
    SHOW("getfd", fcntl(fd, F_GETFD));
    SHOW("setfd", fcntl(fd, F_SETFD, 0));
    SHOW("getfl", fcntl(fd, F_GETFL) & ~0100000);
    SHOW("setfl", fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK | O_WRONLY));
    SHOW("getfl", fcntl(fd, F_GETFL) & ~0100000);
    SHOW("dupfd", fcntl(fd, F_DUPFD, 50));
    SHOW("dupfd-cloexec", fcntl(fd, F_DUPFD_CLOEXEC, 50));
    SHOW("getfd", fcntl(51, F_GETFD));
    SHOW("large", fcntl(fd, F_DUPFD, 100000000));
    SHOW("unknown", fcntl(fd, 9999));
    SHOW("closed", fcntl(99, F_GETFD));
    SHOW("dup3-same", dup3(fd, fd, 0));
    SHOW("dup2-same", dup2(fd, fd) == fd);
    SHOW("dup3-flags", dup3(fd, 60, O_NONBLOCK));
}

CHECK(file_record_locks) {
    own_mounts();
    int fd = open("f", O_CREAT | O_RDWR, 0644);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10};
    SHOW("lock", fcntl(fd, F_SETLK, &lock));
    pid_t own = getpid();
    RUN({
        SHOW("other", fcntl(fd, F_SETLK, &lock));
        fcntl(fd, F_GETLK, &lock);
        say("type=%d owner=%d start=%ld len=%ld", lock.l_type, lock.l_pid == own, (long)lock.l_start, (long)lock.l_len);
        lock = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 0};
        SHOW("beside", fcntl(fd, F_SETLK, &lock));
        close(open("f", O_RDONLY));
    });
    close(open("f", O_RDONLY)); // closing any descriptor of the file drops the process's locks
    lock = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
    RUN({ SHOW("after-close", fcntl(fd, F_SETLK, &lock)); });
}

CHECK(file_open_file_description_locks) {
    own_mounts();
    int a = open("f", O_CREAT | O_RDWR, 0644), b = open("f", O_RDWR);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    SHOW("ofd", fcntl(a, F_OFD_SETLK, &lock));
    SHOW("other-description", fcntl(b, F_OFD_SETLK, &lock));
    SHOW("flock", flock(a, LOCK_EX));
    SHOW("flock-other", flock(b, LOCK_EX | LOCK_NB));
    SHOW("unlock", flock(a, LOCK_UN));
    SHOW("flock-other", flock(b, LOCK_SH | LOCK_NB));
    RUN({ SHOW("inherited", flock(b, LOCK_EX | LOCK_NB)); });
    SHOW("wrong", flock(a, 16));
}

CHECK(file_lock_waits_and_deadlock) {
    own_mounts();
    int fd = open("f", O_CREAT | O_RDWR, 0644);
    struct flock first = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1}, second = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 1};
    fcntl(fd, F_SETLK, &first);
    pid_t pid = START({ fcntl(fd, F_SETLK, &second); set_flag(0); fcntl(fd, F_SETLKW, &first); say("child-got-it"); });
    await_flag(0);
    await_sleep(pid);
    SHOW("deadlock", fcntl(fd, F_SETLKW, &second));
    first.l_type = F_UNLCK;
    fcntl(fd, F_SETLK, &first);
    wait_for(pid);
}

CHECK(file_links) {
    own_mounts();
    touch("f", "text"), mkdir("d", 0755), symlink("f", "soft");
    struct stat info;
    SHOW("link", link("f", "g"));
    stat("f", &info);
    say("links=%d", (int)info.st_nlink);
    SHOW("folder", link("d", "e"));
    SHOW("exists", link("f", "g"));
    SHOW("soft", link("soft", "soft2"));
    lstat("soft2", &info);
    say("soft-link=%d links=%d", S_ISLNK(info.st_mode), (int)info.st_nlink);
    SHOW("follow", linkat(AT_FDCWD, "soft", AT_FDCWD, "hard", AT_SYMLINK_FOLLOW));
    SHOW("loop", symlink("loop", "loop"));
    OPENS("loop", open("loop", O_RDONLY));
    SHOW("empty", symlink("", "x"));
    SHOW("unlink-folder", unlink("d"));
    SHOW("rmdir-file", rmdir("f"));
    stat("d", &info);
    say("folder-links=%d", (int)info.st_nlink);
    mkdir("d/e", 0755);
    stat("d", &info);
    say("with-one=%d", (int)info.st_nlink);
}

CHECK(file_rename) {
    own_mounts();
    touch("f", "f"), touch("g", "g"), mkdir("d", 0755), mkdir("e", 0755), touch("e/x", "");
    SHOW("onto-file", rename("f", "g"));
    show_file("g", "g");
    SHOW("onto-folder", rename("g", "d"));
    SHOW("folder-onto-file", rename("d", "g"));
    SHOW("onto-full", rename("d", "e"));
    SHOW("onto-empty", rename("e", "d"));
    say("x=%d", exists("d/x"));
    SHOW("into-itself", rename("d", "d/y"));
    SHOW("missing", rename("none", "x"));
    SHOW("noreplace", renameat2(AT_FDCWD, "g", AT_FDCWD, "d", RENAME_NOREPLACE));
    SHOW("exchange", renameat2(AT_FDCWD, "g", AT_FDCWD, "d", RENAME_EXCHANGE));
    say("swapped=%d", exists("g/x"));
    SHOW("both", renameat2(AT_FDCWD, "g", AT_FDCWD, "d", RENAME_EXCHANGE | RENAME_NOREPLACE));
    SHOW("dot", rename("g/.", "h"));
    link("d", "k");
    SHOW("same-file", rename("d", "k"));
    say("both-there=%d", exists("d") && exists("k"));
    SHOW("whiteout", renameat2(AT_FDCWD, "k", AT_FDCWD, "moved", RENAME_WHITEOUT));
    struct stat info;
    lstat("k", &info);
    say("char=%d dev=%d", S_ISCHR(info.st_mode), (int)info.st_rdev);
}

CHECK(file_directories) {
    own_mounts();
    SHOW("mkdir", mkdir("d", 0777));
    struct stat info;
    stat("d", &info);
    say("mode=%o", info.st_mode & 07777);
    SHOW("exists", mkdir("d", 0777));
    SHOW("below-missing", mkdir("none/d", 0777));
    SHOW("dot", rmdir("."));
    SHOW("dot-dot", rmdir("d/.."));
    MUST(chdir("d"));
    SHOW("rmdir-cwd", rmdir("/tmp/d"));
    char path[64];
    SHOW("getcwd", syscall(SYS_getcwd, path, sizeof path));
    SHOW("create", mknod("x", S_IFREG | 0644, 0));
    SHOW("parent", access("..", F_OK));
    DIR *folder = opendir(".");
    int count = 0;
    while (folder && readdir(folder)) count++;
    say("entries=%d", count);
    SHOW("root", rmdir("/"));
}

CHECK(file_getdents_and_seek) {
    own_mounts();
    mkdir("d", 0755);
    char path[32];
    for (int i = 0; i < 100; i++) snprintf(path, sizeof path, "d/f%d", i), touch(path, "");
    DIR *folder = opendir("d");
    int count = 0, kinds = 0;
    for (struct dirent *entry; (entry = readdir(folder));) count++, kinds += entry->d_type == DT_REG;
    say("entries=%d regular=%d", count, kinds);
    rewinddir(folder);
    for (count = 0; readdir(folder); count++) {}
    say("again=%d", count);
    char buffer[64];
    int fd = open("d", O_RDONLY);
    SHOW("small", syscall(SYS_getdents64, fd, buffer, 8));
    SHOW("file", syscall(SYS_getdents64, open("d/f1", O_RDONLY), buffer, sizeof buffer));
    rewinddir(folder);
    int removed = 0; // removing while reading loses nothing
    for (struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] == 'f') removed += unlinkat(dirfd(folder), entry->d_name, 0) == 0;
    say("removed=%d", removed);
    SHOW("rmdir", rmdir("d"));
}

CHECK(file_truncate_and_allocate) {
    own_mounts();
    int fd = open("f", O_CREAT | O_RDWR, 0644);
    struct stat info;
    SHOW("grow", ftruncate(fd, 10000));
    fstat(fd, &info);
    say("size=%ld blocks=%ld", (long)info.st_size, (long)info.st_blocks);
    SHOW("allocate", fallocate(fd, 0, 0, 20000));
    fstat(fd, &info);
    say("size=%ld blocks=%ld", (long)info.st_size, (long)info.st_blocks);
    SHOW("keep-size", fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 40000));
    pwrite(fd, "data", 4, 5000);
    SHOW("punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096));
    char text[4] = "zzzz";
    pread(fd, text, 4, 5000);
    say("zero=%d", text[0] == 0);
    SHOW("zero-length", fallocate(fd, 0, 0, 0));
    SHOW("negative", ftruncate(fd, -1));
    SHOW("read-only", ftruncate(open("f", O_RDONLY), 0));
    SHOW("pipe", ({ int ends[2]; pipe(ends); fallocate(ends[1], 0, 0, 10); }));
}

CHECK(file_times) {
    own_mounts();
    touch("f", "x");
    struct timespec times[2] = {{1000, 123456789}, {2000, 5}}, omit[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
    struct stat info;
    SHOW("set", utimensat(AT_FDCWD, "f", times, 0));
    stat("f", &info);
    say("atime=%ld.%09ld mtime=%ld.%09ld", (long)info.st_atim.tv_sec, info.st_atim.tv_nsec, (long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    say("ctime-is-now=%d", info.st_ctim.tv_sec > 1000000 || info.st_ctim.tv_sec != 2000);
    SHOW("omit", utimensat(AT_FDCWD, "f", omit, 0));
    stat("f", &info);
    say("atime=%ld mtime-moved=%d", (long)info.st_atim.tv_sec, info.st_mtim.tv_sec != 2000);
    times[0].tv_nsec = 1000000000;
    SHOW("nanoseconds", utimensat(AT_FDCWD, "f", times, 0));
    times[0].tv_nsec = 0;
    chmod("f", 0666);
    RUN({ become(1000); SHOW("set-by-other", utimensat(AT_FDCWD, "f", times, 0)); SHOW("now-by-writer", utimensat(AT_FDCWD, "f", 0, 0)); });
    utimensat(AT_FDCWD, "f", times, 0);
    int fd = open("f", O_WRONLY);
    write(fd, "y", 1);
    fstat(fd, &info);
    say("write-moves=%d", info.st_mtim.tv_sec != 2000);
}

CHECK(file_statx_and_statfs) {
    own_mounts();
    touch("f", "12345");
    struct statx info;
    SHOW("statx", syscall(SYS_statx, AT_FDCWD, "f", 0, 0x7ff, &info));
    say("size=%ld mode=%o links=%d blksize=%d mask-basic=%d", (long)info.stx_size, info.stx_mode, info.stx_nlink, info.stx_blksize, (info.stx_mask & 0x7ff) == 0x7ff);
    SHOW("empty-path", syscall(SYS_statx, AT_FDCWD, "", 0, 0x7ff, &info));
    SHOW("cwd", syscall(SYS_statx, AT_FDCWD, "", AT_EMPTY_PATH, 0x7ff, &info));
    SHOW("reserved", syscall(SYS_statx, AT_FDCWD, "f", 0, 0x80000000, &info));
    static const char *const paths[] = {"/tmp", "/proc", "/sys", "/sys/fs/cgroup", "/dev/pts"};
    struct statfs fs;
    for (int i = 0; i < 5; i++) {
        if (statfs(paths[i], &fs) < 0) say("%s=%s", paths[i], strerrorname_np(errno));
        else say("%s=%lx", paths[i], (long)fs.f_type);
    }
}

CHECK(file_modes_and_umask) {
    own_mounts();
    struct stat info;
    SHOW("umask", umask(077));
    touch("f", "");
    stat("f", &info);
    say("mode=%o", info.st_mode & 07777);
    SHOW("umask", umask(07777));
    SHOW("umask", umask(022));
    SHOW("chmod", chmod("f", 0777777));
    stat("f", &info);
    say("mode=%o", info.st_mode);
    symlink("f", "link");
    SHOW("nofollow", fchmodat(AT_FDCWD, "link", 0600, AT_SYMLINK_NOFOLLOW));
    SHOW("access", access("f", R_OK | W_OK | X_OK));
    chmod("f", 0644);
    SHOW("root-execute", access("f", X_OK));
    SHOW("mode", access("f", 99));
    RUN({ setresuid(1000, 0, 0); SHOW("real-id", access("f", W_OK)); SHOW("effective", faccessat(AT_FDCWD, "f", W_OK, AT_EACCESS)); });
}

CHECK(file_xattrs) {
    own_mounts();
    touch("f", "");
    char value[16] = "", list[128];
    SHOW("set", setxattr("f", "user.a", "one", 3, 0));
    SHOW("create", setxattr("f", "user.a", "two", 3, XATTR_CREATE));
    SHOW("replace", setxattr("f", "user.b", "two", 3, XATTR_REPLACE));
    SHOW("get", getxattr("f", "user.a", value, sizeof value));
    SHOW("size", getxattr("f", "user.a", 0, 0));
    SHOW("small", getxattr("f", "user.a", value, 1));
    SHOW("trusted", setxattr("f", "trusted.a", "t", 1, 0));
    SHOW("list", listxattr("f", list, sizeof list));
    SHOW("space", setxattr("f", "nosuch.a", "t", 1, 0));
    SHOW("remove", removexattr("f", "user.a"));
    SHOW("again", removexattr("f", "user.a"));
    symlink("f", "link");
    SHOW("on-link", lsetxattr("link", "user.a", "x", 1, 0));
    chmod("f", 0666);
    RUN({ become(1000); SHOW("user", setxattr("f", "user.c", "c", 1, 0)); SHOW("trusted", getxattr("f", "trusted.a", value, sizeof value)); });
}

CHECK(file_names) {
    own_mounts();
    static char name[300], path[5000];
    memset(name, 'n', 255);
    OPENS("255", open(name, O_CREAT | O_RDWR, 0644));
    name[255] = 'n';
    OPENS("256", open(name, O_CREAT | O_RDWR, 0644));
    memset(path, '/', 4095);
    OPENS("4095", open(path, O_RDONLY));
    path[4095] = '/';
    OPENS("4096", open(path, O_RDONLY));
    OPENS("dots", open("./././../tmp//.", O_RDONLY));
    OPENS("above-root", open("/../../../tmp", O_RDONLY));
    char link[8] = "l0";
    symlink("/tmp", "l0");
    for (int i = 1; i <= 41; i++) {
        char target[8];
        snprintf(target, sizeof target, "l%d", i - 1), snprintf(link, sizeof link, "l%d", i);
        symlink(target, link);
    }
    OPENS("40-links", open("l39", O_RDONLY));
    OPENS("41-links", open("l40", O_RDONLY));
}

CHECK(file_sendfile_copy_file_range_splice) {
    own_mounts();
    touch("f", "0123456789");
    int in = open("f", O_RDONLY), out = open("g", O_CREAT | O_RDWR, 0644), ends[2];
    pipe(ends);
    off_t offset = 2, to = 0;
    SHOW("sendfile", sendfile(out, in, &offset, 5));
    say("offset=%ld position=%ld", (long)offset, (long)lseek(in, 0, SEEK_CUR));
    SHOW("copy", copy_file_range(in, &to, out, 0, 3, 0));
    show_file("g", "g");
    SHOW("sendfile-pipe", sendfile(ends[1], in, 0, 4));
    SHOW("splice", splice(ends[0], 0, out, 0, 10, 0));
    show_file("g", "g");
    SHOW("no-pipe", splice(in, 0, out, 0, 4, 0));
    SHOW("copy-overlap", copy_file_range(out, &to, out, &to, 3, 0));
    SHOW("copy-pipe", copy_file_range(in, 0, ends[1], 0, 3, 0));
}

CHECK(file_vectors) {
    own_mounts();
    int fd = open("f", O_CREAT | O_RDWR, 0644);
    char a[4] = "abc", b[4] = "xyz";
    struct iovec vectors[3] = {{a, 3}, {0, 0}, {b, 3}};
    SHOW("writev", writev(fd, vectors, 3));
    lseek(fd, 0, SEEK_SET);
    vectors[0].iov_len = 1, vectors[2].iov_len = 4;
    SHOW("readv", readv(fd, vectors, 3));
    say("%.1s %.4s", a, b);
    SHOW("preadv", preadv(fd, vectors, 1, 5));
    SHOW("count", writev(fd, vectors, 1025));
    SHOW("negative", writev(fd, vectors, -1));
    vectors[0].iov_base = (void *)8, vectors[0].iov_len = 1;
    SHOW("pointer", writev(fd, vectors, 1));
    vectors[0].iov_base = a, vectors[0].iov_len = -1;
    SHOW("length", writev(fd, vectors, 1));
    SHOW("pwritev2", pwritev2(fd, &vectors[2], 1, 0, 0x1000));
}

CHECK(file_descriptor_limit) {
    struct rlimit limit = {10, 10};
    setrlimit(RLIMIT_NOFILE, &limit);
    int count = 0;
    while (count < 50 && open("/dev/null", O_RDONLY) >= 0) count++;
    say("%s", strerrorname_np(errno));
    SHOW("dup", dup(0));
    SHOW("dup2", dup2(0, 10));
    SHOW("dup2-below", dup2(0, 9));
    SHOW("fcntl", fcntl(0, F_DUPFD, 10));
    int ends[2];
    SHOW("pipe", pipe(ends));
}

CHECK(file_size_limit) {
    own_mounts();
    struct rlimit limit = {1000, 1000};
    int fd = open("f", O_CREAT | O_RDWR, 0644);
    static char data[2000];
    setrlimit(RLIMIT_FSIZE, &limit);
    show_status("default", RUN({ SHOW("partial", pwrite(fd, data, 2000, 0)); pwrite(fd, data, 1, 1000); }));
    signal(SIGXFSZ, SIG_IGN);
    SHOW("ignored", pwrite(fd, data, 1, 1000));
    SHOW("truncate", ftruncate(fd, 1001));
    SHOW("below", ftruncate(fd, 999));
}

CHECK(file_close_range_and_exec) {
    for (int fd = 10; fd < 20; fd++) dup2(0, fd);
    SHOW("close", syscall(SYS_close_range, 12, 15, 0));
    SHOW("12", fcntl(12, F_GETFD));
    SHOW("16", fcntl(16, F_GETFD));
    SHOW("cloexec", syscall(SYS_close_range, 16, ~0u, 4));
    SHOW("16", fcntl(16, F_GETFD));
    SHOW("order", syscall(SYS_close_range, 5, 3, 0));
    SHOW("flags", syscall(SYS_close_range, 5, 6, 99));
}

CHECK(file_devices) {
    char text[8] = "zzzzzzz";
    int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDWR), full = open("/dev/full", O_RDWR);
    SHOW("null-read", read(null, text, 4));
    SHOW("null-write", write(null, text, 4));
    SHOW("zero-read", read(zero, text, 4));
    say("zeros=%d", text[0] == 0 && text[3] == 0);
    SHOW("full-write", write(full, text, 4));
    SHOW("full-read", read(full, text, 4));
    SHOW("urandom", read(open("/dev/urandom", O_RDONLY), text, 4));
    OPENS("tty-without", open("/dev/tty", O_RDWR));
    struct stat info;
    stat("/dev/null", &info);
    say("char=%d %d:%d", S_ISCHR(info.st_mode), (int)major(info.st_rdev), (int)minor(info.st_rdev));
}

CHECK(file_unlinked_is_kept) {
    own_mounts();
    touch("f", "kept");
    int fd = open("f", O_RDWR);
    unlink("f");
    struct stat info;
    fstat(fd, &info);
    char text[16] = "", path[64], link[64] = "";
    read(fd, text, 15);
    say("links=%d text=%s", (int)info.st_nlink, text);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    readlink(path, link, sizeof link - 1);
    show_text("link", link);
    OPENS("reopen", open(path, O_RDWR));
    SHOW("relink", linkat(AT_FDCWD, path, AT_FDCWD, "g", AT_SYMLINK_FOLLOW));
}

CHECK(file_mknod_and_fifo) {
    own_mounts();
    SHOW("fifo", mkfifo("p", 0644));
    OPENS("write-nonblock", open("p", O_WRONLY | O_NONBLOCK));
    pid_t pid = START({ char text[8] = ""; int fd = open("p", O_RDONLY); SHOW("read", read(fd, text, 8)); SHOW("end", read(fd, text, 8)); });
    int fd = open("p", O_WRONLY);
    write(fd, "hello", 5);
    close(fd);
    wait_for(pid);
    OPENS("read-write", open("p", O_RDWR));
    SHOW("seek", lseek(open("p", O_RDWR), 0, SEEK_SET));
    SHOW("exists", mknod("p", S_IFREG, 0));
    SHOW("socket-open", (mknod("s", S_IFSOCK | 0644, 0), open("s", O_RDWR)));
}

CHECK(file_inotify) {
    own_mounts();
    mkdir("d", 0755);
    int fd;
    OK("init", fd = syscall(SYS_inotify_init1, O_NONBLOCK));
    SHOW("watch", syscall(SYS_inotify_add_watch, fd, "d", 0x100 | 0x200 | 0x2)); // create, delete, modify
    touch("d/x", "text");
    unlink("d/x");
    char buffer[512];
    long length = read(fd, buffer, sizeof buffer);
    if (length < 0) say("%s", strerrorname_np(errno));
    for (long at = 0; at < length;) {
        uint32_t *event = (uint32_t *)(buffer + at);
        say("%x:%s", event[1], (char *)(event + 4));
        at += 16 + event[3];
    }
    SHOW("empty", read(fd, buffer, sizeof buffer));
}
