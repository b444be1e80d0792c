// The privileged operations of tiny-os, behind one table. On bare hardware each is an instruction or two, and those are what a
// hypervisor has to do something about: in a deprivileged kernel every one of them traps. On a hypervisor that it knows, the kernel puts
// another table here at boot (paravirt.c), as Linux's pv_ops do, and calls its hypervisor instead.
#include "kernel.h"
#include "paravirt.h"

void trap_entry(void);
void trap_return(void);

#define DEVICES 0xffffffff00000000ul // where paging maps the devices
static u64 device_base;              // 0 while paging is off

// PLIC registers of context 1: hart 0 in S-mode.
enum { PLIC = 0x0c000000, PLIC_PRIORITY = PLIC, PLIC_ENABLE = PLIC + 0x2080, PLIC_THRESHOLD = PLIC + 0x201000, PLIC_CLAIM = PLIC + 0x201004 };
enum { PLIC_SOURCES = 11 };
enum { TIMER_INTERRUPT = 5, EXTERNAL_INTERRUPT = 9 };

static u64 native_device_read(u64 address, int bytes) {
    void *at = (void *)(device_base + address);
    return bytes == 1 ? *(volatile u8 *)at : bytes == 2 ? *(volatile u16 *)at : *(volatile u32 *)at;
}

static void native_device_write(u64 address, int bytes, u64 value) {
    void *at = (void *)(device_base + address);
    if (bytes == 1) *(volatile u8 *)at = (u8)value;
    else if (bytes == 2) *(volatile u16 *)at = (u16)value;
    else *(volatile u32 *)at = (u32)value;
}

static void native_console_write(const char *text, u64 bytes) { uart_write(text, bytes); }

// --- Page tables

// The one instruction that turns paging on has a name, so that a debugger can stop in front of it.
__attribute__((noinline, noclone)) static void native_enable_paging(u64 satp) {
    asm volatile(".globl enable_paging_satp\n"
                 "enable_paging_satp:\n"
                 "csrw satp, %0\n"
                 "sfence.vma"
                 :
                 : "r"(satp)
                 : "memory");
}

static u64 satp_of(page_table table) { return 8ul << 60 | (u64)table >> 12; }

// All of memory and the devices: an entry of 1 GiB each.
static void native_enable_kernel_paging(page_table root, u64 memory_end __attribute__((unused))) {
    const u64 flags = PTE_V | PTE_R | PTE_W | PTE_G | PTE_A | PTE_D;
    root[2] = 0x80000000ul >> 12 << 10 | flags | PTE_X;
    root[DEVICES >> 30 & 511] = flags;
    native_enable_paging(satp_of(root));
    device_base = DEVICES;
}

static void native_switch_address_space(page_table table) { asm volatile("csrw satp, %0\nsfence.vma" : : "r"(satp_of(table)) : "memory"); }
static void native_flush_page(u64 address) { asm volatile("sfence.vma %0" : : "r"(address) : "memory"); }
static void native_write_page_entry(u64 *entry, u64 value) { *entry = value; }
static u64 native_read_page_entry(const u64 *entry) { return *entry; }
static void native_finish_updates(void) {}
static void native_table_begins(void *page __attribute__((unused)), int level __attribute__((unused))) {}
static void native_table_ends(void *page __attribute__((unused))) {}

// --- Traps and interrupts

static void native_start_traps(void) {
    asm volatile("csrw stvec, %0" : : "r"(trap_entry));
    asm volatile("csrw sscratch, zero");
}

static void native_trap_cause(u64 *cause, u64 *value) {
    asm volatile("csrr %0, scause" : "=r"(*cause));
    asm volatile("csrr %0, stval" : "=r"(*value));
}

static void native_enable_interrupts(void) {
    for (u32 source = 1; source <= PLIC_SOURCES; source++) native_device_write(PLIC_PRIORITY + 4 * source, 4, 1);
    native_device_write(PLIC_ENABLE, 4, (2u << PLIC_SOURCES) - 2);
    native_device_write(PLIC_THRESHOLD, 4, 0);
    asm volatile("csrw sie, %0" : : "r"(1ul << EXTERNAL_INTERRUPT | 1ul << TIMER_INTERRUPT));
}

static u64 native_take_events(u64 cause) {
    if ((cause & 0xff) == TIMER_INTERRUPT) return 1;
    return (cause & 0xff) == EXTERNAL_INTERRUPT ? 1ul << native_device_read(PLIC_CLAIM, 4) & ~1ul : 0;
}

static void native_events_done(u64 events) {
    for (u32 source = 1; source <= PLIC_SOURCES; source++)
        if (events >> source & 1) native_device_write(PLIC_CLAIM, 4, source);
}

static void native_wait_for_interrupt(void) {
    asm volatile("wfi");
    asm volatile("csrsi sstatus, 2"); // let it in
    asm volatile("csrci sstatus, 2");
}

struct privileged_operations privileged = {
    .name = "native",
    .start_traps = native_start_traps,
    .trap_return = trap_return,
    .trap_cause = native_trap_cause,
    .enable_paging = native_enable_kernel_paging,
    .switch_address_space = native_switch_address_space,
    .flush_page = native_flush_page,
    .write_page_entry = native_write_page_entry,
    .read_page_entry = native_read_page_entry,
    .finish_updates = native_finish_updates,
    .table_begins = native_table_begins,
    .table_ends = native_table_ends,
    .enable_interrupts = native_enable_interrupts,
    .take_events = native_take_events,
    .events_done = native_events_done,
    .set_timer = sbi_set_timer,
    .wait_for_interrupt = native_wait_for_interrupt,
    .console_write = native_console_write,
    .device_read = native_device_read,
    .device_write = native_device_write,
};

u64 read_time(void) {
    u64 time;
    asm volatile("rdtime %0" : "=r"(time));
    return time;
}

static int is_word(const char *word, const char *end, const char *text) { return (u64)(end - word) == strlen(text) && !memcmp(word, text, strlen(text)); }

static int batch; // of the paravirtual page-table updates

static int is_own_word(const char *word, const char *end) {
    if (is_word(word, end, "console=virtio")) return console_wanted = CONSOLE_VIRTIO, 1;
    if (is_word(word, end, "console=virtio-kick")) return console_wanted = CONSOLE_VIRTIO_KICK, 1;
    if (end - word <= 9 || memcmp(word, "pv-batch=", 9)) return 0;
    batch = 0;
    for (word += 9; word < end && *word >= '0' && *word <= '9' && batch < 10000; word++) batch = batch * 10 + (*word - '0');
    return 1;
}

// The kernel's own words among the boot arguments; what is left is for the first process.
void privileged_start(char *arguments) {
    char *to = arguments;
    for (char *word = arguments; *word;) {
        char *end = word;
        while (*end && *end != ' ') end++;
        char *next = *end ? end + 1 : end;
        if (end > word && !is_own_word(word, end)) {
            if (to != arguments) *to++ = ' ';
            while (word < end) *to++ = *word++;
        }
        word = next;
    }
    *to = 0;
    paravirtual_start(batch);
}
