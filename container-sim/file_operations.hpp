// What can be done with an open file, by its kind: a row of functions. A new kind is a row in file_kinds.def and a source file with its
// operations; poll, select and epoll then know it as well.
#pragma once

#include "container-sim/syscalls.hpp"

namespace trapeze::container {

/// poll(2)
inline constexpr i16 kPollIn = 1, kPollPriority = 2, kPollOut = 4, kPollError = 8, kPollHangUp = 0x10, kPollInvalid = 0x20, kPollReadHangUp = 0x2000;

/// A null function stands for what this kind cannot do, with the errno beside it.
struct FileOperations {
    /// Up to `bytes` to the address `to`. `offset`: pread64, else null and the file's own place counts.
    Attempt (*read)(const Call& call, OpenFile& file, u64 to, u64 bytes, u64* offset) = nullptr;
    Attempt (*write)(const Call& call, OpenFile& file, u64 from, u64 bytes, const u64* offset) = nullptr; ///< null here and above: EINVAL
    /// All that holds now of kPoll*. Null: always readable and writable.
    i16 (*poll)(const Kernel& kernel, const OpenFile& file) = nullptr;
    /// Woken whenever what poll says may have changed.
    WaitKey (*wait_key)(const OpenFile& file) = nullptr;
    Attempt (*ioctl)(const Call& call, OpenFile& file, u64 request, u64 argument) = nullptr; ///< null: ENOTTY
    /// The last descriptor has gone.
    void (*close)(Kernel& kernel, Machine& machine, OpenFile& file) = nullptr;
    /// A descriptor of the table is closed, perhaps not the last.
    void (*flush)(Kernel& kernel, OpenFile& file, u32 table) = nullptr;
    bool seekable = false;        ///< else lseek, pread64 and pwrite64 fail with ESPIPE
    u32 mode = 0010600;           ///< what fstat shows, unless it is an inode
    const char* link = "";        ///< /proc/PID/fd/N: "pipe", "socket" with a number behind it, or "anon_inode:[...]"
};
#define FILE_KIND(kind, operations) extern const FileOperations operations;
#include "container-sim/file_kinds.def"
const FileOperations& file_operations(FileKind kind);
Attempt terminal_ioctl(const Call& call, OpenFile& file, u64 request, u64 argument); ///< tty_ioctl.cpp

} // namespace trapeze::container
