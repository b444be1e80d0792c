#include "hypervisor-sim/shadow_paging.hpp"

#include "emulator/cpu/state.hpp"
#include "emulator/devices/board.hpp"
#include "emulator/mem/page_walk.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace trapeze::vmm {

namespace {

constexpr unsigned kEntries = 512;
constexpr unsigned kGuestLevelShift = 8; // bits 9:8 of an entry are software's

u64 page_number(u64 ram_page) { return (kRamBase >> kPageShift) + ram_page; }
u64 ram_page_of(u64 entry) { return (pte::address(entry) >> kPageShift) - (kRamBase >> kPageShift); }
u64 pointer_to(u64 ram_page) { return page_number(ram_page) << 10 | pte::V; }
u64 index_at(u64 va, unsigned level) { return bits(va, kPageShift + 9 * level + 8, kPageShift + 9 * level); }
u64 entry_offset(u64 ram_page, u64 index) { return (ram_page << kPageShift) + index * sizeof(u64); }

u64 read_entry(const Ram& ram, u64 ram_page, u64 index) {
    u64 entry = 0;
    ram.read(entry_offset(ram_page, index), entry);
    return entry;
}

/// Clears the entries of a last-level table that came from guest pages of at least this level.
unsigned clear_entries(Ram& ram, u64 table, unsigned guest_level) {
    unsigned cleared = 0;
    for (u64 i = 0; i < kEntries; ++i) {
        const u64 entry = read_entry(ram, table, i);
        if (!entry || bits(entry, 9, 8) < guest_level) continue;
        ram.write_value(entry_offset(table, i), u64{0});
        ++cleared;
    }
    return cleared;
}

} // namespace

u64 ShadowTables::allocate(Ram& ram) {
    u64 page = 0;
    if (!free_.empty()) {
        page = free_.back();
        free_.pop_back();
        ram.fill(page << kPageShift, kPageSize, 0);
    } else if (fresh_ < pages_) {
        page = first_page_ + fresh_++;
    } else {
        return 0;
    }
    ++used_;
    return page;
}

void ShadowTables::release(Root& root) {
    root.tables.push_back(root.page);
    used_ -= root.tables.size();
    free_.insert(free_.end(), root.tables.begin(), root.tables.end());
    dropped_ = true;
}

void ShadowTables::drop(std::size_t index) {
    release(roots_[index]);
    roots_.erase(roots_.begin() + static_cast<std::ptrdiff_t>(index));
}

unsigned ShadowTables::drop_all() {
    const unsigned count = static_cast<unsigned>(roots_.size());
    for (Root& root : roots_) release(root);
    roots_.clear();
    return count;
}

unsigned ShadowTables::drop_translated() {
    unsigned count = 0;
    for (std::size_t i = roots_.size(); i-- > 0;)
        if (roots_[i].key.satp) drop(i), ++count;
    return count;
}

ShadowTables::Root& ShadowTables::root_of(Ram& ram, const ShadowKey& key) {
    const auto known = std::find_if(roots_.begin(), roots_.end(), [&](const Root& root) { return root.key == key; });
    if (known != roots_.end()) {
        known->last_used = ++clock_;
        return *known;
    }
    if (roots_.size() >= kMaxRoots) {
        const auto oldest = std::min_element(roots_.begin(), roots_.end(), [](const Root& a, const Root& b) { return a.last_used < b.last_used; });
        drop(static_cast<std::size_t>(oldest - roots_.begin()));
    }
    u64 page = allocate(ram);
    if (!page) {
        drop_all();
        exhausted_ = true;
        page = allocate(ram);
    }
    roots_.push_back({key, page, ++clock_, 0, {}});
    if (key.window && !open_window(ram, roots_.back())) { // kFewestPages makes the second attempt succeed
        drop_all();
        exhausted_ = true;
        roots_.push_back({key, allocate(ram), ++clock_, 0, {}});
        open_window(ram, roots_.back());
    }
    return roots_.back();
}

bool ShadowTables::open_window(Ram& ram, Root& root) {
    const u64 middle = allocate(ram);
    if (!middle) return false;
    root.tables.push_back(middle);
    ram.write_value(entry_offset(root.page, kEntries - 1), pointer_to(middle));
    ram.write_value(entry_offset(middle, kEntries - 1), pointer_to(root.key.window));
    return true;
}

u64 ShadowTables::select(Ram& ram, const ShadowKey& key) {
    return set_field(page_number(root_of(ram, key).page), satp::MODE, satp::kSv39);
}

void ShadowTables::install(Ram& ram, const ShadowKey& key, u64 va, HostPhys host_page, u64 permissions, unsigned guest_level) {
    for (int attempt = 0; attempt < 2; ++attempt) {
        Root& root = root_of(ram, key);
        u64 table = root.page;
        for (unsigned level = 2; level > 0 && table; --level) {
            const u64 index = index_at(va, level);
            const u64 entry = read_entry(ram, table, index);
            if (entry & pte::V) {
                table = ram_page_of(entry);
                continue;
            }
            const u64 next = allocate(ram);
            if (next) root.tables.push_back(next), ram.write_value(entry_offset(table, index), pointer_to(next));
            table = next;
        }
        if (!table) { // start anew with an empty view; kFewestPages makes the second attempt succeed
            drop_all();
            exhausted_ = true;
            continue;
        }
        const u64 leaf = host_page.value >> kPageShift << 10 | permissions | pte::V | pte::U | pte::A | pte::D |
                         static_cast<u64>(guest_level) << kGuestLevelShift;
        ram.write_value(entry_offset(table, index_at(va, 0)), leaf);
        root.largest_level = std::max(root.largest_level, guest_level);
        return;
    }
}

void ShadowTables::write_protect(Ram& ram, HostPhys page) {
    const u64 number = page.value >> kPageShift;
    for (const Root& root : roots_) {
        for (const u64 table : root.tables) { // those of the middle level hold no leaves
            std::array<u64, kEntries> entries;
            ram.read(table << kPageShift, std::span(reinterpret_cast<u8*>(entries.data()), sizeof entries));
            for (u64 i = 0; i < kEntries; ++i) {
                if (!(entries[i] & pte::W) || pte::address(entries[i]) >> kPageShift != number) continue;
                ram.write_value(entry_offset(table, i), entries[i] & ~pte::W);
                dropped_ = true;
            }
        }
    }
}

unsigned ShadowTables::drop_range(Ram& ram, const ShadowKey& key, u64 va, u64 bytes) {
    const auto root = std::find_if(roots_.begin(), roots_.end(), [&](const Root& one) { return one.key == key; });
    if (root == roots_.end()) return 0;
    constexpr u64 kTableBytes = kPageSize * kEntries;
    unsigned cleared = 0;
    constexpr u64 kAddresses = u64{1} << 39;
    const u64 end = root->key.window ? std::min(va + bytes, kWindow & (kAddresses - 1)) : va + bytes;
    for (u64 next; va < end; va = next) {
        next = std::min(end, (va & ~(kTableBytes - 1)) + kTableBytes);
        const u64 upper = read_entry(ram, root->page, index_at(va, 2));
        if (!(upper & pte::V)) {
            next = std::min(end, (va & ~(kTableBytes * kEntries - 1)) + kTableBytes * kEntries);
            continue;
        }
        const u64 middle = read_entry(ram, ram_page_of(upper), index_at(va, 1));
        if (!(middle & pte::V)) continue;
        for (u64 at = va; at < next; at += kPageSize) {
            if (!read_entry(ram, ram_page_of(middle), index_at(at, 0))) continue;
            ram.write_value(entry_offset(ram_page_of(middle), index_at(at, 0)), u64{0});
            ++cleared;
        }
    }
    dropped_ |= cleared != 0;
    return cleared;
}

unsigned ShadowTables::drop_address(Ram& ram, u64 va) {
    unsigned cleared = 0;
    for (const Root& root : roots_) {
        if (!root.key.satp || (root.key.window && va >= kWindow)) continue;
        const u64 upper = read_entry(ram, root.page, index_at(va, 2));
        if (!(upper & pte::V)) continue;
        const u64 middle_table = ram_page_of(upper);
        for (u64 i = 0; i < kEntries; ++i) { // the whole gigabyte when it may have come from a gigapage, else the two megabytes around va
            const bool own = i == index_at(va, 1);
            if (!own && root.largest_level < 2) continue;
            const u64 middle = read_entry(ram, middle_table, i);
            if (!(middle & pte::V)) continue;
            const u64 table = ram_page_of(middle);
            if (root.largest_level > 0) cleared += clear_entries(ram, table, own ? 1 : 2);
            if (!own || !read_entry(ram, table, index_at(va, 0))) continue;
            ram.write_value(entry_offset(table, index_at(va, 0)), u64{0});
            ++cleared;
        }
    }
    dropped_ |= cleared != 0;
    return cleared;
}

} // namespace trapeze::vmm
