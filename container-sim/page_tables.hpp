// Sv39 entries in the machine's RAM, as the container kernel writes them: for the sources of its memory alone.
#pragma once

#include "container-sim/abi.hpp"
#include "container-sim/kernel.hpp"

namespace trapeze::container {

inline constexpr i64 kBusFault = -kEIO; ///< fault_in: the page lies past the end of its file, or its file system is full (SIGBUS)

inline u64 offset_of(u64 physical) { return physical - kRamBase; }
inline u64 read_entry(const Machine& machine, u64 address) {
    u64 entry = 0;
    machine.ram.read(offset_of(address), entry);
    return entry;
}
inline void write_entry(Machine& machine, u64 address, u64 entry) { machine.ram.write_value(offset_of(address), entry); }
/// Calls visit(va, address of its entry) for each page that is there. What has no table is skipped whole.
template <class Visit> void visit_pages(const Machine& machine, const AddressSpace& memory, u64 begin, u64 end, Visit visit) {
    if (!memory.root) return;
    for (u64 va = begin; va < end;) {
        u64 table = memory.root;
        unsigned level = 2;
        for (; level > 0; --level) {
            const u64 entry = read_entry(machine, table + bits(va, 20 + 9 * level, 12 + 9 * level) * 8);
            if (!(entry & pte::V)) break;
            table = pte::address(entry);
        }
        const u64 address = table + bits(va, 20, 12) * 8;
        if (level == 0 && read_entry(machine, address) & pte::V) visit(va, address);
        const u64 span = kPageSize << 9 * level;
        va = (va & ~(span - 1)) + span;
    }
}
inline u64 make_entry(u64 physical, u8 prot) {
    return physical >> kPageShift << 10 | pte::V | pte::U | pte::A | pte::D | (prot & (kProtRead | kProtWrite) ? pte::R : 0) | (prot & kProtWrite ? pte::W : 0) |
           (prot & kProtExec ? pte::X | pte::R : 0);
}

} // namespace trapeze::container
