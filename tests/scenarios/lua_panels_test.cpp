// Panels that scripts define: values that their draw functions say, drawn by nobody but whoever asks; errors stay in the panel.
#include "scenarios/lua_console.hpp"

#include <doctest/doctest.h>

using namespace trapeze;
using namespace trapeze::scenarios;

namespace {

struct Defined {
    LuaConsole console;
    std::optional<Session> session;

    explicit Defined(const std::string& code) {
        (*this)("session.open{guest = 'tiny-os', mode = 'trap-and-emulate'}");
        const auto& entry = (*this)(code);
        CHECK_MESSAGE(entry.error.empty(), entry.error);
        console.draw_panels(session);
    }
    const LuaConsole::Entry& operator()(const std::string& code) {
        console.enter(code);
        while (console.busy()) console.go_on(session, 100);
        return console.entries().back();
    }
    std::string error() const { return console.panels().at(0).error; }
};

} // namespace

TEST_CASE("A panel of a script says texts, tables and plots, and anew each time it is drawn") {
    Defined defined(R"(
history = {}
panel{title = "Exits", draw = function(p)
    history[#history + 1] = position()
    p:text("at " .. position())
    p:table({"reg", "value"}, {{"pc", reg("pc")}, {"a0", nil}, {true, 1.5}})
    p:plot("positions", history)
    p:bars("two", {1, 2})
end})");
    REQUIRE(defined.console.panels().size() == 1);
    const LuaPanel& panel = defined.console.panels().front();
    CHECK(panel.title == "Exits");
    CHECK_MESSAGE(panel.error.empty(), panel.error);
    REQUIRE(panel.parts.size() == 4);
    CHECK(panel.parts[0].text == "at 0");
    CHECK(panel.parts[1].columns == std::vector<std::string>{"reg", "value"});
    CHECK(panel.parts[1].rows[1] == std::vector<std::string>{"a0", "-"});
    CHECK(panel.parts[1].rows[2] == std::vector<std::string>{"yes", "1.5"});
    CHECK(panel.parts[3].kind == LuaPanelPart::Kind::Bars);
    defined("run(100)");
    defined.console.draw_panels(defined.session);
    CHECK(panel.parts[0].text == "at 100");
    CHECK(panel.parts[2].values == std::vector<float>{0, 100});
}

TEST_CASE("An error in a draw function is told in the panel, with its line, after what was shown before it") {
    Defined defined("panel{title = 'x', draw = function(p)\np:text('shown')\nboom()\nend}");
    CHECK(defined.error().find("console:3:") != std::string::npos);
    CHECK(defined.console.panels()[0].parts.size() == 1);
    defined("panel{title = 'x', draw = function(p) p:text('mended') end}");
    defined.console.draw_panels(defined.session);
    CHECK(defined.error().empty());
    CHECK(defined.console.panels().size() == 1);
}

TEST_CASE("A draw function looks and cannot change the session; it ends, whatever it does") {
    for (const char* body : {"set('a0', 1)", "write(0x80200000, 'x')", "run(1)", "step()", "step_back()", "go_to(0)", "run_to_end()", "next_trap()", "type('x')", "break_on('cause', 'illegal instruction')",
                             "clear_breakpoints()", "session.open{guest = 'tiny-os'}", "panel{title = 'y', draw = function() end}"}) {
        CAPTURE(body);
        Defined defined("panel{title = 'x', draw = function(p) " + std::string(body) + " end}");
        CHECK(defined.error().find("only looks") != std::string::npos);
        CHECK(defined.session->position() == 0);
    }
    CHECK(Defined("panel{title = 'x', draw = function(p) while true do end end}").error().find("endless loop") != std::string::npos);
    CHECK(Defined("panel{title = 'x', draw = function(p) x = string.rep('a', 1e9) end}").error().find("memory") != std::string::npos);
    CHECK(Defined("panel{title = 'x', draw = function(p) for i = 1, 1000 do p:text('x') end end}").error().find("100 parts") != std::string::npos);
    CHECK(Defined("panel{title = 'x', draw = function(p) p.text('x') end}").error().find("table expected") != std::string::npos);
    CHECK(Defined("panel{title = 'x', draw = function(p) p:plot('n', {1, 'a'}) end}").error().find("value 2") != std::string::npos);
    CHECK(Defined("panel{title = 'x', draw = function(p) p:table({'a'}, {1}) end}").error().find("row 1") != std::string::npos);
    Defined kept("panel{title = 'x', draw = function(p) kept_p = p end}");
    CHECK(kept("kept_p:text('later')").error.find("only while") != std::string::npos);
}

TEST_CASE("There are at most four panels; one is taken away by defining it without a function") {
    Defined defined("for i = 1, 4 do panel{title = 't' .. i, draw = function(p) p:text('I am ' .. i) end} end");
    CHECK(defined("panel{title = 't5', draw = function(p) end}").error.find("4 panels") != std::string::npos);
    CHECK(defined("panel{title = 't2'}").error.empty());
    defined.console.draw_panels(defined.session);
    REQUIRE(defined.console.panels().size() == 3);
    CHECK(defined.console.panels()[1].title == "t3");
    CHECK(defined.console.panels()[1].parts[0].text == "I am 3");
    CHECK(defined("panel{title = 't5', draw = function(p) end}").error.empty());
    CHECK(defined("panel{title = 'z', draw = 3}").error.find("no function") != std::string::npos);
    CHECK(defined("panel{}").error.size() > 0);
}

TEST_CASE("A plot has a line of text") {
    CHECK(plot_text({}, 8).empty());
    CHECK(plot_text({0, 7, 8}, 8) == "\u2581\u2588\u2588");
    CHECK(plot_text({5, 5}, 8) == "\u2588\u2588");
    CHECK(plot_text(std::vector<float>(1000, 1), 4) == "\u2588\u2588\u2588\u2588");
}
