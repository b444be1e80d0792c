#include "emulator/trace/trace.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace trapeze {

namespace {
constexpr EventRow kRows[] = {
#define EVENT(name, event_class, sentence) {#name, EventClass::event_class, sentence},
#include "emulator/trace/events.def"
    {"Unknown", EventClass::Trap, "unknown event"},
};
constexpr const char* kTooMany = "...";

/// What stands for one {word} of a sentence.
std::string word_text(const Trace& trace, const Event& event, std::string_view word) {
    if (word == "pc") return fmt::format("{:#x}", event.pc);
    if (word == "a") return fmt::format("{:#x}", event.a);
    if (word == "da") return fmt::format("{}", event.a);
    if (word == "cause") return cause_name(unpack_cause(event.detail));
    if (word == "s") return trace.text_of(event.detail);
    if (word == "from") return mode_text({static_cast<Priv>(event.from), event.from_virt});
    if (word == "to") return mode_text({static_cast<Priv>(event.to), event.to_virt});
    return std::string(word);
}
} // namespace

const EventRow& event_row(EventKind kind) {
    const auto index = static_cast<std::size_t>(kind);
    return kRows[std::min(index, static_cast<std::size_t>(EventKind::Count))];
}

void Trace::add(const Event& event) {
    if (event.kind >= EventKind::Count) return;
    ++counts_[static_cast<std::size_t>(event.kind)];
    if (!wants(event.kind)) return;
    if (ring_.size() < capacity_) ring_.push_back(event);
    else ring_[total_ % capacity_] = event;
    ++total_;
}

u32 Trace::text(std::string_view text) {
    std::string key = text.size() <= kMaxTextBytes ? std::string(text)
                                                   : std::string(text.substr(0, kMaxTextBytes - 3)) + kTooMany;
    if (const auto known = text_ids_.find(key); known != text_ids_.end()) return known->second;
    if (texts_.size() + 1 >= kMaxTexts) {
        if (const auto full = text_ids_.find(kTooMany); full != text_ids_.end()) return full->second;
        key = kTooMany;
    }
    const u32 id = static_cast<u32>(texts_.size());
    texts_.push_back(key);
    text_ids_.emplace(std::move(key), id);
    return id;
}

const std::string& Trace::text_of(u32 id) const {
    static const std::string none;
    return id < texts_.size() ? texts_[id] : none;
}

void Trace::clear() {
    ring_.clear();
    total_ = 0;
    counts_ = {};
    texts_.clear();
    text_ids_.clear();
}

void Trace::state(StateArchive& archive) {
    u64 capacity = capacity_, texts = texts_.size();
    archive(capacity), archive(ring_), archive(total_), archive(classes_), archive(counts_), archive(texts);
    if (archive.loading()) {
        const bool whole = capacity == capacity_ && ring_.size() == std::min<u64>(total_, capacity_) && texts <= kMaxTexts;
        const bool known = std::all_of(ring_.begin(), ring_.end(), [](const Event& event) { return event.kind < EventKind::Count; });
        texts_.clear(), text_ids_.clear();
        if (!whole || !known) return clear(), archive.fail();
        texts_.resize(texts);
    }
    for (u64 id = 0; id < texts && !archive.failed(); ++id) {
        archive(texts_[id]);
        if (archive.loading()) text_ids_.emplace(texts_[id], static_cast<u32>(id));
    }
}

std::string event_text(const Trace& trace, const Event& event) {
    const std::string_view sentence = event_row(event.kind).sentence;
    std::string out;
    for (std::size_t i = 0; i < sentence.size();) {
        const std::size_t end = sentence[i] == '{' ? sentence.find('}', i) : std::string_view::npos;
        if (end == std::string_view::npos) {
            out += sentence[i++];
        } else {
            out += word_text(trace, event, sentence.substr(i + 1, end - i - 1));
            i = end + 1;
        }
    }
    return out;
}

std::string event_json(const Trace& trace, const Event& event) {
    const std::string_view sentence = event_row(event.kind).sentence;
    nlohmann::ordered_json json;
    json["time"] = event.time;
    json["kind"] = event_row(event.kind).name;
    json["pc"] = fmt::format("{:#x}", event.pc); // strings: JSON numbers are exact only to 53 bits in many readers
    json["a"] = fmt::format("{:#x}", event.a);
    if (sentence.find("{s}") != std::string_view::npos) json["detail"] = trace.text_of(event.detail);
    else if (sentence.find("{cause}") != std::string_view::npos) json["detail"] = cause_name(unpack_cause(event.detail));
    else json["detail"] = event.detail;
    json["hart"] = static_cast<unsigned>(event.hart);
    json["vm"] = static_cast<unsigned>(event.tag);
    json["from"] = mode_text({static_cast<Priv>(event.from), event.from_virt});
    json["to"] = mode_text({static_cast<Priv>(event.to), event.to_virt});
    return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

} // namespace trapeze
