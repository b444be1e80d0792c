// ioctl_tty(2).
#include "container-sim/abi.hpp"
#include "container-sim/lookups.hpp"
#include "container-sim/file_operations.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {

enum : u64 { kGets = 0x5401, kSets, kSetsWait, kSetsFlush, kBreak = 0x5409, kFlow = 0x540a, kFlush = 0x540b, kAlone = 0x540c, kShared, kTakeControl, kGetGroup, kSetGroup, kOutputQueue,
             kPretendTyped, kGetSize, kSetSize, kReadable = 0x541b, kPacket = 0x5420, kGiveUp = 0x5422, kSetDiscipline, kGetDiscipline, kBreakLong, kGetSession = 0x5429,
             kGetExclusive = 0x80045440, kGets2 = 0x802c542a, kSets2 = 0x402c542b, kSetsWait2, kSetsFlush2, kGetNumber = 0x80045430, kSetLock = 0x40045431, kGetDevice,
             kGetLock = 0x80045439, kGetPeer = 0x5441 };
constexpr u8 kFlushedRead = 1, kFlushedWrite = 2; // TIOCPKT_FLUSHREAD, TIOCPKT_FLUSHWRITE

Attempt give(const Call& call, u64 to, const auto& value) { return call.write_user(to, value) ? Attempt(0) : Attempt(-kEFAULT); }

Attempt set_termios(const Call& call, Terminal& terminal, u64 from, bool whole, bool flush) {
    Termios wanted = terminal.termios;
    if (!call.kernel.copy_in(call.machine, call.task(), from, std::span(reinterpret_cast<u8*>(&wanted), whole ? sizeof wanted : 36))) return -kEFAULT;
    if (flush) terminal.flush_input();
    terminal.change(wanted);
    return 0;
}

Attempt flush(Terminal& terminal, u64 which, bool master) {
    if (which > 2) return -kEINVAL;
    const bool in = which != 1, out = which != 0;
    if (master ? out : in) terminal.flush_input();
    if (master ? in : out) terminal.output.clear();
    if (!master) terminal.packet_status |= static_cast<u8>((in ? kFlushedRead : 0) | (out ? kFlushedWrite : 0));
    return 0;
}

Attempt of_master(const Call& call, const OpenFile& file, Terminal& terminal, u64 request, u64 argument) {
    i32 value = 0;
    switch (request) {
    case kGetNumber: return give(call, argument, terminal.index);
    case kGetLock: return give(call, argument, i32{terminal.locked});
    case kSetLock:
        if (!call.read_user(argument, value)) return -kEFAULT;
        return terminal.locked = value, 0;
    case kPacket:
        if (!call.read_user(argument, value)) return -kEFAULT;
        if (value && !terminal.packet) terminal.packet_status = 0;
        return terminal.packet = value, 0;
    case kGetPeer: {
        const u32 node = call.kernel.vfs.child(call.kernel.vfs.root_of(terminal.instance), std::to_string(terminal.index));
        const Location at = node ? call.kernel.vfs.location_of(file.location.mount, node) : Location{};
        const bool locked = std::exchange(terminal.locked, false); // the lock is of the name, not of the master's owner
        const Attempt opened = call.open_slave(file.object, at, argument);
        call.kernel.terminals[file.object].locked = locked;
        return opened;
    }
    default: return -kENOTTY;
    }
}

/// Group and session of the terminal: the master's owner sees them always, others when it controls them.
Attempt get_group(const Call& call, const OpenFile& file, const Terminal& terminal, i32 number, u64 to) {
    const bool controlled = call.kernel.process_of(call.task()).tty == file.object + 1;
    if (file.kind == FileKind::Tty && !controlled) return -kENOTTY;
    if (!terminal.session) return -kENOTTY;
    return give(call, to, call.kernel.pid_in(number, call.task().namespaces.pid));
}

Attempt set_group(const Call& call, const OpenFile& file, Terminal& terminal, u64 from) {
    Kernel& kernel = call.kernel;
    const Process& process = kernel.process_of(call.task());
    if (const Attempt may = kernel.check_foreground(call, file.object, kSigTtou); may.blocked || may.value) return may.value == -kEIO ? Attempt(-kENOTTY) : may;
    i32 wanted = 0;
    if (process.tty != file.object + 1 || terminal.session != process.session) return -kENOTTY;
    if (!call.read_user(from, wanted)) return -kEFAULT;
    if (wanted < 0) return -kEINVAL;
    const auto group = kernel.host_pid(wanted, call.task().namespaces.pid);
    if (!group) return -kESRCH;
    const auto member = std::find_if(kernel.processes.begin(), kernel.processes.end(), [&](const Process& p) { return p.used && p.group == *group; });
    if (member == kernel.processes.end()) return -kESRCH;
    if (member->session != process.session) return -kEPERM;
    kernel.set_foreground(terminal, *group);
    return 0;
}

Attempt take_control(const Call& call, const OpenFile& file, const Terminal& terminal, u64 steal) {
    Kernel& kernel = call.kernel;
    Process& process = kernel.process_of(call.task());
    if (process.session == process.pid && terminal.session == process.session && process.tty == file.object + 1) return 0;
    if (process.session != process.pid || process.tty) return -kEPERM;
    const bool privileged = asks_capable(call, 0, Capability::SysAdmin);
    if (terminal.session && (steal != 1 || !privileged)) return -kEPERM;
    if ((file.flags & kAccess) == kWriteOnly && !privileged) return -kEPERM;
    if (terminal.session) kernel.leave_terminal(file.object);
    kernel.take_terminal(process, file.object);
    return 0;
}

Attempt give_up(const Call& call, const OpenFile& file) {
    Kernel& kernel = call.kernel;
    Process& process = kernel.process_of(call.task());
    if (process.tty != file.object + 1) return -kENOTTY;
    if (process.session == process.pid) {
        const i32 group = kernel.terminals[file.object].foreground;
        kernel.send_to_group(call.machine, group, {.number = kSigHup, .code = kCodeKernel});
        kernel.send_to_group(call.machine, group, {.number = kSigCont, .code = kCodeKernel});
        kernel.leave_terminal(file.object);
    }
    process.tty = 0;
    return 0;
}

Attempt set_size(const Call& call, Terminal& terminal, u64 from) {
    WindowSize size;
    if (!call.read_user(from, size)) return -kEFAULT;
    call.kernel.resize_terminal(call.machine, terminal, size);
    return 0;
}

bool changes(u64 request) {
    return request == kSets || request == kSetsWait || request == kSetsFlush || request == kSets2 || request == kSetsWait2 || request == kSetsFlush2 || request == kFlush || request == kFlow ||
           request == kBreak || request == kBreakLong;
}

Attempt flow(Terminal& terminal, u64 what) {
    if (what > 3) return -kEINVAL;
    if (what < 2) terminal.held = what == 0;
    return 0;
}

Attempt pretend_typed(const Call& call, const OpenFile& file, u64 from) {
    u8 byte = 0;
    if (!asks_capable(call, 0, Capability::SysAdmin)) return -kEIO; // since 6.2, unless the administrator wants it
    if (!call.read_user(from, byte)) return -kEFAULT;
    call.kernel.type_on(call.machine, file.object, std::string_view(reinterpret_cast<const char*>(&byte), 1));
    return 0;
}

} // namespace

Attempt terminal_ioctl(const Call& call, OpenFile& file, u64 request, u64 argument) {
    Kernel& kernel = call.kernel;
    Terminal& terminal = kernel.terminals[file.object];
    const bool master = file.kind == FileKind::PtyMaster;
    if (!master && file.offset != terminal.generation) return request == kSetGroup ? -kENOTTY : -kEIO;
    if (changes(request) && !master)
        if (const Attempt may = kernel.check_foreground(call, file.object, kSigTtou); may.blocked || may.value) return may;
    kernel.wake({WaitKind::Tty, file.object}); // whatever it changes
    switch (request) {
    case kGets: case kGets2:
        return kernel.copy_out(call.machine, call.task(), argument, std::span(reinterpret_cast<const u8*>(&terminal.termios), request == kGets ? 36 : sizeof(Termios))) ? Attempt(0) : Attempt(-kEFAULT);
    case kSets: case kSetsWait: case kSetsFlush: return set_termios(call, terminal, argument, false, request == kSetsFlush);
    case kSets2: case kSetsWait2: case kSetsFlush2: return set_termios(call, terminal, argument, true, request == kSetsFlush2);
    case kBreak: case kBreakLong: return 0;
    case kFlow: return flow(terminal, argument);
    case kFlush: return flush(terminal, argument, master);
    case kAlone: return terminal.exclusive = true, 0;
    case kShared: return terminal.exclusive = false, 0;
    case kGetExclusive: return give(call, argument, i32{terminal.exclusive});
    case kTakeControl: return take_control(call, file, terminal, argument);
    case kGiveUp: return give_up(call, file);
    case kGetGroup: return get_group(call, file, terminal, terminal.foreground, argument);
    case kGetSession: return get_group(call, file, terminal, terminal.session, argument);
    case kSetGroup: return set_group(call, file, terminal, argument);
    case kOutputQueue: return give(call, argument, i32{0});
    case kPretendTyped: return pretend_typed(call, file, argument);
    case kGetSize: return give(call, argument, terminal.size);
    case kSetSize: return set_size(call, terminal, argument);
    case kReadable: return give(call, argument, static_cast<i32>(master ? terminal.output.size() : terminal.readable_bytes()));
    case kGetDiscipline: return give(call, argument, i32{0});
    default: return master ? of_master(call, file, terminal, request, argument) : Attempt(-kENOTTY);
    }
}

} // namespace trapeze::container
