// The Lua console: lines that keep their variables, that are run in slices, and that cannot hold up or exhaust the host.
#include "scenarios/lua_console.hpp"

#include <doctest/doctest.h>

using namespace trapeze;
using namespace trapeze::scenarios;

namespace {

struct Talk {
    LuaConsole console;
    std::optional<Session> session;
    unsigned slices = 0;

    const LuaConsole::Entry& operator()(const std::string& code, double milliseconds = 5) {
        console.enter(code);
        while (console.busy()) console.go_on(session, milliseconds), ++slices;
        return console.entries().back();
    }
    std::string value(const std::string& code) {
        const auto& entry = (*this)(code);
        return entry.error.empty() && !entry.output.empty() ? entry.output.back() : "error: " + entry.error;
    }
};

const std::string kOpen = "session.open{guest = 'tiny-os', mode = 'trap-and-emulate'}";

} // namespace

TEST_CASE("The console shows values: numbers also as bits, texts quoted, tables with their pairs in order") {
    Talk talk;
    CHECK(talk.value("1 + 1") == "= 2");
    CHECK(talk.value("0x80200000, -1 << 20") == "= 0x80200000 (2149580800), 0xfffffffffff00000 (-1048576)");
    CHECK(talk.value("'a\\nb'") == "= \"a\\nb\"");
    CHECK(talk.value("{3, 4, b = true, a = {1.5}}") == "= {3, 4, a = {1.5}, b = true}");
    CHECK(talk.value("say") == "= function");
    const auto& entry = talk("print('x', 1) print()");
    CHECK(entry.output == std::vector<std::string>{"x\t1", ""});
    CHECK(talk("local a = 1").output.empty());
    CHECK(talk.value("t = {} t[1] = t return t").find("{...}") != std::string::npos); // a table inside itself ends
}

TEST_CASE("Variables of the console stay from line to line, also after errors") {
    Talk talk;
    talk("kept = 7");
    const auto& wrong = talk("kept = kept + 1\nerror_is_here()");
    CHECK(wrong.error.find("console:2:") != std::string::npos);
    CHECK(talk.value("kept") == "= 8");
    CHECK(talk("x = = 2").error.find("console:1:") != std::string::npos);
    CHECK(talk.value("kept") == "= 8");
}

TEST_CASE("A statement that is not whole asks for more; one that is wrong does not") {
    const LuaConsole console;
    for (const char* more : {"for i = 1, 3 do", "function f()", "x = {1,", "if a then b() else", "return 1 +", "say([[long"}) {
        CAPTURE(more);
        CHECK(console.incomplete(more));
    }
    for (const char* whole : {"x = 1", "1 + 1", "for i = 1, 3 do end", "x = = 2", "", "end"}) {
        CAPTURE(whole);
        CHECK_FALSE(console.incomplete(whole));
    }
}

TEST_CASE("Endless loops, too much memory and too many lines end with a sentence, and lose nothing") {
    Talk talk;
    talk("kept = 7");
    talk.console.enter("while true do end"); // goes on until it is stopped, and does not hold up whoever asks
    for (int i = 0; i < 3; ++i) talk.console.go_on(talk.session, 1);
    REQUIRE(talk.console.busy());
    talk.console.stop("It was stopped.");
    CHECK(talk.console.entries().back().error == "It was stopped.");
    CHECK(talk("x = string.rep('a', 10000000000)").error.size() > 0);
    CHECK(talk("x = string.rep('a', 100000000)").error.find("memory") != std::string::npos);
    CHECK(talk("local t = {} for i = 1, 1e9 do t[i] = i end").error.find("memory") != std::string::npos);
    CHECK(talk("local function f() return f() + 1 end return f()").error.size() > 0);
    CHECK(talk("for i = 1, 1e6 do say('x') end").error.find("says too much") != std::string::npos);
    CHECK(talk.console.entries().back().output.size() == LuaConsole::kLimits.lines);
    CHECK(talk("local t = {} for i = 1, 900 do t[i] = i end table.sort(t, function(a, b) return a > b end) return t[1]").output == std::vector<std::string>{"= 900"});
    CHECK(talk.value("kept") == "= 7");
    for (int i = 0; i < 600; ++i) talk("i = " + std::to_string(i));
    CHECK(talk.console.entries().size() == LuaConsole::kMostEntries);
}

TEST_CASE("A run from the console goes in slices, to the same place as in one piece") {
    Talk talk, whole;
    CHECK(talk("reg('pc')").error.find("no session is open") != std::string::npos);
    CHECK(talk(kOpen).error.empty());
    CHECK(talk.console.opened() == 1);
    talk.slices = 0;
    CHECK(talk.value("run(1500000)") == whole.value(kOpen + " return run(1500000)"));
    const u64 position = talk.session->position();
    CHECK(position == whole.session->position());
    CHECK(talk.slices > 0);

    Talk sliced; // each slice is over before it begins
    sliced(kOpen);
    sliced.slices = 0;
    sliced("why = run(1500000)", 0);
    CHECK(sliced.slices > 1);
    CHECK(sliced.session->position() == position);
    CHECK(sliced.value("run_to_end() return console()").find("tiny-os") != std::string::npos);
}

TEST_CASE("The console completes names of Lua, members of tables, and in quotes registers, CSRs and symbols") {
    Talk talk;
    talk(kOpen);
    talk("my_own = {first = 1, second = 2}");
    const auto words = [&](const std::string& text) { return talk.console.complete(text, *talk.session).words; };
    CHECK(words("x = break") == std::vector<std::string>{"break", "break_on"});
    CHECK(words("my_own.f") == std::vector<std::string>{"first"});
    CHECK(words("string.re") == std::vector<std::string>{"rep", "reverse"});
    CHECK(words("my_own.first.x").empty());
    CHECK(words("csr(\"sat") == std::vector<std::string>{"satp"});
    CHECK(words("run_to('enable_paging_s") == std::vector<std::string>{"enable_paging_satp"});
    CHECK(words("").empty());
    CHECK(talk.console.complete("say(\"x\") st", *talk.session).begin == 9);
}
