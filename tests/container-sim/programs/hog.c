// Takes all the memory that there is, in a child; says how the child ended.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    int status = 0;
    if (fork() == 0) {
        for (;;) memset(malloc(1 << 20), 1, 1 << 20);
    }
    wait(&status);
    printf("signal %d\n", WTERMSIG(status));
    char *memory = malloc(1 << 20); // there is room again
    memset(memory, 1, 1 << 20);
    printf("room %d\n", memory[12345]);
    return 0;
}
