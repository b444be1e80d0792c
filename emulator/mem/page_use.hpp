// How many pages all RAMs of this process hold together, each counted once however many share it: for who keeps copies, and bounds them.
#pragma once

#include "emulator/base/types.hpp"

namespace trapeze::page_store {

/// Pages of 4 KiB that at least one RAM refers to; the page of zeros is none of them.
u64 pages_in_use();

} // namespace trapeze::page_store
