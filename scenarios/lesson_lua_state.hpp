// What the interpreter behind lessons (lesson_lua.cpp), the functions that it offers for the machine (lesson_lua_machine.cpp) and the console
// (lua_console.cpp) share.
#pragma once

#include "scenarios/lesson_lua.hpp"
#include "scenarios/lua_panels.hpp"

extern "C" {
#include <lauxlib.h>
#include <lua.h>
}

#include <chrono>
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
    std::chrono::steady_clock::time_point slice_end{}; ///< when a block that runs in slices gives the turn back; how far it then is changes nothing about what it does
    unsigned opened = 0;       ///< sessions that were opened so far
    bool looking = false;      ///< a panel is drawn: what would change the session is refused
    std::vector<LuaPanel> panels;
    LuaPanel* drawing = nullptr; ///< whose draw function runs
    bool slice_over() const { return std::chrono::steady_clock::now() >= slice_end; }
    /// A block begins: nothing of the limits is used up.
    void begin_block();
};

namespace lua_functions {

LessonLua::State& state_of(lua_State* lua);
/// Raises an error at the place in the lesson that called; in a hook that is level 0.
[[noreturn]] void raise(lua_State* lua, const std::string& sentence, int level = 1);
std::string text_argument(lua_State* lua, int index);
/// Counts instructions and time, and gives the turn back where a block runs in slices.
void count_hook(lua_State* lua, lua_Debug*);
/// The sentence for the error on top of the stack: with file and line, and what memory was too little.
std::string error_sentence(lua_State* lua, const std::string& file, unsigned line);
/// Refuses to change the session while a panel is drawn.
void about_to_change(lua_State* lua);
/// panel{title =, draw =}
int define_panel(lua_State* lua);
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
/// Runs the session so far, which take_units gave; in a block that runs in slices the turn may have to be given back before. Why it stopped (none: it is
/// the others' turn), and how far it is still to go.
std::pair<std::optional<RunEnd>, u64> run_slices(lua_State* lua, Session& session, u64 units);

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
