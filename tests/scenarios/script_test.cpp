// Scripts: what they can do to a session, and that nothing in them can hold up the host.
#include "scenarios/lesson_lua.hpp"

#include <doctest/doctest.h>

#include <chrono>

using namespace trapeze;
using namespace trapeze::scenarios;

namespace {

struct Ran {
    std::optional<Session> session;
    std::vector<std::string> said;
    bool truth = false;
    std::string error;
};

/// Runs a script that opens its own session, if it needs one.
Ran script(const std::string& code) {
    Ran ran;
    LessonLua lua(LessonLua::Offer::Script);
    auto result = lua.run({code, 1}, "script.lua", ran.session, ran.said);
    if (result) ran.truth = *result;
    else ran.error = result.error();
    return ran;
}

const std::string kOpen = "session.open{guest = 'tiny-os', mode = 'trap-and-emulate'}\n";

} // namespace

TEST_CASE("A script reads and writes registers, CSRs and memory of the guest") {
    const Ran ran = script(kOpen + R"(
run_to("enable_paging_satp")
set("a0", 0x1234) set("sscratch", 77)
local place = symbol("enable_paging_satp")
local before = memory(place, 4)
write("enable_paging_satp", 0x00000013, 4)
local nop, text = memory(place, 4), bytes(place, 4)
write(place, before, 4)
return reg("a0") == 0x1234 and csr("sscratch") == 77 and nop == 0x13 and text == "\x13\0\0\0" and memory(place, 4) == before and memory(0) == nil
)");
    CHECK_MESSAGE(ran.error.empty(), ran.error);
    CHECK(ran.truth);
}

TEST_CASE("A script stops at breakpoints of each kind, and goes back") {
    const Ran ran = script(kOpen + R"(
break_on("csr", "satp")
local at_write = run() == "breakpoint" and contains(instruction(), "satp")
local position_then = position()
clear_breakpoints() break_on("exit", "sret or mret")
local at_exit = run() == "breakpoint" and last_exit().reason == "sret or mret"
clear_breakpoints() break_on("cause", "illegal instruction")
local at_cause = run() == "breakpoint" and last_exit().cause == "illegal instruction"
clear_breakpoints()
go_to(position_then)
say(events(1)[1])
return at_write and at_exit and at_cause and position() == position_then and run(5) == "budget" and position() == position_then + 5
)");
    CHECK_MESSAGE(ran.error.empty(), ran.error);
    CHECK(ran.truth);
    CHECK(ran.said.size() == 1);
}

TEST_CASE("A script that returns nothing has done what it should; false and errors say otherwise") {
    CHECK(script("say('done')").truth);
    CHECK_FALSE(script("return false").truth);
    const Ran wrong = script("local x = 1\nset('zz', 1)");
    CHECK(wrong.error.find("script.lua:2") != std::string::npos);
    CHECK(wrong.error.find("no session is open") == std::string::npos);
    CHECK(wrong.error.find("zz") != std::string::npos);
    CHECK(script(kOpen + "break_on('at', 0x80200001)").error.find("cannot fire") != std::string::npos);
    CHECK(script(kOpen + "break_on('cause', 'boredom')").error.find("boredom") != std::string::npos);
    CHECK(script(kOpen + "set('cycle', 1)").error.find("read-only") != std::string::npos);
    CHECK(script(kOpen + "write(0, 'x')").error.find("mapped") != std::string::npos);
}

TEST_CASE("Lessons are not offered what changes a guest by hand") {
    LessonLua lua;
    std::optional<Session> session;
    std::vector<std::string> said;
    CHECK_FALSE(lua.run({"set('a0', 1)", 1}, "lesson.md", session, said));
}

TEST_CASE("Hostile scripts end with a sentence, soon") {
    const auto begin = std::chrono::steady_clock::now();
    for (const char* hostile : {"local s = 'x' while true do s = s .. s end",            // memory
                                "local function f() return f() + 1 end f()",             // recursion
                                "string.rep('x', 1 << 40)",                              // one huge text
                                "local t = {} for i = 1, 1e9 do t[i] = i end",           // one huge table
                                "string.rep('a', 1000):find(string.rep('a*', 50) .. 'b')", // patterns, which are not there
                                "os.execute('true')", "io.open('/etc/passwd')", "load('return 1')()", "require('os')", "while true do say('x') end",
                                "error(setmetatable)", "bytes(0, 1 << 40)", "error({})"}) {
        CAPTURE(hostile);
        const Ran ran = script(hostile);
        CHECK(ran.error.size() > 20);
        CHECK(ran.error.size() < 2000);
    }
    CHECK(script(kOpen + "for i = 1, 1000 do break_on('at', 0x80200000) end").error.find("breakpoints") != std::string::npos);
    CHECK(script(kOpen + "go_to(1 << 60)").error.find("farther") != std::string::npos);
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(60));
}
