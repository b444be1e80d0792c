// Short forms of mount calls, for the checks of mounts.
#ifndef MOUNT_H
#define MOUNT_H

#include "check.h"

static inline bool exists(const char *path) { return access(path, F_OK) == 0; }
static inline void folder(const char *path) { must("mkdir", mkdir(path, 0755)); }
static inline long bind_mount(const char *from, const char *to) { return mount(from, to, 0, MS_BIND, 0); }
static inline long tmpfs(const char *at) { return mount("probe", at, "tmpfs", 0, 0); }
static inline long propagation(const char *at, unsigned long type) { return mount(0, at, 0, type, 0); }

// A tmpfs at NAME of the given propagation, with a folder d in it
static inline void tree(const char *name, unsigned long type) {
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
static inline void show_propagation(const char *label, const char *path) {
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

#endif
