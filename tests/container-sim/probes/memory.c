// Memory: mapping, sharing, protection, files, limits, and what fork and exec make of it.
#include "check.h"

#include <setjmp.h>
#include <sys/syscall.h>

static sigjmp_buf back;
static void jump(int number) { siglongjmp(back, number); }
// 0, or the signal that an access raises
static void catch_faults(void (*handler)(int)) { signal(SIGSEGV, handler), signal(SIGBUS, handler); }
static int reads(volatile char *at) {
    catch_faults(jump);
    int raised = sigsetjmp(back, 1);
    if (raised == 0) (void)*at;
    catch_faults(SIG_DFL);
    return raised;
}
static int writes(volatile char *at) {
    catch_faults(jump);
    int raised = sigsetjmp(back, 1);
    if (raised == 0) *at = 'w';
    catch_faults(SIG_DFL);
    return raised;
}
static const char *name_of(int number) { return number ? signal_name(number) : "ok"; }
static char *map(size_t size, int protection, int flags) {
    char *at = mmap(0, size, protection, flags | MAP_ANONYMOUS, -1, 0);
    must("mmap", at == MAP_FAILED ? -1 : 0);
    return at;
}
static long mapped(void *result) { return result == MAP_FAILED ? -1 : 0; }
#define RW (PROT_READ | PROT_WRITE)

CHECK(memory_private_and_shared_across_fork) {
    char *private = map(8192, RW, MAP_PRIVATE), *shared_map = map(8192, RW, MAP_SHARED);
    strcpy(private, "parent"), strcpy(shared_map, "parent");
    RUN({ say("child=%s,%s", private, shared_map); strcpy(private, "child"), strcpy(shared_map, "child"); });
    say("parent=%s,%s", private, shared_map);
}

CHECK(memory_protection) {
    char *at = map(4 * 4096, RW, MAP_PRIVATE);
    SHOW("none", mprotect(at + 4096, 4096, PROT_NONE));
    SHOW("read", mprotect(at + 8192, 4096, PROT_READ));
    say("%s %s", name_of(writes(at)), name_of(reads(at + 4096)));
    say("%s %s", name_of(reads(at + 8192)), name_of(writes(at + 8192)));
    SHOW("unaligned", mprotect(at + 1, 4096, PROT_READ));
    munmap(at + 2 * 4096, 4096);
    SHOW("hole", mprotect(at, 4 * 4096, PROT_READ));
    say("before-hole=%s after-hole=%s", name_of(writes(at)), name_of(writes(at + 3 * 4096)));
    SHOW("zero", mprotect(at, 0, PROT_READ));
    SHOW("flags", mprotect(at, 4096, 0x100));
}

CHECK(memory_mmap_errors) {
    int file = open("/proc/self/exe", O_RDONLY);
    SHOW("zero", mapped(mmap(0, 0, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
    SHOW("no-kind", mapped(mmap(0, 4096, RW, MAP_ANONYMOUS, -1, 0)));
    SHOW("offset", mapped(mmap(0, 4096, PROT_READ, MAP_PRIVATE, file, 1)));
    SHOW("closed", mapped(mmap(0, 4096, PROT_READ, MAP_PRIVATE, 99, 0)));
    SHOW("shared-write", mapped(mmap(0, 4096, RW, MAP_SHARED, file, 0)));
    SHOW("private-write", mapped(mmap(0, 4096, RW, MAP_PRIVATE, file, 0)));
    SHOW("write-only-file", (touch("w", "x"), mapped(mmap(0, 4096, PROT_READ, MAP_PRIVATE, open("w", O_WRONLY), 0))));
    SHOW("huge", mapped(mmap(0, 1ul << 60, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
    SHOW("fixed-unaligned", mapped(mmap((void *)0x10001, 4096, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)));
    int ends[2];
    pipe(ends);
    SHOW("pipe", mapped(mmap(0, 4096, PROT_READ, MAP_PRIVATE, ends[0], 0)));
    SHOW("folder", mapped(mmap(0, 4096, PROT_READ, MAP_PRIVATE, open("/", O_RDONLY), 0)));
}

CHECK(memory_fixed_and_hints) {
    char *at = map(3 * 4096, RW, MAP_PRIVATE);
    at[4096] = 'x';
    SHOW("noreplace", mapped(mmap(at + 4096, 4096, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0)));
    SHOW("fixed", mmap(at + 4096, 4096, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at + 4096);
    say("replaced=%d", at[4096] == 0);
    SHOW("hint-taken", mmap(at + 4096, 4096, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != at + 4096);
    munmap(at + 4096, 4096);
    SHOW("hint-free", mmap(at + 4096, 4096, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == at + 4096);
    RUN({ become(1000); SHOW("page-0", mapped(mmap(0, 4096, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0))); });
}

CHECK(memory_munmap) {
    char *at = map(4 * 4096, RW, MAP_PRIVATE);
    SHOW("middle", munmap(at + 4096, 4096));
    say("%s %s %s", name_of(reads(at)), name_of(reads(at + 4096)), name_of(reads(at + 8192)));
    SHOW("hole", munmap(at, 4 * 4096));
    SHOW("again", munmap(at, 4096));
    SHOW("unaligned", munmap(at + 1, 4096));
    SHOW("zero", munmap(at, 0));
}

CHECK(memory_file_shared) {
    own_mounts();
    touch("f", "0123456789");
    int fd = open("f", O_RDWR);
    char *shared_map = mmap(0, 8192, RW, MAP_SHARED, fd, 0), *private = mmap(0, 8192, RW, MAP_PRIVATE, fd, 0), text[16] = "";
    shared_map[0] = 'S';
    pread(fd, text, 10, 0);
    say("file=%s private=%.2s", text, private);
    private[1] = 'P';
    pwrite(fd, "WW", 2, 1);
    say("shared=%.4s private=%.4s", shared_map, private);
    shared_map[4000] = 'x';
    struct stat info;
    fstat(fd, &info);
    say("size=%ld beyond=%s", (long)info.st_size, name_of(reads(shared_map + 4096)));
    ftruncate(fd, 8192);
    say("grown=%s tail=%d", name_of(writes(shared_map + 4096)), shared_map[4000]);
    ftruncate(fd, 4096);
    say("cut=%s", name_of(reads(shared_map + 4096)));
    close(fd);
    say("after-close=%s", name_of(writes(shared_map)));
    SHOW("msync", msync(shared_map, 4096, MS_SYNC));
    SHOW("msync-both", msync(shared_map, 4096, MS_SYNC | MS_ASYNC));
    SHOW("msync-unaligned", msync(shared_map + 1, 4096, MS_SYNC));
    SHOW("msync-hole", msync((void *)0x10000000000, 4096, MS_SYNC));
}

CHECK(memory_shared_between_processes_through_a_file) {
    own_mounts();
    touch("f", "");
    truncate("f", 4096);
    RUN({ char *at = mmap(0, 4096, RW, MAP_SHARED, open("f", O_RDWR), 0); strcpy(at, "from the child"); });
    char *at = mmap(0, 4096, RW, MAP_SHARED, open("f", O_RDWR), 0);
    show_text("seen", at);
    RUN({ at[0] = 'F'; });
    show_file("file-begins", "f");
}

CHECK(memory_madvise) {
    char *at = map(8192, RW, MAP_PRIVATE), *shared_map = map(8192, RW, MAP_SHARED);
    at[0] = shared_map[0] = 'x';
    SHOW("dontneed", madvise(at, 4096, MADV_DONTNEED));
    say("zero=%d", at[0] == 0);
    SHOW("shared-dontneed", madvise(shared_map, 4096, MADV_DONTNEED));
    say("kept=%d", shared_map[0] == 'x');
    SHOW("unaligned", madvise(at + 1, 4096, MADV_DONTNEED));
    SHOW("unknown", madvise(at, 4096, 9999));
    munmap(at + 4096, 4096);
    SHOW("hole", madvise(at, 8192, MADV_DONTNEED));
    SHOW("wipe", madvise(at, 4096, MADV_WIPEONFORK));
    at[0] = 'y';
    RUN({ say("wiped=%d", at[0] == 0); });
    SHOW("dontfork", madvise(at, 4096, MADV_DONTFORK));
    RUN({ say("child=%s", name_of(reads(at))); });
    SHOW("remove", madvise(shared_map, 4096, MADV_REMOVE));
    say("removed=%d", shared_map[0] == 0);
}

CHECK(memory_mremap) {
    char *at = map(4 * 4096, RW, MAP_PRIVATE);
    strcpy(at, "kept");
    SHOW("shrink", mremap(at, 4 * 4096, 4096, 0) == at);
    say("%s", name_of(reads(at + 4096)));
    char *moved = mremap(at, 4096, 16 * 4096, MREMAP_MAYMOVE);
    SHOW("grow", mapped(moved));
    say("%s %s", moved, name_of(writes(moved + 15 * 4096)));
    char *target = map(4096, RW, MAP_PRIVATE);
    SHOW("fixed", mremap(moved, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target);
    say("%s %s", target, name_of(reads(moved)));
    SHOW("unmapped", mapped(mremap(moved, 4096, 8192, MREMAP_MAYMOVE)));
    SHOW("unaligned", mapped(mremap(target + 1, 4096, 8192, MREMAP_MAYMOVE)));
    SHOW("fixed-alone", mapped(mremap(target, 4096, 4096, MREMAP_FIXED, moved)));
    SHOW("zero", mapped(mremap(target, 4096, 0, MREMAP_MAYMOVE)));
}

CHECK(memory_brk) {
    char *start = sbrk(0);
    SHOW("grow", sbrk(3 * 4096) == start);
    say("%s", name_of(writes(start + 4096)));
    SHOW("shrink", brk(start));
    say("%s", name_of(reads(start + 2 * 4096)));
    SHOW("below", syscall(SYS_brk, 4096) == (long)sbrk(0));
    struct rlimit limit = {4096, 4096};
    setrlimit(RLIMIT_DATA, &limit);
    SHOW("limit", sbrk(1 << 20) == (void *)-1 ? -1 : 0);
}

CHECK(memory_address_space_limit) {
    struct rlimit limit = {64 << 20, 64 << 20};
    setrlimit(RLIMIT_AS, &limit);
    SHOW("small", mapped(mmap(0, 1 << 20, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
    SHOW("large", mapped(mmap(0, 128 << 20, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
    SHOW("reserve", mapped(mmap(0, 128 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)));
}

CHECK(memory_locks) {
    char *at = map(8192, RW, MAP_PRIVATE);
    SHOW("mlock", mlock(at, 4096));
    SHOW("munlock", munlock(at, 4096));
    SHOW("hole", mlock((void *)0x10000000000, 4096));
    RUN({
        struct rlimit limit = {4096, 4096};
        setrlimit(RLIMIT_MEMLOCK, &limit);
        become(1000);
        SHOW("limit", mlock(at, 8192));
        SHOW("all", mlockall(MCL_CURRENT));
        limit.rlim_cur = limit.rlim_max = 0;
        setrlimit(RLIMIT_MEMLOCK, &limit);
        SHOW("none", mlock(at, 4096));
    });
}

CHECK(memory_mincore) {
    char *at = map(3 * 4096, RW, MAP_PRIVATE);
    unsigned char resident[3] = {9, 9, 9};
    at[4096] = 1;
    SHOW("mincore", mincore(at, 3 * 4096, resident));
    say("%d%d%d", resident[0] & 1, resident[1] & 1, resident[2] & 1);
    munmap(at, 4096);
    SHOW("hole", mincore(at, 4096, resident));
    SHOW("unaligned", mincore(at + 1, 4096, resident));
}

CHECK(memory_stack_grows) {
    struct rlimit limit;
    getrlimit(RLIMIT_STACK, &limit);
    say("limit=%ld", (long)limit.rlim_cur);
    volatile char local[1 << 20];
    local[0] = 1, local[sizeof local - 1] = 2;
    say("sum=%d", local[0] + local[sizeof local - 1]);
}

CHECK(memory_execute_protection) {
    static const unsigned code[2] = {0x02a00513, 0x00008067}; // li a0, 42; ret
    unsigned *at = (unsigned *)map(4096, RW, MAP_PRIVATE);
    memcpy(at, code, sizeof code);
    catch_faults(jump);
    int raised = sigsetjmp(back, 1);
    if (raised == 0) ((int (*)(void))at)();
    catch_faults(SIG_DFL);
    say("no-execute=%s", name_of(raised));
    SHOW("mprotect", mprotect(at, 4096, PROT_READ | PROT_EXEC));
    __asm__ volatile("fence.i");
    say("result=%d write=%s", ((int (*)(void))at)(), name_of(writes((char *)at)));
    SHOW("flush", syscall(SYS_riscv_flush_icache, at, at + 2, 0));
}

CHECK(memory_calls_into_bad_pointers) {
    char *at = map(8192, RW, MAP_PRIVATE);
    munmap(at + 4096, 4096);
    touch("f", "0123456789");
    int fd = open("f", O_RDWR), ends[2];
    pipe(ends);
    SHOW("read-part", read(fd, at + 4094, 10));
    SHOW("write-part", write(ends[1], at + 4094, 10));
    SHOW("write", write(ends[1], at + 4096, 10));
    SHOW("open", open(at + 4096, O_RDONLY));
    SHOW("stat", stat("f", (void *)(at + 4096)));
    mprotect(at, 4096, PROT_READ);
    SHOW("read-only", read(open("f", O_RDONLY), at, 4));
    SHOW("kernel-address", write(ends[1], (void *)0xffffffff80000000, 4));
    SHOW("getcwd", syscall(SYS_getcwd, at + 4096, 64));
}

CHECK(memory_process_vm_readv) {
    static char text[] = "before";
    pid_t pid = START({ strcpy(text, "inside"); set_flag(0); await_flag(1); say("child-has=%s", text); });
    await_flag(0);
    char got[8] = "";
    struct iovec local = {got, 7}, remote = {text, 7};
    SHOW("read", process_vm_readv(pid, &local, 1, &remote, 1, 0));
    show_text("got", got);
    strcpy(got, "writer");
    SHOW("write", process_vm_writev(pid, &local, 1, &remote, 1, 0));
    remote.iov_base = (void *)8;
    SHOW("pointer", process_vm_readv(pid, &local, 1, &remote, 1, 0));
    RUN({ become(1000); remote.iov_base = text; SHOW("stranger", process_vm_readv(pid, &local, 1, &remote, 1, 0)); });
    SHOW("missing", process_vm_readv(4999, &local, 1, &remote, 1, 0));
    set_flag(1);
    wait_for(pid);
}

CHECK(memory_membarrier_and_rseq) {
    SHOW("query", syscall(SYS_membarrier, 0, 0, 0) > 0);
    SHOW("unregistered", syscall(SYS_membarrier, 8, 0, 0)); // MEMBARRIER_CMD_PRIVATE_EXPEDITED
    SHOW("register", syscall(SYS_membarrier, 16, 0, 0));
    SHOW("private", syscall(SYS_membarrier, 8, 0, 0));
    SHOW("unknown", syscall(SYS_membarrier, 1 << 30, 0, 0));
    SHOW("rseq-length", syscall(SYS_rseq, map(4096, RW, MAP_PRIVATE), 7, 0, 0));
}

CHECK(memory_truncate_takes_pages_from_all_who_map) {
    own_mounts();
    touch("f", "");
    truncate("f", 3 * 4096);
    int fd = open("f", O_RDWR);
    char *shared_map = mmap(0, 3 * 4096, RW, MAP_SHARED, fd, 0), *private = mmap(0, 3 * 4096, RW, MAP_PRIVATE, fd, 0);
    shared_map[4096] = 's', private[8192] = 'p', shared_map[4096 + 100] = 't';
    pid_t pid = START({ set_flag(0); await_flag(1); say("child=%s,%s,%s", name_of(reads(shared_map)), name_of(reads(shared_map + 8192)), name_of(reads(private + 8192))); });
    await_flag(0);
    SHOW("cut", ftruncate(fd, 4096 + 50));
    set_flag(1);
    wait_for(pid);
    say("kept=%d tail=%d beyond=%s own-copy=%s", shared_map[4096] == 's', shared_map[4096 + 100], name_of(reads(shared_map + 8192)), name_of(writes(private + 8192)));
    SHOW("grow", ftruncate(fd, 3 * 4096));
    say("zero=%d private-zero=%d", shared_map[8192] == 0, private[8192] == 0);
}

CHECK(memory_read_only_file_cannot_become_writable) {
    own_mounts();
    touch("f", "x");
    char *shared_map = mmap(0, 4096, PROT_READ, MAP_SHARED, open("f", O_RDONLY), 0), *private = mmap(0, 4096, PROT_READ, MAP_PRIVATE, open("f", O_RDONLY), 0);
    SHOW("shared", mprotect(shared_map, 4096, RW));
    SHOW("private", mprotect(private, 4096, RW));
    int sealed = syscall(SYS_memfd_create, "m", 2);
    ftruncate(sealed, 4096);
    char *before = mmap(0, 4096, RW, MAP_SHARED, sealed, 0);
    SHOW("mapped", fcntl(sealed, 1033, 8)); // F_ADD_SEALS, F_SEAL_WRITE
    SHOW("future", fcntl(sealed, 1033, 16)); // F_SEAL_FUTURE_WRITE
    say("still=%s", name_of(writes(before)));
    SHOW("more", mapped(mmap(0, 4096, RW, MAP_SHARED, sealed, 0)));
    char *reader = mmap(0, 4096, PROT_READ, MAP_SHARED, sealed, 0);
    SHOW("protect", mprotect(reader, 4096, RW));
    SHOW("copy", mapped(mmap(0, 4096, RW, MAP_PRIVATE, sealed, 0)));
}

CHECK(memory_shared_anonymous_ends_where_it_was_made) {
    char *at = map(2 * 4096, RW, MAP_SHARED);
    at[4096] = 'x';
    char *grown = mremap(at, 2 * 4096, 4 * 4096, MREMAP_MAYMOVE);
    SHOW("grow", mapped(grown));
    say("kept=%d behind=%s", grown[4096] == 'x', name_of(reads(grown + 2 * 4096)));
    char *second = mremap(grown, 0, 4096, MREMAP_MAYMOVE);
    SHOW("again", mapped(second));
    second[5] = 'y';
    say("same=%d", grown[5] == 'y');
    char *private = map(4096, RW, MAP_PRIVATE);
    SHOW("private-again", mapped(mremap(private, 0, 4096, MREMAP_MAYMOVE)));
    SHOW("huge", mapped(mremap(private, 4096, 1ul << 46, MREMAP_MAYMOVE)));
    SHOW("overflow", mapped(mremap(private, 4096, -4096ul, MREMAP_MAYMOVE)));
    SHOW("beyond", mapped(mremap(private, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, -4096ul)));
    SHOW("overlap", mapped(mremap(private, 8192, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, private + 4096)));
    SHOW("flags", mapped(mremap(private, 4096, 4096, 64)));
}

CHECK(memory_has_65530_areas_at_most) {
    long made = 0, errors = 0;
    char *at = map(2ul * 70000 * 4096, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE);
    for (long i = 0; i < 70000 && !errors; ++i) {
        if (mprotect(at + 2 * i * 4096, 4096, PROT_READ)) errors = errno;
        else ++made;
    }
    say("made=%d error=%s", made > 32000 && made < 32768, strerrorname_np(errors));
    SHOW("fixed-inside", mapped(mmap(at + 4096 * 139000ul, 4096, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)));
    SHOW("unmap-inside", munmap(at + 4096 * 139000ul, 4096));
}

CHECK(memory_stack_limit_and_growing_down) {
    RUN({
        struct rlimit limit = {256 << 10, 256 << 10};
        setrlimit(RLIMIT_STACK, &limit);
        char *here = __builtin_frame_address(0);
        say("near=%s far=%s", name_of(reads(here - (64 << 10))), name_of(reads(here - (512 << 10))));
    });
    char *room = map(600 * 4096, PROT_NONE, MAP_PRIVATE);
    munmap(room, 600 * 4096);
    char *down = mmap(room + 590 * 4096, 4096, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
    SHOW("growsdown", mapped(down));
    say("below=%s", name_of(writes(down - 3 * 4096)));
    SHOW("shared", mapped(mmap(0, 4096, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0)));
}

static long kilobytes(const char *file, const char *field) {
    char text[8192] = "";
    int fd = open(file, O_RDONLY);
    long count = read(fd, text, sizeof text - 1);
    close(fd);
    text[count > 0 ? count : 0] = 0;
    char *at = strstr(text, field);
    return at ? atol(at + strlen(field)) : -1;
}

CHECK(memory_counts_of_proc_agree) {
    own_mounts();
    touch("f", "");
    truncate("f", 32 * 4096);
    const char *status = "/proc/self/status";
    long anonymous = kilobytes(status, "RssAnon:"), shared_pages = kilobytes(status, "RssShmem:");
    char *private = map(32 * 4096, RW, MAP_PRIVATE), *file = mmap(0, 32 * 4096, RW, MAP_SHARED, open("f", O_RDWR), 0), *common = map(32 * 4096, RW, MAP_SHARED);
    for (int i = 0; i < 32; ++i) private[i * 4096] = file[i * 4096] = common[i * 4096] = 1;
    say("anonymous=%d shared=%d", kilobytes(status, "RssAnon:") - anonymous >= 128, kilobytes(status, "RssShmem:") - shared_pages == 256);
    say("sum=%d", kilobytes(status, "VmRSS:") == kilobytes(status, "RssAnon:") + kilobytes(status, "RssFile:") + kilobytes(status, "RssShmem:"));
    say("rollup=%d", kilobytes("/proc/self/smaps_rollup", "Rss:") - kilobytes(status, "VmRSS:") <= 16);
    SHOW("lock", mlock(private, 8 * 4096));
    say("locked=%ld", kilobytes(status, "VmLck:"));
    SHOW("future", mlockall(MCL_FUTURE));
    map(4 * 4096, RW, MAP_PRIVATE);
    say("locked=%ld", kilobytes(status, "VmLck:"));
    munlockall();
    say("locked=%ld", kilobytes(status, "VmLck:"));
}

CHECK(memory_advice_on_areas) {
    char *at = map(4 * 4096, RW, MAP_PRIVATE), *common = map(4096, RW, MAP_SHARED);
    SHOW("populate", madvise(at, 4 * 4096, MADV_POPULATE_WRITE));
    SHOW("free", madvise(at, 4096, MADV_FREE));
    SHOW("free-shared", madvise(common, 4096, MADV_FREE));
    SHOW("wipe-shared", madvise(common, 4096, MADV_WIPEONFORK));
    SHOW("remove-private", madvise(at, 4096, MADV_REMOVE));
    SHOW("will-need", madvise(at, 4096, MADV_WILLNEED));
    SHOW("cold", madvise(at, 4096, MADV_COLD));
    SHOW("page-out", madvise(at, 4096, MADV_PAGEOUT));
    mlock(at, 4096);
    SHOW("locked", madvise(at, 4096, MADV_DONTNEED));
    SHOW("locked-anyhow", madvise(at, 4096, MADV_DONTNEED_LOCKED));
    SHOW("none", madvise(at, 0, MADV_DONTNEED));
    SHOW("overflow", madvise(at, -4096ul, MADV_DONTNEED));
    mprotect(at, 4096, PROT_NONE);
    SHOW("populate-none", madvise(at, 4096, MADV_POPULATE_READ));
}
