#include "container-sim/engine/runtime.hpp"

#include "container-sim/abi.hpp"
#include "container-sim/file_operations.hpp"
#include "container-sim/syscalls.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace trapeze::container {

namespace {

constexpr u64 kCode = 0x10000, kScratch = 0x20000, kScratchBytes = u64{512} << 10;
// li a7, 73 (ppoll); ecall; j . - 4: with no descriptors and no timeout it sleeps until a signal comes.
constexpr u32 kSleep[] = {0x04900893, 0x00000073, 0xffdff06f};
constexpr u64 kPpoll = 73;
constexpr std::size_t kMostRecorded = 4000;

/// What a call leaves as it was in the task that it is made for, which itself sleeps in another call or has not run yet.
struct Asleep {
    std::array<u64, 33> x;
    u64 pc, call, resume, resume_more;
    bool in_call;
    explicit Asleep(const Task& task) : x(task.x), pc(task.pc), call(task.call), resume(task.resume), resume_more(task.resume_more), in_call(task.in_call) {}
    void put_back(Task& task) const { task.x = x, task.pc = pc, task.call = call, task.resume = resume, task.resume_more = resume_more, task.in_call = in_call; }
};

} // namespace

std::optional<u32> Runtime::task_of(i32 pid) const {
    const auto task = kernel_.task_by_pid(pid, 0);
    if (!task) return std::nullopt;
    const Process& process = kernel_.process_of(kernel_.tasks[*task]);
    return process.zombie || process.exiting ? std::nullopt : task;
}

/// The engine is a process of the host like any other daemon: root, in the first namespaces, child of nobody.
Result<void> Runtime::begin() {
    const auto index = kernel_.new_task();
    const auto process_index = index ? kernel_.new_process(0) : std::nullopt;
    if (!process_index) return Error{"there is no room for the engine's process; give the machine more memory"};
    Task& task = kernel_.tasks[*index];
    Process& process = kernel_.processes[*process_index];
    task.process = *process_index, task.name = "engine";
    process.leader = *index, process.threads = {*index}, process.engine = true, process.started = machine_.cycles();
    process.arguments = {"engine"}, process.executable = "/usr/bin/engine";
    process.limits[kLimitStack] = {8 << 20, ~u64{0}}, process.limits[kLimitFiles] = {Kernel::kMaxDescriptors, Kernel::kMaxDescriptors}, process.limits[kLimitCore] = {0, ~u64{0}};
    kernel_.use_namespaces(task);
    kernel_.give_pid(*index, 0);
    kernel_.cgroups.use(0);
    kernel_.charge_stack(machine_, *index);
    kernel_.join_cgroup(*index);
    process.pid = task.tid, state_.pid = task.tid;
    kernel_.set_group(process, process.pid), kernel_.set_session(process, process.pid);
    task.descriptors = kernel_.descriptor_tables.add({});
    const Location at = kernel_.vfs.namespace_root(0);
    task.context = kernel_.contexts.add({at, at});
    task.actions = kernel_.signal_actions.add({});
    AddressSpace memory;
    memory.vmas[kCode] = {kCode, kCode + kPageSize, 7};
    memory.vmas[kScratch] = {kScratch, kScratch + kScratchBytes, 3};
    memory.map_below = u64{1} << 37;
    memory.grow(kPageSize + kScratchBytes);
    task.memory = kernel_.spaces.add(memory);
    if (!kernel_.copy_out(machine_, task, kCode, std::span(reinterpret_cast<const u8*>(kSleep), sizeof kSleep))) return Error{"there is no memory for the engine's process; give the machine more"};
    task.pc = kCode + 4, task.x[17] = kPpoll, task.call = kPpoll, task.in_call = true; // asleep already
    task.state = TaskState::Blocked;
    return {};
}

// --- Arguments ------------------------------------------------------------------------------------------------------------------------

i64 Runtime::put(Who& who, std::span<const u8> data, u64& at) {
    who.used = (who.used + 7) & ~u64{7};
    if (data.size() > kScratchBytes - std::min(kScratchBytes, who.used)) return -kE2BIG;
    at = kScratch + who.used;
    who.used += data.size();
    return kernel_.copy_out(machine_, kernel_.tasks[who.task], at, data) ? 0 : -kENOMEM;
}

i64 Runtime::place(Who& who, const Argument& argument, u64& value) {
    const auto put_text = [&](const std::string& text, u64& at) { return put(who, std::span(reinterpret_cast<const u8*>(text.c_str()), text.size() + 1), at); };
    switch (argument.kind) {
    case Argument::Kind::Number: return value = argument.number, 0;
    case Argument::Kind::Null: return value = 0, 0;
    case Argument::Kind::Kept: {
        const auto found = kept_.find(argument.text);
        return found == kept_.end() ? -kEBADF : (value = static_cast<u64>(found->second), 0);
    }
    case Argument::Kind::Text: return put_text(fill_in(argument.text, kept_), value);
    case Argument::Kind::Length: return value = fill_in(argument.text, kept_).size(), 0;
    case Argument::Kind::Texts: {
        std::vector<u64> pointers;
        for (const std::string& one : argument.texts) {
            pointers.push_back(0);
            if (const i64 error = put_text(one, pointers.back())) return error;
        }
        pointers.push_back(0);
        return put(who, std::span(reinterpret_cast<const u8*>(pointers.data()), pointers.size() * 8), value);
    }
    case Argument::Kind::Room: return put(who, std::vector<u8>(argument.number), value);
    default: break;
    }
    std::vector<u8> data = argument.bytes;
    for (const auto& [offset, name] : argument.patches) {
        const auto found = kept_.find(name);
        const u32 known = found == kept_.end() ? 0 : static_cast<u32>(found->second);
        if (offset + sizeof known <= data.size()) std::memcpy(data.data() + offset, &known, sizeof known);
    }
    const u64 address = kScratch + ((who.used + 7) & ~u64{7}) + 16; // where what follows a head of 16 bytes will be
    if (argument.number && argument.number + 8 <= data.size()) std::memcpy(data.data() + argument.number, &address, sizeof address);
    return put(who, data, value);
}

// --- Calls ----------------------------------------------------------------------------------------------------------------------------

/// As Kernel::begin_call and attempt_call do for a program, but once: what would wait is EAGAIN.
i64 Runtime::attempt(u32 index, const SyscallRow& row, const std::array<u64, 6>& arguments) {
    Kernel& kernel = kernel_;
    const Asleep before(kernel.tasks[index]);
    Task& task = kernel.tasks[index];
    std::copy(arguments.begin(), arguments.end(), task.x.begin() + 10);
    task.x[17] = task.call = row.number, task.in_call = true, task.resume = task.resume_more = 0;
    ++kernel.calls_made;
    const Call call{kernel, machine_, index, arguments};
    kernel.payer = index;
    const bool wanted = machine_.trace.wants(EventKind::SyscallEnter);
    kernel.event(machine_, EventKind::SyscallEnter, task, wanted ? call.text(&row, row.number) : std::string());
    i64 value = 0;
    if (task.seccomp_mode != SeccompMode::Off && !kernel.filters_allow(machine_, index)) {
        value = static_cast<i64>(kernel.tasks[index].x[10]);
    } else {
        const Attempt made = row.handler(call);
        if (made.no_return) return kernel.tasks[index].in_call = false, 0; // another program, or an end
        value = made.blocked ? -kEAGAIN : made.value;
        Task& after = kernel.tasks[index];
        if (made.blocked) after.waits.clear(), after.deadline = kForever;
        kernel.event(machine_, EventKind::SyscallExit, after, machine_.trace.wants(EventKind::SyscallExit) ? call.result_text(&row, row.number, value) : std::string());
    }
    before.put_back(kernel.tasks[index]);
    return value;
}

i64 Runtime::make_call(u32 task, const Step& step, std::array<u64, 6>& arguments) {
    const auto& rows = syscall_rows();
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const SyscallRow& one) { return step.call == one.name; });
    if (row == rows.end()) return -kENOSYS;
    Who who{task, 0};
    kernel_.payer = task;
    for (std::size_t i = 0; i < step.arguments.size() && i < arguments.size(); ++i)
        if (const i64 error = place(who, step.arguments[i], arguments[i])) return error;
    return attempt(task, *row, arguments);
}

/// The error in the answer to a message of rtnetlink.
i64 Runtime::read_answer(u32 task, u64 socket) {
    constexpr u64 kDontWait = 0x40, kErrorAt = 16;
    Step receive = engine_call("recvfrom", {number(socket), room(4096), number(4096), number(kDontWait), null(), null()}, "");
    std::array<u64, 6> arguments{};
    const i64 count = make_call(task, receive, arguments);
    if (count < 0) return count;
    i32 error = 0;
    return kernel_.copy_in(machine_, kernel_.tasks[task], arguments[1] + kErrorAt, std::span(reinterpret_cast<u8*>(&error), sizeof error)) ? error : -kEFAULT;
}

/// The child is kept from running until its program has begun; until then the runtime acts for it.
void Runtime::adopt_child(i32 pid) {
    const auto found = kernel_.task_by_pid(pid, 0);
    if (!found) return;
    child_ = found;
    Task& task = kernel_.tasks[*found];
    task.state = TaskState::Blocked, task.in_call = false;
    kernel_.dequeue(*found);
    Process& process = kernel_.process_of(task);
    process.container = started_.console;
    process.engine = false;
    kernel_.ttys[started_.console].init = task.process;
    started_.pid = pid;
}

/// The master of a container's terminal: its other end is the host's, and outlives the process that opened it.
void Runtime::hold_terminal(u32 task, u64 fd) {
    const OpenFile* file = kernel_.file_of(kernel_.tasks[task], static_cast<u32>(fd));
    if (!file || file->kind != FileKind::PtyMaster) return;
    const u32 number = kernel_.descriptors_of(kernel_.tasks[task]).entries[fd].file - 1;
    kernel_.files.use(number);
    constexpr u32 kUtf8 = 0x4000;
    Terminal& terminal = kernel_.terminals[file->object];
    terminal.container = started_.console, terminal.termios.input |= kUtf8;
    kernel_.ttys[started_.console].terminal = file->object;
    kernel_.ttys[started_.console].held = number + 1;
}

void Runtime::drop_console(u32 console) {
    if (!console || console >= kernel_.ttys.size()) return;
    Kernel::Tty& tty = kernel_.ttys[console];
    if (tty.held) kernel_.close_file(machine_, std::exchange(tty.held, 0) - 1);
    tty.terminal = 0, tty.init = 0;
}

i64 Runtime::add_rule(const Step& step) {
    if (!step.rule) return -kEINVAL;
    return step.removes_rule ? kernel_.network.remove_rule(0, *step.rule) : kernel_.network.add_rule(0, *step.rule);
}

/// What failed, and what to do about it.
Error Runtime::explain(const Step& step, i64 error) {
    const char* name = errno_name(-error);
    const std::string why = name ? name : fmt::format("error {}", -error);
    if (step.special == Step::Special::Program && child_) {
        ContainerSpec spec;
        spec.rootfs = subject_, spec.arguments = step.arguments[1].texts, spec.environment = step.arguments[2].texts;
        return kernel_.explain_start(machine_, *child_, spec, -error);
    }
    constexpr int kEngineFailed = 125; // as Docker's own failures
    return {fmt::format("{}: {} fails with {}; nothing of it is left", subject_, step_text(step, kept_), why), kEngineFailed};
}

/// A program's name without a slash is looked for in the folders of PATH, as execvp(3) does.
Step Runtime::resolved(const Step& step) {
    if (step.special != Step::Special::Program || !child_) return step;
    ContainerSpec spec;
    spec.arguments = step.arguments[1].texts, spec.environment = step.arguments[2].texts;
    Step found = step;
    found.arguments[0] = text(kernel_.find_program(machine_, *child_, spec));
    return found;
}

i64 Runtime::make(const Step& step) {
    const auto task = step.by == Step::By::Engine ? engine_task() : child_;
    if (!task) return -kESRCH;
    if (step.special == Step::Special::Rule) return add_rule(step);
    std::array<u64, 6> arguments{};
    i64 result = 0;
    if (step.special == Step::Special::Program) {
        result = make_call(*task, resolved(step), arguments);
        if (result == 0) kernel_.make_runnable(*child_);
        return result;
    }
    result = make_call(*task, step, arguments);
    if (result < 0) return result;
    if (step.special == Step::Special::Netlink) result = std::min<i64>(0, read_answer(*task, arguments[0]));
    if (step.special == Step::Special::Clone) adopt_child(static_cast<i32>(result));
    if (step.special == Step::Special::Console) hold_terminal(*task, static_cast<u64>(result));
    if (step.keep.empty() || result < 0) return result;
    i64 value = result;
    if (step.keep_from) {
        u32 read = 0;
        (void)kernel_.copy_in(machine_, kernel_.tasks[*task], arguments[step.keep_from->first] + step.keep_from->second, std::span(reinterpret_cast<u8*>(&read), sizeof read));
        value = read;
    }
    kept_[step.keep] = value;
    return result;
}

i64 Runtime::call(const Step& step) {
    kept_.insert(state_.kept.begin(), state_.kept.end());
    const i64 result = make(step);
    if (state_.record && state_.made.size() < kMostRecorded) state_.made.push_back({step, result, state_.pid, step_text(step, kept_), {}});
    return result;
}

Result<Started> Runtime::perform(const std::vector<Step>& steps, u32 console) {
    if (!is_alive()) return Error{"the engine is not running; begin it again with: engine start"};
    kept_ = state_.kept;
    started_ = {0, console};
    std::vector<const Step*> done;
    for (const Step& step : steps) {
        const bool fails = state_.fail_at && *state_.fail_at == state_.count++;
        const std::string shown = state_.record ? step_text(resolved(step), kept_) : "";
        const i64 result = fails ? -state_.fail_with : make(step);
        if (state_.record && state_.made.size() < kMostRecorded) {
            const auto task = step.by == Step::By::Engine ? engine_task() : child_;
            Done made{step, result, task ? kernel_.tasks[*task].tid : 0, shown, {}};
            for (const Step& back : step.undo) made.undo.push_back(step_text(back, kept_));
            state_.made.push_back(std::move(made));
        }
        if (result < 0 && std::find(step.fine.begin(), step.fine.end(), -result) == step.fine.end()) {
            const Error why = explain(step, result);
            undo(done);
            return why;
        }
        if (result >= 0 || step.fine.empty()) done.push_back(&step);
    }
    return started_;
}

/// From the last step to the first; what the engine has opened on the way is closed.
void Runtime::undo(const std::vector<const Step*>& done) {
    for (auto step = done.rbegin(); step != done.rend(); ++step)
        for (const Step& back : (*step)->undo) {
            (void)make(back);
            if (back.call == "kill" && child_) { // it never runs, so it would not notice
                kernel_.dequeue(*child_);
                kernel_.deliver_signals(machine_, *child_);
                child_.reset();
            }
        }
    drop_console(started_.console);
    u64 least = 0;
    for (const auto& [name, fd] : state_.kept) least = std::max(least, static_cast<u64>(fd) + 1);
    (void)make(engine_call("close_range", {number(std::max<u64>(least, 3)), number(~u32{0}), number(0)}, ""));
}

} // namespace trapeze::container
