#include "../libc/libc.h"

int main(int count, char **arguments) {
    const char *path = count > 1 ? arguments[1] : "/";
    char buffer[512];
    int fd = (int)open(path, 0);
    if (fd < 0) return print_to(2, "ls: %s: no such directory\n", path), 1;
    long bytes;
    while ((bytes = getdents64(fd, buffer, sizeof buffer)) > 0)
        for (long at = 0; at < bytes;) {
            struct dirent *entry = (struct dirent *)(buffer + at);
            if (entry->name[0] != '.') print(entry->type == 4 ? "%s/\n" : "%s\n", entry->name);
            at += entry->length;
        }
    if (bytes < 0) print("%s\n", path);
    return 0;
}
