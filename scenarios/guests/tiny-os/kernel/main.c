// Where tiny-os begins, in the order in which things are needed.
#include "kernel.h"

extern char kernel_end[];
void trap_entry(void);

void kernel_main(u64 hart, u64 device_tree_address) {
    console_start();
    print("tiny-os: hello from hart %d\n", (i64)hart);

    struct device_tree tree;
    read_device_tree(device_tree_address, &tree);
    u64 end = tree.memory_base + tree.memory_bytes;
    if (device_tree_address > (u64)kernel_end && device_tree_address < end) end = device_tree_address; // it lies at the top
    asm volatile("csrw stvec, %0" : : "r"(trap_entry));
    asm volatile("csrw sscratch, zero");
    memory_start((u64)kernel_end, end);
    print("tiny-os: %d KiB of memory, paging is on\n", (i64)(pages_free() * PAGE_SIZE / 1024));

    files_start();
    asm volatile("csrw sie, %0" : : "r"(1ul << 9 | 1ul << 5)); // external and timer interrupts
    processes_start(tree.arguments);
    run_processes();
}
