// syscalls [N]: calls the kernel N times and does nothing else.
#include "../libc/libc.h"

int main(int count, char **arguments) {
    long calls = count > 1 ? number_of(arguments[1]) : 10000;
    for (long i = 0; i < calls; i++) getpid();
    print("%d system calls\n", calls);
    return 0;
}
