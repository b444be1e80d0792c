// A process's memory in proc(5): maps, smaps, smaps_rollup, statm and the lines of status, all counted from the same page tables.
#include "container-sim/fs/proc_shown.hpp"
#include "container-sim/page_tables.hpp"

#include <fmt/format.h>

namespace trapeze::container {

namespace {

constexpr u32 kTmpfsMagic = 0x01021994;

/// Pages of one area, in bytes.
struct AreaUse {
    u64 resident = 0, proportional = 0, shared = 0, own = 0, anonymous = 0, file = 0, shared_memory = 0;
    void operator+=(const AreaUse& more) {
        resident += more.resident, proportional += more.proportional, shared += more.shared, own += more.own;
        anonymous += more.anonymous, file += more.file, shared_memory += more.shared_memory;
    }
};

/// How many map a frame: the page cache and a segment are users of theirs, too.
AreaUse area_use(const Reader& reader, const Kernel& kernel, const AddressSpace& memory, const Vma& vma) {
    AreaUse use;
    const bool in_memory = vma.segment || (vma.inode && reader.vfs.type_of(vma.inode).magic == kTmpfsMagic);
    visit_pages(*reader.viewer.machine, memory, vma.begin, vma.end, [&](u64 page, u64 address) {
        const u64 frame = pte::address(read_entry(*reader.viewer.machine, address));
        const auto cached = vma.inode ? kernel.page_cache.find({vma.inode, vma.page_of(page)}) : kernel.page_cache.end();
        const bool common = vma.segment || (cached != kernel.page_cache.end() && cached->second.frame == frame);
        const u64 mappers = std::max<u64>(1, kernel.frame_users[kernel.frame_index(frame)] - (common ? 1 : 0));
        use.resident += kPageSize, use.proportional += kPageSize / mappers;
        (mappers > 1 ? use.shared : use.own) += kPageSize;
        (!common ? use.anonymous : in_memory ? use.shared_memory : use.file) += kPageSize;
    });
    return use;
}

u64 count_tables(const Machine& machine, u64 table, int level) {
    u64 count = 1;
    for (u64 i = 0; level > 0 && i < 512; ++i)
        if (const u64 entry = read_entry(machine, table + i * 8); entry & pte::V) count += count_tables(machine, pte::address(entry), level - 1);
    return count;
}

std::string area_name(const Reader& reader, const Shown& s, const AddressSpace& memory, const Vma& vma) {
    if (vma.inode) return vma.inode == s.process.executable_inode ? s.process.executable : reader.vfs.path_in_super(reader.vfs.inodes.get(vma.inode).first_dentry);
    if (vma.segment) return s.kernel.segments.at(vma.segment).anonymous ? "/dev/zero (deleted)" : "/SYSV00000000 (deleted)";
    if (vma.begin <= s.process.stack_begin && s.process.stack_begin < vma.end) return "[stack]";
    if (vma.begin == Kernel::kTrampoline) return "[vdso]";
    return memory.break_begin < memory.break_end && vma.begin < memory.break_end && memory.break_begin < vma.end ? "[heap]" : "";
}

std::string area_line(const Reader& reader, const Shown& s, const AddressSpace& memory, const Vma& vma) {
    const Inode* inode = vma.inode ? &reader.vfs.inodes.get(vma.inode) : nullptr;
    std::string line = fmt::format("{:08x}-{:08x} {}{}{}{} {:08x} 00:{:02x} {} ", vma.begin, vma.end, vma.prot & kProtRead ? 'r' : '-', vma.prot & kProtWrite ? 'w' : '-',
                                   vma.prot & kProtExec ? 'x' : '-', vma.shared ? 's' : 'p', vma.inode || vma.segment ? vma.file_offset : 0,
                                   inode ? reader.vfs.supers.get(inode->super).device : vma.segment ? 1 : 0, inode ? inode->number : vma.segment);
    if (const std::string name = area_name(reader, s, memory, vma); !name.empty()) line += std::string(line.size() < 73 ? 73 - line.size() : 0, ' ') + name;
    return line + "\n";
}

std::string use_lines(const AreaUse& use, u64 locked) {
    const auto line = [](const char* name, u64 bytes) { return fmt::format("{:<16}{:8} kB\n", name, bytes >> 10); };
    return line("Rss:", use.resident) + line("Pss:", use.proportional) + line("Shared_Clean:", use.shared) + line("Shared_Dirty:", 0) + line("Private_Clean:", use.own - std::min(use.own, use.anonymous)) +
           line("Private_Dirty:", std::min(use.own, use.anonymous)) + line("Referenced:", use.resident) + line("Anonymous:", use.anonymous) + line("Swap:", 0) + line("SwapPss:", 0) +
           line("Locked:", locked);
}

std::string flag_words(const Vma& vma) {
    std::string words;
    const auto add = [&](bool holds, const char* word) { words += holds ? word : ""; };
    add(vma.prot & kProtRead, "rd "), add(vma.prot & kProtWrite, "wr "), add(vma.prot & kProtExec, "ex "), add(vma.shared, "sh ");
    words += "mr ";
    add(!(vma.flags & area::kMayNotWrite), "mw "), add(true, "me "), add(vma.shared, "ms "), add(vma.flags & area::kGrowsDown, "gd "), add(vma.flags & area::kLocked, "lo ");
    add(vma.flags & area::kDontFork, "dc "), add(vma.flags & area::kWipeOnFork, "wf ");
    return words;
}

} // namespace

MemoryUse memory_use(const Reader& reader, const Shown& shown) {
    MemoryUse use;
    if (!shown.has_memory()) return use;
    const AddressSpace& memory = shown.kernel.spaces[shown.task.memory];
    for (const auto& [begin, vma] : memory.vmas) {
        use.size += vma.bytes();
        if (vma.prot & kProtExec) use.text += vma.bytes();
        else if (vma.flags & area::kGrowsDown) use.stack += vma.bytes();
        else if (vma.prot & kProtWrite && !vma.shared) use.data += vma.bytes();
        if (vma.flags & area::kLocked) use.locked += vma.bytes();
        const AreaUse pages = area_use(reader, shown.kernel, memory, vma);
        use.anonymous += pages.anonymous, use.file += pages.file, use.shared_memory += pages.shared_memory;
    }
    if (memory.root) use.tables = count_tables(*reader.viewer.machine, memory.root, 2) * kPageSize;
    return use;
}

std::string memory_lines(const Reader& reader, const Shown& s) {
    const MemoryUse use = memory_use(reader, s);
    const auto line = [](const char* name, u64 bytes) { return fmt::format("{}\t{:8} kB\n", name, bytes >> 10); };
    const AddressSpace& memory = s.kernel.spaces[s.task.memory];
    return line("VmPeak:", std::max(use.size, memory.most_bytes)) + line("VmSize:", use.size) + line("VmLck:", use.locked) + line("VmPin:", 0) + line("VmHWM:", std::max(use.resident(), memory.most_resident * kPageSize)) + line("VmRSS:", use.resident()) +
           line("RssAnon:", use.anonymous) + line("RssFile:", use.file) + line("RssShmem:", use.shared_memory) + line("VmData:", use.data) + line("VmStk:", use.stack) + line("VmExe:", use.text) +
           line("VmLib:", 0) + line("VmPTE:", use.tables) + line("VmSwap:", 0);
}

std::string show_maps(const Reader& reader, const Shown& s) {
    std::string text;
    if (!s.has_memory()) return text;
    const AddressSpace& memory = s.kernel.spaces[s.task.memory];
    for (const auto& [begin, vma] : memory.vmas) text += area_line(reader, s, memory, vma);
    return text;
}

std::string show_smaps(const Reader& reader, const Shown& s) {
    std::string text;
    if (!s.has_memory()) return text;
    const AddressSpace& memory = s.kernel.spaces[s.task.memory];
    for (const auto& [begin, vma] : memory.vmas) {
        const AreaUse use = area_use(reader, s.kernel, memory, vma);
        text += area_line(reader, s, memory, vma) + fmt::format("{:<16}{:8} kB\n{:<16}{:8} kB\n{:<16}{:8} kB\n", "Size:", vma.bytes() >> 10, "KernelPageSize:", 4, "MMUPageSize:", 4);
        text += use_lines(use, vma.flags & area::kLocked ? use.proportional : 0) + "VmFlags: " + flag_words(vma) + "\n";
    }
    return text;
}

std::string show_smaps_rollup(const Reader& reader, const Shown& s) {
    if (!s.has_memory()) return {};
    const AddressSpace& memory = s.kernel.spaces[s.task.memory];
    AreaUse all;
    u64 locked = 0;
    for (const auto& [begin, vma] : memory.vmas) {
        const AreaUse use = area_use(reader, s.kernel, memory, vma);
        all += use;
        if (vma.flags & area::kLocked) locked += use.proportional;
    }
    if (memory.vmas.empty()) return {};
    Vma whole;
    whole.begin = memory.vmas.begin()->first, whole.end = memory.vmas.rbegin()->second.end;
    std::string line = fmt::format("{:08x}-{:08x} ---p 00000000 00:00 0 ", whole.begin, whole.end);
    return line + std::string(line.size() < 73 ? 73 - line.size() : 0, ' ') + "[rollup]\n" + use_lines(all, locked);
}

std::string show_statm(const Reader& reader, const Shown& s) {
    const MemoryUse use = memory_use(reader, s);
    return fmt::format("{} {} {} {} 0 {} 0\n", use.size / kPageSize, use.resident() / kPageSize, (use.file + use.shared_memory) / kPageSize, use.text / kPageSize, (use.data + use.stack) / kPageSize);
}

} // namespace trapeze::container
