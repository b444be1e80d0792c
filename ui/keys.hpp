// Keys and actions: one table (keys.def).
#pragma once

#include "emulator/base/result.hpp"
#include "emulator/base/types.hpp"

#include <optional>
#include <string>
#include <vector>

namespace trapeze::ui {

/// What the user can do. The first are the rows of keys.def; the rest come from panels with a value.
enum class Action : u8 {
#define KEY(action, ...) action,
#include "ui/keys.def"
    KeyCount,
    SelectExit,   ///< number: which exit of the ledger
    SelectLine,   ///< number: address of a line of code
    GoTo,         ///< number: a position of the session
    Type,         ///< text: for the guest's console; number: which container's
    Answer,       ///< number: of the lesson's question
    LessonAct,    ///< do what the lesson asks for
    LessonNext,   ///< go on to its next step
    OpenLesson,   ///< text: its name
    FreePlay,     ///< text: a mode; tiny-os from its start
    HideOverlay,
    ShowPanel,    ///< number: a PanelId; comes to the front
    MovePanel,    ///< move_panel packs it
    ResizeParts,  ///< number: a split of the layout; text: sizes of its parts
};
struct KeyRow {
    Action action;
    const char *chord, *name, *sentence;
};
const std::vector<KeyRow>& key_rows();

/// A key with modifiers, as SDL numbers keys.
struct Chord {
    i32 key = 0; ///< SDL_Keycode
    bool ctrl = false, shift = false;
    bool operator==(const Chord&) const = default;
};
/// "Ctrl+Shift+F5" to a chord; nullopt when it names no key.
std::optional<Chord> parse_chord(const std::string& text);
std::optional<Action> action_for(const Chord& chord);
/// Refuses a table with a chord that stands twice or names no key, in a sentence.
Result<void> check_keys(const std::vector<KeyRow>& rows);

} // namespace trapeze::ui
