// The container kernel's system calls as a reader wants them: number, name, arguments, and what is missing against Linux.
// docs/syscalls.md is what syscalls_markdown gives.
#pragma once

#include <string>

namespace trapeze::scenarios {

std::string syscalls_text();
std::string syscalls_markdown();
std::string syscalls_json();

} // namespace trapeze::scenarios
