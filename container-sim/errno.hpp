// Linux's error numbers (asm-generic/errno.h), as system calls return them: negated. Their names are what traces show.
#pragma once

#include "emulator/base/types.hpp"

namespace trapeze::container {

enum Errno : i64 {
#define ERRNO(number, name, text) k##name = number,
#include "container-sim/errno.def"
};
/// "ENOENT"; null for a number that is no error.
const char* errno_name(i64 number);
/// "No such file or directory"; null for a number that is no error.
const char* errno_text(i64 number);

} // namespace trapeze::container
