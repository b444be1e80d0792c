// What the interpreter behind lessons (lesson_lua.cpp) and the functions that it offers for the machine (lesson_lua_machine.cpp) share.
#pragma once

#include "scenarios/lesson_lua.hpp"

extern "C" {
#include <lauxlib.h>
#include <lua.h>
}

#include <ctime>

namespace trapeze::scenarios {

/// What the functions offered to a lesson work on. Debian's liblua5.4-c++ raises errors as C++ exceptions, which stay inside lua_pcall,
/// so locals are destroyed properly.
struct LessonLua::State {
    lua_State* lua = nullptr;
    Offer offer = Offer::Lesson;
    LuaLimits limits = kLessonLimits;
    std::size_t memory = 0;
    std::optional<Session>* session = nullptr;
    std::vector<std::string>* said = nullptr;
    unsigned calls = 0;
    u64 units_left = 0;
    int instructions = 0;      ///< of this block
    u64 allocated = 0;         ///< bytes, of this block, freed or not
    std::clock_t begin = 0;    ///< of this block, as processor time
    std::clock_t machine = 0;  ///< of it spent in the machine, which has limits of its own
};

namespace lua_functions {

LessonLua::State& state_of(lua_State* lua);
/// Raises an error at the place in the lesson that called; in a hook that is level 0.
[[noreturn]] void raise(lua_State* lua, const std::string& sentence, int level = 1);
std::string text_argument(lua_State* lua, int index);

/// session.open, and the functions that work on the open session, ended by a row without a name.
int open(lua_State* lua);
const luaL_Reg* machine_functions();
/// What scripts can do besides: read and write registers and memory, set breakpoints, run.
const luaL_Reg* script_functions();
/// The same for sessions of containers (lesson_lua_containers.cpp).
int open_containers(lua_State* lua);
const luaL_Reg* container_functions();
/// Counts a call to the machine, and gives the open session.
Session& session_of(lua_State* lua);
/// How far the machine may go now: what is wanted, or what is left of the limit. And what of it was used.
u64 take_units(lua_State* lua, u64 wanted);
void used_units(lua_State* lua, u64 used);

/// While it lives, processor time is the machine's.
class MachineTime {
  public:
    explicit MachineTime(lua_State* lua) : state_(state_of(lua)), begin_(std::clock()) {}
    ~MachineTime() { state_.machine += std::clock() - begin_; }
    MachineTime(const MachineTime&) = delete;
    MachineTime& operator=(const MachineTime&) = delete;

  private:
    LessonLua::State& state_;
    std::clock_t begin_;
};

} // namespace lua_functions

} // namespace trapeze::scenarios
