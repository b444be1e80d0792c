#include "scenarios/lua_console.hpp"

#include "scenarios/lesson_lua_state.hpp"

#include <fmt/format.h>
extern "C" {
#include <lualib.h>
}

#include <algorithm>
#include <set>

namespace trapeze::scenarios {

namespace {

using namespace lua_functions;
using State = LessonLua::State;

constexpr std::size_t kMostValue = 2000; // characters of a value that is shown
constexpr int kDeepest = 3;              // tables inside each other
constexpr std::size_t kMostWords = 100;  // of a completion
const char kThread = 0;                  // its address is the thread's key in the registry

void append_value(std::string& out, lua_State* lua, int index, int depth);

/// A table's pairs in an order that is the same in every run: list first, then by name.
void append_table(std::string& out, lua_State* lua, int index, int depth) {
    if (depth == 0 || !lua_checkstack(lua, 8)) return void(out += "{...}");
    const auto length = static_cast<lua_Integer>(lua_rawlen(lua, index));
    out += '{';
    bool any = false;
    for (lua_Integer i = 1; i <= length && out.size() < kMostValue; ++i) {
        out += any ? ", " : "", any = true;
        lua_rawgeti(lua, index, i);
        append_value(out, lua, lua_gettop(lua), depth - 1);
        lua_pop(lua, 1);
    }
    std::vector<std::pair<std::string, std::string>> named;
    std::size_t bytes = out.size();
    for (lua_pushnil(lua); lua_next(lua, index); lua_pop(lua, 1)) {
        if (lua_isinteger(lua, -2) && lua_tointeger(lua, -2) >= 1 && lua_tointeger(lua, -2) <= length) continue;
        std::string key, value;
        if (lua_type(lua, -2) == LUA_TSTRING) key = lua_tostring(lua, -2);
        else append_value(key, lua, lua_gettop(lua) - 1, 0), key = "[" + key + "]";
        append_value(value, lua, lua_gettop(lua), depth - 1);
        bytes += key.size() + value.size();
        named.emplace_back(std::move(key), std::move(value));
        if (bytes > 10 * kMostValue) { // enough: what is missing is said by the dots
            lua_pop(lua, 2);
            break;
        }
    }
    std::sort(named.begin(), named.end());
    for (const auto& [key, value] : named) out += (any ? ", " : "") + key + " = " + value, any = true;
    out += '}';
}

/// Large and negative numbers are mostly addresses and bits, so they are shown as such.
void append_value(std::string& out, lua_State* lua, int index, int depth) {
    constexpr lua_Integer kPlain = 4096;
    switch (lua_type(lua, index)) {
    case LUA_TNIL: out += "nil"; break;
    case LUA_TBOOLEAN: out += lua_toboolean(lua, index) ? "true" : "false"; break;
    case LUA_TNUMBER:
        if (!lua_isinteger(lua, index)) out += fmt::format("{}", lua_tonumber(lua, index));
        else if (const lua_Integer value = lua_tointeger(lua, index); value > -kPlain && value < kPlain) out += fmt::format("{}", value);
        else out += fmt::format("0x{:x} ({})", static_cast<u64>(value), value);
        break;
    case LUA_TSTRING: {
        std::size_t length = 0;
        const char* text = lua_tolstring(lua, index, &length);
        out += '"';
        for (std::size_t i = 0; i < std::min(length, kMostValue); ++i) {
            const auto c = static_cast<unsigned char>(text[i]);
            if (c == '"' || c == '\\') out += '\\';
            if (c < 0x20 || c == 0x7f) out += c == '\n' ? "\\n" : fmt::format("\\x{:02x}", c);
            else out += static_cast<char>(c);
        }
        out += length > kMostValue ? "...\"" : "\"";
        break;
    }
    case LUA_TTABLE: append_table(out, lua, index, depth); break;
    default: out += lua_typename(lua, lua_type(lua, index)); // not its address on the host
    }
}

std::string value_text(lua_State* lua, int index) {
    std::string text;
    append_value(text, lua, index, kDeepest);
    if (text.size() > kMostValue) text = text.substr(0, kMostValue) + "...";
    return text;
}

/// print(...): the values in one line, texts as they are.
int print(lua_State* lua) {
    State& state = state_of(lua);
    std::string line;
    for (int i = 1; i <= lua_gettop(lua); ++i) {
        if (i > 1) line += '\t';
        std::size_t length = 0;
        if (lua_type(lua, i) != LUA_TSTRING) line += value_text(lua, i);
        else if (const char* text = lua_tolstring(lua, i, &length)) line.append(text, std::min(length, kMostValue));
        if (line.size() > kMostValue) break;
    }
    if (state.said->size() >= static_cast<std::size_t>(state.limits.lines)) raise(lua, fmt::format("this block says more than {} lines", state.limits.lines));
    state.said->push_back(line.substr(0, kMostValue));
    return 0;
}

int add_console_functions(lua_State* lua) { return lua_register(lua, "print", print), 0; }

struct Source {
    std::string code, name;
};

/// Makes the thread and the function in it that runs a text: as an expression, if it can be one.
int make_thread(lua_State* lua) {
    const Source& source = *static_cast<const Source*>(lua_touserdata(lua, 1));
    lua_State* thread = lua_newthread(lua);
    lua_rawsetp(lua, LUA_REGISTRYINDEX, &kThread);
    const std::string expression = "return " + source.code, name = "@" + source.name;
    const auto load = [&](const std::string& code) { return luaL_loadbufferx(thread, code.data(), code.size(), name.c_str(), "t") == LUA_OK; };
    if (load(expression)) return 0;
    lua_settop(thread, 0);
    if (load(source.code)) return 0;
    lua_xmove(thread, lua, 1);
    return lua_error(lua);
}

/// Loads a text without running it; the error says whether more is to follow.
int try_to_load(lua_State* lua) {
    const std::string& code = *static_cast<const std::string*>(lua_touserdata(lua, 1));
    if (luaL_loadbufferx(lua, code.data(), code.size(), "@console", "t") != LUA_OK) lua_error(lua);
    return 0;
}

lua_State* thread_of(lua_State* lua) {
    lua_rawgetp(lua, LUA_REGISTRYINDEX, &kThread);
    lua_State* thread = lua_tothread(lua, -1);
    lua_pop(lua, 1);
    return thread;
}

bool is_word(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; }

/// The quote that is open at the end of a line, and where it begins; 0: none.
std::pair<char, std::size_t> open_quote(const std::string& line) {
    char quote = 0;
    std::size_t begin = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (quote && line[i] == '\\') ++i;
        else if (quote) quote = line[i] == quote ? 0 : quote;
        else if (line[i] == '"' || line[i] == '\'') quote = line[i], begin = i + 1;
    }
    return {quote, begin};
}

} // namespace

LuaConsole::LuaConsole(const LuaLimits& limits) : lua_(LessonLua::Offer::Script), limits_(limits) {
    lua_State* lua = lua_.state_->lua;
    lua_.state_->limits = limits;
    if (!lua) return;
    lua_pushcfunction(lua, add_console_functions);
    if (lua_pcall(lua, 0, 0, 0) != LUA_OK) lua_pop(lua, 1);
}

LuaConsole::~LuaConsole() = default;

unsigned LuaConsole::opened() const { return lua_.state_->opened; }

void LuaConsole::tell(std::string line) {
    bytes_ += line.size(), ++changes_;
    entries_.back().output.push_back(std::move(line));
    thin();
}

void LuaConsole::fail(std::string sentence) {
    bytes_ += sentence.size(), ++changes_;
    entries_.back().error = std::move(sentence);
}

void LuaConsole::thin() {
    const auto size = [](const Entry& entry) {
        std::size_t bytes = entry.input.size() + entry.error.size();
        for (const std::string& line : entry.output) bytes += line.size();
        return bytes;
    };
    while (entries_.size() > 1 && (entries_.size() > kMostEntries || bytes_ > kMostBytes)) bytes_ -= std::min(bytes_, size(entries_.front())), entries_.pop_front();
}

void LuaConsole::enter(const std::string& code) {
    if (busy()) return;
    entries_.push_back({code.substr(0, kMostInput), {}, {}, false});
    bytes_ += entries_.back().input.size();
    if (code.size() > kMostInput) return fail(fmt::format("an input has at most {} KiB; put the text into a file, and name it with --script", kMostInput >> 10));
    begin(code, "console");
}

void LuaConsole::enter_file(const std::string& name, const std::string& code) {
    if (busy()) return;
    entries_.push_back({name, {}, {}, true});
    begin(code, name);
}

void LuaConsole::begin(const std::string& code, const std::string& name) {
    ++changes_, thin();
    State& state = *lua_.state_;
    if (!state.lua) return fail("there is no memory for the console's interpreter");
    state.begin_block();
    said_.clear();
    Source source{code, name};
    name_ = name;
    lua_pushcfunction(state.lua, make_thread);
    lua_pushlightuserdata(state.lua, &source);
    thread_ = lua_pcall(state.lua, 1, 0, 0) == LUA_OK;
    if (!thread_) fail(error_sentence(state.lua, name_, 1));
    lua_settop(state.lua, 0);
}

bool LuaConsole::incomplete(const std::string& code) const {
    lua_State* lua = lua_.state_->lua;
    if (!lua || code.size() > kMostInput) return false;
    lua_.state_->allocated = 0;
    std::string text = code;
    const auto complaint = [&] {
        lua_pushcfunction(lua, try_to_load);
        lua_pushlightuserdata(lua, &text);
        const bool good = lua_pcall(lua, 1, 0, 0) == LUA_OK;
        std::string sentence = good ? "" : error_sentence(lua, "console", 1);
        lua_settop(lua, 0);
        return sentence;
    };
    if (!complaint().ends_with("near <eof>")) return false;
    text = "return " + code;
    return !complaint().empty();
}

void LuaConsole::go_on(std::optional<Session>& session, double milliseconds) {
    if (!busy()) return;
    State& state = *lua_.state_;
    lua_State* thread = thread_of(state.lua);
    state.session = &session, state.said = &said_;
    if (lua_status(thread) == LUA_YIELD) state.machine += std::clock() - paused_at_; // the time between slices is the others'
    state.slice_end = std::chrono::steady_clock::now() + std::chrono::microseconds(static_cast<long>(milliseconds * 1000));
    lua_sethook(thread, count_hook, LUA_MASKCOUNT, LessonLua::kHookStep);
    const std::size_t told = said_.size();
    int results = 0;
    const int status = lua_resume(thread, state.lua, 0, &results);
    state.session = nullptr, state.said = nullptr;
    for (std::size_t i = told; i < said_.size(); ++i) tell(said_[i]); // they stay until the block's end, because their number is limited
    paused_at_ = std::clock();
    if (status == LUA_YIELD) lua_pop(thread, results);
    else end(status, results);
}

void LuaConsole::end(int status, int results) {
    lua_State* lua = lua_.state_->lua;
    lua_State* thread = thread_of(lua);
    if (status == LUA_OK) {
        std::string values;
        for (int i = 1; i <= results && values.size() < kMostValue; ++i) values += (i > 1 ? ", " : "") + value_text(thread, lua_gettop(thread) - results + i);
        if (results) tell("= " + values);
    } else {
        fail(error_sentence(thread, name_, 1));
    }
    lua_pushnil(lua), lua_rawsetp(lua, LUA_REGISTRYINDEX, &kThread);
    thread_ = false, ++changes_;
}

void LuaConsole::stop(const std::string& why) {
    if (!busy()) return;
    lua_State* lua = lua_.state_->lua;
    fail(why);
    lua_pushnil(lua), lua_rawsetp(lua, LUA_REGISTRYINDEX, &kThread);
    thread_ = false;
}

LuaConsole::Completion LuaConsole::complete(const std::string& text, const Session& session) const {
    const std::size_t line = text.rfind('\n') + 1; // npos + 1 is 0
    std::set<std::string> found;
    const auto [quote, opened] = open_quote(text.substr(line));
    if (quote) {
        const std::string part = text.substr(line + opened);
        const auto offer = [&](const std::string& name) { if (name.starts_with(part)) found.insert(name); };
        offer("pc");
        for (unsigned i = 0; i < 32; ++i) offer(register_name(i)), offer(fp_register_name(i));
        for (std::size_t i = 0; i < kCsrCount; ++i) offer(csr_row_at(i).name);
        const auto& symbols = session.guest().elf.symbols;
        for (auto at = symbols.lower_bound(part); at != symbols.end() && at->first.starts_with(part) && found.size() < kMostWords; ++at) found.insert(at->first);
        Completion completion{line + opened, {found.begin(), found.end()}};
        completion.words.resize(std::min(completion.words.size(), kMostWords));
        return completion;
    }
    std::size_t path = text.size();
    while (path > line && (is_word(text[path - 1]) || text[path - 1] == '.')) --path;
    const std::size_t dot = text.rfind('.'), word = dot != std::string::npos && dot >= path ? dot + 1 : path;
    const std::string part = text.substr(word);
    lua_State* lua = lua_.state_->lua;
    if (!lua || (part.empty() && word == path)) return {word, {}};
    lua_rawgeti(lua, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    for (std::size_t at = path; at < word && lua_istable(lua, -1);) {
        const std::size_t end = text.find('.', at);
        bool there = false;
        for (lua_pushnil(lua); !there && lua_next(lua, -2);) {
            there = lua_type(lua, -2) == LUA_TSTRING && text.compare(at, end - at, lua_tostring(lua, -2)) == 0;
            if (there) lua_replace(lua, -3), lua_pop(lua, 1);
            else lua_pop(lua, 1);
        }
        if (!there) lua_pushnil(lua), lua_replace(lua, -2);
        at = end + 1;
    }
    if (lua_istable(lua, -1))
        for (lua_pushnil(lua); lua_next(lua, -2); lua_pop(lua, 1))
            if (lua_type(lua, -2) == LUA_TSTRING)
                if (const std::string name = lua_tostring(lua, -2); name.starts_with(part) && std::all_of(name.begin(), name.end(), is_word)) found.insert(name);
    lua_settop(lua, 0);
    if (word == path)
        for (const char* keyword : {"and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while"})
            if (std::string(keyword).starts_with(part)) found.insert(keyword);
    Completion completion{word, {found.begin(), found.end()}};
    completion.words.resize(std::min(completion.words.size(), kMostWords));
    return completion;
}

} // namespace trapeze::scenarios
