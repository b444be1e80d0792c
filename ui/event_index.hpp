// Which events of a trace a filter takes, found piece by piece, so that no frame has to look at all of them: first what is new, then
// backward from there. Nothing is kept while the filter takes everything.
#pragma once

#include "emulator/trace/trace.hpp"

#include <deque>
#include <string>

namespace trapeze::ui {

struct EventFilter {
    u32 classes = kAllClasses;
    std::string text{}; ///< a part of the event's text; empty: any
    bool takes_all() const { return classes == kAllClasses && text.empty(); }
    bool takes(const Trace& trace, const Event& event) const;
    bool operator==(const EventFilter&) const = default;
};

class EventIndex {
  public:
    /// Goes on looking, for about as long as `budget` events take that are only looked at by their class. `history`: another value means that the
    /// trace's past has changed, so that all is forgotten.
    void advance(const Trace& trace, const EventFilter& filter, u64 history, u64 budget);

    u64 size() const { return all_ ? end_ - begin_ : found_.size(); }
    /// Index in the trace of the number-th event that was taken, the oldest first. Pre: number < size().
    u64 at(u64 number) const { return all_ ? begin_ + number : found_[number]; }
    /// How much of the trace has been looked at, 0 to 1.
    float done() const;

  private:
    EventFilter filter_{.classes = 0};
    u64 history_ = ~u64{0};
    bool all_ = false;
    u64 begin_ = 0, end_ = 0; ///< of the trace
    u64 low_ = 0, high_ = 0;  ///< looked at
    std::deque<u64> found_;
};

} // namespace trapeze::ui
