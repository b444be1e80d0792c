// System calls that wait for children (wait(2)).
#include "container-sim/abi.hpp"
#include "container-sim/syscalls.hpp"

#include <algorithm>

namespace trapeze::container {

namespace {
constexpr u64 kNoHang = 1, kStopped = 2, kExited = 4, kContinued = 8, kNoWait = 0x0100'0000, kCloneOnly = 0x8000'0000, kAllChildren = 0x4000'0000, kNoThreads = 0x2000'0000;
constexpr std::size_t kUsageWords = 18; // struct rusage
} // namespace

/// A child that has something to tell among those that `wanted` accepts. kECHILD when there are none, kEAGAIN when none has.
i64 Call::find_child(bool (*accepts)(const Kernel&, const Process&, i32), i32 wanted, u64 options, u32& child, int& status) const {
    bool any = false;
    for (u32 index : kernel.process_of(task()).children) {
        Process& process = kernel.processes[index];
        const bool clone_child = process.exit_signal != kSigChld;
        if (!accepts(kernel, process, wanted) || (!(options & kAllChildren) && clone_child != ((options & kCloneOnly) != 0))) continue;
        any = true;
        child = index;
        if (process.zombie && options & kExited) return status = process.exit_status, 0;
        if (process.report_stop && options & kStopped) return status = process.stop_signal << 8 | 0x7f, 0;
        if (process.report_continue && options & kContinued) return status = 0xffff, 0;
    }
    return any ? -kEAGAIN : -kECHILD;
}

/// The child's news has been told: a zombie goes, a stop or continuation is not told again.
void Call::consume(u32 child, int status, u64 options) const {
    if (options & kNoWait) return;
    Process& process = kernel.processes[child];
    if (process.zombie) kernel.reap(machine, child);
    else if (status == 0xffff) process.report_continue = false;
    else process.report_stop = false;
}

Attempt Call::wait4() const {
    if (static_cast<u32>(arg(2)) & ~(kNoHang | kStopped | kContinued | kCloneOnly | kAllChildren | kNoThreads)) return -kEINVAL;
    const i32 pid = int_arg(0);
    if (pid == INT32_MIN) return -kESRCH;
    i32 wanted = 0;
    bool (*accepts)(const Kernel&, const Process&, i32) = [](const Kernel&, const Process&, i32) { return true; };
    if (pid > 0 || pid < -1) {
        const auto host = kernel.host_pid(pid > 0 ? pid : -pid, task().namespaces.pid);
        if (!host) return -kECHILD;
        wanted = *host;
    }
    if (pid == 0) wanted = kernel.process_of(task()).group;
    if (pid > 0) accepts = [](const Kernel&, const Process& child, i32 host) { return child.pid == host; };
    if (pid == 0 || pid < -1) accepts = [](const Kernel&, const Process& child, i32 group) { return child.group == group; };
    u32 child = 0;
    int status = 0;
    const i64 found = find_child(accepts, wanted, (arg(2) & (kStopped | kContinued | kCloneOnly | kAllChildren)) | kExited, child, status);
    if (found == -kEAGAIN) return arg(2) & kNoHang ? Attempt(0) : wait({WaitKind::Child, task().process});
    if (found) return found;
    const i32 seen = kernel.pid_in(kernel.processes[child], task().namespaces.pid);
    const u64 micros = (kernel.processes[child].cycles + kernel.processes[child].children_cycles) * Kernel::kNanosecondsPerCycle / 1000;
    std::array<u64, kUsageWords> usage{micros / 1'000'000, micros % 1'000'000};
    consume(child, status, 0);
    if (arg(1) && !write_user(arg(1), static_cast<i32>(status))) return -kEFAULT;
    return !arg(3) || write_user(arg(3), usage) ? Attempt(seen) : Attempt(-kEFAULT);
}

Attempt Call::waitid() const {
    enum : u64 { kAll, kPid, kGroup, kPidFd };
    if (arg(3) & ~(kNoHang | kStopped | kExited | kContinued | kNoWait | kCloneOnly | kAllChildren | kNoThreads) || !(arg(3) & (kExited | kStopped | kContinued))) return -kEINVAL;
    i32 wanted = 0;
    bool (*accepts)(const Kernel&, const Process&, i32) = [](const Kernel&, const Process&, i32) { return true; };
    switch (arg(0)) {
    case kAll: break;
    case kPid: case kGroup: {
        if (arg(0) == kPid ? int_arg(1) <= 0 : int_arg(1) < 0) return -kEINVAL;
        const auto host = arg(0) == kGroup && !int_arg(1) ? std::optional(kernel.process_of(task()).group) : kernel.host_pid(int_arg(1), task().namespaces.pid);
        if (!host) return -kECHILD;
        wanted = *host;
        if (arg(0) == kPid) accepts = [](const Kernel&, const Process& child, i32 pid) { return child.pid == pid; };
        else accepts = [](const Kernel&, const Process& child, i32 group) { return child.group == group; };
        break;
    }
    case kPidFd: {
        u32 process = 0;
        if (const i64 error = process_behind(fd_arg(1), process)) return error == -kESRCH ? -kECHILD : error;
        wanted = kernel.processes[process].pid;
        accepts = [](const Kernel&, const Process& child, i32 pid) { return child.pid == pid; };
        break;
    }
    default: return -kEINVAL;
    }
    u32 child = 0;
    int status = 0;
    const i64 found = find_child(accepts, wanted, arg(3), child, status);
    struct {
        i32 number, error, code, pad, pid;
        u32 uid;
        i32 status;
        std::array<u8, 100> rest;
    } info{};
    static_assert(sizeof info == 128);
    if (found == -kEAGAIN) {
        if (!(arg(3) & kNoHang)) return wait({WaitKind::Child, task().process});
        return !arg(2) || write_user(arg(2), info) ? Attempt(0) : Attempt(-kEFAULT);
    }
    if (found) return found;
    const Process& process = kernel.processes[child];
    info.number = kSigChld, info.pid = kernel.pid_in(process, task().namespaces.pid), info.uid = kernel.uid_in(task(), kernel.tasks[process.leader].credentials.uid);
    if (process.zombie) {
        info.code = status & 0x7f ? (status & 0x80 ? kChildDumped : kChildKilled) : kChildExited;
        info.status = status & 0x7f ? status & 0x7f : status >> 8 & 0xff;
    } else {
        info.code = status == 0xffff ? kChildContinued : kChildStopped;
        info.status = status == 0xffff ? kSigCont : status >> 8;
    }
    consume(child, status, arg(3));
    return !arg(2) || write_user(arg(2), info) ? Attempt(0) : Attempt(-kEFAULT);
}

} // namespace trapeze::container
