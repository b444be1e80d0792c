// Descriptors and open file descriptions (open(2)): numbers, sharing, and the end of the last user.
#include "container-sim/file_operations.hpp"
#include "container-sim/kernel.hpp"

#include <algorithm>

namespace trapeze::container {

const FileOperations& file_operations(FileKind kind) {
    static const FileOperations* const kRows[] = {
#define FILE_KIND(kind, operations) &operations,
#include "container-sim/file_kinds.def"
    };
    return *kRows[static_cast<std::size_t>(kind)];
}

/// A new open file description. Its first user is whoever asked for it: new_descriptor takes that over.
i64 Kernel::new_file(OpenFile file) {
    if (files.size() >= kMaxFiles) return -kENFILE;
    return files.add(std::move(file));
}

/// The lowest free descriptor from `least` on, for one more user of the file. Fails with EMFILE.
i64 Kernel::new_descriptor(Task& task, u32 file, bool close_on_exec, u32 least) {
    auto& entries = descriptors_of(task).entries;
    const u64 most = std::min<u64>(process_of(task).limits[kLimitFiles].current, kMaxDescriptors);
    for (u32 fd = least; fd < most; ++fd) {
        if (fd >= entries.size()) entries.resize(fd + 1);
        if (entries[fd].file) continue;
        entries[fd] = {file + 1, close_on_exec};
        files.use(file);
        return fd;
    }
    return -kEMFILE;
}

/// A descriptor for a file that was made for it; on failure the file goes as well.
i64 Kernel::install(Machine& machine, Task& task, OpenFile file, bool close_on_exec) {
    const i64 number = new_file(std::move(file));
    if (number < 0) return number;
    const i64 fd = new_descriptor(task, static_cast<u32>(number), close_on_exec);
    close_file(machine, static_cast<u32>(number)); // the maker's own use
    return fd;
}

OpenFile* Kernel::any_file_of(const Task& task, u32 fd) {
    const auto& entries = descriptors_of(task).entries;
    return fd < entries.size() && entries[fd].file ? &files[entries[fd].file - 1] : nullptr;
}
const OpenFile* Kernel::any_file_of(const Task& task, u32 fd) const {
    const auto& entries = descriptor_tables[task.descriptors].entries;
    return fd < entries.size() && entries[fd].file ? &files[entries[fd].file - 1] : nullptr;
}
OpenFile* Kernel::file_of(const Task& task, u32 fd) {
    OpenFile* file = any_file_of(task, fd);
    return file && file->kind != FileKind::Path ? file : nullptr;
}

void Kernel::close_file(Machine& machine, u32 file) {
    if (!files.release(file)) return;
    if (!file_locks.empty()) drop_description_locks(file);
    if (epolls.size()) forget_in_epolls(file);
    if (const auto close = file_operations(files[file].kind).close) close(*this, machine, files[file]);
    const OpenFile gone = std::move(files[file]);
    files.erase(file);
    if (gone.kind == FileKind::Inode && gone.location.inode) free_unlinked(machine, gone.location.inode);
    if (!watch_queues.size() || gone.kind != FileKind::Inode) return;
    tell_watchers(gone.location.dentry, gone.flags & 3 ? watch::kCloseWrite : watch::kCloseNoWrite);
    if (!vfs.inodes.get(gone.location.inode).links) tell_deleted(gone.location.inode);
}

void Kernel::close_descriptor(Machine& machine, Task& task, u32 fd) {
    Descriptor& descriptor = descriptors_of(task).entries[fd];
    const u32 file = std::exchange(descriptor, {}).file;
    if (!file) return;
    flush_file(file - 1, task.descriptors);
    close_file(machine, file - 1);
}

void Kernel::close_on_exec(Machine& machine, Task& task) {
    for (u32 fd = 0; fd < descriptors_of(task).entries.size(); ++fd)
        if (descriptors_of(task).entries[fd].close_on_exec) close_descriptor(machine, task, fd);
}

/// A task lets go of its table; with the last one all descriptors are closed.
void Kernel::release_descriptors(Machine& machine, u32 table) {
    if (!descriptor_tables.release(table)) return;
    const auto entries = std::move(descriptor_tables[table].entries);
    descriptor_tables.erase(table);
    for (const Descriptor& descriptor : entries)
        if (descriptor.file) {
            flush_file(descriptor.file - 1, table);
            close_file(machine, descriptor.file - 1);
        }
}

void Kernel::flush_file(u32 file, u32 table) {
    if (!file_locks.empty()) drop_process_locks(file, table);
    if (const auto flush = file_operations(files[file].kind).flush) flush(*this, files[file], table);
}

u32 Kernel::copy_descriptors(u32 table) {
    for (const Descriptor& descriptor : descriptor_tables[table].entries)
        if (descriptor.file) files.use(descriptor.file - 1);
    return descriptor_tables.add(DescriptorTable(descriptor_tables[table]));
}

} // namespace trapeze::container
