// The GDB remote protocol (GDB manual, appendix E) as a pure object: bytes in, bytes out. It knows no socket and no session; what it
// debugs is a Target, whose harts are GDB's threads (thread 1 is hart 0).
//
// Usage:
//   GdbStub stub(target);
//   send(stub.feed(received));                        // whenever bytes arrive
//   while (stub.running()) send(stub.run_slice());    // between looking for bytes
//   if (stub.end() != GdbStub::End::No) ...           // detached or killed
//
// Known inaccuracy: harts are scheduled deterministically together, so `set scheduler-locking on` has no effect: while one hart steps,
// the others take their turns.
#pragma once

#include "emulator/debug/gdb_packet.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace trapeze::debug {

/// Register numbers of the protocol, as target.xml gives them: x0..x31, pc, f0..f31, then CSRs by number, then the privilege.
inline constexpr unsigned kRegisterPc = 32, kRegisterF0 = 33, kRegisterCsr0 = 65, kRegisterPriv = kRegisterCsr0 + 4096;

enum class BreakKind : u8 { Software = 0, Hardware = 1, Write = 2, Read = 3, Access = 4 }; // as in Z packets
enum class Motion : u8 { Continue, Step, BackContinue, BackStep };

/// Why a motion ended.
struct StopReport {
    enum class Why : u8 { Stepped, Interrupted, Breakpoint, Watchpoint, HistoryBegins, Exited };
    Why why = Why::Stepped;
    unsigned hart = 0;
    BreakKind kind = BreakKind::Software; ///< for Breakpoint and Watchpoint
    u64 address = 0;                      ///< of watched memory, for Watchpoint
    u32 code = 0;                         ///< the guest's own, for Exited
};

/// What is debugged. Addresses, counts and register numbers are GDB's and may be anything.
class Target {
  public:
    virtual ~Target() = default;
    virtual unsigned harts() const = 0;
    /// One line about a hart, for `info threads`.
    virtual std::string describe(unsigned hart) const = 0;
    /// Nullopt, or false: there is no such register, or it cannot be written.
    virtual std::optional<u64> read_register(unsigned hart, unsigned number) const = 0;
    virtual bool write_register(unsigned hart, unsigned number, u64 value) = 0;
    /// Bytes read from `address` on, until the first that cannot be read.
    virtual std::size_t read_memory(unsigned hart, u64 address, bool physical, std::span<u8> out) = 0;
    /// False, with nothing written, when not all of it can be.
    virtual bool write_memory(unsigned hart, u64 address, bool physical, std::span<const u8> in) = 0;
    /// False: it cannot be had. Inserting one twice is one.
    virtual bool insert_breakpoint(BreakKind kind, u64 address, u64 bytes) = 0;
    virtual bool remove_breakpoint(BreakKind kind, u64 address, u64 bytes) = 0;
    /// Begins a motion; `run_slice` does a part of it, and returns the report when it has ended.
    virtual void begin(Motion motion, unsigned hart) = 0;
    virtual std::optional<StopReport> run_slice() = 0;
    /// Ends the motion here. Returns the hart that is shown.
    virtual unsigned interrupt() = 0;
    /// Answers a `monitor` command with text for people.
    virtual std::string monitor(const std::string& command, unsigned hart, bool& physical) = 0;
};

class GdbStub {
  public:
    explicit GdbStub(Target& target) : target_(target) {}

    /// Takes what GDB sent, and returns what it is to be sent.
    std::string feed(std::string_view bytes);
    bool running() const { return running_; }
    /// Lets the target run for a while. Pre: running(). Returns what GDB is to be sent.
    std::string run_slice();
    enum class End : u8 { No, Detached, Killed };
    End end() const { return end_; }

  private:
    std::string serve(const std::string& packet);
    std::string query(std::string_view packet);
    std::string set(std::string_view packet);
    std::string read_registers();
    std::string write_registers(std::string_view hex);
    std::string read_register(std::string_view number);
    std::string write_register(std::string_view text);
    std::string read_memory(std::string_view text);
    std::string write_memory(std::string_view text, bool binary);
    std::string breakpoint(std::string_view packet);
    std::string select_hart(std::string_view text);
    std::string vcont(std::string_view actions);
    std::string resume(Motion motion, unsigned hart);
    std::string monitor(std::string_view hex);
    std::string transfer(std::string_view request);
    std::string thread_list() const;
    std::string report(const StopReport& stop);
    std::string packet(std::string_view data);
    std::optional<unsigned> parse_thread(std::string_view text) const; ///< hart; the shown one for "any"

    Target& target_;
    PacketReader reader_;
    std::string last_;       ///< packet sent last, for "-"
    std::string description_; ///< target.xml, made when first asked for
    StopReport stop_;        ///< how the target stands
    unsigned hart_ = 0;      ///< whose registers are shown
    bool acknowledging_ = true;
    bool running_ = false;
    bool physical_ = false;  ///< memory packets are about physical addresses
    End end_ = End::No;
};

/// The target description: org.gnu.gdb.riscv.cpu, .fpu, .csr with every CSR of the table, .virtual with the privilege.
std::string target_description();

} // namespace trapeze::debug
