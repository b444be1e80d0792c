#include "emulator/devices/plic.hpp"

namespace trapeze {

namespace {
constexpr u64 kPending = 0x1000, kEnable = 0x2000, kEnableStride = 0x80, kContext = 0x20'0000, kContextStride = 0x1000;
constexpr u32 kMaxPriority = 7;
} // namespace

void Plic::reset() {
    priority_ = {};
    pending_ = claimed_ = level_ = {};
    enable_ = {};
    threshold_ = {};
    raises_ = {};
}

void Plic::state(StateArchive& a) {
    a(priority_), a(raises_), a(enable_), a(threshold_);
    for (auto* flags : {&level_, &pending_, &claimed_})
        for (bool& flag : *flags) {
            u8 byte = flag; // a bool read from a file could hold anything
            a(byte);
            flag = byte & 1;
        }
}

void Plic::set_line(unsigned source, bool level, u32 raises, IrqTrigger trigger) {
    if (source == 0 || source >= kSources) return;
    const bool edge = trigger == IrqTrigger::Edge;
    const bool raised = level && (!edge || !level_[source] || raises != raises_[source]);
    if (raised && (edge || !claimed_[source])) pending_[source] = true;
    level_[source] = level;
    raises_[source] = raises;
}

u32 Plic::best(unsigned context, u32 above) const {
    u32 best = 0;
    for (u32 word = 0; word < kSources / 32; ++word)
        for (u32 enabled = enable_[context][word]; enabled; enabled &= enabled - 1) {
            const u32 source = word * 32 + static_cast<u32>(std::countr_zero(enabled));
            if (pending_[source] && !claimed_[source] && priority_[source] > above && (!best || priority_[source] > priority_[best]))
                best = source;
        }
    return best;
}

bool Plic::asserted(unsigned context) const { return context < contexts_ && best(context, threshold_[context]) != 0; }

u64 Plic::read(u64 offset, unsigned size) {
    if (size != 4 || offset & 3) return 0;
    if (offset < kSources * 4) return priority_[offset / 4];
    if (offset >= kPending && offset < kPending + kSources / 8) {
        u32 word = 0;
        const u64 first = (offset - kPending) * 8;
        for (unsigned i = 0; i < 32; ++i) word |= static_cast<u32>(pending_[first + i]) << i;
        return word;
    }
    if (offset >= kEnable && offset < kEnable + contexts_ * kEnableStride) {
        const u64 word = (offset - kEnable) % kEnableStride / 4;
        return word < kSources / 32 ? enable_[(offset - kEnable) / kEnableStride][word] : 0;
    }
    if (offset >= kContext && offset < kContext + contexts_ * kContextStride) {
        const unsigned context = static_cast<unsigned>((offset - kContext) / kContextStride);
        const u64 within = (offset - kContext) % kContextStride;
        if (within == 0) return threshold_[context];
        if (within == 4) {
            const u32 source = best(context, 0);
            if (source) pending_[source] = false, claimed_[source] = true;
            return source;
        }
    }
    return 0;
}

void Plic::write(u64 offset, unsigned size, u64 value) {
    if (size != 4 || offset & 3) return;
    const u32 word_value = static_cast<u32>(value);
    if (offset < kSources * 4) {
        if (offset) priority_[offset / 4] = word_value & kMaxPriority;
    } else if (offset >= kEnable && offset < kEnable + contexts_ * kEnableStride) {
        const u64 word = (offset - kEnable) % kEnableStride / 4;
        if (word < kSources / 32) enable_[(offset - kEnable) / kEnableStride][word] = word ? word_value : word_value & ~1u;
    } else if (offset >= kContext && offset < kContext + contexts_ * kContextStride) {
        const unsigned context = static_cast<unsigned>((offset - kContext) / kContextStride);
        const u64 within = (offset - kContext) % kContextStride;
        if (within == 0) threshold_[context] = word_value & kMaxPriority;
        if (within == 4 && word_value && word_value < kSources) {
            const bool enabled = enable_[context][word_value / 32] >> (word_value % 32) & 1;
            if (!enabled) return; // a completion by a context that has the source disabled is ignored
            claimed_[word_value] = false;
        }
    }
}

} // namespace trapeze
