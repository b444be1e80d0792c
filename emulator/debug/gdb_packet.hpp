// Packets of the GDB remote protocol (GDB manual, appendix E.1): "$" data "#" checksum, escapes, acknowledgements. Bytes come from
// outside and may be anything: what is too long or does not add up is dropped, never kept.
//
// Usage: feed bytes; for each Arrival that is a packet, answer with frame(reply).
#pragma once

#include "emulator/base/types.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace trapeze::debug {

/// Largest packet in either direction, as qSupported tells GDB: bytes between $ and #.
inline constexpr std::size_t kPacketBytes = 16384;

class PacketReader {
  public:
    enum class Kind : u8 {
        Nothing,   ///< go on feeding
        Packet,    ///< data() has the packet, unescaped
        Damaged,   ///< the checksum is wrong, or the packet was too long
        Ack,       ///< "+"
        Nak,       ///< "-": send the last packet again
        Interrupt, ///< Ctrl-C: a byte 3 between packets
    };
    /// Takes one byte.
    Kind feed(u8 byte);
    const std::string& data() const { return data_; }
    /// In no-acknowledgement mode checksums need not be right.
    void trust_checksums() { trusting_ = true; }

  private:
    enum class State : u8 { Between, Data, Escaped, Checksum1, Checksum2 };
    Kind finish();

    State state_ = State::Between;
    std::string data_;
    u8 sum_ = 0;
    u8 digits_[2] = {};
    bool too_long_ = false, trusting_ = false;
};

/// The packet as it goes over the line.
std::string frame(std::string_view data);
/// Data with the bytes that a packet must not contain escaped ($ # } *).
std::string escape(std::string_view data);

std::string to_hex(std::string_view bytes);
inline std::string to_hex(std::span<const u8> bytes) { return to_hex(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size())); }
/// Bytes from pairs of hexadecimal digits; nullopt when it is anything else.
std::optional<std::string> from_hex(std::string_view text);
/// A number of 1 to 16 hexadecimal digits; nullopt when it is anything else.
std::optional<u64> parse_hex(std::string_view text);
/// Eight bytes, lowest first, as registers travel; nullopt when it is anything else.
std::optional<u64> parse_register(std::string_view text);

} // namespace trapeze::debug
