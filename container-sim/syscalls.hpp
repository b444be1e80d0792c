// System calls: the table's rows, and what a handler works on.
#pragma once

#include "container-sim/kernel.hpp"

#include <fmt/format.h>

#include <array>
#include <functional>

namespace trapeze::container {

/// One attempt at a system call.
struct Call {
    Kernel& kernel;
    Machine& machine;
    u32 index;                       ///< of the task
    std::array<u64, 6> arguments;

    Task& task() const { return kernel.tasks[index]; }
    u64 arg(unsigned i) const { return arguments[i]; }
    i32 int_arg(unsigned i) const { return static_cast<i32>(arguments[i]); }
    u32 fd_arg(unsigned i) const { return static_cast<u32>(arguments[i]); }
    // syscall_text.cpp
    /// strace-like: "write(1, "hello", 5)"; with the result also what the call has written.
    std::string text(const struct SyscallRow* row, u64 number, const i64* result = nullptr) const;
    std::string result_text(const struct SyscallRow* row, u64 number, i64 value) const;
    /// Notes that a namespace decided the answer, and what the host's would have been.
    void lookup(const std::string& sentence) const { kernel.event(machine, EventKind::NamespaceLookup, task(), sentence); }
    /// The same, put together only when somebody wants to read it.
    template <class... Parts> void lookup(fmt::format_string<Parts...> format, Parts&&... parts) const {
        lookup(machine.trace.wants(EventKind::NamespaceLookup) ? fmt::format(format, std::forward<Parts>(parts)...) : std::string());
    }

#define SYSCALL(number, name, ...) Attempt name() const;
#include "container-sim/syscalls.def"

    // What handlers and the operations of files share.
    template <class T> bool read_user(u64 va, T& out) const { return kernel.copy_in(machine, task(), va, std::span(reinterpret_cast<u8*>(&out), sizeof out)); }
    template <class T> bool write_user(u64 va, const T& in) const { return kernel.copy_out(machine, task(), va, std::span(reinterpret_cast<const u8*>(&in), sizeof in)); }
    /// The attempt cannot finish before one of these changes, or before `deadline` (cycles). Pre: it has had no effect but on resume.
    Attempt wait_any(std::vector<WaitKey> keys, u64 deadline = kForever, Restart restart = Restart::IfAsked) const {
        task().waits = std::move(keys), task().deadline = deadline, task().restart = restart;
        return Attempt::block();
    }
    Attempt wait(WaitKey key, u64 deadline = kForever, Restart restart = Restart::IfAsked) const { return wait_any({key}, deadline, restart); }
    i64 path_arg(unsigned i, std::string& out) const { return kernel.copy_text(machine, task(), arg(i), out, 4096); }
    i64 strings(u64 array, std::vector<std::string>& out) const;

    // syscalls_file.cpp
    u32 file_number(u32 fd) const;
    Attempt read_file(OpenFile& file, u64 to, u64 bytes, u64* offset) const;
    Attempt write_file(OpenFile& file, u64 from, u64 bytes, const u64* offset) const;
    Attempt vectored(bool writing, u64* offset) const;
    i16 poll_file(const OpenFile& file, i16 events) const;
    void add_wait_key(std::vector<WaitKey>& keys, const OpenFile& file) const;
    i64 take_mask(u64 at, u64 size) const;
    Attempt end_masked(i64 value) const;

    // syscalls_memory.cpp, syscalls_advice.cpp
    void touch_pages(u64 begin, u64 end) const;
    bool may_add(u64 bytes, bool data, bool reserved) const;
    bool locks_too_much(u64 bytes) const;
    i64 map_file(Vma& vma, bool shared) const;
    i64 place_area(Vma& vma, u64 bytes, u64 flags) const;
    i64 move_area(const Vma& area, u64 from, u64 old_bytes, u64 to, u64 bytes, bool leave) const;
    bool grow_in_place(u64 begin, u64 old_bytes, u64 bytes) const;
    i64 for_areas(u64 begin, u64 end, bool cut, const std::function<i64(Vma&)>& act) const;
    Attempt lock_range(u64 flags) const;
    Attempt copy_process_memory(bool writing) const;

    // fs/places.cpp
    Viewer viewer() const;
    i64 base_of(i32 fd, Location& out) const;
    Found find(i32 fd, const std::string& path, u32 flags) const;
    Found find_arg(unsigned fd, unsigned path, u32 flags) const; ///< numbers of arguments; fd beyond them: the current directory
    i64 with_room(const std::function<i64()>& act) const;
    void tidy() const;
    void note_proc(const std::string& path, Location at) const;
    void note_root(const std::string& path) const;
    // fs/syscalls_open.cpp, fs/inode_file.cpp, fs/fifo.cpp
    Attempt open_path(i32 base, const std::string& path, u64 flags, u32 permissions, u32 walk_flags) const;
    Attempt open_location(Location at, u64 flags, bool created, const std::string& path) const;
    i64 open_device(Location at, u64 flags) const;
    Attempt open_fifo(Location at, u64 flags) const;
    i64 reopen(Location link, u64 flags) const;
    bool is_running_program(u32 inode) const;
    // fs/syscalls_stat.cpp, fs/syscalls_names.cpp
    i64 find_for_stat(u64 flags, Location& at, const OpenFile*& file) const;
    i64 fill_statfs(Location at, u64 to) const;
    i64 check_access(u64 wanted, u64 flags) const;
    i64 make_node(i32 base, unsigned path, const NewNode& node) const;
    i64 enterable(Location at) const;
    // fs/syscalls_attributes.cpp, fs/syscalls_copy.cpp
    enum class AttributeOf : u8 { Target, Link, Descriptor };
    i64 place_of(u32 fd, Location& at) const;
    i64 told(Location at, i64 result) const;
    i64 change_mode_at(u64 flags) const;
    i64 change_owner_of(Location at, u32 uid, u32 gid) const;
    i64 resize(Location at, u64 bytes) const;
    i64 sealed_against(const Inode& inode, u32 seals) const;
    i64 attribute_name(unsigned argument, std::string& out) const;
    i64 attribute_place(AttributeOf which, Location& at) const;
    Attempt set_attribute(AttributeOf which) const;
    Attempt get_attribute(AttributeOf which) const;
    Attempt list_attributes(AttributeOf which) const;
    Attempt remove_attribute(AttributeOf which) const;
    i64 give_text(const std::string& text, u64 to, u64 room) const;
    i64 copy_between(OpenFile& from, OpenFile& to, u64& read_at, u64& write_at, u64 bytes) const;
    bool is_plain_file(const OpenFile& file) const;
    i64 change_seals(const OpenFile& file, std::optional<u64> more) const;
    // fs/syscalls_mount.cpp, fs/syscalls_mount_api.cpp
    i64 optional_text(unsigned argument, std::string& out, std::size_t most) const;
    void note_mount(const std::string& what) const;
    bool binds_own_namespace(Location from) const;
    i64 mount_file_system(Location on, const std::string& type, const std::string& source, const std::string& options, u64 flags) const;
    i64 add_option(MountContext& context, const std::string& key, const std::optional<std::string>& value) const;
    i64 open_detached(u32 mount, bool close_on_exec) const;

    // syscalls_time.cpp
    i64 deadline_of(u64 timeout, u64& deadline) const;
    bool is_clock(i32 id) const;
    i64 clock_offset(i32 id) const;
    u64 clock_now(i32 id) const;
    Attempt sleep(i32 clock, u64 request, u64 remaining, bool absolute) const;

    // syscalls_signal.cpp
    bool may_signal(u32 process, int number) const;
    SignalInfo own_signal(int number, int code) const;
    i64 signal_process(u32 process, const SignalInfo& info) const;
    i64 read_siginfo(u64 at, int number, SignalInfo& info) const;
    void apply_mask(u64 mask) const;

    // syscalls_identity.cpp
    u32 kernel_uid(u32 inside) const;
    u32 kernel_gid(u32 inside) const;
    bool has(Capability capability) const; ///< over the caller's own user namespace
    i64 note_id(const char* call, u32 kernel_id, u32 seen) const;
    i64 change_uids(u32 uid, u32 euid, u32 suid) const;
    i64 change_gids(u32 gid, u32 egid, u32 sgid) const;
    Attempt change_ambient() const;

    // seccomp.cpp
    i64 set_strict() const;
    i64 set_filter(u64 flags, u64 program) const;
    i32 diverged_thread() const;
    void give_filters_to_threads() const;

    // syscalls_process.cpp
    i64 change_name(std::string UtsNamespace::*which, const char* call) const;
    i64 check_clone(u64 flags) const;
    i64 target_cgroup(u32 fd, bool whole, u32& group) const;
    bool share_parts(Task& child, const Task& maker, u64 flags) const;
    i64 child_process(u32 child, u64 flags, u64 exit_signal) const;
    Attempt clone_task(const struct CloneArguments& wanted) const;
    Attempt finish_clone(u32 child, const struct CloneArguments& wanted) const;
    void abandon_child(u32 child) const;
    void enter_time_of_children(Task& own) const;
    i64 wanted_pids(const struct CloneArguments& wanted, u32 pid_namespace, std::vector<i32>& out) const;
    i64 find_child(bool (*accepts)(const Kernel&, const Process&, i32), i32 wanted, u64 options, u32& child, int& status) const;
    void consume(u32 child, int status, u64 options) const;

    // syscalls_namespace.cpp
    i64 enter_new_user_namespace(Task& target) const;
    i64 new_namespaces(u32 target, u64 flags, bool for_child) const;
    void unshare_descriptors() const;
    void unshare_context() const;
    i64 check_entry(NamespaceKind kind, u32 target) const;
    void enter(NamespaceKind kind, u32 target) const;

    // tty.cpp
    Attempt open_master(Location at, u64 flags) const;
    Attempt open_slave(u32 terminal, Location at, u64 flags) const;
    Attempt open_terminal(Location at, u64 flags) const;

    // handles.cpp
    i64 open_namespace(NamespaceKind kind, u32 index) const;
    i64 open_pid(u32 process, u32 flags) const;
    i64 process_behind(u32 fd, u32& process) const;

    // net/unix_paths.cpp
    i64 find_socket_file(const std::string& path, u64& node) const;
    i64 make_socket_file(const std::string& path, u64& node) const;
    i64 named_net(bool by_pid, u32 value) const; ///< a net namespace, by a process or a descriptor; a negated errno

    // event_files.cpp
    unsigned epoll_depth(u32 epoll, unsigned depth) const;
    bool epoll_reaches(u32 from, u32 to, unsigned depth) const;
    u32 epoll_item_ready(u32 file, EpollSet::Item& item) const;
    void add_epoll_keys(std::vector<WaitKey>& keys, u32 epoll, unsigned depth) const;
    Attempt wait_epoll(u64 deadline, u64 mask_at, u64 mask_size) const;

    // pipe.cpp, splice.cpp
    Pipe* pipe_of(const OpenFile& file) const;
    i64 set_pipe_size(const OpenFile& file, u64 wanted) const;
    Attempt between_pipes(OpenFile& from, OpenFile& to, u64 bytes, bool wait_for_it, bool take) const;
    Attempt from_pipe(OpenFile& from, OpenFile& to, const u64* offset, u64 bytes, bool wait_for_it) const;
    Attempt into_pipe(OpenFile& from, OpenFile& to, u64* offset, u64 bytes, bool wait_for_it) const;
    Attempt send_from_file(OpenFile& from, OpenFile& to, u64& read_at, u64 bytes) const;
    i64 read_into(OpenFile& file, u64* offset, std::vector<u8>& out, Attempt& blocked) const;
    i64 read_vector(std::vector<std::pair<u64, u64>>& out, unsigned argument, u64 count) const;
    Attempt positioned(bool writing, bool second) const;

    // posix_timers.cpp
    PosixTimer* own_timer(i32 id) const;
    bool cpu_clock_owner(i32 clock, u32& owner, bool& of_thread) const;
    Attempt sleep_on_cpu(i32 clock, u64 request, bool absolute) const;

    // syscalls_schedule.cpp
    i64 scheduled(i32 pid, u32& target) const;
    i64 change_policy(u32 target, u32 policy, i32 priority, bool reset_on_fork) const;
    i64 change_nice(u32 target, i32 wanted) const;
    i64 prioritized(std::vector<u32>& out) const;

    // keys.cpp
    i64 make_key(Key key) const;
    Key* key_of(i32 number, i32& serial) const;
    bool possesses(i32 serial) const;
    i64 join_session() const;

    // locks.cpp
    enum class LockCommand : u8 { Get, Set, Wait };
    bool would_deadlock(u32 owner) const;
    i64 lock_area(const OpenFile& file, const struct LockRecord& record, FileLock& out) const;
    i64 get_lock(const FileLock& wanted, struct LockRecord record, const std::vector<FileLock>& locks) const;
    Attempt record_lock(OpenFile& file, bool of_description, LockCommand command) const;

    // ipc/
    IpcNamespace& ipc() const { return kernel.ipc_namespaces[task().namespaces.ipc]; }
    bool may_use(const IpcHead& object, u32 flags) const;
    bool may_control(const IpcHead& object) const;
    IpcHead new_ipc_head(i32 key, u32 flags) const;
    i64 change_ipc_head(IpcHead& object, u32 uid, u32 gid, u32 mode) const;
    u64 seconds_now() const;
    u32 own_undo() const;
    i64 read_operations(std::vector<struct SemaphoreOperation>& out) const;
    i64 operate(SemaphoreSet& set, const std::vector<struct SemaphoreOperation>& operations, const struct SemaphoreOperation** blocking = nullptr) const;
    Attempt operate_semaphores(u64 timeout) const;
    i64 set_semaphores(SemaphoreSet& set, unsigned first, const std::vector<u16>& values) const;
    i64 count_waiting(const SemaphoreSet& set, u16 number, bool for_zero) const;
    i64 one_semaphore(SemaphoreSet& set, u16 number, i32 command) const;
    i64 receive_system(SystemQueue& queue) const;
    i64 queue_place(unsigned name, Found& found) const;
    i64 make_queue(u32 inode, const struct QueueAttributes* given) const;
    i64 tell_adjustment(u64 at) const;
    i64 absolute_deadline(u64 at, u64& deadline) const;
    Attempt open_queue(Location at, u64 flags) const;
    i64 send_posix(OpenFile*& file) const;
    i64 receive_posix(OpenFile*& file) const;
    Attempt transfer_posix(bool sending) const;

    // futex.cpp
    i64 futex_key(u64 address, WaitKey& key) const;
    Attempt wait_futex(u32 bits, bool absolute) const;
    Attempt requeue_futex(bool compare) const;
    Attempt wake_op_futex() const;
    Attempt lock_pi_futex(bool tries, bool realtime) const;
    Attempt unlock_pi_futex() const;
};

struct SyscallRow {
    u16 number;
    const char* name;
    const char* format;  ///< a letter for each argument; the head of syscalls.def tells them
    Attempt (*handler)(const Call& call);
    const char* gap;     ///< what is missing against Linux, in words; empty: nothing known
};
/// Null when the kernel has no such call (it answers ENOSYS).
const SyscallRow* syscall_row(u64 number);
const std::vector<SyscallRow>& syscall_rows();

} // namespace trapeze::container
