// The Lua console: what was entered and what came of it, and a prompt. Enter runs, Ctrl+Enter makes a line more (as Enter does where a statement is not
// whole yet), Tab completes, up and down at the first and the last line bring back what was entered before.
#include "ui/panels.hpp"
#include "ui/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace trapeze::ui {

namespace {

using scenarios::LuaConsole;

constexpr const char* kHint = later("Lua: reg(\"a0\"), memory(reg(\"sp\")), run(), break_on(\"csr\", \"satp\"). Tab completes.");

/// What the callback of the prompt works on.
struct Editing {
    PanelState::Prompt& prompt;
    const Debugger& debugger;
    std::string typed; ///< in this frame: the prompt takes it from Dear ImGui's queue, also where it does not use it
};

void put(ImGuiInputTextCallbackData& data, const std::string& text) {
    data.DeleteChars(0, data.BufTextLen);
    data.InsertChars(0, text.c_str());
    data.CursorPos = data.BufTextLen, data.SelectionStart = data.SelectionEnd = data.CursorPos;
}

std::string common_prefix(const std::vector<std::string>& words) {
    std::string prefix = words.front();
    for (const std::string& word : words)
        while (!word.starts_with(prefix)) prefix.pop_back();
    return prefix;
}

void complete(ImGuiInputTextCallbackData& data, Editing& editing) {
    const std::string before(data.Buf, static_cast<std::size_t>(data.CursorPos));
    const LuaConsole::Completion completion = editing.debugger.lua_console().complete(before, editing.debugger.session());
    editing.prompt.words.clear();
    if (completion.words.empty()) return;
    const std::string prefix = common_prefix(completion.words);
    data.DeleteChars(static_cast<int>(completion.begin), data.CursorPos - static_cast<int>(completion.begin));
    data.InsertChars(static_cast<int>(completion.begin), prefix.c_str());
    if (completion.words.size() > 1) editing.prompt.words = completion.words;
}

/// Brings back the input so far before the newest; 0: what was being typed.
void recall(ImGuiInputTextCallbackData& data, Editing& editing, std::size_t entry) {
    std::vector<const std::string*> inputs;
    for (const auto& past : editing.debugger.lua_console().entries())
        if (!past.file && (inputs.empty() || *inputs.back() != past.input)) inputs.push_back(&past.input);
    if (entry > inputs.size()) return;
    if (editing.prompt.entry == 0) editing.prompt.typed.assign(data.Buf, static_cast<std::size_t>(data.BufTextLen));
    editing.prompt.entry = entry;
    put(data, entry == 0 ? editing.prompt.typed : *inputs[inputs.size() - entry]);
}

/// The characters that were typed in this frame.
std::string typed_now() {
    const ImGuiIO& io = ImGui::GetIO();
    std::string text;
    for (int i = 0; i < io.InputQueueCharacters.Size; ++i)
        if (io.InputQueueCharacters[i] >= 0x20 && io.InputQueueCharacters[i] < 0x7f) text += static_cast<char>(io.InputQueueCharacters[i]);
    return text;
}

/// After Enter the keyboard comes back to the prompt. In the frame in which it does, Dear ImGui leaves out what is typed, so the next one puts it before what is
/// typed then.
void arrive(ImGuiInputTextCallbackData& data, PanelState::Prompt& prompt, const std::string& typed) {
    const std::string now(data.Buf, static_cast<std::size_t>(data.BufTextLen));
    if (!prompt.take) {
        prompt.typed = now;
        prompt.take = now == prompt.text ? now + typed : now;
        return;
    }
    const auto cursor = static_cast<std::size_t>(data.CursorPos);
    const std::size_t more = now.size() > prompt.typed.size() ? std::min(now.size() - prompt.typed.size(), cursor) : 0;
    put(data, *std::exchange(prompt.take, std::nullopt) + now.substr(cursor - more, more));
    prompt.returning = false;
}

int edit(ImGuiInputTextCallbackData* data) {
    Editing& editing = *static_cast<Editing*>(data->UserData);
    PanelState::Prompt& prompt = editing.prompt;
    if (data->EventFlag == ImGuiInputTextFlags_CallbackCompletion) return complete(*data, editing), 0;
    if (prompt.returning) arrive(*data, prompt, editing.typed);
    else if (prompt.take) put(*data, *std::exchange(prompt.take, std::nullopt));
    // The cursor as it was before the key: a key that had nowhere to move it goes through the history.
    if (prompt.was_first && ImGui::IsKeyPressed(ImGui::GetKeyIndex(ImGuiKey_UpArrow))) recall(*data, editing, prompt.entry + 1);
    else if (prompt.was_last && prompt.entry > 0 && ImGui::IsKeyPressed(ImGui::GetKeyIndex(ImGuiKey_DownArrow))) recall(*data, editing, prompt.entry - 1);
    const std::string_view text(data->Buf, static_cast<std::size_t>(data->BufTextLen));
    const auto cursor = static_cast<std::size_t>(data->CursorPos);
    prompt.was_first = text.substr(0, cursor).find('\n') == std::string_view::npos;
    prompt.was_last = text.find('\n', cursor) == std::string_view::npos;
    return 0;
}

float lines_of(const char* text) { return static_cast<float>(1 + std::count(text, text + std::strlen(text), '\n')); }

void draw_entry(const Theme& theme, PanelState::Prompt& prompt, const LuaConsole::Entry& entry) {
    ImGui::PushTextWrapPos(0);
    const std::string shown = fmt::format("{} {}", entry.file ? "\u25b6" : ">", entry.input);
    ImGui::TextColored(theme.accent, "%s", shown.c_str());
    tooltip(theme, entry.file ? tr("A file that was run.") : tr("Click to have it at the prompt again."));
    if (!entry.file && ImGui::IsItemClicked()) prompt.take = entry.input, prompt.want = true;
    for (const std::string& line : entry.output) ImGui::TextUnformatted(line.c_str());
    if (!entry.error.empty()) ImGui::TextColored(theme.bad, "! %s", entry.error.c_str());
    ImGui::PopTextWrapPos();
}

void draw_transcript(const Debugger& debugger, const Theme& theme, PanelState::Prompt& prompt, float below) {
    const LuaConsole& console = debugger.lua_console();
    ImGui::BeginChild("transcript", {0, -below});
    if (console.entries().empty()) prose(theme, theme.dim, tr(kHint));
    for (const LuaConsole::Entry& entry : console.entries()) draw_entry(theme, prompt, entry);
    if (std::exchange(prompt.seen, console.changes()) != console.changes()) ImGui::SetScrollHereY(1.0f);
    ImGui::EndChild();
}

/// Words that were offered, as many as there is room for in one line.
std::string offered(const std::vector<std::string>& words, float width) {
    std::string line;
    for (const std::string& word : words) {
        if (ImGui::CalcTextSize((line + "  " + word + " ...").c_str()).x > width) return line + " ...";
        line += (line.empty() ? "" : "  ") + word;
    }
    return line;
}

void enter(const Debugger& debugger, PanelState::Prompt& prompt, Commands& commands) {
    std::string text = prompt.text;
    prompt.want = prompt.returning = true, prompt.words.clear(), prompt.take.reset();
    if (text.find_first_not_of(" \t\n") == std::string::npos) return;
    if (debugger.lua_console().incomplete(text) && text.size() + 2 < sizeof prompt.text) return void(std::strcat(prompt.text, "\n"));
    commands.push_back({Action::EnterLua, 0, text});
    prompt.text[0] = 0, prompt.entry = 0;
}

/// Until the prompt has the keyboard again, what is typed is put there.
void keep_typed(PanelState::Prompt& prompt, const std::string& typed) {
    const std::string text = prompt.text + typed;
    if (text.size() < sizeof prompt.text) std::memcpy(prompt.text, text.c_str(), text.size() + 1);
}

void draw_prompt(const Debugger& debugger, const Theme& theme, PanelState::Prompt& prompt, Commands& commands, float height) {
    if (std::exchange(prompt.asked, debugger.focus_requests()) != debugger.focus_requests() && debugger.focus_wanted() == PanelId::Lua) prompt.want = true;
    ImGui::AlignTextToFramePadding();
    ImGui::TextColored(debugger.lua_busy() ? theme.changed : theme.good, "%s", debugger.lua_busy() ? "\u25cf" : ">");
    ImGui::SameLine();
    if (std::exchange(prompt.want, false)) ImGui::SetKeyboardFocusHere();
    Editing editing{prompt, debugger, typed_now()};
    constexpr ImGuiInputTextFlags kFlags = ImGuiInputTextFlags_EnterReturnsTrue | ImGuiInputTextFlags_CtrlEnterForNewLine | ImGuiInputTextFlags_CallbackCompletion | ImGuiInputTextFlags_CallbackAlways;
    if (ImGui::InputTextMultiline("##lua", prompt.text, sizeof prompt.text, {-1, height}, kFlags, edit, &editing)) return enter(debugger, prompt, commands);
    if (prompt.returning && !ImGui::IsItemActive()) keep_typed(prompt, editing.typed);
}

} // namespace

void draw_lua(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    PanelState::Prompt& prompt = state.lua;
    constexpr float kMostLines = 8;
    const ImGuiStyle& style = ImGui::GetStyle();
    const float height = ImGui::GetTextLineHeight() * std::min(lines_of(prompt.text), kMostLines) + style.FramePadding.y * 2;
    const bool hint = debugger.lua_busy() || !prompt.words.empty();
    draw_transcript(debugger, theme, prompt, height + style.ItemSpacing.y + (hint ? ImGui::GetTextLineHeightWithSpacing() : 0));
    if (debugger.lua_busy()) prose(theme, theme.changed, tr("At work. F6 or Esc stops it."));
    else if (hint) ImGui::TextColored(theme.dim, "%s", offered(prompt.words, ImGui::GetContentRegionAvail().x).c_str());
    draw_prompt(debugger, theme, prompt, commands, height);
}

Sheet sheet_lua(const Debugger& debugger, const PanelState&) {
    Sheet sheet;
    for (const auto& entry : debugger.lua_console().entries()) {
        std::string input;
        for (char c : entry.input) input += c == '\n' ? "\n  " : std::string(1, c);
        sheet.say((entry.file ? "file " : "> ") + input);
        for (const std::string& line : entry.output) sheet.say(line.empty() ? " " : line);
        if (!entry.error.empty()) sheet.say("! " + entry.error);
    }
    return sheet.empty() ? sheet.say(tr(kHint)) : sheet;
}

} // namespace trapeze::ui
