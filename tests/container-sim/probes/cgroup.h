// Groups below the root of the own cgroup namespace, for the checks of cgroup v2. That root is not the root of the machine's tree: set_up
// first moves all processes into a group below it, so that controllers can be given to the others.
#ifndef CGROUP_H
#define CGROUP_H

#include "check.h"

#define ROOT "/sys/fs/cgroup"

static char path_text[8][160];
static inline const char *in(const char *group, const char *file) {
    static int next;
    char *text = path_text[next++ % 8];
    snprintf(text, sizeof *path_text, ROOT "/%s%s%s", group, *group ? "/" : "", file);
    return text;
}
static inline void make(const char *group) { must("mkdir", mkdir(in(group, ""), 0755)); }
static inline long enter(const char *group, pid_t pid) {
    char text[16];
    snprintf(text, sizeof text, "%d", pid);
    return put(in(group, "cgroup.procs"), text);
}
static inline void set_up(const char *controllers) {
    make("init");
    must("enter", enter("init", 1));
    must("enter", enter("init", getpid()));
    if (controllers) must("subtree_control", put(in("", "cgroup.subtree_control"), controllers));
}
// The number behind KEY in a flat keyed file; -1 when it is not there
static inline long number_of(const char *group, const char *file, const char *key) {
    char text[4096], *line;
    if (get(in(group, file), text, sizeof text) < 0) return -1;
    for (line = strtok(text, "\n"); line; line = strtok(0, "\n")) {
        size_t length = strlen(key);
        if (strncmp(line, key, length) == 0 && line[length] == ' ') return atol(line + length + 1);
    }
    return -1;
}
static inline void await_number(const char *group, const char *file, const char *key, long wanted) {
    for (int i = 0; i < 1000 && number_of(group, file, key) != wanted; i++) nap(1);
    say("%s=%ld", key, number_of(group, file, key));
}
static inline pid_t sleeper(const char *group) {
    pid_t pid = START({ pause(); });
    must("enter", enter(group, pid));
    return pid;
}
static inline void use_memory(size_t bytes) {
    char *memory = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < bytes; i += 4096) memory[i] = 1;
}

#endif
