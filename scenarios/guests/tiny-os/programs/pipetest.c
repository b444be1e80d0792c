// pipetest: a child writes numbers into a pipe, the parent adds them up.
#include "../libc/libc.h"

int main(void) {
    int ends[2];
    if (pipe(ends) < 0) return 1;
    if (fork() == 0) {
        close(ends[0]);
        for (int i = 1; i <= 1000; i++) write(ends[1], &i, sizeof i);
        exit(0);
    }
    close(ends[1]);
    long sum = 0;
    int value;
    while (read(ends[0], &value, sizeof value) == sizeof value) sum += value;
    wait(0);
    print("the pipe carried %d\n", sum);
    return sum != 500500;
}
