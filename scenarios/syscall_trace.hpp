// The trace of containers as strace(1) writes it: a line for each system call, and below it what a namespace, a mount or a capability decided.
//
// Usage:
//   SyscallTrace lines({.calls = {"openat", "%process"}});
//   lines.take(session.trace(), [](const std::string& line) { ... });   // again after each stretch of the run
//   lines.finish(...);                                                  // calls that never returned
#pragma once

#include "emulator/base/result.hpp"
#include "emulator/trace/trace.hpp"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace trapeze::scenarios {

struct SyscallFilter {
    std::vector<std::string> calls{}; ///< names, %file, %process, %network, %memory, %signal, %desc, %creds; "!" before the first: all but these; empty: all
    std::vector<u64> pids{};        ///< of the host's namespace; empty: all
    bool json = false;              ///< an object a line
    bool lookups = true;
};

class SyscallTrace {
  public:
    using Print = std::function<void(const std::string& line)>;
    /// The error names what is no system call and no class.
    static Result<SyscallTrace> create(SyscallFilter filter);
    /// Prints what has happened since the last time.
    void take(const Trace& trace, const Print& print);
    void finish(const Print& print);

  private:
    struct Pending {
        u64 time = 0;
        unsigned container = 0;
        std::string text;
        std::vector<std::string> lookups;
        bool shown = false; ///< as "<unfinished ...>"
    };
    void take_event(const Trace& trace, const Event& event, const Print& print);
    void begin(const Trace& trace, const Event& event, const Print& print);
    void end(const std::string& text, u64 pid, const Print& print);
    void interrupt(u64 pid, const Print& print);
    bool wants(const std::string& text) const;

    SyscallFilter filter_;
    std::vector<std::string> names_; ///< that the filter names, classes put in
    bool except_ = false;
    u64 next_ = 0;                   ///< event
    std::map<u64, Pending> pending_; ///< by thread
};

} // namespace trapeze::scenarios
