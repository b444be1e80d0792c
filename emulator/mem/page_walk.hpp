// The page walker (Privileged specification, section 10.3.2): one function walks any table, for harts, VMMs and the debugger, and
// reports each entry that it reads. It changes nothing; the caller applies the accessed/dirty update that it asks for.
//
//   Sv39 entry: 63 N | 62:61 PBMT | 53:10 PPN | 9:8 RSW | 7 D | 6 A | 5 G | 4 U | 3 X | 2 W | 1 R | 0 V
#pragma once

#include "emulator/base/types.hpp"
#include "emulator/cpu/trap.hpp"

#include <array>

namespace trapeze {

namespace pte {
inline constexpr u64 V = 1, R = 2, W = 4, X = 8, U = 16, G = 32, A = 64, D = 128, PPN = ((u64{1} << 44) - 1) << 10;
constexpr u64 address(u64 entry) { return (entry & PPN) << 2; }
constexpr bool is_leaf(u64 entry) { return entry & (R | X); }
}

enum class Access : u8 { Fetch, Load, Store };

/// How an access is made: what decides permissions besides the entries.
struct AccessRights {
    Priv priv = Priv::S; ///< U or S: M-mode does not translate
    bool sum = false;    ///< S-mode may touch U pages
    bool mxr = false;    ///< executable pages are readable
    bool hardware_ad = true; ///< set A and D (Svadu); otherwise they fault (Svade)
};

struct PageWalk {
    static constexpr unsigned kMaxSteps = 5;
    struct Step {
        u64 entry_address = 0; ///< physical address of the entry read
        u64 entry = 0;
        u8 level = 0;          ///< 2 for the root of Sv39, 0 for the last
    };
    enum class Outcome : u8 { Ok, PageFault, AccessFault };
    Outcome outcome = Outcome::PageFault;
    u64 physical = 0;     ///< translated address when Ok
    u64 page_size = 0;    ///< bytes mapped by the leaf
    u64 leaf = 0;         ///< the leaf entry, with the A and D bits it should have
    u64 leaf_address = 0; ///< where it is
    bool update_ad = false; ///< `leaf` must be written to `leaf_address`
    u8 steps = 0;
    std::array<Step, kMaxSteps> read{};
};

/// Reads an 8-byte entry at a physical address; false is an access fault.
template <class Reader>
concept EntryReader = requires(Reader r, u64 address, u64& entry) { { r(address, entry) } -> std::same_as<bool>; };

/// Walks the Sv39 table of `satp` (mode must be Sv39) for `va`.
template <EntryReader Reader>
PageWalk walk_sv39(u64 satp_value, u64 va, Access access, AccessRights rights, Reader&& read_entry) {
    PageWalk walk;
    if (sign_extend(va, 39) != va) return walk;
    u64 table = (satp_value & ((u64{1} << 44) - 1)) << kPageShift;
    for (int level = 2; level >= 0; --level) {
        const unsigned shift = kPageShift + 9 * static_cast<unsigned>(level);
        const u64 address = table + bits(va, shift + 8, shift) * 8;
        u64 entry = 0;
        if (!read_entry(address, entry)) {
            walk.outcome = PageWalk::Outcome::AccessFault;
            return walk;
        }
        walk.read[walk.steps++] = {address, entry, static_cast<u8>(level)};
        if (!(entry & pte::V) || (!(entry & pte::R) && (entry & pte::W)) || (entry >> 54)) return walk;
        if (!pte::is_leaf(entry)) {
            if (entry & (pte::A | pte::D | pte::U)) return walk;
            table = pte::address(entry);
            continue;
        }
        const u64 size = u64{1} << shift;
        if (pte::address(entry) & (size - 1)) return walk; // misaligned superpage
        const bool user_page = entry & pte::U;
        if (rights.priv == Priv::U ? !user_page : user_page && (access == Access::Fetch || !rights.sum)) return walk;
        const bool allowed = access == Access::Fetch ? entry & pte::X
                             : access == Access::Load ? (entry & pte::R) || (rights.mxr && (entry & pte::X))
                                                      : entry & pte::W;
        if (!allowed) return walk;
        const u64 wanted = entry | pte::A | (access == Access::Store ? pte::D : 0);
        if (wanted != entry && !rights.hardware_ad) return walk;
        walk.update_ad = wanted != entry;
        walk.leaf = wanted;
        walk.leaf_address = address;
        walk.page_size = size;
        walk.physical = pte::address(entry) + (va & (size - 1));
        walk.outcome = PageWalk::Outcome::Ok;
        return walk;
    }
    return walk; // the last level held a pointer
}

} // namespace trapeze
