// proc(5): what the sources of its parts share. A made-up inode's kind says what it is, its key whom it is about: the thread's id in the
// host's pid namespace, with a descriptor's or a namespace's number above it.
#pragma once

#include "container-sim/fs/types.hpp"
#include "container-sim/kernel.hpp"

namespace trapeze::container {

enum ProcKind : u32 {
    kProcStatic, kProcRoot, kProcProcess, kProcThread, kProcThreads, kProcDescriptors, kProcDescriptorInfos, kProcNamespaces, kProcNet, // directories
    kProcFile,
    kProcSelf, kProcThreadSelf, kProcExe, kProcCwd, kProcRootLink, kProcDescriptorLink, kProcNamespaceLink, // links
};
constexpr u64 proc_key(i32 tid, u32 more = 0) { return static_cast<u32>(tid) | u64{more} << 32; }
constexpr i32 proc_tid(u64 key) { return static_cast<i32>(key & 0xffff'ffff); }
constexpr u32 proc_more(u64 key) { return static_cast<u32>(key >> 32); }

/// Files of a process or thread, of /proc itself, of its net folder; and those of /proc/sys, with the folder of each.
extern const std::vector<GeneratedFile> kProcessFiles, kProcFiles, kProcNetFiles;
struct SystemControl {
    const char* folder;
    GeneratedFile row;
};
extern const std::vector<SystemControl> kSystemControls, kNetControls, kIpcControls;

/// The thread that a reader asks about; null when it has ended or cannot be seen from the pid namespace of this proc.
const Task* proc_task(const Vfs& vfs, const Viewer& viewer, u32 super, u64 key);
inline const Task* proc_task(const Reader& reader) { return proc_task(reader.vfs, reader.viewer, reader.super, reader.key); }
/// ptrace(2), "Ptrace access mode checking", for reading.
bool may_trace(const Viewer& viewer, const Task& task);
i64 require_trace(const Reader& reader);
std::string show_locks(const Reader& reader); ///< locks.cpp
std::optional<i64> parse_number(std::string_view text);
/// What /proc/PID/fd/N points at, as text.
std::string descriptor_text(Vfs& vfs, const Viewer& viewer, const Task& task, u32 fd);
/// What a namespace decided about a file of /proc, and what it would be outside; empty when none did.
std::string proc_note(const Vfs& vfs, const Viewer& viewer, u32 inode);
const OpenFile* proc_open_file(const Vfs& vfs, const Viewer& viewer, u32 inode);

} // namespace trapeze::container
