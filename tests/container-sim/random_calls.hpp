// Random system calls for the probe `replay`, made from bytes: any call of the table (or none of it), arguments that are small, valid
// pointers, pointers beside what is there, or anything.
#pragma once

#include "container-sim/syscalls.hpp"

#include <cstring>
#include <span>
#include <string>

namespace trapeze::test {

inline constexpr u64 kReplayArea = 0x1'0000'0000, kReplayBytes = 0x10000;

/// One batch for the probe: a count and records of a number and six arguments.
inline std::string batch(const std::vector<std::array<u64, 7>>& calls) {
    std::string bytes(8 + calls.size() * 56, '\0');
    const u64 count = calls.size();
    std::memcpy(bytes.data(), &count, 8);
    for (std::size_t i = 0; i < calls.size(); ++i) std::memcpy(bytes.data() + 8 + i * 56, calls[i].data(), 56);
    return bytes;
}

/// Takes bytes as decisions; behind the end all are 0.
class Decisions {
  public:
    explicit Decisions(std::span<const u8> bytes) : bytes_(bytes) {}
    bool empty() const { return at_ >= bytes_.size(); }
    u64 byte() { return at_ < bytes_.size() ? bytes_[at_++] : 0; }
    u64 word() {
        u64 value = 0;
        for (int i = 0; i < 8; ++i) value = value << 8 | byte();
        return value;
    }

  private:
    std::span<const u8> bytes_;
    std::size_t at_ = 0;
};

inline u64 random_argument(Decisions& from) {
    switch (from.byte() % 12) {
    case 0: case 1: case 2: return from.byte() % 8;
    case 3: return from.byte() << (from.byte() % 24);
    case 4: return kReplayArea + from.byte() * 8;
    case 5: return kReplayArea + (from.byte() & 1) * 64;                    // a path
    case 6: return kReplayArea + kReplayBytes - from.byte() % 16;           // over the end
    case 7: return static_cast<u64>(-100);                                  // AT_FDCWD
    case 8: return ~u64{0} - from.byte();
    case 9: return from.byte();                                             // no pointer
    case 10: return 0x3f'ffff'0000 + from.byte() * 256;                     // the stack and above it
    default: return from.word();
    }
}

inline std::string random_batches(std::span<const u8> bytes) {
    Decisions from(bytes);
    std::string all;
    const auto& rows = container::syscall_rows();
    for (unsigned batches = 0; !from.empty() && batches < 8; ++batches) {
        std::vector<std::array<u64, 7>> calls(1 + from.byte() % 6);
        for (auto& call : calls) {
            const u64 which = from.byte() << 8 | from.byte();
            call[0] = which % 16 ? rows[which / 16 % rows.size()].number : which / 16;
            for (std::size_t i = 1; i < call.size(); ++i) call[i] = random_argument(from);
        }
        all += batch(calls);
    }
    return all;
}

} // namespace trapeze::test
