// What users of qemu-system-riscv64 type, as options of `trapeze boot`: -kernel for --kernel, -m 128 for 128 MiB, -nographic for nothing.
#pragma once

#include "emulator/base/result.hpp"

#include <string>
#include <vector>

namespace trapeze::scenarios {

/// The arguments of the program (without its name) with QEMU's spellings replaced by Trapeze's. Those of other verbs than boot stay as
/// they are. The error names an option whose meaning this machine cannot keep, and what it takes instead.
Result<std::vector<std::string>> translate_qemu_options(const std::vector<std::string>& arguments);

} // namespace trapeze::scenarios
