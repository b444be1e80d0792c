// The real window on a real display: the built program under Xvfb, driven by keys and mouse as a student would. What happened in the
// machine is read from the state file, what is to be seen from the X server's framebuffer.
#include "tests/ui/screen.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <fstream>
#include <memory>

#include <unistd.h>

using namespace trapeze;
using namespace trapeze::test;
using nlohmann::json;

namespace {

constexpr unsigned kWidth = 1280, kHeight = 800;
constexpr double kLimit = 20; // seconds, also with sanitizers on a busy machine

/// The program in its window.
class Window {
  public:
    explicit Window(std::vector<std::string> words) {
        auto opened = Screen::open(kWidth, kHeight);
        REQUIRE_MESSAGE(opened, (opened ? "" : opened.error()));
        screen_ = std::move(*opened);
        state_file_ = screen_->folder() / "state.json";
        setenv("XDG_CONFIG_HOME", screen_->folder().c_str(), 1); // no layouts of whoever runs the tests
        setenv("XDG_STATE_HOME", screen_->folder().c_str(), 1); // nor sessions that they left behind
        const char* programs = std::getenv("TRAPEZE_BIN");
        REQUIRE_MESSAGE(programs, "TRAPEZE_BIN must name the folder of the built program; ./trapeze test sets it");
        words.insert(words.begin(), std::string(programs) + "/trapeze");
        words.insert(words.end(), {"--state-file", state_file_.string()});
        program_ = std::make_unique<ScreenProgram>(words, screen_->display());
        REQUIRE_MESSAGE(becomes([](const json& s) { return !s.empty(); }), "the window did not open");
        // There is no window manager: keys go to the window under the pointer.
        REQUIRE_MESSAGE(screen_->drive({"mousemove", "600", "795"}), "xdotool does not work; install xdotool (./trapeze test does)");
        REQUIRE(wait_for([&] { return screen_->picture().colours() > 20; }, kLimit));
    }

    void press(const std::string& key) { REQUIRE(screen_->drive({"key", key})); }
    void type(const std::string& text) { REQUIRE(screen_->drive({"type", "--delay", "30", text})); }
    void click(int x, int y) { REQUIRE(screen_->drive({"mousemove", std::to_string(x), std::to_string(y), "sleep", "0.1", "mousedown", "1", "sleep", "0.1", "mouseup", "1"})); }
    json state() const {
        std::ifstream file(state_file_);
        json parsed = json::parse(file, nullptr, false);
        return parsed.is_discarded() ? json::object() : parsed;
    }
    bool becomes(const std::function<bool(const json&)>& holds) const {
        return wait_for([&] { return !program_->alive() || holds(state()); }, kLimit) && program_->alive();
    }
    /// Presses, and waits until the state is so.
    void press_until(const std::string& key, const std::function<bool(const json&)>& holds) {
        press(key);
        CAPTURE(key);
        const bool reached = becomes(holds);
        CAPTURE(state().dump());
        REQUIRE(reached);
    }
    bool picture_changes_from(const Picture& before) const {
        return wait_for([&] { return !(screen_->picture() == before); }, kLimit);
    }
    Picture picture() const { return screen_->picture(); }
    const Screen& screen() const { return *screen_; }
    ScreenProgram& program() { return *program_; }

  private:
    std::unique_ptr<Screen> screen_;
    std::filesystem::path state_file_;
    std::unique_ptr<ScreenProgram> program_;
};

auto position_is(u64 position) {
    return [position](const json& s) { return s["position"] == position; };
}

} // namespace

TEST_CASE("The first minute: predict, see the trap, see it handled, and none without a hypervisor") {
    Window window({"lesson", "watch-a-trap"});
    const json start = window.state();
    CHECK(start["lane"] == "guest kernel");
    CHECK(start["lesson"]["step"] == 1);
    CHECK(start["satp"]["guest"] == 0);
    const u64 position = start["position"], exits = start["exits"];
    const Picture first = window.picture();
    REQUIRE(first.width == kWidth);
    CHECK(first.colours() > 50);

    window.press_until("2", [](const json& s) { return s["lesson"]["answered"] == 2; });
    CHECK(window.picture_changes_from(first));

    // One key later the lane jumps to the hypervisor, a row is in the ledger, the answer is marked.
    const Picture asked = window.picture();
    window.press_until("F7", [](const json& s) { return s["lane"] == "hypervisor"; });
    CHECK(window.picture_changes_from(asked));
    json state = window.state();
    CHECK(state["exits"] == exits + 1);
    CHECK(state["exit"]["number"] == exits + 1);
    CHECK(state["exit"]["reason"] == "csr access");
    CHECK(state["exit"]["handled"] == false);
    CHECK(state["lesson"]["complete"] == true);
    CHECK(state["lesson"]["right"] == 1);

    // And back, and again: the same machine.
    window.press_until("shift+F10", position_is(position));
    CHECK(window.state()["lane"] == "guest kernel");
    CHECK(window.state()["exits"] == exits);
    window.press_until("F7", [](const json& s) { return s["lane"] == "hypervisor"; });

    window.press_until("Return", [](const json& s) { return s["lesson"]["step"] == 2; });
    window.press_until("1", [](const json& s) { return s["lesson"]["answered"] == 1; });
    window.press_until("F11", [](const json& s) { return s["exit"]["handled"] == true; });
    state = window.state();
    CHECK(state["lane"] == "guest kernel");
    CHECK(state["satp"]["guest"] != 0);
    CHECK(state["satp"]["real"] != state["satp"]["guest"]);
    CHECK(state["lesson"]["right"] == 2);

    window.press_until("Return", [](const json& s) { return s["lesson"]["step"] == 3; });
    CHECK(window.state()["mode"] == "bare");
    window.press_until("3", [](const json& s) { return s["lesson"]["answered"] == 3; }); // wrong
    window.press_until("F11", [](const json& s) { return s["lesson"]["complete"] == true; });
    CHECK(window.state()["exits"] == 0);
    CHECK(window.state()["satp"]["real"] != 0);
    window.press_until("Return", [](const json& s) { return s["lesson"]["finished"] == true; });
    CHECK(window.state()["lesson"]["right"] == 2);
    CHECK(window.state()["lesson"]["questions"] == 3);

    window.press("ctrl+q");
    CHECK(window.program().wait(kLimit) == 0);
}

TEST_CASE("Breakpoints, the console, overlays, sizes: the other keys of the window") {
    Window window({"debug", "tiny-os", "--mode", "trap-and-emulate"});
    CHECK(window.state()["position"] == 0);
    const u64 entry = window.state()["pc"];

    for (u64 step = 1; step <= 6; ++step) window.press_until("F11", position_is(step));
    const u64 here = window.state()["pc"];
    REQUIRE(here != entry);
    window.press_until("F9", [&](const json& s) { return s["breakpoints"] == json::array({here}); });
    window.press_until("ctrl+shift+F5", position_is(0));
    CHECK(window.state()["pc"] == entry);
    window.press_until("F5", [&](const json& s) { return s["pc"] == here && s["running"] == false; });
    CHECK(window.state()["message"] == "Stopped at a breakpoint.");
    window.press_until("F9", [](const json& s) { return s["breakpoints"].empty(); });

    window.press_until("F5", [](const json& s) { return s["message"] == "The guest waits for input."; });
    window.press_until("ctrl+t", [](const json& s) { return s["typing"] == true; });
    window.type("echo put back on the bar");
    window.press("Return");
    CHECK(window.becomes([](const json& s) { return s["console"].get<std::string>().find("\nput back on the bar") != std::string::npos; }));
    window.press_until("Escape", [](const json& s) { return s["typing"] == false; });

    for (const auto& [key, name] : {std::pair{"shift+F1", "help"}, {"F1", "explanation"}, {"ctrl+n", "start"}, {"ctrl+shift+p", "palette"}}) {
        const Picture before = window.picture();
        window.press_until(key, [&, name = name](const json& s) { return s["overlay"] == name; });
        CHECK(window.picture_changes_from(before));
        if (name != std::string("palette")) window.press_until("Escape", [](const json& s) { return s["overlay"] == ""; });
    }
    window.type("dark or"); // the palette finds an action by a part of its name
    window.press("Return");
    CHECK(window.becomes([](const json& s) { return s["light"] == true && s["overlay"] == ""; }));
    window.press_until("ctrl+equal", [](const json& s) { return s["scale"] > 1.0; });
    window.press_until("ctrl+0", [](const json& s) { return s["scale"] == 1.0; });

    // Made smaller, it leaves the rest of the screen; light, it is bright inside.
    REQUIRE(window.screen().drive({"search", "--name", "Trapeze", "windowsize", "1000", "700", "windowmove", "0", "0"}));
    CHECK(wait_for([&] {
        const Picture picture = window.picture();
        return picture.at(1200, 400) == 0 && picture.at(700, 795) == 0 && (picture.at(995, 695) & 0xff) > 0xc0;
    }, kLimit));
    window.press("ctrl+q");
    CHECK(window.program().wait(kLimit) == 0);
}

TEST_CASE("The lesson can be answered with the mouse, and a paused window leaves the processor alone") {
    Window window({"lesson", "watch-a-trap"});
    // Wherever the answers are: down the middle of the window, until one is hit.
    bool answered = false;
    for (int y = 100; y < 400 && !answered; y += 12) {
        window.click(600, y);
        answered = window.state()["lesson"]["answered"] != 0;
    }
    answered = answered || window.becomes([](const json& s) { return s["lesson"]["answered"] != 0; });
    CHECK(answered);

    const auto ticks = [&] { // of processor time, user and system: fields 14 and 15 of proc(5)'s stat
        std::ifstream file(fmt::format("/proc/{}/stat", window.program().pid()));
        std::string text{std::istreambuf_iterator<char>(file), {}};
        unsigned long user = 0, system = 0;
        std::sscanf(text.c_str() + text.rfind(')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
        return user + system;
    };
    // It settles: there comes a second in which it takes less than a tenth of the processor.
    unsigned long before = ticks();
    auto since = std::chrono::steady_clock::now();
    CHECK(wait_for([&] {
        if (std::chrono::steady_clock::now() - since < std::chrono::seconds(1)) return false;
        const unsigned long now = ticks(), used = now - before;
        before = now, since = std::chrono::steady_clock::now();
        return used * 10 < static_cast<unsigned long>(sysconf(_SC_CLK_TCK));
    }, kLimit));
}
