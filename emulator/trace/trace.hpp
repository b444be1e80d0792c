// The trace: fixed-size records of what happened, written by every layer to one ring. Counters are always on; records are kept
// for the classes chosen with `record`. Readers (text, JSON, the debugger, graders) never change it.
// Usage: `if (trace.wants(EventClass::Trap)) ...` is done by `add`; the text of {s} is interned with `text`.
#pragma once

#include "emulator/base/archive.hpp"
#include "emulator/cpu/trap.hpp"

#include <array>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace trapeze {

/// Classes of events, chosen for recording as bits.
enum class EventClass : u8 { Trap, Csr, Input, Exit, Paging, Syscall, Namespace, Process };
constexpr u32 class_bit(EventClass c) { return 1u << static_cast<u8>(c); }
inline constexpr u32 kAllClasses = 0xff;

enum class EventKind : u16 {
#define EVENT(name, ...) name,
#include "emulator/trace/events.def"
    Count,
};
struct EventRow {
    const char* name;
    EventClass event_class;
    const char* sentence;
};
const EventRow& event_row(EventKind kind);

/// One record. `detail` is an interned text or, for TrapTaken and VmInject, a packed cause (pack_cause).
struct Event {
    u64 time = 0; ///< cycles of the machine (HartState::cycles)
    u64 pc = 0;
    u64 a = 0;
    u32 detail = 0;
    EventKind kind = EventKind::Count;
    u8 hart : 3 = 0;
    u8 tag : 5 = 0; ///< VM that it belongs to; 0: the machine itself
    u8 from : 2 = 0; ///< privileges before and after, as Priv
    u8 to : 2 = 0;
    bool from_virt : 1 = false; ///< in a guest of the hypervisor extension: VS or VU
    bool to_virt : 1 = false;
    u8 spare : 2 = 0;
    void set_from(PrivMode mode) { from = static_cast<u8>(mode.priv) & 3, from_virt = mode.virt; }
    void set_to(PrivMode mode) { to = static_cast<u8>(mode.priv) & 3, to_virt = mode.virt; }
    bool operator==(const Event&) const = default;
};
static_assert(sizeof(Event) == 32);

constexpr u32 pack_cause(u64 cause) { return static_cast<u32>(cause & 0xffff) | (cause & kInterruptBit ? 0x80000000u : 0); }
constexpr u64 unpack_cause(u32 detail) { return (detail & 0xffff) | (detail & 0x80000000u ? kInterruptBit : 0); }

/// Ring of the newest `capacity` events. Value state; two runs of one session have equal traces.
class Trace {
  public:
    static constexpr std::size_t kDefaultCapacity = 1 << 16; ///< events: 2 MiB
    static constexpr std::size_t kMaxTexts = 1 << 16;        ///< further texts are interned as "..."
    static constexpr std::size_t kMaxTextBytes = 512;        ///< longer texts are cut, and end in "..."

    explicit Trace(std::size_t capacity = kDefaultCapacity) : capacity_(capacity ? capacity : 1) {}

    void record(u32 classes) { classes_ = classes; }
    u32 recorded() const { return classes_; }
    bool wants(EventKind kind) const { return classes_ & class_bit(event_row(kind).event_class); }

    /// Counts the event, and keeps it when its class is recorded.
    void add(const Event& event);
    /// Id of `text` for Event::detail.
    u32 text(std::string_view text);
    const std::string& text_of(u32 id) const;

    /// Events ever added to the ring (recorded classes only); the ring holds the last min(total, capacity).
    u64 total() const { return total_; }
    u64 first() const { return total_ > ring_.size() ? total_ - ring_.size() : 0; }
    /// Pre: first() <= index < total().
    const Event& at(u64 index) const { return ring_[index % capacity_]; }
    u64 count(EventKind kind) const { return counts_[static_cast<std::size_t>(kind)]; }
    void clear();
    void state(StateArchive& archive);

    bool operator==(const Trace&) const = default;

  private:
    std::size_t capacity_;
    std::vector<Event> ring_;
    u64 total_ = 0;
    u32 classes_ = 0;
    std::array<u64, static_cast<std::size_t>(EventKind::Count)> counts_{};
    std::vector<std::string> texts_;
    std::unordered_map<std::string, u32> text_ids_;
};

/// The event as a sentence, and as one JSON object (keys: time, kind, pc, a, detail, hart, vm, from, to).
std::string event_text(const Trace& trace, const Event& event);
std::string event_json(const Trace& trace, const Event& event);

} // namespace trapeze
