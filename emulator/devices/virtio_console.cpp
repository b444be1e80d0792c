#include "emulator/devices/virtio_console.hpp"

#include <algorithm>

namespace trapeze {

void VirtioConsole::type(std::string_view text) {
    const std::size_t taken = std::min(text.size(), kMaxInput - std::min(kMaxInput, input_.size()));
    input_.append(text.substr(0, taken));
    dropped_input_ += text.size() - taken;
    wake();
}

bool VirtioConsole::serve(unsigned queue, VirtioChain& chain) { return queue == kTransmit ? transmit(chain) : receive(chain); }

bool VirtioConsole::receive(VirtioChain& chain) {
    const std::size_t count = std::min<u64>(input_.size(), chain.writable_left());
    if (count == 0) return false; // section 5.3.6.1: the driver gives buffers to write to
    if (!chain.write(std::span(reinterpret_cast<const u8*>(input_.data()), count))) return false;
    input_.erase(0, count);
    return true;
}

bool VirtioConsole::transmit(VirtioChain& chain) {
    const u64 bytes = chain.readable_left(), printed = std::min(bytes, kMaxRequestBytes);
    std::string text(printed, '\0');
    if (!chain.read(std::span(reinterpret_cast<u8*>(text.data()), printed))) return false;
    output_.append(text);
    output_.drop(bytes - printed);
    return true;
}

void VirtioConsole::state(StateArchive& archive) {
    VirtioMmio::state(archive);
    archive(input_), archive(dropped_input_);
    output_.state(archive);
    if (input_.size() > kMaxInput) input_.resize(kMaxInput);
}

} // namespace trapeze
