// The simulated kernel: host code in seat S of the machine that runs Linux processes in U-mode. A system call is the same stop as a VM
// exit. A value: it copies together with its Machine.
//
// Usage:
//   auto kernel = Kernel::boot(machine);
//   kernel->start_container(machine, {.hostname = "web", .rootfs = "rootfs", .arguments = {"/bin/sh"}});
//   kernel->run(machine, 1'000'000);
//
// Known gaps: one hart. Each system call's own gap stands in its row (syscalls.def).
#pragma once

#include "container-sim/net/network.hpp"
#include "container-sim/event_files.hpp"
#include "container-sim/inotify.hpp"
#include "container-sim/ipc/ipc.hpp"
#include "container-sim/keys.hpp"
#include "container-sim/locks.hpp"
#include "container-sim/pool.hpp"
#include "container-sim/spec.hpp"
#include "container-sim/task.hpp"
#include "container-sim/terminal.hpp"
#include "emulator/machine.hpp"

#include <set>

namespace trapeze {
struct ElfImage;
}

namespace trapeze::container {

/// What uname(2) says of the kernel.
inline constexpr const char *kKernelRelease = "6.12.0-trapeze", *kKernelVersion = "#1";

enum class RunState : u8 { Budget, Idle, Finished };
struct KernelStop {
    RunState state = RunState::Budget;
    u64 executed = 0;
};

/// The result of one attempt at a system call: done with a value, or blocked.
struct Attempt {
    i64 value = 0;
    bool blocked = false;
    bool no_return = false; ///< the task has ended, begun another program or gone back to where a signal found it: its registers stay
    Attempt(i64 v) : value(v) {}
    static Attempt block() {
        Attempt attempt(0);
        attempt.blocked = true;
        return attempt;
    }
    static Attempt gone() {
        Attempt attempt(0);
        attempt.no_return = true;
        return attempt;
    }
};

/// Where execveat(2) finds a program, when it is not by a path from the current directory.
struct ProgramPlace {
    Location base;
    std::string path;
    u32 flags = 0;
};

class Kernel {
  public:
    /// Occupies seat S of a machine that was created without firmware.
    static Result<Kernel> boot(Machine& machine);
    /// Starts a program as pid 1 of new pid, uts and mnt namespaces, its root the folder. Returns its pid in the host's namespace.
    Result<i32> start_container(Machine& machine, const ContainerSpec& spec);

    /// Runs processes for at most `budget` instructions. When all wait and some for a time, that time passes at once, or (Return) the
    /// call ends. Idle: nothing will happen without input. Invariant: run(a) then run(b) is run(a + b).
    KernelStop run(Machine& machine, u64 budget, WhenIdle when_idle = WhenIdle::PassTime);

    void type(u32 container, std::string_view text);
    void close_input(u32 container);
    /// What a container has printed since the last call.
    std::string take_output(u32 container);
    u32 containers() const { return static_cast<u32>(ttys.size()) - 1; }
    /// wait4 status of a container's init; nullopt while it runs.
    std::optional<int> exit_status(u32 container) const;

    std::vector<ProcessView> processes_seen() const;
    u64 frames_used() const { return used_frames; }
    u64 system_calls() const { return calls_made; }

    static constexpr u64 kMostIdleSkips = 1'000'000; ///< then the kernel is idle: a timer that wakes nobody would pass time for ever
    static constexpr u64 kSlice = 200'000;       ///< instructions of a time slice
    static constexpr u64 kNanosecondsPerCycle = 10; ///< a 100 MHz machine
    static constexpr u64 kEpochSeconds = 1'767'225'600; ///< CLOCK_REALTIME when the machine starts: 2026-01-01 00:00 UTC
    static constexpr std::size_t kMaxTasks = 32'768, kMaxFiles = 65'536, kMaxDescriptors = 1024, kMaxTexts = 4096, kMaxVmas = 65'530;
    static constexpr i32 kMaxPid = 32'768;
    static constexpr std::size_t kMaxStrings = 128 << 10; ///< bytes of a program's arguments and environment
    static constexpr u64 kMaxTransfer = 1 << 20; ///< bytes that one call moves; a short count tells the rest

    // What follows is for the kernel's own sources (container-sim/), whose parts work on each other's state.
    struct Tty { ///< a container's console
        u32 terminal = 0; ///< 0: it has none
        std::string input, output;
        bool closed = false;
        u32 init = 0; ///< process
        u32 held = 0; ///< number of the file + 1 that is the terminal's other end, when a program has opened it
    };

    void set_up(Machine& machine);
    void set_up_host();

    // scheduler.cpp
    void make_runnable(u32 task);
    void block(u32 task);
    void wake(WaitKey key, Edge edge = Edge::Yes);
    void wake_task(u32 task, Wakened why);
    void leave_queues(Task& task);
    void expire_timers(Machine& machine);
    bool skip_idle(Machine& machine);
    void load(Machine& machine, Task& task);
    void save(Machine& machine, Task& task);
    void handle_trap(Machine& machine, const Trap& trap);
    void begin_call(Machine& machine, u32 task);
    void attempt_call(Machine& machine, u32 task);
    void finish_call(Machine& machine, Task& task, i64 value);
    void event(Machine& machine, EventKind kind, const Task& task, std::string_view text);

    // lifecycle.cpp
    /// As many as an eighth of the memory has room for stacks of 16 KiB (/proc/sys/kernel/threads-max).
    std::size_t max_tasks() const { return std::clamp<std::size_t>(frame_users.size() / 32, 20, kMaxTasks); }
    std::optional<u32> new_task();
    std::optional<u32> new_process(u32 parent);
    bool give_pid(u32 task, u32 pid_namespace, std::span<const i32> wanted = {});
    void use_pid(i32 pid) { ++pids[pid].users; }
    void release_pid(i32 pid);
    void set_group(Process& process, i32 group);
    void set_session(Process& process, i32 session);
    void end_thread(Machine& machine, u32 task, int code);
    void end_process(Machine& machine, u32 process, int status); ///< all its threads, wait4 status
    void become_zombie(Machine& machine, u32 process);
    void reap(Machine& machine, u32 process);
    void drop_task(Machine& machine, u32 task);
    void notify_parent_of_end(Machine& machine, u32 process);
    bool is_container_init(u32 process) const;
    void end_session(Machine& machine, u32 process);
    void release_task(Machine& machine, Task& task);
    void kill_namespace(Machine& machine, u32 pid_namespace);
    void set_parent(u32 child, u32 parent);
    u32 reaper_of(const Process& process) const;
    std::optional<u32> init_of(u32 pid_namespace) const; ///< process

    // cgroups.cpp, cgroup_control.cpp, fs/cgroupfs.cpp
    static constexpr std::size_t kMaxCgroups = 65'536;
    void set_up_cgroups(const Viewer& boot);
    bool cgroup_within(u32 group, u32 ancestor) const;
    ControllerSet controllers_of(u32 group) const;
    std::vector<u32> cgroups_below(u32 group) const;
    i64 make_cgroup(u32 parent, const std::string& name, u32 uid, u32 gid);
    i64 make_cgroup_folder(u32 group, u32 permissions, u64 now);
    i64 remove_cgroup(u32 group);
    void release_cgroup(u32 group);
    void cgroup_event(u32 group);
    void tell_cgroup_file(u32 group, const char* name);
    void change_members(u32 group, u32 task, bool enters);
    void join_cgroup(u32 task);
    void leave_cgroup(u32 task);
    void move_to_cgroup(u32 task, u32 group);
    std::string cgroup_path(u32 group, u32 root) const;
    std::string cgroup_line(const Task& shown, u32 root) const;
    std::optional<u32> cgroup_at(Location at) const;
    i64 may_write_cgroup(const Viewer& viewer, u32 group);
    void drop_cgroup_files(u32 group);
    bool is_thread_root(u32 group) const;
    bool is_valid_domain(u32 group) const;
    bool can_be_thread_root(u32 group) const;
    i64 may_hold_processes(u32 group) const;
    i64 may_migrate(const Viewer& viewer, u32 from, u32 to, bool whole);
    i64 may_enable(u32 group, ControllerSet enable) const;
    i64 change_controllers(u32 group, ControllerSet enable, ControllerSet disable);
    void reset_controller(u32 group, Controller controller);
    i64 charge_fork(u32 group);
    void count_pids(u32 group, i64 more);
    void set_frozen(u32 task, bool frozen);
    void freeze_cgroup(u32 group, bool freeze);
    void kill_cgroup(Machine& machine, u32 group);
    u64 effective_cpus(u32 group) const;

    // memory_control.cpp, reclaim.cpp, out_of_memory.cpp
    static constexpr u64 kStackPages = 4; ///< of the kernel's stack of a task
    u32 memory_home(u32 group) const;
    u32 paying_group() const { return memory_home(process_of(tasks[payer]).cgroup); }
    bool charge_memory(Machine& machine, u32 group, FrameKind kind, u64 pages = 1);
    void count_memory(u32 group, FrameKind kind, i64 pages);
    void charge_frame(u64 index, u32 group, FrameKind kind);
    void pass_on_charges(u32 from, u32 to);
    void memory_event(u32 group, MemoryEvent event);
    bool charge_stack(Machine& machine, u32 task);
    void give_back_stack(Task& task);
    void count_fault(bool major);
    bool slow_down(Machine& machine, u32 task);
    void note_stalled(u32 group, bool more);
    u64 reclaim(Machine& machine, u32 group, u64 wanted);
    u64 reclaim_pages(Machine& machine, u32 group, u64 wanted, bool mapped);
    std::map<u32, u64> protected_pages(u32 group, bool low) const;
    bool unmap_cached(Machine& machine, u32 inode, u64 page, u64 frame);
    bool out_of_memory(Machine& machine, u32 group);
    bool is_ending(u32 group) const;
    std::optional<i64> badness(u32 process, u64 total) const;
    void choose_victim(u32 process);
    void end_victims(Machine& machine);

    // io_control.cpp
    void charge_io(Machine& machine, u32 inode, u64 bytes, bool writing);
    bool wait_for_device(Machine& machine, u32 task);
    void note_device_stalled(u32 group, bool more);
    void cache_read(Machine& machine, u32 inode, u64 offset, u64 bytes);

    // run_queue.cpp
    std::optional<u32> choose();
    u32 cpu_home(u32 group) const;
    u64 weight_of(const Task& task) const;
    void enqueue(u32 task);
    void dequeue(u32 task);
    void enqueue_group(u32 group);
    void dequeue_group(u32 group);
    void put_back();
    void preempt_for(u32 task);
    void leave_hart(u32 task);
    void account_current();
    void charge_cpu(u32 group, u64 cycles);
    void throttle(u32 group);
    void renew_quota(u32 group);
    u64 slice_of(const Task& task) const;
    u64 next_renewal() const;
    void note_waiting(u32 group, bool more);
    void note_running(u32 group, bool running);
    void note_stall(u32 group);

    // namespaces.cpp
    bool namespace_within(u32 inner, u32 outer) const;
    i32 pid_in(i32 pid, u32 pid_namespace) const;          ///< of the host's pid; 0 when it cannot be seen from there
    i32 pid_in(const Task& task, u32 pid_namespace) const { return pid_in(task.tid, pid_namespace); }
    i32 pid_in(const Process& process, u32 pid_namespace) const { return pid_in(process.pid, pid_namespace); }
    std::optional<i32> host_pid(i32 pid, u32 pid_namespace) const;
    std::optional<u32> task_by_pid(i32 pid, u32 pid_namespace) const;
    std::optional<u32> process_by_pid(i32 pid, u32 pid_namespace) const;
    void use_namespaces(const Task& task);
    void release_namespaces(Machine& machine, Task& task);
    void use_namespace(NamespaceKind kind, u32 index);
    void release_namespace(Machine& machine, NamespaceKind kind, u32 index);
    void erase_pid_namespace(u32 index);
    u32 make_namespace(NamespaceKind kind, u32 from, u32 owner);
    u32 namespaces_of_kind(NamespaceKind kind) const;
    i64 write_id_map(const Task& writer, u32 target, bool groups, const std::string& text); ///< syscalls_namespace.cpp
    i64 write_setgroups(const Task& writer, u32 target, const std::string& text);
    i64 parse_id_map(const std::string& text, std::vector<IdRange>& ranges) const;
    const NamespaceHead& namespace_head(NamespaceKind kind, u32 index) const;
    u64 namespace_inode(NamespaceKind kind, u32 index) const { return namespace_head(kind, index).inode; }
    u32 namespace_of(const Task& task, NamespaceKind kind) const;
    /// capabilities(7): whether a task has it over what this user namespace owns. The one place that decides.
    bool capable(const Task& task, u32 user_namespace, Capability capability) const { return capable(task.credentials, user_namespace, capability); }
    bool capable(const Credentials& who, u32 user_namespace, Capability capability) const;
    u32 uid_in(const Task& reader, u32 kernel_uid) const;  ///< as the reader's user namespace shows it, or 65534
    u32 gid_in(const Task& reader, u32 kernel_gid) const;

    // signals.cpp
    void send_to_process(Machine& machine, u32 process, const SignalInfo& info);
    void send_to_task(Machine& machine, u32 task, const SignalInfo& info);
    void send_to_group(Machine& machine, i32 group, const SignalInfo& info);
    void force_signal(Machine& machine, u32 task, const SignalInfo& info);
    SignalInfo as_seen(const SignalInfo& info, const Task& receiver) const;
    bool is_ignored(const Process& process, const SignalInfo& info) const;
    void prepare_signal(Machine& machine, u32 process, int number);
    u64 deliverable(const Task& task) const;               ///< pending and not blocked
    void deliver_signals(Machine& machine, u32 task);
    bool push_frame(Machine& machine, Task& task, const SignalInfo& info, const SignalAction& action);
    bool pop_frame(Machine& machine, Task& task);
    void stop_process(Machine& machine, u32 process, int number);
    void continue_process(Machine& machine, u32 process);
    void tell_parent(Machine& machine, u32 process, int code, int status);
    bool ends_by_signal(u32 task) const;
    void thaw_to_end(u32 process);
    void wake_for_signal(u32 task);

    // event_files.cpp
    bool timer_due(u32 timer) const;
    void drop_timer(u32 timer);
    void forget_in_epolls(u32 file);
    void unwatch(u32 epoll, std::pair<u32, u32> item);
    void close_epoll(u32 epoll);

    // seccomp.cpp
    bool filters_allow(Machine& machine, u32 task);
    bool apply_answer(Machine& machine, u32 task, u32 answer, const SeccompData& data);
    void kill_for_call(Machine& machine, u32 task, bool whole_process);
    i64 add_filter(Task& task, std::vector<BpfInstruction> code);
    void release_filter(u32 filter);
    bool is_earlier_filter(u32 filter, u32 of) const;

    // ipc/
    void serve(u32 task, i64 value);                       ///< ends another task's call, which waits, with this result
    void serve_waiters(Machine& machine, WaitKey key, i64 (*attempt)(const struct Call& call));
    void release_undo(Machine& machine, u32 undo);
    void forget_undo(u64 serial, std::optional<u16> number);
    void detach_segments(Machine& machine, const std::set<u64>& serials);
    u64 attachments(u64 serial) const;
    std::optional<u64> segment_frame(Machine& machine, u64 serial, u64 page);
    void erase_segment(u64 serial);
    void take_down_ipc(Machine& machine, u32 index);
    void notify_of_message(Machine& machine, PosixQueue& queue, const Task& sender);
    void drop_queue(u32 inode);

    // pipe.cpp
    u32 new_pipe(u32 fifo);
    void complete_calls(Machine& machine, WaitKey key);    ///< ipc/objects.cpp

    // posix_timers.cpp
    u64 timer_now(const Machine& machine, const PosixTimer& timer, const Process& process) const;
    void arm_timer(u32 process, i32 id);
    void disarm_timer(u32 process, i32 id);
    void fire_timer(Machine& machine, u32 process, i32 id);
    void drop_timers(u32 process);
    std::optional<SignalInfo> take_signal(Machine& machine, Task& task, u64 set);
    void plan_cpu_time(u32 process);
    void check_cpu_limit(Machine& machine, u32 process);
    void check_cpu_time(Machine& machine, u32 process);

    void abort_sequence(Machine& machine, u32 task);       ///< rseq.cpp

    // inotify.cpp
    void queue_watch_event(u32 queue, WatchEvent event);
    void tell_watchers_of(u32 inode, u32 mask, u32 cookie, const std::string& name);
    void tell_watchers(u32 dentry, u32 mask);
    void tell_name(u32 directory, u32 inode, const std::string& name, u32 mask, u32 cookie = 0);
    void tell_deleted(u32 inode);

    void sweep_keys();                                     ///< keys.cpp

    // locks.cpp
    void wake_lock_waiters(u64 subject);
    void drop_process_locks(u32 file, u32 table);
    void drop_description_locks(u32 file);

    // futex.cpp
    i64 wake_futex(WaitKey key, u32 most, u32 bits);

    void walk_robust_list(Machine& machine, u32 task);

    // net/net_kernel.cpp
    void advance_network(Machine& machine);
    void settle_network(Machine& machine);
    u64 network_due() const;

    // tty.cpp
    std::vector<u32> terminals_of(u32 instance) const; ///< numbers in a devpts
    std::optional<u32> terminal_at(u32 instance, u32 number) const;
    std::size_t type_on(Machine& machine, u32 terminal, std::string_view text);
    void feed_terminal(Machine& machine, u32 terminal);
    u32 make_console_terminal(u32 container, const WindowSize& size);

    // job_control.cpp
    bool is_orphaned(i32 group, u32 without) const;
    void release_orphans(Machine& machine, u32 process, u32 former, u32 without);
    Attempt check_foreground(const struct Call& call, u32 terminal, int signal);
    void set_foreground(Terminal& terminal, i32 group);
    void take_terminal(Process& leader, u32 terminal);
    void leave_terminal(u32 terminal);
    void hang_up(Machine& machine, u32 terminal);
    void resize_terminal(Machine& machine, Terminal& terminal, const WindowSize& size);

    // memory.cpp
    static constexpr u64 kWindow = 0xffff'fff0'0000'0000;
    static constexpr u64 kReservedFrames = 16; ///< the first ones: nothing is ever mapped there
    std::optional<u64> allocate_frame(Machine& machine, FrameKind kind);
    bool make_room(Machine& machine);
    void share_frame(u64 physical) { ++frame_users[frame_index(physical)]; }
    void release_frame(u64 physical);
    u64 frame_index(u64 physical) const { return (physical - kRamBase) >> kPageShift; }
    std::optional<u64> entry_address(Machine& machine, AddressSpace& memory, u64 va, bool make);
    bool map_page(Machine& machine, AddressSpace& memory, u64 va, u64 physical, u8 prot);
    void protect_pages(Machine& machine, AddressSpace& memory, u64 begin, u64 end, u8 prot);
    void discard_pages(Machine& machine, AddressSpace& memory, u64 begin, u64 end);
    void free_space(Machine& machine, AddressSpace& memory);
    void release_space(Machine& machine, u32 space);
    void free_table(Machine& machine, u64 table, int level);
    bool copy_space(Machine& machine, AddressSpace& to, const AddressSpace& from);
    bool copy_in(Machine& machine, const Task& task, u64 va, std::span<u8> out);
    bool copy_out(Machine& machine, const Task& task, u64 va, std::span<const u8> in);
    i64 copy_text(Machine& machine, const Task& task, u64 va, std::string& out, std::size_t most);
    std::optional<u64> physical_of(Machine& machine, const Task& task, u64 va); ///< of a page that is there

    // faults.cpp
    i64 fault_in(Machine& machine, AddressSpace& memory, u64 va, Access access);
    const Vma* area_for(AddressSpace& memory, u64 va);
    i64 make_writable(Machine& machine, AddressSpace& memory, const Vma& vma, u64 page, u64 frame);
    std::optional<u64> copy_frame(Machine& machine, u64 frame);
    i64 populate(Machine& machine, AddressSpace& memory, const Vma& vma, u64 page, Access access);
    i64 populate_own(Machine& machine, AddressSpace& memory, const Vma& vma, u64 page);

    // page_cache.cpp
    struct CachedPage {
        u64 frame = 0;
        u64 turn = 0;                                      ///< its place in `reclaimable`; 0: it has none, for it is nowhere else
    };
    using PageCache = std::map<std::pair<u32, u64>, CachedPage>;
    i64 cached_page(Machine& machine, u32 inode, u64 page, u64& frame);
    void read_in(Machine& machine, u32 inode, u64 page, u64 frame);
    i64 begin_stores(Machine& machine, u32 inode, u64 page);
    void pull_pages(Machine& machine, u32 inode, u64 begin = 0, u64 end = ~u64{0}); ///< bytes of the file
    void pull_page(Machine& machine, u32 inode, u64 page);
    void renew_pages(Machine& machine, u32 inode, u64 begin, u64 end);
    void cut_pages(Machine& machine, u32 inode);
    void unmap_file(Machine& machine, u32 inode, u64 first);
    bool mapped_for_stores(u32 inode) const;
    void drop_cached_pages(Machine& machine);
    void forget_pages(u32 inode);
    bool enter_page(Machine& machine, u32 inode, u64 page, u64& frame);
    void renew_turn(PageCache::iterator page);
    PageCache::iterator drop_page(PageCache::iterator page);
    u64 hold_pages(Machine& machine, u32 inode, u64 offset, u64 bytes);
    void release_holes(u32 inode, u64 offset, u64 bytes);
    void free_unlinked(Machine& machine, u32 inode);
    bool has_users(u32 inode) const;
    void write_back(Machine& machine, PageCache::const_iterator page);
    bool is_of_memory(u32 inode) const { return vfs.type_of(inode).of_memory; } ///< of a file whose pages are nowhere else

    // areas.cpp
    void count_area(const Vma& vma, int change, std::set<u64>& detached);
    void add_area(AddressSpace& memory, Vma vma);
    void join_areas(AddressSpace& memory, u64 begin, u64 end);
    bool cut_area(AddressSpace& memory, u64 address);
    bool unmap(Machine& machine, AddressSpace& memory, u64 begin, u64 end);
    u64 find_gap(AddressSpace& memory, u64 bytes);
    bool covers_any(const AddressSpace& memory, u64 begin, u64 end) const;
    SpaceSize size_of_space(const AddressSpace& memory) const;
    bool may_grow(const Process& process, const AddressSpace& memory, u64 bytes, bool data) const;
    bool move_pages(Machine& machine, AddressSpace& memory, u64 from, u64 to, u64 bytes);

    // exec.cpp
    static constexpr u64 kTrampoline = 0x3f'ffff'f000; ///< page of rt_sigreturn's code, above the stack
    i64 mount_root(Machine& machine, u32 task, u32 mnt, u32 super, const ContainerSpec& spec);
    i64 name_console(Machine& machine, u32 task);
    i64 add_standard_mounts(Machine& machine, u32 task);
    std::string find_program(Machine& machine, u32 task, const ContainerSpec& spec);
    Error explain_start(Machine& machine, u32 task, const ContainerSpec& spec, i64 error);
    i64 execute(Machine& machine, u32 task, const std::string& path, std::vector<std::string> arguments, const std::vector<std::string>& environment, unsigned depth = 0, const ProgramPlace* place = nullptr);
    i64 plan_program(Machine& machine, u32 task, const std::string& path, struct LoadPlan& plan, const ProgramPlace* place = nullptr);
    bool has_writer(u32 inode) const;
    i64 plan_interpreter(Machine& machine, u32 task, struct LoadPlan& plan);
    i64 execute_script(Machine& machine, u32 task, const struct LoadPlan& plan, const std::vector<std::string>& arguments, const std::vector<std::string>& environment, unsigned depth);
    void transform_credentials(Task& task, const Inode& program);
    bool set_ids_of(const Inode& program, Credentials& own) const;
    void leave_old_program(Machine& machine, u32 task);
    void take_lead(Machine& machine, u32 task);
    bool load_image(Machine& machine, AddressSpace& memory, const ElfImage& elf, u32 inode, u64 bias, u64 most);
    bool load_segments(Machine& machine, AddressSpace& memory, const struct LoadPlan& plan);
    i64 build_stack(Machine& machine, Task& task, const struct LoadPlan& plan, const std::vector<std::string>& arguments, const std::vector<std::string>& environment);
    void map_trampoline(Machine& machine, AddressSpace& memory);

    // fs/places.cpp: what tasks have to do with the file system
    Viewer viewer_of(Machine& machine, u32 task);
    u64 wall_clock(const Machine& machine) const;          ///< CLOCK_REALTIME in nanoseconds
    bool mount_in_use(u32 mount) const;
    bool has_writers(u32 mount, bool whole) const;
    bool sweep_files();
    void hold_bound_namespaces(Machine& machine);
    std::string path_of(Machine& machine, u32 task, Location at);
    std::string root_source(const Task& task) const;
    void files_changed(u32) {}                             ///< a made-up file has been written to

    // descriptors.cpp
    i64 new_file(OpenFile file);
    i64 install(Machine& machine, Task& task, OpenFile file, bool close_on_exec);
    u32 copy_descriptors(u32 table);
    i64 new_descriptor(Task& task, u32 file, bool close_on_exec, u32 least = 0);
    OpenFile* file_of(const Task& task, u32 fd);           ///< null for one opened with O_PATH
    OpenFile* any_file_of(const Task& task, u32 fd);
    const OpenFile* any_file_of(const Task& task, u32 fd) const;
    void close_file(Machine& machine, u32 file);
    void flush_file(u32 file, u32 table);
    void close_descriptor(Machine& machine, Task& task, u32 fd);
    void close_on_exec(Machine& machine, Task& task);
    void release_descriptors(Machine& machine, u32 table);

    u8 random_byte() {
        random_state = random_state * 6364136223846793005 + 1442695040888963407;
        return static_cast<u8>(random_state >> 33);
    }
    DescriptorTable& descriptors_of(const Task& task) { return descriptor_tables[task.descriptors]; }
    const FileSystemContext& context_of(const Task& task) const { return contexts[task.context]; }
    FileSystemContext& context_of(const Task& task) { return contexts[task.context]; }
    AddressSpace& memory_of(const Task& task) { return spaces[task.memory]; }
    const AddressSpace& memory_of(const Task& task) const { return spaces[task.memory]; }
    const DescriptorTable& descriptors_of(const Task& task) const { return descriptor_tables[task.descriptors]; }
    Process& process_of(const Task& task) { return processes[task.process]; }
    const Process& process_of(const Task& task) const { return processes[task.process]; }

    std::vector<Task> tasks;
    std::vector<Process> processes;
    std::set<u32> free_tasks, free_processes;
    std::map<i32, PidRecord> pids;            ///< by pid in the host's namespace
    Pool<AddressSpace> spaces;                ///< 0 is nobody's
    Pool<DescriptorTable> descriptor_tables;
    Pool<FileSystemContext> contexts;
    Pool<SignalActions> signal_actions;
    Pool<SeccompFilter> seccomp_filters;      ///< 0 is nobody's
    u64 seccomp_instructions = 0;             ///< of all of them
    Pool<PidNamespace> pid_namespaces;
    Pool<UtsNamespace> uts_namespaces;
    Pool<UserNamespace> user_namespaces;
    Pool<TimeNamespace> time_namespaces;
    Pool<CgroupNamespace> cgroup_namespaces;
    Pool<Cgroup> cgroups;                     ///< 0 is the root
    u32 next_cgroup_serial = 1, cgroup_super = 0;
    bool cgroup_nsdelegate = false;           ///< mounted so: cgroup namespaces are delegation boundaries
    Pool<IpcNamespace> ipc_namespaces;
    Pool<SemaphoreUndo> semaphore_undos;      ///< 0 is nobody's
    std::map<u64, SharedSegment> segments;    ///< by serial
    std::map<u32, PosixQueue> posix_queues;   ///< by inode
    IpcTotals ipc_totals;
    std::map<i32, Key> keys;                  ///< by serial number
    i32 next_key = 1;
    u64 next_ipc_serial = 1;
    Pool<NamespaceHead> net_namespaces, mnt_namespace_heads; ///< mnt: their trees are in vfs
    u64 next_namespace_inode = kFirstNewNamespace;
    Vfs vfs;                                  ///< its mount namespaces have the indices of mnt_namespace_heads
    std::set<std::pair<u32, u32>> held_namespaces; ///< kind and index of those whose file is mounted somewhere
    Pool<MountContext> mount_contexts;        ///< of fsopen(2)
    std::map<u32, u32> fifos;                 ///< inode of a named pipe to its pipe
    Pool<OpenFile> files;
    std::map<u64, std::vector<FileLock>> file_locks; ///< by inode, or what stands for it
    Pool<Pipe> pipes;
    u64 pipe_bytes = 0;                       ///< that they could hold together
    std::vector<u8> window;                   ///< while open: the kernel's own bytes, at kWindow for the operations of files
    bool window_open = false;
    Pool<WatchQueue> watch_queues;            ///< of inotify(7)
    u32 move_cookie = 0;                      ///< of the last rename that was told
    Pool<EventCounter> event_counters;
    Pool<TimerFile> timer_files;
    Pool<EpollSet> epolls;
    std::map<WaitKey, std::set<std::pair<u32, std::pair<u32, u32>>>> epoll_watchers; ///< by what wakes them: instance and item
    u64 epoll_places = 0;
    std::map<WaitKey, u64> edges;         ///< how often what edge-triggered epoll items watch has been woken
    std::set<std::pair<u64, u32>> timer_file_deadlines; ///< (cycles, timer file), until they have passed
    Network network;
    Pool<Terminal> terminals;     ///< 0 is nobody's
    std::vector<Tty> ttys;        ///< one a container; 0 is the host's

    WaitQueues queues;
    std::set<std::pair<u64, u32>> timers; ///< (deadline in cycles, task)
    std::set<std::pair<u64, u32>> alarms; ///< (deadline in cycles, process)
    std::set<std::tuple<u64, u32, i32>> posix_deadlines; ///< (deadline in cycles, process, timer)
    std::set<std::pair<u64, u32>> renewals; ///< (end of its period in cycles, cgroup with a quota)
    std::set<std::tuple<i32, u64, u32>> real_time; ///< (negative priority, turn, task) of those that wait under SCHED_FIFO and SCHED_RR
    u64 next_turn = 1;            ///< who came into a run queue earlier goes first among equals
    u64 ran = 0;                  ///< cycles of the current task that have not been counted yet
    u64 clock = 0;                ///< cycles when the main loop last looked
    bool yields = false;          ///< the current task lets others go first

    std::vector<u32> frame_users;
    struct FrameCharge {
        u32 group : 28 = 0, kind : 4 = 0; ///< cgroup and FrameKind
    };
    std::vector<FrameCharge> frame_charges; ///< of frames that have users
    u64 next_frame = 0;           ///< where to look for a free one
    u64 used_frames = 0;
    PageCache page_cache;         ///< by inode and page of the file
    std::map<std::pair<u32, u64>, std::pair<u32, u64>> reclaimable; ///< (cgroup, turn) to the page: what was wanted longest ago first
    u64 next_page_turn = 1;
    u32 payer = 0;                ///< task in whose name memory is taken
    struct Victim {
        u32 process = 0;
        i32 pid = 0;
    };
    std::vector<Victim> victims;  ///< chosen to end because memory is full: at the next step of the main loop
    std::set<std::pair<u32, u64>> stored_pages;    ///< of them, those that a shared mapping may have written
    u64 trampoline = 0;           ///< frame of rt_sigreturn's code
    u32 current = 0;              ///< task on the hart; ~0: none
    u32 loaded_space = ~u32{0};   ///< whose tables the hart has
    u64 slice_left = 0;
    u64 calls_made = 0;
    bool engine_news = false;     ///< a child of the engine has ended: the run stops, so that the engine acts at this very time
    u64 idle_skips = 0;           ///< times that time has passed since the last instruction
    u64 random_state = 0x9e3779b97f4a7c15; ///< getrandom's state: the same in each run
};

} // namespace trapeze::container
