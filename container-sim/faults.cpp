// Page faults: the page that a process touches comes in from its file, from memory that it shares, or as zeros; what is written is copied
// first when others have it; a stack grows.
#include "container-sim/page_tables.hpp"

#include <array>

namespace trapeze::container {

namespace {
constexpr u64 kStackGap = u64{256} << kPageShift; // that stays free below a stack (vm.stack_guard_gap)
}

/// The area that an address lies in; a stack grows down to it as far as it may. Null: there is none.
const Vma* Kernel::area_for(AddressSpace& memory, u64 va) {
    const auto above = memory.vmas.upper_bound(va);
    if (above != memory.vmas.begin() && va < std::prev(above)->second.end) return &std::prev(above)->second;
    if (above == memory.vmas.end() || !(above->second.flags & area::kGrowsDown)) return nullptr;
    Vma grown = above->second;
    const u64 page = va & ~kPageMask;
    if (grown.end - page > memory.stack_limit || (above != memory.vmas.begin() && page < std::prev(above)->second.end + kStackGap)) return nullptr;
    grown.begin = page;
    memory.grow(above->second.begin - page);
    memory.vmas.erase(above);
    return &(memory.vmas[page] = grown);
}

/// Brings in the page of `va` for this access. 0, or -kEFAULT when the process may not, kBusFault when the file has no such page, -kENOMEM.
i64 Kernel::fault_in(Machine& machine, AddressSpace& memory, u64 va, Access access) {
    const Vma* const found = area_for(memory, va);
    if (!found) return -kEFAULT;
    const Vma vma = *found;
    const u8 wanted = access == Access::Store ? kProtWrite : access == Access::Fetch ? kProtExec : kProtRead;
    if (!(vma.prot & wanted)) return -kEFAULT;
    const u64 page = va & ~kPageMask;
    const auto address = entry_address(machine, memory, page, true);
    if (!address) return -kENOMEM;
    const u64 entry = read_entry(machine, *address);
    if (!(entry & pte::V)) return populate(machine, memory, vma, page, access);
    if (access == Access::Store && !(entry & pte::W)) return make_writable(machine, memory, vma, page, pte::address(entry));
    // It is there already: the hart's translation was older.
    machine.hart().flush_translations();
    const u64 needed = access == Access::Fetch ? pte::X : access == Access::Load ? pte::R : pte::W;
    if (!(entry & needed)) return map_page(machine, memory, page, pte::address(entry), access == Access::Store ? vma.prot : static_cast<u8>(vma.prot & ~kProtWrite)) ? 0 : -kENOMEM;
    return 0;
}

/// The first store to a page that is there: one's own from now on, or the file's.
i64 Kernel::make_writable(Machine& machine, AddressSpace& memory, const Vma& vma, u64 page, u64 frame) {
    if (vma.shared) {
        if (vma.inode)
            if (const i64 error = begin_stores(machine, vma.inode, vma.page_of(page))) return error;
        return map_page(machine, memory, page, frame, vma.prot) ? 0 : -kENOMEM;
    }
    if (frame_users[frame_index(frame)] == 1) return map_page(machine, memory, page, frame, vma.prot) ? 0 : -kENOMEM;
    const auto fresh = copy_frame(machine, frame);
    if (!fresh) return -kENOMEM;
    release_frame(frame);
    return map_page(machine, memory, page, *fresh, vma.prot) ? 0 : -kENOMEM;
}

std::optional<u64> Kernel::copy_frame(Machine& machine, u64 frame) {
    share_frame(frame); // it must not be given up to make room
    const auto fresh = allocate_frame(machine, FrameKind::Anonymous);
    release_frame(frame);
    if (!fresh) return std::nullopt;
    count_fault(false);
    std::array<u8, kPageSize> bytes;
    machine.ram.read(offset_of(frame), bytes);
    machine.ram.write(offset_of(*fresh), bytes);
    return fresh;
}

/// A page that is not there. Those of a file are everybody's who maps it, until a private one is written.
i64 Kernel::populate(Machine& machine, AddressSpace& memory, const Vma& vma, u64 page, Access access) {
    if (vma.segment) {
        if (vma.page_of(page) << kPageShift >= segments.at(vma.segment).bytes) return kBusFault;
        const auto frame = segment_frame(machine, vma.segment, vma.page_of(page));
        if (!frame) return -kENOMEM;
        share_frame(*frame);
        return map_page(machine, memory, page, *frame, vma.prot) ? 0 : -kENOMEM;
    }
    if (!vma.inode || page + kPageSize > vma.file_end) return populate_own(machine, memory, vma, page);
    u64 frame = 0;
    if (const i64 error = cached_page(machine, vma.inode, vma.page_of(page), frame)) return error;
    u8 prot = vma.prot & static_cast<u8>(~kProtWrite);
    if (access == Access::Store && vma.shared) {
        if (const i64 error = begin_stores(machine, vma.inode, vma.page_of(page))) return error;
        prot = vma.prot;
    } else if (access == Access::Store) {
        const auto fresh = copy_frame(machine, frame);
        if (!fresh) return -kENOMEM;
        return map_page(machine, memory, page, *fresh, vma.prot) ? 0 : -kENOMEM;
    }
    share_frame(frame);
    return map_page(machine, memory, page, frame, prot) ? 0 : -kENOMEM;
}

/// Zeros, with what a program's file has for the begin of the page.
i64 Kernel::populate_own(Machine& machine, AddressSpace& memory, const Vma& vma, u64 page) {
    const auto frame = allocate_frame(machine, FrameKind::Anonymous);
    if (!frame) return -kENOMEM;
    count_fault(false);
    if (vma.inode && page < vma.file_end) {
        std::array<u8, kPageSize> bytes;
        const i64 count = vfs.read_data(vma.inode, vma.page_of(page) << kPageShift, std::span(bytes).first(vma.file_end - page));
        if (count > 0) machine.ram.write(offset_of(*frame), std::span(bytes).first(static_cast<std::size_t>(count)));
    }
    return map_page(machine, memory, page, *frame, vma.prot) ? 0 : -kENOMEM;
}

} // namespace trapeze::container
