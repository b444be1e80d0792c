#include "emulator/debug/gdb_stub.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::debug {

namespace {

constexpr unsigned kIntegerRegisters = 33, kFloatRegisters = 32; // x0..x31 and pc; f0..f31
constexpr unsigned kSigint = 2, kSigtrap = 5;                     // GDB's numbers
constexpr char kOk[] = "OK", kRefused[] = "E01", kNoMemory[] = "E14", kUnknown[] = "";
constexpr std::size_t kMonitorChunk = 2000; // characters of a monitor command's answer in one packet

bool take(std::string_view& text, std::string_view prefix) {
    if (!text.starts_with(prefix)) return false;
    text.remove_prefix(prefix.size());
    return true;
}

/// The part of `text` before `separator`; `text` keeps what follows it.
std::string_view take_until(std::string_view& text, char separator) {
    const std::size_t at = text.find(separator);
    const std::string_view part = text.substr(0, at);
    text = at == std::string_view::npos ? std::string_view() : text.substr(at + 1);
    return part;
}

std::string register_hex(u64 value) {
    u8 bytes[sizeof value];
    for (std::size_t i = 0; i < sizeof value; ++i) bytes[i] = static_cast<u8>(value >> (8 * i));
    return to_hex(bytes);
}

struct Range {
    u64 address, bytes;
};
/// "ADDRESS,LENGTH" in hexadecimal.
std::optional<Range> parse_range(std::string_view text) {
    const auto address = parse_hex(take_until(text, ','));
    const auto bytes = parse_hex(text);
    return address && bytes ? std::optional(Range{*address, *bytes}) : std::nullopt;
}

std::string thread_id(unsigned hart) { return fmt::format("{:x}", hart + 1); }

const char* watch_name(BreakKind kind) { return kind == BreakKind::Write ? "watch" : kind == BreakKind::Read ? "rwatch" : "awatch"; }

} // namespace

// --- The line -----------------------------------------------------------------------------------------------------------------

std::string GdbStub::packet(std::string_view data) { return last_ = frame(data); }

std::string GdbStub::feed(std::string_view bytes) {
    std::string out;
    for (char c : bytes) {
        if (end_ != End::No) break;
        switch (reader_.feed(static_cast<u8>(c))) {
        case PacketReader::Kind::Nothing:
        case PacketReader::Kind::Ack: break;
        case PacketReader::Kind::Nak:
            if (acknowledging_) out += last_;
            break;
        case PacketReader::Kind::Damaged:
            if (acknowledging_) out += '-';
            break;
        case PacketReader::Kind::Interrupt:
            if (!running_) break;
            out += packet(report({StopReport::Why::Interrupted, target_.interrupt(), BreakKind::Software, 0, 0}));
            break;
        case PacketReader::Kind::Packet:
            if (acknowledging_) out += '+';
            out += serve(reader_.data());
            break;
        }
    }
    return out;
}

std::string GdbStub::run_slice() {
    const auto stop = target_.run_slice();
    return stop ? packet(report(*stop)) : std::string();
}

/// Answers one packet. Everything but a motion is answered at once.
std::string GdbStub::serve(const std::string& data) {
    if (data.empty()) return packet(kUnknown);
    if (running_) return packet(kRefused);
    std::string_view rest = std::string_view(data).substr(1);
    switch (data[0]) {
    case '?': return packet(report(stop_));
    case 'g': return packet(read_registers());
    case 'G': return packet(write_registers(rest));
    case 'p': return packet(read_register(rest));
    case 'P': return packet(write_register(rest));
    case 'm': return packet(read_memory(rest));
    case 'M': return packet(write_memory(rest, false));
    case 'X': return packet(write_memory(rest, true));
    case 'Z':
    case 'z': return packet(breakpoint(data));
    case 'H': return packet(select_hart(rest));
    case 'T': return packet(parse_thread(rest) ? kOk : kRefused);
    case 'q': return query(rest);
    case 'Q': return packet(set(rest));
    case 'c':
    case 's':
        if (!rest.empty()) {
            const auto pc = parse_hex(rest);
            if (!pc || !target_.write_register(hart_, kRegisterPc, *pc)) return packet(kRefused);
        }
        return resume(data[0] == 'c' ? Motion::Continue : Motion::Step, hart_);
    case 'C':
    case 'S': return resume(data[0] == 'C' ? Motion::Continue : Motion::Step, hart_); // the signal has no meaning here
    case 'b':
        if (rest == "s") return resume(Motion::BackStep, hart_);
        if (rest == "c") return resume(Motion::BackContinue, hart_);
        return packet(kUnknown);
    case 'v':
        if (take(rest, "Cont?")) return packet("vCont;c;C;s;S");
        if (take(rest, "Cont;")) return vcont(rest);
        if (take(rest, "Kill")) return end_ = End::Killed, packet(kOk);
        return packet(kUnknown);
    case 'D': return end_ = End::Detached, packet(kOk);
    case 'k': return end_ = End::Killed, std::string();
    default: return packet(kUnknown);
    }
}

// --- Questions and settings ---------------------------------------------------------------------------------------------------

std::string GdbStub::query(std::string_view text) {
    if (take(text, "Supported"))
        return packet(fmt::format("PacketSize={:x};QStartNoAckMode+;vContSupported+;swbreak+;hwbreak+;qXfer:features:read+;ReverseStep+;"
                                  "ReverseContinue+;multiprocess-", kPacketBytes));
    if (take(text, "Xfer:features:read:")) return packet(transfer(text));
    if (text == "C") return packet("QC" + thread_id(hart_));
    if (text == "fThreadInfo") return packet(thread_list());
    if (text == "sThreadInfo") return packet("l");
    if (take(text, "ThreadExtraInfo,")) {
        const auto hart = parse_thread(text);
        return packet(hart ? to_hex(target_.describe(*hart)) : kRefused);
    }
    if (text.starts_with("Attached")) return packet("1");
    if (text.starts_with("Symbol:")) return packet(kOk);
    if (text == "qemu.PhyMemMode") return packet(physical_ ? "1" : "0");
    if (take(text, "Rcmd,")) return monitor(text);
    return packet(kUnknown);
}

std::string GdbStub::set(std::string_view text) {
    if (text == "StartNoAckMode") return acknowledging_ = false, reader_.trust_checksums(), kOk;
    if (take(text, "qemu.PhyMemMode:")) return physical_ = text == "1", kOk;
    return kUnknown;
}

std::string GdbStub::transfer(std::string_view request) {
    if (take_until(request, ':') != "target.xml") return "E00";
    const auto range = parse_range(request);
    if (!range) return kRefused;
    if (description_.empty()) description_ = target_description();
    if (range->address >= description_.size()) return "l";
    // Escaping may double the length.
    const std::string_view part = std::string_view(description_).substr(range->address, std::min<u64>(range->bytes, kPacketBytes / 2 - 1));
    return (range->address + part.size() < description_.size() ? "m" : "l") + escape(part);
}

std::string GdbStub::thread_list() const {
    std::string list = "m";
    for (unsigned hart = 0; hart < target_.harts(); ++hart) list += (hart ? "," : "") + thread_id(hart);
    return list;
}

std::optional<unsigned> GdbStub::parse_thread(std::string_view text) const {
    if (text == "-1" || text == "0") return hart_;
    const auto id = parse_hex(text);
    return id && *id >= 1 && *id <= target_.harts() ? std::optional(static_cast<unsigned>(*id - 1)) : std::nullopt;
}

std::string GdbStub::select_hart(std::string_view text) {
    if (text.empty()) return kRefused;
    const auto hart = parse_thread(text.substr(1));
    if (!hart) return kRefused;
    hart_ = *hart;
    return kOk;
}

std::string GdbStub::monitor(std::string_view hex) {
    const auto command = from_hex(hex);
    if (!command) return packet(kRefused);
    const std::string answer = target_.monitor(*command, hart_, physical_);
    std::string out;
    for (std::size_t at = 0; at < answer.size(); at += kMonitorChunk) out += frame("O" + to_hex(std::string_view(answer).substr(at, kMonitorChunk)));
    return out + packet(kOk);
}

// --- Registers and memory -------------------------------------------------------------------------------------------------------

std::string GdbStub::read_registers() {
    std::string out;
    for (unsigned number = 0; number < kIntegerRegisters + kFloatRegisters; ++number) out += read_register(fmt::format("{:x}", number));
    return out;
}

std::string GdbStub::write_registers(std::string_view hex) {
    constexpr std::size_t kDigits = 2 * sizeof(u64);
    const std::size_t count = hex.size() / kDigits;
    if (hex.size() % kDigits || count > kIntegerRegisters + kFloatRegisters) return kRefused;
    for (std::size_t i = 0; i < count; ++i)
        if (!parse_register(hex.substr(i * kDigits, kDigits))) return kRefused;
    for (std::size_t i = 0; i < count; ++i)
        target_.write_register(hart_, static_cast<unsigned>(i), *parse_register(hex.substr(i * kDigits, kDigits)));
    return kOk;
}

std::string GdbStub::read_register(std::string_view text) {
    const auto number = parse_hex(text);
    if (!number || *number > kRegisterPriv) return kRefused;
    const auto value = target_.read_register(hart_, static_cast<unsigned>(*number));
    return value ? register_hex(*value) : kRefused;
}

std::string GdbStub::write_register(std::string_view text) {
    const auto number = parse_hex(take_until(text, '='));
    const auto value = parse_register(text);
    if (!number || !value || *number > kRegisterPriv) return kRefused;
    return target_.write_register(hart_, static_cast<unsigned>(*number), *value) ? kOk : kRefused;
}

std::string GdbStub::read_memory(std::string_view text) {
    const auto range = parse_range(text);
    if (!range) return kRefused;
    std::vector<u8> bytes(std::min<u64>(range->bytes, kPacketBytes / 2));
    bytes.resize(target_.read_memory(hart_, range->address, physical_, bytes));
    return bytes.empty() && range->bytes ? kNoMemory : to_hex(bytes);
}

std::string GdbStub::write_memory(std::string_view text, bool binary) {
    const auto range = parse_range(take_until(text, ':'));
    const auto bytes = binary ? std::optional(std::string(text)) : from_hex(text);
    if (!range || !bytes || bytes->size() != range->bytes) return kRefused;
    if (bytes->empty()) return kOk; // GDB asks like this whether there are binary writes
    const auto data = std::span(reinterpret_cast<const u8*>(bytes->data()), bytes->size());
    return target_.write_memory(hart_, range->address, physical_, data) ? kOk : kNoMemory;
}

std::string GdbStub::breakpoint(std::string_view text) {
    const bool insert = text[0] == 'Z';
    text.remove_prefix(1);
    const auto kind = parse_hex(take_until(text, ','));
    const auto range = parse_range(take_until(text, ';')); // conditions are GDB's own work
    if (!kind || *kind > static_cast<u64>(BreakKind::Access)) return kUnknown;
    if (!range) return kRefused;
    const auto k = static_cast<BreakKind>(*kind);
    return (insert ? target_.insert_breakpoint(k, range->address, range->bytes) : target_.remove_breakpoint(k, range->address, range->bytes)) ? kOk
                                                                                                                                           : kRefused;
}

// --- Running --------------------------------------------------------------------------------------------------------------------

std::string GdbStub::resume(Motion motion, unsigned hart) {
    running_ = true;
    target_.begin(motion, hart);
    return {};
}

/// "s:2;c": the leftmost action that fits a hart is its own. When one is to step, that is the motion, because the others take their turns
/// in any case.
std::string GdbStub::vcont(std::string_view actions) {
    std::vector<char> chosen(target_.harts(), 0);
    while (!actions.empty()) {
        std::string_view thread = take_until(actions, ';');
        const std::string_view action = take_until(thread, ':');
        const bool known = !action.empty() && std::string_view("cCsS").find(action[0]) != std::string_view::npos;
        const bool all = thread.empty() || thread == "-1";
        const auto hart = all ? std::optional(0u) : parse_thread(thread);
        if (!known || !hart) return packet(kRefused);
        const char kind = action[0] == 's' || action[0] == 'S' ? 's' : 'c';
        for (unsigned h = 0; h < chosen.size(); ++h)
            if (!chosen[h] && (all || h == *hart)) chosen[h] = kind;
    }
    const auto stepping = chosen[hart_] == 's' ? chosen.begin() + hart_ : std::find(chosen.begin(), chosen.end(), 's');
    if (stepping != chosen.end()) return resume(Motion::Step, static_cast<unsigned>(stepping - chosen.begin()));
    if (std::all_of(chosen.begin(), chosen.end(), [](char c) { return c == 0; })) return packet(kRefused);
    return resume(Motion::Continue, hart_);
}

/// The stop reply, after which GDB is shown the hart that it is about.
std::string GdbStub::report(const StopReport& stop) {
    running_ = false;
    stop_ = stop;
    using Why = StopReport::Why;
    if (stop.why == Why::Exited) return fmt::format("W{:02x}", stop.code > 0xff ? 0xffu : stop.code);
    hart_ = stop.hart;
    const unsigned signal = stop.why == Why::Interrupted ? kSigint : kSigtrap;
    std::string text = fmt::format("T{:02x}thread:{};", signal, thread_id(stop.hart));
    if (stop.why == Why::Breakpoint) text += stop.kind == BreakKind::Software ? "swbreak:;" : "hwbreak:;";
    if (stop.why == Why::Watchpoint) text += fmt::format("{}:{:x};", watch_name(stop.kind), stop.address);
    if (stop.why == Why::HistoryBegins) text += "replaylog:begin;";
    return text;
}

} // namespace trapeze::debug
