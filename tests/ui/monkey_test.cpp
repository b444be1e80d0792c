// Random keys and mouse over all panels and layouts: nothing that a user can do may crash the debugger or leave its layout in pieces. A seed
// decides everything, and is told when a check fails. TRAPEZE_MONKEY_FRAMES lets it go on for longer, TRAPEZE_MONKEY_SEED begins elsewhere.
#include "tests/ui/headless.hpp"
#include "ui/focused.hpp"

#include <imgui_internal.h>

#include <cstdlib>
#include <random>

using namespace trapeze;
using namespace trapeze::test;
using namespace trapeze::ui;

namespace {

u64 from_environment(const char* name, u64 otherwise) {
    const char* const text = std::getenv(name);
    return text && *text ? std::strtoull(text, nullptr, 10) : otherwise;
}

class Monkey {
  public:
    Monkey(Debugger debugger, u64 seed) : debugger_(std::move(debugger)), random_(seed), screen_(1280, 800, 1, false) { debugger_.set_session_file("/dev/null"); }

    void go_on(u64 frames) {
        for (u64 i = 0; i < frames; ++i) {
            act();
            debugger_.tick(0.2);
            for (const Command& command : screen_.frame(debugger_)) apply(command);
            check();
        }
    }

  private:
    u64 below(u64 end) { return std::uniform_int_distribution<u64>(0, end - 1)(random_); }
    template <class T> const T& one_of(const std::vector<T>& list) { return list[below(list.size())]; }

    void apply(Command command) {
        if (command.action == Action::Quit) return;
        // Only the real thing is long: sessions that are opened, and ways of millions of steps.
        if (concerns_panel(command.action)) command.number = static_cast<u64>(screen_.state().focus);
        if (command.action == Action::Explain) command.text = focused_things(debugger_, screen_.state());
        if (command.action == Action::CopyPanel) (void)panel_row(screen_.state().focus).sheet(debugger_, screen_.state()).text();
        else if (command.action == Action::SaveTable) (void)panel_row(screen_.state().focus).sheet(debugger_, screen_.state()).csv();
        else debugger_.apply(command);
    }

    void act() {
        ImGuiIO& io = ImGui::GetIO();
        switch (below(10)) {
        case 0: case 1: case 2: apply({key_rows()[below(key_rows().size())].action}); break;
        case 3: apply({Action::ShowPanel, below(kPanels)}); break;
        case 4: io.MousePos = {static_cast<float>(below(1280)), static_cast<float>(below(800))}; break;
        case 5: io.MouseDown[below(2)] ^= true; break;
        case 6: io.MouseWheel = static_cast<float>(below(7)) - 3; break;
        case 7: io.AddInputCharacter(static_cast<unsigned>(0x20 + below(0x60))); break;
        case 8: nonsense(); break;
        default: resize(io); break;
        }
    }
    /// What panels send, with values that no panel would.
    void nonsense() {
        static const std::vector<std::string> kTexts = {"", "main", "0x80200000", "csr satp", "cause 13", "\"no\"", "de ad", "a\nb", std::string(300, 'x'), "on", "bare,interpret", "physical"};
        const auto action = static_cast<Action>(static_cast<u64>(Action::KeyCount) + 1 + below(static_cast<u64>(Action::Last) - static_cast<u64>(Action::KeyCount)));
        if (action == Action::OpenLesson || action == Action::FreePlay || action == Action::OpenSession) return;
        const u64 numbers[] = {0, 1, below(64), ~u64{0}, 0x80200000 + below(0x10000) * 2, random_()};
        apply({action, numbers[below(std::size(numbers))], one_of(kTexts)});
    }
    void resize(ImGuiIO& io) {
        if (below(4)) return;
        io.DisplaySize = {static_cast<float>(320 + below(2000)), static_cast<float>(240 + below(1200))};
    }
    void check() {
        const Division division = window_layout(debugger_, 21);
        REQUIRE_FALSE(division.leaves.empty());
        for (const PlacedLeaf& leaf : division.leaves) REQUIRE(contains(debugger_.workspace().tree(), leaf.front));
        REQUIRE(debugger_.state_json().size() > 100);
    }

    Debugger debugger_;
    std::mt19937_64 random_;
    Headless screen_;
};

void set_off(Debugger debugger, u64 frames) {
    const u64 seed = from_environment("TRAPEZE_MONKEY_SEED", 1);
    CAPTURE(seed);
    Monkey(std::move(debugger), seed).go_on(from_environment("TRAPEZE_MONKEY_FRAMES", frames));
}

} // namespace

TEST_CASE("Random keys, clicks and commands do not upset the debugger of a guest") { set_off(Debugger(guest(vmm::Mode::TrapAndEmulate), std::nullopt), 150); }
TEST_CASE("Random keys, clicks and commands do not upset the debugger of containers") { set_off(containers(), 100); }
TEST_CASE("Random keys, clicks and commands do not upset a lesson") { set_off(lesson(), 100); }
