#include "emulator/cpu/hart_cache.hpp"

#include <algorithm>

namespace trapeze {

// --- The TLB ----------------------------------------------------------------------------------------------------------------

Tlb::Tlb() {
    for (std::size_t i = 0; i < kEntries; ++i) forget(i);
}

void Tlb::keep(u64 va, const u8* host, u64 physical) {
    const u64 page = va & ~kPageMask;
    const std::size_t i = index_of(va);
    entries_[i] = {page, reinterpret_cast<u64>(host) - page};
    physical_[i] = physical & ~kPageMask;
    filled_[i / 64] |= u64{1} << i % 64;
    empty_ = false;
}

void Tlb::clear() {
    if (empty_) return;
    for (std::size_t word = 0; word < filled_.size(); ++word) {
        for (u64 rest = filled_[word]; rest; rest &= rest - 1) forget(word * 64 + static_cast<std::size_t>(std::countr_zero(rest)));
        filled_[word] = 0;
    }
    empty_ = true;
}

void HartCache::flush_data() {
    for (const auto& bank : banks)
        if (bank) bank->load.clear(), bank->store.clear();
}
void HartCache::flush_stores() {
    for (const auto& bank : banks)
        if (bank) bank->store.clear();
}

void HartCache::note_translated(u64 va, u64 fenced_size) {
    if (fenced_size <= kPageSize) return;
    const u64 begin = va & ~(fenced_size - 1);
    const auto known = superpages.begin() + static_cast<std::ptrdiff_t>(std::min(superpage_count, kSuperpages));
    if (std::any_of(superpages.begin(), known, [&](const Span& span) { return span.begin == begin && span.size == fenced_size; })) return;
    if (superpage_count < kSuperpages) superpages[superpage_count] = {begin, fenced_size};
    if (superpage_count <= kSuperpages) ++superpage_count;
}
void HartCache::note_fetched(u64 va, u64 fenced_size) {
    note_translated(va, fenced_size);
    const u64 page = va >> kPageShift;
    fetched[page / 64 % fetched.size()] |= u64{1} << page % 64;
}

void HartCache::flush_translations() {
    flush_data();
    next_epoch();
    superpage_count = 0;
}
void HartCache::flush_page(u64 va) {
    const auto known = superpages.begin() + static_cast<std::ptrdiff_t>(std::min(superpage_count, kSuperpages));
    const bool in_superpage = superpage_count > kSuperpages || std::any_of(superpages.begin(), known, [va](const Span& span) { return va - span.begin < span.size; });
    if (in_superpage) return flush_translations();
    for (const auto& bank : banks)
        if (bank) bank->load.drop(va), bank->store.drop(va);
    const u64 page = va >> kPageShift;
    if (fetched[page / 64 % fetched.size()] >> page % 64 & 1) next_epoch();
}

// --- Blocks -----------------------------------------------------------------------------------------------------------------

Block* BlockMemory::add(const Block& block, std::span<const DecodedInsn> insns) {
    const std::size_t bytes = sizeof block + insns.size_bytes();
    if (kChunkBytes - used_ < bytes) chunks_.push_back(std::make_unique_for_overwrite<std::byte[]>(kChunkBytes)), used_ = 0;
    std::byte* const at = chunks_.back().get() + used_;
    used_ += bytes;
    std::uninitialized_copy(insns.begin(), insns.end(), reinterpret_cast<DecodedInsn*>(at + sizeof block));
    return new (at) Block(block);
}

void HartCache::next_epoch() {
    context += kModeBits + 1;
    fetched.fill(0);
}
void HartCache::flush_blocks() {
    blocks.clear();
    block_memory.clear();
    std::fill(jumps.begin(), jumps.end(), nullptr);
    next_epoch();
}
void HartCache::flush_all() {
    flush_blocks();
    flush_translations();
}

// --- What changes behind the hart's back --------------------------------------------------------------------------------------

void HartCache::follow(const Bus& bus) {
    if (ram != &bus.ram || bus_base != bus.base || bus_offset != bus.offset || bus_size != bus.size) {
        jumps.resize(kJumpEntries);
        flush_all();
        ram = &bus.ram, bus_base = bus.base, bus_offset = bus.offset, bus_size = bus.size;
        map_generation = bus.ram.map_generation(), code_generation = bus.ram.code_generation();
        mark_generation = bus.ram.mark_generation();
    }
    follow_ram(bus.ram);
}
void HartCache::follow_ram(const Ram& now) {
    if (map_generation != now.map_generation()) {
        flush_data();
        map_generation = now.map_generation();
    }
    if (mark_generation != now.mark_generation()) {
        flush_stores();
        mark_generation = now.mark_generation();
    }
    if (code_generation != now.code_generation()) {
        next_epoch(); // blocks are looked for in the table again, which looks at versions
        code_generation = now.code_generation();
    }
}

} // namespace trapeze
