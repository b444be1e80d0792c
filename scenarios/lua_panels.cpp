#include "scenarios/lua_panels.hpp"

#include "scenarios/lua_console.hpp"
#include "scenarios/lesson_lua_state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace trapeze::scenarios {

namespace {

using namespace lua_functions;
using State = LessonLua::State;

constexpr LuaLimits kDrawLimits{2'000'000, 5000, 0, 1, 0}; // of one draw function
constexpr std::size_t kMostParts = 100, kMostColumns = 20, kMostRows = 1000, kMostText = 2000, kMostCell = 200, kMostTitle = 60;
constexpr lua_Integer kMostPoints = 2000;
const char kDraws = 0; // its address is the key of the table of draw functions in the registry

LuaPanel& panel_of(lua_State* lua) {
    LuaPanel* panel = state_of(lua).drawing;
    if (!panel) raise(lua, "p shows something only while its panel's draw function runs");
    if (panel->parts.size() >= kMostParts) raise(lua, fmt::format("a panel has at most {} parts; put more rows into a table", kMostParts));
    luaL_checktype(lua, 1, LUA_TTABLE); // p itself: p.text("x") instead of p:text("x") is a usual slip
    return *panel;
}

std::string cut(std::string text, std::size_t most) { return text.size() > most ? text.substr(0, most) + "..." : text; }

/// What a cell holds, as text; integers from 4096 on as bits.
std::string cell_text(lua_State* lua, int index) {
    switch (lua_type(lua, index)) {
    case LUA_TSTRING: return cut(lua_tostring(lua, index), kMostCell);
    case LUA_TNUMBER: {
        if (!lua_isinteger(lua, index)) return fmt::format("{:.6g}", lua_tonumber(lua, index));
        const lua_Integer value = lua_tointeger(lua, index);
        return fmt::format("{}", value);
    }
    case LUA_TBOOLEAN: return lua_toboolean(lua, index) ? "yes" : "no";
    case LUA_TNIL: return "-";
    default: raise(lua, fmt::format("a cell is a text, a number or true or false, not a {}", luaL_typename(lua, index)));
    }
}

/// p:text(text)
int text(lua_State* lua) {
    LuaPanel& panel = panel_of(lua);
    panel.parts.push_back({LuaPanelPart::Kind::Text, cut(cell_text(lua, 2), kMostText), {}, {}, {}});
    return 0;
}

/// p:table({"column", ...}, {{cell, ...}, ...})
int table(lua_State* lua) {
    LuaPanel& panel = panel_of(lua);
    luaL_checktype(lua, 2, LUA_TTABLE), luaL_checktype(lua, 3, LUA_TTABLE);
    LuaPanelPart part{LuaPanelPart::Kind::Table, {}, {}, {}, {}};
    const auto columns = static_cast<std::size_t>(luaL_len(lua, 2)), rows = static_cast<std::size_t>(luaL_len(lua, 3));
    if (columns == 0 || columns > kMostColumns) raise(lua, fmt::format("a table has 1 to {} columns", kMostColumns));
    if (rows > kMostRows) raise(lua, fmt::format("a table has at most {} rows", kMostRows));
    for (std::size_t i = 1; i <= columns; ++i) lua_geti(lua, 2, static_cast<lua_Integer>(i)), part.columns.push_back(cell_text(lua, -1)), lua_pop(lua, 1);
    for (std::size_t row = 1; row <= rows; ++row) {
        if (lua_geti(lua, 3, static_cast<lua_Integer>(row)) != LUA_TTABLE) raise(lua, fmt::format("row {} of the table is a {}; a row is a list of cells", row, luaL_typename(lua, -1)));
        std::vector<std::string> cells;
        for (std::size_t i = 1; i <= columns; ++i) lua_geti(lua, -1, static_cast<lua_Integer>(i)), cells.push_back(cell_text(lua, -1)), lua_pop(lua, 1);
        part.rows.push_back(std::move(cells));
        lua_pop(lua, 1);
    }
    panel.parts.push_back(std::move(part));
    return 0;
}

int plot(lua_State* lua, LuaPanelPart::Kind kind) {
    LuaPanel& panel = panel_of(lua);
    LuaPanelPart part{kind, cut(text_argument(lua, 2), kMostTitle), {}, {}, {}};
    luaL_checktype(lua, 3, LUA_TTABLE);
    const lua_Integer count = luaL_len(lua, 3);
    if (count > kMostPoints) raise(lua, fmt::format("a plot has at most {} values", kMostPoints));
    for (lua_Integer i = 1; i <= count; ++i) {
        lua_geti(lua, 3, i);
        if (lua_type(lua, -1) != LUA_TNUMBER) raise(lua, fmt::format("value {} of the plot is a {}, not a number", i, luaL_typename(lua, -1)));
        const double value = lua_tonumber(lua, -1);
        part.values.push_back(std::isfinite(value) ? static_cast<float>(std::clamp(value, -1e30, 1e30)) : 0);
        lua_pop(lua, 1);
    }
    panel.parts.push_back(std::move(part));
    return 0;
}
/// p:plot(name, values) and p:bars(name, values)
int lines(lua_State* lua) { return plot(lua, LuaPanelPart::Kind::Lines); }
int bars(lua_State* lua) { return plot(lua, LuaPanelPart::Kind::Bars); }

/// Has one panel say what it shows. Arguments: its number.
int draw(lua_State* lua) {
    constexpr luaL_Reg kParts[] = {{"text", text}, {"table", table}, {"plot", lines}, {"bars", bars}, {nullptr, nullptr}};
    const lua_Integer number = lua_tointeger(lua, 1);
    lua_rawgetp(lua, LUA_REGISTRYINDEX, &kDraws);
    lua_rawgeti(lua, -1, number);
    luaL_newlib(lua, kParts);
    lua_call(lua, 1, 0);
    return 0;
}

} // namespace

namespace lua_functions {

/// panel{title =, draw =}: one with that title is replaced; without draw it is taken away.
int define_panel(lua_State* lua) {
    State& state = state_of(lua);
    luaL_checktype(lua, 1, LUA_TTABLE);
    about_to_change(lua);
    lua_getfield(lua, 1, "title");
    const std::string title = cut(text_argument(lua, -1), kMostTitle);
    if (title.empty()) raise(lua, "panel{title = \"...\", draw = ...}: the title is empty");
    const auto same = std::find_if(state.panels.begin(), state.panels.end(), [&](const LuaPanel& panel) { return panel.title == title; });
    const auto index = static_cast<lua_Integer>(same - state.panels.begin());
    const bool function = lua_getfield(lua, 1, "draw") == LUA_TFUNCTION;
    if (!function && !lua_isnil(lua, -1)) raise(lua, "panel{title = \"...\", draw = function(p) ... end}: draw is no function");
    if (function && same == state.panels.end() && state.panels.size() >= kMostLuaPanels)
        raise(lua, fmt::format("there are {} panels already; panel{{title = \"{}\"}} takes one away", kMostLuaPanels, state.panels.front().title));
    if (lua_rawgetp(lua, LUA_REGISTRYINDEX, &kDraws) != LUA_TTABLE) {
        lua_pop(lua, 1), lua_newtable(lua), lua_pushvalue(lua, -1);
        lua_rawsetp(lua, LUA_REGISTRYINDEX, &kDraws);
    }
    if (function) {
        lua_pushvalue(lua, -2);
        lua_rawseti(lua, -2, index + 1);
        if (same == state.panels.end()) state.panels.push_back({title, {}, {}});
    } else if (same != state.panels.end()) {
        for (lua_Integer i = index + 1; i <= static_cast<lua_Integer>(state.panels.size()); ++i) lua_rawgeti(lua, -1, i + 1), lua_rawseti(lua, -2, i);
        state.panels.erase(same);
    }
    return 0;
}

} // namespace lua_functions

const std::vector<LuaPanel>& LuaConsole::panels() const { return lua_.state_->panels; }

void LuaConsole::draw_panels(std::optional<Session>& session) {
    State& state = *lua_.state_;
    if (busy() || state.panels.empty()) return;
    std::vector<std::string> said;
    state.session = &session, state.said = &said, state.looking = true, state.limits = kDrawLimits;
    lua_sethook(state.lua, count_hook, LUA_MASKCOUNT, LessonLua::kHookStep);
    for (std::size_t i = 0; i < state.panels.size(); ++i) {
        LuaPanel& panel = state.panels[i];
        panel.parts.clear(), panel.error.clear();
        state.begin_block();
        state.drawing = &panel;
        lua_pushcfunction(state.lua, draw);
        lua_pushinteger(state.lua, static_cast<lua_Integer>(i + 1));
        if (lua_pcall(state.lua, 1, 0, 0) != LUA_OK) panel.error = error_sentence(state.lua, "", 0);
        lua_settop(state.lua, 0);
    }
    lua_sethook(state.lua, nullptr, 0, 0);
    state.session = nullptr, state.said = nullptr, state.drawing = nullptr, state.looking = false, state.limits = limits_;
}

std::string plot_text(const std::vector<float>& values, std::size_t columns) {
    static constexpr const char* kHeights[] = {"\u2581", "\u2582", "\u2583", "\u2584", "\u2585", "\u2586", "\u2587", "\u2588"};
    if (values.empty()) return {};
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    const float from = std::min(0.0f, *least), range = *most - from;
    std::string text;
    const std::size_t count = std::min(columns, values.size());
    for (std::size_t i = 0; i < count; ++i) {
        const float value = values[i * values.size() / count];
        text += kHeights[range > 0 ? std::min<std::size_t>(7, static_cast<std::size_t>((value - from) / range * 8)) : 0];
    }
    return text;
}

} // namespace trapeze::scenarios
