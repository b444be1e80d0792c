#include "check.h"

#include <sys/auxv.h>

struct shared *shared;

static struct {
    const char *name;
    void (*body)(void);
} checks[128];
static int count;
static long timeout_ms = 5000;

void add_check(const char *name, void (*body)(void)) {
    if (count == 128) abort();
    checks[count].name = name;
    checks[count++].body = body;
}

void say(const char *format, ...) {
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length >= (int)sizeof text) length = sizeof text - 1;
    int at = __atomic_fetch_add(&shared->length, length + 1, __ATOMIC_SEQ_CST); // of two that speak at once, none is lost
    if (at + length + 1 >= (int)sizeof shared->line) return;
    shared->line[at] = ' ';
    memcpy(shared->line + at + 1, text, length);
}

void show(const char *label, long result) {
    if (result == -1) say("%s=%s", label, errno ? strerrorname_np(errno) : "-1");
    else say("%s=%ld", label, result);
}

void show_ok(const char *label, long result) {
    if (result == -1) say("%s=%s", label, strerrorname_np(errno));
    else say("%s=ok", label);
}

const char *signal_name(int number) {
    static char text[24];
    const char *name = sigabbrev_np(number);
    if (name) snprintf(text, sizeof text, "SIG%s", name);
    else snprintf(text, sizeof text, "signal%d", number);
    return text;
}

void show_status(const char *label, int status) {
    if (status == -1) say("%s=%s", label, strerrorname_np(errno));
    else if (WIFEXITED(status)) say("%s=exit%d", label, WEXITSTATUS(status));
    else if (WIFSIGNALED(status)) say("%s=%s%s", label, signal_name(WTERMSIG(status)), WCOREDUMP(status) ? "+core" : "");
    else if (WIFSTOPPED(status)) say("%s=stopped-%s", label, signal_name(WSTOPSIG(status)));
    else if (WIFCONTINUED(status)) say("%s=continued", label);
    else say("%s=%x", label, status);
}

void show_text(const char *label, const char *text) {
    char line[2048];
    size_t length = 0;
    for (; text[length] && length < sizeof line - 1; length++) line[length] = text[length] == '\n' ? '|' : text[length] == '\t' ? ' ' : text[length];
    while (length && (line[length - 1] == '|' || line[length - 1] == ' ')) length--;
    line[length] = 0;
    say("%s=[%s]", label, line);
}

void show_file(const char *label, const char *path) {
    char text[2048];
    if (get(path, text, sizeof text) < 0) say("%s=%s", label, strerrorname_np(errno));
    else show_text(label, text);
}

pid_t clone_child(unsigned long flags) { return flags ? syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0) : fork(); }

int wait_for(pid_t pid) {
    int status = -1;
    while (waitpid(pid, &status, __WALL) < 0)
        if (errno != EINTR) return -1;
    return status;
}

void set_flag(int flag) { __atomic_store_n(&shared->flags[flag], 1, __ATOMIC_SEQ_CST); }
void await_flag(int flag) {
    while (!__atomic_load_n(&shared->flags[flag], __ATOMIC_SEQ_CST)) nap(1);
}

void nap(long milliseconds) {
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    while (nanosleep(&time, &time) < 0 && errno == EINTR) {}
}

char state_of(pid_t pid) {
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (get(path, text, sizeof text) < 0) return '-';
    char *end = strrchr(text, ')');
    return end ? end[2] : '?';
}

void await_sleep(pid_t pid) {
    for (int quiet = 0; quiet < 3;) {
        quiet = state_of(pid) == 'S' ? quiet + 1 : 0;
        nap(2);
    }
}

bool vanishes(pid_t pid) {
    for (int i = 0; i < 500; i++) {
        if (kill(pid, 0) < 0) return true;
        nap(2);
    }
    return false;
}

long put(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    long result = write(fd, text, strlen(text));
    int saved = errno;
    close(fd);
    errno = saved;
    return result < 0 ? -1 : 0;
}

long get(const char *path, char *text, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    size_t length = 0;
    long part = 0;
    while (length < size - 1 && (part = read(fd, text + length, size - 1 - length)) > 0) length += part;
    int saved = errno;
    close(fd);
    errno = saved;
    text[length] = 0;
    return part < 0 ? -1 : (long)length;
}

void must(const char *what, long result) {
    if (result != -1) return;
    char text[64];
    snprintf(text, sizeof text, "%s", what);
    text[strcspn(text, "(")] = 0;
    say("unprepared:%s=%s", text, strerrorname_np(errno));
    _exit(0);
}

void touch(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    must("touch", fd);
    if (*text) must("write", write(fd, text, strlen(text)));
    close(fd);
}

void own_mounts(void) {
    MUST(unshare(CLONE_NEWNS));
    MUST(mount(0, "/", 0, MS_REC | MS_PRIVATE, 0));
    MUST(mount("probe", "/tmp", "tmpfs", 0, "mode=777"));
    MUST(chdir("/tmp"));
}

void own_network(void) {
    struct { char name[16]; short flags; char rest[22]; } request = {"lo", 1 | 0x40, ""}; // IFF_UP | IFF_RUNNING
    MUST(unshare(CLONE_NEWNET));
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    must("socket", fd);
    must("SIOCSIFFLAGS", ioctl(fd, 0x8914, &request));
    close(fd);
}

void become(unsigned id) {
    MUST(syscall(SYS_setgroups, 0, 0));
    MUST(syscall(SYS_setresgid, id, id, id));
    MUST(syscall(SYS_setresuid, id, id, id));
    prctl(PR_SET_DUMPABLE, 1);
}

void map_ids(pid_t pid, unsigned inside, unsigned outside, unsigned length) {
    char path[64], text[64];
    snprintf(text, sizeof text, "%u %u %u\n", inside, outside, length);
    snprintf(path, sizeof path, "/proc/%d/uid_map", pid);
    must("uid_map", put(path, text));
    snprintf(path, sizeof path, "/proc/%d/gid_map", pid);
    must("gid_map", put(path, text));
}

void enter_user_namespace(void) {
    char text[64];
    unsigned uid = getuid(), gid = getgid();
    MUST(unshare(CLONE_NEWUSER));
    snprintf(text, sizeof text, "0 %u 1", uid);
    must("uid_map", put("/proc/self/uid_map", text));
    must("setgroups", put("/proc/self/setgroups", "deny"));
    snprintf(text, sizeof text, "0 %u 1", gid);
    must("gid_map", put("/proc/self/gid_map", text));
}

int send_fd(int socket, int fd) {
    char data = 'f', control[CMSG_SPACE(sizeof fd)] = "";
    struct iovec vector = {&data, 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    return sendmsg(socket, &message, 0);
}

int receive_fd(int socket) {
    char data, control[CMSG_SPACE(sizeof(int))] = "";
    struct iovec vector = {&data, 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int fd = -1;
    if (recvmsg(socket, &message, 0) < 0) return -1;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (head && head->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(head), sizeof fd);
    return fd;
}

long ns_open(pid_t pid, const char *name) {
    char path[64];
    if (pid) snprintf(path, sizeof path, "/proc/%d/ns/%s", pid, name);
    else snprintf(path, sizeof path, "/proc/self/ns/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    must("open-ns", fd);
    return fd;
}

bool same_file(const char *a, const char *b) {
    struct stat one, two;
    return stat(a, &one) == 0 && stat(b, &two) == 0 && one.st_ino == two.st_ino && one.st_dev == two.st_dev;
}

static void print_name(const char *name, char *out) {
    for (; *name; name++) *out++ = *name == '_' ? '-' : *name;
    *out = 0;
}

static long milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void run(const char *name, void (*body)(void)) {
    memset(shared, 0, sizeof *shared);
    pid_t pid = fork();
    if (pid < 0) {
        say("fork=%s", strerrorname_np(errno));
    } else if (pid == 0) {
        char folder[160];
        umask(022);
        snprintf(folder, sizeof folder, "/tmp/%s", name);
        mkdir(folder, 0777);
        if (chdir(folder) < 0) chdir("/tmp");
        body();
        _exit(0);
    }
    int status = 0;
    pid_t ended = 0;
    const long deadline = milliseconds() + timeout_ms;
    while (pid > 0 && (ended = waitpid(pid, &status, WNOHANG)) == 0 && milliseconds() < deadline) nap(1);
    if (pid > 0 && ended != pid) {
        say("timeout");
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    } else if (pid > 0 && WIFSIGNALED(status)) {
        say("died %s", signal_name(WTERMSIG(status)));
    } else if (pid > 0 && WEXITSTATUS(status) != 0) {
        say("exit %d", WEXITSTATUS(status));
    }
    const int most = sizeof shared->line;
    printf("%s:%.*s\n", name, shared->length < most ? shared->length : most, shared->line);
    fflush(stdout);
}

// For checks that execute a copy of this program: who it is
static int show_self(void) {
    char text[4096] = "", *line;
    get("/proc/self/status", text, sizeof text);
    printf("uid %d,%d gid %d,%d secure %lu", getuid(), geteuid(), getgid(), getegid(), getauxval(AT_SECURE));
    for (line = strtok(text, "\n"); line; line = strtok(0, "\n"))
        if (strncmp(line, "CapPrm", 6) == 0 || strncmp(line, "CapEff", 6) == 0) printf(" %s", line);
    return 0;
}

int main(int argc, char **argv) {
    int argument = 1;
    if (argument + 1 < argc && strcmp(argv[argument], "--timeout") == 0) timeout_ms = atol(argv[argument + 1]), argument += 2;
    if (argument < argc && strcmp(argv[argument], "--self") == 0) return show_self();
    if (argument < argc && strcmp(argv[argument], "--pause") == 0) return pause();
    const char *only = argument < argc ? argv[argument] : 0;
    shared = mmap(0, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return perror("shared memory"), 1;
    int found = 0;
    for (int i = 0; i < count; i++) {
        char name[128];
        print_name(checks[i].name, name);
        if (only && strcmp(only, "--list") == 0) found = 1, puts(name);
        else if (!only || strcmp(only, name) == 0) found = 1, run(name, checks[i].body);
    }
    if (!found) fprintf(stderr, "there is no check %s\n", only ? only : "at all");
    return !found;
}
