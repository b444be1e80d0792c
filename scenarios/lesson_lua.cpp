#include "scenarios/lesson_lua_state.hpp"

#include <fmt/format.h>
extern "C" {
#include <lualib.h>
}

#include <cstdlib>

namespace trapeze::scenarios {

namespace {

using namespace lua_functions;
using State = LessonLua::State;

/// Taken out of Lua's own: whatever loads code, reaches files, catches the limits, never ends inside C, or differs between runs.
constexpr const char* kForbidden[] = {"load", "loadfile", "dofile", "require", "collectgarbage", "pcall", "xpcall", "setmetatable", "getmetatable",
                                      "rawset", "rawget", "rawequal", "rawlen", "print", "warn"};
constexpr std::size_t kMaxPart = 1000; // bytes that contains looks for
constexpr lua_Integer kMaxSorted = 1000;
struct Member {
    const char *library, *name;
};
constexpr Member kForbiddenMembers[] = {{"string", "dump"}, {"string", "find"}, {"string", "match"}, {"string", "gmatch"}, {"string", "gsub"},
                                        {"table", "move"}, {"math", "random"}, {"math", "randomseed"}};

int contains(lua_State* lua) { // contains(text, part): in place of patterns
    const std::string part = text_argument(lua, 2);
    if (part.size() > kMaxPart) raise(lua, fmt::format("contains looks for at most {} characters; give a shorter part", kMaxPart));
    return lua_pushboolean(lua, text_argument(lua, 1).find(part) != std::string::npos), 1;
}

/// table.sort, which is the first upvalue, for short tables: it compares in C, where no limit stops it.
int sort(lua_State* lua) {
    luaL_checktype(lua, 1, LUA_TTABLE);
    if (luaL_len(lua, 1) > kMaxSorted) raise(lua, fmt::format("table.sort sorts at most {} elements here; give a shorter table", kMaxSorted));
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    lua_call(lua, lua_gettop(lua) - 1, 0);
    return 0;
}

void* allocate(void* context, void* old, std::size_t old_bytes, std::size_t new_bytes) {
    State& state = *static_cast<State*>(context);
    const std::size_t before = old ? old_bytes : 0;
    if (new_bytes == 0) {
        std::free(old);
        state.memory -= before;
        return nullptr;
    }
    const std::size_t more = new_bytes > before ? new_bytes - before : 0;
    if (more && (new_bytes > LessonLua::kObjectBytes || state.memory + more > LessonLua::kMemoryBytes || state.allocated + more > LessonLua::kBlockBytes)) return nullptr;
    void* fresh = std::realloc(old, new_bytes);
    if (fresh) state.memory = state.memory - before + new_bytes, state.allocated += more;
    return fresh;
}

int open_libraries(lua_State* lua) {
    constexpr luaL_Reg kLibraries[] = {{LUA_GNAME, luaopen_base}, {LUA_STRLIBNAME, luaopen_string}, {LUA_TABLIBNAME, luaopen_table}, {LUA_MATHLIBNAME, luaopen_math}};
    for (const luaL_Reg& library : kLibraries) {
        luaL_requiref(lua, library.name, library.func, 1);
        lua_pop(lua, 1);
    }
    for (const char* name : kForbidden) lua_pushnil(lua), lua_setglobal(lua, name);
    for (const Member& member : kForbiddenMembers) {
        lua_getglobal(lua, member.library);
        lua_pushnil(lua);
        lua_setfield(lua, -2, member.name);
        lua_pop(lua, 1);
    }
    for (const luaL_Reg* function = machine_functions(); function->name; ++function) lua_register(lua, function->name, function->func);
    for (const luaL_Reg* function = container_functions(); function->name; ++function) lua_register(lua, function->name, function->func);
    if (state_of(lua).offer == LessonLua::Offer::Script)
        for (const luaL_Reg* function = script_functions(); function->name; ++function) lua_register(lua, function->name, function->func);
    lua_register(lua, "contains", contains);
    lua_getglobal(lua, LUA_TABLIBNAME);
    lua_getfield(lua, -1, "sort");
    lua_pushcclosure(lua, sort, 1);
    lua_setfield(lua, -2, "sort");
    lua_pop(lua, 1);
    lua_newtable(lua);
    lua_pushcfunction(lua, open);
    lua_setfield(lua, -2, "open");
    lua_setglobal(lua, "session");
    return 0;
}

} // namespace

namespace lua_functions {

void count_hook(lua_State* lua, lua_Debug*) {
    State& state = state_of(lua);
    state.instructions += LessonLua::kHookStep;
    if (state.instructions > state.limits.instructions)
        raise(lua, fmt::format("this block runs too long (limit: {} instructions); is there an endless loop?", state.limits.instructions), 0);
    constexpr int kClockStep = LessonLua::kHookStep * 16; // asking for the processor time takes longer than what is measured
    if (state.instructions % kClockStep == 0 && (std::clock() - state.begin - state.machine) / CLOCKS_PER_SEC >= state.limits.seconds)
        raise(lua, fmt::format("this block computes too long (limit: {} seconds); do less in one step", state.limits.seconds), 0);
    if (lua_isyieldable(lua) && state.slice_over()) lua_yield(lua, 0); // only the blocks of a console can
}

std::string error_sentence(lua_State* lua, const std::string& file, unsigned line) {
    const char* text = lua_type(lua, -1) == LUA_TSTRING ? lua_tostring(lua, -1) : nullptr;
    std::string error = text ? text : "this block raised an error that is not a text";
    if (error.size() > LessonLua::kErrorBytes) error = error.substr(0, LessonLua::kErrorBytes) + "...";
    if (error == "not enough memory")
        error = fmt::format("this block needs more memory than it may have ({} MiB in all, {} MiB in one text, table or chain of calls); is there an endless loop?",
                            LessonLua::kMemoryBytes >> 20, LessonLua::kObjectBytes >> 20);
    if (!file.empty() && !error.starts_with(file + ":")) error = fmt::format("{}:{}: {}", file, line, error); // Lua does not know the line of every error
    return error;
}

} // namespace lua_functions

void LessonLua::State::begin_block() {
    calls = 0, units_left = limits.units, instructions = 0, allocated = 0;
    begin = std::clock(), machine = 0;
}

LessonLua::LessonLua(Offer offer) : state_(std::make_unique<State>()) {
    state_->offer = offer;
    if (offer == Offer::Script) state_->limits = kScriptLimits;
    state_->lua = lua_newstate(allocate, state_.get());
    if (!state_->lua) return;
    *static_cast<State**>(lua_getextraspace(state_->lua)) = state_.get();
    lua_pushcfunction(state_->lua, open_libraries);
    if (lua_pcall(state_->lua, 0, 0, 0) != LUA_OK) lua_pop(state_->lua, 1);
}

LessonLua::~LessonLua() {
    if (state_->lua) lua_close(state_->lua);
}

Result<bool> LessonLua::run(const LuaBlock& block, const std::string& file, std::optional<Session>& session, std::vector<std::string>& said) {
    lua_State* lua = state_->lua;
    if (!lua) return Error{"there is no memory for the lesson's interpreter"};
    state_->session = &session, state_->said = &said;
    state_->begin_block();
    // Lines of the error are the file's own.
    const std::string code = std::string(block.line > 1 ? block.line - 1 : 0, '\n') + block.code;
    const std::string name = "@" + file;
    lua_sethook(lua, count_hook, LUA_MASKCOUNT, kHookStep);
    bool result = false;
    std::string error;
    if (luaL_loadbufferx(lua, code.data(), code.size(), name.c_str(), "t") == LUA_OK && lua_pcall(lua, 0, 1, 0) == LUA_OK) {
        result = state_->offer == Offer::Script && lua_isnil(lua, -1) ? true : lua_toboolean(lua, -1);
    } else {
        error = error_sentence(lua, file, block.line);
    }
    lua_settop(lua, 0);
    lua_sethook(lua, nullptr, 0, 0);
    state_->session = nullptr, state_->said = nullptr;
    if (!error.empty() && state_->offer == Offer::Script) return Error{error + " (docs/scripts.md lists what a script can call)"};
    if (!error.empty()) return Error{error + " (mend this block of the lesson; docs/lessons.md lists what it can call)"};
    return result;
}

} // namespace trapeze::scenarios
