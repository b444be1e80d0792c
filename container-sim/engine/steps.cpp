#include "container-sim/engine/steps.hpp"

#include "container-sim/errno.hpp"
#include "container-sim/fs/mount.hpp"

#include <fmt/format.h>

namespace trapeze::container {

namespace {

constexpr std::size_t kMostShown = 160;

std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (char c : text.substr(0, kMostShown)) {
        if (c == '\n') out += "\\n";
        else if (c == '"' || c == '\\') out += std::string("\\") + c;
        else if (static_cast<unsigned char>(c) < 0x20) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        else out += c;
    }
    return out + (text.size() > kMostShown ? "\"..." : "\"");
}

std::string argument_text(const Argument& argument, const Kept& kept) {
    switch (argument.kind) {
    case Argument::Kind::Number: return argument.text.empty() ? fmt::format("{}", static_cast<i64>(argument.number)) : argument.text;
    case Argument::Kind::Kept: {
        const auto found = kept.find(argument.text);
        return found == kept.end() ? argument.text : fmt::format("{}", found->second);
    }
    case Argument::Kind::Null: return "NULL";
    case Argument::Kind::Length: return std::to_string(fill_in(argument.text, kept).size());
    case Argument::Kind::Text: return quoted(fill_in(argument.text, kept));
    case Argument::Kind::Texts: {
        std::string all;
        for (const std::string& one : argument.texts) all += (all.empty() ? "" : ", ") + quoted(fill_in(one, kept));
        return "[" + all + "]";
    }
    case Argument::Kind::Bytes: return "{" + fill_in(argument.text, kept) + "}";
    default: return "[...]";
    }
}

Step make(Step::By by, std::string call, std::vector<Argument> arguments, std::string why) {
    Step step;
    step.by = by, step.call = std::move(call), step.arguments = std::move(arguments), step.why = std::move(why);
    return step;
}

} // namespace

Step engine_call(std::string call, std::vector<Argument> arguments, std::string why) { return make(Step::By::Engine, std::move(call), std::move(arguments), std::move(why)); }
Step container_call(std::string call, std::vector<Argument> arguments, std::string why) { return make(Step::By::Container, std::move(call), std::move(arguments), std::move(why)); }

Argument octal(u64 value) { return number(value, fmt::format("0{:o}", value)); }

std::string fill_in(const std::string& text, const Kept& kept) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t open = text.find('{', at), close = open == std::string::npos ? open : text.find('}', open);
        if (close == std::string::npos) return out + text.substr(at);
        const auto found = kept.find(text.substr(open + 1, close - open - 1));
        out += text.substr(at, open - at);
        if (found == kept.end()) out += '{', at = open + 1; // somebody's own braces
        else out += fmt::format("{}", found->second), at = close + 1;
    }
    return out;
}

std::string step_text(const Step& step, const Kept& kept) {
    std::string all;
    for (const Argument& argument : step.arguments) all += (all.empty() ? "" : ", ") + argument_text(argument, kept);
    return fmt::format("{}({})", step.call, all);
}

Argument mount_flags(u64 flags) {
    static constexpr std::pair<u64, const char*> kNames[] = {{ms::kReadOnly, "MS_RDONLY"}, {ms::kNoSuid, "MS_NOSUID"}, {ms::kNoDev, "MS_NODEV"}, {ms::kNoExec, "MS_NOEXEC"},
                                                             {ms::kRemount, "MS_REMOUNT"}, {ms::kBind, "MS_BIND"}, {ms::kRecursive, "MS_REC"}, {ms::kPrivate, "MS_PRIVATE"},
                                                             {ms::kSlave, "MS_SLAVE"}, {ms::kShared, "MS_SHARED"}, {ms::kRelatime, "MS_RELATIME"}, {ms::kStrictAtime, "MS_STRICTATIME"},
                                                             {ms::kNoAtime, "MS_NOATIME"}};
    std::string shown;
    for (const auto& [flag, name] : kNames)
        if (flags & flag) shown += (shown.empty() ? "" : "|") + std::string(name);
    return number(flags, shown.empty() ? "0" : shown);
}

std::string explain_steps(std::span<const Done> steps) {
    std::string all;
    for (std::size_t i = 0; i < steps.size(); ++i) {
        const Done& done = steps[i];
        const char* error = done.result < 0 ? errno_name(-done.result) : nullptr;
        all += fmt::format("{:>3}  {:<9} {} = {}\n", i + 1, done.step.by == Step::By::Engine ? "engine" : "container", done.shown,
                           error ? fmt::format("-1 {}", error) : fmt::format("{}", done.result));
        if (!done.step.why.empty()) all += fmt::format("               {}\n", done.step.why);
        std::string undo = done.step.undone_by;
        for (const std::string& call : done.undo) all += fmt::format("               undo: {}\n", call);
        if (!undo.empty()) all += fmt::format("               undo: {}\n", undo);
    }
    return all;
}

} // namespace trapeze::container
