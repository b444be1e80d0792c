// eventfd(2), timerfd_create(2), signalfd(2), epoll(7). What is ready is told in the order in which it became so.
#include "container-sim/event_files.hpp"
#include "container-sim/abi.hpp"
#include "container-sim/file_operations.hpp"

#include <algorithm>
#include <cstring>

namespace trapeze::container {

namespace {

OpenFile file_of_kind(FileKind kind, u32 object, u64 flags) {
    OpenFile file;
    file.kind = kind, file.object = object, file.flags = static_cast<u32>(flags & kNonBlock) | 2;
    return file;
}

// --- eventfd ---------------------------------------------------------------------------------------------------------------------

constexpr u64 kMostCount = ~u64{0} - 1;
WaitKey event_key(const OpenFile& file) { return {WaitKind::Event, file.object}; }

Attempt read_event(const Call& call, OpenFile& file, u64 to, u64 bytes, u64*) {
    EventCounter& counter = call.kernel.event_counters[file.object];
    if (bytes < 8) return -kEINVAL;
    if (!counter.count) return file.flags & kNonBlock ? Attempt(-kEAGAIN) : call.wait(event_key(file));
    const u64 value = counter.semaphore ? 1 : counter.count;
    if (!call.write_user(to, value)) return -kEFAULT;
    counter.count -= value;
    call.kernel.wake(event_key(file), Edge::No);
    return 8;
}

Attempt write_event(const Call& call, OpenFile& file, u64 from, u64 bytes, const u64*) {
    EventCounter& counter = call.kernel.event_counters[file.object];
    u64 value = 0;
    if (bytes < 8) return -kEINVAL;
    if (!call.read_user(from, value)) return -kEFAULT;
    if (value == ~u64{0}) return -kEINVAL;
    if (value > kMostCount - counter.count) return file.flags & kNonBlock ? Attempt(-kEAGAIN) : call.wait(event_key(file));
    counter.count += value;
    call.kernel.wake(event_key(file));
    return 8;
}

i16 poll_event(const Kernel& kernel, const OpenFile& file) {
    const u64 count = kernel.event_counters[file.object].count;
    return static_cast<i16>((count ? kPollIn : 0) | (count < kMostCount ? kPollOut : 0));
}

// --- timerfd ---------------------------------------------------------------------------------------------------------------------

WaitKey timer_key(const OpenFile& file) { return {WaitKind::Timer, file.object}; }

Attempt read_timer(const Call& call, OpenFile& file, u64 to, u64 bytes, u64*) {
    TimerFile& timer = call.kernel.timer_files[file.object];
    if (bytes < 8) return -kEINVAL;
    const u64 now = call.machine.cycles();
    if (!timer.next || now < timer.next) return file.flags & kNonBlock ? Attempt(-kEAGAIN) : call.wait(timer_key(file));
    const u64 count = timer.interval ? 1 + (now - timer.next) / timer.interval : 1;
    if (!call.write_user(to, count)) return -kEFAULT;
    timer.next = timer.interval ? timer.next + count * timer.interval : 0;
    if (timer.next) call.kernel.timer_file_deadlines.insert({timer.next, file.object});
    return 8;
}

// --- signalfd --------------------------------------------------------------------------------------------------------------------

constexpr WaitKey kAnySignal{WaitKind::Signal, ~u64{0}};

/// What is pending for whoever asks, of the mask that the file's offset keeps.
u64 pending_for(const Kernel& kernel, const Task& task, const OpenFile& file) { return (task.pending.set() | kernel.process_of(task).pending.set()) & file.offset; }

/// struct signalfd_siginfo
struct SignalRecord {
    u32 number;
    i32 error, code;
    u32 pid, uid;
    i32 fd;
    u32 timer, band, overrun, trap;
    i32 status, value;
    u64 pointer, user_time, system_time, address;
    std::array<u8, 48> pad;
};
static_assert(sizeof(SignalRecord) == 128);

Attempt read_signals(const Call& call, OpenFile& file, u64 to, u64 bytes, u64*) {
    Task& task = call.task();
    if (bytes < sizeof(SignalRecord)) return -kEINVAL;
    if (!pending_for(call.kernel, task, file)) return file.flags & kNonBlock ? Attempt(-kEAGAIN) : call.wait(kAnySignal);
    i64 done = 0;
    while (static_cast<u64>(done) + sizeof(SignalRecord) <= bytes) {
        const auto info = call.kernel.take_signal(call.machine, task, file.offset);
        if (!info) break;
        SignalRecord record{};
        record.number = static_cast<u32>(info->number), record.code = info->code;
        record.pid = static_cast<u32>(info->raw_pid ? info->raw_pid : call.kernel.pid_in(info->sender, task.namespaces.pid)), record.uid = call.kernel.uid_in(task, info->uid);
        record.value = static_cast<i32>(info->value), record.pointer = info->value;
        if (info->number == kSigChld) record.status = static_cast<i32>(info->value);
        if (!call.write_user(to + static_cast<u64>(done), record)) return done ? Attempt(done) : Attempt(-kEFAULT);
        done += static_cast<i64>(sizeof record);
    }
    return done;
}

i16 poll_signals(const Kernel& kernel, const OpenFile& file) {
    return kernel.current < kernel.tasks.size() && pending_for(kernel, kernel.tasks[kernel.current], file) ? kPollIn : i16{0};
}

// --- epoll -----------------------------------------------------------------------------------------------------------------------

constexpr u32 kEdge = 1u << 31, kOneShot = 1u << 30, kExclusiveWake = 1u << 28, kWakeUp = 1u << 29;
constexpr u32 kAlways = static_cast<u32>(kPollError | kPollHangUp);

u32 ready_of(const Kernel& kernel, const OpenFile& file, u32 events) {
    const auto poll = file_operations(file.kind).poll;
    const u32 now = static_cast<u16>(poll ? poll(kernel, file) : static_cast<i16>(kPollIn | kPollOut));
    return now & (events | kAlways);
}

/// Bounded by the nesting that epoll_ctl allows.
i16 poll_epoll(const Kernel& kernel, const OpenFile& file) {
    for (const auto& [key, item] : kernel.epolls[file.object].items)
        if (!item.disabled && ready_of(kernel, kernel.files[key.second], item.events)) return kPollIn;
    return 0;
}

} // namespace

const FileOperations kEventOperations{.read = read_event, .write = write_event, .poll = poll_event, .wait_key = event_key,
                                      .close = [](Kernel& kernel, Machine&, OpenFile& file) { kernel.event_counters.erase(file.object); }, .mode = 0600, .link = "anon_inode:[eventfd]"};
const FileOperations kTimerOperations{.read = read_timer,
                                      .poll = [](const Kernel& kernel, const OpenFile& file) { return kernel.timer_files[file.object].next && kernel.timer_due(file.object) ? kPollIn : i16{0}; },
                                      .wait_key = timer_key, .close = [](Kernel& kernel, Machine&, OpenFile& file) { kernel.drop_timer(file.object); }, .mode = 0600, .link = "anon_inode:[timerfd]"};
const FileOperations kSignalOperations{.read = read_signals, .poll = poll_signals, .wait_key = [](const OpenFile&) { return kAnySignal; }, .mode = 0600, .link = "anon_inode:[signalfd]"};
const FileOperations kEpollOperations{.poll = poll_epoll, .wait_key = [](const OpenFile& file) { return WaitKey{WaitKind::Epoll, file.object}; },
                                      .close = [](Kernel& kernel, Machine&, OpenFile& file) { kernel.close_epoll(file.object); }, .mode = 0600, .link = "anon_inode:[eventpoll]"};

bool Kernel::timer_due(u32 timer) const {
    const auto found = std::find_if(timer_file_deadlines.begin(), timer_file_deadlines.end(), [timer](const auto& deadline) { return deadline.second == timer; });
    return found == timer_file_deadlines.end(); // its deadline has passed: expire_timers has taken it
}

void Kernel::drop_timer(u32 timer) {
    std::erase_if(timer_file_deadlines, [timer](const auto& deadline) { return deadline.second == timer; });
    timer_files.erase(timer);
}

/// A file's last descriptor has gone: no epoll instance watches it any more.
void Kernel::forget_in_epolls(u32 file) {
    for (u32 i = 0; i < epolls.end(); ++i)
        if (epolls.contains(i))
            std::erase_if(epolls[i].items, [&](const auto& item) {
                if (item.first.second != file) return false;
                unwatch(i, item.first);
                return true;
            });
}

/// An item of an instance goes from those that are told when its file is woken.
void Kernel::unwatch(u32 epoll, std::pair<u32, u32> item) {
    const auto wait_key = file_operations(files[item.second].kind).wait_key;
    const auto watchers = wait_key ? epoll_watchers.find(wait_key(files[item.second])) : epoll_watchers.end();
    if (watchers == epoll_watchers.end()) return;
    watchers->second.erase({epoll, item});
    if (watchers->second.empty()) epoll_watchers.erase(watchers);
}

void Kernel::close_epoll(u32 epoll) {
    for (const auto& [key, item] : epolls[epoll].items) unwatch(epoll, key);
    epolls.erase(epoll);
}

Attempt Call::eventfd2() const {
    constexpr u64 kSemaphore = 1;
    if (arg(1) & ~(kSemaphore | kNonBlock | kCloseOnExec)) return -kEINVAL;
    const u32 counter = kernel.event_counters.add({arg(0) & 0xffff'ffff, (arg(1) & kSemaphore) != 0});
    return kernel.install(machine, task(), file_of_kind(FileKind::Event, counter, arg(1)), arg(1) & kCloseOnExec);
}

Attempt Call::timerfd_create() const {
    if (arg(1) & ~(kNonBlock | kCloseOnExec)) return -kEINVAL;
    if (int_arg(0) != 0 && int_arg(0) != 1 && int_arg(0) != 7 && int_arg(0) != 8 && int_arg(0) != 9) return -kEINVAL; // REALTIME, MONOTONIC, BOOTTIME and their alarms
    const u32 timer = kernel.timer_files.add({int_arg(0)});
    return kernel.install(machine, task(), file_of_kind(FileKind::Timer, timer, arg(1)), arg(1) & kCloseOnExec);
}

namespace {
struct TimerSpec {
    i64 interval_seconds, interval_nanoseconds, seconds, nanoseconds;
};
constexpr u64 kSecond = 1'000'000'000, kMostSeconds = 1'000'000'000;
bool valid(i64 seconds, i64 nanoseconds) { return seconds >= 0 && nanoseconds >= 0 && nanoseconds < static_cast<i64>(kSecond); }
u64 to_cycles(i64 seconds, i64 nanoseconds) {
    const u64 all = std::min<u64>(static_cast<u64>(seconds), kMostSeconds) * kSecond + static_cast<u64>(nanoseconds);
    return all ? std::max<u64>(1, all / Kernel::kNanosecondsPerCycle) : 0;
}
TimerSpec spec_of(const TimerFile& timer, u64 now) {
    const u64 interval = timer.interval * Kernel::kNanosecondsPerCycle;
    u64 left = 0;
    if (timer.next > now) left = timer.next - now;
    else if (timer.next && timer.interval) left = timer.interval - (now - timer.next) % timer.interval;
    left *= Kernel::kNanosecondsPerCycle;
    return {static_cast<i64>(interval / kSecond), static_cast<i64>(interval % kSecond), static_cast<i64>(left / kSecond), static_cast<i64>(left % kSecond)};
}
} // namespace

Attempt Call::timerfd_settime() const {
    constexpr u64 kAbsolute = 1, kCancelOnSet = 2;
    TimerSpec given{};
    if (!read_user(arg(2), given)) return -kEFAULT;
    if (arg(1) & ~(kAbsolute | kCancelOnSet) || !valid(given.seconds, given.nanoseconds) || !valid(given.interval_seconds, given.interval_nanoseconds)) return -kEINVAL;
    OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    if (file->kind != FileKind::Timer) return -kEINVAL;
    TimerFile& timer = kernel.timer_files[file->object];
    const TimerSpec old = spec_of(timer, machine.cycles());
    std::erase_if(kernel.timer_file_deadlines, [&](const auto& deadline) { return deadline.second == file->object; });
    const u64 wanted = to_cycles(given.seconds, given.nanoseconds);
    timer.interval = to_cycles(given.interval_seconds, given.interval_nanoseconds);
    if (!wanted) timer.next = 0;
    else if (arg(1) & kAbsolute) timer.next = static_cast<u64>(std::max<i64>(1, static_cast<i64>(wanted) - clock_offset(timer.clock) / static_cast<i64>(Kernel::kNanosecondsPerCycle)));
    else timer.next = machine.cycles() + wanted;
    if (timer.next) kernel.timer_file_deadlines.insert({timer.next, file->object});
    kernel.expire_timers(machine);
    return !arg(3) || write_user(arg(3), old) ? Attempt(0) : Attempt(-kEFAULT);
}

Attempt Call::timerfd_gettime() const {
    const OpenFile* file = kernel.file_of(task(), fd_arg(0));
    if (!file) return -kEBADF;
    if (file->kind != FileKind::Timer) return -kEINVAL;
    return write_user(arg(1), spec_of(kernel.timer_files[file->object], machine.cycles())) ? Attempt(0) : Attempt(-kEFAULT);
}

Attempt Call::signalfd4() const {
    u64 mask = 0;
    if (arg(3) & ~(kNonBlock | kCloseOnExec) || arg(2) != 8) return -kEINVAL;
    if (!read_user(arg(1), mask)) return -kEFAULT;
    mask &= ~(signal_bit(kSigKill) | signal_bit(kSigStop));
    if (int_arg(0) != -1) {
        OpenFile* file = kernel.file_of(task(), fd_arg(0));
        if (!file) return -kEBADF;
        if (file->kind != FileKind::Signal) return -kEINVAL;
        file->offset = mask;
        kernel.wake(kAnySignal);
        return int_arg(0);
    }
    OpenFile file = file_of_kind(FileKind::Signal, 0, arg(3));
    file.offset = mask;
    return kernel.install(machine, task(), file, arg(3) & kCloseOnExec);
}

Attempt Call::epoll_create1() const {
    if (arg(0) & ~kCloseOnExec) return -kEINVAL;
    return kernel.install(machine, task(), file_of_kind(FileKind::Epoll, kernel.epolls.add({}), 0), arg(0) & kCloseOnExec);
}

/// How deep instances are nested below one, itself included; more than the limit is a circle or too deep.
unsigned Call::epoll_depth(u32 epoll, unsigned depth) const {
    unsigned deepest = depth;
    if (depth > kMaxEpollNesting) return depth;
    for (const auto& [key, item] : kernel.epolls[epoll].items)
        if (kernel.files[key.second].kind == FileKind::Epoll) deepest = std::max(deepest, epoll_depth(kernel.files[key.second].object, depth + 1));
    return deepest;
}
bool Call::epoll_reaches(u32 from, u32 to, unsigned depth) const {
    if (from == to) return true;
    for (const auto& [key, item] : kernel.epolls[from].items)
        if (depth < kMaxEpollNesting && kernel.files[key.second].kind == FileKind::Epoll && epoll_reaches(kernel.files[key.second].object, to, depth + 1)) return true;
    return false;
}

Attempt Call::epoll_ctl() const {
    enum : u64 { kAdd = 1, kDelete = 2, kModify = 3 };
    struct {
        u32 events, pad;
        u64 data;
    } given{};
    if (arg(1) != kDelete && !read_user(arg(3), given)) return -kEFAULT;
    const OpenFile *own = kernel.file_of(task(), fd_arg(0)), *file = kernel.file_of(task(), fd_arg(2));
    if (!own || !file) return -kEBADF;
    if (file->kind == FileKind::Inode) {
        const GeneratedFile* made_up = kernel.vfs.inodes.get(file->location.inode).generated;
        if (!made_up || !made_up->changes) return -kEPERM;
    }
    if (own->kind != FileKind::Epoll || own == file) return -kEINVAL;
    EpollSet& set = kernel.epolls[own->object];
    const std::pair<u32, u32> key{fd_arg(2), file_number(fd_arg(2))};
    const auto found = set.items.find(key);
    if (given.events & kExclusiveWake && (arg(1) == kModify || given.events & kOneShot || file->kind == FileKind::Epoll)) return -kEINVAL;
    if (arg(1) == kAdd) {
        if (file->kind == FileKind::Epoll && (epoll_reaches(file->object, own->object, 0) || epoll_depth(file->object, 1) >= kMaxEpollNesting)) return -kELOOP;
        if (found != set.items.end()) return -kEEXIST;
        const auto nested = [&](const auto& item) { return kernel.files[item.first.second].kind == FileKind::Epoll; };
        if (file->kind == FileKind::Epoll && static_cast<std::size_t>(std::count_if(set.items.begin(), set.items.end(), nested)) >= kMaxNestedEpolls) return -kEINVAL;
        if (set.items.size() >= kMaxEpollItems) return -kENOSPC;
        set.items[key] = {given.events & ~kWakeUp, given.data, false, ready_of(kernel, *file, given.events) ? ++kernel.epoll_places : 0, 0, 0};
        if (const auto wait_key = file_operations(file->kind).wait_key) kernel.epoll_watchers[wait_key(*file)].insert({own->object, key});
    } else if (arg(1) == kModify || arg(1) == kDelete) {
        if (found == set.items.end()) return -kENOENT;
        if (arg(1) == kDelete) kernel.unwatch(own->object, key), set.items.erase(found);
        else found->second = {given.events & ~kWakeUp, given.data, false, found->second.place ? found->second.place : ++kernel.epoll_places, 0, 0};
    } else {
        return -kEINVAL;
    }
    if (given.events & kEdge)
        if (const auto wait_key = file_operations(file->kind).wait_key) kernel.edges.try_emplace(wait_key(*file), 0);
    kernel.wake({WaitKind::Epoll, own->object});
    return 0;
}

/// What an item has to tell now; edge-triggered ones tell what is new only.
u32 Call::epoll_item_ready(u32 file_index, EpollSet::Item& item) const {
    const OpenFile& file = kernel.files[file_index];
    if (item.disabled) return 0;
    const u32 ready = ready_of(kernel, file, item.events);
    if (!(item.events & kEdge)) return ready;
    const auto wait_key = file_operations(file.kind).wait_key;
    const auto edge = wait_key ? kernel.edges.find(wait_key(file)) : kernel.edges.end();
    const u64 count = edge == kernel.edges.end() ? 0 : edge->second;
    const bool news = ready & ~item.told || count != item.seen;
    item.told = ready, item.seen = count;
    return news ? ready : 0;
}

/// All that an instance waits for, down through those that it watches.
void Call::add_epoll_keys(std::vector<WaitKey>& keys, u32 epoll, unsigned depth) const {
    const WaitKey own{WaitKind::Epoll, epoll};
    if (std::find(keys.begin(), keys.end(), own) != keys.end()) return; // reached on another way already
    keys.push_back(own);
    for (const auto& [key, item] : kernel.epolls[epoll].items) {
        const OpenFile& file = kernel.files[key.second];
        if (file.kind == FileKind::Epoll && depth < kMaxEpollNesting) add_epoll_keys(keys, file.object, depth + 1);
        else if (const auto wait_key = file_operations(file.kind).wait_key) keys.push_back(wait_key(file));
    }
}

Attempt Call::wait_epoll(u64 deadline, u64 mask_at, u64 mask_size) const {
    struct Told {
        u32 events, pad;
        u64 data;
    };
    if (int_arg(2) <= 0 || static_cast<u64>(int_arg(2)) > kMaxEpollItems * 16) return -kEINVAL;
    const OpenFile* own = kernel.file_of(task(), fd_arg(0));
    if (!own) return -kEBADF;
    if (own->kind != FileKind::Epoll) return -kEINVAL;
    if (const i64 error = take_mask(mask_at, mask_size)) return error;
    EpollSet& set = kernel.epolls[own->object];
    // In the list first, then what is ready without having been woken.
    std::vector<std::pair<u64, std::pair<u32, u32>>> order;
    for (const auto& [key, item] : set.items) order.push_back({item.place ? item.place : ~u64{0}, key});
    std::sort(order.begin(), order.end());
    i64 count = 0;
    for (const auto& [place, key] : order) {
        if (count == int_arg(2)) break;
        EpollSet::Item& item = set.items.at(key);
        const u32 ready = epoll_item_ready(key.second, item);
        item.place = 0;
        if (!ready) continue;
        if (!write_user(arg(1) + static_cast<u64>(count) * sizeof(Told), Told{ready, 0, item.data})) return end_masked(count ? count : -kEFAULT);
        if (item.events & kOneShot) item.disabled = true;
        else if (!(item.events & kEdge)) item.place = ++kernel.epoll_places;
        ++count;
    }
    if (count || machine.cycles() >= deadline) return end_masked(count);
    task().resume = deadline;
    std::vector<WaitKey> keys;
    add_epoll_keys(keys, own->object, 0);
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    return wait_any(std::move(keys), deadline, Restart::IfUnhandled);
}

Attempt Call::epoll_pwait() const {
    u64 deadline = task().resume;
    if (!deadline) deadline = int_arg(3) < 0 ? kForever : machine.cycles() + static_cast<u64>(int_arg(3)) * 1'000'000 / Kernel::kNanosecondsPerCycle;
    return wait_epoll(deadline, arg(4), arg(5));
}
Attempt Call::epoll_pwait2() const {
    u64 deadline = 0;
    if (const i64 error = deadline_of(arg(3), deadline)) return error;
    return wait_epoll(deadline, arg(4), arg(5));
}

} // namespace trapeze::container
