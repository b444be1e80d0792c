// The privileged operations of tiny-os, behind one table. On bare hardware each is an instruction or two, and those are what a
// hypervisor has to do something about: in a deprivileged kernel every one of them traps. A paravirtual kernel would put another table
// here at boot (as Linux's pv_ops do) and call its hypervisor instead.
#include "kernel.h"

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

static void native_switch_address_space(u64 satp) { asm volatile("csrw satp, %0\nsfence.vma" : : "r"(satp) : "memory"); }
static void native_flush_page(u64 address) { asm volatile("sfence.vma %0" : : "r"(address) : "memory"); }
static void native_write_page_entry(u64 *entry, u64 value) { *entry = value; }
static void native_wait_for_interrupt(void) { asm volatile("wfi"); }

struct privileged_operations privileged = {
    .name = "native",
    .enable_paging = native_enable_paging,
    .switch_address_space = native_switch_address_space,
    .flush_page = native_flush_page,
    .write_page_entry = native_write_page_entry,
    .set_timer = sbi_set_timer,
    .wait_for_interrupt = native_wait_for_interrupt,
};

u64 read_time(void) {
    u64 time;
    asm volatile("rdtime %0" : "=r"(time));
    return time;
}
