// Processes: the table, the scheduler (round robin), fork, exec, wait, exit. The kernel itself is never preempted: a process gives the
// hart up when it sleeps, or when the timer finds it in user mode.
#include "kernel.h"

#define STACK_TOP 0x40000000ul
#define STACK_PAGES 64 // grows on demand
#define SIGCHLD 17
#define SIGSEGV 11

static struct process processes[MAX_PROCESSES];
static struct context scheduler_context;
static int next_pid = 1;
struct process *current;

void switch_context(struct context *from, struct context *to);

struct trap_frame *frame_of(struct process *process) { return (struct trap_frame *)(process->kernel_stack + PAGE_SIZE) - 1; }

static void start_first_time(void) { asm volatile("mv sp, %0\njr %1" : : "r"(frame_of(current)), "r"(privileged.trap_return) : "memory"); }

static struct process *new_process(void) {
    for (int i = 0; i < MAX_PROCESSES; i++) {
        struct process *process = &processes[i];
        if (process->state != PROCESS_FREE) continue;
        memset(process, 0, sizeof *process);
        process->kernel_stack = page_allocate();
        process->table = user_table_new();
        if (!process->kernel_stack || !process->table) {
            if (process->kernel_stack) page_free(process->kernel_stack);
            return 0;
        }
        process->pid = next_pid++;
        process->context.ra = (u64)start_first_time;
        process->context.sp = (u64)frame_of(process);
        process->state = PROCESS_SLEEPING; // until its maker has finished
        return process;
    }
    return 0;
}

static void free_process(struct process *process) {
    page_free(process->kernel_stack);
    process->state = PROCESS_FREE;
}

void processes_start(const char *arguments) {
    current = new_process();
    char strings[192];
    u64 length = 0;
    const char *init = "/bin/init";
    memcpy(strings, init, strlen(init) + 1);
    length = strlen(init) + 1;
    int count = 1;
    if (*arguments) {
        memcpy(strings + length, arguments, strlen(arguments) + 1);
        count = 2;
    }
    for (int fd = 0; fd < 3; fd++) current->files[fd] = file_console();
    if (process_exec(init, strings, count, 0) < 0) panic("/bin/init cannot be started");
    current->state = PROCESS_READY;
    current = 0;
}

// --- Scheduling

static void run(struct process *process) {
    current = process;
    process->state = PROCESS_RUNNING;
    privileged.switch_address_space(process->table);
    switch_context(&scheduler_context, &process->context);
    current = 0;
}

static void wake_sleepers(void) {
    u64 now = read_time();
    for (int i = 0; i < MAX_PROCESSES; i++)
        if (processes[i].state == PROCESS_SLEEPING && processes[i].wake_tick && processes[i].wake_tick <= now) {
            processes[i].wake_tick = 0;
            processes[i].state = PROCESS_READY;
        }
}

// The tick at which the timer must ring next: the end of the slice, or the first sleeper's.
static void set_next_timer(int someone_runs) {
    u64 next = someone_runs ? read_time() + TICKS_PER_SLICE : ~0ul;
    for (int i = 0; i < MAX_PROCESSES; i++)
        if (processes[i].state == PROCESS_SLEEPING && processes[i].wake_tick && processes[i].wake_tick < next) next = processes[i].wake_tick;
    privileged.set_timer(next);
}

void run_processes(void) {
    for (int at = 0;; at = (at + 1) % MAX_PROCESSES) {
        wake_sleepers();
        int looked = 0;
        while (looked < MAX_PROCESSES && processes[at].state != PROCESS_READY) at = (at + 1) % MAX_PROCESSES, looked++;
        if (looked < MAX_PROCESSES) {
            set_next_timer(1);
            run(&processes[at]);
            continue;
        }
        // Nobody can run: wait until an interrupt comes, and look at what it was.
        set_next_timer(0);
        privileged.wait_for_interrupt();
    }
}

static void give_up(void) { switch_context(&current->context, &scheduler_context); }

void yield(void) {
    current->state = PROCESS_READY;
    give_up();
}

void sleep_on(void *what) {
    current->waits_for = what;
    current->state = PROCESS_SLEEPING;
    give_up();
    current->waits_for = 0;
}

void sleep_until(u64 tick) {
    current->wake_tick = tick;
    current->state = PROCESS_SLEEPING;
    give_up();
}

void wake(void *what) {
    for (int i = 0; i < MAX_PROCESSES; i++)
        if (processes[i].state == PROCESS_SLEEPING && processes[i].waits_for == what) processes[i].state = PROCESS_READY;
}

void timer_tick(void) {
    set_next_timer(0); // quiet until the scheduler says when
    wake_sleepers();
}

// --- The life of a process

i64 process_fork(void) {
    struct process *child = new_process();
    if (!child) return -EAGAIN;
    if (user_copy_table(child->table, current->table) < 0) {
        user_table_free(child->table);
        free_process(child);
        return -ENOMEM;
    }
    *frame_of(child) = *frame_of(current);
    frame_of(child)->x[10] = 0; // fork returns 0 in the child
    child->parent = current->pid;
    child->heap_begin = current->heap_begin, child->heap_end = current->heap_end;
    memcpy(child->name, current->name, sizeof child->name);
    for (int fd = 0; fd < FILES_PER_PROCESS; fd++)
        if ((child->files[fd] = current->files[fd])) child->files[fd]->users++;
    child->state = PROCESS_READY;
    return child->pid;
}

struct elf_header { u8 magic[16]; u16 type, machine; u32 version; u64 entry, program_offset, section_offset; u32 flags;
                    u16 header_bytes, program_bytes, program_count; };
struct elf_program { u32 type, flags; u64 offset, address, physical, file_bytes, memory_bytes, align; };

// Maps one segment (ELF specification, program header), copying what the file holds of it.
static int load_segment(page_table table, struct archive_entry *file, struct elf_program *program) {
    if (program->offset > file->bytes || program->file_bytes > file->bytes - program->offset || program->file_bytes > program->memory_bytes ||
        program->address + program->memory_bytes > STACK_TOP || program->address + program->memory_bytes < program->address)
        return -ENOEXEC;
    u64 flags = (program->flags & 4 ? PTE_R : 0) | (program->flags & 2 ? PTE_W | PTE_R : 0) | (program->flags & 1 ? PTE_X : 0);
    u64 end = program->address + program->memory_bytes;
    for (u64 page_address = program->address & ~(PAGE_SIZE - 1); page_address < end; page_address += PAGE_SIZE) {
        u8 *page = user_page(table, page_address, 0);
        if (!page) {
            page = page_allocate();
            if (!page || user_map(table, page_address, page, flags) < 0) return -ENOMEM;
        }
        u64 begin = page_address > program->address ? page_address : program->address;
        u64 file_end = program->address + program->file_bytes, stop = page_address + PAGE_SIZE < file_end ? page_address + PAGE_SIZE : file_end;
        if (begin < stop) memcpy(page + begin % PAGE_SIZE, file->data + program->offset + (begin - program->address), stop - begin);
    }
    return 0;
}

static i64 load_program(page_table table, struct archive_entry *file, u64 *entry, u64 *heap) {
    struct elf_header *header = (struct elf_header *)file->data;
    if (file->bytes < sizeof *header || memcmp(header->magic, "\177ELF\2\1", 6) || header->machine != 243 || header->type != 2 ||
        header->program_bytes != sizeof(struct elf_program) || header->program_offset > file->bytes ||
        header->program_count > (file->bytes - header->program_offset) / sizeof(struct elf_program))
        return -ENOEXEC;
    struct elf_program *programs = (struct elf_program *)(file->data + header->program_offset);
    for (int i = 0; i < header->program_count; i++) {
        if (programs[i].type != 1) continue;
        int result = load_segment(table, file, &programs[i]);
        if (result < 0) return result;
        u64 end = (programs[i].address + programs[i].memory_bytes + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
        if (end > *heap) *heap = end;
    }
    *entry = header->entry;
    return 0;
}

// Puts argc, the pointers and the strings where a program finds them on Linux (System V ABI, "Process Initialization").
static u64 build_stack(page_table table, char *strings, int arguments, int environment) {
    static u64 words[72];
    u64 bytes = 0, count = 0;
    for (int i = 0; i < arguments + environment; i++) bytes += strlen(strings + bytes) + 1;
    u64 text_at = (STACK_TOP - bytes) & ~15ul;
    words[count++] = (u64)arguments;
    u64 offset = 0;
    for (int i = 0; i < arguments + environment; i++) {
        if (i == arguments) words[count++] = 0;
        words[count++] = text_at + offset;
        offset += strlen(strings + offset) + 1;
    }
    if (environment == 0) words[count++] = 0;
    words[count++] = 0;                    // end of the environment
    words[count++] = 6, words[count++] = PAGE_SIZE; // AT_PAGESZ
    words[count++] = 0, words[count++] = 0;         // AT_NULL
    u64 sp = (text_at - count * 8) & ~15ul;
    u8 *page = page_allocate();
    if (!page) return 0;
    if (user_map(table, STACK_TOP - PAGE_SIZE, page, PTE_R | PTE_W) < 0) return page_free(page), 0;
    memcpy(page + text_at % PAGE_SIZE, strings, bytes);
    memcpy(page + sp % PAGE_SIZE, words, count * 8);
    return sp;
}

i64 process_exec(const char *path, char *strings, int arguments, int environment) {
    struct archive_entry *file = archive_find(path);
    if (!file) return -ENOENT;
    if (file->directory) return -EACCES;
    page_table table = user_table_new();
    if (!table) return -ENOMEM;
    u64 entry = 0, heap = 0, sp = 0;
    i64 result = load_program(table, file, &entry, &heap);
    if (result == 0 && !(sp = build_stack(table, strings, arguments, environment))) result = -ENOMEM;
    if (result < 0) {
        user_table_free(table);
        return result;
    }
    page_table old = current->table;
    current->table = table;
    current->heap_begin = current->heap_end = heap;
    privileged.switch_address_space(table);
    user_table_free(old);
    const char *name = path;
    for (const char *c = path; *c; c++)
        if (*c == '/') name = c + 1;
    memset(current->name, 0, sizeof current->name);
    memcpy(current->name, name, strlen(name) < sizeof current->name ? strlen(name) : sizeof current->name - 1);
    struct trap_frame *frame = frame_of(current);
    memset(frame, 0, sizeof *frame);
    frame->sepc = entry;
    frame->x[2] = sp;
    frame->sstatus = 1 << 5; // SPIE: interrupts on in user mode; SPP = 0
    return 0;
}

void process_exit(int status) {
    if (current->pid == 1) {
        print("tiny-os: init ended with status %d\n", (i64)(status >> 8));
        sbi_shutdown(status != 0);
    }
    for (int fd = 0; fd < FILES_PER_PROCESS; fd++)
        if (current->files[fd]) file_close(current->files[fd]);
    for (int i = 0; i < MAX_PROCESSES; i++)
        if (processes[i].parent == current->pid && processes[i].state != PROCESS_FREE) processes[i].parent = 1; // orphans go to init
    privileged.switch_address_space(kernel_table());
    user_table_free(current->table);
    current->status = status;
    current->state = PROCESS_ENDED;
    wake(processes); // who waits for children looks again
    give_up();
    __builtin_unreachable();
}

i64 process_wait(i64 pid, u64 status_to, int no_wait) {
    for (;;) {
        int children = 0;
        for (int i = 0; i < MAX_PROCESSES; i++) {
            struct process *child = &processes[i];
            if (child->state == PROCESS_FREE || child->parent != current->pid || (pid > 0 && child->pid != pid)) continue;
            children++;
            if (child->state != PROCESS_ENDED) continue;
            if (status_to && copy_to_user(status_to, &child->status, sizeof child->status) < 0) return -EFAULT;
            free_process(child);
            return child->pid;
        }
        if (!children) return -ECHILD;
        if (no_wait) return 0;
        sleep_on(processes);
    }
}

i64 process_kill(int pid, int signal) {
    for (int i = 0; i < MAX_PROCESSES; i++) {
        struct process *process = &processes[i];
        if (process->pid != pid || process->state == PROCESS_FREE || process->state == PROCESS_ENDED) continue;
        if (signal == 0) return 0;
        if (pid == 1) return -EPERM;
        if (process == current) process_exit(signal);
        // It ends the next time it would return to user mode; meanwhile it must not sleep.
        process->status = signal;
        process->wake_tick = 0;
        if (process->state == PROCESS_SLEEPING) process->state = PROCESS_READY;
        return 0;
    }
    return -ESRCH;
}

// --- Memory of a process

i64 process_break(u64 address) {
    if (address >= current->heap_begin && address < STACK_TOP - (STACK_PAGES + 1) * PAGE_SIZE) {
        for (u64 page = (address + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1); page < current->heap_end; page += PAGE_SIZE) {
            void *old = user_page(current->table, page, 0);
            if (!old) continue;
            user_unmap(current->table, page);
            privileged.flush_page(page);
            page_free(old);
        }
        current->heap_end = address;
    }
    return (i64)current->heap_end;
}

int grow_on_fault(u64 address) {
    int in_heap = address >= current->heap_begin && address < current->heap_end;
    int in_stack = address < STACK_TOP && address >= STACK_TOP - STACK_PAGES * PAGE_SIZE;
    if ((!in_heap && !in_stack) || user_page(current->table, address, 0)) return 0;
    void *page = page_allocate();
    if (!page) return 0;
    if (user_map(current->table, address & ~(PAGE_SIZE - 1), page, PTE_R | PTE_W) < 0) return page_free(page), 0;
    privileged.flush_page(address);
    return 1;
}
