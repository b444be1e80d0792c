// A pipe as a value (pipe(7)): its bytes in order, and where packets begin and end among them (O_DIRECT).
#pragma once

#include "emulator/base/types.hpp"

#include <algorithm>
#include <deque>
#include <span>
#include <string>

namespace trapeze::container {

inline constexpr std::size_t kPipeBytes = 65536, kPipeAtomic = 4096; ///< what a pipe holds at first, and what is written in one piece
inline constexpr u64 kMostPipeBytes = 1 << 20;                       ///< /proc/sys/fs/pipe-max-size
inline constexpr u64 kManyPipeBytes = u64{1} << 26;                  ///< of all pipes: from there on new ones are small, as for a user beyond pipe-user-pages-soft

struct Pipe {
    struct Piece {
        u64 bytes = 0;
        bool packet = false;
        bool operator==(const Piece&) const = default;
    };
    std::string buffer;
    u32 readers = 0, writers = 0;
    u32 fifo = 0;                ///< inode of its name, when it has one
    u64 capacity = kPipeBytes;
    std::deque<Piece> pieces{};

    u64 room() const { return capacity - std::min<u64>(capacity, buffer.size()); }
    void add(std::span<const u8> data, bool packet) {
        for (std::size_t done = 0; done < data.size();) {
            const std::size_t part = packet ? std::min(kPipeAtomic, data.size() - done) : data.size() - done;
            if (!packet && !pieces.empty() && !pieces.back().packet) pieces.back().bytes += part;
            else pieces.push_back({part, packet});
            done += part;
        }
        buffer.append(data.begin(), data.end());
    }
    /// What a read of `most` bytes would give: one packet at most, else across pieces. `taken`: what it takes out, the rest of a packet too.
    std::string front(u64 most, u64& taken) const {
        u64 count = 0;
        taken = 0;
        for (const Piece& piece : pieces) {
            if (count == most || (piece.packet && count)) break;
            const u64 part = std::min(most - count, piece.bytes);
            count += part, taken += piece.packet ? piece.bytes : part;
            if (piece.packet) break;
        }
        return buffer.substr(0, count);
    }
    void drop(u64 bytes) {
        buffer.erase(0, bytes);
        while (bytes) {
            const u64 part = std::min(bytes, pieces.front().bytes);
            bytes -= part;
            if (!(pieces.front().bytes -= part)) pieces.pop_front();
        }
    }
};

} // namespace trapeze::container
