// Memory: a list of free pages, and Sv39 page tables (Privileged specification, section 10.4).
//
// Every address space has the same three regions:
//   0x0000_0000 .. 0x7fff_ffff   the process: pages of 4 KiB
//   0x8000_0000 .. 0xbfff_ffff   all of RAM at its own address, the kernel's alone
//   0xffff_ffff_0000_0000 ..     the devices, the kernel's alone
// The entries of the latter two are the same in every root. Entries are written and tables handed out through `privileged`: to a
// hypervisor they are what matters most.
#include "kernel.h"

#define GIGABYTE (1ul << 30)
#define USER_END 0x80000000ul
enum { FIRST_OF_KERNEL = 2, OTHER_ROOT = 511 }; // entries of a root; the latter is not valid, and holds the address of the other root

struct free_page { struct free_page *next; };
static struct free_page *free_list;
static u64 free_count;
static u64 never_used, memory_end; // pages above never_used have not been touched yet
static page_table kernel_page_table;

static u64 index_at(u64 address, int level) { return address >> (12 + 9 * level) & 511; }
static u64 entry_for(void *page, u64 flags) { return ((u64)page + privileged.machine_offset) >> 12 << 10 | flags; }
static void *page_of(u64 entry) { return (void *)((entry >> 10 << 12) - privileged.machine_offset); }

u64 memory_start(u64 first, u64 end) {
    never_used = (first + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    memory_end = end & ~(PAGE_SIZE - 1);
    kernel_page_table = page_allocate();
    u64 bytes = pages_free() * PAGE_SIZE;
    privileged.enable_paging(kernel_page_table, memory_end);
    return bytes;
}

void *page_allocate(void) {
    void *page = free_list;
    if (page) {
        free_list = free_list->next;
        free_count--;
    } else {
        if (never_used >= memory_end) return 0;
        page = (void *)never_used;
        never_used += PAGE_SIZE;
    }
    return memset(page, 0, PAGE_SIZE);
}

void page_free(void *page) {
    struct free_page *free = page;
    free->next = free_list;
    free_list = free;
    free_count++;
}

u64 pages_free(void) { return free_count + (memory_end - never_used) / PAGE_SIZE; }
page_table kernel_table(void) { return kernel_page_table; }

page_table user_table_new(void) {
    page_table table = page_allocate(), other = table && privileged.two_roots ? page_allocate() : 0;
    if (!table || (privileged.two_roots && !other)) {
        if (table) page_free(table);
        return 0;
    }
    memcpy(table + FIRST_OF_KERNEL, kernel_page_table + FIRST_OF_KERNEL, (512 - FIRST_OF_KERNEL) * sizeof *table);
    if (other) {
        table[OTHER_ROOT] = (u64)other;
        privileged.table_begins(other, 2);
    }
    privileged.table_begins(table, 2);
    return table;
}

page_table user_root(page_table table) { return (page_table)table[OTHER_ROOT]; }

// The entry of the lowest level for a user address; makes the tables on the way when asked to.
static u64 *find_entry(page_table table, u64 address, int make) {
    if (address >= USER_END) return 0;
    for (int level = 2; level > 0; level--) {
        u64 *entry = &table[index_at(address, level)];
        if (!(*entry & PTE_V)) {
            void *page = make ? page_allocate() : 0;
            if (!page) return 0;
            privileged.table_begins(page, level - 1);
            privileged.write_page_entry(entry, entry_for(page, PTE_V));
            if (level == 2 && user_root(table)) privileged.write_page_entry(&user_root(table)[index_at(address, 2)], entry_for(page, PTE_V));
            privileged.finish_updates();
        }
        table = page_of(*entry);
    }
    return &table[index_at(address, 0)];
}

int user_map(page_table table, u64 address, void *page, u64 flags) {
    u64 *entry = find_entry(table, address, 1);
    if (!entry) return -ENOMEM;
    privileged.write_page_entry(entry, entry_for(page, flags | PTE_V | PTE_U | PTE_A | PTE_D));
    return 0;
}

void user_unmap(page_table table, u64 address) {
    u64 *entry = find_entry(table, address, 0);
    if (entry) privileged.write_page_entry(entry, 0);
}

void *user_page(page_table table, u64 address, u64 needed_flags) {
    u64 *entry = find_entry(table, address, 0);
    u64 value = entry ? privileged.read_page_entry(entry) : 0;
    if ((value & (PTE_V | PTE_U)) != (PTE_V | PTE_U) || (value & needed_flags) != needed_flags) return 0;
    return page_of(value);
}

// Whoever looks after tables hears that they are none any more, from the root down.
static void end_tables(page_table table) {
    privileged.table_ends(table);
    if (user_root(table)) privileged.table_ends(user_root(table));
    for (u64 i = 0; i < USER_END / GIGABYTE; i++) {
        if (!(table[i] & PTE_V)) continue;
        page_table middle = page_of(table[i]);
        privileged.table_ends(middle);
        for (int j = 0; j < 512; j++)
            if (middle[j] & PTE_V) privileged.table_ends(page_of(middle[j]));
    }
    privileged.finish_updates();
}

// Visits the process's part of a table: its first two gigabytes.
void user_table_free(page_table table) {
    if (privileged.two_roots) end_tables(table);
    for (u64 i = 0; i < USER_END / GIGABYTE; i++) {
        if (!(table[i] & PTE_V)) continue;
        page_table middle = page_of(table[i]);
        for (int j = 0; j < 512; j++) {
            if (!(middle[j] & PTE_V)) continue;
            page_table last = page_of(middle[j]);
            for (int k = 0; k < 512; k++)
                if (last[k] & PTE_V) page_free(page_of(last[k]));
            page_free(last);
        }
        page_free(middle);
    }
    if (user_root(table)) page_free(user_root(table));
    page_free(table);
}

int user_copy_table(page_table to, page_table from) {
    privileged.finish_updates();
    for (u64 i = 0; i < USER_END / GIGABYTE; i++) {
        if (!(from[i] & PTE_V)) continue;
        page_table middle = page_of(from[i]);
        for (u64 j = 0; j < 512; j++) {
            if (!(middle[j] & PTE_V)) continue;
            page_table last = page_of(middle[j]);
            for (u64 k = 0; k < 512; k++) {
                if (!(last[k] & PTE_V)) continue;
                void *page = page_allocate();
                if (!page) return -ENOMEM;
                memcpy(page, page_of(last[k]), PAGE_SIZE);
                if (user_map(to, i << 30 | j << 21 | k << 12, page, last[k] & (PTE_R | PTE_W | PTE_X)) < 0) {
                    page_free(page);
                    return -ENOMEM;
                }
            }
        }
    }
    return 0;
}

// Copies between the kernel and the running process, page by page; what is not mapped for it is an error, not a crash.
static int copy_user(u64 user, void *kernel, u64 bytes, int to_user) {
    while (bytes) {
        u64 flag = to_user ? PTE_W : PTE_R;
        u8 *page = user_page(current->table, user, flag);
        if (!page && grow_on_fault(user)) page = user_page(current->table, user, flag);
        if (!page) return -EFAULT;
        u64 offset = user % PAGE_SIZE, chunk = PAGE_SIZE - offset < bytes ? PAGE_SIZE - offset : bytes;
        if (to_user) memcpy(page + offset, kernel, chunk);
        else memcpy(kernel, page + offset, chunk);
        user += chunk, bytes -= chunk, kernel = (u8 *)kernel + chunk;
    }
    return 0;
}

int copy_to_user(u64 to, const void *from, u64 bytes) { return copy_user(to, (void *)from, bytes, 1); }
int copy_from_user(void *to, u64 from, u64 bytes) { return copy_user(from, to, bytes, 0); }

int copy_text_from_user(char *to, u64 from, u64 room) {
    for (u64 i = 0; i < room; i++) {
        if (copy_from_user(to + i, from + i, 1) < 0) return -EFAULT;
        if (!to[i]) return (int)i;
    }
    return -ENAMETOOLONG;
}
