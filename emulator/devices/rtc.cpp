#include "emulator/devices/rtc.hpp"

#include "emulator/devices/board.hpp"

#include <algorithm>

namespace trapeze {

namespace {
enum Register : u64 {
    kTimeLow = 0x00, kTimeHigh = 0x04, kAlarmLow = 0x08, kAlarmHigh = 0x0c,
    kIrqEnabled = 0x10, kClearAlarm = 0x14, kAlarmStatus = 0x18, kClearInterrupt = 0x1c,
};
constexpr u64 kNsPerTick = 1'000'000'000 / kTimebaseHz;
constexpr u64 kLowHalf = 0xffff'ffff, kHighHalf = kLowHalf << 32;
} // namespace

void Rtc::reset() {
    alarm_ = alarm_tick_ = 0;
    time_high_ = 0;
    running_ = pending_ = enabled_ = false;
    raises_ = 0;
}

u64 Rtc::now(const DeviceContext& context) const { return kStart + offset_ + context.ticks * kNsPerTick; }

u64 Rtc::read(u64 offset, unsigned size, DeviceContext& context) {
    if (size != 4) return 0;
    switch (offset) {
    case kTimeLow: {
        const u64 time = now(context);
        time_high_ = static_cast<u32>(time >> 32);
        return static_cast<u32>(time);
    }
    case kTimeHigh: return time_high_;
    case kAlarmLow: return static_cast<u32>(alarm_);
    case kAlarmHigh: return static_cast<u32>(alarm_ >> 32);
    case kIrqEnabled: return enabled_;
    case kAlarmStatus: return running_;
    default: return 0;
    }
}

void Rtc::write(u64 offset, unsigned size, u64 value, DeviceContext& context) {
    if (size != 4) return;
    switch (offset) {
    case kTimeLow: set_time(set_field(now(context), kLowHalf, value), context); break;
    case kTimeHigh: set_time(set_field(now(context), kHighHalf, value), context); break;
    case kAlarmLow: // the driver writes the high half first
        alarm_ = set_field(alarm_, kLowHalf, value);
        set_alarm(context);
        break;
    case kAlarmHigh: alarm_ = set_field(alarm_, kHighHalf, value); break;
    case kIrqEnabled:
        enabled_ = value & 1;
        if (irq()) ++raises_;
        break;
    case kClearAlarm: running_ = false; break;
    case kClearInterrupt: pending_ = false; break;
    default: break;
    }
}

void Rtc::set_alarm(const DeviceContext& context) {
    const u64 time = now(context);
    running_ = alarm_ > time;
    if (!running_) return fire(); // it is over already
    const u64 ticks = (alarm_ - time + kNsPerTick - 1) / kNsPerTick;
    alarm_tick_ = context.ticks + std::min(ticks, ~u64{0} - context.ticks);
}

void Rtc::advance(DeviceContext& context) {
    if (context.ticks < due()) return;
    running_ = false;
    fire();
}

void Rtc::fire() {
    pending_ = true;
    if (irq()) ++raises_;
}

void Rtc::state(StateArchive& archive) {
    archive(offset_), archive(alarm_), archive(alarm_tick_), archive(time_high_), archive(raises_);
    u8 flags = static_cast<u8>(running_ | pending_ << 1 | enabled_ << 2);
    archive(flags);
    running_ = flags & 1, pending_ = flags & 2, enabled_ = flags & 4;
}

} // namespace trapeze
