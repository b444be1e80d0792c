// Traps: why the hart came here, and what is done about it (Privileged specification, section 10.1.8: scause).
#include "kernel.h"

enum { ECALL_FROM_USER = 8, INSTRUCTION_PAGE_FAULT = 12, LOAD_PAGE_FAULT = 13, STORE_PAGE_FAULT = 15 };
enum { SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGSEGV = 11 };

static const char *cause_name(u64 cause) {
    switch (cause) {
    case 2: return "illegal instruction";
    case 3: return "breakpoint";
    case INSTRUCTION_PAGE_FAULT: return "instruction page fault";
    case LOAD_PAGE_FAULT: return "load page fault";
    case STORE_PAGE_FAULT: return "store page fault";
    default: return "trap";
    }
}

static void user_fault(struct trap_frame *frame, u64 cause, u64 value) {
    int is_page_fault = cause == INSTRUCTION_PAGE_FAULT || cause == LOAD_PAGE_FAULT || cause == STORE_PAGE_FAULT;
    if (is_page_fault && grow_on_fault(value)) return;
    print("pid %d (%s): %s at 0x%x, pc 0x%x\n", (i64)current->pid, current->name, cause_name(cause), value, frame->sepc);
    process_exit(cause == 2 ? SIGILL : cause == 3 ? SIGTRAP : SIGSEGV);
}

static void interrupt(u64 cause, int from_user) {
    u64 events = privileged.take_events(cause);
    console_interrupt(events);
    privileged.events_done(events);
    if (!(events & 1)) return;
    timer_tick();
    if (from_user) yield();
}

void handle_trap(struct trap_frame *frame) {
    u64 cause, value;
    privileged.trap_cause(&cause, &value);
    int from_user = (frame->sstatus & 0x100) == 0;
    if (cause >> 63) {
        interrupt(cause, from_user);
    } else if (!from_user) {
        print("%s at 0x%x, pc 0x%x in the kernel\n", cause_name(cause), value, frame->sepc);
        panic("trap in the kernel");
    } else if (cause == ECALL_FROM_USER) {
        frame->sepc += 4;
        system_call(frame);
    } else {
        user_fault(frame, cause, value);
    }
    if (from_user && current->status) process_exit(current->status); // killed meanwhile
    privileged.finish_updates();
}
