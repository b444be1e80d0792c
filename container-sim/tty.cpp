// A container's terminal: what its keyboard has typed and what it has printed.
#include "container-sim/abi.hpp"
#include "container-sim/file_operations.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {

WaitKey tty_key(const OpenFile& file) { return {WaitKind::Tty, file.object}; }

/// At most a line at a time, as a terminal gives it; at the end of what will be typed, nothing.
Attempt read_tty(const Call& call, OpenFile& file, u64 to, u64 bytes, u64*) {
    Kernel::Tty& tty = call.kernel.ttys[file.object];
    if (!bytes) return 0;
    if (tty.input.empty() && !tty.closed) return file.flags & kNonBlock ? Attempt(-kEAGAIN) : call.wait(tty_key(file));
    const std::size_t line = tty.input.find('\n');
    const std::size_t count = std::min<std::size_t>(bytes, line == std::string::npos ? tty.input.size() : line + 1);
    const std::vector<u8> data(tty.input.begin(), tty.input.begin() + static_cast<std::ptrdiff_t>(count));
    tty.input.erase(0, count);
    return call.kernel.copy_out(call.machine, call.task(), to, data) ? Attempt(static_cast<i64>(data.size())) : Attempt(-kEFAULT);
}

Attempt write_tty(const Call& call, OpenFile& file, u64 from, u64 bytes, const u64*) {
    constexpr std::size_t kMostPrinted = 1 << 20;
    std::vector<u8> data(bytes);
    if (!call.kernel.copy_in(call.machine, call.task(), from, data)) return -kEFAULT;
    std::string& output = call.kernel.ttys[file.object].output;
    if (output.size() > kMostPrinted) output.erase(0, kMostPrinted / 2);
    output.append(data.begin(), data.end());
    return static_cast<i64>(bytes);
}

i16 poll_tty(const Kernel& kernel, const OpenFile& file) {
    const Kernel::Tty& tty = kernel.ttys[file.object];
    return static_cast<i16>(kPollOut | (tty.input.empty() && !tty.closed ? 0 : kPollIn));
}

Attempt tty_ioctl(const Call& call, OpenFile&, u64 request, u64 argument) {
    enum : u64 { kTcGets = 0x5401, kTcSets = 0x5402, kTcSetsw = 0x5403, kTcSetsf = 0x5404, kWindowSize = 0x5413, kTcGets2 = 0x802c542a };
    switch (request) {
    case kTcGets: case kTcGets2: {
        std::array<u32, 11> termios{0x500, 0x5, 0xbf, 0x8a3b}; // input, output, control and local modes of a fresh terminal
        const std::size_t bytes = request == kTcGets ? 36 : 44;
        return call.kernel.copy_out(call.machine, call.task(), argument, std::span(reinterpret_cast<const u8*>(termios.data()), bytes)) ? Attempt(0) : Attempt(-kEFAULT);
    }
    case kTcSets: case kTcSetsw: case kTcSetsf: return 0;
    case kWindowSize: return call.write_user(argument, std::array<u16, 4>{24, 80, 0, 0}) ? Attempt(0) : Attempt(-kEFAULT);
    default: return -kENOTTY;
    }
}

} // namespace

const FileOperations kTtyOperations{.read = read_tty, .write = write_tty, .poll = poll_tty, .wait_key = tty_key, .ioctl = tty_ioctl, .mode = 0020620};

void Kernel::hang_up(Machine& machine, u32, i32 session) {
    for (u32 i = 1; i < processes.size(); ++i)
        if (processes[i].used && processes[i].session == session) {
            processes[i].tty = 0;
            send_to_process(machine, i, {.number = kSigHup, .code = kCodeKernel});
            send_to_process(machine, i, {.number = kSigCont, .code = kCodeKernel});
        }
}

} // namespace trapeze::container
