// pagefault [PAGES]: touches fresh pages; each first touch is a page fault that the kernel serves.
#include "../libc/libc.h"

int main(int count, char **arguments) {
    long pages = count > 1 ? number_of(arguments[1]) : 256;
    volatile char *memory = sbrk(pages * 4096);
    if (!memory) return print_to(2, "pagefault: that many pages are not to be had\n"), 1;
    for (long i = 0; i < pages; i++) memory[i * 4096] = (char)i;
    print("%d pages touched\n", pages);
    return 0;
}
