// The paravirtual interface: what a guest kernel that knows this VMM can say to it, and what the VMM keeps about such a guest. The tables
// are hypercalls.def, shared_page.def and table_updates.def; docs/paravirtual.md shows a kernel's port. paravirt.cpp serves the calls.
#pragma once

#include "emulator/base/archive.hpp"
#include "emulator/base/types.hpp"

#include <array>
#include <cstddef>

namespace trapeze::vmm {

/// SBI extension id (a7): the firmware-specific space, for implementation id 0x54 (SBI specification, chapter 4).
inline constexpr u64 kHypercallExtension = 0x0a00'0054;

enum class Hypercall : u8 {
#define HYPERCALL(number, id, ...) id = number,
#include "hypervisor-sim/hypercalls.def"
    Count,
};
struct HypercallRow {
    const char* name;
    const char* sentence;
};
const HypercallRow& hypercall_row(u64 number); ///< "unknown" for one that there is not

/// Offsets in the page that guest and VMM share.
enum class Shared : u16 {
#define SHARED_FIELD(id, offset, ...) id = offset,
#include "hypervisor-sim/shared_page.def"
};

enum class TableUpdate : u8 {
#define TABLE_UPDATE(number, id, ...) id = number,
#include "hypervisor-sim/table_updates.def"
    Count,
};
/// What a hypercall answers: an SBI error code, a value, and for people why it was refused.
struct HypercallAnswer {
    i64 error = 0;
    u64 value = 0;
    const char* why = nullptr;
};

inline constexpr u64 kMostUpdates = 512;     ///< records of one hypercall
inline constexpr u64 kMostConsoleBytes = 4096;

/// What the VMM keeps of a guest besides its virtual hart. A value.
struct Paravirt {
    bool started = false; ///< the guest has made the hypercall "start"; until then it is run by trap-and-emulate
    u64 shared = 0;       ///< guest physical address of the shared page
    u64 claimed = 0;      ///< events whose interrupt source waits for the guest to clear them
    u64 updates = 0;      ///< changes of page tables made
    u64 refused = 0;      ///< hypercalls that failed
    std::array<u64, static_cast<std::size_t>(Hypercall::Count)> calls{};
    bool operator==(const Paravirt&) const = default;
    void state(StateArchive& archive) {
        archive(started);
        for (u64* field : {&shared, &claimed, &updates, &refused}) archive(*field);
        archive(calls);
    }
};

} // namespace trapeze::vmm
