// The generator of random programs, by topic: single instructions (random_instructions.cpp), groups of them (random_groups.cpp, those of the
// hypervisor extension in guest_groups.cpp), page tables (random_tables.cpp, guest_tables.cpp), prologue and trap handlers (handlers.cpp,
// guest_handlers.cpp), and the whole (random_program.cpp).
#pragma once

#include "emulator/cpu/state.hpp"
#include "emulator/mem/page_walk.hpp"
#include "tests/lockstep/assembler.hpp"
#include "tests/lockstep/random.hpp"
#include "tests/lockstep/random_program.hpp"

#include <algorithm>
#include <optional>

namespace trapeze::lockstep {

inline constexpr u64 kPrologue = 0x8000'0000, kMachineHandler = 0x8000'0800, kSupervisorHandler = 0x8000'0c00;
inline constexpr u64 kGuestHandler = 0x8000'0e00; // in VS-mode
inline constexpr u64 kRegisters = 0x8000'2000, kCode = 0x8001'0000, kTables = 0x8010'0000, kData = 0x8040'0000;
inline constexpr u64 kDataPages = 4, kTablePages = 5, kSuperpageAddress = 0x1'4040'0000, kNotCanonical = 0x80'0000'0000;
inline constexpr u64 kGuestTables = 0x8020'0000, kGigapageAddress = 0x1'8040'0000, kTooLarge = 0x200'0000'0000; // the last: for Sv39x4
inline constexpr u64 kEndPointer = kRegisters + 0x200; // holds the address at which a program ends
inline constexpr u64 kWidths = u64{2} << 32 | u64{2} << 34; // UXL and SXL: 64 bits; QEMU lets software write what is reserved
inline constexpr unsigned kPointers[] = {2, 8, 9, 31}; // sp and two of x8..x15, as compressed loads need them
inline constexpr unsigned kScratch = 30, kScratch2 = 29;
inline constexpr unsigned kScratch3 = 28, kScratch4 = 27; // of the handlers of programs with guests

inline constexpr u64 cause_bit(Cause cause) { return u64{1} << static_cast<u64>(cause); }
inline bool is_pointer(unsigned reg) { return std::ranges::find(kPointers, reg) != std::end(kPointers); }

/// A group: instructions that only make sense together; branches go to the beginnings of groups.
struct Group {
    enum class Target : u8 { None, Branch, Jump, Register, CompressedBranch, CompressedJump };
    Code code;
    Target kind = Target::None;
    std::size_t fixup = 0;  ///< offset of the instruction to patch
    std::size_t target = 0; ///< index of a group
};

/// The code of M-mode's handler, of HS-mode's and of VS-mode's in programs with guests (guest_handlers.cpp).
Code guest_program_machine_handler();
Code guest_program_handler();

class Generator {
  public:
    explicit Generator(const ProgramOptions& options) : options_(options), random_(options.seed) {}
    Program generate();

  private:
    unsigned destination() {
        unsigned reg = 0;
        do reg = static_cast<unsigned>(random_.below(31)); while (is_pointer(reg));
        return reg;
    }
    unsigned any_register() { return static_cast<unsigned>(random_.below(32)); }
    unsigned small_destination() { return 10 + static_cast<unsigned>(random_.below(6)); }
    unsigned small_register() { return 8 + static_cast<unsigned>(random_.below(8)); }
    u64 interesting_value();

    std::optional<u32> from_table(Op op);
    u32 some_csr_word(Op op);
    u32 illegal_word();
    u16 compressed();
    Group group(std::size_t index);
    Group jump(std::size_t index);
    Group change_mode();
    Group change_status();
    Group change_tables();
    Group aim_pointer();
    Group reserve();
    Group arithmetic();

    // With `guests`.
    Group guest_group();
    Group change_world();
    Group change_guest_status();
    Group change_guest_registers();
    Group change_guest_tables();
    Group reach_into_guest();
    Group wait();
    Csr some_guest_csr();

    Segment prologue();
    void draw_delegation();
    void set_up_guests(Code& c);
    u64 random_rights();
    Segment tables();
    Segment guest_tables();
    Segment program_code(u64& end);
    static Segment registers(std::vector<u64> values);

    ProgramOptions options_;
    Random random_;
    u64 delegated_ = 0;

    /// Where wfi may be tried, as it must never wait: with TW always set, in every mode below M; with VTW always set, in guests.
    enum class Waits : u8 { BelowMachine, InGuests };
    Waits waits_ = Waits::BelowMachine;
    /// A guest's interrupts are either enabled or injected, never both, as QEMU takes none while it is stepped.
    bool injects_ = false;
    /// What QEMU 7.2 is known to answer by going elsewhere is tried too (lockstep.hpp, parts): the comparison ends there. Illegal instructions
    /// that are delegated to VS-mode, TVM, TSR, and hlvx.
    bool parts_ = false;
    /// First-stage entries may lack A and D; then the second stage allows everything.
    bool first_stage_updates_ = false;
    std::vector<u64> first_stages_, second_stages_; ///< values of satp or vsatp, and of hgatp
};

} // namespace trapeze::lockstep
