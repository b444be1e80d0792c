// Breakpoints as people write them.
#include "scenarios/session.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::scenarios {

namespace {

using Kind = Breakpoint::Kind;

constexpr const char* kForms = "give an address or symbol such as main+8, or one of: csr NAME, cause NUMBER or NAME, exit REASON, write, read or access ADDRESS";
constexpr u64 kCauses = 64;

std::optional<u64> csr_named(const std::string& name) {
    const CsrRow* row = csr_by_name(name.c_str());
    return row ? std::optional<u64>(static_cast<u64>(row->csr)) : std::nullopt;
}

std::optional<u64> cause_named(const std::string& name) {
    for (u64 code = 0; code < kCauses; ++code)
        for (u64 cause : {code, code | kInterruptBit})
            if (name == cause_name(cause)) return cause;
    return std::nullopt;
}

std::optional<u64> exit_named(const std::string& name) {
    for (u64 reason = 0; reason < static_cast<u64>(vmm::ExitReason::Count); ++reason)
        if (name == vmm::exit_reason_row(static_cast<vmm::ExitReason>(reason)).name) return reason;
    return std::nullopt;
}

} // namespace

Result<Breakpoint> Session::parse_breakpoint(const std::string& text) const {
    const std::size_t begin = text.find_first_not_of(' '), end = text.find_last_not_of(' ');
    if (begin == std::string::npos) return Error{fmt::format("a breakpoint needs a place; {}", kForms)};
    const std::string whole = text.substr(begin, end - begin + 1);
    const std::size_t space = whole.find(' ');
    const std::string verb = whole.substr(0, space), rest = space == std::string::npos ? "" : whole.substr(whole.find_first_not_of(' ', space));
    const auto named = [&](Kind kind, std::optional<u64> value, const char* what) -> Result<Breakpoint> {
        if (!value) {
            if (auto number = resolve(rest)) value = *number;
            else return Error{fmt::format("\"{}\" is no {}; {}", rest, what, kForms)};
        }
        return Breakpoint{kind, *value, {}, true, 0};
    };
    if (!rest.empty() && verb == "csr") return named(Kind::CsrWrite, csr_named(rest), "CSR");
    if (!rest.empty() && verb == "cause") return named(Kind::Cause, cause_named(rest), "cause of a trap");
    if (!rest.empty() && verb == "exit") return named(Kind::Exit, exit_named(rest), "reason of an exit");
    const bool stores = verb == "write" || verb == "access", loads = verb == "read" || verb == "access";
    const bool memory = !rest.empty() && (stores || loads);
    auto address = resolve(memory || (verb == "pc" && !rest.empty()) ? rest : whole);
    if (!address) return Error{fmt::format("{}; {}", address.error(), kForms)};
    Breakpoint breakpoint{memory ? Kind::Memory : Kind::Address, *address, {}, true, 0};
    if (memory) breakpoint.bytes = 8, breakpoint.on_loads = loads, breakpoint.on_stores = stores;
    return breakpoint;
}

std::string Session::breakpoint_text(const Breakpoint& breakpoint) const {
    const auto place = [&] {
        const std::string name = guest_.elf.describe(breakpoint.value);
        auto back = name.empty() ? Result<u64>(Error{""}) : resolve(name);
        return back && *back == breakpoint.value ? name : fmt::format("0x{:x}", breakpoint.value);
    };
    switch (breakpoint.kind) {
    case Kind::Address: return place();
    case Kind::CsrWrite: {
        const CsrRow* row = csr_row(static_cast<u16>(breakpoint.value));
        return fmt::format("csr {}", row ? row->name : fmt::format("0x{:x}", breakpoint.value));
    }
    case Kind::Cause: return fmt::format("cause {}", cause_name(breakpoint.value));
    case Kind::Exit: return fmt::format("exit {}", breakpoint.value < static_cast<u64>(vmm::ExitReason::Count) ? vmm::exit_reason_row(static_cast<vmm::ExitReason>(breakpoint.value)).name : "?");
    case Kind::Memory: return fmt::format("{} {}", breakpoint.on_loads && breakpoint.on_stores ? "access" : breakpoint.on_loads ? "read" : "write", place());
    }
    return {};
}

} // namespace trapeze::scenarios
