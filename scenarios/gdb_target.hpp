// A session as GDB's target: registers and memory as the guest has them, breakpoints, running, and going back. The protocol is
// emulator/debug's; the socket is cli_gdb.cpp's.
//
// Registers are the guest's: under a hypervisor those of its virtual hart. Memory is read through whatever the guest's tables map, user
// and kernel pages alike. Device registers are not read, because that would change them. What GDB writes is no part of the session's log,
// so going back ends at the last write.
#pragma once

#include "emulator/debug/gdb_stub.hpp"
#include "scenarios/session_back.hpp"

namespace trapeze::scenarios {

class GdbTarget final : public debug::Target {
  public:
    explicit GdbTarget(Session& session) : session_(session) {}

    unsigned harts() const override { return static_cast<unsigned>(session_.machine().harts.size()); }
    std::string describe(unsigned hart) const override;
    std::optional<u64> read_register(unsigned hart, unsigned number) const override;
    bool write_register(unsigned hart, unsigned number, u64 value) override;
    std::size_t read_memory(unsigned hart, u64 address, bool physical, std::span<u8> out) override;
    bool write_memory(unsigned hart, u64 address, bool physical, std::span<const u8> in) override;
    bool insert_breakpoint(debug::BreakKind kind, u64 address, u64 bytes) override;
    bool remove_breakpoint(debug::BreakKind kind, u64 address, u64 bytes) override;
    void begin(debug::Motion motion, unsigned hart) override;
    std::optional<debug::StopReport> run_slice() override;
    unsigned interrupt() override;
    std::string monitor(const std::string& command, unsigned hart, bool& physical) override;

    /// The guest waits for input, and nothing else will happen: there is no need to run slices.
    bool idle() const { return idle_; }

  private:
    using Report = std::optional<debug::StopReport>;
    struct Break {
        debug::BreakKind kind;
        u64 address, bytes;
        bool operator==(const Break&) const = default;
    };
    /// The state of a hart, as far as it shows whether an instruction has run.
    struct Mark {
        u64 pc = 0, retired = 0;
        bool waiting = false;
        bool operator==(const Mark&) const = default;
    };
    /// A search for the last step of a hart: the stretch (begin, end] is run through; when it has nothing, an earlier and longer one.
    struct Search {
        u64 begin = 0, end = 0, length = 0;
        std::optional<u64> found; ///< the last in this stretch
        bool placed = false;      ///< the session is in the stretch
    };
    Mark mark(unsigned hart) const;
    void give_breakpoints();
    bool watches(const Break& watch, unsigned hart) const; ///< its instruction is about to touch the watched memory
    const Break* watched(unsigned hart) const;
    Report run_on();
    Report step();
    Report go_back();
    Report run_back();
    void run_stretch();
    Report stop_here();
    debug::StopReport history_begins() { return {debug::StopReport::Why::HistoryBegins, session_.current_hart(), debug::BreakKind::Software, 0, 0}; }
    Report finish_access(const Break& watch, unsigned hart);

    Session& session_;
    std::vector<Break> breaks_;
    debug::Motion motion_ = debug::Motion::Continue;
    unsigned hart_ = 0; ///< of the motion
    Mark start_;        ///< how that hart stood when it began
    u64 origin_ = 0;    ///< position where it began
    Search search_;                  ///< of BackStep
    std::optional<BackSearch> back_; ///< of BackContinue
    bool idle_ = false;
};

/// The monitor commands: what GDB does not know about a session. None of them touches the host.
std::string answer_monitor(Session& session, const std::string& command, unsigned hart, bool& physical);

} // namespace trapeze::scenarios
