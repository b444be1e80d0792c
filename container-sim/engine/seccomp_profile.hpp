// Seccomp profiles: which system calls a container may make, as Docker's JSON profiles and `linux.seccomp` of the OCI runtime specification
// say it, and the filter of BPF instructions that a profile becomes.
#pragma once

#include "container-sim/credentials.hpp"
#include "container-sim/engine/image_json.hpp"
#include "container-sim/seccomp.hpp"
#include "emulator/base/result.hpp"

#include <string>
#include <vector>

namespace trapeze::container {

/// A comparison of one argument: SCMP_CMP_*.
struct SeccompCondition {
    enum class Compare : u8 { NotEqual, Less, LessOrEqual, Equal, GreaterOrEqual, Greater, MaskedEqual } compare = Compare::Equal;
    unsigned index = 0;
    u64 value = 0, other = 0;        ///< MaskedEqual: (argument & value) == other
    bool operator==(const SeccompCondition&) const = default;
};
struct SeccompRule {
    std::vector<std::string> names;
    u32 action = 0;                  ///< SECCOMP_RET_* with its data
    std::vector<SeccompCondition> conditions; ///< all must hold
    bool operator==(const SeccompRule&) const = default;
};
struct SeccompProfile {
    u32 otherwise = 0;               ///< the answer when no rule fits
    std::vector<SeccompRule> rules;  ///< the first that fits decides
    bool operator==(const SeccompProfile&) const = default;
};

/// Docker's default in short: what a container has no business with is EPERM, unless it has the capability that goes with it; a call that
/// the kernel does not have is ENOSYS.
SeccompProfile default_profile(u64 capabilities);
/// Docker's profile file (includes and excludes by `capabilities`) or `linux.seccomp`. The error names the member.
Result<SeccompProfile> parse_profile(const Json& json, const std::string& name, u64 capabilities);
Json profile_json(const SeccompProfile& profile);
/// The filter. The error: more instructions than a filter may have.
Result<std::vector<BpfInstruction>> compile_profile(const SeccompProfile& profile);

} // namespace trapeze::container
