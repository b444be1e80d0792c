// Prints a line of 64 bytes in three ways, for the lesson "One line printed three ways": through the UART's registers, through calls to what
// lies below, and through a ring of virtio (version 1.2), which is shared memory. S-mode, without paging; each way is a function, so that a
// debugger can stop before it and behind it.
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
#define STEP __attribute__((noinline, noclone))

static const char line[] = "This line of text is 64 bytes long, and says no more than that\r\n";
enum { BYTES = sizeof line - 1, LINES = 8 };
_Static_assert(BYTES == 64, "the lesson says so");

// --- Through registers: the 16550 UART of the board

#define UART ((volatile u8 *)0x10000000)

STEP void print_by_registers(void) {
    for (int i = 0; i < BYTES; i++) {
        while (!(UART[5] & 0x20)) {} // line status: it can take a byte
        UART[0] = (u8)line[i];
    }
}

// --- Through calls: SBI's debug console (SBI specification 2.0, chapter 12)

static void call(u64 extension, u64 function, u64 a, u64 b) {
    register u64 a0 asm("a0") = a;
    register u64 a1 asm("a1") = b;
    register u64 a2 asm("a2") = 0;
    register u64 a6 asm("a6") = function;
    register u64 a7 asm("a7") = extension;
    asm volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a6), "r"(a7) : "memory");
}

enum { DEBUG_CONSOLE = 0x4442434e, WRITE = 0, WRITE_BYTE = 2, SYSTEM_RESET = 0x53525354 };

STEP void print_by_byte_calls(void) {
    for (int i = 0; i < BYTES; i++) call(DEBUG_CONSOLE, WRITE_BYTE, (u8)line[i], 0);
}

STEP void print_by_one_call(void) { call(DEBUG_CONSOLE, WRITE, BYTES, (u64)line); }

// --- Through a ring: the transmit queue of a virtio console

#define SLOTS 8
#define SLOT(i) ((volatile u32 *)(0x10001000ul + (i) * 0x1000ul))
enum { MAGIC = 0, DEVICE = 2, DRIVER_FEATURES = 8, DRIVER_FEATURES_SELECT = 9, QUEUE_SELECT = 12, QUEUE_SIZE = 14, QUEUE_READY = 17, NOTIFY = 20,
       STATUS = 28, DESCRIPTORS = 32, DRIVER_RING = 36, DEVICE_RING = 40 }; // registers, in words (section 4.2.2)
enum { CONSOLE = 3, TRANSMIT = 1, ENTRIES = 16 };

static struct { u64 address; u32 bytes; u16 flags, next; } descriptors[ENTRIES] __attribute__((aligned(16)));
static struct { u16 flags, index, ring[ENTRIES]; } available __attribute__((aligned(2)));
static volatile struct { u16 flags, index; struct { u32 id, bytes; } ring[ENTRIES]; } used __attribute__((aligned(4)));
static volatile u32 *console;

static void set_address(int reg, const volatile void *address) {
    console[reg] = (u32)(u64)address;
    console[reg + 1] = (u32)((u64)address >> 32);
}

STEP void start_ring(void) {
    for (int i = 0; i < SLOTS && !console; i++)
        if (SLOT(i)[MAGIC] == 0x74726976 && SLOT(i)[DEVICE] == CONSOLE) console = SLOT(i);
    if (!console) return;
    console[STATUS] = 3; // acknowledged, driver
    console[DRIVER_FEATURES_SELECT] = 1;
    console[DRIVER_FEATURES] = 1; // version 1
    console[STATUS] = 11;         // features are agreed on
    console[QUEUE_SELECT] = TRANSMIT;
    console[QUEUE_SIZE] = ENTRIES;
    set_address(DESCRIPTORS, descriptors);
    set_address(DRIVER_RING, &available);
    set_address(DEVICE_RING, &used);
    console[QUEUE_READY] = 1;
    console[STATUS] = 15; // ready
    available.flags = 1;  // no interrupts, please: we look at the used ring
}

static void put_line_into_ring(void) {
    u16 entry = available.index % ENTRIES;
    descriptors[entry].address = (u64)line;
    descriptors[entry].bytes = BYTES;
    available.ring[entry] = entry;
    asm volatile("fence" : : : "memory");
    available.index++;
}

static void kick(void) {
    asm volatile("fence" : : : "memory");
    console[NOTIFY] = TRANSMIT;
    while (used.index != available.index) {}
}

STEP void print_by_ring(void) {
    if (!console) return;
    for (int i = 0; i < LINES; i++) put_line_into_ring(), kick();
}

STEP void print_by_ring_with_one_kick(void) {
    if (!console) return;
    for (int i = 0; i < LINES; i++) put_line_into_ring();
    kick();
}

STEP void finish(void) {
    for (;;) call(SYSTEM_RESET, 0, 0, 0);
}

static void run(void) {
    print_by_registers();
    print_by_byte_calls();
    print_by_one_call();
    start_ring();
    print_by_ring();
    print_by_ring_with_one_kick();
    finish();
}

static u8 stack[4096] __attribute__((aligned(16)));
__attribute__((section(".text.entry"), naked, used)) void _entry(void) { asm volatile("la sp, %0\nli t0, 4096\nadd sp, sp, t0\nj %1" : : "i"(stack), "i"(run)); }
