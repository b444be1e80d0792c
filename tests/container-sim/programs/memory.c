// Memory: brk, mmap, mprotect, munmap, the stack, copies on write after fork, what is shared.
#include "probe.h"

void *volatile bad_pointer = (void *)8;
static const size_t kPage = 4096;

static int child_status(void (*body)(char *), char *memory) {
    int status = -1;
    if (fork() == 0) {
        body(memory);
        _exit(0);
    }
    wait(&status);
    return status;
}
static void store(char *memory) { *(volatile char *)memory = 1; }
static void load(char *memory) { (void)*(volatile char *)memory; }
static void call(char *memory) { ((void (*)(void))memory)(); }
static void store_seven(char *memory) { memset(memory, 7, 3 * kPage); }

static void show_brk(void) {
    char *start = sbrk(0);
    WENT(sbrk(3 * 4096 + 5));
    memset(start, 9, 3 * kPage + 5);
    printf("%d %d\n", start[0], start[3 * kPage + 4]);
    mprotect((char *)((unsigned long)(start + kPage) & ~4095ul), kPage, PROT_READ);
    WENT(sbrk(8 * 4096)); // goes on behind an area that was cut
    start[3 * kPage + 100] = 4;
    start[11 * kPage] = 3;
    printf("%d\n", start[3 * kPage + 100]);
    WENT(brk(start));
    printf("%d\n", sbrk(0) == start);
}

static void show_mmap(void) {
    char *area = mmap(0, 10 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("zero %d\n", area[5 * kPage]);
    memset(area, 1, 10 * kPage);
    SHOW(munmap(area + 4 * kPage, kPage));
    printf("hole: signal %d, beside it %d %d\n", WTERMSIG(child_status(load, area + 4 * kPage)), area[4 * kPage - 1], area[5 * kPage]);
    printf("fixed %d\n", mmap(area + 4 * kPage, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == area + 4 * kPage);
    WENT(mmap(0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    WENT(mmap(0, 4096, PROT_READ, MAP_ANONYMOUS, -1, 0));
    WENT(mmap(0, 4096, PROT_READ, MAP_PRIVATE, 99, 0));
    WENT(mmap((void *)123, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    WENT(munmap(area + 1, 4096));
    WENT(munmap(area, 0));
    SHOW(madvise(area, kPage, MADV_DONTNEED));
    printf("anew %d %d\n", area[0], area[kPage]);
    SHOW(madvise(area + 1, kPage, MADV_DONTNEED));
    SHOW(munmap(area, 10 * kPage));
}

static void show_mprotect(void) {
    char *area = mmap(0, 4 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(area, 2, 4 * kPage);
    SHOW(mprotect(area + kPage, kPage, PROT_READ));
    printf("store %d, load %d\n", WTERMSIG(child_status(store, area + kPage)), WTERMSIG(child_status(load, area + kPage)));
    SHOW(mprotect(area + kPage, kPage, PROT_NONE));
    printf("load %d, call %d\n", WTERMSIG(child_status(load, area + kPage)), WTERMSIG(child_status(call, area + kPage)));
    SHOW(mprotect(area, 4 * kPage, PROT_READ | PROT_WRITE));
    area[kPage + 1] = 3;
    printf("%d %d, call %d\n", area[kPage], area[kPage + 1], WTERMSIG(child_status(call, area)));
    SHOW(mprotect(area + 1, kPage, PROT_READ));
    munmap(area + 2 * kPage, kPage);
    SHOW(mprotect(area, 4 * kPage, PROT_READ));
    static const unsigned char code[] = CODE_THAT_RETURNS_42;
    memcpy(area + 3 * kPage, code, sizeof code);
    SHOW(mprotect(area + 3 * kPage, kPage, PROT_READ | PROT_EXEC));
    SYNCHRONIZE_CODE;
    printf("made code returns %d\n", ((int (*)(void))(area + 3 * kPage))());
}

static void show_fork(void) {
    char *own = mmap(0, 3 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *shared = mmap(0, 3 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(own, 5, 3 * kPage);
    child_status(store_seven, own);
    child_status(store_seven, shared);
    printf("own %d %d, shared %d %d\n", own[0], own[2 * kPage], shared[0], shared[2 * kPage]);
    mprotect(shared, 3 * kPage, PROT_READ);
    mprotect(shared, 3 * kPage, PROT_READ | PROT_WRITE);
    store(shared + kPage);
    if (fork() == 0) _exit(shared[kPage]);
    int status = 0;
    wait(&status);
    printf("the child sees %d\n", WEXITSTATUS(status));
}

static void show_files(void) {
    int file = open("mapped", O_RDWR | O_CREAT, 0600), writer = open("mapped", O_WRONLY);
    char page[4096], text[6] = "";
    memset(page, 'a', sizeof page);
    write(file, page, sizeof page);
    write(file, "end", 3);
    char *map = mmap(0, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    printf("%c %s %d\n", map[0], map + kPage, map[kPage + 100]);
    map[0] = 'z';
    pread(file, text, 1, 0);
    printf("the file has %s\n", text);
    WENT(mmap(0, 4096, PROT_READ, MAP_PRIVATE, writer, 0));
    WENT(mmap(0, 4096, PROT_READ, MAP_PRIVATE, file, 1));
    pwrite(file, "new", 3, 0);
    map = mmap(0, kPage, PROT_READ, MAP_PRIVATE, file, 0);
    printf("%.4s\n", map);
}

static long deep(long levels) {
    volatile char frame[1024];
    frame[0] = (char)levels;
    return levels ? deep(levels - 1) + frame[0] - (char)levels + 1 : 0;
}

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    show_brk();
    show_mmap();
    show_mprotect();
    show_fork();
    show_files();
    printf("deep %ld\n", deep(5000)); // 5 MiB of stack
    return 0;
}
