// The key table: a chord means one thing, and means what debuggers share.
#include "ui/keys.hpp"

#include <SDL_keycode.h>
#include <doctest/doctest.h>

#include <set>
#include <string>

using namespace trapeze;
using namespace trapeze::ui;

TEST_CASE("The key table has no chord twice, and each chord is its row's action") {
    const auto checked = check_keys(key_rows());
    CHECK_MESSAGE(checked, (checked ? "" : checked.error()));
    std::set<std::string> chords, names;
    for (const KeyRow& row : key_rows()) {
        CAPTURE(row.name);
        CHECK(names.insert(row.name).second);
        CHECK(std::string(row.sentence).size() > 3);
        if (!*row.chord) continue;
        CHECK(chords.insert(row.chord).second);
        const auto chord = parse_chord(row.chord);
        REQUIRE(chord);
        CHECK(action_for(*chord) == row.action);
    }
}

TEST_CASE("A key table with a chord twice, or with a chord that names no key, is refused in a sentence") {
    auto rows = key_rows();
    rows.push_back({Action::Quit, "Shift+F7", "Another", "Something else"});
    const auto twice = check_keys(rows);
    REQUIRE_FALSE(twice);
    CHECK(twice.error().find("To its return") != std::string::npos);
    CHECK(twice.error().find("Another") != std::string::npos);
    CHECK(twice.error().find("Shift+F7") != std::string::npos);
    for (const char* nonsense : {"F13", "Hyper+X", "Ctrl+", "Shift+Ctrl+F5", "F0"}) {
        CAPTURE(nonsense);
        const auto refused = check_keys({{Action::Quit, nonsense, "Odd", "No key"}});
        REQUIRE_FALSE(refused);
        CHECK(refused.error().find(nonsense) != std::string::npos);
    }
}

TEST_CASE("The keys that debuggers share do what they do there") {
    const std::pair<Chord, Action> kShared[] = {
        {{SDLK_F5, false, false}, Action::Run},          {{SDLK_F5, false, true}, Action::Stop},      {{SDLK_F5, true, true}, Action::Reset},
        {{SDLK_F6, false, false}, Action::Pause},        {{SDLK_F9, false, false}, Action::ToggleBreakpoint},
        {{SDLK_F10, false, false}, Action::StepOver},    {{SDLK_F10, true, false}, Action::RunToLine}, {{SDLK_F11, false, false}, Action::Step},
        {{SDLK_F11, false, true}, Action::StepOut},      {{SDLK_F7, false, false}, Action::NextTrap},  {{SDLK_F7, false, true}, Action::ToReturn},
        {{SDLK_F10, false, true}, Action::StepBack},     {{SDLK_F1, false, false}, Action::Explain},  {{SDLK_p, true, true}, Action::ShowPalette},
        {{SDLK_F5, true, false}, Action::ReverseRun},    {{SDLK_F1, false, true}, Action::ShowHelp},   {{SDLK_s, true, false}, Action::SaveSession},
        {{SDLK_EQUALS, true, false}, Action::ZoomIn},    {{SDLK_MINUS, true, false}, Action::ZoomOut}, {{SDLK_0, true, false}, Action::ZoomReset},
    };
    for (const auto& [chord, action] : kShared) {
        CAPTURE(chord.key);
        CHECK(action_for(chord) == action);
    }
    CHECK_FALSE(action_for({SDLK_F6, true, false}));
    CHECK_FALSE(action_for({SDLK_a, false, false}));
}
