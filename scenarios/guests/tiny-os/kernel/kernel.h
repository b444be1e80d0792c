// tiny-os: what the kernel's files share. Read in the order of README.md.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long i64;

#define PAGE_SIZE 4096ul
#define MAX_PROCESSES 32
#define MAX_FILES 64
#define FILES_PER_PROCESS 16
#define TICKS_PER_SLICE 100000ul // 10 ms of the 10 MHz timer
#define TICKS_PER_SECOND 10000000ul

// Linux's error numbers, which are also the programs'.
enum { EPERM = 1, ENOENT = 2, ESRCH = 3, EBADF = 9, ECHILD = 10, EAGAIN = 11, ENOMEM = 12, EACCES = 13, EFAULT = 14, ENOTDIR = 20, EISDIR = 21,
       EINVAL = 22, EMFILE = 24, EROFS = 30, EPIPE = 32, ENOSYS = 38, ENAMETOOLONG = 36, ENOEXEC = 8, E2BIG = 7, ESPIPE = 29 };

// --- print.c
void print(const char *format, ...); // %s %d %x %c
void panic(const char *why) __attribute__((noreturn));
void *memcpy(void *to, const void *from, u64 bytes);
void *memset(void *to, int value, u64 bytes);
int memcmp(const void *a, const void *b, u64 bytes);
u64 strlen(const char *text);
int strcmp(const char *a, const char *b);

// --- device_tree.c
struct device_tree {
    u64 memory_base, memory_bytes;
    char arguments[128]; // /chosen/bootargs
};
void read_device_tree(u64 address, struct device_tree *out);

// --- privileged.c: everything that a hypervisor has to know about (the sensitive instructions), behind one table
typedef u64 *page_table;
struct privileged_operations {
    const char *name;
    int two_roots;          // an address space has a second root, without the kernel, for user mode
    u64 machine_offset;     // from an address of memory to the one that page tables hold
    u64 leaf_flags;         // of the kernel's own pages
    void (*start_traps)(void);
    void (*trap_return)(void);
    void (*trap_cause)(u64 *cause, u64 *value);
    void (*enable_paging)(page_table root, u64 memory_end); // the first time; maps the kernel
    void (*switch_address_space)(page_table table);         // afterwards
    void (*flush_page)(u64 address);
    void (*write_page_entry)(u64 *entry, u64 value);
    u64 (*read_page_entry)(const u64 *entry);
    void (*finish_updates)(void);                 // entries written so far hold from now on
    void (*table_begins)(void *page, int level);  // a page of zeros, or of entries, is a table from now on
    void (*table_ends)(void *page);
    void (*enable_interrupts)(void);              // chooses them; they are let in later
    u64 (*take_events)(u64 cause);                // what an interrupt is about: bit 0 the timer, bit n the PLIC's source n
    void (*events_done)(u64 events);
    void (*set_timer)(u64 tick);
    void (*wait_for_interrupt)(void);             // and lets it in
    void (*console_write)(const char *text, u64 bytes);
    u64 (*device_read)(u64 address, int bytes);
    void (*device_write)(u64 address, int bytes, u64 value);
};
extern struct privileged_operations privileged;
void privileged_start(char *arguments);
u64 read_time(void);

// --- sbi.c: calls to the firmware (or to a hypervisor, which answers the same calls)
void sbi_set_timer(u64 tick);
void sbi_shutdown(int failed) __attribute__((noreturn));
void sbi_reboot(void) __attribute__((noreturn));

// --- console.c
void console_start(void);
void console_write(const char *text, u64 bytes);
void uart_write(const char *text, u64 bytes);
void console_interrupt(u64 events);
void console_flush(void); // what was printed is out when the machine is switched off
enum console_kind { CONSOLE_UART, CONSOLE_VIRTIO, CONSOLE_VIRTIO_KICK };
extern enum console_kind console_wanted;
i64 console_read(char *to, u64 bytes); // sleeps until a line is there; 0 at end of file

// --- virtio.c
int virtio_console_start(int kicks); // 0: there is none
void virtio_console_write(const char *text, u64 bytes);
void virtio_console_flush(void);
void virtio_console_interrupt(u64 events);
int virtio_console_take(char *c); // 0: nothing was typed

// --- memory.c
enum { PTE_V = 1, PTE_R = 2, PTE_W = 4, PTE_X = 8, PTE_U = 16, PTE_G = 32, PTE_A = 64, PTE_D = 128 };
u64 memory_start(u64 first, u64 end); // bytes of memory that are free
void *page_allocate(void); // zeroed; 0 when there is none
void page_free(void *page);
u64 pages_free(void);
page_table kernel_table(void);
page_table user_table_new(void); // with the kernel mapped
void user_table_free(page_table table);
page_table user_root(page_table table); // its second root, 0 when it has none
int user_map(page_table table, u64 address, void *page, u64 flags);
void user_unmap(page_table table, u64 address);
void *user_page(page_table table, u64 address, u64 needed_flags); // where the page that holds address is; 0 when it is not mapped so
int user_copy_table(page_table to, page_table from);
int copy_to_user(u64 to, const void *from, u64 bytes); // 0 or -EFAULT
int copy_from_user(void *to, u64 from, u64 bytes);
int copy_text_from_user(char *to, u64 from, u64 room); // length or an error

// --- file.c: the archive, pipes, and the table of open files
enum file_kind { FILE_FREE, FILE_CONSOLE, FILE_ARCHIVE, FILE_DIRECTORY, FILE_PIPE_READ, FILE_PIPE_WRITE };
struct file {
    enum file_kind kind;
    int users;
    u64 offset;
    struct archive_entry *entry;
    struct pipe *pipe;
};
struct archive_entry { // as found in the archive
    char name[64];     // without a leading slash; "" is the root
    u8 *data;
    u64 bytes;
    int directory;
};
void files_start(void);
struct archive_entry *archive_find(const char *path);
i64 file_open(const char *path);
struct file *file_console(void);
i64 file_pipe(struct file **read_end, struct file **write_end);
void file_close(struct file *file);
i64 file_read(struct file *file, u64 to, u64 bytes);
i64 file_write(struct file *file, u64 from, u64 bytes);
i64 file_list(struct file *file, u64 to, u64 bytes); // getdents64

// --- process.c
struct context { u64 ra, sp, s[12]; };
struct trap_frame { u64 x[32], sepc, sstatus; };
enum process_state { PROCESS_FREE, PROCESS_READY, PROCESS_RUNNING, PROCESS_SLEEPING, PROCESS_ENDED };
struct process {
    enum process_state state;
    int pid, parent;
    int status;          // as wait4 reports it
    char name[16];
    page_table table;
    u8 *kernel_stack;
    struct context context;
    u64 heap_begin, heap_end; // brk
    void *waits_for;     // what it sleeps on
    u64 wake_tick;       // or when it wakes; 0: never by itself
    struct file *files[FILES_PER_PROCESS];
};
extern struct process *current;
void processes_start(const char *arguments);
void run_processes(void) __attribute__((noreturn));
struct trap_frame *frame_of(struct process *process);
void sleep_on(void *what);
void sleep_until(u64 tick);
void wake(void *what);
void yield(void);
i64 process_fork(void);
i64 process_exec(const char *path, char *strings, int arguments, int environment);
i64 process_wait(i64 pid, u64 status_to, int no_wait);
i64 process_break(u64 address);
i64 process_kill(int pid, int signal);
void process_exit(int status) __attribute__((noreturn));
int grow_on_fault(u64 address); // 1: a page of heap or stack was added
void timer_tick(void);

// --- syscall.c
void system_call(struct trap_frame *frame);
