// Signals as values: what is pending, what a process has asked to happen (signal(7), sigaction(2)).
#pragma once

#include "emulator/base/types.hpp"

#include <array>
#include <optional>
#include <vector>

namespace trapeze::container {

inline constexpr int kSignals = 64;
constexpr u64 signal_bit(int number) { return u64{1} << (number - 1); }

/// What siginfo_t says besides the number: which of its fields are meant depends on `code`.
struct SignalInfo {
    i32 number = 0, code = 0;      ///< si_code: SI_USER 0, SI_KERNEL 0x80, SI_QUEUE -1, SI_TKILL -6, SI_TIMER -2, CLD_* and so on
    i32 sender = 0;                ///< pid in the host's namespace; 0: the kernel
    u32 uid = 0;
    u64 value = 0;                 ///< si_value, si_addr, si_call_addr or si_status
    i32 raw_pid = 0;               ///< rt_sigqueueinfo: as the sender gave it
    i32 overrun = 0;               ///< of a timer: how often it expired unseen (raw_pid is its id)
    i32 error = 0, call = 0;       ///< si_errno and si_syscall, of a SIGSYS that a seccomp filter has sent
    bool operator==(const SignalInfo&) const = default;
};

class PendingSignals {
  public:
    /// A standard signal that is pending already is not queued again. False: the queue is full (EAGAIN for real-time signals).
    bool add(const SignalInfo& info);
    /// Takes the lowest number among `set`.
    std::optional<SignalInfo> take(u64 set);
    void discard(u64 set);
    void discard_timer(i32 id);
    bool has_timer(i32 id) const;
    u64 set() const;
    bool operator==(const PendingSignals&) const = default;

    static constexpr std::size_t kMost = 1024; ///< RLIMIT_SIGPENDING
  private:
    std::vector<SignalInfo> queue_;
};

/// struct sigaction of riscv64: no sa_restorer.
struct SignalAction {
    u64 handler = 0, flags = 0, mask = 0;
    bool operator==(const SignalAction&) const = default;
};
namespace sa {
inline constexpr u64 kDefault = 0, kIgnore = 1; // handlers
inline constexpr u64 kNoChildStop = 1, kNoChildWait = 2, kSigInfo = 4, kOnStack = 0x0800'0000, kRestart = 0x1000'0000, kNoDefer = 0x4000'0000, kResetHand = 0x8000'0000;
}
using SignalActions = std::array<SignalAction, kSignals + 1>; ///< by number; 0 is nobody's

enum class SignalDefault : u8 { End, Core, Ignore, Stop, Continue };
SignalDefault default_action(int number);
/// "SIGKILL"; real-time ones "SIGRTMIN+2".
const char* signal_name(int number);

struct AlternateStack {
    u64 base = 0, size = 0;
    u32 flags = 2; ///< SS_DISABLE
    bool operator==(const AlternateStack&) const = default;
};

} // namespace trapeze::container
