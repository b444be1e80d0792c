// Locks on files, their waiting and their ends (fcntl(2), flock(2)), and moving bytes between files (splice(2), sendfile(2)).
#include "check.h"

#include <sys/file.h>
#include <sys/sendfile.h>

static long lock(int fd, int command, int type, long start, long length) {
    struct flock area = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    return fcntl(fd, command, &area);
}
// What keeps another process from a write lock: `type start length`.
static void show_owner(const char *label, int fd, long start, long length) {
    RUN({
        struct flock area = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
        if (fcntl(fd, F_GETLK, &area) < 0) say("%s=%s", label, strerrorname_np(errno));
        else if (area.l_type == F_UNLCK) say("%s=free", label);
        else say("%s=%c%ld+%ld", label, area.l_type == F_WRLCK ? 'w' : 'r', (long)area.l_start, (long)area.l_len);
    });
}

CHECK(lock_ranges_split_and_join) {
    own_mounts();
    int fd = open("f", O_CREAT | O_RDWR, 0644);
    SHOW("lock", lock(fd, F_SETLK, F_WRLCK, 0, 100));
    SHOW("hole", lock(fd, F_SETLK, F_UNLCK, 40, 20));
    show_owner("first", fd, 0, 0);
    show_owner("middle", fd, 40, 20);
    show_owner("last", fd, 60, 0);
    SHOW("weaker", lock(fd, F_SETLK, F_RDLCK, 10, 10));
    show_owner("part", fd, 10, 5);
    SHOW("join", lock(fd, F_SETLK, F_WRLCK, 0, 60));
    show_owner("joined", fd, 0, 0);
    SHOW("to-the-end", lock(fd, F_SETLK, F_WRLCK, 200, 0));
    show_owner("far", fd, 1000000, 1);
    SHOW("negative-length", lock(fd, F_SETLK, F_RDLCK, 150, -10));
    show_owner("before", fd, 140, 10);
    SHOW("before-zero", lock(fd, F_SETLK, F_RDLCK, 5, -10));
    SHOW("overflow", lock(fd, F_SETLK, F_RDLCK, 1, 0x7fffffffffffffff));
    SHOW("negative-start", lock(fd, F_SETLK, F_RDLCK, -1, 1));
    SHOW("type", lock(fd, F_SETLK, 7, 0, 1));
}

CHECK(lock_needs_the_right_mode) {
    own_mounts();
    touch("f", "text");
    int reader = open("f", O_RDONLY), writer = open("f", O_WRONLY), path = open("f", O_PATH), ends[2];
    pipe(ends);
    SHOW("read", lock(reader, F_SETLK, F_RDLCK, 0, 1));
    SHOW("write", lock(reader, F_SETLK, F_WRLCK, 0, 1));
    SHOW("read-of-writer", lock(writer, F_SETLK, F_RDLCK, 0, 1));
    SHOW("path", lock(path, F_SETLK, F_RDLCK, 0, 1));
    SHOW("flock-reader", flock(reader, LOCK_EX));
    SHOW("flock-path", flock(path, LOCK_EX));
    SHOW("pipe", lock(ends[1], F_SETLK, F_WRLCK, 0, 0));
    SHOW("pointer", fcntl(reader, F_SETLK, 8));
    struct flock with_pid = {.l_type = F_RDLCK, .l_pid = 5};
    SHOW("ofd-pid", fcntl(reader, F_OFD_SETLK, &with_pid));
}

CHECK(lock_of_process_and_description_meet) {
    own_mounts();
    int a = open("f", O_CREAT | O_RDWR, 0644), b = open("f", O_RDWR);
    SHOW("process", lock(a, F_SETLK, F_WRLCK, 0, 10));
    SHOW("description", lock(b, F_OFD_SETLK, F_WRLCK, 5, 10));
    SHOW("beside", lock(b, F_OFD_SETLK, F_WRLCK, 10, 10));
    SHOW("own-other", lock(a, F_SETLK, F_RDLCK, 15, 1));
    struct flock area = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 1};
    SHOW("get", fcntl(a, F_GETLK, &area));
    say("pid=%d", area.l_pid);
    RUN({ SHOW("inherited", lock(b, F_OFD_SETLK, F_WRLCK, 12, 1)); SHOW("not-inherited", lock(a, F_SETLK, F_WRLCK, 0, 1)); });
    close(b);
    SHOW("description-gone", lock(a, F_SETLK, F_WRLCK, 10, 10));
}

CHECK(lock_flock_converts_and_waits) {
    own_mounts();
    int a = open("f", O_CREAT | O_RDWR, 0644), b = open("f", O_RDWR);
    SHOW("shared", flock(a, LOCK_SH));
    SHOW("shared-too", flock(b, LOCK_SH));
    SHOW("no-upgrade", flock(a, LOCK_EX | LOCK_NB));
    SHOW("lost-it", flock(b, LOCK_EX | LOCK_NB));
    int copy = dup(b);
    SHOW("same-description", flock(copy, LOCK_EX | LOCK_NB));
    pid_t pid = START({ close(b), close(copy); shared->numbers[0] = flock(a, LOCK_SH) == 0; });
    await_sleep(pid);
    close(b);
    SHOW("still-by-the-copy", shared->numbers[0]);
    close(copy);
    wait_for(pid);
    SHOW("got-it", shared->numbers[0]);
    SHOW("beside-records", lock(a, F_SETLK, F_WRLCK, 0, 0));
}

CHECK(lock_interrupted_by_a_signal) {
    own_mounts();
    int fd = open("f", O_CREAT | O_RDWR, 0644);
    lock(fd, F_SETLK, F_WRLCK, 0, 0);
    pid_t pid = START({
        struct sigaction action = {.sa_handler = (void (*)(int))set_flag};
        sigaction(SIGUSR1, &action, 0);
        SHOW("interrupted", lock(fd, F_SETLKW, F_WRLCK, 0, 0));
    });
    await_sleep(pid);
    kill(pid, SIGUSR1);
    wait_for(pid);
}

CHECK(proc_locks_text) {
    own_mounts();
    int fd = open("f", O_CREAT | O_RDWR, 0644), other = open("g", O_CREAT | O_RDWR, 0644);
    struct stat info;
    fstat(fd, &info);
    lock(fd, F_SETLK, F_WRLCK, 3, 4);
    lock(fd, F_SETLK, F_RDLCK, 100, 0);
    flock(other, LOCK_EX);
    char text[4096], expected[128], line[128];
    get("/proc/locks", text, sizeof text);
    snprintf(expected, sizeof expected, "POSIX  ADVISORY  WRITE %d %02x:%02x:%lu 3 6", getpid(), major(info.st_dev), minor(info.st_dev), (long)info.st_ino);
    say("write=%d", strstr(text, expected) != 0);
    snprintf(expected, sizeof expected, "POSIX  ADVISORY  READ %d %02x:%02x:%lu 100 EOF", getpid(), major(info.st_dev), minor(info.st_dev), (long)info.st_ino);
    say("read=%d", strstr(text, expected) != 0);
    snprintf(line, sizeof line, "FLOCK  ADVISORY  WRITE %d ", getpid());
    say("flock=%d", strstr(text, line) != 0);
}

CHECK(splice_between_files_pipes_and_sockets) {
    own_mounts();
    touch("f", "0123456789");
    int in = open("f", O_RDONLY), a[2], b[2], sockets[2];
    char text[32] = "";
    pipe(a), pipe(b), socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
    loff_t offset = 4;
    SHOW("file-to-pipe", splice(in, &offset, a[1], 0, 3, 0));
    say("offset=%ld position=%ld", (long)offset, (long)lseek(in, 0, SEEK_CUR));
    SHOW("pipe-to-pipe", splice(a[0], 0, b[1], 0, 100, 0));
    SHOW("pipe-to-socket", splice(b[0], 0, sockets[0], 0, 100, 0));
    SHOW("read", read(sockets[1], text, sizeof text));
    show_text("text", text);
    write(sockets[1], "back", 4);
    SHOW("socket-to-pipe", splice(sockets[0], 0, a[1], 0, 100, 0));
    SHOW("empty", splice(b[0], 0, a[1], 0, 1, SPLICE_F_NONBLOCK));
    SHOW("pipe-offset", splice(a[0], &offset, in, 0, 1, 0));
    SHOW("read-only", splice(a[0], 0, in, 0, 1, 0));
    SHOW("nothing", splice(a[0], 0, a[1], 0, 0, 0));
    SHOW("itself", splice(a[0], 0, a[1], 0, 1, 0));
    SHOW("flags", splice(a[0], 0, b[1], 0, 1, 0x100));
    int appending = open("f", O_WRONLY | O_APPEND);
    SHOW("appending", splice(a[0], 0, appending, 0, 1, 0));
    close(a[1]);
    SHOW("rest", splice(a[0], 0, b[1], 0, 100, 0));
    SHOW("end", splice(a[0], 0, b[1], 0, 100, 0));
}

CHECK(sendfile_to_sockets_and_pipes) {
    own_mounts();
    static char data[100000];
    memset(data, 'x', sizeof data);
    int out = open("f", O_CREAT | O_RDWR, 0644), sockets[2], ends[2];
    write(out, data, sizeof data);
    pipe(ends), socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
    off_t offset = 99990;
    SHOW("socket", sendfile(sockets[0], out, &offset, 100));
    say("offset=%ld got=%ld", (long)offset, (long)read(sockets[1], data, 100));
    offset = 0;
    SHOW("pipe", sendfile(ends[1], out, &offset, 200000));
    SHOW("from-pipe", sendfile(sockets[0], ends[0], 0, 1));
    SHOW("at-the-end", (offset = 100000, sendfile(sockets[0], out, &offset, 10)));
    SHOW("negative", (offset = -1, sendfile(sockets[0], out, &offset, 10)));
    SHOW("write-only", sendfile(sockets[0], open("f", O_WRONLY), 0, 10));
}

CHECK(vectors_at_offsets) {
    own_mounts();
    int fd = open("f", O_CREAT | O_RDWR, 0644), ends[2];
    pipe(ends);
    char a[4] = "abc", b[4] = "def";
    struct iovec vectors[2] = {{a, 3}, {b, 3}};
    SHOW("pwritev", pwritev(fd, vectors, 2, 10));
    SHOW("position", lseek(fd, 0, SEEK_CUR));
    SHOW("append", pwritev2(fd, vectors, 1, 0, 0x10)); // RWF_APPEND
    SHOW("size", lseek(fd, 0, SEEK_END));
    SHOW("current", pwritev2(fd, vectors, 1, -1, 0));
    SHOW("preadv2", preadv2(fd, vectors, 2, 13, 0));
    show_text("a", a), show_text("b", b);
    SHOW("negative", preadv(fd, vectors, 1, -5));
    SHOW("pipe", preadv(ends[0], vectors, 1, 0));
    SHOW("flags", preadv2(fd, vectors, 1, 0, 0x10000));
    SHOW("range", sync_file_range(fd, 0, 10, 2));
    SHOW("range-flags", sync_file_range(fd, 0, 10, 8));
    SHOW("range-pipe", sync_file_range(ends[0], 0, 10, 2));
}
