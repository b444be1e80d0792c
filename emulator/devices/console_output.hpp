// What a console device has printed and nobody has taken yet. Bounded: the oldest bytes go first, and are counted.
#pragma once

#include "emulator/base/archive.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace trapeze {

class ConsoleOutput {
  public:
    static constexpr std::size_t kMost = 1 << 20; ///< bytes

    void append(std::string_view text);
    std::string take() { return std::exchange(text_, {}); }
    u64 dropped() const { return dropped_; }
    void drop(u64 bytes) { dropped_ += bytes; } ///< counts bytes that were never appended
    void state(StateArchive& archive);

  private:
    std::string text_;
    u64 dropped_ = 0;
};

} // namespace trapeze
