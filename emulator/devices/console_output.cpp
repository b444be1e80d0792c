#include "emulator/devices/console_output.hpp"

#include <algorithm>

namespace trapeze {

void ConsoleOutput::append(std::string_view text) {
    if (text.size() > kMost / 2) {
        dropped_ += text.size() - kMost / 2;
        text.remove_prefix(text.size() - kMost / 2);
    }
    if (text_.size() + text.size() > kMost) { // drop in large pieces, so that a byte costs little
        const std::size_t drop = std::max(text.size(), kMost / 16);
        text_.erase(0, drop);
        dropped_ += drop;
    }
    text_.append(text);
}

void ConsoleOutput::state(StateArchive& archive) {
    archive(text_), archive(dropped_);
    if (text_.size() > kMost) text_.resize(kMost);
}

} // namespace trapeze
