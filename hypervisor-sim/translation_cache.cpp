#include "hypervisor-sim/translation_cache.hpp"

#include "emulator/devices/board.hpp"
#include "emulator/mem/page_walk.hpp"

#include <algorithm>

namespace trapeze::vmm {

namespace {
constexpr u64 kEmptyTag = ~u64{0}; // odd, so that no guest pc is it
}

// --- Pages -------------------------------------------------------------------------------------------------------------------

void TranslationCache::set_up(Ram& ram) {
    for (u32 space = 0; space < kSpaces; ++space) {
        const auto map = [&](u64 index, u64 page, u64 permissions) {
            const u64 leaf = ((kRamBase >> kPageShift) + page) << 10 | permissions | pte::V | pte::U | pte::A | pte::D;
            ram.write_value((leaf_table(space) << kPageShift) + index * sizeof(u64), leaf);
        };
        for (u64 i = 0; i < window::kCodePages; ++i) map(i, first_page_ + i, pte::X);
        for (u64 i = 0; i < window::kHashPages; ++i) map(window::kCodePages + i, leaf_table(space) + 1 + i, pte::R);
        map(window::kPages - 1, first_page_ + window::kCodePages, pte::R | pte::W);
        empty_table(ram, space);
    }
    clear(ram);
    counts = {};
}

void TranslationCache::empty_table(Ram& ram, u32 space) { ram.fill(hash_offset(space, 0), window::kHashPages * kPageSize, 0xff); }

void TranslationCache::write_words(Ram& ram, u32 word, std::span<const u32> words) const {
    ram.write(ram_offset(word), std::span(reinterpret_cast<const u8*>(words.data()), words.size_bytes()));
}

void TranslationCache::write_csr_slots(Ram& ram, const Slots& values) const {
    const auto csrs = std::span(values).subspan(slots::kPending);
    ram.write(csr_slots_offset() + slots::kPending * sizeof(u64), std::span(reinterpret_cast<const u8*>(csrs.data()), csrs.size_bytes()));
}

TranslationCache::Slots TranslationCache::read_slots(const Ram& ram) const {
    Slots values{};
    ram.read(csr_slots_offset(), std::span(reinterpret_cast<u8*>(values.data()), sizeof values));
    return values;
}

// --- Code spaces ---------------------------------------------------------------------------------------------------------------

u32 TranslationCache::fresh_space(Ram& ram, Priv priv, u64 satp) {
    const auto unused = std::find_if(spaces_.begin(), spaces_.end(), [](const Space& s) { return !s.used; });
    const auto oldest = std::min_element(spaces_.begin(), spaces_.end(), [](const Space& a, const Space& b) { return a.last_used < b.last_used; });
    const u32 index = static_cast<u32>((unused != spaces_.end() ? unused : oldest) - spaces_.begin());
    if (spaces_[index].used) drop_space(ram, index);
    spaces_[index] = {priv, true, clock_, {{satp, 0}}, {}};
    return index;
}

void TranslationCache::fence(std::optional<u64> va) {
    constexpr unsigned kGigabyte = 30; // the largest page
    for (Space& space : spaces_) {
        const bool concerned = !va || std::any_of(space.pages.begin(), space.pages.end(), [&](const CodePage& page) { return page.va >> kGigabyte == *va >> kGigabyte; });
        if (!concerned) continue;
        for (Member& member : space.members) member.verified = 0;
    }
}

void TranslationCache::drop_page(Ram& ram, u32 space, const CodePage& page) {
    for (u32 i = 0; i < blocks_.size(); ++i) {
        const CodeBlock& block = blocks_[i];
        if (!block.alive || block.space != space) continue;
        const u64 first = block.pc & ~kPageMask, last = (block.pc + block.bytes - 1) & ~kPageMask;
        if (first == page.va || last == page.va) drop_block(ram, i);
    }
    std::erase(spaces_[space].pages, page);
    for (Member& member : spaces_[space].members) member.verified = 0;
}

void TranslationCache::drop_space(Ram& ram, u32 space) {
    for (u32 i = 0; i < blocks_.size(); ++i)
        if (blocks_[i].alive && blocks_[i].space == space) drop_block(ram, i);
    spaces_[space] = {};
    empty_table(ram, space);
}

// --- Blocks ------------------------------------------------------------------------------------------------------------------

u32 TranslationCache::find(u32 space, u64 pc) const {
    const auto found = by_pc_[space].find(pc);
    return found == by_pc_[space].end() ? kNoBlock : found->second;
}

u32 TranslationCache::add(Ram& ram, u32 space, const Translation& translation, std::span<const CodePage> pages, std::span<const u8> source) {
    if (notes_.size() + translation.words.size() > window::kCodeWords) {
        const Space kept = spaces_[space];
        clear(ram);
        ++counts.emptied;
        spaces_[space] = {kept.priv, true, kept.last_used, {}, {}};
        for (const Member& member : kept.members) spaces_[space].members.push_back({member.satp, 0});
    }
    CodeBlock block;
    block.pc = translation.pc;
    block.physical = pages.front().physical | (translation.pc & kPageMask);
    block.second_physical = pages.size() > 1 ? pages[1].physical : ~u64{0};
    block.first = static_cast<u32>(notes_.size()), block.words = static_cast<u32>(translation.words.size());
    block.first_exit = static_cast<u32>(exits_.size()), block.exits = static_cast<u32>(translation.exits.size());
    block.source = static_cast<u32>(source_.size());
    block.bytes = static_cast<u16>(translation.guest_bytes), block.instructions = static_cast<u16>(translation.guest_instructions);
    block.space = space;
    const u32 index = static_cast<u32>(blocks_.size());
    blocks_.push_back(block);
    write_words(ram, block.first, translation.words);
    notes_.insert(notes_.end(), translation.notes.begin(), translation.notes.end());
    for (const TranslationExit& exit : translation.exits) exits_.push_back({exit.target, block.first + exit.word, kNoBlock});
    source_.insert(source_.end(), source.begin(), source.end());
    by_pc_[space][block.pc] = index;
    Space& home = spaces_[space];
    for (const CodePage& page : pages) {
        ++code_pages_[page.physical >> kPageShift];
        if (std::find(home.pages.begin(), home.pages.end(), page) != home.pages.end()) continue;
        // Who has seen all pages so far has seen this one, as it is in the tables that are in force; the others have not.
        home.pages.push_back(page);
    }
    counts.blocks += 1, counts.instructions += block.instructions, counts.words += block.words;
    return index;
}

std::optional<u64> TranslationCache::boundary(u32 index, u32 space, u64 pc) const {
    if (index >= blocks_.size()) return std::nullopt;
    const CodeBlock& block = blocks_[index];
    if (!block.alive || block.space != space || pc - block.pc >= block.bytes) return std::nullopt;
    for (u32 word = block.first; word < block.first + block.words; ++word)
        if (notes_[word].kind & WordNote::Boundary && block.pc + 2 * u64{notes_[word].at} == pc) return address(word);
    return std::nullopt;
}

void TranslationCache::link(Ram& ram, u32 exit, u32 block) {
    CodeExit& from = exits_[exit];
    if (from.linked != kNoBlock) return;
    from.linked = block;
    write_words(ram, from.word, linked_exit(address(from.word), address(blocks_[block].first)));
    ++counts.chained;
}

void TranslationCache::fill_table(Ram& ram, u32 block) {
    const CodeBlock& b = blocks_[block];
    const u64 entry[2] = {b.pc, address(b.first)};
    ram.write_value(hash_offset(b.space, window::hash_index(b.pc)), entry);
}

void TranslationCache::drop_block(Ram& ram, u32 index) {
    CodeBlock& block = blocks_[index];
    block.alive = 0;
    ++counts.invalidated;
    if (const auto known = by_pc_[block.space].find(block.pc); known != by_pc_[block.space].end() && known->second == index) by_pc_[block.space].erase(known);
    for (const u64 page : {block.physical >> kPageShift, block.second_physical >> kPageShift}) {
        const auto count = code_pages_.find(page);
        if (count != code_pages_.end() && --count->second == 0) code_pages_.erase(count);
    }
    for (CodeExit& exit : exits_) {
        if (exit.linked != index) continue;
        exit.linked = kNoBlock;
        write_words(ram, exit.word, unlinked_exit());
    }
    const u64 at = hash_offset(block.space, window::hash_index(block.pc));
    u64 tag = 0;
    ram.read(at, tag);
    if (tag == block.pc) ram.write_value(at, kEmptyTag);
}

std::array<TranslationCache::Piece, 2> TranslationCache::pieces(const CodeBlock& block) {
    const u64 head = std::min<u64>(block.bytes, kPageSize - (block.physical & kPageMask));
    return {Piece{block.physical, head}, Piece{block.second_physical, block.bytes - head}};
}

void TranslationCache::watch_source(Ram& ram, u32 index, u64 offset) {
    for (const Piece& piece : pieces(blocks_[index])) {
        if (!piece.bytes) continue;
        ram.mark_code(piece.physical + offset, piece.bytes);
        // What was written before and not looked at yet is still to be looked at.
        seen_.by_page.try_emplace(piece.physical >> kPageShift, ram.code_version((piece.physical + offset) >> kPageShift));
    }
}

unsigned TranslationCache::verify_sources(Ram& ram, u64 offset) {
    std::vector<u64> written;
    for (const auto& [page, count] : code_pages_) {
        const auto seen = seen_.by_page.find(page);
        if (seen == seen_.by_page.end() || seen->second != ram.code_version(((page << kPageShift) + offset) >> kPageShift)) written.push_back(page);
    }
    if (written.empty()) return 0;
    const auto concerned = [&](const CodeBlock& block) {
        return block.alive && std::any_of(written.begin(), written.end(), [&](u64 page) { return page == block.physical >> kPageShift || page == block.second_physical >> kPageShift; });
    };
    unsigned dropped = 0;
    std::vector<u8> now;
    for (u32 i = 0; i < blocks_.size(); ++i) {
        const CodeBlock& block = blocks_[i];
        if (!concerned(block)) continue;
        now.clear();
        for (const Piece& piece : pieces(block)) {
            if (!piece.bytes) continue;
            now.resize(now.size() + piece.bytes);
            ram.read(piece.physical + offset, std::span(now).last(piece.bytes));
        }
        const auto then = source(block);
        if (std::equal(now.begin(), now.end(), then.begin(), then.end())) continue;
        drop_block(ram, i);
        ++dropped;
    }
    for (const u64 page : written) seen_.by_page.erase(page);
    for (u32 i = 0; i < blocks_.size(); ++i)
        if (concerned(blocks_[i])) watch_source(ram, i, offset);
    return dropped;
}

unsigned TranslationCache::invalidate(Ram& ram, u64 physical, u64 bytes) {
    unsigned dropped = 0;
    const auto touches = [&](u64 begin, u64 length) { return begin < physical + bytes && physical < begin + length; };
    if (!has_code(physical) && !has_code(physical + bytes - 1)) return 0;
    for (u32 i = 0; i < blocks_.size(); ++i) {
        const CodeBlock& block = blocks_[i];
        if (!block.alive) continue;
        const auto parts = pieces(block);
        if (std::none_of(parts.begin(), parts.end(), [&](const Piece& piece) { return piece.bytes && touches(piece.physical, piece.bytes); })) continue;
        drop_block(ram, i);
        ++dropped;
    }
    return dropped;
}

/// Drops everything. Word 0 stays: the ecall for instructions that are in no block.
unsigned TranslationCache::clear(Ram& ram) {
    const unsigned dropped = static_cast<unsigned>(std::count_if(blocks_.begin(), blocks_.end(), [](const CodeBlock& b) { return b.alive; }));
    counts.invalidated += dropped;
    for (u32 space = 0; space < kSpaces; ++space) {
        if (spaces_[space].used) empty_table(ram, space);
        spaces_[space] = {};
        by_pc_[space].clear();
    }
    blocks_.clear(), exits_.clear(), source_.clear(), code_pages_.clear(), seen_.by_page.clear();
    WordNote outside;
    outside.kind = WordNote::Outside;
    notes_.assign(1, outside);
    const u32 word[1] = {call_out_word()};
    write_words(ram, 0, word);
    cursor.block = cursor.exit = kNoBlock, cursor.fill = false;
    return dropped;
}

std::optional<u32> TranslationCache::word_at(u64 va) const {
    const u64 word = (va - window::kBegin) / 4;
    return va >= window::kBegin && word < notes_.size() ? std::optional(static_cast<u32>(word)) : std::nullopt;
}

u32 TranslationCache::block_of(u32 word) const {
    const auto after = std::upper_bound(blocks_.begin(), blocks_.end(), word, [](u32 w, const CodeBlock& block) { return w < block.first; });
    return after == blocks_.begin() ? kNoBlock : static_cast<u32>(after - blocks_.begin() - 1);
}

// --- Adaptation ----------------------------------------------------------------------------------------------------------------

HotAccess& TranslationCache::hot(u64 physical) {
    auto at = std::lower_bound(hot_.begin(), hot_.end(), physical, [](const HotAccess& h, u64 p) { return h.physical < p; });
    if (at != hot_.end() && at->physical == physical) return *at;
    if (hot_.size() >= kMostHot) {
        // What did not become a call-out is forgotten; when all did, everything is.
        std::erase_if(hot_, [](const HotAccess& h) { return !h.call_out; });
        if (hot_.size() >= kMostHot) hot_.clear();
        at = std::lower_bound(hot_.begin(), hot_.end(), physical, [](const HotAccess& h, u64 p) { return h.physical < p; });
    }
    HotAccess fresh;
    fresh.physical = physical;
    return *hot_.insert(at, fresh);
}

bool TranslationCache::is_call_out(u64 physical) const {
    const auto at = std::lower_bound(hot_.begin(), hot_.end(), physical, [](const HotAccess& h, u64 p) { return h.physical < p; });
    return at != hot_.end() && at->physical == physical && at->call_out;
}

// --- Saving and loading ----------------------------------------------------------------------------------------------------------

void TranslationCache::index_blocks() {
    for (auto& map : by_pc_) map.clear();
    code_pages_.clear(), seen_.by_page.clear();
    for (u32 i = 0; i < blocks_.size(); ++i) {
        const CodeBlock& block = blocks_[i];
        if (!block.alive) continue;
        by_pc_[block.space][block.pc] = i;
        ++code_pages_[block.physical >> kPageShift];
        if (block.second_physical != ~u64{0}) ++code_pages_[block.second_physical >> kPageShift];
    }
}

void TranslationCache::state(StateArchive& archive, u64 guest_pages) {
    u64 first = first_page_;
    archive(first);
    if (first != first_page_) return archive.fail();
    archive(clock_);
    for (Space& space : spaces_) {
        archive(space.priv), archive(space.used), archive(space.last_used), archive(space.members), archive(space.pages);
        if (space.priv != Priv::S && space.priv != Priv::M) archive.fail();
        for (const Member& member : space.members) if (member.verified > space.pages.size()) archive.fail();
    }
    archive(blocks_), archive(exits_), archive(notes_), archive(source_), archive(hot_), archive(counts);
    archive(cursor.space), archive(cursor.block), archive(cursor.exit), archive(cursor.fill), archive(cursor.inside);
    if (!archive.loading()) return;
    const auto inside = [](u64 begin, u64 count, u64 all) { return begin <= all && count <= all - begin; };
    const auto in_guest = [&](u64 physical) { return physical - kRamBase < guest_pages << kPageShift; };
    bool right = !notes_.empty() && notes_.size() <= window::kCodeWords && cursor.space < kSpaces && hot_.size() <= kMostHot &&
                 (cursor.exit == kNoBlock || cursor.exit < exits_.size()) && std::is_sorted(hot_.begin(), hot_.end(), [](const HotAccess& a, const HotAccess& b) { return a.physical < b.physical; });
    u32 next = 1;
    for (const CodeBlock& block : blocks_) {
        right = right && block.first == next && block.words > 0 && inside(block.first, block.words, notes_.size()) && inside(block.first_exit, block.exits, exits_.size()) &&
                inside(block.source, block.bytes, source_.size()) && block.bytes > 0 && block.space < kSpaces && in_guest(block.physical) &&
                (block.second_physical == ~u64{0} ? (block.physical & kPageMask) + block.bytes <= kPageSize : in_guest(block.second_physical));
        for (u32 i = 0; right && i < block.words; ++i)
            right = !(notes_[block.first + i].kind & WordNote::Exit) || notes_[block.first + i].exit < block.exits;
        if (!right) break;
        next = block.first + block.words;
    }
    right = right && next == notes_.size();
    for (const CodeExit& exit : exits_)
        right = right && inside(exit.word, kExitWords, notes_.size()) && (exit.linked == kNoBlock || exit.linked < blocks_.size());
    for (const Space& space : spaces_) right = right && space.members.size() <= kMostMembers;
    if (right && !archive.failed()) return index_blocks();
    archive.fail();
    const u64 place = first_page_;
    *this = TranslationCache(place);
    notes_.resize(1);
}

} // namespace trapeze::vmm
