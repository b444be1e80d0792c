#include "emulator/devices/uart.hpp"

#include <algorithm>
#include <utility>

namespace trapeze {

namespace {
enum Register : u64 { kData = 0, kInterruptEnable = 1, kInterruptId = 2, kLineControl = 3, kModemControl = 4, kLineStatus = 5, kModemStatus = 6, kScratch = 7 };
constexpr u8 kReceiveEnable = 1, kTransmitEnable = 2;
constexpr u8 kDataReady = 1, kTransmitEmpty = 0x60;
constexpr u8 kIdNone = 1, kIdTransmit = 2, kIdReceive = 4, kIdFifos = 0xc0;
constexpr u8 kModemConnected = 0xb0; // carrier, data set ready, clear to send
} // namespace

void Uart::reset() { *this = Uart(); }

bool Uart::irq() const {
    const bool receive = interrupt_enable_ & kReceiveEnable && !typed_.empty();
    const bool transmit = interrupt_enable_ & kTransmitEnable && transmit_empty_pending_;
    return receive || transmit;
}

void Uart::type(std::string_view text) {
    typed_.append(text.substr(0, kMaxTyped - std::min(kMaxTyped, typed_.size())));
    ++raises_;
}

std::string Uart::take_output() { return std::exchange(printed_, {}); }

void Uart::print(std::string_view text) {
    if (printed_.size() >= kMaxPrinted) printed_.erase(0, kMaxPrinted / 2);
    printed_ += text;
}

std::string Uart::take_typed(std::size_t most) {
    std::string taken = typed_.substr(0, most);
    typed_.erase(0, most);
    return taken;
}

u64 Uart::read(u64 offset, unsigned, DeviceContext&) {
    switch (offset) {
    case kData:
        if (dlab()) return divisor_low_;
        if (typed_.empty()) return 0;
        ++raises_; // what is still waiting asks again
        return static_cast<u8>(take_typed(1)[0]);
    case kInterruptEnable: return dlab() ? divisor_high_ : interrupt_enable_;
    case kInterruptId: {
        const u8 fifos = fifo_control_ & 1 ? kIdFifos : 0;
        if (interrupt_enable_ & kReceiveEnable && !typed_.empty()) return fifos | kIdReceive;
        if (interrupt_enable_ & kTransmitEnable && transmit_empty_pending_) {
            transmit_empty_pending_ = false; // reading its id acknowledges it
            return fifos | kIdTransmit;
        }
        return fifos | kIdNone;
    }
    case kLineControl: return line_control_;
    case kModemControl: return modem_control_;
    case kLineStatus: return kTransmitEmpty | (typed_.empty() ? 0 : kDataReady);
    case kModemStatus: return kModemConnected;
    case kScratch: return scratch_;
    default: return 0;
    }
}

void Uart::write(u64 offset, unsigned, u64 value, DeviceContext&) {
    const u8 byte = static_cast<u8>(value);
    switch (offset) {
    case kData:
        if (dlab()) {
            divisor_low_ = byte;
        } else {
            const char c = static_cast<char>(byte);
            print({&c, 1});
            transmit_empty_pending_ = true;
            ++raises_;
        }
        break;
    case kInterruptEnable:
        if (dlab()) {
            divisor_high_ = byte;
        } else {
            if (!(interrupt_enable_ & kTransmitEnable) && byte & kTransmitEnable) transmit_empty_pending_ = true;
            interrupt_enable_ = byte & 0x0f;
            ++raises_;
        }
        break;
    case kInterruptId:
        fifo_control_ = byte & 0xc9;
        if (byte & 2) typed_.clear();
        break;
    case kLineControl: line_control_ = byte; break;
    case kModemControl: modem_control_ = byte & 0x1f; break;
    case kScratch: scratch_ = byte; break;
    default: break;
    }
}

void Uart::state(StateArchive& a) {
    a(typed_), a(printed_), a(interrupt_enable_), a(fifo_control_), a(line_control_), a(modem_control_), a(scratch_);
    a(divisor_low_), a(divisor_high_), a(transmit_empty_pending_), a(raises_);
}

std::vector<DeviceTreeProperty> Uart::device_tree() const {
    return {{"compatible", {}, {"ns16550a"}}, {"clock-frequency", {3686400}, {}}};
}

} // namespace trapeze
