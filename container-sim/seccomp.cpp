// seccomp(2): classic BPF, and what its answers do to a system call. Known gap: Linux counts a filter's instructions after it has
// translated them, so that its limit over all filters of a task comes somewhat earlier or later.
#include "container-sim/seccomp.hpp"
#include "container-sim/abi.hpp"
#include "container-sim/syscalls.hpp"

#include <fmt/format.h>

#include <cstring>

namespace trapeze::container {

namespace {

// linux/bpf_common.h: class, then size and mode of a load, or operation and source of the others
constexpr u16 kLd = 0, kLdx = 1, kSt = 2, kStx = 3, kAlu = 4, kJmp = 5, kRet = 6, kMisc = 7;
constexpr u16 kImm = 0x00, kAbs = 0x20, kMem = 0x60, kLen = 0x80;
constexpr u16 kAdd = 0x00, kSub = 0x10, kMul = 0x20, kDiv = 0x30, kOr = 0x40, kAnd = 0x50, kLsh = 0x60, kRsh = 0x70, kNeg = 0x80, kXor = 0xa0;
constexpr u16 kJa = 0x00, kJeq = 0x10, kJgt = 0x20, kJge = 0x30, kJset = 0x40;
constexpr u16 kK = 0x00, kX = 0x08, kA = 0x10, kTax = 0x00, kTxa = 0x80;
constexpr u16 kClass = 0x07, kOperation = 0xf0;
constexpr u32 kSlots = 16, kWordBits = 32;

bool is_jump(u16 code) { return (code & kClass) == kJmp; }

/// Whether there is such an instruction for seccomp, with a constant that it can have.
bool valid_instruction(const BpfInstruction& instruction) {
    const u32 k = instruction.k;
    switch (instruction.code) {
    case kLd | kAbs: return k < sizeof(SeccompData) && k % 4 == 0;
    case kLd | kMem: case kLdx | kMem: case kSt: case kStx: return k < kSlots;
    case kAlu | kDiv | kK: return k != 0;
    case kAlu | kLsh | kK: case kAlu | kRsh | kK: return k < kWordBits;
    case kLd | kImm: case kLdx | kImm: case kLd | kLen: case kLdx | kLen: case kMisc | kTax: case kMisc | kTxa: case kRet | kK: case kRet | kA:
    case kAlu | kAdd | kK: case kAlu | kAdd | kX: case kAlu | kSub | kK: case kAlu | kSub | kX: case kAlu | kMul | kK: case kAlu | kMul | kX: case kAlu | kDiv | kX:
    case kAlu | kOr | kK: case kAlu | kOr | kX: case kAlu | kAnd | kK: case kAlu | kAnd | kX: case kAlu | kXor | kK: case kAlu | kXor | kX:
    case kAlu | kLsh | kX: case kAlu | kRsh | kX: case kAlu | kNeg:
    case kJmp | kJa: case kJmp | kJeq | kK: case kJmp | kJeq | kX: case kJmp | kJgt | kK: case kJmp | kJgt | kX: case kJmp | kJge | kK: case kJmp | kJge | kX:
    case kJmp | kJset | kK: case kJmp | kJset | kX: return true;
    default: return false;
    }
}

/// Whether each memory slot has been written on every way to where it is read. Pre: jumps stay inside.
bool reads_what_was_written(std::span<const BpfInstruction> code) {
    constexpr u16 kAll = 0xffff;
    std::vector<u16> arriving(code.size(), kAll); // slots written on all jumps to there
    u16 written = 0;
    for (std::size_t at = 0; at < code.size(); ++at) {
        const auto& [operation, if_true, if_false, k] = code[at];
        written &= arriving[at];
        if (operation == kSt || operation == kStx) written |= static_cast<u16>(1u << k);
        if ((operation == (kLd | kMem) || operation == (kLdx | kMem)) && !(written >> k & 1)) return false;
        if (!is_jump(operation)) continue;
        if (operation == (kJmp | kJa)) arriving[at + 1 + k] &= written;
        else arriving[at + 1 + if_true] &= written, arriving[at + 1 + if_false] &= written;
        written = kAll; // the next one is reached by jumps alone
    }
    return true;
}

u32 calculate(u16 operation, u32 a, u32 b) {
    switch (operation) {
    case kAdd: return a + b;
    case kSub: return a - b;
    case kMul: return a * b;
    case kDiv: return a / b; // run_filter has ended it when b is 0
    case kOr: return a | b;
    case kAnd: return a & b;
    case kXor: return a ^ b;
    case kLsh: return a << b % kWordBits;
    case kRsh: return a >> b % kWordBits;
    default: return 0 - a; // kNeg
    }
}

bool holds(u16 operation, u32 a, u32 b) {
    switch (operation) {
    case kJeq: return a == b;
    case kJgt: return a > b;
    case kJge: return a >= b;
    default: return a & b; // kJset
    }
}

constexpr std::pair<SeccompAction, const char*> kActions[] = {
    {SeccompAction::KillProcess, "kill_process"}, {SeccompAction::KillThread, "kill_thread"}, {SeccompAction::Trap, "trap"}, {SeccompAction::Errno, "errno"},
    {SeccompAction::UserNotif, "user_notif"}, {SeccompAction::Trace, "trace"}, {SeccompAction::Log, "log"}, {SeccompAction::Allow, "allow"},
};

} // namespace

bool valid_filter(std::span<const BpfInstruction> code) {
    if (code.empty() || code.size() > kMaxBpf) return false;
    for (std::size_t at = 0; at < code.size(); ++at) {
        const std::size_t behind = code.size() - at - 1; // so many come after it
        if (!valid_instruction(code[at])) return false;
        if (code[at].code == (kJmp | kJa) ? code[at].k >= behind : is_jump(code[at].code) && (code[at].if_true >= behind || code[at].if_false >= behind)) return false;
    }
    return (code.back().code & kClass) == kRet && reads_what_was_written(code);
}

u32 run_filter(std::span<const BpfInstruction> code, const SeccompData& data) {
    u32 a = 0, x = 0;
    std::array<u32, kSlots> memory{};
    for (std::size_t at = 0; at < code.size(); ++at) {
        const BpfInstruction& now = code[at];
        const u32 operand = now.code & kX ? x : now.k;
        switch (now.code) {
        case kLd | kAbs: std::memcpy(&a, reinterpret_cast<const u8*>(&data) + now.k, sizeof a); continue;
        case kLd | kImm: a = now.k; continue;
        case kLdx | kImm: x = now.k; continue;
        case kLd | kLen: a = sizeof data; continue;
        case kLdx | kLen: x = sizeof data; continue;
        case kLd | kMem: a = memory[now.k]; continue;
        case kLdx | kMem: x = memory[now.k]; continue;
        case kSt: memory[now.k] = a; continue;
        case kStx: memory[now.k] = x; continue;
        case kMisc | kTax: x = a; continue;
        case kMisc | kTxa: a = x; continue;
        case kRet | kK: return now.k;
        case kRet | kA: return a;
        case kJmp | kJa: at += now.k; continue;
        case kAlu | kDiv | kX:
            if (x == 0) return static_cast<u32>(SeccompAction::KillThread);
            break;
        default: break;
        }
        if (is_jump(now.code)) at += holds(now.code & kOperation, a, operand) ? now.if_true : now.if_false;
        else a = calculate(now.code & kOperation, a, operand);
    }
    return static_cast<u32>(SeccompAction::KillThread); // not reached: the last one returns
}

bool is_stricter(u32 answer, u32 than) { return static_cast<i32>(answer & kSeccompAction) < static_cast<i32>(than & kSeccompAction); }

const char* seccomp_action_name(u32 action) {
    for (const auto& [known, name] : kActions)
        if (static_cast<u32>(known) == action) return name;
    return nullptr;
}

// --- Filters of tasks ----------------------------------------------------------------------------------------------------------------

/// Drops one user of a filter, and of those before it that nobody needs any more.
void Kernel::release_filter(u32 filter) {
    while (filter && seccomp_filters.release(filter)) {
        const u32 previous = seccomp_filters[filter].previous;
        seccomp_instructions -= seccomp_filters[filter].code.size();
        seccomp_filters.erase(filter);
        filter = previous;
    }
}

/// Whether `filter` is `of` or came before it.
bool Kernel::is_earlier_filter(u32 filter, u32 of) const {
    while (of && of != filter) of = seccomp_filters[of].previous;
    return of == filter;
}

/// A filter after the task's others. They cost the host memory, so that all tasks together may have a limited number of instructions.
i64 Kernel::add_filter(Task& task, std::vector<BpfInstruction> code) {
    SeccompFilter filter;
    filter.previous = task.seccomp;
    const u64 length = code.size();
    const SeccompFilter* before = task.seccomp ? &seccomp_filters[task.seccomp] : nullptr;
    const u64 weight = length + (before ? before->weight : 0);
    constexpr u64 kInstructionsOfFrame = 64; // an eighth of the memory
    if (weight > kMaxBpfTogether || seccomp_instructions + length > frame_users.size() * kInstructionsOfFrame) return -kENOMEM;
    filter.weight = static_cast<u32>(weight) + kBpfOverhead;
    filter.number = before ? before->number + 1 : 1;
    filter.code = std::move(code);
    seccomp_instructions += length;
    if (seccomp_filters.end() == 0) seccomp_filters.add({}); // 0 is nobody's
    task.seccomp = seccomp_filters.add(std::move(filter));
    task.seccomp_mode = SeccompMode::Filter;
    return 0;
}

// --- The check of a system call ------------------------------------------------------------------------------------------------------

namespace {

/// SECCOMP_MODE_STRICT: read, write, exit and rt_sigreturn.
bool strictly_allowed(u64 number) {
    const SyscallRow* row = syscall_row(number);
    const std::string_view name = row ? row->name : "";
    return name == "read" || name == "write" || name == "exit" || name == "rt_sigreturn";
}
std::string call_name(u64 number) {
    const SyscallRow* row = syscall_row(number);
    return row ? row->name : fmt::format("call {}", static_cast<i64>(number));
}

} // namespace

/// Ends the task for a call that it may not make; the last thread ends with its process, as one that SIGSYS ends.
void Kernel::kill_for_call(Machine& machine, u32 index, bool whole_process) {
    Task& task = tasks[index];
    const Process& process = process_of(task);
    if (whole_process || process.threads.size() == 1) return end_process(machine, task.process, kSigSys | (process.limits[kLimitCore].current ? 0x80 : 0));
    end_thread(machine, index, kSigSys);
}

/// Asks the task's filters, the newest first, about the call that it makes. True: it is attempted; otherwise it has been answered.
bool Kernel::filters_allow(Machine& machine, u32 index) {
    Task& task = tasks[index];
    if (task.seccomp_mode == SeccompMode::Strict) {
        if (strictly_allowed(task.call)) return true;
        event(machine, EventKind::Seccomp, task, fmt::format("{}: strict mode ends {}", call_name(task.call), task.name));
        if (process_of(task).threads.size() == 1) end_process(machine, task.process, kSigKill);
        else end_thread(machine, index, kSigKill);
        return false;
    }
    SeccompData data{static_cast<i32>(task.call), kAuditArchRiscv64, task.pc + 4, {}};
    std::copy_n(task.x.begin() + 10, 6, data.arguments.begin());
    u32 answer = static_cast<u32>(SeccompAction::Allow), decisive = 0;
    for (u32 filter = task.seccomp; filter; filter = seccomp_filters[filter].previous)
        if (const u32 own = run_filter(seccomp_filters[filter].code, data); is_stricter(own, answer)) answer = own, decisive = filter;
    if (!decisive) return true;
    const char* name = seccomp_action_name(answer & kSeccompAction);
    event(machine, EventKind::Seccomp, task, fmt::format("{}: filter {} of {} answers {} {}", call_name(task.call), seccomp_filters[decisive].number,
                 seccomp_filters[task.seccomp].number, name ? name : "an unknown action, which is kill_process,", answer & kSeccompValue));
    return apply_answer(machine, index, answer, data);
}

bool Kernel::apply_answer(Machine& machine, u32 index, u32 answer, const SeccompData& data) {
    constexpr i64 kMostErrno = 4095;
    Task& task = tasks[index];
    const u32 value = answer & kSeccompValue;
    switch (static_cast<SeccompAction>(answer & kSeccompAction)) {
    case SeccompAction::Allow: case SeccompAction::Log: return true;
    case SeccompAction::Errno: return finish_call(machine, task, -std::min<i64>(value, kMostErrno)), false;
    case SeccompAction::Trace: case SeccompAction::UserNotif: return finish_call(machine, task, -kENOSYS), false; // nobody traces or listens
    case SeccompAction::Trap:
        task.in_call = false;
        task.pc = data.pc; // a0 keeps the first argument
        force_signal(machine, index, {.number = kSigSys, .code = kCodeSeccomp, .value = data.pc, .error = static_cast<i32>(value), .call = data.number});
        return false;
    case SeccompAction::KillThread: return kill_for_call(machine, index, false), false;
    default: return kill_for_call(machine, index, true), false;
    }
}

// --- seccomp(2) ------------------------------------------------------------------------------------------------------------------------

namespace {
enum : u64 { kTsync = 1, kLogAll = 2, kSpecAllow = 4, kTsyncEsrch = 16 };
} // namespace

/// The kernel id of a thread of the caller's process that has filters which the caller has not, as its process sees it; 0: there is none.
i32 Call::diverged_thread() const {
    for (u32 thread : kernel.process_of(task()).threads) {
        const Task& other = kernel.tasks[thread];
        const bool follows = other.seccomp_mode == SeccompMode::Off || (other.seccomp_mode == SeccompMode::Filter && kernel.is_earlier_filter(other.seccomp, task().seccomp));
        if (thread != index && !follows) return kernel.pid_in(other, task().namespaces.pid);
    }
    return 0;
}

/// SECCOMP_FILTER_FLAG_TSYNC: all threads get the caller's filters.
void Call::give_filters_to_threads() const {
    for (u32 thread : kernel.process_of(task()).threads) {
        if (thread == index) continue;
        Task& other = kernel.tasks[thread];
        kernel.seccomp_filters.use(task().seccomp);
        kernel.release_filter(std::exchange(other.seccomp, task().seccomp));
        other.seccomp_mode = SeccompMode::Filter;
        other.credentials.no_new_privileges |= task().credentials.no_new_privileges;
    }
}

/// Installs the struct sock_fprog at `program`.
i64 Call::set_filter(u64 flags, u64 program) const {
    struct {
        u16 length;
        u64 code;
    } head{};
    if (flags & ~u64{kTsync | kLogAll | kSpecAllow | kTsyncEsrch}) return -kEINVAL;
    if (!read_user(program, head)) return -kEFAULT;
    if (head.length == 0 || head.length > kMaxBpf) return -kEINVAL;
    if (!task().credentials.no_new_privileges && !has(Capability::SysAdmin)) return -kEACCES;
    std::vector<BpfInstruction> code(head.length);
    if (!kernel.copy_in(machine, task(), head.code, std::span(reinterpret_cast<u8*>(code.data()), code.size() * sizeof(BpfInstruction)))) return -kEFAULT;
    if (!valid_filter(code) || task().seccomp_mode == SeccompMode::Strict) return -kEINVAL;
    if (const i32 diverged = flags & kTsync ? diverged_thread() : 0) return flags & kTsyncEsrch ? -kESRCH : diverged;
    if (const i64 error = kernel.add_filter(task(), std::move(code))) return error;
    if (flags & kTsync) give_filters_to_threads();
    return 0;
}

i64 Call::set_strict() const {
    if (task().seccomp_mode == SeccompMode::Filter) return -kEINVAL;
    return task().seccomp_mode = SeccompMode::Strict, 0;
}

Attempt Call::seccomp() const {
    enum : u32 { kSetStrict = 0, kSetFilter = 1, kGetActionAvailable = 2, kGetNotifySizes = 3 };
    const u64 flags = static_cast<u32>(arg(1));
    switch (static_cast<u32>(arg(0))) {
    case kSetStrict: return flags || arg(2) ? Attempt(-kEINVAL) : Attempt(set_strict());
    case kSetFilter: return set_filter(flags, arg(2));
    case kGetActionAvailable: {
        u32 action = 0;
        if (flags) return -kEINVAL;
        if (!read_user(arg(2), action)) return -kEFAULT;
        return seccomp_action_name(action) ? Attempt(0) : Attempt(-kEOPNOTSUPP);
    }
    case kGetNotifySizes: {
        constexpr std::array<u16, 3> kSizes = {80, 24, sizeof(SeccompData)}; // struct seccomp_notif, seccomp_notif_resp
        if (flags) return -kEINVAL;
        return write_user(arg(2), kSizes) ? Attempt(0) : Attempt(-kEFAULT);
    }
    default: return -kEINVAL;
    }
}

} // namespace trapeze::container
