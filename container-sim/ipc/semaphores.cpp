// System V semaphores (semop(2), semctl(2)). All operations of a call are done at once or not at all; who waits is served in order.
#include "container-sim/ipc/ipc_calls.hpp"

#include <limits>

namespace trapeze::container {

/// struct sembuf
struct SemaphoreOperation {
    u16 number;
    i16 change;
    i16 flags;
};
static_assert(sizeof(SemaphoreOperation) == 6);

namespace {

constexpr i32 kMostValue = 32767, kMostAdjustment = 32767; // SEMVMX, SEMAEM
constexpr i16 kUndo = 0x1000;
WaitKey semaphore_key(const SemaphoreSet& set) { return {WaitKind::Ipc, set.serial}; }

/// A waiter's attempt, made for it by who has changed the set.
i64 attempt_for_waiter(const Call& call) {
    SemaphoreSet* set = call.ipc().sets.find(call.int_arg(0));
    std::vector<SemaphoreOperation> operations;
    if (!set) return -kEIDRM;
    if (const i64 error = call.read_operations(operations)) return error;
    return call.operate(*set, operations);
}

/// Until a round changes nothing: what one waiter does may be what another waits for.
void serve_set(const Call& call, const SemaphoreSet& set) {
    const WaitKey key = semaphore_key(set);
    for (std::size_t before = call.kernel.queues.waiting(key).size(); before;) {
        call.kernel.serve_waiters(call.machine, key, attempt_for_waiter);
        const std::size_t left = call.kernel.queues.waiting(key).size();
        before = left < before ? left : 0;
    }
}

} // namespace

/// The operations that a semop names, at most 500 (limited by semget's namespace).
i64 Call::read_operations(std::vector<SemaphoreOperation>& out) const {
    const u64 count = arg(2);
    if (int_arg(0) < 0 || static_cast<u32>(count) < 1) return -kEINVAL;
    if (static_cast<u32>(count) > ipc().limits.operations) return -kE2BIG;
    out.resize(static_cast<u32>(count));
    return kernel.copy_in(machine, task(), arg(1), std::span(reinterpret_cast<u8*>(out.data()), out.size() * sizeof(SemaphoreOperation))) ? 0 : -kEFAULT;
}

/// 0, an errno, or kWouldWait (then `blocking` is the operation that has to wait).
i64 Call::operate(SemaphoreSet& set, const std::vector<SemaphoreOperation>& operations, const SemaphoreOperation** blocking) const {
    const std::vector<Semaphore> before = operations.size() > 1 ? set.semaphores : std::vector<Semaphore>{set.semaphores[operations[0].number]};
    std::map<u16, i32> undone;
    const auto fail = [&](i64 error) {
        if (operations.size() > 1) set.semaphores = before;
        else set.semaphores[operations[0].number] = before[0];
        return error;
    };
    for (const SemaphoreOperation& operation : operations) {
        Semaphore& semaphore = set.semaphores[operation.number];
        const i32 result = semaphore.value + operation.change;
        if ((!operation.change && semaphore.value) || result < 0) {
            if (blocking) *blocking = &operation;
            return fail(operation.flags & kIpcNoWait ? -kEAGAIN : kWouldWait);
        }
        if (result > kMostValue) return fail(-kERANGE);
        if (operation.flags & kUndo) {
            const auto& own = kernel.semaphore_undos[task().semaphore_undo].adjustments;
            const auto known = own.find({set.serial, operation.number});
            i32& adjustment = undone.try_emplace(operation.number, known == own.end() ? 0 : known->second).first->second;
            adjustment -= operation.change;
            if (adjustment < -kMostAdjustment - 1 || adjustment > kMostAdjustment) return fail(-kERANGE);
        }
        semaphore.value = result;
    }
    if (!undone.empty()) {
        std::size_t entries = 0;
        for (u32 i = 1; i < kernel.semaphore_undos.end(); ++i) entries += kernel.semaphore_undos[i].adjustments.size();
        if (entries + undone.size() > kMaxUndoEntries) return fail(-kENOSPC);
        auto& own = kernel.semaphore_undos[own_undo()].adjustments;
        for (const auto& [number, adjustment] : undone) own[{set.serial, number}] = adjustment;
    }
    for (const SemaphoreOperation& operation : operations) set.semaphores[operation.number].last = kernel.process_of(task()).pid;
    set.used = seconds_now();
    return 0;
}

/// The task's list of what to undo; 0 is nobody's, so it gets one when it first needs it.
u32 Call::own_undo() const {
    u32& own = task().semaphore_undo;
    if (!own) own = kernel.semaphore_undos.add({task().namespaces.ipc, {}});
    return own;
}

Attempt Call::operate_semaphores(u64 timeout) const {
    std::vector<SemaphoreOperation> operations;
    u64 deadline = 0;
    if (const i64 error = read_operations(operations)) return error;
    if (const i64 error = deadline_of(timeout, deadline)) return error;
    SemaphoreSet* set = ipc().sets.find(int_arg(0));
    if (!set) return -kEINVAL;
    const auto highest = std::max_element(operations.begin(), operations.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
    if (highest->number >= set->semaphores.size()) return -kEFBIG;
    const bool alters = std::any_of(operations.begin(), operations.end(), [](const auto& operation) { return operation.change != 0; });
    if (!may_use(*set, alters ? 0222 : 0444)) return -kEACCES;
    const i64 result = operate(*set, operations);
    if (result == kWouldWait) {
        if (machine.cycles() >= deadline) return -kEAGAIN;
        task().resume = deadline;
        return wait(semaphore_key(*set), deadline, Restart::IfUnhandled);
    }
    if (!result && alters) serve_set(*this, *set);
    return result;
}
Attempt Call::semop() const { return operate_semaphores(0); }
Attempt Call::semtimedop() const { return operate_semaphores(arg(3)); }

Attempt Call::semget() const {
    IpcNamespace& own = ipc();
    if (int_arg(1) < 0 || static_cast<u64>(int_arg(1)) > own.limits.set_semaphores) return -kEINVAL;
    const u32 count = static_cast<u32>(int_arg(1));
    return get_ipc_object(
        *this, own.sets, kernel.ipc_namespaces[0].sets, int_arg(0), static_cast<u32>(arg(2)), own.limits.sets, [&](const SemaphoreSet& set) -> i64 { return count > set.semaphores.size() ? -kEINVAL : 0; },
        [&](SemaphoreSet& set) -> i64 {
            if (!count) return -kEINVAL;
            u64 used = 0;
            for (const auto& [index, other] : own.sets.objects) used += other.semaphores.size();
            if (used + count > own.limits.semaphores || kernel.ipc_totals.semaphores + count > kMaxSemaphores) return -kENOSPC;
            kernel.ipc_totals.semaphores += count;
            set.semaphores.resize(count);
            return 0;
        });
}

// --- Undoing (SEM_UNDO) ------------------------------------------------------------------------------------------------------------

/// A task ends or unshares: with the last one that shares the list, what it asked to undo is undone.
void Kernel::release_undo(Machine& machine, u32 undo) {
    if (!undo || !semaphore_undos.release(undo)) return;
    const SemaphoreUndo gone = std::move(semaphore_undos[undo]);
    semaphore_undos.erase(undo);
    IpcTable<SemaphoreSet>& sets = ipc_namespaces[gone.ipc_namespace].sets;
    for (const auto& [place, adjustment] : gone.adjustments) {
        const auto found = std::find_if(sets.objects.begin(), sets.objects.end(), [serial = place.first](const auto& entry) { return entry.second.serial == serial; });
        if (found == sets.objects.end() || place.second >= found->second.semaphores.size()) continue;
        Semaphore& semaphore = found->second.semaphores[place.second];
        semaphore.value = std::clamp(semaphore.value + adjustment, 0, kMostValue);
        serve_set({*this, machine, 0, {}}, found->second);
    }
}

/// A semaphore was set anew, or (nullopt) its whole set is gone: nobody undoes anything of it.
void Kernel::forget_undo(u64 serial, std::optional<u16> number) {
    for (u32 i = 1; i < semaphore_undos.end(); ++i)
        std::erase_if(semaphore_undos[i].adjustments, [&](const auto& entry) { return entry.first.first == serial && (!number || entry.first.second == *number); });
}

// --- semctl ---------------------------------------------------------------------------------------------------------------------------

namespace {

enum SemaphoreCommand : i32 { kGetPid = 11, kGetValue, kGetAll, kGetWaiting, kGetWaitingForZero, kSetValue, kSetAll, kStatIndex, kInfo, kStatAny };

/// struct semid64_ds
struct SetRecord {
    IpcPermissions permissions;
    u64 used, changed, count, unused[2];
};
static_assert(sizeof(SetRecord) == 88);

} // namespace

/// How many wait for a semaphore to grow, or to become zero: each waits where its first operation that cannot be done is.
i64 Call::count_waiting(const SemaphoreSet& set, u16 number, bool for_zero) const {
    i64 count = 0;
    for (u32 waiter : kernel.queues.waiting(semaphore_key(set))) {
        Call call{kernel, machine, waiter, {}};
        std::copy_n(kernel.tasks[waiter].x.begin() + 10, 6, call.arguments.begin());
        std::vector<SemaphoreOperation> operations;
        const SemaphoreOperation* blocking = nullptr;
        SemaphoreSet copy = set;
        if (call.read_operations(operations) == 0 && call.operate(copy, operations, &blocking) == kWouldWait) count += blocking->number == number && !blocking->change == for_zero;
    }
    return count;
}

i64 Call::set_semaphores(SemaphoreSet& set, unsigned first, const std::vector<u16>& values) const {
    for (std::size_t i = 0; i < values.size(); ++i) {
        kernel.forget_undo(set.serial, static_cast<u16>(first + i));
        set.semaphores[first + i] = {values[i], kernel.process_of(task()).pid};
    }
    set.changed = seconds_now();
    serve_set(*this, set);
    return 0;
}

/// Commands on one semaphore. Pre: `number` is in the set and the caller may read it.
i64 Call::one_semaphore(SemaphoreSet& set, u16 number, i32 command) const {
    switch (command) {
    case kGetValue: return set.semaphores[number].value;
    case kGetPid: return kernel.pid_in(set.semaphores[number].last, task().namespaces.pid);
    default: return count_waiting(set, number, command == kGetWaitingForZero);
    }
}

Attempt Call::semctl() const {
    IpcNamespace& own = ipc();
    const i32 command = int_arg(2);
    if (int_arg(0) < 0) return -kEINVAL;
    if (command == kIpcInfo || command == kInfo) {
        const IpcLimits& limits = own.limits;
        u64 used = 0;
        for (const auto& [index, set] : own.sets.objects) used += set.semaphores.size();
        const auto number = [](u64 value) { return static_cast<i32>(std::min<u64>(value, std::numeric_limits<i32>::max())); };
        const bool counts = command == kInfo;
        const std::array<i32, 10> info{number(limits.semaphores), number(limits.sets), number(limits.semaphores), number(limits.semaphores), number(limits.set_semaphores), number(limits.operations),
                                       number(limits.operations), counts ? number(own.sets.objects.size()) : 20, kMostValue, counts ? number(used) : kMostAdjustment};
        return write_user(arg(3), info) ? Attempt(own.sets.highest()) : Attempt(-kEFAULT);
    }
    const bool by_index = command == kStatIndex || command == kStatAny;
    if (command < 0 || (command > kIpcStat && command < kGetPid) || command > kStatAny) return -kEINVAL;
    SetRecord given{};
    if (command == kIpcSet && !read_user(arg(3), given)) return -kEFAULT;
    SemaphoreSet* set = ipc_object(own.sets, int_arg(0), by_index);
    if (!set) return -kEINVAL;
    switch (command) {
    case kIpcStat: case kStatIndex: case kStatAny:
        if (command != kStatAny && !may_use(*set, 0444)) return -kEACCES;
        given = {permissions_of(*this, *set), set->used, set->changed, set->semaphores.size(), {}};
        return write_user(arg(3), given) ? Attempt(by_index ? set->id : 0) : Attempt(-kEFAULT);
    case kIpcSet: return may_control(*set) ? change_ipc_head(*set, given.permissions.uid, given.permissions.gid, given.permissions.mode) : -kEPERM;
    case kIpcRemove:
        if (!may_control(*set)) return -kEPERM;
        for (u32 waiter : kernel.queues.waiting(semaphore_key(*set))) kernel.serve(waiter, -kEIDRM);
        kernel.forget_undo(set->serial, std::nullopt);
        kernel.ipc_totals.semaphores -= set->semaphores.size();
        --kernel.ipc_totals.objects;
        own.sets.erase(set->id);
        return 0;
    case kGetAll: case kSetAll: {
        std::vector<u16> values(set->semaphores.size());
        if (!may_use(*set, command == kSetAll ? 0222 : 0444)) return -kEACCES;
        if (command == kGetAll) {
            std::transform(set->semaphores.begin(), set->semaphores.end(), values.begin(), [](const Semaphore& semaphore) { return static_cast<u16>(semaphore.value); });
            return kernel.copy_out(machine, task(), arg(3), std::span(reinterpret_cast<const u8*>(values.data()), values.size() * 2)) ? Attempt(0) : Attempt(-kEFAULT);
        }
        if (!kernel.copy_in(machine, task(), arg(3), std::span(reinterpret_cast<u8*>(values.data()), values.size() * 2))) return -kEFAULT;
        if (std::any_of(values.begin(), values.end(), [](u16 value) { return value > kMostValue; })) return -kERANGE;
        return set_semaphores(*set, 0, values);
    }
    case kSetValue: {
        const i32 value = int_arg(3);
        if (value < 0 || value > kMostValue) return -kERANGE;
        if (int_arg(1) < 0 || static_cast<u64>(int_arg(1)) >= set->semaphores.size()) return -kEINVAL;
        return may_use(*set, 0222) ? set_semaphores(*set, static_cast<u32>(int_arg(1)), {static_cast<u16>(value)}) : -kEACCES;
    }
    default:
        if (!may_use(*set, 0444)) return -kEACCES;
        if (int_arg(1) < 0 || static_cast<u64>(int_arg(1)) >= set->semaphores.size()) return -kEINVAL;
        return one_semaphore(*set, static_cast<u16>(int_arg(1)), command);
    }
}

} // namespace trapeze::container
