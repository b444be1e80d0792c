// What scripts can do besides what lessons can: docs/scripts.md.
#include "scenarios/lesson_lua_state.hpp"

#include "scenarios/gdb_target.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace trapeze::scenarios::lua_functions {

namespace {

constexpr std::size_t kMostBytes = 64 << 10; // of memory in one call
constexpr std::size_t kMostBreakpoints = 100;
constexpr lua_Integer kMostEvents = 1000;

u64 place_argument(lua_State* lua, int index) {
    if (lua_isinteger(lua, index)) return static_cast<u64>(lua_tointeger(lua, index));
    const auto address = session_of(lua).resolve(text_argument(lua, index));
    if (!address) raise(lua, address.error());
    return address.value();
}

/// A register as the GDB protocol numbers them; none: there is no such register.
std::optional<unsigned> register_number(const std::string& name) {
    if (name == "pc") return debug::kRegisterPc;
    for (unsigned i = 0; i < 32; ++i)
        if (name == register_name(i)) return i;
    for (unsigned i = 0; i < 32; ++i)
        if (name == fp_register_name(i)) return debug::kRegisterF0 + i;
    if (const CsrRow* csr = csr_by_name(name.c_str())) return debug::kRegisterCsr0 + static_cast<unsigned>(csr->csr);
    return std::nullopt;
}

/// The guest's registers and memory. Containers have many of each; their programs are looked at in other ways.
GdbTarget target_of(lua_State* lua) {
    Session& session = session_of(lua);
    if (session.kernel()) raise(lua, "a container session has no single guest whose registers or memory this could be");
    return GdbTarget(session);
}

/// set(register, value): an integer or floating-point register, the pc, or a CSR of the guest.
int set(lua_State* lua) {
    const std::string name = text_argument(lua, 1);
    const u64 value = static_cast<u64>(luaL_checkinteger(lua, 2));
    const auto number = register_number(name);
    about_to_change(lua);
    if (!number) raise(lua, fmt::format("\"{}\" is neither a register nor a CSR; say pc, a0, ft0, satp, ...", name));
    const MachineTime time(lua);
    if (!target_of(lua).write_register(session_of(lua).current_hart(), *number, value)) raise(lua, fmt::format("{} cannot be written: it is read-only", name));
    return 0;
}

/// memory(place, bytes): a number of 1, 2, 4 or 8 bytes (8 when left out), little-endian; nil where nothing is mapped.
int memory(lua_State* lua) {
    const u64 place = place_argument(lua, 1);
    const lua_Integer bytes = luaL_optinteger(lua, 2, 8);
    if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8) raise(lua, "memory reads 1, 2, 4 or 8 bytes; bytes(place, n) reads more");
    u64 value = 0;
    u8 raw[8] = {};
    if (target_of(lua).read_memory(session_of(lua).current_hart(), place, false, std::span(raw, static_cast<std::size_t>(bytes))) != static_cast<std::size_t>(bytes)) return lua_pushnil(lua), 1;
    std::memcpy(&value, raw, sizeof value);
    return lua_pushinteger(lua, static_cast<lua_Integer>(value)), 1;
}

/// bytes(place, n): a text of as many bytes as are mapped, at most n.
int bytes(lua_State* lua) {
    const u64 place = place_argument(lua, 1);
    const lua_Integer wanted = luaL_checkinteger(lua, 2);
    if (wanted < 0 || static_cast<std::size_t>(wanted) > kMostBytes) raise(lua, fmt::format("bytes reads 0 to {} bytes at once", kMostBytes));
    std::string out(static_cast<std::size_t>(wanted), '\0');
    const std::size_t done = target_of(lua).read_memory(session_of(lua).current_hart(), place, false, {reinterpret_cast<u8*>(out.data()), out.size()});
    return lua_pushlstring(lua, out.data(), done), 1;
}

/// write(place, text) or write(place, number, bytes).
int write(lua_State* lua) {
    const u64 place = place_argument(lua, 1);
    std::string data;
    if (lua_isinteger(lua, 2)) {
        const u64 value = static_cast<u64>(lua_tointeger(lua, 2));
        const lua_Integer size = luaL_optinteger(lua, 3, 8);
        if (size != 1 && size != 2 && size != 4 && size != 8) raise(lua, "write writes a number as 1, 2, 4 or 8 bytes");
        data.assign(reinterpret_cast<const char*>(&value), static_cast<std::size_t>(size));
    } else {
        data = text_argument(lua, 2);
    }
    about_to_change(lua);
    if (data.size() > kMostBytes) raise(lua, fmt::format("write writes at most {} bytes at once", kMostBytes));
    const MachineTime time(lua);
    if (!target_of(lua).write_memory(session_of(lua).current_hart(), place, false, {reinterpret_cast<const u8*>(data.data()), data.size()}))
        raise(lua, fmt::format("nothing is mapped at all of 0x{:x} to 0x{:x}", place, place + data.size()));
    return 0;
}

/// symbol(name): its address.
int symbol(lua_State* lua) { return lua_pushinteger(lua, static_cast<lua_Integer>(place_argument(lua, 1))), 1; }

Breakpoint breakpoint_of(lua_State* lua, const std::string& kind) {
    if (kind == "at") return {Breakpoint::Kind::Address, place_argument(lua, 2), {}, true, 0};
    if (kind == "write" || kind == "read") {
        Breakpoint watch{Breakpoint::Kind::Memory, place_argument(lua, 2), {}, true, 0};
        watch.bytes = static_cast<u64>(luaL_optinteger(lua, 3, 8)), watch.on_loads = kind == "read", watch.on_stores = kind == "write";
        return watch;
    }
    const std::string name = text_argument(lua, 2);
    if (kind == "csr") {
        const CsrRow* csr = csr_by_name(name.c_str());
        if (!csr) raise(lua, fmt::format("\"{}\" is no CSR; `trapeze isa` lists them", name));
        return {Breakpoint::Kind::CsrWrite, static_cast<u64>(csr->csr), {}, true, 0};
    }
    if (kind == "cause")
        for (u64 code = 0; code < 128; ++code)
            if (const u64 cause = (code & 63) | (code & 64 ? kInterruptBit : 0); name == cause_name(cause)) return {Breakpoint::Kind::Cause, cause, {}, true, 0};
    if (kind == "exit")
        for (std::size_t i = 0; i < static_cast<std::size_t>(vmm::ExitReason::Count); ++i)
            if (name == vmm::exit_reason_row(static_cast<vmm::ExitReason>(i)).name) return {Breakpoint::Kind::Exit, i, {}, true, 0};
    raise(lua, fmt::format("break_on(\"{}\", \"{}\"): say \"at\" and a place, \"csr\" and a CSR, \"cause\" and a cause, \"exit\" and a reason, \"write\" or \"read\" and a place", kind, name));
}

/// break_on(kind, what): adds a breakpoint, which run() stops at.
int break_on(lua_State* lua) {
    Session& session = session_of(lua);
    about_to_change(lua);
    if (session.breakpoints().size() >= kMostBreakpoints) raise(lua, fmt::format("there are {} breakpoints already; clear_breakpoints() first", kMostBreakpoints));
    const auto added = session.add_breakpoint(breakpoint_of(lua, text_argument(lua, 1)));
    if (!added) raise(lua, added.error());
    return 0;
}
int clear_breakpoints(lua_State* lua) { return about_to_change(lua), session_of(lua).breakpoints().clear(), 0; }

/// run(units): goes on until a breakpoint, the units are used up, the guest waits or ends; says which.
int go_on_running(lua_State* lua, int, lua_KContext left) {
    static constexpr const char* kEnds[] = {"budget", "idle", "halted", "breakpoint", "trap", "exit"};
    const auto [why, rest] = run_slices(lua, session_of(lua), static_cast<u64>(left));
    if (!why) return lua_yieldk(lua, 0, static_cast<lua_KContext>(rest), go_on_running);
    return lua_pushstring(lua, kEnds[static_cast<std::size_t>(*why)]), 1;
}
int run(lua_State* lua) {
    const lua_Integer wanted = luaL_optinteger(lua, 1, 50'000'000);
    if (wanted <= 0) raise(lua, "run(units) needs a number of steps above 0");
    (void)session_of(lua);
    return go_on_running(lua, 0, static_cast<lua_KContext>(take_units(lua, static_cast<u64>(wanted))));
}

/// go_to(position): back, or forward again.
int go_to(lua_State* lua) {
    Session& session = session_of(lua);
    const u64 wanted = static_cast<u64>(luaL_checkinteger(lua, 1)), before = session.position();
    const u64 way = wanted > before ? wanted - before : 2'000'000; // back: at most a checkpoint's distance
    if (take_units(lua, way) < way) raise(lua, fmt::format("position {} is farther than this script may still run the machine", wanted));
    const MachineTime time(lua);
    const auto gone = session.go_to(wanted);
    used_units(lua, way);
    if (!gone) raise(lua, gone.error());
    return 0;
}

/// events(n): the newest n records of the trace as texts, oldest first.
int events(lua_State* lua) {
    const Trace& trace = session_of(lua).trace();
    const lua_Integer wanted = std::clamp<lua_Integer>(luaL_optinteger(lua, 1, 10), 0, kMostEvents);
    const u64 first = std::max(trace.first(), trace.total() > static_cast<u64>(wanted) ? trace.total() - static_cast<u64>(wanted) : 0);
    lua_newtable(lua);
    for (u64 i = first; i < trace.total(); ++i) {
        const std::string text = event_text(trace, trace.at(i));
        lua_pushlstring(lua, text.data(), text.size());
        lua_seti(lua, -2, static_cast<lua_Integer>(i - first + 1));
    }
    return 1;
}

constexpr luaL_Reg kScript[] = {
    {"set", set}, {"memory", memory}, {"bytes", bytes}, {"write", write}, {"symbol", symbol}, {"break_on", break_on}, {"clear_breakpoints", clear_breakpoints},
    {"run", run}, {"go_to", go_to}, {"events", events}, {"panel", define_panel}, {nullptr, nullptr},
};

} // namespace

const luaL_Reg* script_functions() { return kScript; }

} // namespace trapeze::scenarios::lua_functions
