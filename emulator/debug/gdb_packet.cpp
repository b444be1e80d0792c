#include "emulator/debug/gdb_packet.hpp"

#include <fmt/format.h>

namespace trapeze::debug {

namespace {

constexpr u8 kEscape = '}', kEscapeFlip = 0x20, kInterruptByte = 3;

int hex_digit(u8 c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

} // namespace

PacketReader::Kind PacketReader::feed(u8 byte) {
    switch (state_) {
    case State::Between:
        if (byte == '$') state_ = State::Data, data_.clear(), sum_ = 0, too_long_ = false;
        return byte == '+' ? Kind::Ack : byte == '-' ? Kind::Nak : byte == kInterruptByte ? Kind::Interrupt : Kind::Nothing;
    case State::Data:
    case State::Escaped: {
        if (byte == '#') return state_ = State::Checksum1, Kind::Nothing;
        if (byte == '$') return data_.clear(), sum_ = 0, too_long_ = false, state_ = State::Data, Kind::Nothing; // the one before was cut off
        sum_ = static_cast<u8>(sum_ + byte);
        const bool escaped = state_ == State::Escaped;
        state_ = !escaped && byte == kEscape ? State::Escaped : State::Data;
        if (state_ == State::Escaped) return Kind::Nothing;
        too_long_ |= data_.size() >= kPacketBytes;
        if (!too_long_) data_ += static_cast<char>(escaped ? byte ^ kEscapeFlip : byte);
        return Kind::Nothing;
    }
    case State::Checksum1: digits_[0] = byte, state_ = State::Checksum2; return Kind::Nothing;
    default: digits_[1] = byte, state_ = State::Between; return finish();
    }
}

PacketReader::Kind PacketReader::finish() {
    const int high = hex_digit(digits_[0]), low = hex_digit(digits_[1]);
    const bool right = trusting_ || (high >= 0 && low >= 0 && high * 16 + low == sum_);
    return right && !too_long_ ? Kind::Packet : Kind::Damaged;
}

std::string frame(std::string_view data) {
    u8 sum = 0;
    for (char c : data) sum = static_cast<u8>(sum + static_cast<u8>(c));
    return fmt::format("${}#{:02x}", data, sum);
}

std::string escape(std::string_view data) {
    std::string out;
    for (char c : data) {
        const bool special = c == '$' || c == '#' || c == '}' || c == '*';
        if (special) out += static_cast<char>(kEscape);
        out += special ? static_cast<char>(c ^ kEscapeFlip) : c;
    }
    return out;
}

std::string to_hex(std::string_view bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string out;
    out.reserve(2 * bytes.size());
    for (char c : bytes) out += kDigits[static_cast<u8>(c) >> 4], out += kDigits[c & 15];
    return out;
}

std::optional<std::string> from_hex(std::string_view text) {
    if (text.size() % 2) return std::nullopt;
    std::string out;
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const int high = hex_digit(static_cast<u8>(text[i])), low = hex_digit(static_cast<u8>(text[i + 1]));
        if (high < 0 || low < 0) return std::nullopt;
        out += static_cast<char>(high * 16 + low);
    }
    return out;
}

std::optional<u64> parse_hex(std::string_view text) {
    if (text.empty() || text.size() > 16) return std::nullopt;
    u64 value = 0;
    for (char c : text) {
        const int digit = hex_digit(static_cast<u8>(c));
        if (digit < 0) return std::nullopt;
        value = value << 4 | static_cast<u64>(digit);
    }
    return value;
}

std::optional<u64> parse_register(std::string_view text) {
    const auto bytes = from_hex(text);
    if (!bytes || bytes->size() != sizeof(u64)) return std::nullopt;
    u64 value = 0;
    for (std::size_t i = 0; i < bytes->size(); ++i) value |= u64{static_cast<u8>((*bytes)[i])} << (8 * i);
    return value;
}

} // namespace trapeze::debug
