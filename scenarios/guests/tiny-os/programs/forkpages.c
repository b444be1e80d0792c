// forkpages [PAGES [TIMES]]: forks with a full heap, again and again: each child needs an entry of its page table for every page.
#include "../libc/libc.h"

int main(int count, char **arguments) {
    long pages = count > 1 ? number_of(arguments[1]) : 512, times = count > 2 ? number_of(arguments[2]) : 8;
    volatile char *memory = sbrk(pages * 4096);
    if (!memory) return print_to(2, "forkpages: that many pages are not to be had\n"), 1;
    for (long i = 0; i < pages; i++) memory[i * 4096] = (char)i;
    for (long i = 0; i < times; i++) {
        long pid = fork();
        if (pid == 0) exit(0);
        if (pid < 0) return print_to(2, "forkpages: no memory is left for another child\n"), 1;
        wait(0);
    }
    print("%d children with %d pages each\n", times, pages);
    return 0;
}
