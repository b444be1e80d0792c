#include "emulator/devices/uart.hpp"

#include <algorithm>
#include <utility>

namespace trapeze {

namespace {
enum Register : u64 { kData = 0, kInterruptEnable = 1, kInterruptId = 2, kLineControl = 3, kModemControl = 4, kLineStatus = 5, kModemStatus = 6, kScratch = 7 };
constexpr u8 kIerReceive = 1, kIerTransmit = 2, kIerLineStatus = 4;
constexpr u8 kIdNone = 1, kIdTransmit = 2, kIdReceive = 4, kIdLineStatus = 6, kIdTimeout = 0xc, kIdFifo = 0xc0;
constexpr u8 kDivisorLatch = 0x80;
constexpr u8 kLoop = 0x10;
constexpr u8 kDataReady = 1, kOverrun = 2, kTransmitterEmpty = 0x60;
constexpr u8 kFifoEnable = 1, kFifoClearReceive = 2, kFifoClearTransmit = 4;
constexpr std::size_t kFifoBytes = 16;
} // namespace

void Uart::reset() {
    ier_ = lcr_ = scratch_ = fcr_ = 0;
    raises_ = 0;
    mcr_ = 8;
    divisor_low_ = 12, divisor_high_ = 0;
    transmit_interrupt_ = overrun_ = false;
    in_fifo_ = last_ = 0;
}

std::size_t Uart::fifo_bytes() const { return fcr_ & kFifoEnable ? kFifoBytes : 1; }

void Uart::look() {
    in_fifo_ = static_cast<u8>(std::min(waiting(), fifo_bytes()));
    if (in_fifo_ && fifo_bytes() == 1) last_ = static_cast<u8>(input_[taken_]);
}

u8 Uart::receive() {
    look();
    if (!in_fifo_) return fifo_bytes() == 1 ? last_ : 0;
    const u8 byte = static_cast<u8>(input_[taken_++]);
    --in_fifo_;
    ++raises_; // what still waits asks again
    if (taken_ == input_.size() || taken_ >= 4096) input_.erase(0, taken_), taken_ = 0;
    return byte;
}

void Uart::transmit(u8 byte) {
    transmit_interrupt_ = true;
    ++raises_;
    if (!(mcr_ & kLoop)) {
        const char c = static_cast<char>(byte);
        print({&c, 1});
    } else if (in_fifo_ < fifo_bytes() && waiting() < kMaxInput) {
        // What is sent arrives at the end of the FIFO, before what waits on the line.
        input_.insert(taken_ + in_fifo_, 1, static_cast<char>(byte));
        ++in_fifo_;
    } else {
        overrun_ = true;
        if (in_fifo_ && fifo_bytes() == 1) input_[taken_] = static_cast<char>(byte); // the one register is overwritten
    }
    if (mcr_ & kLoop && in_fifo_ && fifo_bytes() == 1) last_ = static_cast<u8>(input_[taken_]);
}

u8 Uart::interrupt_id() const {
    static constexpr std::size_t kTriggers[] = {1, 4, 8, 14};
    if ((ier_ & kIerLineStatus) && overrun_) return kIdLineStatus;
    if ((ier_ & kIerReceive) && waiting())
        return (fcr_ & kFifoEnable) && waiting() < kTriggers[fcr_ >> 6] ? kIdTimeout : kIdReceive;
    if ((ier_ & kIerTransmit) && transmit_interrupt_) return kIdTransmit;
    return kIdNone;
}

u8 Uart::modem_status() const {
    if (!(mcr_ & kLoop)) return 0xb0; // carrier, data set ready, clear to send
    return static_cast<u8>((mcr_ & 2) << 3 | (mcr_ & 1) << 5 | (mcr_ & 4) << 4 | (mcr_ & 8) << 4);
}

void Uart::set_fifo_control(u8 value) {
    const bool changed = (value ^ fcr_) & kFifoEnable;
    if (changed || value & kFifoClearTransmit) { // it became empty
        transmit_interrupt_ = true;
        ++raises_;
    }
    if (changed || value & kFifoClearReceive) {
        taken_ += std::min<std::size_t>(in_fifo_, waiting());
        in_fifo_ = 0;
    }
    fcr_ = value & 0xc9;
}

u64 Uart::read(u64 offset, unsigned, DeviceContext&) {
    const bool latch = lcr_ & kDivisorLatch;
    switch (offset) {
    case kData: return latch ? divisor_low_ : receive();
    case kInterruptEnable: return latch ? divisor_high_ : ier_;
    case kInterruptId: {
        const u8 id = interrupt_id();
        if (id == kIdTransmit) transmit_interrupt_ = false;
        return id | (fcr_ & kFifoEnable ? kIdFifo : 0);
    }
    case kLineControl: return lcr_;
    case kModemControl: return mcr_;
    case kLineStatus:
        look();
        return kTransmitterEmpty | (in_fifo_ ? kDataReady : 0) | (std::exchange(overrun_, false) ? kOverrun : 0);
    case kModemStatus: return modem_status();
    case kScratch: return scratch_;
    default: return 0;
    }
}

void Uart::write(u64 offset, unsigned, u64 value, DeviceContext&) {
    const u8 byte = static_cast<u8>(value);
    const bool latch = lcr_ & kDivisorLatch;
    switch (offset) {
    case kData:
        if (latch) divisor_low_ = byte;
        else transmit(byte);
        break;
    case kInterruptEnable:
        if (latch) {
            divisor_high_ = byte;
        } else {
            if (byte & ~ier_ & kIerTransmit) transmit_interrupt_ = true; // enabling it while empty asks at once
            ier_ = byte & 0xf;
            ++raises_;
        }
        break;
    case kInterruptId: set_fifo_control(byte); break;
    case kLineControl: lcr_ = byte; break;
    case kModemControl: mcr_ = byte & 0x1f; break;
    case kScratch: scratch_ = byte; break;
    default: break;
    }
}

void Uart::type(std::string_view text) {
    const std::size_t taken = std::min(text.size(), kMaxInput - std::min(kMaxInput, waiting()));
    input_.append(text.substr(0, taken));
    dropped_input_ += text.size() - taken;
    ++raises_;
}

std::string Uart::take_typed(std::size_t most) {
    std::string text;
    while (text.size() < most && waiting()) text += static_cast<char>(receive());
    return text;
}

void Uart::state(StateArchive& archive) {
    input_.erase(0, taken_), taken_ = 0;
    for (u8* reg : {&ier_, &lcr_, &mcr_, &scratch_, &fcr_, &divisor_low_, &divisor_high_, &in_fifo_, &last_}) archive(*reg);
    u8 pending = static_cast<u8>(transmit_interrupt_ | overrun_ << 1);
    archive(pending), archive(raises_);
    transmit_interrupt_ = pending & 1, overrun_ = pending & 2;
    archive(input_), archive(dropped_input_);
    output_.state(archive);
    if (input_.size() > kMaxInput) input_.resize(kMaxInput);
    in_fifo_ = static_cast<u8>(std::min<std::size_t>({in_fifo_, kFifoBytes, waiting()}));
}

std::vector<DeviceTreeProperty> Uart::device_tree() const {
    return {{"compatible", {}, {"ns16550a"}}, {"clock-frequency", {3'686'400}, {}}};
}

} // namespace trapeze
