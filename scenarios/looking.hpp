// Looking at a session without changing it: what its memory and devices hold. A bus only holds references and is made for machines that
// run, so it is made from a session that can change; readers of these must only read.
#pragma once

#include "scenarios/session.hpp"

namespace trapeze::scenarios {

/// The guest's memory, at guest physical addresses, and its devices.
inline Bus look_at_guest(const Session& session) { return const_cast<Session&>(session).guest_bus(); }
/// The machine's, at machine addresses.
inline Bus look_at_machine(const Session& session) { return const_cast<Session&>(session).machine().bus(); }
/// On which the guest's own tables are found.
inline Bus look_as_walker(const Session& session) { return const_cast<Session&>(session).walk_bus(); }
inline const Board& board_of(const Session& session) { return session.vmm() ? session.vmm()->board() : session.machine().board; }

/// A value in RAM at a bus address; false outside.
template <class T> bool look(const Bus& bus, u64 address, T& out) { return bus.in_ram(address, sizeof out) && bus.ram.read(bus.ram_offset(address), out); }

} // namespace trapeze::scenarios
