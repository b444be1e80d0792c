// A task of the simulated kernel: registers, address space, files, namespaces. A plain value; a blocked system call is a value in it.
#pragma once

#include "container-sim/namespaces.hpp"
#include "container-sim/vfs.hpp"
#include "emulator/base/types.hpp"

#include <array>
#include <map>
#include <string>
#include <vector>

namespace trapeze::container {

/// A stretch of a process's address space (proc(5), /proc/PID/maps).
struct Vma {
    u64 begin = 0, end = 0;      ///< bytes, page-aligned
    u8 prot = 0;                 ///< PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4
    u32 inode = 0;               ///< file behind it; 0: anonymous
    u64 file_offset = 0;         ///< of the file, at `begin`
    u64 file_end = 0;            ///< address after the last byte that comes from the file; zeros follow
    bool shared = false;         ///< MAP_SHARED and anonymous: its frames stay shared after fork
    /// The same area between two addresses in it.
    Vma part(u64 from, u64 to) const {
        Vma vma = *this;
        vma.begin = from, vma.end = to;
        if (inode) vma.file_offset += from - begin;
        return vma;
    }
};
struct AddressSpace {
    u64 root = 0;                ///< physical address of the Sv39 root table
    std::map<u64, Vma> vmas;     ///< by begin
    u64 break_begin = 0, break_end = 0;
    u64 map_below = 0;           ///< mmap places from here downwards
};

enum class FileKind : u8 { Inode, PipeRead, PipeWrite, Tty };
/// An open file description (open(2)): shared by descriptors that were duplicated.
struct OpenFile {
    FileKind kind = FileKind::Inode;
    u32 users = 0;               ///< 0: free
    Location location;
    u64 offset = 0;
    u32 flags = 0;               ///< O_ACCMODE, O_APPEND, O_NONBLOCK
    u32 object = 0;              ///< pipe or tty
    std::string generated;       ///< text of a /proc file, made when it was opened
};
struct Pipe {
    std::string buffer;
    u32 readers = 0, writers = 0;
    bool used = false;
};
inline constexpr std::size_t kPipeBytes = 65536, kPipeAtomic = 4096; ///< pipe(7): what it holds, and what is written in one piece

enum class WaitFor : u8 { Nothing, Child, Memory, PipeData, PipeRoom, TtyInput, Time, Poll };
enum class TaskState : u8 { Free, Runnable, Blocked, Zombie };

struct Descriptor {
    u32 file = 0;                ///< index of OpenFile + 1; 0: closed
    bool close_on_exec = false;
};

struct Task {
    TaskState state = TaskState::Free;
    i32 pid = 0;                         ///< in the host's namespace
    std::vector<i32> pids;               ///< in each namespace from the host's down to its own
    u32 parent = 0;                      ///< index of the parent task
    std::string name;                    ///< comm
    std::vector<std::string> arguments;
    std::string executable;              ///< path of the program, as /proc/self/exe shows it
    NamespaceSet namespaces;
    u32 pid_namespace_of_children = 0;   ///< unshare(CLONE_NEWPID) changes only this
    Location root, cwd;
    std::array<u64, 33> x{};
    std::array<u64, 32> f{};
    u64 pc = 0, fcsr = 0;
    AddressSpace memory;
    std::vector<Descriptor> files;
    u32 tty = 0;
    u32 umask = 022;
    int exit_status = 0;                 ///< as wait4 reports it
    WaitFor waits_for = WaitFor::Nothing;
    u64 wait_object = 0;                 ///< pipe, tty, time in cycles, or the child's pid in the host's namespace (0: any)
    bool restarted = false;              ///< the pending call has been attempted before
    u64 resume = 0;                      ///< what the attempt keeps for the next: a deadline, bytes written, a vfork's child
    struct Polled {
        u32 file;                        ///< index of OpenFile
        i16 events;
    };
    std::vector<Polled> polled;          ///< what ppoll waits for, until wait_object
    u64 clear_tid = 0;
    u32 container = 0;                   ///< number of the container it belongs to; 0: the host
    std::array<std::array<u64, 3>, 65> actions{}; ///< sigaction: handler, flags, mask
    u64 blocked_signals = 0;
    i32 lender = 0;                      ///< vfork: pid (the host's) of the one who lent its memory and waits for it; 0: the memory is its own
};

/// What a reader sees of one process: a row of the process x namespace matrix.
struct ProcessView {
    i32 pid = 0, parent = 0;
    std::vector<i32> pids;
    std::string name, state, hostname, root;
    NamespaceSet namespaces;
    u32 container = 0;
    int exit_status = 0;
};

} // namespace trapeze::container
