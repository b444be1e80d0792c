// seccomp(2): programs of classic BPF that decide over each system call of a task. Checking and running one, and how one hangs on those
// that were installed before it.
#pragma once

#include "emulator/base/types.hpp"

#include <array>
#include <span>
#include <vector>

namespace trapeze::container {

/// struct sock_filter (linux/filter.h).
struct BpfInstruction {
    u16 code = 0;
    u8 if_true = 0, if_false = 0; ///< instructions to skip
    u32 k = 0;
    bool operator==(const BpfInstruction&) const = default;
};
static_assert(sizeof(BpfInstruction) == 8);

/// struct seccomp_data: what a filter sees of a call.
struct SeccompData {
    i32 number = 0;
    u32 arch = 0;                 ///< AUDIT_ARCH_*
    u64 pc = 0;                   ///< after the ecall
    std::array<u64, 6> arguments{};
};
static_assert(sizeof(SeccompData) == 64);

inline constexpr u32 kAuditArchRiscv64 = 0xc000'00f3;
inline constexpr std::size_t kMaxBpf = 4096;          ///< instructions of one filter (BPF_MAXINSNS)
inline constexpr u32 kMaxBpfTogether = 32'768;        ///< of all filters of a task (MAX_INSNS_PER_PATH)
inline constexpr u32 kBpfOverhead = 4;                ///< what each earlier filter counts besides its instructions

/// Whether the kernel takes it: bpf_check_classic's rules and those of seccomp_check_filter. One that it takes ends in every case.
bool valid_filter(std::span<const BpfInstruction> code);
/// The filter's answer: an action and 16 bits of data. Pre: valid_filter(code).
u32 run_filter(std::span<const BpfInstruction> code, const SeccompData& data);

/// SECCOMP_RET_*: seccomp(2). As signed numbers, the lower is the stricter.
enum class SeccompAction : u32 {
    KillThread = 0, Trap = 0x0003'0000, Errno = 0x0005'0000, UserNotif = 0x7fc0'0000, Trace = 0x7ff0'0000, Log = 0x7ffc'0000, Allow = 0x7fff'0000, KillProcess = 0x8000'0000,
};
inline constexpr u32 kSeccompAction = 0xffff'0000, kSeccompValue = 0xffff;
bool is_stricter(u32 answer, u32 than);
/// As in /proc/sys/kernel/seccomp/actions_avail: "kill_process". Null: there is none of that number, which is answered like KillProcess.
const char* seccomp_action_name(u32 action);

/// A filter in the kernel's pool. Its users: tasks whose newest it is, and filters that come right after it.
struct SeccompFilter {
    std::vector<BpfInstruction> code;
    u32 previous = 0;             ///< in the pool; 0: it is the first
    u32 number = 1;               ///< the first is 1
    u32 weight = 0;               ///< instructions up to here, with their overhead
};

enum class SeccompMode : u8 { Off, Strict, Filter };

} // namespace trapeze::container
