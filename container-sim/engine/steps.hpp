// What a container's start consists of, as data: system calls with their arguments, why each is made, and how it is undone. Who plans makes
// a list of them, who performs them (runtime.hpp) puts arguments into a task's memory and calls the kernel's handlers, and who explains
// prints them.
//
// Usage:
//   Step step = engine_call("mkdirat", {fd(kAtCwd), path("/sys/fs/cgroup/docker"), mode(0755)}, "the cgroup of all containers");
//   step.undo = {engine_call("unlinkat", {fd(kAtCwd), path("/sys/fs/cgroup/docker"), flags(kRemoveDir, "AT_REMOVEDIR")}, "")};
#pragma once

#include "container-sim/net/net_types.hpp"

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trapeze::container {

/// One argument. Text and texts may hold {name}: what an earlier step has kept under it.
struct Argument {
    enum class Kind : u8 { Number, Kept, Null, Text, Length, Texts, Bytes, Room } kind = Kind::Number;
    u64 number = 0;                  ///< Number; Room: bytes
    std::string text;                ///< Text; Length: of this text; Kept: the name; Number, Bytes: how it is shown (empty: as a number)
    std::vector<std::string> texts;
    std::vector<u8> bytes;
    std::vector<std::pair<std::size_t, std::string>> patches; ///< Bytes: at an offset, the 32 bits kept under a name
};
inline Argument number(u64 value, std::string shown = "") { return {Argument::Kind::Number, value, std::move(shown), {}, {}, {}}; }
inline Argument kept(std::string name) { return {Argument::Kind::Kept, 0, std::move(name), {}, {}, {}}; }
inline Argument null() { return {Argument::Kind::Null, 0, "", {}, {}, {}}; }
inline Argument text(std::string value) { return {Argument::Kind::Text, 0, std::move(value), {}, {}, {}}; }
inline Argument length(std::string value) { return {Argument::Kind::Length, 0, std::move(value), {}, {}, {}}; }
inline Argument texts(std::vector<std::string> values) { return {Argument::Kind::Texts, 0, "", std::move(values), {}, {}}; }
inline Argument bytes(std::vector<u8> value, std::string shown) { return {Argument::Kind::Bytes, 0, std::move(shown), {}, std::move(value), {}}; }
inline Argument room(u64 size) { return {Argument::Kind::Room, size, "", {}, {}, {}}; }
inline Argument here() { return number(static_cast<u64>(-100), "AT_FDCWD"); }
Argument octal(u64 value);
/// The bytes of a plain struct.
template <class T> std::vector<u8> raw(const T& value) {
    const u8* first = reinterpret_cast<const u8*>(&value);
    return {first, first + sizeof value};
}

struct Step {
    enum class By : u8 { Engine, Container } by = By::Engine;
    /// What is done beyond making the call. Netlink: the answer is read, and its error is the result. Clone: the child is kept from running
    /// and makes the container's calls from now on. Console: the descriptor becomes the container's standard input and outputs. Program:
    /// the path is looked for in PATH, and the container runs. Rule: no call, a rule of the host's packet
    /// filter, which nftables would set.
    enum class Special : u8 { None, Netlink, Clone, Console, Program, Rule } special = Special::None;
    std::string call;                ///< a row's name (syscalls.def)
    std::vector<Argument> arguments;
    std::string why;                 ///< a sentence's beginning: "the container's own host name"
    std::string keep;                ///< the result is kept under this name
    std::optional<std::pair<unsigned, u64>> keep_from; ///< not the result, but 32 bits of this argument's memory at an offset
    std::vector<i64> fine;           ///< errors that are as good as success, as positive numbers
    std::string undone_by;           ///< in words: "goes with the mnt namespace"
    std::vector<Step> undo;          ///< calls of the engine that undo it; none: what `undone_by` says does
    std::optional<NatRule> rule;     ///< Rule: it is added
    bool removes_rule = false;       ///< or taken away
};

Step engine_call(std::string call, std::vector<Argument> arguments, std::string why);
Step container_call(std::string call, std::vector<Argument> arguments, std::string why);

/// A step that was made.
struct Done {
    Step step;
    i64 result = 0;
    i32 pid = 0;                     ///< of who made it, as the host sees it
    std::string shown;               ///< "sethostname("web", 3)"
    std::vector<std::string> undo;   ///< the calls that undo it, shown the same way
};

using Kept = std::map<std::string, i64>;
/// A text with what was kept put in for {name}.
std::string fill_in(const std::string& text, const Kept& kept);
/// The call as strace would show it.
std::string step_text(const Step& step, const Kept& kept);
/// "MS_NOSUID|MS_NODEV".
Argument mount_flags(u64 flags);
/// A line for each step: its number, who makes it, the call with its result; below, why and how it is undone.
std::string explain_steps(std::span<const Done> steps);

} // namespace trapeze::container
