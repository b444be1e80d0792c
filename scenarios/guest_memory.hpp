// The guest's memory for people and debuggers: read, written and searched at the guest's virtual addresses, or at guest physical ones.
#pragma once

#include "scenarios/session.hpp"

#include <optional>
#include <span>
#include <string>

namespace trapeze::scenarios {

enum class AddressSpace : u8 { Virtual, Physical };

/// Where an address is in RAM, as any privilege would find it: user pages and kernel pages alike. None: not mapped, or not RAM.
std::optional<u64> ram_address(const Session& session, unsigned hart, u64 address, AddressSpace space);
/// Returns how many bytes are mapped, from the first on.
std::size_t read_guest_memory(const Session& session, unsigned hart, u64 address, AddressSpace space, std::span<u8> out);
/// All of it, or nothing. The log of input does not know this, so going back ends here. The error names the address.
Result<void> write_guest_memory(Session& session, unsigned hart, u64 address, AddressSpace space, std::span<const u8> in);

/// A search that goes on from where it was, page by page, over what is not mapped.
struct MemorySearch {
    u64 at = 0;                ///< to be looked at next
    u64 left = u64{1} << 30;   ///< bytes that are still to be looked at
    std::string bytes{};       ///< what is looked for. Range: 1 to 64 bytes
    AddressSpace space = AddressSpace::Virtual;
    bool done() const { return left == 0; }
    /// Looks at `pages` pages more. Returns the address found; `at` then stands behind it.
    std::optional<u64> go_on(const Session& session, unsigned pages);
};
/// "de ad be ef" or "0xdeadbeef" (little-endian), or "\"text\"", to bytes. The error says what can be written.
Result<std::string> parse_bytes(const std::string& text);

} // namespace trapeze::scenarios
