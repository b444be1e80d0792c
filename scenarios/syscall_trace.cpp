#include "scenarios/syscall_trace.hpp"

#include "container-sim/syscalls.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace trapeze::scenarios {

namespace {

struct CallClass {
    const char* name;
    std::vector<std::string> parts; ///< of names
};
/// Classes as strace(1) calls them; %file is every call that has a path.
const std::vector<CallClass>& classes() {
    static const std::vector<CallClass> all = {
        {"%process", {"clone", "execve", "exit", "wait", "fork", "kill", "unshare", "setns"}},
        {"%network", {"socket", "bind", "listen", "accept", "connect", "send", "recv", "sockname", "peername", "sockopt", "shutdown"}},
        {"%memory", {"mmap", "munmap", "mprotect", "madvise", "brk", "mremap"}},
        {"%signal", {"sig", "kill"}},
        {"%desc", {"read", "write", "close", "dup", "open", "pipe", "fcntl", "ioctl", "lseek", "poll", "select", "epoll"}},
        {"%creds", {"uid", "gid", "groups", "capget", "capset"}},
        {"%namespace", {"unshare", "setns", "clone", "hostname", "domainname", "mount", "pivot_root", "chroot"}},
    };
    return all;
}

Result<void> add_names(const std::string& wanted, std::vector<std::string>& names) {
    const auto& rows = container::syscall_rows();
    const std::size_t before = names.size();
    const auto known = std::find_if(classes().begin(), classes().end(), [&](const CallClass& c) { return c.name == wanted; });
    for (const container::SyscallRow& row : rows) {
        const std::string name = row.name;
        const bool of_class = known != classes().end() && std::any_of(known->parts.begin(), known->parts.end(), [&](const auto& part) { return name.find(part) != std::string::npos; });
        const bool has_path = wanted == "%file" && std::string_view(row.format).find('s') != std::string_view::npos;
        if (name == wanted || of_class || has_path) names.push_back(name);
    }
    if (names.size() == before)
        return Error{fmt::format("\"{}\" is no system call and no class of them; `trapeze isa --syscalls` lists the calls, the classes are %file, %process, %network, %memory, "
                                 "%signal, %desc, %creds, %namespace", wanted)};
    return {};
}

std::string name_of(const std::string& text) { return text.substr(0, text.find_first_of("( ")); }

/// "{name} = {result} {error}", taken apart for JSON.
nlohmann::ordered_json result_json(const std::string& result) {
    if (result == "?") return nullptr;
    return result;
}

} // namespace

Result<SyscallTrace> SyscallTrace::create(SyscallFilter filter) {
    SyscallTrace trace;
    trace.filter_ = std::move(filter);
    for (std::string wanted : trace.filter_.calls) {
        if (wanted.starts_with("trace=")) wanted = wanted.substr(6);
        if (wanted.starts_with("!")) trace.except_ = true, wanted = wanted.substr(1);
        if (const auto added = add_names(wanted, trace.names_); !added) return Error{added.error()};
    }
    return trace;
}

bool SyscallTrace::wants(const std::string& text) const {
    if (names_.empty()) return true;
    return (std::find(names_.begin(), names_.end(), name_of(text)) != names_.end()) != except_;
}

void SyscallTrace::take(const Trace& trace, const Print& print) {
    for (next_ = std::max(next_, trace.first()); next_ < trace.total(); ++next_) {
        const Event& event = trace.at(next_);
        if (filter_.pids.empty() || std::find(filter_.pids.begin(), filter_.pids.end(), event.a) != filter_.pids.end()) take_event(trace, event, print);
    }
}

void SyscallTrace::take_event(const Trace& trace, const Event& event, const Print& print) {
    const std::string& text = trace.text_of(event.detail);
    switch (event.kind) {
    case EventKind::SyscallEnter: return begin(trace, event, print);
    case EventKind::SyscallExit: return end(text, event.a, print);
    case EventKind::NamespaceLookup: case EventKind::CopyUp: case EventKind::Whiteout: case EventKind::MergedLookup: case EventKind::Seccomp: {
        const auto open = pending_.find(event.a);
        if (open != pending_.end() && filter_.lookups) open->second.lookups.push_back(text);
        return;
    }
    case EventKind::ProcessExit: case EventKind::Signal: {
        if (event.kind == EventKind::ProcessExit && pending_.contains(event.a)) end(name_of(pending_[event.a].text) + " = ?", event.a, print);
        if (!names_.empty()) return;
        interrupt(event.a, print);
        if (filter_.json) print(nlohmann::ordered_json{{"time", event.time}, {"container", unsigned{event.tag}}, {"pid", event.a}, {"event", event_row(event.kind).name}, {"text", text}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
        else print(fmt::format("[{}] {} {} {}", event.a, event.kind == EventKind::Signal ? "---" : "+++", text, event.kind == EventKind::Signal ? "---" : "+++"));
        return;
    }
    default: return;
    }
}

void SyscallTrace::begin(const Trace& trace, const Event& event, const Print& print) {
    const std::string& text = trace.text_of(event.detail);
    if (!wants(text)) return;
    interrupt(event.a, print);
    pending_[event.a] = {event.time, event.tag, text, {}, false};
}

/// Somebody else's line comes before the calls that wait have returned.
void SyscallTrace::interrupt(u64 pid, const Print& print) {
    for (auto& [other, call] : pending_) {
        if (other == pid || call.shown || filter_.json) continue;
        print(fmt::format("[{}] {} <unfinished ...>", other, call.text.substr(0, call.text.size() - call.text.ends_with(")"))));
        call.shown = true;
    }
}

void SyscallTrace::end(const std::string& text, u64 pid, const Print& print) {
    const auto open = pending_.find(pid);
    if (open == pending_.end()) return;
    const Pending call = std::move(open->second);
    pending_.erase(open);
    interrupt(pid, print);
    const std::size_t equals = text.rfind(" = ");
    const std::string result = equals == std::string::npos ? "?" : text.substr(equals + 3);
    // What the call has written stands in the text of its end.
    const std::string whole = equals != std::string::npos && text.find('(') < equals ? text.substr(0, equals) : call.text;
    if (filter_.json) {
        print(nlohmann::ordered_json{{"time", call.time}, {"container", call.container}, {"pid", pid}, {"call", name_of(whole)}, {"text", whole}, {"result", result_json(result)}, {"lookups", call.lookups}}
                  .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
        return;
    }
    if (call.shown) print(fmt::format("[{}] <... {} resumed>) = {}", pid, name_of(whole), result));
    else print(fmt::format("[{}] {} = {}", pid, whole, result));
    for (const std::string& lookup : call.lookups) print(fmt::format("        {}", lookup));
}

void SyscallTrace::finish(const Print& print) {
    interrupt(~u64{0}, print);
}

} // namespace trapeze::scenarios
