// Makes the system calls that it reads: batches of a count and as many records of a number and six arguments. Each batch runs in a
// child of its own, which writes the results, 8 bytes each, to standard output. At 0x100000000 it finds what pointers may point to.
#include "probe.h"

#include <stdint.h>
#include <sys/socket.h>

struct record {
    uint64_t number, arguments[6];
};
static struct record records[16];

static long make_call(const struct record *r) {
    register long a0 __asm__("a0") = (long)r->arguments[0], a1 __asm__("a1") = (long)r->arguments[1], a2 __asm__("a2") = (long)r->arguments[2];
    register long a3 __asm__("a3") = (long)r->arguments[3], a4 __asm__("a4") = (long)r->arguments[4], a5 __asm__("a5") = (long)r->arguments[5];
    register long a7 __asm__("a7") = (long)r->number;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a7) : "memory");
    return a0;
}

static int read_all(void *to, size_t bytes) {
    for (size_t done = 0; done < bytes;) {
        long got = read(0, (char *)to + done, bytes - done);
        if (got <= 0) return 0;
        done += (size_t)got;
    }
    return 1;
}

static void prepare(void) {
    char *area = mmap((void *)0x100000000, 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    strcpy(area, "/link"), strcpy(area + 64, "/data"), strcpy(area + 128, "/");
    uint64_t parts[2] = {0x100000000 + 512, 4};
    memcpy(area + 1024, parts, sizeof parts);
    symlink("/data", "/link");
    open("/data", O_RDWR | O_CREAT, 0700); // 3
    write(3, "data data data", 14), lseek(3, 0, SEEK_SET);
    open("/", O_RDONLY);                   // 4
    int ends[2];
    pipe(ends);                            // 5 and 6
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends); // 7 and 8
}

int main(void) {
    uint64_t count = 0;
    prepare();
    while (read_all(&count, sizeof count) && count <= 16 && read_all(records, count * sizeof records[0])) {
        pid_t child = fork();
        if (child == 0) {
            for (uint64_t i = 0; i < count; i++) {
                long result = make_call(&records[i]);
                write(1, &result, sizeof result);
            }
            _exit(0);
        }
        int status = 0, tries = 0;
        while (waitpid(child, &status, WNOHANG) == 0 && ++tries < 20) usleep(1000);
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
    }
    return 0;
}
