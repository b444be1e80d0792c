// Random numbers of a seed, the same on every host.
#pragma once

#include "emulator/base/types.hpp"

#include <cstddef>
#include <initializer_list>

namespace trapeze::lockstep {

/// SplitMix64: the same numbers on every host, unlike the standard library's distributions.
class Random {
  public:
    explicit Random(u64 seed) : state_(seed) {}
    u64 next() {
        u64 z = state_ += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return z ^ z >> 31;
    }
    u64 below(u64 limit) { return next() % limit; }
    bool chance(unsigned percent) { return below(100) < percent; }
    template <class T, std::size_t N> T pick(const T (&from)[N]) { return from[below(N)]; }
    template <class T> T pick(std::initializer_list<T> from) { return from.begin()[below(from.size())]; }

  private:
    u64 state_;
};

} // namespace trapeze::lockstep
