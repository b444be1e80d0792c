// A hart: architectural state plus caches that never show. `run` executes until something stops it and returns the stop; nothing
// in it calls upward. A virtual hart of a VM is the same class, run on the VM's bus.
//
// Usage:
//   Hart hart(0);
//   Stop stop = hart.run(bus, 1'000'000);
#pragma once

#include "emulator/cpu/state.hpp"
#include "emulator/mem/bus.hpp"
#include "emulator/mem/page_walk.hpp"

#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace trapeze {

class HartCache; // TLBs and decoded blocks (cpu/hart_cache.hpp)

/// Bytes of memory that the debugger watches, by virtual address: [begin, end).
struct DataWatch {
    u64 begin = 0, end = 0;
    bool loads = false, stores = true;
    bool operator==(const DataWatch&) const = default;
};

/// What the debugger watches; an empty one costs nothing.
struct Watch {
    std::vector<u64> pcs;           ///< stop before the instruction at one of these virtual addresses
    std::vector<u16> csr_writes;    ///< stop before an instruction that would write one of these CSRs
    std::vector<DataWatch> data;    ///< stop before a load or store that would touch one of these (not what devices write, nor hlv and hsv)
    bool every_trap = false;        ///< stop with Breakpoint after any trap was delivered
    bool empty() const { return pcs.empty() && csr_writes.empty() && data.empty() && !every_trap; }
    bool operator==(const Watch&) const = default;
};

/// What a hart did to translate addresses, since it was made. Not part of its state: it depends on what its caches held. Pages of devices,
/// and of code that is stored to, are in no TLB here, and lr and sc look past it: each such access walks.
struct TranslationCounts {
    u64 walks = 0, entries = 0;               ///< in one stage: page-table walks, and the entries that they read
    u64 nested_walks = 0, nested_entries = 0; ///< with a second stage in force, of which the first may translate nothing
    u64 flushes = 0;                          ///< of the TLB, whole or for one address
};

class Hart {
  public:
    explicit Hart(u32 id = 0, HartFeatures features = {});
    Hart(const Hart& other);            ///< caches are not copied
    Hart& operator=(const Hart& other);
    Hart(Hart&&) noexcept;
    Hart& operator=(Hart&&) noexcept;
    ~Hart();

    HartState state;

    /// Privilege levels whose seat host code occupies: a trap delivered there returns from run. Indexed by bit: 1 << Priv.
    u8 seats = 0;
    void occupy(Priv level) { seats |= 1u << static_cast<u8>(level); }
    bool occupied(Priv level) const { return seats >> static_cast<u8>(level) & 1; }

    TranslationCounts translations;

    u32 id() const { return id_; }
    const HartFeatures& features() const { return features_; }
    /// Back to reset: M-mode, pc as given, everything else cleared (section 3.4).
    void reset(u64 pc);

    /// Runs at most `budget` instructions (retired, or trapped). Returns early for a seat, wfi, a watch, or the board's halt.
    /// After the return, `state` says everything: pc is the next instruction (for a trap: the vector's, with xepc set).
    Stop run(Bus& bus, u64 budget, const Watch& watch = {});

    /// Executes exactly one instruction, or takes one pending interrupt, on the state as it is. Returns what happened:
    /// the trap if one was delivered (also to an unoccupied level).
    struct StepResult {
        bool trapped = false;
        Trap trap;
        Instruction instruction; ///< Op::Illegal with word 0 when it could not be fetched
    };
    StepResult step(Bus& bus);

    /// Delivers `trap` now: decides the target privilege, sets its CSRs, pc and privilege (sections 3.1.6 to 3.1.8, 15.6). This is the one
    /// function that decides where a trap goes. Returns the trap with `from` and `to` filled in.
    Trap deliver(Trap trap, Bus& bus);
    /// What software in the seat's place would do last: sret or mret.
    void return_from_trap(Priv level);

    /// The interrupt that would be taken now (pending, enabled, not masked), or 0 (section 3.1.9's order).
    u64 pending_interrupt(Bus& bus);
    /// mip as software sees it: software bits, the board's lines and the Sstc timer.
    u64 mip(Bus& bus) const;

    /// CSR access with all side effects but without privilege checks. Unknown numbers read 0 and ignore writes.
    u64 read_csr(u16 number, Bus& bus) const;
    void write_csr(u16 number, u64 value, Bus& bus);
    u64 read_csr(Csr csr, Bus& bus) const { return read_csr(static_cast<u16>(csr), bus); }
    void write_csr(Csr csr, u64 value, Bus& bus) { write_csr(static_cast<u16>(csr), value, bus); }
    /// How an access from the current mode traps: as an illegal or a virtual instruction; nullopt: it does not.
    std::optional<Cause> csr_fault(u16 number, bool write) const;
    /// This hart was built to not trap on the access in the current mode (HartFeatures::silent).
    bool csr_silent(u16 number, bool read, bool write) const;
    /// How an instruction traps, by its row's lowest privilege and gate.
    std::optional<Cause> instruction_fault(Op op) const;
    /// The register that a number means in the current mode: a guest's supervisor registers are the vs ones (section 15.2.11).
    u16 csr_in_mode(u16 number) const;

    /// Translates without side effects, as an access of this kind in the current mode would be (MPRV included).
    PageWalk translate(u64 va, Access access, Bus& bus) const;
    /// The same for a given mode.
    PageWalk translate_as(PrivMode mode, u64 va, Access access, Bus& bus) const;
    /// Reads through translation for debuggers, tracers and kernels; stops at the first byte that is not mapped. Returns bytes read.
    std::size_t peek(u64 va, std::span<u8> out, Bus& bus) const;
    /// Physical memory protection's verdict (section 3.7) for an access by a privilege: whether it is allowed, and whether the same holds
    /// for every byte of its page.
    struct Protection {
        bool allowed;
        bool whole_page;
    };
    Protection protection(u64 physical, unsigned bytes, Access access, Priv priv) const;
    /// The instruction word at `va`, 16 bits alone when compressed; nullopt when it cannot be fetched.
    std::optional<u32> fetch_word(u64 va, Bus& bus) const;

    /// Translates and checks an instruction fetch, setting the accessed bit. The physical address and whether the verdict holds for
    /// its whole page, or the trap that it raises.
    std::optional<Trap> fetch_fault(u64 va, Bus& bus, u64& physical, bool& whole_page);

    /// To be called after changing translation-related state or page tables behind the hart's back: drops cached translations.
    void flush_translations();
    /// Drops every cache (also decoded code).
    void flush_all();

  private:
    friend struct Exec;
    friend class HartCache;

    void inhibit_counters(u64 value, Bus& bus);
    void write_translation(Csr csr, u64 value);
    void write_interrupt_bits(Csr csr, u64 value, u64 mask);

    u32 id_;
    HartFeatures features_;
    std::unique_ptr<HartCache> cache_;
};

/// True when the debugger watches the instruction that the hart is about to execute. Hart::run does not ask this of its first one, so
/// whoever runs a hart in several stretches asks between them.
bool watch_hits(const Watch& watch, const Hart& hart, Bus& bus);

} // namespace trapeze
