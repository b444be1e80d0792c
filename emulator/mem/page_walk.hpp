// The page walker (Privileged specification, sections 10.3 to 10.6 and 15.5): one function walks any table of any depth, in one stage or
// two, for harts, VMMs and the debugger, and reports each entry that it reads. It changes nothing: the accessed and dirty bits that have
// to be set are listed, and the caller writes them.
//
//   entry: 63 N | 62:61 PBMT | 53:10 PPN | 9:8 RSW | 7 D | 6 A | 5 G | 4 U | 3 X | 2 W | 1 R | 0 V
//
// With two stages the first one's tables lie at guest physical addresses, so that each of its reads is itself translated by the second:
// (n + 1)(m + 1) - 1 reads for n levels over m.
#pragma once

#include "emulator/base/types.hpp"
#include "emulator/cpu/trap.hpp"

#include <algorithm>
#include <array>
#include <concepts>

namespace trapeze {

namespace pte {
inline constexpr u64 V = 1, R = 2, W = 4, X = 8, U = 16, G = 32, A = 64, D = 128, PPN = ((u64{1} << 44) - 1) << 10, PBMT = u64{3} << 61, N = u64{1} << 63,
                     kReserved = u64{0x7f} << 54;
constexpr u64 address(u64 entry) { return (entry & PPN) << 2; }
constexpr bool is_leaf(u64 entry) { return entry & (R | X); }
}
/// Fields of satp, vsatp and hgatp (sections 10.1.11, 15.2.10).
namespace satp {
inline constexpr u64 MODE = u64{15} << 60, ASID = u64{0xffff} << 44, PPN = (u64{1} << 44) - 1;
inline constexpr u64 kBare = 0, kSv39 = 8, kSv48 = 9, kSv57 = 10;
/// Levels of the table that a value of the register selects: 3, 4, 5; 0 when it does not translate.
constexpr unsigned levels(u64 value) {
    const u64 mode = get_field(value, MODE);
    return mode >= kSv39 && mode <= kSv57 ? static_cast<unsigned>(mode - kSv39) + 3 : 0;
}
constexpr u64 root(u64 value) { return (value & PPN) << kPageShift; }
}

enum class Access : u8 { Fetch, Load, Store };

/// How an access is made: what decides permissions besides the entries.
struct AccessRights {
    Priv priv = Priv::S; ///< U or S: M-mode does not translate
    bool sum = false;    ///< S-mode may touch U pages
    bool mxr = false;    ///< executable pages are readable
    bool hardware_ad = true; ///< set A and D (Svadu); otherwise they fault (Svade)
    bool page_types = true;  ///< entries may hold a memory type (Svpbmt)
    bool execute_read = false; ///< a load needs X instead of R (hlvx)
};

/// Everything that decides what an address means.
struct Translation {
    u64 first = 0;  ///< satp or vsatp; one that does not translate: the address is (guest) physical
    u64 second = 0; ///< hgatp where there is a second stage, else 0
    AccessRights rights{};        ///< in the first stage
    AccessRights second_rights{}; ///< in the second, where every access is a user's
};

struct PageWalk {
    static constexpr unsigned kMaxSteps = 35; ///< Sv57 over Sv57x4
    static constexpr unsigned kMaxUpdates = 8;
    struct Step {
        u64 entry_address; ///< physical address of the entry read
        u64 entry;
        u8 level;          ///< 2 for the root of Sv39, 0 for the last
        bool second;       ///< read by the second stage
    };
    struct Update {
        u64 address; ///< physical
        u64 entry;
    };
    enum class Outcome : u8 { Ok, PageFault, AccessFault, GuestPageFault };
    Outcome outcome = Outcome::PageFault;
    u64 physical = 0;       ///< translated address when Ok
    u64 guest_physical = 0; ///< with two stages: what the first gave, or at which the second faulted
    bool implicit = false;       ///< the second stage faulted for an entry of the first stage's table
    bool implicit_write = false; ///< ... whose accessed or dirty bit was to be set
    u64 page_size = 0;      ///< bytes mapped alike, by the smaller one of the leaves
    u64 fenced_size = 0;    ///< bytes that the first stage maps alike, for which one fence does; 0 when it does not translate
    u64 leaf = 0;           ///< the first stage's leaf, with the A and D bits it should have; 0: there is none
    u64 leaf_address = 0;   ///< its physical address
    u8 steps = 0, updates = 0;
    std::array<Step, kMaxSteps> read;       ///< the first `steps` count
    std::array<Update, kMaxUpdates> update; ///< the first `updates`: to be written, in order, when the walk is Ok
};

/// Reads an 8-byte entry at a physical address; false is an access fault.
template <class Reader>
concept EntryReader = requires(Reader r, u64 address, u64& entry) { { r(address, entry) } -> std::same_as<bool>; };

namespace page_walk_detail {

constexpr u64 kNapotPages = 16; // Svnapot's one size: 64 KiB (section 11)

struct Leaf {
    u64 address = 0, entry = 0, wanted = 0, target = 0, size = 0;
};

inline bool permits(u64 entry, Access access, const AccessRights& rights) {
    const bool user_page = entry & pte::U;
    if (rights.priv == Priv::U ? !user_page : user_page && (access == Access::Fetch || !rights.sum)) return false;
    if (access == Access::Fetch || (access == Access::Load && rights.execute_read)) return entry & pte::X;
    if (access == Access::Load) return (entry & pte::R) || (rights.mxr && (entry & pte::X));
    return entry & pte::W;
}

/// Descends one table. `locate` gives an entry's physical address from the table's own address space; false: it faulted and has said how.
template <class Locate, EntryReader Reader>
bool descend(PageWalk& walk, u64 root, unsigned levels, unsigned root_bits, u64 va, Access access, const AccessRights& rights, bool second, Locate&& locate,
             Reader&& read_entry, Leaf& leaf) {
    const auto fault = second ? PageWalk::Outcome::GuestPageFault : PageWalk::Outcome::PageFault;
    const auto fail = [&](PageWalk::Outcome why) { return walk.outcome = why, false; };
    u64 table = root;
    for (unsigned level = levels; level-- > 0;) {
        const unsigned shift = kPageShift + 9 * level, width = level + 1 == levels ? root_bits : 9;
        u64 address = 0, entry = 0;
        if (!locate(table + bits(va, shift + width - 1, shift) * sizeof entry, address)) return false;
        if (!read_entry(address, entry)) return fail(PageWalk::Outcome::AccessFault);
        walk.read[walk.steps++] = {address, entry, static_cast<u8>(level), second};
        if (!(entry & pte::V) || (!(entry & pte::R) && (entry & pte::W)) || entry & pte::kReserved) return fail(fault);
        if (!pte::is_leaf(entry)) {
            if (entry & (pte::A | pte::D | pte::U | pte::PBMT | pte::N)) return fail(fault);
            table = pte::address(entry);
            continue;
        }
        if (entry & pte::PBMT && (!rights.page_types || (entry & pte::PBMT) == pte::PBMT)) return fail(fault);
        u64 size = u64{1} << shift, frame = pte::address(entry);
        if (entry & pte::N) {
            if (level != 0 || (frame >> kPageShift) % kNapotPages != kNapotPages / 2) return fail(fault);
            size = kNapotPages << kPageShift;
            frame &= ~(size - 1);
        }
        if (frame & (size - 1) || !permits(entry, access, rights)) return fail(fault); // the former: a misaligned superpage
        const u64 wanted = entry | pte::A | (access == Access::Store ? pte::D : 0);
        if (wanted != entry && !rights.hardware_ad) return fail(fault);
        leaf = {address, entry, wanted, frame + (va & (size - 1)), size};
        return true;
    }
    return fail(fault); // the last level held a pointer
}

inline void want(PageWalk& walk, const Leaf& leaf) {
    if (leaf.wanted != leaf.entry) walk.update[walk.updates++] = {leaf.address, leaf.wanted};
}

inline bool guest_fault(PageWalk& walk, u64 guest, bool implicit, bool write) {
    walk.outcome = walk.outcome == PageWalk::Outcome::AccessFault ? walk.outcome : PageWalk::Outcome::GuestPageFault;
    walk.guest_physical = guest;
    walk.implicit = implicit;
    walk.implicit_write = implicit && write;
    return false;
}

/// The second stage of one guest physical address. False: the walk says how it faulted.
template <EntryReader Reader>
bool second_stage(PageWalk& walk, const Translation& t, u64 guest, Access access, bool implicit, Reader& read_entry, Leaf& leaf) {
    const unsigned levels = satp::levels(t.second);
    leaf = {.target = guest, .size = ~u64{0}};
    if (!levels) return true;
    AccessRights rights = t.second_rights;
    if (implicit) rights.mxr = rights.execute_read = false;
    constexpr unsigned kRootBits = 11; // the root is four pages (section 15.5.1)
    const auto locate = [](u64 address, u64& out) { return out = address, true; };
    walk.outcome = PageWalk::Outcome::GuestPageFault;
    const bool inside = guest >> (kPageShift + 9 * (levels - 1) + kRootBits) == 0;
    if (!inside || !descend(walk, satp::root(t.second), levels, kRootBits, guest, access, rights, true, locate, read_entry, leaf))
        return guest_fault(walk, guest, implicit, false);
    want(walk, leaf);
    return true;
}

/// The first stage's leaf is to be changed: the page that it lies in must be writable in the second.
inline bool may_update(PageWalk& walk, const Translation& t, u64 guest, Leaf page) {
    if (!satp::levels(t.second)) return true;
    page.wanted |= pte::D;
    if (!(page.entry & pte::W) || (!(page.entry & pte::D) && !t.second_rights.hardware_ad)) {
        walk.outcome = PageWalk::Outcome::GuestPageFault;
        return guest_fault(walk, guest, true, true);
    }
    if (page.wanted != page.entry) walk.update[walk.updates++] = {page.address, page.wanted};
    return true;
}

} // namespace page_walk_detail

/// Translates `va` for one access.
template <EntryReader Reader> PageWalk walk_page_tables(const Translation& t, u64 va, Access access, Reader&& read_entry) {
    using namespace page_walk_detail;
    PageWalk walk;
    walk.guest_physical = va;
    walk.page_size = ~u64{0};
    Leaf leaf;
    if (const unsigned levels = satp::levels(t.first)) {
        if (sign_extend(va, kPageShift + 9 * levels) != va) return walk;
        u64 entry_guest = 0; // guest physical address of the newest entry, and the page that it lies in
        Leaf entry_page;
        const auto locate = [&](u64 address, u64& out) {
            entry_guest = address;
            const bool found = second_stage(walk, t, address, Access::Load, true, read_entry, entry_page);
            return out = entry_page.target, found;
        };
        walk.outcome = PageWalk::Outcome::PageFault;
        if (!descend(walk, satp::root(t.first), levels, 9, va, access, t.rights, false, locate, read_entry, leaf)) return walk;
        if (leaf.wanted != leaf.entry && !may_update(walk, t, entry_guest, entry_page)) return walk;
        want(walk, leaf);
        walk.leaf = leaf.wanted, walk.leaf_address = leaf.address;
        walk.guest_physical = leaf.target;
        walk.page_size = walk.fenced_size = leaf.size;
    }
    if (!second_stage(walk, t, walk.guest_physical, access, false, read_entry, leaf)) return walk;
    walk.physical = leaf.target;
    walk.page_size = std::min(walk.page_size, leaf.size);
    walk.outcome = PageWalk::Outcome::Ok;
    return walk;
}

} // namespace trapeze
