#include "ui/event_index.hpp"

namespace trapeze::ui {

namespace {
constexpr u64 kTextCost = 60; // to make an event's text, in looks at a class
}

bool EventFilter::takes(const Trace& trace, const Event& event) const {
    if (!(classes & class_bit(event_row(event.kind).event_class))) return false;
    return text.empty() || event_text(trace, event).find(text) != std::string::npos;
}

void EventIndex::advance(const Trace& trace, const EventFilter& filter, u64 history, u64 budget) {
    begin_ = trace.first(), end_ = trace.total();
    if (!(filter == filter_) || history != history_ || high_ > end_) {
        filter_ = filter, history_ = history;
        found_.clear();
        low_ = high_ = end_;
    }
    all_ = filter.takes_all();
    if (all_) return;
    while (!found_.empty() && found_.front() < begin_) found_.pop_front(); // the ring has lost them
    if (high_ < begin_) low_ = high_ = begin_;
    const u64 cost = filter.text.empty() ? 1 : kTextCost;
    u64 left = budget / cost + 1;
    for (; high_ < end_ && left; --left, ++high_)
        if (filter.takes(trace, trace.at(high_))) found_.push_back(high_);
    for (; low_ > begin_ && left; --left) {
        --low_;
        if (filter.takes(trace, trace.at(low_))) found_.push_front(low_);
    }
}

float EventIndex::done() const {
    if (all_ || end_ == begin_) return 1;
    const u64 low = low_ < begin_ ? begin_ : low_;
    return static_cast<float>(high_ - low) / static_cast<float>(end_ - begin_);
}

} // namespace trapeze::ui
