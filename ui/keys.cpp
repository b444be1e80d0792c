#include "ui/keys.hpp"

#include <SDL_keycode.h>
#include <fmt/format.h>

namespace trapeze::ui {

const std::vector<KeyRow>& key_rows() {
    static const std::vector<KeyRow> rows = {
#define KEY(action, chord, name, sentence) {Action::action, chord, name, sentence},
#include "ui/keys.def"
    };
    return rows;
}

std::optional<Chord> parse_chord(const std::string& text) {
    Chord chord;
    std::string rest = text;
    const auto take = [&](const std::string& prefix) {
        if (!rest.starts_with(prefix)) return false;
        rest.erase(0, prefix.size());
        return true;
    };
    chord.ctrl = take("Ctrl+");
    chord.shift = take("Shift+");
    if (rest.size() == 1) {
        chord.key = rest[0] >= 'A' && rest[0] <= 'Z' ? rest[0] - 'A' + 'a' : rest[0];
        return chord;
    }
    if (rest.size() >= 2 && rest[0] == 'F') {
        const int number = std::atoi(rest.c_str() + 1);
        if (number >= 1 && number <= 12) return chord.key = SDLK_F1 + (number - 1), chord;
    }
    for (const auto& [name, key] : {std::pair{"PageDown", SDLK_PAGEDOWN}, {"PageUp", SDLK_PAGEUP}, {"Tab", SDLK_TAB}, {"Space", SDLK_SPACE}})
        if (rest == name) return chord.key = key, chord;
    return std::nullopt;
}

std::optional<Action> action_for(const Chord& chord) {
    for (const KeyRow& row : key_rows())
        if (const auto own = parse_chord(row.chord); own && *own == chord) return row.action;
    return std::nullopt;
}

Result<void> check_keys(const std::vector<KeyRow>& rows) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (!*rows[i].chord) continue;
        const auto chord = parse_chord(rows[i].chord);
        if (!chord) return Error{fmt::format("ui/keys.def: \"{}\" of {} names no key", rows[i].chord, rows[i].name)};
        for (std::size_t j = 0; j < i; ++j)
            if (parse_chord(rows[j].chord) == chord) return Error{fmt::format("ui/keys.def: {} and {} have the same key {}", rows[j].name, rows[i].name, rows[i].chord)};
    }
    return {};
}

} // namespace trapeze::ui
