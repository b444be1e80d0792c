// The simulated kernel: host code in seat S of the machine that runs Linux processes in U-mode, in pid, uts and mnt namespaces. A
// system call is the same stop as a VM exit. A value: it copies together with its Machine.
//
// Usage:
//   auto kernel = Kernel::boot(machine);
//   kernel->start_container(machine, {.hostname = "web", .rootfs = "rootfs", .arguments = {"/bin/sh"}});
//   kernel->run(machine, 1'000'000);
//
// Known gaps: one hart; one thread a process; signals have their default actions only (handlers are kept, not called), and none stops;
// every process is root; a system call that needs memory when none is left fails with EFAULT. Each system call's own gap stands in its
// row (syscalls.def).
#pragma once

#include "container-sim/spec.hpp"
#include "container-sim/task.hpp"
#include "emulator/machine.hpp"

#include <set>

namespace trapeze::container {

enum class RunState : u8 { Budget, Idle, Finished };
struct KernelStop {
    RunState state = RunState::Budget;
    u64 executed = 0;
};

/// The result of one attempt at a system call: done with a value, or blocked.
struct Attempt {
    i64 value = 0;
    bool blocked = false;
    bool no_return = false; ///< the task has ended or begun another program: its registers stay
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

    std::vector<ProcessView> processes() const;
    u64 frames_used() const { return used_frames; }
    u64 system_calls() const { return calls_made; }

    static constexpr u64 kSlice = 200'000;       ///< instructions of a time slice
    static constexpr std::size_t kMaxTasks = 1000, kMaxFiles = 4096, kMaxDescriptors = 256, kMaxTexts = 256, kMaxVmas = 1024;
    static constexpr std::size_t kMaxStrings = 128 << 10; ///< bytes of a program's arguments and environment
    static constexpr u64 kMaxTransfer = 1 << 20; ///< bytes that one call moves; a short count tells the rest

    // What follows is for the kernel's own sources (container-sim/), whose parts work on each other's state.
    struct Tty {
        std::string input, output;
        bool closed = false;
        u32 init = 0; ///< task
    };

    void set_up(Machine& machine);

    // scheduler.cpp
    bool ready(Machine& machine, Task& task) const;
    std::optional<u32> choose(Machine& machine);
    bool skip_idle(Machine& machine);
    i16 poll_file(const OpenFile& file, i16 events) const;
    void load(Machine& machine, Task& task);
    void save(Machine& machine, Task& task);
    void handle_trap(Machine& machine, const Trap& trap);
    void system_call(Machine& machine, Task& task);
    std::optional<u32> new_task();
    void end_task(Machine& machine, u32 index, int status);
    void kill_namespace(Machine& machine, u32 pid_namespace);
    bool namespace_within(u32 inner, u32 outer) const;
    i32 pid_in(const Task& task, u32 pid_namespace) const; ///< 0 when it cannot be seen from there
    void give_pids(Task& task, u32 pid_namespace);
    std::optional<u32> task_by_pid(i32 pid, u32 pid_namespace) const;
    void event(Machine& machine, EventKind kind, const Task& task, std::string_view text);

    // memory.cpp
    static constexpr u64 kReservedFrames = 16; ///< the first ones: nothing is ever mapped there
    std::optional<u64> allocate_frame(Machine& machine);
    void share_frame(u64 physical) { ++frame_users[frame_index(physical)]; }
    void release_frame(u64 physical);
    void drop_cached_pages();
    void forget_pages(u32 inode);
    u32 end_largest(Machine& machine);
    u64 frame_index(u64 physical) const { return (physical - kRamBase) >> kPageShift; }
    std::optional<u64> entry_address(Machine& machine, AddressSpace& memory, u64 va, bool make);
    bool map_page(Machine& machine, AddressSpace& memory, u64 va, u64 physical, u8 prot);
    i64 fault_in(Machine& machine, Task& task, u64 va, Access access);
    i64 populate(Machine& machine, Task& task, const Vma& vma, u64 page, Access access);
    void protect_pages(Machine& machine, AddressSpace& memory, u64 begin, u64 end, u8 prot);
    void unmap(Machine& machine, AddressSpace& memory, u64 begin, u64 end);
    void discard_pages(Machine& machine, AddressSpace& memory, u64 begin, u64 end);
    void free_space(Machine& machine, AddressSpace& memory);
    void release_space(Machine& machine, Task& task, AddressSpace& memory);
    void free_table(Machine& machine, u64 table, int level);
    bool copy_space(Machine& machine, AddressSpace& to, const AddressSpace& from);
    bool copy_in(Machine& machine, Task& task, u64 va, std::span<u8> out);
    bool copy_out(Machine& machine, Task& task, u64 va, std::span<const u8> in);
    i64 copy_text(Machine& machine, Task& task, u64 va, std::string& out, std::size_t most);
    u64 find_gap(const AddressSpace& memory, u64 bytes) const;

    // exec.cpp
    void add_standard_mounts(MountNamespace& mounts, u32 pid_namespace);
    std::string find_program(const Task& task, const ContainerSpec& spec) const;
    Error explain_start(const Task& task, const ContainerSpec& spec, i64 error);
    i64 execute(Machine& machine, Task& task, const std::string& path, std::vector<std::string> arguments, const std::vector<std::string>& environment);
    bool load_segments(Machine& machine, AddressSpace& memory, const struct LoadPlan& plan);
    i64 build_stack(Machine& machine, Task& task, const struct LoadPlan& plan, const std::vector<std::string>& arguments, const std::vector<std::string>& environment);

    // files.cpp
    struct Found {
        i64 error = 0;
        Location location;
        Location directory;     ///< where the last part is, or would be
        std::string name;       ///< the last part
    };
    Found walk(const Task& task, Location from, const std::string& path, bool follow_last) const;
    Found walk(const Task& task, Location from, const std::string& path, bool follow_last, unsigned& links) const;
    Location step_up(const Task& task, Location at) const;
    Location cross_mounts(const Task& task, Location at) const;
    u32 proc_child(const Task& task, Location at, const std::string& name) const;
    std::string proc_text(const Task& reader, Location at) const;
    std::string proc_note(const Task& reader, Location at) const;
    u32 proc_namespace(const Task& reader, Location at) const { return mounts_of(reader).mounts.at(at.mount).pid_namespace; }
    struct Entry {
        std::string name;
        InodeType type;
        u32 inode;
    };
    std::vector<Entry> list(const Task& reader, Location at) const;
    InodeType type_of(u32 inode) const;
    bool is_folder(u32 inode) const;
    bool reclaim_inodes();
    i64 create_inode(u32 directory, const std::string& name, InodeType type, u32 mode);
    std::string path_of(const Task& task, Location at) const;
    i64 new_file(OpenFile file);
    i64 new_descriptor(Task& task, u32 file, bool close_on_exec, u32 least = 0);
    OpenFile* file_of(Task& task, u32 fd);
    void close_file(u32 file);
    void close_all(Task& task, bool only_on_exec);
    const MountNamespace& mounts_of(const Task& task) const { return mount_namespaces[task.namespaces.mnt]; }

    std::vector<Task> tasks;
    std::vector<PidNamespace> pid_namespaces;
    std::vector<UtsNamespace> uts_namespaces;
    std::vector<MountNamespace> mount_namespaces;
    Vfs vfs;
    std::vector<OpenFile> files;
    std::vector<Pipe> pipes;
    std::vector<Tty> ttys;       ///< one a container; 0 is the host's
    std::vector<u32> frame_users;
    u64 next_frame = 0;          ///< where to look for a free one
    u64 used_frames = 0;
    std::map<std::pair<u32, u64>, u64> page_cache; ///< (inode, page of the file) to its frame
    u32 current = 0;             ///< task on the hart; ~0: none
    u64 slice_left = 0;
    u64 calls_made = 0;
    u64 random_state = 0x9e3779b97f4a7c15; ///< getrandom's state: the same in each run
};

} // namespace trapeze::container
