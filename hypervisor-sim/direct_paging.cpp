#include "hypervisor-sim/direct_paging.hpp"

#include "emulator/devices/board.hpp"
#include "emulator/mem/page_walk.hpp"

#include <algorithm>

namespace trapeze::vmm {

namespace {

constexpr RefusalRow kRefusals[] = {
#define TABLE_REFUSAL(id, error, sentence) {error, sentence},
#include "hypervisor-sim/table_refusals.def"
};

constexpr unsigned kEntries = 512, kRootLevel = 2;
using Table = std::array<u64, kEntries>;

u64 ram_page(HostPhys address) { return (address.value - kRamBase) >> kPageShift; }
u64 page_of(u64 entry) { return ram_page(HostPhys(pte::address(entry))); }
bool aligned(HostPhys page) { return (page.value & kPageMask) == 0; }
constexpr PageType table_of(unsigned level) { return static_cast<PageType>(static_cast<u8>(PageType::Table0) + level); }
constexpr bool is_table(PageType type) { return type >= PageType::Table0; }
constexpr unsigned level_of(PageType type) { return static_cast<unsigned>(type) - static_cast<unsigned>(PageType::Table0); }

Table read_table(const Ram& ram, u64 page) {
    Table table{};
    ram.read(page << kPageShift, std::span(reinterpret_cast<u8*>(table.data()), kPageSize));
    return table;
}

} // namespace

const RefusalRow& refusal_row(Refusal refusal) { return kRefusals[std::min(static_cast<std::size_t>(refusal), std::size(kRefusals) - 1)]; }

// --- What is known of each page ----------------------------------------------------------------------------------------------

PageType DirectPaging::type_of(const Ram& ram, u64 page) const {
    u8 type = 0;
    if (owns(page)) ram.read(types_offset() + (page - first_), type);
    return static_cast<PageType>(type);
}

u32 DirectPaging::count_of(const Ram& ram, u64 page) const {
    u32 count = 0;
    if (owns(page)) ram.read(types_offset() + pages_ + (page - first_) * sizeof count, count);
    return count;
}

void DirectPaging::set(Ram& ram, u64 page, PageType type, u32 count) const {
    if (!owns(page)) return;
    ram.write_value(types_offset() + (page - first_), static_cast<u8>(type));
    ram.write_value(types_offset() + pages_ + (page - first_) * sizeof count, count);
}

PageType DirectPaging::type(const Ram& ram, HostPhys page) const { return type_of(ram, ram_page(page)); }
u32 DirectPaging::uses(const Ram& ram, HostPhys page) const { return count_of(ram, ram_page(page)); }

// --- An entry ----------------------------------------------------------------------------------------------------------------

/// What an entry may say in a table of this level.
Refusal DirectPaging::check(const Ram& ram, u64 entry, unsigned level) const {
    if (!(entry & pte::V)) return Refusal::None; // the hart ignores the rest
    const bool leaf = pte::is_leaf(entry) || entry & pte::W;
    constexpr u64 kNever = pte::kReserved | pte::PBMT | pte::N | pte::G;
    if (entry & kNever || (entry & pte::W && !(entry & pte::R))) return Refusal::BadBits;
    if (!leaf && (level == 0 || entry & (pte::A | pte::D | pte::U))) return Refusal::BadBits;
    if (leaf && level > 0) return Refusal::Superpage;
    if (leaf && !(entry & pte::U)) return Refusal::NotUser;
    const u64 page = page_of(entry);
    if (!owns(page)) return page < ram.size() / kPageSize ? Refusal::VmmPage : Refusal::OutsideMemory;
    const PageType type = type_of(ram, page);
    if (!leaf) return type == table_of(level - 1) ? Refusal::None : Refusal::WrongLevel;
    return entry & pte::W && is_table(type) ? Refusal::WritableTable : Refusal::None;
}

/// Checks an entry and counts what it uses: a table one level below, or a page as writable.
Refusal DirectPaging::get(Ram& ram, u64 entry, unsigned level) {
    ++checked_;
    const Refusal refusal = check(ram, entry, level);
    if (refusal != Refusal::None || !(entry & pte::V)) return refusal;
    const u64 page = page_of(entry);
    if (!pte::is_leaf(entry)) set(ram, page, type_of(ram, page), count_of(ram, page) + 1);
    else if (entry & pte::W) set(ram, page, PageType::Writable, count_of(ram, page) + 1);
    return refusal;
}

/// Pre: the entry was got, at this level.
void DirectPaging::put(Ram& ram, u64 entry, unsigned level) {
    if (!(entry & pte::V)) return;
    stale_ = true;
    if (level == 0 && !(entry & pte::W)) return;
    const u64 page = page_of(entry);
    const u32 count = count_of(ram, page) - 1;
    set(ram, page, level == 0 && count == 0 ? PageType::None : type_of(ram, page), count);
}

Refusal DirectPaging::write_entry(Ram& ram, HostPhys address, u64 value) {
    const u64 page = ram_page(address);
    if (address.value % sizeof value) return Refusal::Unaligned;
    const PageType type = type_of(ram, page);
    if (!is_table(type)) return Refusal::NotATable;
    const u64 offset = address.value - kRamBase;
    u64 old = 0;
    ram.read(offset, old);
    const Refusal refusal = get(ram, value, level_of(type));
    if (refusal != Refusal::None) return refusal;
    put(ram, old, level_of(type));
    ram.write_value(offset, value);
    return refusal;
}

// --- A table -----------------------------------------------------------------------------------------------------------------

/// Checks and counts all entries of a page that is already typed as a table. A refusal leaves nothing counted.
Refusal DirectPaging::fill(Ram& ram, u64 page, unsigned level) {
    const Table table = read_table(ram, page);
    for (unsigned i = 0; i < kEntries; ++i) {
        const Refusal refusal = get(ram, table[i], level);
        if (refusal == Refusal::None) continue;
        while (i-- > 0) put(ram, table[i], level);
        return refusal;
    }
    return Refusal::None;
}

Refusal DirectPaging::pin(Ram& ram, HostPhys table, u64 level) {
    const u64 page = ram_page(table);
    if (!aligned(table)) return Refusal::Unaligned;
    if (level > kRootLevel) return Refusal::NoLevel;
    if (!owns(page)) return Refusal::OutsideMemory;
    const PageType type = type_of(ram, page);
    if (type != PageType::None) return type == PageType::Writable ? Refusal::MappedWritable : Refusal::AlreadyTable;
    set(ram, page, table_of(static_cast<unsigned>(level)), 0);
    const Refusal refusal = fill(ram, page, static_cast<unsigned>(level));
    if (refusal != Refusal::None) set(ram, page, PageType::None, 0);
    return refusal;
}

Refusal DirectPaging::unpin(Ram& ram, HostPhys table) {
    const u64 page = ram_page(table);
    if (!aligned(table)) return Refusal::Unaligned;
    const PageType type = type_of(ram, page);
    if (!is_table(type)) return Refusal::NotATable;
    if (count_of(ram, page)) return Refusal::InUse;
    for (u64 entry : read_table(ram, page)) put(ram, entry, level_of(type));
    checked_ += kEntries;
    set(ram, page, PageType::None, 0);
    return Refusal::None;
}

/// Types a table after those that its entries point to. Each page is typed at most once, so this ends.
Refusal DirectPaging::start_table(Ram& ram, u64 page, unsigned level) {
    const PageType type = type_of(ram, page);
    if (!owns(page)) return Refusal::OutsideMemory;
    if (type == table_of(level)) return Refusal::None;
    if (type == PageType::Writable) return Refusal::MappedWritable;
    if (type != PageType::None) return Refusal::WrongLevel;
    set(ram, page, table_of(level), 0);
    if (level > 0)
        for (u64 entry : read_table(ram, page)) {
            if (!(entry & pte::V) || pte::is_leaf(entry)) continue;
            if (const Refusal refusal = start_table(ram, page_of(entry), level - 1); refusal != Refusal::None) return refusal;
        }
    return fill(ram, page, level);
}

Refusal DirectPaging::start(Ram& ram, HostPhys root) {
    forget(ram);
    Refusal refusal = aligned(root) ? start_table(ram, ram_page(root), kRootLevel) : Refusal::Unaligned;
    if (refusal == Refusal::None) refusal = load(ram, root, HostPhys(0));
    if (refusal != Refusal::None) forget(ram);
    return refusal;
}

void DirectPaging::forget(Ram& ram) {
    roots_ = {};
    stale_ = true;
    ram.fill(types_offset(), bytes(), 0);
}

Refusal DirectPaging::load(Ram& ram, HostPhys kernel, HostPhys user) {
    const std::array<u64, 2> wanted = {ram_page(kernel), user.value ? ram_page(user) : 0};
    const auto check_root = [&](HostPhys root) {
        if (!aligned(root)) return Refusal::Unaligned;
        return type_of(ram, ram_page(root)) == PageType::Table2 ? Refusal::None : Refusal::NotATable;
    };
    if (const Refusal refusal = check_root(kernel); refusal != Refusal::None) return refusal;
    if (const Refusal refusal = user.value ? check_root(user) : Refusal::None; refusal != Refusal::None) return refusal;
    const auto count = [&](const std::array<u64, 2>& roots, int by) {
        for (u64 page : roots)
            if (page) set(ram, page, PageType::Table2, count_of(ram, page) + static_cast<u32>(by));
    };
    count(wanted, 1);
    count(roots_, -1);
    roots_ = wanted;
    return Refusal::None;
}

Refusal DirectPaging::hold_writable(Ram& ram, HostPhys address) {
    const u64 page = ram_page(address);
    if (!owns(page)) return Refusal::OutsideMemory;
    if (is_table(type_of(ram, page))) return Refusal::WritableTable;
    set(ram, page, PageType::Writable, count_of(ram, page) + 1);
    return Refusal::None;
}

u64 DirectPaging::satp_for(Priv believed) const {
    const u64 root = roots_[believed == Priv::U], empty = info_ + info_pages(pages_) - 1;
    return set_field((kRamBase >> kPageShift) + (root ? root : empty), satp::MODE, satp::kSv39);
}

void DirectPaging::state(StateArchive& archive) {
    archive(roots_), archive(stale_), archive(checked_);
    for (u64& root : roots_)
        if (root && !owns(root)) archive.fail(), root = 0;
}

} // namespace trapeze::vmm
