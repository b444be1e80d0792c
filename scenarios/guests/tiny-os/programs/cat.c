#include "../libc/libc.h"

static int copy(int fd) {
    char buffer[256];
    long bytes;
    while ((bytes = read(fd, buffer, sizeof buffer)) > 0) write(1, buffer, (u64)bytes);
    return bytes < 0;
}

int main(int count, char **arguments) {
    int failed = count < 2 ? copy(0) : 0;
    for (int i = 1; i < count; i++) {
        int fd = (int)open(arguments[i], 0);
        if (fd < 0) print_to(2, "cat: %s: cannot be opened\n", arguments[i]);
        failed |= fd < 0 || copy(fd);
        if (fd >= 0) close(fd);
    }
    return failed;
}
