// Writing files of the host, so that whoever looks sees what was there before or all of what is new.
#pragma once

#include "emulator/base/result.hpp"
#include "emulator/base/types.hpp"

#include <span>
#include <string>

namespace trapeze {

/// Replaces a regular file whole or not at all: written beside under a name that begins with ".part-", synced, renamed. A link stays one, and the
/// file that it leads to is replaced; folders and devices are refused.
Result<void> replace_file(const std::string& path, std::span<const u8> bytes);

} // namespace trapeze
