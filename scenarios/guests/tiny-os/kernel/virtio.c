// A driver for the virtio console (virtio 1.2, sections 2.7, 4.2 and 5.3), for the boot argument console=virtio. Output goes into a ring, and the
// device is told ("kicked") only when it asks for it: while it looks into the ring by itself it says so in the ring's flags. With
// console=virtio-kick the driver kicks each time all the same, to see what that costs.
#include "kernel.h"

enum { FIRST_SLOT = 0x10001000, SLOT_BYTES = 0x1000, SLOTS = 8, FIRST_IRQ = 1 };
enum { MAGIC = 0x00, DEVICE_ID = 0x08, FEATURES = 0x20, FEATURES_SELECT = 0x24, QUEUE_SELECT = 0x30, QUEUE_NUMBER = 0x38, QUEUE_READY = 0x44,
       NOTIFY = 0x50, INTERRUPT_STATUS = 0x60, INTERRUPT_ACK = 0x64, STATUS = 0x70, DESCRIPTORS = 0x80, DRIVER_AREA = 0x90, DEVICE_AREA = 0xa0 };
enum { CONSOLE = 3, ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 };
enum { RECEIVE, TRANSMIT, ENTRIES = 64, CHUNK = 64 };
enum { DEVICE_WRITES = 2, NO_INTERRUPT = 1, NO_NOTIFY = 1 };

struct descriptor { u64 address; u32 bytes; u16 flags, next; };
struct ring {
    struct descriptor descriptors[ENTRIES];
    struct { u16 flags, index, ring[ENTRIES]; } available;
    u16 unused;
    struct { u16 flags, index; struct { u32 id, bytes; } ring[ENTRIES]; } used __attribute__((aligned(4)));
};
static volatile struct ring rings[2] __attribute__((aligned(16)));
static char out[ENTRIES][CHUNK], in[CHUNK];
static u64 base; // of the device's registers; 0: it is not used
static u64 irq, in_count, in_at;
static u16 in_seen;
static int always_kick;

static u32 get(int reg) { return (u32)privileged.device_read(base + (u64)reg, 4); }
static void set(int reg, u64 value) { privileged.device_write(base + (u64)reg, 4, value & 0xffffffff); }
static void order(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

static void start_queue(u64 queue) {
    volatile struct ring *ring = &rings[queue];
    set(QUEUE_SELECT, queue);
    set(QUEUE_NUMBER, ENTRIES);
    const u64 areas[] = {(u64)ring->descriptors, (u64)&ring->available, (u64)&ring->used};
    const int registers[] = {DESCRIPTORS, DRIVER_AREA, DEVICE_AREA};
    for (int i = 0; i < 3; i++) set(registers[i], areas[i]), set(registers[i] + 4, areas[i] >> 32);
    set(QUEUE_READY, 1);
}

static void offer(u64 queue, u16 entry, void *buffer, u64 bytes, u16 flags) {
    volatile struct ring *ring = &rings[queue];
    ring->descriptors[entry].address = (u64)buffer, ring->descriptors[entry].bytes = (u32)bytes, ring->descriptors[entry].flags = flags;
    ring->available.ring[ring->available.index % ENTRIES] = entry;
    order();
    ring->available.index++;
    order();
}

static void offer_input(void) {
    in_count = in_at = 0;
    offer(RECEIVE, 0, in, sizeof in, DEVICE_WRITES);
    set(NOTIFY, RECEIVE);
}

int virtio_console_start(int kicks) {
    for (u64 slot = 0; slot < SLOTS && !base; slot++) {
        base = FIRST_SLOT + slot * SLOT_BYTES, irq = FIRST_IRQ + slot;
        if (get(MAGIC) != 0x74726976 || get(DEVICE_ID) != CONSOLE) base = 0;
    }
    if (!base) return 0;
    always_kick = kicks;
    set(STATUS, 0);
    set(STATUS, ACKNOWLEDGE | DRIVER);
    set(FEATURES_SELECT, 1), set(FEATURES, 1); // VIRTIO_F_VERSION_1
    set(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    start_queue(RECEIVE), start_queue(TRANSMIT);
    rings[TRANSMIT].available.flags = NO_INTERRUPT; // nobody waits for output
    set(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    offer_input();
    return 1;
}

void virtio_console_write(const char *text, u64 bytes) {
    volatile struct ring *ring = &rings[TRANSMIT];
    for (u64 done = 0; done < bytes;) {
        u64 count = bytes - done < CHUNK ? bytes - done : CHUNK;
        if ((u16)(ring->available.index - ring->used.index) == ENTRIES) virtio_console_flush(); // full: it must look now
        u16 entry = ring->available.index % ENTRIES;
        memcpy(out[entry], text + done, count);
        offer(TRANSMIT, entry, out[entry], count, 0);
        done += count;
    }
    if (always_kick || !(ring->used.flags & NO_NOTIFY)) set(NOTIFY, TRANSMIT);
}

void virtio_console_flush(void) {
    if (base && rings[TRANSMIT].available.index != rings[TRANSMIT].used.index) set(NOTIFY, TRANSMIT);
}

void virtio_console_interrupt(u64 events) {
    if (base && events >> irq & 1) set(INTERRUPT_ACK, get(INTERRUPT_STATUS));
}

int virtio_console_take(char *c) {
    if (in_at == in_count && rings[RECEIVE].used.index != in_seen) in_count = rings[RECEIVE].used.ring[in_seen++ % ENTRIES].bytes, in_at = 0;
    if (in_at == in_count) return 0;
    *c = in[in_at++];
    if (in_at == in_count) offer_input();
    return 1;
}
