// Who a task is: user and group ids, groups, capability sets (credentials(7), capabilities(7)). Ids are kernel ids: what the first user
// namespace calls them; a user namespace maps them to what its processes see.
#pragma once

#include "emulator/base/types.hpp"

#include <string>
#include <vector>

namespace trapeze::container {

/// Numbers of linux/capability.h.
enum class Capability : u8 {
#define CAPABILITY(number, name) name = number,
#include "container-sim/capabilities.def"
};
inline constexpr unsigned kCapabilities = 41;
inline constexpr u64 kAllCapabilities = (u64{1} << kCapabilities) - 1;
constexpr u64 bit(Capability capability) { return u64{1} << static_cast<unsigned>(capability); }
/// As in capabilities(7): "CAP_SYS_ADMIN".
std::string capability_name(Capability capability);

inline constexpr u32 kOverflowId = 65534; ///< what an id that is not mapped reads as
inline constexpr u32 kNoId = ~u32{0};     ///< no such id: not mapped

/// capabilities(7), "Effect of user ID changes": SECBIT_KEEP_CAPS and its siblings, prctl(PR_SET_SECUREBITS).
namespace secbit {
inline constexpr u32 kNoRoot = 1, kNoRootLocked = 2, kNoSetuidFixup = 4, kNoSetuidFixupLocked = 8, kKeepCaps = 16, kKeepCapsLocked = 32, kNoAmbientRaise = 64, kNoAmbientRaiseLocked = 128;
}

struct Credentials {
    u32 uid = 0, euid = 0, suid = 0, fsuid = 0;
    u32 gid = 0, egid = 0, sgid = 0, fsgid = 0;
    std::vector<u32> groups; ///< supplementary, sorted
    u64 inheritable = 0, permitted = kAllCapabilities, effective = kAllCapabilities, bounding = kAllCapabilities, ambient = 0;
    u32 securebits = 0;
    bool no_new_privileges = false;
    u32 user_namespace = 0;

    bool in_group(u32 group) const;
    bool operator==(const Credentials&) const = default;
};

/// A stretch of ids inside a user namespace and the ids of its parent that they stand for (user_namespaces(7)).
struct IdRange {
    u32 inside = 0, outside = 0, count = 0;
    bool operator==(const IdRange&) const = default;
};

} // namespace trapeze::container
