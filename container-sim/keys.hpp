// Keys and keyrings that the kernel keeps for processes (keyrings(7)): those that hang on a session's keyring.
//
// Known gaps: types "user", "logon" and "keyring" only; permissions are the possessor's or the owner's; keys do not expire; nobody is asked
// for a key that is missing (request_key is ENOKEY).
#pragma once

#include "emulator/base/types.hpp"

#include <string>
#include <vector>

namespace trapeze::container {

struct Key {
    std::string type, description, payload;
    u32 uid = 0, gid = 0, permissions = 0x3f3f'0000;
    std::vector<i32> links;      ///< of a keyring: serial numbers
    bool operator==(const Key&) const = default;
};
inline constexpr std::size_t kMaxKeys = 200, kMaxKeyBytes = 20'000; ///< of a user, then EDQUOT (/proc/sys/kernel/keys)

} // namespace trapeze::container
