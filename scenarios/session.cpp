#include "container-sim/engine/engine.hpp"
#include "scenarios/session.hpp"

#include "emulator/devices/virtio_blk.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>

namespace trapeze::scenarios {

namespace {

constexpr std::size_t kConsoleBytes = 1 << 20;
constexpr u64 kOutBudget = 300'000;      // units that step_out looks for the return; each is a step of its own
constexpr u64 kOverBudget = 50'000'000; // units that step_over looks for the next instruction
constexpr u64 kReturnStride = 4096;     // units that run_to_return runs before it looks
constexpr u64 kMaxGuestFile = u64{1} << 30;
constexpr unsigned kStackPointer = 2;

/// Of nothing more it stays what it was: zlib would begin anew where there are no bytes.
u32 checksum(u32 before, const std::vector<u8>& bytes) { return bytes.empty() ? before : static_cast<u32>(crc32_z(before, bytes.data(), bytes.size())); }

/// Under a VMM a unit can be an exit, which takes a thousand times as long as an instruction.
u64 checkpoint_interval(const SessionConfig& config) {
    if (config.checkpoint_every != SessionConfig::kByMode) return config.checkpoint_every;
    return config.mode == Mode::Bare || !config.containers.empty() ? 2'000'000 : 200'000;
}

} // namespace

Result<Session> Session::create_containers(const SessionConfig& config) {
    MachineConfig board;
    board.ram_bytes = config.memory_bytes;
    board.builtin_firmware = false;
    auto machine = Machine::create(board);
    if (!machine) return Error{machine.error()};
    Session session(std::move(*machine));
    session.config_ = config, session.config_.checkpoint_every = checkpoint_interval(config);
    Machine& own = session.now_.machine;
    own.trace.record(config.record);
    auto kernel = container::Kernel::boot(own);
    if (!kernel) return Error{kernel.error()};
    session.now_.kernel = std::move(*kernel);
    for (std::size_t i = 0; i < config.containers.size(); ++i) {
        const auto started = session.start_container(config.containers[i], i < config.runs.size() ? config.runs[i].get() : nullptr);
        if (!started) return Error{started.error(), started.status()};
    }
    session.now_.outputs.resize(config.containers.size() + 1);
    session.take_checkpoint();
    return session;
}

Result<void> Session::start_container(const container::ContainerSpec& spec, const container::RunConfig* run) {
    Machine& machine = now_.machine;
    container::Kernel& kernel = *now_.kernel;
    if (!run) {
        const auto started = kernel.start_container(machine, spec);
        return started ? Result<void>() : Result<void>(Error{started.error(), started.status()});
    }
    if (!now_.engine) {
        auto engine = container::Engine::start(machine, kernel);
        if (!engine) return Error{engine.error()};
        now_.engine = std::move(*engine);
    }
    const auto id = now_.engine->run(machine, kernel, *run);
    return id ? Result<void>() : Result<void>(Error{id.error(), id.status()});
}

std::optional<int> Session::container_status(u32 container) const {
    if (now_.engine)
        if (const auto code = now_.engine->exit_code(container)) return code;
    const auto status = now_.kernel->exit_status(container);
    if (!status) return std::nullopt;
    return *status & 0x7f ? 128 + (*status & 0x7f) : *status >> 8;
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
    session.config_ = config, session.config_.checkpoint_every = checkpoint_interval(config);
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
Result<void> read_guest_file(const SessionConfig& config, const std::string& path, GuestFile& to) {
    if (path.empty()) return {};
    if (config.files) {
        const auto held = config.files->find(path);
        if (held == config.files->end()) return Error{fmt::format("{}: the recording does not hold this file", path)};
        to = {path, held->second};
        return {};
    }
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
        const auto path = config_.files ? Result<std::string>(config_.guest) : find_guest(config_.guest);
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
        if (const auto read = read_guest_file(config_, path, file); !read) return read;
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

/// Runs machine or VMM once, for at most `units`, and keeps the position in step.
RunEnd Session::advance(Target target, u64 units) {
    const Watch watched = watch(target);
    advanced_from_ = trace().total();
    if (now_.kernel) {
        const u64 calls = now_.kernel->system_calls();
        const container::KernelStop stop = now_.kernel->run(now_.machine, target == Target::Trap ? 1 : units, config_.when_idle);
        now_.position += stop.executed;
        if (now_.engine) now_.engine->settle(now_.machine, *now_.kernel);
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
    for (u32 i = 1; now_.kernel && i < now_.outputs.size(); ++i) {
        const std::string own = now_.engine ? now_.engine->take_output(*now_.kernel, i) + now_.kernel->take_output(i) : now_.kernel->take_output(i);
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

// --- Input and edits ----------------------------------------------------------------------------------------------------

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
    forget_checkpoints_from(std::max(now_.position, earliest() + 1));
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
    checkpoints_.clear(), stride_ = 1, pristine_ = false;
    if (now_.vmm) now_.vmm->set_guest_state(now_.machine, guest_state()); // its shadow tables follow the guest's tables
    take_checkpoint();
}

} // namespace trapeze::scenarios
