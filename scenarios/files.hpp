// Files and folders of the host: where what was built and what is shipped lies.
#pragma once

#include "emulator/base/result.hpp"
#include "emulator/base/types.hpp"

#include <span>
#include <string>

namespace trapeze::scenarios {

/// The file of a guest: a path that exists, or the name of a shipped guest. The error lists the shipped ones.
Result<std::string> find_guest(const std::string& name);
/// Where what was built is: $TRAPEZE_BUILD_DIR, or beside the running program.
std::string build_folder();
/// Where the lessons and cost models are: $TRAPEZE_ROOT, or beside the running program.
std::string root_folder();

} // namespace trapeze::scenarios
