#include "hypervisor-sim/table_tracker.hpp"

#include "emulator/devices/board.hpp"

#include <algorithm>

namespace trapeze::vmm {

namespace {

constexpr unsigned kIndexBits = 9, kAddressBits = 39;

u64 bytes_of_entry(unsigned level) { return kPageSize << (kIndexBits * level); }
u64 in_table(u64 va) { return va & ((u64{1} << kAddressBits) - 1); }
u64 ram_offset(u64 page) { return (page << kPageShift) - kRamBase; }
u64 ram_page(u64 page) { return page - (kRamBase >> kPageShift); }

} // namespace

const char* shadow_policy_name(ShadowPolicy policy) { return policy == ShadowPolicy::VirtualTlb ? "virtual-tlb" : "write-protect"; }

void TableTracker::watch(Ram& ram, u64 page, Table& table) {
    ram.mark_code(ram_offset(page), kPageSize); // the mark that makes RAM count a page's changes
    table.version = ram.code_version(ram_page(page));
}

bool TableTracker::add(Ram& ram, ShadowTables& shadow, HostPhys address, const ShadowKey& key, unsigned level, u64 va) {
    const u64 page = address.value >> kPageShift;
    const auto [at, is_new] = tables_.try_emplace(page);
    Table& table = at->second;
    if (is_new) watch(ram, page, table);
    table.stores = 0;
    const Use use{key, in_table(va) & ~(bytes_of_entry(level + 1) - 1), static_cast<u8>(level)};
    if (std::find(table.uses.begin(), table.uses.end(), use) != table.uses.end()) return is_new;
    if (table.uses.size() >= kMostUses) {
        const Use oldest = table.uses.front();
        shadow.drop_range(ram, oldest.key, oldest.va, bytes_of_entry(oldest.level + 1));
        table.uses.erase(table.uses.begin());
    }
    table.uses.push_back(use);
    return is_new;
}

/// Tables below a changed entry are no longer reached through it; those that nothing reaches are let go of.
void TableTracker::forget_below(const Use& use, u64 begin, u64 bytes) {
    for (auto at = tables_.begin(); at != tables_.end();) {
        std::erase_if(at->second.uses, [&](const Use& below) { return below.level < use.level && below.key == use.key && below.va - begin < bytes; });
        at = at->second.uses.empty() ? tables_.erase(at) : std::next(at);
    }
}

unsigned TableTracker::forget_table(Ram& ram, ShadowTables& shadow, const Table& table) {
    unsigned cleared = 0;
    for (const Use& use : table.uses) cleared += shadow.drop_range(ram, use.key, use.va, bytes_of_entry(use.level + 1));
    return cleared;
}

unsigned TableTracker::stored(Ram& ram, ShadowTables& shadow, HostPhys entry) {
    const u64 page = entry.value >> kPageShift;
    const auto at = tables_.find(page);
    if (at == tables_.end()) return 0;
    Table& table = at->second;
    watch(ram, page, table);
    if (++table.stores > kFlood) {
        const unsigned cleared = forget_table(ram, shadow, table);
        const std::vector<Use> uses = table.uses;
        tables_.erase(at);
        for (const Use& use : uses) forget_below(use, use.va, bytes_of_entry(use.level + 1));
        return cleared;
    }
    const u64 index = (entry.value & kPageMask) / sizeof(u64);
    unsigned cleared = 0;
    const std::vector<Use> uses = table.uses;
    for (const Use& use : uses) {
        const u64 bytes = bytes_of_entry(use.level), begin = use.va + index * bytes;
        cleared += shadow.drop_range(ram, use.key, begin, bytes);
        if (use.level > 0) forget_below(use, begin, bytes);
    }
    return cleared;
}

void TableTracker::marked(Ram& ram, HostPhys entry) {
    if (const auto at = tables_.find(entry.value >> kPageShift); at != tables_.end()) watch(ram, at->first, at->second);
}

unsigned TableTracker::check(Ram& ram, ShadowTables& shadow) {
    if (loaded_) {
        for (auto& [page, table] : tables_) watch(ram, page, table);
        loaded_ = false;
    }
    if (generation_ == ram.code_generation()) return 0;
    generation_ = ram.code_generation();
    unsigned cleared = 0;
    std::vector<u64> written;
    for (const auto& [page, table] : tables_)
        if (table.version != ram.code_version(ram_page(page))) written.push_back(page);
    for (const u64 page : written) {
        const auto at = tables_.find(page);
        if (at == tables_.end()) continue; // gone with one above it
        cleared += forget_table(ram, shadow, at->second);
        const std::vector<Use> uses = at->second.uses;
        tables_.erase(at);
        for (const Use& use : uses) forget_below(use, use.va, bytes_of_entry(use.level + 1));
    }
    return cleared;
}

} // namespace trapeze::vmm
