// System calls: the table's rows, and what a handler works on.
#pragma once

#include "container-sim/kernel.hpp"

#include <array>

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
    /// strace-like: "write(1, "hello", 5)".
    std::string text(const struct SyscallRow* row, u64 number) const;
    std::string result_text(const struct SyscallRow* row, u64 number, i64 value) const;
    /// Notes that a namespace decided the answer, and what the host's would have been.
    void lookup(const std::string& sentence) const;

#define SYSCALL(number, name, ...) Attempt name() const;
#include "container-sim/syscalls.def"

  private:
    template <class T> bool read_user(u64 va, T& out) const { return kernel.copy_in(machine, task(), va, std::span(reinterpret_cast<u8*>(&out), sizeof out)); }
    template <class T> bool write_user(u64 va, const T& in) const { return kernel.copy_out(machine, task(), va, std::span(reinterpret_cast<const u8*>(&in), sizeof in)); }
    i64 path_arg(unsigned i, std::string& out) const { return kernel.copy_text(machine, task(), arg(i), out, 4096); }
    i64 base_of(i32 fd, Location& out) const;
    Kernel::Found find(i32 fd, const std::string& path, bool follow) const;
    Attempt read_file(OpenFile& file, u64 to, u64 bytes, u64* offset) const;
    Attempt write_file(OpenFile& file, u64 from, u64 bytes, const u64* offset) const;
    Attempt write_pipe(OpenFile& file, u64 from, u64 bytes) const;
    i64 make(i32 fd, const std::string& path, InodeType type, u32 mode) const;
    i64 resize(u32 inode, u64 bytes) const;
    i64 change_mode(u32 inode, u32 mode) const;
    bool is_busy(const Kernel::Found& found) const;
    void note_proc(const std::string& path, Location at) const;
    Attempt vectored(bool writing) const;
    i64 fill_stat(Location at, u64 to) const;
    i64 fill_stat_of(const OpenFile& file, u64 to) const;
    i64 strings(u64 array, std::vector<std::string>& out) const;
    Attempt sleep(u64 request, bool absolute) const;
    bool is_clock(i32 id) const;
    i64 send_signal(u32 target, int number) const;
    Attempt clone_task(u64 flags, u64 stack, u64 parent_tid, u64 tls, u64 child_tid) const;
    i64 new_namespaces(Task& task, u64 flags) const;
    void note_root(const std::string& path) const;
    void read_tty(std::vector<u8>& bytes, u32 tty, u64 most) const;
};

struct SyscallRow {
    u16 number;
    const char* name;
    const char* format;  ///< a letter for each argument: d number, x hexadecimal, s string, p pointer, f descriptor
    Attempt (*handler)(const Call& call);
    const char* gap;     ///< what is missing against Linux, in words; empty: nothing known
};
/// Null when the kernel has no such call (it answers ENOSYS).
const SyscallRow* syscall_row(u64 number);
const std::vector<SyscallRow>& syscall_rows();

} // namespace trapeze::container
