// Where tiny-os begins, in the order in which things are needed.
#include "kernel.h"

extern char kernel_end[];

void kernel_main(u64 hart, u64 device_tree_address) {
    struct device_tree tree;
    read_device_tree(device_tree_address, &tree);
    privileged_start(tree.arguments);
    console_start();
    print("tiny-os: hello from hart %d\n", (i64)hart);

    u64 end = tree.memory_base + tree.memory_bytes;
    if (device_tree_address > (u64)kernel_end && device_tree_address < end) end = device_tree_address; // it lies at the top
    privileged.start_traps();
    u64 bytes = memory_start((u64)kernel_end, end);
    print("tiny-os: %d KiB of memory, paging is on\n", (i64)(bytes / 1024));

    files_start();
    privileged.enable_interrupts();
    processes_start(tree.arguments);
    run_processes();
}
