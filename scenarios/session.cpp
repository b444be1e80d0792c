#include "container-sim/kernel.hpp"
#include "scenarios/session.hpp"

#include "emulator/devices/virtio_blk.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cctype>
#include <cerrno>

namespace trapeze::scenarios {

namespace {

constexpr std::size_t kConsoleBytes = 1 << 20;
constexpr std::size_t kMaxLanes = 10000;
constexpr std::size_t kMaxCheckpoints = 24;
constexpr u64 kOutBudget = 300'000;      // units that step_out looks for the return; each is a step of its own
constexpr u64 kCheckpointBytes = u64{1} << 30; // of guest memory in all checkpoints together, should none of their pages be shared
constexpr u64 kOverBudget = 50'000'000; // units that step_over looks for the next instruction
constexpr u64 kReturnStride = 4096;     // units that run_to_return runs before it looks
constexpr u64 kMaxGuestFile = u64{1} << 30;
constexpr u64 kCsrNumbers = 4096;
constexpr unsigned kStackPointer = 2;

/// True for what can end up in xcause (Privileged specification, table of mcause).
bool is_cause(u64 cause, const HartFeatures& features) {
    constexpr u64 kExceptions = 0xbbff, kInterrupts = irq_bit(Irq::Ssi) | irq_bit(Irq::Msi) | irq_bit(Irq::Sti) | irq_bit(Irq::Mti) | irq_bit(Irq::Sei) | irq_bit(Irq::Mei);
    constexpr u64 kOfHypervisor = 0xf00400, kInterruptsOfHypervisor = irq_bit(Irq::Vssi) | irq_bit(Irq::Vsti) | irq_bit(Irq::Vsei) | irq_bit(Irq::Sgei);
    const u64 code = cause & ~kInterruptBit;
    const u64 exceptions = kExceptions | (features.hypervisor ? kOfHypervisor : 0), interrupts = kInterrupts | (features.hypervisor ? kInterruptsOfHypervisor : 0);
    return code < 64 && bit(cause & kInterruptBit ? interrupts : exceptions, static_cast<unsigned>(code));
}

u32 checksum(u32 before, const std::vector<u8>& bytes) { return static_cast<u32>(crc32_z(before, bytes.data(), bytes.size())); }

DataWatch watched_memory(const Breakpoint& breakpoint) {
    return {breakpoint.value, breakpoint.value + breakpoint.bytes, breakpoint.on_loads, breakpoint.on_stores};
}

} // namespace

Result<Session> Session::create_containers(const SessionConfig& config) {
    MachineConfig board;
    board.ram_bytes = config.memory_bytes;
    board.builtin_firmware = false;
    auto machine = Machine::create(board);
    if (!machine) return Error{machine.error()};
    Session session(std::move(*machine));
    session.config_ = config;
    Machine& own = session.now_.machine;
    own.trace.record(config.record);
    auto kernel = container::Kernel::boot(own);
    if (!kernel) return Error{kernel.error()};
    session.now_.kernel = std::move(*kernel);
    for (const container::ContainerSpec& spec : config.containers)
        if (const auto started = session.now_.kernel->start_container(own, spec); !started) return Error{started.error(), started.status()};
    session.now_.outputs.resize(config.containers.size() + 1);
    session.take_checkpoint();
    return session;
}

Result<Session> Session::create(const SessionConfig& config) {
    if (!config.containers.empty()) return create_containers(config);
    std::vector<std::shared_ptr<DiskFile>> disks;
    auto devices = open_devices(config, disks);
    if (!devices) return Error{devices.error()};
    const bool bare = config.mode == Mode::Bare;
    vmm::VmConfig vm{config.mode, config.memory_bytes, config.append, *devices, config.firmware, config.costs};
    vm.switches = config.switches, vm.features.silent = config.silent, vm.dossiers = config.dossiers;
    MachineConfig board;
    board.ram_bytes = bare ? config.memory_bytes : vmm::Vmm::machine_bytes(vm);
    board.harts = config.harts;
    board.bootargs = config.append;
    board.builtin_firmware = bare && config.firmware;
    board.features.misaligned_traps = bare && config.trap_misaligned;
    board.features.silent = config.silent;
    if (bare) board.board = *devices;
    auto machine = Machine::create(board);
    if (!machine) return Error{machine.error()};

    Session session(std::move(*machine));
    session.config_ = config;
    session.disks_ = std::move(disks);
    session.disk_bytes_ = disk_bytes(*devices);
    for (const DiskConfig& disk : devices->disks) session.disk_checksum_ = checksum(session.disk_checksum_, *disk.image);
    Machine& own = session.now_.machine;
    own.trace.record(config.record);
    if (!bare) {
        auto created = vmm::Vmm::create(own, vm);
        if (!created) return Error{created.error()};
        session.now_.vmm = std::move(*created);
    }
    if (const auto loaded = session.load(); !loaded) return Error{loaded.error()};
    session.note_lane(0, session.lane(), session.guest_state().pc);
    session.take_checkpoint();
    return session;
}

namespace {

/// Reads a file of the user's into `to`; none when its path is empty.
Result<void> read_guest_file(const std::string& path, GuestFile& to) {
    if (path.empty()) return {};
    auto bytes = read_file(path, kMaxGuestFile);
    if (!bytes) return Error{bytes.error()};
    if (bytes.value().empty()) return Error{fmt::format("{}: the file is empty; there is nothing to load", path)};
    to = {path, std::move(*bytes)};
    return {};
}

} // namespace

Result<void> Session::load() {
    Machine& machine = now_.machine;
    std::string kernel;
    if (!config_.guest.empty()) {
        const auto path = find_guest(config_.guest);
        if (!path) return Error{path.error()};
        kernel = path.value();
    }
    guest_checksum_ = 0;
    if (kernel.empty() && config_.firmware_file.empty())
        return Error{kNoGuest};
    GuestFiles files;
    const std::pair<const std::string&, GuestFile&> wanted[] = {
        {kernel, files.kernel}, {config_.initrd, files.initrd}, {config_.firmware_file, files.firmware}, {config_.device_tree, files.device_tree}};
    for (const auto& [path, file] : wanted)
        if (const auto read = read_guest_file(path, file); !read) return read;
        else guest_checksum_ = checksum(guest_checksum_, file.bytes);
    auto guest = now_.vmm ? now_.vmm->load(machine, std::move(files)) : load_guest_files(machine, std::move(files));
    if (!guest) return Error{guest.error()};
    guest_ = std::move(*guest);
    return {};
}

bool Session::wants_reboot() const {
    const Board& board = now_.vmm ? now_.vmm->board() : now_.machine.board;
    return board.halt && board.halt->reset;
}

Result<void> Session::reboot() {
    if (config_.checkpoint_every) return Error{"this session keeps checkpoints, and going back does not go through a reboot yet"};
    if (now_.kernel) return Error{"containers are started again one by one; there is no machine of theirs to reboot"};
    std::vector<u64> cycles;
    for (const Hart& hart : now_.machine.harts) cycles.push_back(hart.state.cycles);
    if (now_.vmm) now_.vmm->reset(now_.machine);
    else now_.machine.reset();
    if (const auto loaded = load(); !loaded) return loaded;
    for (std::size_t i = 0; i < cycles.size(); ++i) now_.machine.harts[i].state.cycles = cycles[i];
    now_.halted = false, now_.exit_code = 0;
    return {};
}

// --- Running -----------------------------------------------------------------------------------------------------------

Watch Session::watch(Target target) const {
    Watch watch;
    watch.every_trap = target == Target::Trap && traps_are_watched();
    for (const Breakpoint& breakpoint : breakpoints_) {
        if (!breakpoint.enabled) continue;
        if (breakpoint.kind == Breakpoint::Kind::Address) watch.pcs.push_back(breakpoint.value);
        if (breakpoint.kind == Breakpoint::Kind::CsrWrite) watch.csr_writes.push_back(static_cast<u16>(breakpoint.value));
        if (breakpoint.kind == Breakpoint::Kind::Cause && traps_are_watched()) watch.every_trap = true;
        if (breakpoint.kind == Breakpoint::Kind::Memory) watch.data.push_back(watched_memory(breakpoint));
    }
    return watch;
}

/// Runs machine or VMM once, for at most `units`, and keeps the position in step.
RunEnd Session::advance(Target target, u64 units) {
    const Watch watched = watch(target);
    advanced_from_ = trace().total();
    if (now_.kernel) {
        const u64 calls = now_.kernel->system_calls();
        const container::KernelStop stop = now_.kernel->run(now_.machine, target == Target::Trap ? 1 : units, config_.when_idle);
        now_.position += stop.executed;
        if (target == Target::Trap && stop.state == container::RunState::Budget && now_.kernel->system_calls() > calls) return RunEnd::Trap;
        if (stop.state == container::RunState::Finished) now_.halted = true;
        return stop.state == container::RunState::Idle ? RunEnd::Idle : stop.state == container::RunState::Finished ? RunEnd::Halted : RunEnd::Budget;
    }
    if (!now_.vmm) {
        const Stop stop = now_.machine.run(units, watched);
        now_.position += stop.executed;
        switch (stop.kind) {
        case StopKind::Wfi: return RunEnd::Idle;
        case StopKind::Halted: return RunEnd::Halted;
        case StopKind::Breakpoint: return watched.every_trap ? RunEnd::Trap : RunEnd::Breakpoint;
        default: return RunEnd::Budget;
        }
    }
    const bool every_exit = target == Target::Trap || std::any_of(breakpoints_.begin(), breakpoints_.end(), [](const Breakpoint& b) {
                                return b.enabled && (b.kind == Breakpoint::Kind::Exit || b.kind == Breakpoint::Kind::Cause);
                            });
    const vmm::VmmStop stop = now_.vmm->run(now_.machine, units, every_exit ? vmm::Until::NextExit : vmm::Until::Budget, watched);
    now_.position += stop.executed;
    switch (stop.kind) {
    case vmm::VmmStopKind::Idle: return RunEnd::Idle;
    case vmm::VmmStopKind::Halted: return RunEnd::Halted;
    case vmm::VmmStopKind::Breakpoint: return watched.every_trap ? RunEnd::Trap : RunEnd::Breakpoint;
    case vmm::VmmStopKind::Exit: return RunEnd::Exit;
    default: return RunEnd::Budget;
    }
}

/// Brings what is derived from the machine up to date: console, lanes, the end of the run.
void Session::settle() {
    Board& board = now_.vmm ? now_.vmm->board() : now_.machine.board;
    std::string fresh = board.take_output();
    for (u32 i = 1; now_.kernel && i <= now_.kernel->containers(); ++i) {
        const std::string own = now_.kernel->take_output(i);
        fresh += own;
        now_.outputs[i] += own;
        if (now_.outputs[i].size() > kConsoleBytes) now_.outputs[i].erase(0, now_.outputs[i].size() - kConsoleBytes / 2);
    }
    now_.printed += fresh.size();
    now_.console += fresh;
    if (now_.console.size() > kConsoleBytes) now_.console.erase(0, now_.console.size() - kConsoleBytes / 2);
    if (board.halt && !now_.halted) {
        now_.halted = true;
        now_.exit_code = board.halt->code;
    }
    note_lanes();
}

bool Session::stops_at(const Breakpoint& breakpoint) const {
    if (!breakpoint.enabled) return false;
    const bool in_hypervisor = now_.vmm && now_.vmm->in_hypervisor(); // then the guest's instruction has begun already
    switch (breakpoint.kind) {
    case Breakpoint::Kind::Address: return !in_hypervisor && guest_state(current_hart()).pc == breakpoint.value;
    case Breakpoint::Kind::Memory: {
        if (in_hypervisor) return false;
        Watch watch;
        watch.data.push_back(watched_memory(breakpoint));
        const Hart view = walk_view(current_hart());
        Bus bus = const_cast<Session&>(*this).walk_bus(); // reading changes nothing
        return watch_hits(watch, view, bus);
    }
    case Breakpoint::Kind::CsrWrite: {
        const auto lines = code(0, 0);
        if (in_hypervisor || lines.empty()) return false;
        const Instruction insn = decode(lines.front().word);
        const Format format = row(insn.op).format;
        const bool writes = insn.op == Op::csrrw || insn.op == Op::csrrwi || insn.rs1 != 0;
        return (format == Format::Csr || format == Format::CsrI) && writes && static_cast<u64>(insn.imm) == breakpoint.value;
    }
    case Breakpoint::Kind::Cause:
        if (!traps_are_watched()) return in_hypervisor && now_.vmm->ledger().back().hardware.cause == breakpoint.value;
        for (u64 i = std::max(advanced_from_, trace().first()); i < trace().total(); ++i)
            if (trace().at(i).kind == EventKind::TrapTaken && unpack_cause(trace().at(i).detail) == breakpoint.value) return true;
        return false;
    case Breakpoint::Kind::Exit:
        return in_hypervisor && now_.vmm->ledger().back().reason == static_cast<vmm::ExitReason>(breakpoint.value);
    }
    return false;
}

const Breakpoint* Session::stopped_by() const {
    const auto found = std::find_if(breakpoints_.begin(), breakpoints_.end(), [this](const Breakpoint& b) { return stops_at(b); });
    return found == breakpoints_.end() ? nullptr : &*found;
}

RunEnd Session::run_until(Target target, u64 budget) {
    const u64 end = now_.position + std::min(budget, ~u64{0} - now_.position);
    while (now_.position < end && !now_.halted) {
        apply_input();
        u64 units = end - now_.position;
        if (config_.checkpoint_every) units = std::min(units, config_.checkpoint_every - now_.position % config_.checkpoint_every);
        if (next_input_ < inputs_.size()) units = std::min(units, inputs_[next_input_].position - now_.position);
        RunEnd why = advance(target, units);
        settle();
        if (config_.checkpoint_every && now_.position % config_.checkpoint_every == 0) pass_checkpoint();
        if (now_.halted || why == RunEnd::Halted) return RunEnd::Halted;
        if (why == RunEnd::Idle && next_input_ < inputs_.size() && inputs_[next_input_].position == now_.position) continue;
        if (why == RunEnd::Idle) return why;
        if (stopped_by()) {
            for (Breakpoint& breakpoint : breakpoints_) breakpoint.hits += stops_at(breakpoint);
            return RunEnd::Breakpoint;
        }
        if (target == Target::Trap && (why == RunEnd::Trap || why == RunEnd::Exit)) return why;
    }
    return now_.halted ? RunEnd::Halted : RunEnd::Budget;
}

RunEnd Session::step_over() {
    const auto lines = code(0, 1);
    if (lines.empty()) return step();
    const Instruction insn = decode(lines.front().word);
    const Format format = row(insn.op).format;
    const bool calls = (format == Format::J || format == Format::Jalr) && insn.rd == 1;
    const bool may_leave = calls || format == Format::Csr || format == Format::CsrI || row(insn.op).sensitivity != Sensitivity::Innocuous;
    if (!may_leave || insn.op == Op::sret || insn.op == Op::mret) return step();
    // The same place deeper on the stack is another call of the same function.
    const u64 next = lines.front().pc + insn.length, stack = guest_state().x[kStackPointer], end = now_.position + kOverBudget;
    RunEnd why = RunEnd::Budget;
    do why = run_to(next, end - now_.position);
    while (why == RunEnd::Budget && now_.position < end && guest_state().x[kStackPointer] < stack);
    return why;
}

RunEnd Session::run_to(u64 pc, u64 budget) {
    breakpoints_.push_back({Breakpoint::Kind::Address, pc, "run to", true, 0});
    const RunEnd why = run(budget);
    breakpoints_.pop_back();
    return why == RunEnd::Breakpoint && guest_state().pc == pc ? RunEnd::Budget : why;
}

/// Steps, counting calls and returns (jal and jalr that link to ra, and jalr through it), so that it needs no frame pointer.
RunEnd Session::step_out() {
    RunEnd why = RunEnd::Budget;
    unsigned depth = 1;
    for (u64 i = 0; i < kOutBudget && depth && why == RunEnd::Budget; ++i) {
        const auto lines = code(0, 0);
        const Instruction insn = lines.empty() ? Instruction{} : decode(lines.front().word);
        const Format format = row(insn.op).format;
        const u64 pc = guest_state().pc;
        why = step();
        if (lines.empty() || guest_state().pc == pc) continue; // it trapped: it is executed later
        if ((format == Format::J || format == Format::Jalr) && insn.rd == 1) ++depth;
        else if (format == Format::Jalr && insn.rs1 == 1) --depth;
    }
    return why;
}

/// Traps nest, so returns are counted against traps. Between two traps there are only returns; when one of them is the one that is
/// looked for, the stretch is gone back over and run unit by unit.
RunEnd Session::run_to_return(u64 budget) {
    if (!traps_are_watched()) return now_.vmm && now_.vmm->in_hypervisor() ? step() : RunEnd::Budget;
    const u64 end = now_.position + std::min(budget, ~u64{0} - now_.position);
    const auto taken = [this] { return trace().count(EventKind::TrapTaken) - trace().count(EventKind::FirmwareCall); }; // firmware has returned at once
    u64 stride = config_.checkpoint_every ? kReturnStride : 1, open = 1;
    while (now_.position < end) {
        const u64 from = now_.position, taken_before = taken(), returned_before = trace().count(EventKind::TrapReturn);
        const RunEnd why = run_until(Target::Trap, std::min(stride, end - from));
        const u64 returned = trace().count(EventKind::TrapReturn) - returned_before;
        if (returned >= open && stride == 1) return RunEnd::Budget;
        if (returned >= open) {
            if (const auto gone = go_to(from); !gone) return why;
            stride = 1;
            continue;
        }
        open += taken() - taken_before - returned;
        if (why != RunEnd::Budget && why != RunEnd::Trap) return why;
    }
    return RunEnd::Budget;
}

// --- Going back --------------------------------------------------------------------------------------------------------

/// Whether this is the first time here or not, caches are dropped: so a run goes on exactly as one that is restored from the checkpoint.
void Session::pass_checkpoint() {
    if (now_.position > checkpoints_.back().position) take_checkpoint();
    else flush_caches();
}

void Session::flush_caches() {
    if (now_.vmm) now_.vmm->flush_caches(now_.machine);
    else
        for (Hart& hart : now_.machine.harts) hart.flush_all();
}

void Session::take_checkpoint() {
    flush_caches();
    checkpoints_.push_back(now_);
    const u64 bytes = now_.machine.ram.touched_pages() * kPageSize;
    const std::size_t most = std::clamp<std::size_t>(kCheckpointBytes / std::max<u64>(bytes, 1), 2, kMaxCheckpoints);
    while (checkpoints_.size() > most) thin_checkpoints();
}

/// Of the pairs next to each other the one goes whose absence leaves the smallest gap for its age.
void Session::thin_checkpoints() {
    std::size_t victim = 1;
    double best = -1;
    for (std::size_t i = 1; i + 1 < checkpoints_.size(); ++i) {
        const double gap = static_cast<double>(checkpoints_[i + 1].position - checkpoints_[i - 1].position);
        const double age = static_cast<double>(now_.position - checkpoints_[i].position) + 1;
        if (age / gap > best) best = age / gap, victim = i;
    }
    checkpoints_.erase(checkpoints_.begin() + static_cast<std::ptrdiff_t>(victim));
}

void Session::apply_input() {
    Board& board = now_.vmm ? now_.vmm->board() : now_.machine.board;
    for (; next_input_ < inputs_.size() && inputs_[next_input_].position <= now_.position; ++next_input_) {
        const Input& typed = inputs_[next_input_];
        const std::string& text = typed.text;
        if (!now_.kernel) board.type(text);
        else if (typed.end) for (u32 i = 1; i <= now_.kernel->containers(); ++i) now_.kernel->close_input(i);
        else now_.kernel->type(typed.container, text);
        Event event;
        event.kind = EventKind::ConsoleInput;
        event.time = now_.machine.cycles(), event.pc = guest_state().pc, event.a = text.size();
        now_.machine.trace.add(event);
    }
}

void Session::type(const std::string& text) { input({now_.position, text}); }
void Session::type_to(u32 container, const std::string& text) { input({now_.position, text, container}); }
void Session::close_input() { input({now_.position, "", 1, true}); }

void Session::input(Input typed) {
    // What was typed after this point in a run that was gone back from belongs to another history.
    inputs_.resize(next_input_);
    inputs_.push_back(std::move(typed));
    while (checkpoints_.size() > 1 && checkpoints_.back().position >= now_.position) checkpoints_.pop_back();
    apply_input();
}

Hart Session::guest_view(unsigned hart) const {
    Hart view(hart, (now_.vmm ? now_.vmm->guest_hart() : now_.machine.hart(hart)).features());
    view.state = guest_state(hart);
    return view;
}

Hart Session::walk_view(unsigned hart) const {
    Hart view = guest_view(hart);
    if (now_.vmm) view.state = now_.vmm->walk_state(now_.machine);
    return view;
}

void Session::set_guest_state(unsigned hart, const HartState& state) {
    if (now_.vmm) now_.vmm->set_guest_state(now_.machine, state);
    else now_.machine.hart(hart).state = state;
    note_edit();
}

void Session::note_edit() {
    inputs_.clear(), next_input_ = 0; // what was typed is in the new first checkpoint
    checkpoints_.clear();
    if (now_.vmm) now_.vmm->set_guest_state(now_.machine, guest_state()); // its shadow tables follow the guest's tables
    take_checkpoint();
}

Result<void> Session::go_to(u64 position) {
    if (!config_.checkpoint_every) return Error{"this session keeps no checkpoints, so it cannot go back; start it with checkpoints"};
    if (position < earliest())
        return Error{fmt::format("position {} is not reached: going back ends at {}, where this session was restored, or registers or memory were changed by hand", position, earliest())};
    if (position < now_.position) {
        std::size_t index = checkpoints_.size() - 1;
        while (index > 0 && checkpoints_[index].position > position) --index;
        now_ = checkpoints_[index];
        if (now_.vmm) now_.vmm->flush_caches(now_.machine);
        // Input at the very position of a checkpoint came after it was taken.
        next_input_ = 0;
        while (next_input_ < inputs_.size() && inputs_[next_input_].position < now_.position) ++next_input_;
    }
    std::vector<Breakpoint> kept;
    kept.swap(breakpoints_);
    const RunEnd why = run(position - now_.position);
    breakpoints_.swap(kept);
    if (now_.position == position) return apply_input(), Result<void>(); // what was typed here is part of being here
    return Error{fmt::format("position {} is not reached: the run {} at {}", position, why == RunEnd::Halted ? "ends" : "waits for input", now_.position)};
}

// --- What readers see --------------------------------------------------------------------------------------------------

HartState Session::real_state() const { return now_.machine.hart().state; }
HartState Session::guest_state() const { return now_.vmm ? now_.vmm->guest_state(now_.machine) : real_state(); }

u64 Session::csr(const HartState& state, Csr csr) const {
    auto& self = const_cast<Session&>(*this); // reading changes nothing
    const bool guests = now_.vmm && !(state == real_state());
    Hart view(0, guests ? now_.vmm->guest_hart().features() : now_.machine.hart().features());
    view.state = state;
    Bus bus = guests ? self.guest_bus() : self.now_.machine.bus();
    return view.read_csr(csr, bus);
}

Lane Session::lane() const {
    if (now_.vmm && now_.vmm->in_hypervisor()) return Lane::Hypervisor;
    const Priv priv = guest_state().priv;
    if (priv == Priv::U) return Lane::GuestUser;
    return !now_.vmm && priv == Priv::M && now_.machine.firmware.enabled ? Lane::Hardware : Lane::GuestKernel;
}

/// The mode in which the guest's instructions run, whatever it believes.
PrivMode Session::real_mode() const {
    if (!now_.vmm || config_.mode == Mode::Interpret) return real_state().mode();
    const Priv believed = guest_state().priv;
    if (config_.mode == Mode::HardwareAssisted && believed != Priv::M) return {believed, true};
    return {config_.mode == Mode::HardwareAssisted ? Priv::S : Priv::U};
}

void Session::note_lane(u64 time, Lane lane, u64 pc) {
    if (!now_.lanes.empty() && now_.lanes.back().lane == lane) return;
    if (now_.lanes.size() >= kMaxLanes) now_.lanes.erase(now_.lanes.begin(), now_.lanes.begin() + kMaxLanes / 2);
    now_.lanes.push_back({time, lane, pc});
}

/// Changes of lane are in the trace: traps, returns, exits and entries.
void Session::note_lanes() {
    const Trace& events = trace();
    const auto guest_lane = [&](unsigned priv) { return static_cast<Priv>(priv) == Priv::U ? Lane::GuestUser : Lane::GuestKernel; };
    for (u64 i = std::max(now_.lanes_seen, events.first()); i < events.total(); ++i) {
        const Event& event = events.at(i);
        switch (event.kind) {
        case EventKind::TrapTaken:
        case EventKind::TrapReturn:
            if (now_.vmm && event.tag == 0) { // the real hart's: VmExit and VmEntry tell it, unless the guest took the trap itself
                if (event.to_virt) note_lane(event.time, guest_lane(event.to), event.pc);
                break;
            }
            if (!now_.vmm && static_cast<Priv>(event.to) == Priv::M && now_.machine.firmware.enabled) note_lane(event.time, Lane::Hardware, event.pc);
            else if (now_.vmm && config_.mode != Mode::Interpret) break; // delivered while the VMM works
            else note_lane(event.time, guest_lane(event.to), event.pc);
            break;
        case EventKind::VmExit: note_lane(event.time, Lane::Hypervisor, event.pc); break;
        case EventKind::VmEntry: note_lane(event.time, guest_lane(static_cast<unsigned>(event.a)), event.pc); break;
        default: break;
        }
    }
    now_.lanes_seen = events.total();
    note_lane(now_.machine.cycles(), lane(), guest_state().pc);
}

std::size_t Session::peek(u64 va, std::span<u8> out) const {
    Bus bus = const_cast<Session&>(*this).walk_bus(); // reading through translation changes nothing; a bus only holds references
    if (!now_.vmm) return now_.machine.hart().peek(va, out, bus);
    return walk_view(0).peek(va, out, bus);
}

std::vector<Session::CodeLine> Session::code(unsigned before, unsigned after) const {
    constexpr unsigned kWindow = 256; // bytes looked at before the current instruction
    const HartState state = guest_state();
    const PrivMode real = real_mode();
    const auto read_line = [&](u64 pc, CodeLine& line) {
        u8 bytes[4] = {};
        const std::size_t got = peek(pc, std::span(bytes, 4));
        if (got < 2) return false;
        line.pc = pc;
        line.word = static_cast<u32>(bytes[0] | bytes[1] << 8);
        line.length = is_long(static_cast<u16>(line.word)) ? 4 : 2;
        if (line.length == 4 && got < 4) return false;
        if (line.length == 4) line.word |= static_cast<u32>(bytes[2]) << 16 | static_cast<u32>(bytes[3]) << 24;
        line.text = disassemble(line.word, pc);
        const auto symbol = guest_.elf.by_address.find(pc);
        if (symbol != guest_.elf.by_address.end()) line.symbol = symbol->second;
        line.believed = state.priv, line.real = real;
        const Instruction insn = decode(line.word);
        const InstructionRow& r = row(insn.op);
        line.sensitive = r.sensitivity != Sensitivity::Innocuous;
        if (r.sensitivity == Sensitivity::ByCsr) {
            const CsrRow* csr = csr_row(static_cast<u16>(insn.imm));
            line.sensitive = !csr || csr->sensitivity != Sensitivity::Innocuous;
        }
        line.current = pc == state.pc;
        return true;
    };
    // Instructions have two lengths: begin at a symbol, or far enough back that the boundaries have settled.
    std::vector<CodeLine> lines;
    u64 start = state.pc - std::min<u64>(state.pc, std::min(kWindow, before * 4));
    auto symbol = guest_.elf.by_address.upper_bound(state.pc);
    if (symbol != guest_.elf.by_address.begin() && state.pc - (--symbol)->first <= kWindow) start = std::min(start, symbol->first);
    start &= ~u64{1};
    for (u64 pc = start; before && pc < state.pc;) {
        CodeLine line;
        if (!read_line(pc, line)) {
            pc += 2;
            lines.clear();
            continue;
        }
        if (pc + line.length > state.pc) break;
        lines.push_back(line);
        pc += line.length;
    }
    if (lines.size() > before) lines.erase(lines.begin(), lines.end() - before);
    u64 pc = state.pc;
    for (unsigned i = 0; i <= after; ++i) {
        CodeLine line;
        if (!read_line(pc, line)) break;
        lines.push_back(line);
        pc += line.length;
    }
    return lines;
}

Result<void> Session::add_breakpoint(const Breakpoint& breakpoint) {
    const auto refuse = [](const std::string& why) { return Error{fmt::format("this breakpoint cannot fire: {}", why)}; };
    if (now_.kernel) return refuse("programs in containers are not watched yet; step by system call instead");
    switch (breakpoint.kind) {
    case Breakpoint::Kind::Address:
        if (breakpoint.value & 1) return refuse(fmt::format("instructions begin at even addresses, 0x{:x} is odd", breakpoint.value));
        break;
    case Breakpoint::Kind::CsrWrite: {
        const CsrRow* csr = breakpoint.value < kCsrNumbers ? csr_row(static_cast<u16>(breakpoint.value)) : nullptr;
        if (!csr) return refuse(fmt::format("there is no CSR with number 0x{:x}; `trapeze isa` lists them", breakpoint.value));
        if (csr_read_only(static_cast<u16>(csr->csr))) return refuse(fmt::format("{} is read-only, so nothing writes it", csr->name));
        break;
    }
    case Breakpoint::Kind::Cause:
        if (!is_cause(breakpoint.value, traps_are_watched() && now_.vmm ? now_.vmm->guest_hart().features() : now_.machine.hart().features())) return refuse(fmt::format("no trap has cause 0x{:x} (Privileged specification, table of scause)", breakpoint.value));
        if (traps_are_watched() && !trace().wants(EventKind::TrapTaken)) return refuse("this session does not record traps; record the class trap");
        break;
    case Breakpoint::Kind::Exit:
        if (!now_.vmm) return refuse("exits leave a guest for its hypervisor, and this session has none");
        if (config_.mode == Mode::Interpret) return refuse("an interpreted guest never runs on the hart, so it never exits");
        if (breakpoint.value >= static_cast<u64>(vmm::ExitReason::Count)) return refuse(fmt::format("there is no exit reason number {}", breakpoint.value));
        break;
    case Breakpoint::Kind::Memory:
        if (!breakpoint.bytes || (!breakpoint.on_loads && !breakpoint.on_stores)) return refuse("it watches no memory, or neither loads nor stores");
        if (breakpoint.value + (breakpoint.bytes - 1) < breakpoint.value) return refuse("the watched memory reaches beyond the last address");
        break;
    }
    breakpoints_.push_back(breakpoint);
    return {};
}

void Session::toggle_breakpoint(u64 address) {
    const auto same = [&](const Breakpoint& b) { return b.kind == Breakpoint::Kind::Address && b.value == address; };
    if (std::erase_if(breakpoints_, same) == 0) (void)add_breakpoint({Breakpoint::Kind::Address, address, {}, true, 0});
}

Result<u64> Session::resolve(const std::string& expression) const {
    const auto number = [](const std::string& text) -> std::optional<u64> {
        if (text.empty() || !std::isdigit(static_cast<unsigned char>(text[0]))) return std::nullopt;
        char* end = nullptr;
        errno = 0;
        const u64 value = std::strtoull(text.c_str(), &end, 0);
        return *end || errno ? std::nullopt : std::optional(value);
    };
    if (const auto value = number(expression)) return *value;
    const std::size_t plus = expression.find('+');
    const auto symbol = guest_.elf.symbol(expression.substr(0, plus));
    const auto offset = plus == std::string::npos ? std::optional<u64>(0) : number(expression.substr(plus + 1));
    if (symbol && offset) return *symbol + *offset;
    return Error{fmt::format("\"{}\" is neither a number nor a symbol of {}; `trapeze symbols {}` lists them", expression, config_.guest, config_.guest)};
}

} // namespace trapeze::scenarios
