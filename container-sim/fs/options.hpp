// Options of a mount, as text: "size=1m,mode=755".
#pragma once

#include "emulator/base/types.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trapeze::container {

struct MountOption {
    std::string name;
    std::optional<std::string> value;

    std::optional<u64> number(int base) const;
    std::optional<u64> bytes(u64 whole) const;
};
std::vector<MountOption> split_options(std::string_view text);

} // namespace trapeze::container
