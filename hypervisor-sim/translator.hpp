// The translator: guest kernel code becomes code that the real hart may run in U-mode. It changes nothing: instructions in, words and
// notes about them out. Most instructions are copied. What depends on its own address is given the guest's; what is sensitive is
// replaced by loads and stores on the virtual CSR page where that is simple and right, else by a call-out: an ecall that the VMM
// finds by its address (Adams and Agesen, "A comparison of software and hardware techniques for x86 virtualization", 2006).
//
// Translated code has no register of its own. It borrows some: their values go to the virtual CSR page, which negative offsets from
// x0 reach. A note at each word says which ones are there, and which guest instruction comes next, so that the guest's state is known
// exactly wherever the hart stops. An instruction's last visible effect is one word; before it the instruction has not begun.
//
// Usage: Translator t(pc, priv); while (t.add(instruction, call_out)) ...; Translation block = t.finish();
#pragma once

#include "emulator/isa/isa.hpp"

#include <array>
#include <optional>
#include <vector>

namespace trapeze::vmm {

/// Where the cache lies in the guest kernel's views of memory: the last 2 MiB of the address space. Code may only be executed there, the
/// table of indirect targets only read.
namespace window {
inline constexpr u64 kPages = 512, kHashPages = 16, kCodePages = kPages - kHashPages - 1;
inline constexpr u64 kBegin = ~u64{0} - kPages * kPageSize + 1;
inline constexpr u64 kHash = kBegin + kCodePages * kPageSize;
inline constexpr u64 kCsrPage = kHash + kHashPages * kPageSize;
inline constexpr u64 kSlots = kCsrPage + kPageSize / 2; ///< what a 12-bit offset from x0 reaches: 256 slots of 8 bytes
inline constexpr u64 kHashEntries = kHashPages * kPageSize / 16; ///< of a guest pc and an address in the cache
inline constexpr u64 kCodeWords = kCodePages * kPageSize / 4;
/// The entry for a guest pc in the table of indirect targets.
constexpr u64 hash_index(u64 pc) { return pc >> 1 & (kHashEntries - 1); }
} // namespace window

/// Slots of the virtual CSR page: 0 to 31 keep the registers that translated code has borrowed.
namespace slots {
inline constexpr unsigned kPending = 32; ///< mstatus.SIE when an interrupt waits for it to be set, else 0
inline constexpr unsigned kFirstCsr = 33;
/// CSRs that translated code reads in place.
inline constexpr Csr kCsrs[] = {Csr::sstatus, Csr::sie,   Csr::stvec, Csr::sscratch, Csr::sepc, Csr::scause,  Csr::stval, Csr::mscratch,
                                Csr::mepc,    Csr::mcause, Csr::mtval, Csr::mtvec,    Csr::mie,  Csr::medeleg, Csr::mideleg, Csr::mhartid};
inline constexpr unsigned kCount = kFirstCsr + std::size(kCsrs);
/// True for those that it also writes in place, besides the SIE bit of sstatus: nothing follows from their value.
constexpr bool written(Csr csr) {
    return csr == Csr::sscratch || csr == Csr::sepc || csr == Csr::scause || csr == Csr::stval || csr == Csr::mscratch || csr == Csr::mepc ||
           csr == Csr::mcause || csr == Csr::mtval;
}
} // namespace slots

/// What is known where the hart is about to execute one word of translated code.
struct WordNote {
    enum : u8 {
        Boundary = 1, ///< a guest instruction begins, and no register is borrowed
        Exit = 2,     ///< the way to another block
        Committed = 4, ///< of an Exit: the guest is at its target already
        CallOut = 8,  ///< an ecall: the VMM executes the guest's instruction
        Miss = 16,    ///< an ecall: the VMM looks for the target of an indirect jump
        Outside = 32, ///< an ecall: the VMM executes an instruction that is in no block
    };
    u32 saved = 0; ///< registers whose value is in the virtual CSR page, a bit each
    u16 at = 0;    ///< the guest's instruction, in half-words from the block's first
    u8 kind = 0;
    u8 exit = 0; ///< of an Exit: its number in the block
    bool operator==(const WordNote&) const = default;
};

/// A way out of a block. Three words, so that every other block can be reached once it is known.
struct TranslationExit {
    u64 target = 0; ///< guest pc
    u32 word = 0;   ///< its first word, counted from the block's
};
inline constexpr unsigned kExitWords = 3;

struct Translation {
    u64 pc = 0;
    std::vector<u32> words; ///< the first one is the entry for indirect jumps, which gives t6 back; the second that for all others
    std::vector<WordNote> notes;
    std::vector<TranslationExit> exits;
    unsigned guest_bytes = 0, guest_instructions = 0;
};

/// Words of an exit that leads to `entry`, an address in the cache, from the address `from`.
std::array<u32, kExitWords> linked_exit(u64 from, u64 entry);
/// ... and of one that calls the VMM.
std::array<u32, kExitWords> unlinked_exit();
u32 call_out_word();

class Translator {
  public:
    static constexpr unsigned kMostInstructions = 64;
    static constexpr std::size_t kMostWords = 800; ///< branches within a block reach this far

    Translator(u64 pc, Priv priv);
    /// Adds the next instruction. `call_out`: a load or store that the VMM is to execute. False: the block ends with it.
    bool add(const Instruction& insn, bool call_out);
    Translation finish();
    u64 next_pc() const { return block_.pc + block_.guest_bytes; }
    bool full() const { return block_.guest_instructions >= kMostInstructions || block_.words.size() > kMostWords; }

  private:
    /// A conditional branch to something at the end of the block.
    struct Pending {
        std::size_t branch;
        WordNote note;
        u64 target; ///< of an exit
    };
    void put(u32 word);
    void put_li(unsigned rd, u64 value);
    void save(unsigned reg);
    void reload(unsigned reg);
    void commit();
    void call_out();
    void call_out_unless_zero(unsigned reg);
    void exit_to(u64 target);
    std::optional<i64> own_distance(u64 target) const;
    void branch(const Instruction& insn);
    void jump(const Instruction& insn);
    void indirect(const Instruction& insn);
    bool csr(const Instruction& insn);
    void read_write(const Instruction& insn, unsigned slot, bool even);
    bool status(const Instruction& insn, unsigned slot);
    unsigned scratch(const Instruction& insn) const;

    Priv priv_;
    Translation block_;
    WordNote note_; ///< of the next word
    std::vector<Pending> pending_;
    bool open_ = true;
};

} // namespace trapeze::vmm
