// The other set of privileged operations: for a kernel that runs in user mode, on a hypervisor that it knows. Beside each stands in
// privileged.c what bare hardware wants instead. Three things differ in kind:
//   - interrupts are events: bits in a page that is shared with the hypervisor. Masking them is a store.
//   - page tables hold machine addresses, are read-only once the hypervisor knows them, and are changed by asking it, many changes at once.
//   - an address space has two roots: programs and kernel both run in user mode, and only one of the roots has the kernel in it.
#include "paravirt.h"
#include "sbi.h"

enum { SBI_BASE = 0x10, PROBE_EXTENSION = 3 };
enum { MOST_UPDATES = 512 };
#define RAM 0x80000000ul

void paravirtual_trap_entry(void);
void paravirtual_trap_return(void);

u8 shared_page[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
static struct { u64 target, value; } updates[MOST_UPDATES]; // asked for, but not sent yet
static u64 waiting, batch;
static page_table kernel_root;

static volatile u64 *shared(enum shared_field field) { return (volatile u64 *)(shared_page + field); }

static u64 hypercall(enum hypercall number, u64 a0, u64 a1, u64 a2) {
    struct sbi_answer answer = sbi_call(HYPERCALL_EXTENSION, number, a0, a1, a2);
    if (answer.error) {
        print("tiny-os: the hypervisor refuses call %d with error %d after %d\n", (i64)number, answer.error, answer.value);
        panic("hypercall refused");
    }
    return (u64)answer.value;
}

static u64 machine(const void *page) { return page ? (u64)page + privileged.machine_offset : 0; }

// --- Page tables

static void send_updates(void) {
    if (waiting) hypercall(HYPERCALL_Update, (u64)updates, waiting, 0);
    waiting = 0;
}

static void ask(u64 target, u64 value) {
    updates[waiting].target = target, updates[waiting].value = value;
    if (++waiting == batch) send_updates();
}

static void pv_write_page_entry(u64 *entry, u64 value) { ask(machine(entry) | UPDATE_Write, value); }
static void pv_flush_page(u64 address) { ask(UPDATE_Flush, address); }

// What an entry will be once everything was sent.
static u64 pv_read_page_entry(const u64 *entry) {
    u64 target = machine(entry) | UPDATE_Write;
    for (u64 i = waiting; i-- > 0;)
        if (updates[i].target == target) return updates[i].value;
    return *entry;
}

// The kernel's own entry for a page of memory.
static u64 *own_entry(const void *page) {
    page_table table = kernel_root;
    for (int level = 2; level > 0; level--) table = (page_table)((table[(u64)page >> (12 + 9 * level) & 511] >> 10 << 12) - privileged.machine_offset);
    return &table[(u64)page >> 12 & 511];
}

static u64 own_leaf(const void *page, u64 flags) { return machine(page) >> 12 << 10 | flags | PTE_V | PTE_R | PTE_X | PTE_U | PTE_A | PTE_D; }

// A page can become a table once nothing maps it writable, and be written again once it is none.
static void pv_table_begins(void *page, int level) {
    pv_write_page_entry(own_entry(page), own_leaf(page, 0));
    ask(machine(page) | UPDATE_Pin, (u64)level);
}

static void pv_table_ends(void *page) {
    ask(machine(page) | UPDATE_Unpin, 0);
    pv_write_page_entry(own_entry(page), own_leaf(page, PTE_W));
}

// Maps all of memory, page by page, with the tables read-only, and hands them over. From here on they are the hart's.
static void pv_enable_paging(page_table root, u64 memory_end) {
    privileged.machine_offset = hypercall(HYPERCALL_MachineOffset, 0, 0, 0);
    kernel_root = root;
    page_table middle = page_allocate(), last = 0;
    root[RAM >> 30] = machine(middle) >> 12 << 10 | PTE_V;
    for (u64 page = RAM; page < memory_end; page += PAGE_SIZE) {
        if (page % (512 * PAGE_SIZE) == 0) {
            last = page_allocate();
            middle[page >> 21 & 511] = machine(last) >> 12 << 10 | PTE_V;
        }
        last[page >> 12 & 511] = own_leaf((void *)page, PTE_W);
    }
    *own_entry(root) = own_leaf(root, 0), *own_entry(middle) = own_leaf(middle, 0);
    for (int i = 0; i < 512 && middle[i]; i++) {
        void *table = (void *)((middle[i] >> 10 << 12) - privileged.machine_offset);
        *own_entry(table) = own_leaf(table, 0);
    }
    hypercall(HYPERCALL_Start, (u64)shared_page, (u64)paravirtual_trap_entry, machine(root));
}

static void pv_switch_address_space(page_table table) {
    send_updates();
    hypercall(HYPERCALL_Switch, machine(table), machine(user_root(table)), 0);
}

// --- Events

static void pv_start_traps(void) {} // said with the tables
static void pv_enable_interrupts(void) { *shared(SHARED_Enabled) = ~0ul; }

static void pv_wait_for_interrupt(void) {
    hypercall(HYPERCALL_Wait, 0, 0, 0); // unmasks them
    *shared(SHARED_Masked) = 1;
}

static void pv_trap_cause(u64 *cause, u64 *value) {
    *cause = *shared(SHARED_Cause);
    *value = *shared(SHARED_Value);
}

static u64 pv_take_events(u64 cause __attribute__((unused))) { return __atomic_exchange_n(shared(SHARED_Pending), 0, __ATOMIC_SEQ_CST); }
static void pv_events_done(u64 events __attribute__((unused))) {} // the hypervisor sees that the bits are clear
static void pv_set_timer(u64 tick) { hypercall(HYPERCALL_SetTimer, tick, 0, 0); }

// --- Devices

static void pv_console_write(const char *text, u64 bytes) { hypercall(HYPERCALL_ConsoleWrite, (u64)text, bytes, 0); }
static u64 pv_device_read(u64 address, int bytes) { return hypercall(HYPERCALL_DeviceRead, address, (u64)bytes, 0); }
static void pv_device_write(u64 address, int bytes, u64 value) { hypercall(HYPERCALL_DeviceWrite, address, (u64)bytes, value); }

static const struct privileged_operations paravirtual = {
    .name = "paravirtual",
    .two_roots = 1,
    .leaf_flags = PTE_U,
    .start_traps = pv_start_traps,
    .trap_return = paravirtual_trap_return,
    .trap_cause = pv_trap_cause,
    .enable_paging = pv_enable_paging,
    .switch_address_space = pv_switch_address_space,
    .flush_page = pv_flush_page,
    .write_page_entry = pv_write_page_entry,
    .read_page_entry = pv_read_page_entry,
    .finish_updates = send_updates,
    .table_begins = pv_table_begins,
    .table_ends = pv_table_ends,
    .enable_interrupts = pv_enable_interrupts,
    .take_events = pv_take_events,
    .events_done = pv_events_done,
    .set_timer = pv_set_timer,
    .wait_for_interrupt = pv_wait_for_interrupt,
    .console_write = pv_console_write,
    .device_read = pv_device_read,
    .device_write = pv_device_write,
};

int paravirtual_start(int wanted_batch) {
    if (!sbi_call(SBI_BASE, PROBE_EXTENSION, HYPERCALL_EXTENSION, 0, 0).value) return 0;
    batch = wanted_batch >= 1 && wanted_batch <= MOST_UPDATES ? (u64)wanted_batch : 64;
    privileged = paravirtual;
    return 1;
}
