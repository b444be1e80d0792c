// What a lesson can call of the machine: docs/lessons.md.
#include "scenarios/lesson_lua_state.hpp"

#include "scenarios/cli.hpp"
#include "scenarios/translation_listing.hpp"
#include "scenarios/walk.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace trapeze::scenarios::lua_functions {

using State = LessonLua::State;

State& state_of(lua_State* lua) { return **static_cast<State**>(lua_getextraspace(lua)); }

[[noreturn]] void raise(lua_State* lua, const std::string& sentence, int level) {
    luaL_where(lua, level);
    lua_pushlstring(lua, sentence.data(), sentence.size());
    lua_concat(lua, 2);
    lua_error(lua);
    std::abort(); // lua_error does not return
}

Session& session_of(lua_State* lua) {
    State& state = state_of(lua);
    if (++state.calls > state.limits.calls) raise(lua, "this block calls the machine too often; do less in one step");
    if (!state.session || !*state.session) raise(lua, "no session is open; begin with session.open{guest = \"tiny-os\", mode = \"bare\"}");
    return **state.session;
}

void about_to_change(lua_State* lua) {
    if (state_of(lua).looking) raise(lua, "a panel's draw function only looks: it cannot change the session, run it or open another");
}

u64 take_units(lua_State* lua, u64 wanted) {
    State& state = state_of(lua);
    about_to_change(lua);
    if (state.units_left == 0) raise(lua, "this block has run the machine as far as one block may; split the step");
    return std::min(wanted, state.units_left);
}
void used_units(lua_State* lua, u64 used) {
    State& state = state_of(lua);
    state.units_left -= std::min(state.units_left, used);
}

std::pair<std::optional<RunEnd>, u64> run_slices(lua_State* lua, Session& session, u64 units) {
    constexpr u64 kSlice = 100'000; // of progress: about a millisecond
    const MachineTime time(lua);
    while (units > 0) {
        const u64 before = session.position();
        const RunEnd why = session.run(lua_isyieldable(lua) ? std::min(units, kSlice) : units);
        const u64 used = std::min(units, std::max<u64>(session.position() - before, 1)); // something, so that it ends
        used_units(lua, used), units -= used;
        if (why != RunEnd::Budget) return {why, units};
        if (units > 0 && lua_isyieldable(lua) && state_of(lua).slice_over()) return {std::nullopt, units};
    }
    return {RunEnd::Budget, 0};
}

std::string text_argument(lua_State* lua, int index) {
    std::size_t length = 0;
    const char* text = luaL_checklstring(lua, index, &length);
    return {text, length};
}

/// Fields of the table on top of Lua's stack.
namespace {

void set_number(lua_State* lua, const char* name, u64 value) { lua_pushinteger(lua, static_cast<lua_Integer>(value)), lua_setfield(lua, -2, name); }
void set_text(lua_State* lua, const char* name, const std::string& value) { lua_pushstring(lua, value.c_str()), lua_setfield(lua, -2, name); }

std::string field(lua_State* lua, const char* name, const char* otherwise) {
    lua_getfield(lua, 1, name);
    std::string text = lua_isnil(lua, -1) ? otherwise : text_argument(lua, -1);
    lua_pop(lua, 1);
    return text;
}

bool flag(lua_State* lua, const char* name) {
    lua_getfield(lua, 1, name);
    const bool set = lua_toboolean(lua, -1);
    lua_pop(lua, 1);
    return set;
}

} // namespace

int open(lua_State* lua) {
    luaL_checktype(lua, 1, LUA_TTABLE);
    State& state = state_of(lua);
    state.calls += 100; // building a machine is work
    if (state.calls > state.limits.calls) raise(lua, "this block opens too many sessions; split the step");
    about_to_change(lua);
    ++state.opened;
    lua_getfield(lua, 1, "containers");
    const bool containers = !lua_isnil(lua, -1);
    lua_pop(lua, 1);
    if (containers) return open_containers(lua);
    GuestOptions options;
    options.guest = field(lua, "guest", "tiny-os");
    options.mode = field(lua, "mode", "bare");
    options.append = field(lua, "append", "");
    options.bios = field(lua, "bios", "builtin") == "none" ? "none" : "builtin"; // firmware of the lesson's own would be one more file to read
    options.memory = field(lua, "memory", "128M");
    options.gstage_page = field(lua, "gstage_page", "2M");
    options.shadow_policy = field(lua, "shadow_policy", "virtual-tlb");
    options.clustering = flag(lua, "cluster");
    if (const std::string operation = field(lua, "silent", ""); !operation.empty()) options.silent = {operation};
    if (const std::string device = field(lua, "device", ""); !device.empty()) options.devices.devices = {device};
    const auto config = options.config();
    if (!config) raise(lua, config.error());
    const MachineTime time(lua);
    auto session = Session::create(config.value());
    if (!session) raise(lua, session.error());
    *state.session = std::move(*session);
    return 0;
}

namespace {

int run_to(lua_State* lua) {
    const std::string place = text_argument(lua, 1);
    Session& session = session_of(lua);
    const auto address = session.resolve(place);
    if (!address) raise(lua, address.error());
    const u64 before = session.position();
    const u64 budget = take_units(lua, 50'000'000);
    auto kept = session.breakpoints();
    const MachineTime time(lua);
    session.breakpoints() = {{Breakpoint::Kind::Address, address.value(), "lesson", true, 0}};
    const RunEnd why = session.run(budget);
    session.breakpoints() = std::move(kept);
    used_units(lua, session.position() - before);
    if (why != RunEnd::Breakpoint) raise(lua, fmt::format("the guest never came to {}; is it a symbol of this guest?", place));
    return 0;
}

int advance(lua_State* lua, RunEnd (*how)(Session&, u64), u64 most) {
    Session& session = session_of(lua);
    const u64 before = session.position();
    const MachineTime time(lua);
    how(session, take_units(lua, most));
    used_units(lua, session.position() - before);
    return 0;
}
int step(lua_State* lua) {
    const lua_Integer wanted = luaL_optinteger(lua, 1, 1);
    Session& session = session_of(lua);
    const u64 units = take_units(lua, wanted < 1 ? 1 : static_cast<u64>(wanted));
    const MachineTime time(lua);
    session.run(units);
    used_units(lua, units);
    return 0;
}
int step_back(lua_State* lua) {
    (void)take_units(lua, 1);
    const MachineTime time(lua);
    const auto gone = session_of(lua).step_back();
    used_units(lua, 2'000'000);
    if (!gone) raise(lua, gone.error());
    return 0;
}
int next_trap(lua_State* lua) {
    return advance(lua, [](Session& s, u64 units) { return s.run_to_trap(units); }, 50'000'000);
}
int run_to_return(lua_State* lua) {
    return advance(lua, [](Session& s, u64 units) { return s.run_to_return(std::min<u64>(units, 1'000'000)); }, 1'000'000);
}

/// Runs until the guest has switched off, or waits for something to be typed.
int go_on_to_end(lua_State* lua, int, lua_KContext left) {
    Session& session = session_of(lua);
    auto kept = session.breakpoints();
    session.breakpoints().clear();
    const auto [why, rest] = run_slices(lua, session, static_cast<u64>(left));
    session.breakpoints() = std::move(kept);
    if (!why) return lua_yieldk(lua, 0, static_cast<lua_KContext>(rest), go_on_to_end);
    if (*why == RunEnd::Budget) raise(lua, "the guest has neither switched off nor waits for input, and this block has run the machine as far as one block may; split the step");
    return 0;
}
int run_to_end(lua_State* lua) { return go_on_to_end(lua, 0, static_cast<lua_KContext>(take_units(lua, state_of(lua).limits.units))); }

int type(lua_State* lua) {
    const std::string text = text_argument(lua, 1);
    about_to_change(lua);
    session_of(lua).type(text);
    return 0;
}

int exits(lua_State* lua) {
    const std::string reason = luaL_optstring(lua, 1, "");
    const vmm::Vmm* vmm = session_of(lua).vmm();
    u64 count = 0;
    bool known = reason.empty();
    for (std::size_t i = 0; i < static_cast<std::size_t>(vmm::ExitReason::Count); ++i) {
        const auto which = static_cast<vmm::ExitReason>(i);
        if (!reason.empty() && reason != vmm::exit_reason_row(which).name) continue;
        known = true;
        count += vmm ? vmm->exits(which) : 0;
    }
    if (!known) raise(lua, fmt::format("\"{}\" is no exit reason", reason));
    lua_pushinteger(lua, static_cast<lua_Integer>(count));
    return 1;
}

/// The reasons that there were exits for, as {reason=, count=}, the most frequent first.
int exit_counts(lua_State* lua) {
    const vmm::Vmm* vmm = session_of(lua).vmm();
    std::vector<vmm::ExitReason> reasons;
    for (std::size_t i = 0; vmm && i < static_cast<std::size_t>(vmm::ExitReason::Count); ++i)
        if (const auto reason = static_cast<vmm::ExitReason>(i); vmm->exits(reason)) reasons.push_back(reason);
    std::stable_sort(reasons.begin(), reasons.end(), [&](auto a, auto b) { return vmm->exits(a) > vmm->exits(b); });
    lua_newtable(lua);
    for (std::size_t i = 0; i < reasons.size(); ++i) {
        lua_newtable(lua);
        set_text(lua, "reason", vmm::exit_reason_row(reasons[i]).name);
        set_number(lua, "count", vmm->exits(reasons[i]));
        lua_seti(lua, -2, static_cast<lua_Integer>(i + 1));
    }
    return 1;
}

int last_exit(lua_State* lua) {
    const vmm::Vmm* vmm = session_of(lua).vmm();
    if (!vmm || vmm->ledger().empty()) return lua_pushnil(lua), 1;
    const vmm::ExitDossier& exit = vmm->ledger().back();
    lua_newtable(lua);
    set_number(lua, "number", exit.number), set_number(lua, "cost", exit.cost), set_number(lua, "pc", exit.guest_pc);
    set_number(lua, "value", exit.hardware.tval);
    set_text(lua, "reason", vmm::exit_reason_row(exit.reason).name);
    set_text(lua, "cause", cause_name(exit.hardware.cause));
    set_text(lua, "instruction", exit.word ? disassemble(exit.word, exit.guest_pc) : "none");
    set_text(lua, "sentence", vmm::exit_reason_row(exit.reason).sentence);
    lua_pushboolean(lua, exit.complete), lua_setfield(lua, -2, "handled");
    lua_newtable(lua);
    for (std::size_t i = 0; i < exit.steps.size(); ++i) {
        lua_newtable(lua);
        set_text(lua, "text", vmm::step_text(exit.steps[i]));
        set_number(lua, "cost", exit.steps[i].cost);
        lua_seti(lua, -2, static_cast<lua_Integer>(i + 1));
    }
    lua_setfield(lua, -2, "steps");
    return 1;
}

/// What is counted besides exits; 0 where the mode has none of it.
int count(lua_State* lua) {
    const std::string name = text_argument(lua, 1);
    const Session& session = session_of(lua);
    const vmm::Vmm* vmm = session.vmm();
    const std::pair<const char*, u64> counts[] = {
        {"instructions", vmm ? vmm->guest_instructions(session.machine()) : session.guest_state().retired},
        {"cycles", session.machine().cycles()},
        {"interpreted", vmm ? vmm->interpreted() : 0},
        {"touched bytes", session.machine().ram.touched_pages() * kPageSize},
        {"entries read", vmm ? vmm->table_entries_read() : 0},
        {"shadow entries", vmm ? vmm->shadow_fills() : 0},
        {"shadow flushes", vmm ? vmm->shadow_flushes() : 0},
        {"vmm bytes", vmm ? vmm->vmm_bytes() : 0},
        {"translated blocks", vmm ? vmm->translations().counts.blocks : 0},
        {"linked blocks", vmm ? vmm->translations().counts.chained : 0},
    };
    std::string known;
    for (const auto& [known_name, value] : counts) {
        if (name == known_name) return lua_pushinteger(lua, static_cast<lua_Integer>(value)), 1;
        known += (known.empty() ? "\"" : ", \"") + std::string(known_name) + '"';
    }
    raise(lua, fmt::format("\"{}\" is not counted; counted are {}", name, known));
}

/// A walk as a table: the entries in the order in which they were read, and what came out of it.
void push_walk(lua_State* lua, const PageWalk& walk) {
    lua_newtable(lua);
    lua_pushboolean(lua, walk.outcome == PageWalk::Outcome::Ok), lua_setfield(lua, -2, "ok");
    set_number(lua, "physical", walk.physical), set_number(lua, "guest", walk.guest_physical), set_number(lua, "page", walk.page_size);
    lua_newtable(lua);
    for (unsigned i = 0; i < walk.steps; ++i) {
        const PageWalk::Step& step = walk.read[i];
        lua_newtable(lua);
        set_number(lua, "stage", step.second ? 2 : 1), set_number(lua, "level", step.level);
        set_number(lua, "address", step.entry_address), set_number(lua, "entry", step.entry);
        lua_pushboolean(lua, pte::is_leaf(step.entry)), lua_setfield(lua, -2, "leaf");
        lua_seti(lua, -2, i + 1);
    }
    lua_setfield(lua, -2, "entries");
}

/// walk(place): a load from there, translated by the guest's own tables.
int own_walk(lua_State* lua) {
    const std::string place = text_argument(lua, 1);
    Session& session = session_of(lua);
    const auto address = session.resolve(place);
    if (!address) raise(lua, address.error());
    return push_walk(lua, guest_walk(session, 0, address.value())), 1;
}

/// real_walk(place): the same load as the machine's hart translates it: by shadow tables, or by two stages.
int real_walk(lua_State* lua) {
    const std::string place = text_argument(lua, 1);
    Session& session = session_of(lua);
    if (!session.vmm()) return own_walk(lua);
    if (session.config().mode == Mode::Interpret) raise(lua, "an interpreted guest has no tables that the machine's hart walks; walk(place) shows the guest's own");
    const auto address = session.resolve(place);
    if (!address) raise(lua, address.error());
    return push_walk(lua, machine_walk(session, address.value())), 1;
}

/// translation(place): rows of {original=, translated=} of the newest block that begins there, or nil.
int translation(lua_State* lua) {
    const std::string place = text_argument(lua, 1);
    const Session& session = session_of(lua);
    const auto address = session.resolve(place);
    if (!address) raise(lua, address.error());
    if (session.config().mode != Mode::Translate) return lua_pushnil(lua), 1;
    const auto& blocks = session.vmm()->translations().blocks();
    const auto block = std::find_if(blocks.rbegin(), blocks.rend(), [&](const vmm::CodeBlock& b) { return b.alive && b.pc == address.value(); });
    if (block == blocks.rend()) return lua_pushnil(lua), 1;
    lua_newtable(lua);
    lua_Integer rows = 0;
    for (const ListedLine& line : list_block(session, *block))
        for (std::size_t i = 0; i < std::max<std::size_t>(line.translated.size(), 1); ++i) {
            lua_newtable(lua);
            set_text(lua, "original", i ? "" : line.original);
            set_text(lua, "translated", i < line.translated.size() ? line.translated[i] : "");
            lua_seti(lua, -2, ++rows);
        }
    return 1;
}

int read_register(lua_State* lua) {
    const std::string name = text_argument(lua, 1);
    const HartState state = session_of(lua).guest_state();
    if (name == "pc") return lua_pushinteger(lua, static_cast<lua_Integer>(state.pc)), 1;
    for (unsigned i = 0; i < 32; ++i)
        if (name == register_name(i)) return lua_pushinteger(lua, static_cast<lua_Integer>(state.x[i])), 1;
    raise(lua, fmt::format("\"{}\" is no register; say pc, a0, sp, ...", name));
}

int read_csr(lua_State* lua, bool real) {
    const std::string name = text_argument(lua, 1);
    const Session& session = session_of(lua);
    const CsrRow* csr = csr_by_name(name.c_str());
    if (!csr) raise(lua, fmt::format("\"{}\" is no CSR; `trapeze isa` lists them", name));
    lua_pushinteger(lua, static_cast<lua_Integer>(session.csr(real ? session.real_state() : session.guest_state(), csr->csr)));
    return 1;
}
int guest_csr(lua_State* lua) { return read_csr(lua, false); }
int real_csr(lua_State* lua) { return read_csr(lua, true); }

int lane(lua_State* lua) {
    static constexpr const char* kNames[] = {"guest user", "guest kernel", "hypervisor", "hardware"};
    return lua_pushstring(lua, kNames[static_cast<std::size_t>(session_of(lua).lane())]), 1;
}
int instruction(lua_State* lua) {
    const auto lines = session_of(lua).code(0, 0);
    return lua_pushstring(lua, lines.empty() ? "none" : lines.front().text.c_str()), 1;
}
int sensitive(lua_State* lua) {
    const auto lines = session_of(lua).code(0, 0);
    return lua_pushboolean(lua, !lines.empty() && lines.front().sensitive), 1;
}
int mode(lua_State* lua) { return lua_pushstring(lua, vmm::mode_row(session_of(lua).config().mode).name), 1; }
int console(lua_State* lua) {
    const std::string& text = session_of(lua).console();
    return lua_pushlstring(lua, text.data(), text.size()), 1;
}
int position(lua_State* lua) { return lua_pushinteger(lua, static_cast<lua_Integer>(session_of(lua).position())), 1; }
int at(lua_State* lua) {
    const std::string place = text_argument(lua, 1);
    const Session& session = session_of(lua);
    const auto address = session.resolve(place);
    if (!address) raise(lua, address.error());
    return lua_pushboolean(lua, session.guest_state().pc == address.value()), 1;
}

int say(lua_State* lua) {
    State& state = state_of(lua);
    if (state.said->size() >= state.limits.lines) raise(lua, "this lesson says too much in one step");
    state.said->push_back(text_argument(lua, 1).substr(0, 2000));
    return 0;
}

constexpr luaL_Reg kMachine[] = {
    {"run_to", run_to}, {"step", step}, {"step_back", step_back}, {"next_trap", next_trap}, {"run_to_return", run_to_return},
    {"run_to_end", run_to_end}, {"type", type}, {"exits", exits}, {"exit_counts", exit_counts}, {"last_exit", last_exit}, {"count", count},
    {"translation", translation}, {"walk", own_walk}, {"real_walk", real_walk}, {"reg", read_register}, {"csr", guest_csr},
    {"real_csr", real_csr}, {"lane", lane}, {"instruction", instruction}, {"sensitive", sensitive}, {"mode", mode}, {"console", console}, {"position", position}, {"at", at},
    {"say", say}, {nullptr, nullptr},
};

} // namespace

const luaL_Reg* machine_functions() { return kMachine; }

} // namespace trapeze::scenarios::lua_functions
