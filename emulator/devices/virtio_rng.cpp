#include "emulator/devices/virtio_rng.hpp"

#include <algorithm>
#include <cstring>

namespace trapeze {

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
u64 VirtioRng::next() {
    u64 z = generator_ += 0x9e37'79b9'7f4a'7c15;
    z = (z ^ z >> 30) * 0xbf58'476d'1ce4'e5b9;
    z = (z ^ z >> 27) * 0x94d0'49bb'1331'11eb;
    return z ^ z >> 31;
}

bool VirtioRng::serve(unsigned, VirtioChain& chain) {
    if (chain.readable_left()) return false; // section 5.4.6.1: the driver must not give any
    for (u64 left = std::min(chain.writable_left(), kMaxRequestBytes); left;) {
        const u64 word = next();
        u8 bytes[8];
        std::memcpy(bytes, &word, sizeof bytes);
        const auto part = std::span<const u8>(bytes).first(std::min<u64>(left, sizeof bytes));
        if (!chain.write(part)) return false;
        left -= part.size();
    }
    return true;
}

void VirtioRng::state(StateArchive& archive) {
    VirtioMmio::state(archive);
    archive(generator_);
}

} // namespace trapeze
