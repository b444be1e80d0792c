// Terminals as files: the slaves that programs have, the masters of pseudo-terminals, and containers' consoles (pty(7), tty(4)).
#include "container-sim/abi.hpp"
#include "container-sim/lookups.hpp"
#include "container-sim/file_operations.hpp"
#include "container-sim/fs/types.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {

WaitKey tty_key(const OpenFile& file) { return {WaitKind::Tty, file.object}; }
bool is_hung_up(const Terminal& terminal, const OpenFile& file) { return file.offset != terminal.generation; }

/// A deadline for VTIME. The read's own memory: resume is the deadline, resume_more how much had come when it was set.
Attempt read_raw(const Call& call, const OpenFile& file, Terminal& terminal, u64 bytes) {
    constexpr unsigned kTime = 5, kMin = 6;
    const u64 time = terminal.termios.characters[kTime] * 100'000'000ull / Kernel::kNanosecondsPerCycle, least = std::min<u64>(terminal.termios.characters[kMin], bytes);
    const u64 there = terminal.input.size(), now = call.machine.cycles();
    Task& task = call.task();
    if (there >= std::max<u64>(1, least)) return 0;
    if (file.flags & kNonBlock) return there ? Attempt(0) : Attempt(-kEAGAIN);
    if (!least && !time) return 0;
    const bool timed = time && (!least || there);
    if (timed && (!task.resume || (least && there != task.resume_more))) task.resume = now + time, task.resume_more = there;
    if (timed && now >= task.resume) return 0;
    return call.wait(tty_key(file), timed ? task.resume : kForever);
}

Attempt read_slave(const Call& call, OpenFile& file, u64 to, u64 bytes, u64*) {
    Kernel& kernel = call.kernel;
    Terminal& terminal = kernel.terminals[file.object];
    if (is_hung_up(terminal, file) || !bytes) return 0;
    const Attempt may = kernel.check_foreground(call, file.object, kSigTtin);
    if (may.blocked || may.value) return may;
    if (terminal.canonical()) {
        if (!terminal.lines) return file.flags & kNonBlock ? Attempt(-kEAGAIN) : call.wait(tty_key(file));
    } else if (const Attempt ready = read_raw(call, file, terminal, bytes); ready.blocked || ready.value) {
        return ready;
    }
    const std::string text = terminal.take(bytes);
    kernel.wake(tty_key(file));
    kernel.feed_terminal(call.machine, file.object);
    return call.kernel.copy_out(call.machine, call.task(), to, std::span(reinterpret_cast<const u8*>(text.data()), text.size())) ? Attempt(static_cast<i64>(text.size())) : Attempt(-kEFAULT);
}

/// What is not written yet waits for room; resume counts what was.
Attempt write_some(const Call& call, const OpenFile& file, u64 from, u64 bytes, std::size_t (*accept)(const Call&, u32, std::string_view)) {
    u64& done = call.task().resume;
    std::string text(bytes - done, '\0');
    if (!call.kernel.copy_in(call.machine, call.task(), from + done, std::span(reinterpret_cast<u8*>(text.data()), text.size()))) return -kEFAULT;
    const std::size_t count = accept(call, file.object, text);
    done += count;
    if (count) call.kernel.wake(tty_key(file));
    const bool interrupted = done && call.task().wakened == Wakened::BySignal;
    if (done == bytes || interrupted || (done && file.flags & kNonBlock)) return static_cast<i64>(std::exchange(done, 0));
    return file.flags & kNonBlock ? Attempt(-kEAGAIN) : call.wait(tty_key(file));
}

Attempt write_slave(const Call& call, OpenFile& file, u64 from, u64 bytes, const u64*) {
    constexpr u32 kStopsBackground = 0x100; // TOSTOP
    Terminal& terminal = call.kernel.terminals[file.object];
    if (is_hung_up(terminal, file)) return -kEIO;
    if (terminal.has_local(kStopsBackground))
        if (const Attempt may = call.kernel.check_foreground(call, file.object, kSigTtou); may.blocked || may.value) return may;
    return write_some(call, file, from, bytes, [](const Call& c, u32 index, std::string_view text) { return c.kernel.terminals[index].print(text); });
}

i16 poll_slave(const Kernel& kernel, const OpenFile& file) {
    const Terminal& terminal = kernel.terminals[file.object];
    if (is_hung_up(terminal, file)) return kPollIn | kPollOut | kPollError | kPollHangUp;
    return static_cast<i16>((terminal.readable(true) ? kPollIn : 0) | (terminal.can_print() ? kPollOut : 0));
}

void close_slave(Kernel& kernel, Machine&, OpenFile& file) {
    Terminal& terminal = kernel.terminals[file.object];
    if (!is_hung_up(terminal, file) && --terminal.slaves == 0) terminal.slave_gone = true, terminal.exclusive = false;
    kernel.wake(tty_key(file));
    if (kernel.terminals.release(file.object)) kernel.terminals.erase(file.object);
}

// --- The other end ----------------------------------------------------------------------------------------------------------------

Attempt read_master(const Call& call, OpenFile& file, u64 to, u64 bytes, u64*) {
    Terminal& terminal = call.kernel.terminals[file.object];
    if (!bytes) return 0;
    std::string text;
    if (terminal.packet && terminal.packet_status) {
        text = static_cast<char>(std::exchange(terminal.packet_status, u8{0}));
    } else if (!terminal.output.empty()) {
        const std::size_t count = std::min<u64>(bytes - terminal.packet, terminal.output.size());
        text = (terminal.packet ? std::string(1, '\0') : "") + terminal.output.substr(0, count);
        terminal.output.erase(0, count);
        call.kernel.wake(tty_key(file));
    } else if (terminal.slave_gone) {
        return -kEIO;
    } else {
        return file.flags & kNonBlock ? Attempt(-kEAGAIN) : call.wait(tty_key(file));
    }
    return call.kernel.copy_out(call.machine, call.task(), to, std::span(reinterpret_cast<const u8*>(text.data()), text.size())) ? Attempt(static_cast<i64>(text.size())) : Attempt(-kEFAULT);
}

Attempt write_master(const Call& call, OpenFile& file, u64 from, u64 bytes, const u64*) {
    return write_some(call, file, from, bytes, [](const Call& c, u32 index, std::string_view text) { return c.kernel.type_on(c.machine, index, text); });
}

i16 poll_master(const Kernel& kernel, const OpenFile& file) {
    const Terminal& terminal = kernel.terminals[file.object];
    const bool status = terminal.packet && terminal.packet_status;
    return static_cast<i16>((!terminal.output.empty() || status ? kPollIn : 0) | (status ? kPollPriority : 0) | (terminal.has_room() ? kPollOut : 0) | (terminal.slave_gone ? kPollHangUp : 0));
}

void close_master(Kernel& kernel, Machine& machine, OpenFile& file) {
    Terminal& terminal = kernel.terminals[file.object];
    terminal.master = false;
    remove_terminal_node(kernel.vfs, terminal.instance, terminal.index);
    kernel.hang_up(machine, file.object);
    if (kernel.terminals.release(file.object)) kernel.terminals.erase(file.object);
}

// --- The console of a container without a terminal: a pipe in, a pipe out ------------------------------------------------------------

WaitKey console_key(const OpenFile& file) { return {WaitKind::Console, file.object}; }

Attempt read_console(const Call& call, OpenFile& file, u64 to, u64 bytes, u64*) {
    Kernel::Tty& tty = call.kernel.ttys[file.object];
    if (!bytes) return 0;
    if (tty.input.empty() && !tty.closed) return file.flags & kNonBlock ? Attempt(-kEAGAIN) : call.wait(console_key(file));
    const std::vector<u8> data(tty.input.begin(), tty.input.begin() + static_cast<std::ptrdiff_t>(std::min<u64>(bytes, tty.input.size())));
    tty.input.erase(0, data.size());
    return call.kernel.copy_out(call.machine, call.task(), to, data) ? Attempt(static_cast<i64>(data.size())) : Attempt(-kEFAULT);
}

Attempt write_console(const Call& call, OpenFile& file, u64 from, u64 bytes, const u64*) {
    constexpr std::size_t kMostPrinted = 1 << 20;
    std::vector<u8> data(bytes);
    if (!call.kernel.copy_in(call.machine, call.task(), from, data)) return -kEFAULT;
    std::string& output = call.kernel.ttys[file.object].output;
    if (output.size() > kMostPrinted) output.erase(0, kMostPrinted / 2);
    output.append(data.begin(), data.end());
    return static_cast<i64>(bytes);
}

i16 poll_console(const Kernel& kernel, const OpenFile& file) {
    const Kernel::Tty& tty = kernel.ttys[file.object];
    return static_cast<i16>(kPollOut | (tty.input.empty() && !tty.closed ? 0 : kPollIn));
}

} // namespace

const FileOperations kTtyOperations{.read = read_slave, .write = write_slave, .poll = poll_slave, .wait_key = tty_key, .ioctl = terminal_ioctl, .close = close_slave, .mode = 0020620};
const FileOperations kPtyMasterOperations{.read = read_master, .write = write_master, .poll = poll_master, .wait_key = tty_key, .ioctl = terminal_ioctl, .close = close_master,
                                          .mode = 0020666};
const FileOperations kConsoleOperations{.read = read_console, .write = write_console, .poll = poll_console, .wait_key = console_key, .mode = 0010600, .link = "pipe"};

// --- Opening ------------------------------------------------------------------------------------------------------------------------

std::vector<u32> Kernel::terminals_of(u32 instance) const {
    std::vector<u32> numbers;
    for (u32 i = 1; i < terminals.end(); ++i)
        if (terminals.contains(i) && terminals[i].master && terminals[i].instance == instance) numbers.push_back(terminals[i].index);
    std::sort(numbers.begin(), numbers.end());
    return numbers;
}

std::optional<u32> Kernel::terminal_at(u32 instance, u32 number) const {
    for (u32 i = 1; i < terminals.end(); ++i)
        if (terminals.contains(i) && terminals[i].master && terminals[i].instance == instance && terminals[i].index == number) return i;
    return std::nullopt;
}

/// ptmx: a new pair, whose slave gets the lowest free number of the devpts.
Attempt Call::open_master(Location at, u64 flags) const {
    const u32 instance = kernel.vfs.inodes.get(at.inode).super;
    constexpr std::size_t kMostTerminals = 4096;
    if (kernel.terminals.size() > kMostTerminals) return -kENOSPC;
    if (kernel.files.size() >= Kernel::kMaxFiles) return -kENFILE;
    const std::vector<u32> taken = kernel.terminals_of(instance);
    u32 number = 0;
    while (number < taken.size() && taken[number] == number) ++number;
    Terminal terminal;
    terminal.instance = instance, terminal.index = number;
    OpenFile file;
    file.kind = FileKind::PtyMaster, file.location = at, file.flags = static_cast<u32>(flags & (kAccess | kNonBlock));
    file.object = kernel.terminals.add(terminal);
    if (const i64 made = add_terminal_node(kernel.vfs, viewer(), instance, number); made < 0) return kernel.terminals.erase(file.object), made;
    return kernel.install(machine, task(), file, flags & kCloseOnExec);
}

/// A session's leader that has no controlling terminal gets its first one by opening it.
Attempt Call::open_slave(u32 index, Location at, u64 flags) const {
    Terminal& terminal = kernel.terminals[index];
    if (!terminal.master || terminal.locked) return -kEIO;
    if (kernel.files.size() >= Kernel::kMaxFiles) return -kENFILE;
    if (terminal.exclusive && !asks_capable(*this, 0, Capability::SysAdmin)) return -kEBUSY;
    OpenFile file;
    file.kind = FileKind::Tty, file.location = at, file.object = index, file.offset = terminal.generation, file.flags = static_cast<u32>(flags & (kAccess | kNonBlock));
    kernel.terminals.use(index);
    ++terminal.slaves, terminal.slave_gone = false;
    Process& process = kernel.process_of(task());
    if (!(flags & kNoTerminal) && process.session == process.pid && !process.tty && !terminal.session && (flags & kAccess) != kWriteOnly) kernel.take_terminal(process, index);
    kernel.wake({WaitKind::Tty, index});
    return kernel.install(machine, task(), file, flags & kCloseOnExec);
}

/// /dev/tty, /dev/console, /dev/ptmx and /dev/pts/N, by their numbers.
Attempt Call::open_terminal(Location at, u64 flags) const {
    constexpr u32 kSlaves = 136;
    enum : u32 { kCurrent = 0, kConsole = 1, kMaster = 2 };
    const Inode& node = kernel.vfs.inodes.get(at.inode);
    const u32 major = device_major(node.device), minor = device_minor(node.device), instance = node.super;
    const bool in_devpts = kernel.vfs.supers.get(instance).type == &kDevpts;
    const Process& process = kernel.process_of(task());
    if (major == kSlaves) {
        const auto index = in_devpts ? kernel.terminal_at(instance, minor) : std::nullopt;
        return index ? open_slave(*index, at, flags) : Attempt(-kEIO);
    }
    if (minor == kMaster) return in_devpts ? open_master(at, flags) : Attempt(-kENODEV);
    if (minor == kCurrent) return process.tty ? open_slave(process.tty - 1, at, flags | kNoTerminal) : Attempt(-kENXIO);
    if (minor != kConsole || process.container >= kernel.ttys.size()) return -kENXIO;
    if (const u32 own = kernel.ttys[process.container].terminal) return open_slave(own, at, flags);
    OpenFile file;
    file.kind = FileKind::Console, file.location = at, file.object = process.container, file.flags = static_cast<u32>(flags & (kAccess | kNonBlock));
    return kernel.install(machine, task(), file, flags & kCloseOnExec);
}

// --- Consoles, seen from the host -----------------------------------------------------------------------------------------------------

/// How much of it the terminal took; its signals go to the foreground.
std::size_t Kernel::type_on(Machine& machine, u32 index, std::string_view text) {
    std::size_t done = 0;
    for (; done < text.size() && terminals[index].has_room(); ++done)
        if (const int signal = terminals[index].type(static_cast<u8>(text[done]))) send_to_group(machine, terminals[index].foreground, {.number = signal, .code = kCodeKernel});
    if (done) wake({WaitKind::Tty, index});
    return done;
}

/// What the host has typed on a container's terminal goes in as far as there is room.
void Kernel::feed_terminal(Machine& machine, u32 index) {
    const u32 container = terminals[index].container;
    if (!container) return;
    Tty& console = ttys[container];
    console.input.erase(0, type_on(machine, index, console.input));
}

u32 Kernel::make_console_terminal(u32 container, const WindowSize& size) {
    constexpr u32 kUtf8 = 0x4000;
    if (terminals.size() == 0) terminals.add({}); // 0 is nobody's
    Terminal terminal;
    terminal.locked = false, terminal.container = container, terminal.size = size;
    terminal.termios.input |= kUtf8;
    return terminals.add(terminal);
}

} // namespace trapeze::container
