// The controller memory of cgroup v2 beyond the limits of cgroup_limits.c: files in memory, moving, removing, who is chosen, and what /proc
// tells of a process's memory.
#include "cgroup.h"

static const char *const kFile = "/tmp/memory/file";
static void set_up_memory(void) {
    set_up("+memory");
    mkdir("/tmp/memory", 0755);
    must("mount", mount("probe", "/tmp/memory", "tmpfs", 0, "size=64m"));
    make("a");
}
static void limit(const char *group, const char *bytes) {
    MUST(put(in(group, "memory.max"), bytes));
    put(in(group, "memory.swap.max"), "0");
}
/// As far as it goes; how many KiB, 64 at a time
static long fill_file(const char *path, long kilobytes) {
    static char bytes[65536];
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    long done = 0;
    memset(bytes, 1, sizeof bytes);
    for (ssize_t count; done < kilobytes && (count = write(file, bytes, sizeof bytes)) > 0;) done += count >> 10;
    close(file);
    return done;
}
static long current(const char *group) {
    char text[32];
    return get(in(group, "memory.current"), text, sizeof text) < 0 ? -1 : atol(text);
}
static long status_kilobytes(const char *key) {
    char text[8192], *line;
    if (get("/proc/self/status", text, sizeof text) < 0 || !(line = strstr(text, key))) return -1;
    return atol(line + strlen(key));
}

CHECK(memory_files) {
    set_up_memory();
    static const char *const names[] = {"memory.peak", "memory.reclaim", "memory.events.local", "memory.swap.current", "memory.swap.high", "memory.swap.peak", "memory.swap.events"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) show(names[i], access(in("a", names[i]), F_OK));
    show_file("swap.max", in("a", "memory.swap.max"));
    show_file("swap.current", in("a", "memory.swap.current"));
    show_file("swap.events", in("a", "memory.swap.events"));
    show_file("oom.group", in("a", "memory.oom.group"));
    static const char *const texts[] = {"1", "2", "-1", "word", "", "0"};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) SHOW(*texts[i] ? texts[i] : "empty", put(in("a", "memory.oom.group"), texts[i]));
}

CHECK(memory_of_a_file_in_memory_is_charged_until_it_is_gone) {
    set_up_memory();
    show_status("writer", RUN({ MUST(enter("a", getpid())); say("wrote=%ld", fill_file(kFile, 2048)); }));
    nap(20);
    say("shmem=%d file=%d current=%d", number_of("a", "memory.stat", "shmem") == 2048 << 10, number_of("a", "memory.stat", "file") >= 2048 << 10, current("a") >= 2048 << 10);
    SHOW("unlink", unlink(kFile));
    nap(20);
    say("shmem=%ld", number_of("a", "memory.stat", "shmem"));
}

CHECK(memory_of_an_unlinked_file_goes_with_its_last_descriptor) {
    set_up_memory();
    MUST(enter("a", getpid()));
    fill_file(kFile, 1024);
    int file = open(kFile, O_RDWR);
    unlink(kFile);
    say("open=%ld", number_of("a", "memory.stat", "shmem") >> 10);
    char *map = mmap(0, 4096, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    say("mapped=%ld", number_of("a", "memory.stat", "shmem") >> 10);
    munmap(map, 4096);
    nap(20);
    say("gone=%ld", number_of("a", "memory.stat", "shmem") >> 10);
}

// Steps of more than 64 pages: smaller changes are not in memory.stat at once.
CHECK(memory_of_a_file_shrinks_with_it) {
    set_up_memory();
    MUST(enter("a", getpid()));
    fill_file(kFile, 4096);
    SHOW("truncate", truncate(kFile, 2048 << 10));
    say("shmem=%ld", number_of("a", "memory.stat", "shmem") >> 10);
    int file = open(kFile, O_RDWR);
    SHOW("punch", fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1024 << 10));
    say("shmem=%ld", number_of("a", "memory.stat", "shmem") >> 10);
    SHOW("allocate", fallocate(file, 0, 0, 3072 << 10));
    say("shmem=%ld", number_of("a", "memory.stat", "shmem") >> 10);
}

CHECK(memory_max_binds_files_in_memory) {
    set_up_memory();
    limit("a", "4M");
    show_status("writer", RUN({ MUST(enter("a", getpid())); fill_file(kFile, 16 << 10); }));
    say("kills=%d", number_of("a", "memory.events", "oom_kill") > 0);
    struct stat info;
    stat(kFile, &info);
    say("below-4M=%d above-2M=%d", info.st_size <= 4 << 20, info.st_size >= 2 << 20);
}

CHECK(memory_stays_where_it_was_charged) {
    set_up_memory();
    make("b");
    pid_t pid = START({ MUST(enter("a", getpid())); use_memory(2 << 20); set_flag(0); await_flag(1); use_memory(1 << 20); set_flag(2); pause(); });
    await_flag(0);
    MUST(enter("b", pid));
    say("a-keeps=%d b-has-none=%d", number_of("a", "memory.stat", "anon") >= 2 << 20, number_of("b", "memory.stat", "anon") < 1 << 19);
    set_flag(1);
    await_flag(2);
    say("b-has-new=%d", number_of("b", "memory.stat", "anon") >= 1 << 20);
    kill(pid, SIGKILL);
    wait_for(pid);
    nap(50);
    say("a=%d b=%d", number_of("a", "memory.stat", "anon") < 1 << 19, number_of("b", "memory.stat", "anon") < 1 << 19);
}

CHECK(memory_of_a_removed_group_counts_above) {
    set_up_memory();
    make("a/b");
    MUST(put(in("a", "cgroup.subtree_control"), "+memory"));
    RUN({ MUST(enter("a/b", getpid())); fill_file(kFile, 1024); });
    nap(20);
    say("inside=%ld", number_of("a/b", "memory.stat", "shmem") >> 10);
    SHOW("rmdir", rmdir(in("a/b", "")));
    nap(20);
    say("above=%ld", number_of("a", "memory.stat", "shmem") >> 10);
}

CHECK(memory_shared_by_two_groups_is_charged_to_the_first) {
    set_up_memory();
    make("b");
    RUN({ MUST(enter("a", getpid())); fill_file(kFile, 1024); });
    RUN({
        MUST(enter("b", getpid()));
        int file = open(kFile, O_RDWR);
        char *map = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        for (int i = 0; i < 1 << 20; i += 4096) map[i]++;
        say("a=%ld b=%ld", number_of("a", "memory.stat", "shmem") >> 10, number_of("b", "memory.stat", "shmem") >> 10);
    });
}

static void adjust(const char *text) { MUST(put("/proc/self/oom_score_adj", text)); }
CHECK(memory_oom_score_adj_decides_who_ends) {
    set_up_memory();
    limit("a", "6M");
    pid_t large = START({ adjust("-1000"); MUST(enter("a", getpid())); use_memory(2 << 20); set_flag(0); pause(); });
    pid_t meant = START({ adjust("1000"); MUST(enter("a", getpid())); use_memory(1 << 20); set_flag(1); pause(); });
    await_flag(0), await_flag(1);
    pid_t hog = START({ MUST(enter("a", getpid())); use_memory(3500 << 10); set_flag(2); pause(); });
    await_flag(2);
    nap(50);
    say("never=%c first=%c other=%c", state_of(large), state_of(meant), state_of(hog));
    kill(large, SIGKILL), kill(meant, SIGKILL), kill(hog, SIGKILL);
}

CHECK(memory_oom_score) {
    char text[32];
    static const char *const values[] = {"1000", "500", "0", "-500", "-1000"};
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
        adjust(values[i]);
        get("/proc/self/oom_score", text, sizeof text);
        say("%s=%ld", values[i], (atol(text) + 50) / 100); // a little more for what the process holds, by the size of the machine
    }
    SHOW("1001", put("/proc/self/oom_score_adj", "1001"));
    SHOW("-1001", put("/proc/self/oom_score_adj", "-1001"));
    SHOW("word", put("/proc/self/oom_score_adj", "word"));
}

CHECK(memory_peaks_of_a_process) {
    long size = status_kilobytes("VmSize:"), resident = status_kilobytes("VmRSS:");
    char *area = mmap(0, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 2 << 20; i += 4096) area[i] = 1;
    say("grown=%d resident=%d", status_kilobytes("VmSize:") - size == 4096, status_kilobytes("VmRSS:") - resident >= 2048);
    munmap(area, 4 << 20);
    say("peak=%d high-water=%d", status_kilobytes("VmPeak:") - status_kilobytes("VmSize:") >= 4096, status_kilobytes("VmHWM:") - status_kilobytes("VmRSS:") >= 1900);
}

CHECK(memory_peak_of_a_group) {
    set_up_memory();
    RUN({ MUST(enter("a", getpid())); use_memory(3 << 20); });
    nap(50);
    char text[32];
    get(in("a", "memory.peak"), text, sizeof text);
    say("peak=%d now=%d", atol(text) >= 3 << 20, current("a") < 1 << 20);
}

CHECK(memory_reclaim) {
    set_up_memory();
    SHOW("nothing", put(in("a", "memory.reclaim"), "1G"));
    SHOW("word", put(in("a", "memory.reclaim"), "word"));
    SHOW("zero", put(in("a", "memory.reclaim"), "0"));
    char text[32];
    SHOW("read", get(in("a", "memory.reclaim"), text, sizeof text));
}

CHECK(memory_lowered_max_ends_who_is_above) {
    set_up_memory();
    pid_t large = START({ MUST(enter("a", getpid())); use_memory(4 << 20); set_flag(0); pause(); });
    await_flag(0);
    put(in("a", "memory.swap.max"), "0");
    SHOW("max", put(in("a", "memory.max"), "2M"));
    nap(50);
    say("state=%c kills=%d", state_of(large), number_of("a", "memory.events", "oom_kill") > 0);
    kill(large, SIGKILL);
}

CHECK(cpu_max_burst) {
    set_up("+cpu");
    make("a");
    show_file("default", in("a", "cpu.max.burst"));
    SHOW("without-quota", put(in("a", "cpu.max.burst"), "1000"));
    SHOW("quota-below", put(in("a", "cpu.max"), "500 100000"));
    SHOW("quota", put(in("a", "cpu.max"), "50000 100000"));
    static const char *const texts[] = {"50000", "50001", "-1", "word", "0"};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) SHOW(texts[i], put(in("a", "cpu.max.burst"), texts[i]));
    show_file("is", in("a", "cpu.max.burst"));
}
