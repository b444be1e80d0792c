// What the techniques ask about a trap or an instruction when they classify an exit.
#pragma once

#include "emulator/cpu/trap.hpp"
#include "emulator/devices/board.hpp"
#include "emulator/isa/isa.hpp"
#include "emulator/mem/page_walk.hpp"

#include <algorithm>

namespace trapeze::vmm {

inline bool is_page_fault(const Trap& trap) {
    return trap.is(Cause::InstructionPageFault) || trap.is(Cause::LoadPageFault) || trap.is(Cause::StorePageFault);
}
inline bool is_guest_page_fault(const Trap& trap) {
    return trap.is(Cause::InstructionGuestPageFault) || trap.is(Cause::LoadGuestPageFault) || trap.is(Cause::StoreGuestPageFault);
}
/// Pre: is_page_fault or is_guest_page_fault.
inline Access access_of(const Trap& trap) {
    if (trap.is(Cause::InstructionPageFault) || trap.is(Cause::InstructionGuestPageFault)) return Access::Fetch;
    return trap.is(Cause::LoadPageFault) || trap.is(Cause::LoadGuestPageFault) ? Access::Load : Access::Store;
}

/// CSRs that decide what an entry of the VMM's tables may allow but are not part of a view's key.
inline bool decides_permissions(Csr csr) { return (csr >= Csr::pmpcfg0 && csr <= Csr::pmpaddr15) || csr == Csr::menvcfg; }

/// True when a device of the board answers at this guest physical address.
inline bool has_device(const Board& board, u64 address) {
    if (address - kClintBase < Clint::kSize || address - kPlicBase < Plic::kSize) return true;
    return std::any_of(board.devices().begin(), board.devices().end(), [&](const auto& at) { return address - at.base < at.size; });
}

} // namespace trapeze::vmm
