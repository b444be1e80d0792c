// What a hart remembers to be fast: translations and decoded blocks. Never part of the architectural state: dropping all of it
// at any moment changes only speed, except for guests that rely on stale translations (which sessions avoid by dropping it at
// fixed positions).
#pragma once

#include "emulator/cpu/hart.hpp"

#include <array>
#include <cstring>
#include <optional>
#include <unordered_map>

namespace trapeze {

/// An instruction as the interpreter runs it. Register numbers are decoded; writes to x0 go to x[32].
struct DecodedInsn {
    const void* handler = nullptr; ///< label in the interpreter's loop
    i32 imm = 0;
    u32 word = 0;
    Op op = Op::Illegal;
    u16 offset = 0; ///< bytes from the start of its block
    u8 rd = 32, rs1 = 0, rs2 = 0, rs3 = 0, rm = 0, length = 4;
};

/// Straight-line code that ends at a jump, at the end of its page, or after kMaxInsns. Its instructions lie behind it in memory, and
/// behind them a sentinel.
struct Block {
    static constexpr unsigned kMaxInsns = 64;
    u64 ram_offset = 0;
    u64 pc = 1;          ///< the address and context in which it was last found: where both agree, it is what is there
    u64 context = 0;
    Block* next[2] = {}; ///< what followed last time, by whether the jump at its end was taken; null: nothing yet
    u32 version = 0;     ///< Ram::code_version of its page when decoded
    u16 count = 0;
    u16 bytes = 0;

    bool is_at(u64 address, u64 in_context) const { return pc == address && context == in_context; }
    const DecodedInsn* insns() const { return reinterpret_cast<const DecodedInsn*>(this + 1); }
};

/// The memory of blocks: they go all at once.
class BlockMemory {
  public:
    static constexpr std::size_t kChunkBytes = 256 << 10, kMostChunks = 64;
    /// A copy of the block and its instructions, the sentinel among them. Pre: !full().
    Block* add(const Block& block, std::span<const DecodedInsn> insns);
    bool full() const { return chunks_.size() == kMostChunks && kChunkBytes - used_ < kLargest; }
    void clear() { chunks_.clear(), used_ = kChunkBytes; }

  private:
    static constexpr std::size_t kLargest = sizeof(Block) + (Block::kMaxInsns + 1) * sizeof(DecodedInsn);
    std::vector<std::unique_ptr<std::byte[]>> chunks_;
    std::size_t used_ = kChunkBytes; ///< of the last chunk
};

/// Direct-mapped translation of data pages to host memory, for loads or for stores. It knows which entries it has filled: one that few
/// pages went through is emptied fast.
class Tlb {
  public:
    static constexpr std::size_t kEntries = 1024;
    /// An entry that maps nothing has a tag that its index cannot have.
    struct Entry {
        u64 tag = 0;
        u64 delta = 0; ///< host address = virtual address + delta
        /// An aligned access to bytes of this page.
        template <class T> bool hit(u64 va) const { return ((va ^ tag) & (~kPageMask | (sizeof(T) - 1))) == 0; }
        template <class T> T load(u64 va) const {
            T value;
            std::memcpy(&value, reinterpret_cast<const void*>(va + delta), sizeof value);
            return value;
        }
        template <class T> void store(u64 va, T value) const { std::memcpy(reinterpret_cast<void*>(va + delta), &value, sizeof value); }
    };

    Tlb();
    const Entry& entry(u64 va) const { return entries_[index_of(va)]; }
    /// The physical address, when the page is here.
    std::optional<u64> physical(u64 va) const {
        if (!entry(va).hit<u8>(va)) return std::nullopt;
        return physical_[index_of(va)] | (va & kPageMask);
    }
    void keep(u64 va, const u8* host, u64 physical);
    void drop(u64 va) { forget(index_of(va)); }
    void clear();

  private:
    static std::size_t index_of(u64 va) { return (va >> kPageShift) & (kEntries - 1); }
    void forget(std::size_t i) { entries_[i].tag = (i ^ 1) << kPageShift; }

    std::array<Entry, kEntries> entries_;
    std::array<u64, kEntries> physical_{}; ///< of the page
    std::array<u64, kEntries / 64> filled_{};
    bool empty_ = true;
};

class HartCache {
  public:
    static constexpr std::size_t kBanks = 16;
    static constexpr u64 kModeBits = 7; ///< of a fetch context; above them it counts epochs
    static constexpr std::size_t kFetchEntries = 64;
    static constexpr std::size_t kJumpEntries = 16384;

    struct Bank {
        Tlb load, store;
    };
    struct FetchEntry {
        u64 page = ~u64{0};     ///< virtual page number; ~0 maps nothing (fetch addresses are 52 bits of page at most)
        u64 ram_page = 0;
        u64 context = 0;
    };
    Block*& jump(u64 pc) { return jumps[pc >> 1 & (kJumpEntries - 1)]; }

    /// Bank for accesses in an effective mode: they differ in what they may touch. `status` is mstatus; `guest_status` vsstatus.
    static std::size_t bank_of(PrivMode mode, u64 status, u64 guest_status) {
        if (mode.priv == Priv::M) return 0;
        if (!mode.virt) return mode.priv == Priv::U ? 1 + bit(status, 19) : 3 + bit(status, 18) + 2 * bit(status, 19);
        const std::size_t readable = bit(status, 19) ? 2 : bit(guest_status, 19); // executable pages: in no stage, the first, both
        return mode.priv == Priv::U ? 7 + readable : 10 + bit(guest_status, 18) + 2 * readable;
    }
    Bank& bank(std::size_t index) {
        if (!banks[index]) banks[index] = std::make_unique<Bank>();
        return *banks[index];
    }
    void set_mode(PrivMode mode) { context = (context & ~kModeBits) | static_cast<u64>(mode.virt) << 2 | static_cast<u64>(mode.priv); }
    /// Forgets all fetch entries and where blocks were found.
    void next_epoch();
    /// What a fence of an address must look for. fenced_size: bytes that the same fence covers.
    void note_translated(u64 va, u64 fenced_size);
    void note_fetched(u64 va, u64 fenced_size);
    void flush_translations();
    void flush_page(u64 va);
    void flush_data();
    void flush_stores();
    void flush_blocks();
    void flush_all();
    /// Drops what changed in RAM or bus since the last run.
    void follow(const Bus& bus);
    void follow_ram(const Ram& ram);

    struct Span {
        u64 begin = 0, size = 0;
    };
    static constexpr std::size_t kSuperpages = 8;

    std::array<std::unique_ptr<Bank>, kBanks> banks; ///< null: not used yet
    std::array<Span, kSuperpages> superpages;        ///< that some translation came from, since all were flushed
    std::size_t superpage_count = 0;                 ///< more than kSuperpages: not all are listed
    std::array<u64, 16> fetched{};                   ///< a bit for each page number, folded, that code of this epoch came from
    std::array<FetchEntry, kFetchEntries> fetch{};
    std::vector<Block*> jumps;                ///< by address: the last block found there, or null
    std::unordered_map<u64, Block*> blocks;   ///< by RAM offset
    BlockMemory block_memory;
    u64 context = kModeBits + 1;              ///< what a fetch depends on besides its address: the epoch, and the mode that the hart runs in

    const Ram* ram = nullptr;
    u64 bus_base = 0, bus_offset = 0, bus_size = 0;
    u64 map_generation = 0, code_generation = 0, mark_generation = 0;
};

} // namespace trapeze
