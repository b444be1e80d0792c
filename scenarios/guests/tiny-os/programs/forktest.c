// forktest [N]: N children, one after the other; each ends with its own code.
#include "../libc/libc.h"

int main(int count, char **arguments) {
    long children = count > 1 ? number_of(arguments[1]) : 10;
    for (long i = 0; i < children; i++) {
        int status = 0;
        long pid = fork();
        if (pid < 0) return print_to(2, "forktest: no more processes\n"), 1;
        if (pid == 0) exit((int)(i & 0x7f));
        if (waitpid(pid, &status, 0) != pid || status != (int)(i & 0x7f) << 8) return print_to(2, "forktest: child %d went wrong\n", i), 1;
    }
    print("%d children\n", children);
    return 0;
}
