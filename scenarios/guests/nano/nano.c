// nano: one operation that a hypervisor may have to do something about, as often as the kernel's command line says ("syscall 1000"), and
// nothing else: no interrupts, no console. Whoever runs it with N and with 2N rounds and takes the difference has what N of them cost.
// The same binary runs in every mode. It ends with success through the firmware; with failure when it does not know the operation.
#include "../tiny-os/kernel/kernel.h"

void console_flush(void) {} // nothing is kept back: what it prints goes out byte by byte

#define WINDOW 0x40010000ul   // a page of the kernel's, whose entry is changed
#define USER_CODE 0x40000000ul
#define USER_DATA 0x40001000ul
#define NOT_MAPPED 0x40100000ul
#define LINE_STATUS 0x10000005ul // of the UART
#define ENTRIES 512
#define DATA_PAGES 4ul

typedef u64 table[ENTRIES] __attribute__((aligned(4096)));
struct address_space {
    table root, middle, last;
    table data[DATA_PAGES];
};
static struct address_space parent, child;
static table frames[2];
static u64 registers[12] __attribute__((aligned(4096)));

void write_csr(u64 rounds);
void call_and_return(u64 rounds);
void read_device(u64 rounds, u64 address);
void null_hypercall(u64 rounds);
void write_entry(u64 rounds, u64 *entry, u64 value, u64 other, u64 address);
void remap(u64 rounds, u64 *entry, u64 value, u64 other, u64 address);
void switch_context(u64 rounds, u64 satp, u64 other, u64 *registers, u64 address);
void run_user(u64 entry, u64 rounds, u64 address);
extern char user_code[], user_syscall[], user_fault[], user_touch[];

void *memcpy(void *to, const void *from, u64 bytes) {
    for (u64 i = 0; i < bytes; i++) ((u8 *)to)[i] = ((const u8 *)from)[i];
    return to;
}
u64 strlen(const char *text) {
    u64 length = 0;
    while (text[length]) length++;
    return length;
}
int strcmp(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return (u8)*a - (u8)*b;
}

static u64 entry_for(const void *page, u64 flags) { return (u64)page >> 12 << 10 | flags | PTE_V; }
static u64 satp_for(const struct address_space *space) { return 8ul << 60 | (u64)space->root >> 12; }
static u64 *window_entry(struct address_space *space) { return &space->last[(WINDOW - USER_CODE) >> 12]; }
static u64 user_address(const char *label) { return USER_CODE + (u64)(label - user_code); }

// Memory and devices at their own addresses for the kernel; a page of code and some of data for the user; the window.
static void make_space(struct address_space *space) {
    const u64 kernel = PTE_R | PTE_W | PTE_A | PTE_D;
    for (int i = 0; i < ENTRIES; i++) space->root[i] = space->middle[i] = space->last[i] = 0;
    space->root[0] = entry_for(0, kernel);
    space->root[1] = entry_for(space->middle, 0);
    space->root[2] = entry_for((void *)0x80000000ul, kernel | PTE_X);
    space->middle[0] = entry_for(space->last, 0);
    space->last[0] = entry_for(user_code, PTE_R | PTE_X | PTE_U | PTE_A);
    for (u64 i = 0; i < DATA_PAGES; i++) space->last[1 + i] = entry_for(space->data[i], kernel | PTE_U);
    *window_entry(space) = entry_for(frames[0], kernel);
}

static void enter_space(const struct address_space *space) { asm volatile("csrw satp, %0\nsfence.vma" : : "r"(satp_for(space)) : "memory"); }

// A process: tables of its own, its parent's pages copied; it runs, touches each page, and ends.
static void create_process(void) {
    make_space(&child);
    for (u64 i = 0; i < DATA_PAGES; i++)
        for (int j = 0; j < ENTRIES; j++) child.data[i][j] = parent.data[i][j];
    enter_space(&child);
    run_user(user_address(user_touch), DATA_PAGES, USER_DATA);
    enter_space(&parent);
}

static int run(const char *operation, u64 rounds) {
    const u64 flags = PTE_R | PTE_W | PTE_A | PTE_D, one = entry_for(frames[0], flags), other = entry_for(frames[1], flags);
    if (!strcmp(operation, "syscall")) run_user(user_address(user_syscall), rounds, 0);
    else if (!strcmp(operation, "csr-write")) write_csr(rounds);
    else if (!strcmp(operation, "call-return")) call_and_return(rounds);
    else if (!strcmp(operation, "page-fault")) run_user(user_address(user_fault), rounds, NOT_MAPPED);
    else if (!strcmp(operation, "entry-write")) write_entry(rounds, window_entry(&parent), one, other, WINDOW);
    else if (!strcmp(operation, "remap")) remap(rounds, window_entry(&parent), one, other, WINDOW);
    else if (!strcmp(operation, "device-read")) read_device(rounds, LINE_STATUS);
    else if (!strcmp(operation, "hypercall")) null_hypercall(rounds);
    else if (!strcmp(operation, "context-switch")) switch_context(rounds, satp_for(&parent), satp_for(&child), registers, WINDOW);
    else if (!strcmp(operation, "process")) {
        while (rounds--) create_process();
    } else return 0;
    return 1;
}

void nano_main(u64 hart, u64 device_tree_address) {
    (void)hart;
    struct device_tree tree;
    read_device_tree(device_tree_address, &tree);
    char *digit = tree.arguments;
    while (*digit && *digit != ' ') digit++;
    if (*digit) *digit++ = 0;
    u64 rounds = 0;
    while (*digit >= '0' && *digit <= '9') rounds = rounds * 10 + (u64)(*digit++ - '0');
    make_space(&parent);
    make_space(&child);
    enter_space(&parent);
    sbi_shutdown(!rounds || !run(tree.arguments, rounds));
}
