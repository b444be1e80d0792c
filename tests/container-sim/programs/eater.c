// Takes and gives back memory, one word of the command line after the other; NUMBER is in KiB:
//   anon:NUMBER   touches pages of its own            free      gives the last ones back
//   shared:NUMBER the same, shared with children      map:PATH  reads a file through a mapping     unmap    gives the last mapping back
//   read:PATH     reads a file                        write:PATH:NUMBER  makes a file              unlink:PATH
//   fork          what follows, up to `then`, is the child's    fill     forks until it is refused
//   adj:NUMBER    oom_score_adj                       nap:MILLISECONDS    pause    say:TEXT    open:PATH    execute   begins another program
#include "probe.h"

static char *last, *mapped;
static size_t last_bytes, mapped_bytes;

static void touch(size_t bytes, int flags) {
    last = mmap(0, last_bytes = bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < bytes; i += 4096) last[i] = 1;
}

static void map_file(const char *path) {
    struct stat info;
    int file = open(path, O_RDONLY);
    fstat(file, &info);
    mapped = mmap(0, mapped_bytes = (size_t)info.st_size, PROT_READ, MAP_SHARED, file, 0);
    long sum = 0;
    for (size_t i = 0; i < mapped_bytes; i += 4096) sum += mapped[i];
    printf("sum %ld\n", sum);
    close(file);
}

static void read_file(const char *path) {
    static char buffer[65536];
    int file = open(path, O_RDONLY);
    long total = 0;
    for (ssize_t count; (count = read(file, buffer, sizeof buffer)) > 0;) total += count;
    printf("read %ld\n", total);
    close(file);
}

static void write_file(char *path) {
    static char buffer[65536];
    char *colon = strrchr(path, ':');
    *colon = 0;
    size_t left = strtoul(colon + 1, 0, 10) << 10, done = 0;
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    memset(buffer, 1, sizeof buffer);
    while (done < left) {
        ssize_t count = write(file, buffer, left - done < sizeof buffer ? left - done : sizeof buffer);
        if (count <= 0) {
            printf("%s after %zu\n", strerrorname_np(errno), done >> 10);
            break;
        }
        done += (size_t)count;
    }
    close(file);
}

/// The child goes on; the parent says how it ended, and goes on behind `then`.
static char **in_child(char **words) {
    int status = 0;
    if (fork() == 0) return words;
    wait(&status);
    if (WIFSIGNALED(status)) printf("child: signal %d\n", WTERMSIG(status));
    else printf("child: status %d\n", WEXITSTATUS(status));
    for (int deep = 0; *words; words++) {
        if (strcmp(*words, "fork") == 0) deep++;
        else if (strcmp(*words, "then") == 0 && deep-- == 0) return words + 1;
    }
    return words;
}

static void fill(void) {
    int made = 0;
    for (pid_t child; made < 100000; made++) {
        if ((child = fork()) == 0) pause();
        if (child < 0) break;
    }
    printf("refused: %s\n", strerrorname_np(errno));
}

static void adjust(const char *value) {
    int file = open("/proc/self/oom_score_adj", O_WRONLY);
    write(file, value, strlen(value));
    close(file);
}

int main(int count, char **words) {
    (void)count;
    setvbuf(stdout, 0, _IONBF, 0);
    for (words++; *words;) {
        char *word = *words++, *colon = strchr(word, ':'), *value = colon ? colon + 1 : "";
#define IS(text) (strncmp(word, text, sizeof text - 1) == 0)
        if (IS("anon:")) touch(strtoul(value, 0, 10) << 10, MAP_PRIVATE);
        if (IS("shared:")) touch(strtoul(value, 0, 10) << 10, MAP_SHARED);
        if (IS("free")) munmap(last, last_bytes);
        if (IS("map:")) map_file(value);
        if (IS("unmap")) munmap(mapped, mapped_bytes);
        if (IS("read:")) read_file(value);
        if (IS("write:")) write_file(value);
        if (IS("unlink:")) unlink(value);
        if (IS("fork")) words = in_child(words);
        if (IS("then")) return 0;
        if (IS("fill")) fill();
        if (IS("adj:")) adjust(value);
        if (IS("nap:")) usleep((useconds_t)strtoul(value, 0, 10) * 1000);
        if (IS("pause")) pause();
        if (IS("say:")) printf("%s\n", value);
        if (IS("open:")) open(value, O_RDWR);
        if (IS("execute")) execv("/eater", (char *[]){"eater", "anon:64", 0});
    }
    return 0;
}
