#include "scenarios/call_stack.hpp"

#include <fmt/format.h>

#include <cstring>
#include <optional>

namespace trapeze::scenarios {

namespace {

constexpr unsigned kRa = 1, kSp = 2, kFp = 8;
constexpr u64 kStackBytes = 16 << 10, kMostFrame = 64 << 10;

/// A call that ends right before a return address.
struct Call {
    std::optional<u64> target; ///< none: an indirect call
};

class Finder {
  public:
    explicit Finder(const Session& session) : session_(session), state_(session.guest_state()) {}

    std::vector<CallFrame> find(std::size_t most) {
        add(CallFrame::How::Now, state_.pc, 0);
        const u64 ra = state_.x[kRa];
        // After its first call ra points into the function itself; before, to its caller.
        if (call_before(ra) && function_of(ra - 1) != function_of(state_.pc)) add(CallFrame::How::Link, ra, 0);
        if (!follow_frame_pointers(most)) search_stack(most);
        if (frames_.size() > most) frames_.resize(most);
        return std::move(frames_);
    }

  private:
    CallFrame frame(CallFrame::How how, u64 pc, u64 at) const {
        const u64 function = function_of(how == CallFrame::How::Now ? pc : pc - 1); // a call can be the function's last instruction
        const auto& symbols = session_.guest().elf.by_address;
        return {how, pc, at, !function ? "" : pc == function ? symbols.at(function) : fmt::format("{}+0x{:x}", symbols.at(function), pc - function)};
    }
    void add(CallFrame::How how, u64 pc, u64 at) { frames_.push_back(frame(how, pc, at)); }

    template <class T> std::optional<T> read(u64 address) const {
        u8 bytes[sizeof(T)];
        if (session_.peek(address, bytes) != sizeof bytes) return std::nullopt;
        T value;
        std::memcpy(&value, bytes, sizeof value);
        return value;
    }

    /// Address of the symbol that an address belongs to; 0: none.
    u64 function_of(u64 pc) const {
        const auto& symbols = session_.guest().elf.by_address;
        const auto after = symbols.upper_bound(pc);
        return after == symbols.begin() ? 0 : std::prev(after)->first;
    }

    /// The call whose return address this is, when there is one: jal or jalr with ra, or their short form.
    std::optional<Call> call_before(u64 address) const {
        if (address < 8 || address & 1) return std::nullopt;
        if (const auto word = read<u32>(address - 4); word && is_long(static_cast<u16>(*word))) {
            const Instruction insn = decode(*word);
            const Format format = row(insn.op).format;
            if (format == Format::J && insn.rd == kRa) return Call{address - 4 + static_cast<u64>(insn.imm)};
            if (format == Format::Jalr && insn.rd == kRa) return Call{far_target(address, insn)};
        }
        if (const auto half = read<u16>(address - 2); half && !is_long(*half)) {
            const Instruction insn = decode(*half);
            if (row(insn.op).format == Format::Jalr && insn.rd == kRa) return Call{};
        }
        return std::nullopt;
    }
    /// auipc and jalr together are a direct call.
    std::optional<u64> far_target(u64 address, const Instruction& jalr) const {
        const auto word = read<u32>(address - 8);
        if (!word || !is_long(static_cast<u16>(*word))) return std::nullopt;
        const Instruction upper = decode(*word);
        if (upper.op != Op::auipc || upper.rd != jalr.rs1) return std::nullopt;
        return address - 8 + static_cast<u64>(upper.imm) + static_cast<u64>(jalr.imm);
    }

    /// Each frame has the return address below its s0, and below that the caller's s0 (the psABI's convention with frame pointers).
    bool follow_frame_pointers(std::size_t most) {
        std::vector<CallFrame> found;
        u64 fp = state_.x[kFp], above = state_.x[kSp];
        while (frames_.size() + found.size() < most && fp > above && fp - above <= kMostFrame && fp % 16 == 0) {
            const auto ra = read<u64>(fp - 8), next = read<u64>(fp - 16);
            if (!ra || !next || !call_before(*ra)) break;
            if (frames_.back().pc != *ra || !found.empty()) found.push_back(frame(CallFrame::How::FramePointer, *ra, fp - 8));
            above = fp, fp = *next;
        }
        frames_.insert(frames_.end(), found.begin(), found.end());
        return !found.empty();
    }

    void search_stack(std::size_t most) {
        const u64 sp = state_.x[kSp] & ~u64{7};
        for (u64 at = sp; at - sp < kStackBytes && frames_.size() < most; at += 8) {
            const auto value = read<u64>(at);
            if (!value) break;
            const auto call = call_before(*value);
            if (!call || !function_of(*value)) continue;
            const u64 below = function_of(frames_.back().pc - (frames_.size() > 1));
            if (call->target && *call->target != below) continue; // left over from another call
            add(call->target ? CallFrame::How::CallMatches : CallFrame::How::Guess, *value, at);
        }
    }

    const Session& session_;
    HartState state_;
    std::vector<CallFrame> frames_;
};

} // namespace

const char* how_text(CallFrame::How how) {
    switch (how) {
    case CallFrame::How::Now: return "program counter";
    case CallFrame::How::Link: return "register ra";
    case CallFrame::How::FramePointer: return "frame pointer";
    case CallFrame::How::CallMatches: return "on the stack, behind a call of the function below";
    case CallFrame::How::Guess: return "a guess: on the stack, behind an indirect call";
    }
    return "";
}

std::vector<CallFrame> call_stack(const Session& session, std::size_t most) {
    if (session.kernel()) return {};
    return Finder(session).find(most);
}

} // namespace trapeze::scenarios
