// Files: open flags, seeking, reading and writing, descriptors, names, and the errors of each.
#include "probe.h"

#include <dirent.h>

void *volatile bad_pointer = (void *)8;

static char long_name[300];

static void show_open(void) {
    SHOW(open("missing", O_RDONLY));
    SHOW(open("made", O_RDWR | O_CREAT | O_EXCL, 0640));
    SHOW(open("made", O_RDWR | O_CREAT | O_EXCL, 0640));
    SHOW(open("made/x", O_RDONLY));
    SHOW(open("made/", O_RDONLY));
    SHOW(open("made/.", O_RDONLY));
    SHOW(open("new/", O_RDWR | O_CREAT, 0600));
    SHOW(open(".", O_RDWR));
    SHOW(open(".", O_RDONLY | O_CREAT, 0600));
    SHOW(open("made", O_RDONLY | O_DIRECTORY));
    SHOW(open("", O_RDONLY));
    SHOW(open(BAD, O_RDONLY));
    SHOW(open(long_name, O_RDONLY | O_CREAT, 0600));
    SHOW(openat(99, "made", O_RDONLY));
    SHOW(openat(3, "made", O_RDONLY));
}

static void show_data(void) {
    char buffer[32] = "";
    SHOW(write(3, "hello, world", 12));
    SHOW(lseek(3, 0, SEEK_CUR));
    SHOW(lseek(3, -5, SEEK_END));
    SHOW(read(3, buffer, sizeof buffer));
    printf("%s\n", buffer);
    SHOW(lseek(3, -13, SEEK_END));
    SHOW(lseek(3, 0, 77));
    SHOW(lseek(3, 20, SEEK_SET));
    SHOW(read(3, buffer, sizeof buffer));
    SHOW(write(3, "x", 1));
    SHOW(pread(3, buffer, 21, 0));
    for (int i = 0; i < 21; i++) printf("%02x", (unsigned char)buffer[i]);
    printf("\n");
    SHOW(pread(3, buffer, 1, -1));
    SHOW(pwrite(3, "J", 1, 0));
    SHOW(pwrite(3, "J", 1, -1));
    SHOW(pread(3, BAD, 4, 0));
    SHOW(write(3, BAD, 4));
    SHOW(read(99, buffer, 1));
    SHOW(write(99, buffer, 1));
    SHOW(ftruncate(3, 5));
    SHOW(ftruncate(3, -1));
    SHOW(ftruncate(99, 5));
    SHOW(truncate("made", 3));
    SHOW(truncate("missing", 3));
    SHOW(truncate(".", 3));
    SHOW(lseek(3, 0, SEEK_END));
    int writer = open("made", O_WRONLY | O_APPEND);
    SHOW(read(writer, buffer, 1));
    SHOW(write(writer, "tail", 4));
    int reader = open("made", O_RDONLY);
    SHOW(write(reader, "x", 1));
    SHOW(ftruncate(reader, 1));
    SHOW(read(reader, buffer, sizeof buffer));
    printf("%.7s\n", buffer);
    SHOW(open("made", O_WRONLY | O_TRUNC));
    SHOW(lseek(reader, 0, SEEK_END));
}

static void show_descriptors(void) {
    SHOW(dup(3));
    SHOW(dup(99));
    SHOW(dup2(3, 50));
    SHOW(dup2(3, 3));
    SHOW(dup2(99, 50));
    SHOW(dup3(3, 51, O_CLOEXEC));
    SHOW(dup3(3, 3, 0));
    SHOW(dup3(99, 99, 0));
    SHOW(dup3(3, 52, 1));
    SHOW(dup3(3, -1, 0));
    SHOW(fcntl(51, F_GETFD));
    SHOW(fcntl(50, F_GETFD));
    SHOW(fcntl(50, F_SETFD, FD_CLOEXEC));
    SHOW(fcntl(50, F_GETFD));
    SHOW(fcntl(3, F_DUPFD, 100));
    SHOW(fcntl(3, F_DUPFD_CLOEXEC, 100));
    SHOW(fcntl(101, F_GETFD));
    SHOW(fcntl(3, F_DUPFD, -1));
    SHOW(fcntl(99, F_GETFL));
    SHOW(fcntl(3, F_GETFL) & (O_ACCMODE | O_APPEND | O_CREAT | O_EXCL | O_NONBLOCK));
    SHOW(fcntl(3, F_SETFL, O_APPEND | O_NONBLOCK));
    SHOW(fcntl(50, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK));
    SHOW(fcntl(3, 9999));
    SHOW(close(50));
    SHOW(close(50));
    SHOW(close(-1));
}

static void show_stat(const char *name) {
    struct stat status;
    if (stat(name, &status)) printf("stat %s: %s\n", name, strerrorname_np(errno));
    else printf("stat %s: mode %o%s\n", name, status.st_mode, S_ISREG(status.st_mode) && status.st_size == 0 ? ", empty" : "");
}

static void show_names(void) {
    char target[64] = "", here[4096], base[4096];
    struct stat status;
    SHOW(mkdir("folder", 0755));
    SHOW(mkdir("folder", 0755));
    SHOW(mkdir("missing/folder", 0755));
    SHOW(mkdir("made/folder", 0755));
    SHOW(mkdir("folder/inner/", 0700));
    SHOW(rmdir("folder"));
    SHOW(rmdir("made"));
    SHOW(rmdir("folder/."));
    SHOW(rmdir("folder/inner/.."));
    SHOW(unlink("folder"));
    SHOW(unlink("missing"));
    SHOW(symlink("../made", "folder/link"));
    SHOW(symlink("nowhere", "folder/dangling"));
    SHOW(symlink("circle", "circle"));
    SHOW(symlink("", "empty"));
    SHOW(symlink("made", "folder"));
    SHOW(readlink("folder/link", target, sizeof target));
    printf("%s\n", target);
    SHOW(readlink("folder/link", target, 3));
    SHOW(readlink("made", target, sizeof target));
    SHOW(readlink("folder/link", BAD, 10));
    SHOW(syscall(SYS_readlinkat, AT_FDCWD, "folder/link", target, 0));
    SHOW(open("circle", O_RDONLY));
    SHOW(open("folder/link", O_RDONLY | O_NOFOLLOW));
    SHOW(open("folder/link", O_RDONLY | O_CREAT | O_EXCL, 0600));
    SHOW(open("folder/link/", O_RDONLY));
    SHOW(open("folder/dangling", O_RDONLY));
    SHOW(open("folder/dangling/x", O_RDWR | O_CREAT, 0600));
    SHOW(open("folder/dangling", O_RDWR | O_CREAT, 0600));
    show_stat("folder/nowhere");
    show_stat("folder/link");
    show_stat("folder");
    show_stat("nowhere");
    SHOW(lstat("folder/link", &status));
    printf("mode %o size %ld\n", status.st_mode, (long)status.st_size);
    SHOW(fstatat(AT_FDCWD, "made", &status, 0x40000000));
    SHOW(fstatat(3, "", &status, AT_EMPTY_PATH));
    SHOW(fstatat(99, "", &status, AT_EMPTY_PATH));
    SHOW(syscall(SYS_newfstatat, AT_FDCWD, "made", BAD, 0));
    SHOW(syscall(SYS_fstat, 3, BAD));
    SHOW(access("made", R_OK));
    SHOW(access("made", X_OK));
    SHOW(chmod("made", 0755));
    SHOW(access("made", X_OK));
    SHOW(access("made", 8));
    SHOW(access("missing", F_OK));
    SHOW(rename("made", "folder"));
    SHOW(rename("folder", "made"));
    SHOW(rename("folder", "folder/inner/deeper"));
    SHOW(rename("missing", "other"));
    SHOW(rename("made", "moved"));
    SHOW(rename("moved", "moved"));
    SHOW(rename("moved", "folder/nowhere"));
    SHOW(mkdir("target", 0700));
    SHOW(rename("folder/inner", "target"));
    SHOW(rename("target", "folder"));
    SHOW(rename("folder/.", "x"));
    SHOW(chdir("missing"));
    SHOW(chdir("folder/nowhere"));
    getcwd(base, sizeof base);
    SHOW(chdir("folder"));
    getcwd(here, sizeof here);
    printf("in %s\n", here + (strcmp(base, "/") ? strlen(base) : 0));
    SHOW(syscall(SYS_getcwd, here, 2));
    SHOW(syscall(SYS_getcwd, BAD, 4096));
    SHOW(chdir(".."));
    SHOW(fchdir(3));
    SHOW(fchdir(99));
    SHOW(unlinkat(AT_FDCWD, "target", 5));
    SHOW(unlinkat(AT_FDCWD, "target", AT_REMOVEDIR));
    SHOW(umask(077));
    SHOW(open("masked", O_RDWR | O_CREAT, 0666));
    show_stat("masked");
    SHOW(umask(022));
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static void show_listing(void) {
    struct dirent **entries;
    char buffer[64];
    int count = scandir("folder", &entries, 0, by_name);
    for (int i = 0; i < count; i++) printf("%s type %d\n", entries[i]->d_name, entries[i]->d_type);
    int folder = open("folder", O_RDONLY | O_DIRECTORY);
    SHOW(syscall(SYS_getdents64, folder, buffer, 8));
    SHOW(syscall(SYS_getdents64, folder, BAD, 4096));
    SHOW(syscall(SYS_getdents64, 3, buffer, sizeof buffer));
    SHOW(close(folder));
}

/* A file without a name lives on while it is open. */
static void show_unlinked(void) {
    char text[8] = "";
    int file = open("brief", O_RDWR | O_CREAT, 0600);
    SHOW(unlink("brief"));
    SHOW(write(file, "alive", 5));
    SHOW(pread(file, text, 5, 0));
    printf("%s\n", text);
    SHOW(open("brief", O_RDONLY));
}

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0); // what a child prints comes in order
    memset(long_name, 'n', sizeof long_name - 1);
    show_open();
    show_data();
    show_descriptors();
    show_names();
    show_listing();
    show_unlinked();
    return 0;
}
