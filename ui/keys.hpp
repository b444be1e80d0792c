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
    ExplainThing, ///< text: what scenarios::explain knows
    FreePlay,     ///< text: a mode; tiny-os from its start
    HideOverlay,
    ShowPanel,    ///< number: a PanelId; comes to the front
    MovePanel,    ///< move_panel packs it
    ResizeParts,  ///< number: a split of the layout; text: sizes of its parts
    AddBreakpoint,       ///< text: as Session::parse_breakpoint reads it
    RemoveBreakpoint,    ///< number: which of the session's
    EnableBreakpoint,    ///< number; text: "on" or "off"
    LabelBreakpoint,     ///< number; text
    ConditionBreakpoint, ///< number; text: Lua, empty for none
    ShowMemory,          ///< number: an address; text: "physical" for a guest physical one, else as the guest's software sees it
    GoToMemory,   ///< text: an expression
    SearchMemory, ///< text: bytes, as scenarios::parse_bytes reads them; from the memory panel's place on
    WriteMemory,  ///< number: an address in the memory panel's space; text: bytes
    ShowWalk,     ///< number: an address
    GoToWalk,     ///< text: an expression
    ShowWalkReads,///< number: how many entries of the walk are shown
    TakeOffer,           ///< number: an Offer, for the thing that has the focus; the window's own
    EnterLua,            ///< text: for the Lua console
    ShowRing,            ///< number: address of a virtio device, with the number of a queue in its low bits
    BackToRegister, ///< number: 1 to 31; to its last change
    BackToCsrWrite, ///< number: of the CSR
    BackToMemory,   ///< number: a virtual address; to the last store there
    BackToPhysical, ///< number: a physical address, such as a page-table entry's
    OpenSession,    ///< text: the file of a recording
    SwitchBranch,   ///< number: index in Debugger::branches()
    Last = SwitchBranch
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
