// Snapshots: a machine's state as bytes for a file, and back. A file is a header (what it is, which version of the format, which layout
// of registers and devices, a checksum of all of it) and one zstd frame. What is loaded is checked: a damaged, cut, foreign or newer file,
// or one of another configuration, is refused with a sentence.
//
// Usage:
//   std::vector<u8> file = save_machine(machine);
//   auto again = load_machine(file, machine.config(), "name for sentences");
#pragma once

#include "emulator/machine.hpp"

namespace trapeze {

/// What a snapshot file holds.
enum class SnapshotKind : u32 { Machine = 1, Session = 2, Recording = 3 };

std::vector<u8> pack_snapshot(SnapshotKind kind, const std::vector<u8>& content);
/// The content again. `limit`: the most bytes that it can rightly have. `name` is for the error's sentence.
Result<std::vector<u8>> unpack_snapshot(SnapshotKind kind, std::span<const u8> file, u64 limit, const std::string& name);
/// The most bytes that the state of a machine takes: its memory, twice its disk (what was changed, with numbers), and the rest.
u64 largest_content(u64 ram_bytes, u64 disk_bytes);

std::vector<u8> save_machine(const Machine& machine);
/// A machine of this configuration (its disk included) in the saved state.
Result<Machine> load_machine(std::span<const u8> file, const MachineConfig& config, const std::string& name);

/// Saves or loads the state of one hart, and fails for what no hart can be in.
void hart_state(StateArchive& archive, HartState& state);
void firmware_state(StateArchive& archive, Firmware& firmware);

} // namespace trapeze
