// The translation cache: blocks of translated guest kernel code in pages of the machine's RAM that only the VMM has, the links between
// them, the tables of indirect targets, and the virtual CSR page.
//
// A block is right for one mapping of guest virtual to guest physical pages. A code space is such a mapping as far as code was
// translated from it: address spaces that map all those pages alike share it, with its blocks, links and table, however often the guest
// switches between them. Only after a fence does an address space have to show again that it still does.
//
// A value: holds indices and page numbers, never pointers; the code itself is in the RAM.
#pragma once

#include "emulator/base/archive.hpp"
#include "emulator/mem/ram.hpp"
#include "hypervisor-sim/translator.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace trapeze::vmm {

inline constexpr u32 kNoBlock = ~u32{0};

/// One block. Links, notes and source lie in lists of the cache.
struct CodeBlock {
    u64 pc = 0;              ///< guest virtual address of its first instruction
    u64 physical = 0;        ///< guest physical
    u64 second_physical = 0; ///< of the page that its last instruction reaches into, or ~0
    u32 first = 0, words = 0;
    u32 first_exit = 0, exits = 0;
    u32 source = 0; ///< of the guest's bytes, in the list of them
    u16 bytes = 0, instructions = 0;
    u32 space = 0;
    u32 alive = 1;
    bool operator==(const CodeBlock&) const = default;
};
struct CodeExit {
    u64 target = 0; ///< guest pc
    u32 word = 0;   ///< of the cache
    u32 linked = kNoBlock;
    bool operator==(const CodeExit&) const = default;
};
/// A page that code was translated from.
struct CodePage {
    u64 va = 0, physical = 0;
    bool operator==(const CodePage&) const = default;
};
/// What is counted; readers show it.
struct TranslationCounts {
    u64 blocks = 0, instructions = 0, words = 0; ///< translated so far
    u64 dispatches = 0;   ///< exits because a way out of a block led nowhere yet
    u64 chained = 0;      ///< ways out that lead to a block
    u64 misses = 0;       ///< indirect jumps whose target was not in the table
    u64 call_outs = 0;
    u64 adapted = 0;      ///< loads and stores made call-outs, or plain again
    u64 invalidated = 0;  ///< blocks
    u64 emptied = 0;      ///< times that the whole cache was dropped
    bool operator==(const TranslationCounts&) const = default;
};
/// A load or store that often needs the VMM.
struct HotAccess {
    u64 physical = 0; ///< of the instruction
    u32 hits = 0;     ///< times that it faulted for the VMM to act
    u32 quiet = 0;    ///< as a call-out: times in a row that it need not have been one
    u32 limit = 4;    ///< hits that make it a call-out
    u32 call_out = 0;
    bool operator==(const HotAccess&) const = default;
};

class TranslationCache {
  public:
    static constexpr u64 kSpaces = 8;
    static constexpr std::size_t kMostMembers = 64, kMostHot = 1024;
    /// Pages of RAM that a cache needs.
    static constexpr u64 kPages = window::kCodePages + 1 + kSpaces * (1 + window::kHashPages);

    TranslationCache() = default;
    explicit TranslationCache(u64 first_page) : first_page_(first_page) {}

    // --- Code spaces
    struct Member {
        u64 satp = 0;
        u64 verified = 0; ///< of the space's pages, so many from the first are known to be mapped alike
        bool operator==(const Member&) const = default;
    };
    struct Space {
        Priv priv = Priv::M;
        bool used = false;
        u64 last_used = 0;
        std::vector<Member> members;
        std::vector<CodePage> pages;
        bool operator==(const Space&) const = default;
    };
    const std::vector<Space>& spaces() const { return spaces_; }
    /// The space for the guest's tables. `mapped(page)` says whether they map a page as it was when code was translated from it; it is asked
    /// about what is not known. `asked` counts the questions.
    template <class Mapped> u32 choose(Ram& ram, Priv priv, u64 satp, u64& asked, Mapped mapped);
    /// The last-level shadow table that maps the window for a space: a RAM page number.
    u64 leaf_table(u32 space) const { return first_page_ + window::kCodePages + 1 + space * (1 + window::kHashPages); }
    /// The guest said that its mapping of `va` changed; of everything, without one.
    void fence(std::optional<u64> va);

    // --- Blocks
    u32 find(u32 space, u64 pc) const;
    /// Adds a translated block. `pages` are those of its code; `source` its bytes. The whole cache is dropped when there is no room.
    u32 add(Ram& ram, u32 space, const Translation& translation, std::span<const CodePage> pages, std::span<const u8> source);
    u64 entry(u32 block) const { return address(blocks_[block].first + 1); }
    /// Where an instruction of this block begins, in the cache.
    std::optional<u64> boundary(u32 block, u32 space, u64 pc) const;
    /// Entry for an instruction that is in no block: an ecall that stands for it.
    u64 outside() const { return address(0); }
    /// Makes an exit lead to a block.
    void link(Ram& ram, u32 exit, u32 block);
    void fill_table(Ram& ram, u32 block);
    /// Drops blocks whose code lies in these guest physical bytes. How many.
    unsigned invalidate(Ram& ram, u64 physical, u64 bytes);
    /// Drops blocks whose code is not what was translated. `offset` is that of guest physical 0 in the RAM.
    unsigned verify_sources(Ram& ram, u64 offset);
    /// To be called for a block that was added: the RAM tells when its code is written to.
    void watch_source(Ram& ram, u32 block, u64 offset);
    unsigned clear(Ram& ram);
    bool has_code(u64 physical) const { return code_pages_.contains(physical >> kPageShift); }
    /// For listings.
    const std::vector<CodeBlock>& blocks() const { return blocks_; }
    const CodeExit& exit(u32 index) const { return exits_[index]; }
    const WordNote& note(u32 word) const { return notes_[word]; }
    std::span<const u8> source(const CodeBlock& block) const { return std::span(source_).subspan(block.source, block.bytes); }
    u64 address(u32 word) const { return window::kBegin + 4 * u64{word}; }
    u64 ram_offset(u32 word) const { return (first_page_ << kPageShift) + 4 * u64{word}; }

    // --- Where the hart is
    /// The word at an address; nullopt outside the code.
    std::optional<u32> word_at(u64 va) const;
    u32 block_of(u32 word) const;

    // --- The virtual CSR page
    using Slots = std::array<u64, slots::kCount>;
    void write_csr_slots(Ram& ram, const Slots& values) const;
    Slots read_slots(const Ram& ram) const;

    // --- Adaptation
    HotAccess& hot(u64 physical);
    bool is_call_out(u64 physical) const;

    TranslationCounts counts;
    u64 bytes_used() const { return notes_.size() * 4; }
    /// What the last exit left to do at the next entry.
    struct Cursor {
        u32 space = 0;
        u32 block = kNoBlock; ///< that the guest was in
        u32 exit = kNoBlock;  ///< to be linked
        bool fill = false;    ///< its target belongs into the table
        bool inside = false;  ///< the hart runs translated code
        bool operator==(const Cursor&) const = default;
    } cursor;

    bool operator==(const TranslationCache&) const = default;
    /// Saves or loads; loading fails for what leads outside the lists.
    void state(StateArchive& archive, u64 guest_pages);
    /// Makes the pages that do not change: the window's tables. Once, before anything else.
    void set_up(Ram& ram);

  private:
    u64 csr_slots_offset() const { return ((first_page_ + window::kCodePages) << kPageShift) + kPageSize / 2; }
    u64 hash_offset(u32 space, u64 index) const { return ((leaf_table(space) + 1) << kPageShift) + index * 16; }
    void empty_table(Ram& ram, u32 space);
    void drop_block(Ram& ram, u32 block);
    void drop_page(Ram& ram, u32 space, const CodePage& page);
    void drop_space(Ram& ram, u32 space);
    u32 fresh_space(Ram& ram, Priv priv, u64 satp);
    void write_words(Ram& ram, u32 word, std::span<const u32> words) const;
    void index_blocks();
    /// The part of a block's code that lies in its first page, and the rest.
    struct Piece {
        u64 physical = 0, bytes = 0;
    };
    static std::array<Piece, 2> pieces(const CodeBlock& block);
    /// Version of its code that the RAM had for a page when all blocks of it were right. Only saves looking: dropping it changes nothing.
    struct SeenVersions {
        std::unordered_map<u64, u32> by_page;
        bool operator==(const SeenVersions&) const { return true; }
    };

    u64 first_page_ = 0;
    u64 clock_ = 0;
    std::vector<Space> spaces_ = std::vector<Space>(kSpaces);
    std::vector<CodeBlock> blocks_; ///< in order of their words
    std::vector<CodeExit> exits_;
    std::vector<WordNote> notes_;
    std::vector<u8> source_;
    std::vector<HotAccess> hot_; ///< in order of their addresses
    // Derived from the blocks that are alive:
    std::vector<std::unordered_map<u64, u32>> by_pc_ = std::vector<std::unordered_map<u64, u32>>(kSpaces); ///< by space
    std::unordered_map<u64, u32> code_pages_; ///< guest page numbers, and how many blocks are there
    SeenVersions seen_;
};

template <class Mapped> u32 TranslationCache::choose(Ram& ram, Priv priv, u64 satp, u64& asked, Mapped mapped) {
    const auto member_of = [&](Space& space) {
        return std::find_if(space.members.begin(), space.members.end(), [&](const Member& m) { return m.satp == satp; });
    };
    ++clock_;
    // The space that these tables are known in, and then all others.
    for (const bool known : {true, false}) {
        for (u32 index = 0; index < kSpaces; ++index) {
            Space& space = spaces_[index];
            if (!space.used || space.priv != priv) continue;
            auto member = member_of(space);
            if ((member != space.members.end()) != known) continue;
            std::vector<CodePage> others;
            for (u64 i = known ? member->verified : 0; i < space.pages.size(); ++i) {
                ++asked;
                if (!mapped(space.pages[i])) others.push_back(space.pages[i]);
                if (others.size() > (known ? space.pages.size() / 4 : 0)) break;
            }
            const bool alone = known && space.members.size() == 1;
            if (!others.empty() && !alone && others.size() > (known ? space.pages.size() / 4 : 0)) {
                if (known) space.members.erase(member);
                continue;
            }
            if (alone && others.size() > space.pages.size() / 4) { // all of it changed
                drop_space(ram, index);
                continue;
            }
            for (const CodePage& page : others) drop_page(ram, index, page);
            if (!known) {
                if (space.members.size() >= kMostMembers) space.members.erase(space.members.begin());
                space.members.push_back({satp, 0});
            }
            member = member_of(space);
            member->verified = space.pages.size();
            space.last_used = clock_;
            return index;
        }
    }
    return fresh_space(ram, priv, satp);
}

} // namespace trapeze::vmm
