// What lies above the panels: help, command palette, and the card to start from. All keys come from the key table.
#include "ui/panels.hpp"
#include "ui/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace trapeze::ui {

namespace {

void begin_overlay(const char* title, float ems) {
    const ImVec2 size = ImGui::GetIO().DisplaySize;
    const float em = ImGui::GetFontSize(), top = size.y * 0.08f;
    ImGui::SetNextWindowPos({size.x / 2, top}, ImGuiCond_Always, {0.5f, 0});
    const float width = std::min(size.x * 0.94f, em * ems);
    ImGui::SetNextWindowSizeConstraints({width, 0}, {width, size.y - top * 1.5f});
    ImGui::PushStyleColor(ImGuiCol_WindowBg, ImGui::GetStyle().Colors[ImGuiCol_PopupBg]);
    ImGui::Begin(title, nullptr, ImGuiWindowFlags_NoCollapse | ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoResize | ImGuiWindowFlags_NoSavedSettings | ImGuiWindowFlags_AlwaysAutoResize);
    ImGui::PopStyleColor();
    if (ImGui::IsWindowAppearing()) ImGui::SetWindowFocus();
}

void mark(const Theme& theme, const ImVec4& colour, const char* sign, const char* meaning) {
    ImGui::TableNextRow();
    ImGui::TableNextColumn();
    ImGui::TextColored(colour, "%s", sign);
    ImGui::TableNextColumn();
    prose(theme, theme.text, meaning);
}

void draw_marks(const Theme& theme) {
    if (!ImGui::BeginTable("marks", 2)) return;
    ImGui::TableSetupColumn("", ImGuiTableColumnFlags_WidthFixed, ImGui::CalcTextSize("Ctrl+Shift+F5 ").x);
    ImGui::TableSetupColumn("", ImGuiTableColumnFlags_WidthStretch);
    mark(theme, theme.user, "U", tr("user mode"));
    mark(theme, theme.supervisor, "S", tr("supervisor mode"));
    mark(theme, theme.machine, "M", tr("machine mode"));
    mark(theme, theme.text, "S U", tr("the two stripes beside the code: the guest believes that it is in S, really it is in U"));
    mark(theme, theme.hypervisor, "S(U)>H", tr("the guest believed S, was in U, and fell to the hypervisor, which handled it; S(U)>H>g: and passed it on to the guest's kernel"));
    mark(theme, theme.sensitive, "!", tr("a sensitive instruction: it depends on the privilege, or changes the machine's resources"));
    mark(theme, theme.changed, tr("value*"), tr("changed by the last step"));
    mark(theme, theme.bad, "\u25cf", tr("a breakpoint: F9 on the selected line, or a double click"));
    ImGui::EndTable();
}

void draw_help(const Theme& theme) {
    begin_overlay(tr("Help: keys and colours"), 52);
    if (ImGui::BeginTable("keys", 3)) {
        ImGui::TableSetupColumn("", ImGuiTableColumnFlags_WidthFixed, ImGui::CalcTextSize("Ctrl+Shift+F5 ").x);
        ImGui::TableSetupColumn("", ImGuiTableColumnFlags_WidthFixed);
        ImGui::TableSetupColumn("", ImGuiTableColumnFlags_WidthStretch);
        for (const KeyRow& row : key_rows()) {
            ImGui::TableNextRow();
            ImGui::TableNextColumn();
            ImGui::TextColored(theme.accent, "%s", row.chord);
            ImGui::TableNextColumn();
            ImGui::TextUnformatted(tr(row.name));
            ImGui::TableNextColumn();
            prose(theme, theme.dim, tr(row.sentence));
        }
        ImGui::EndTable();
    }
    ImGui::Separator();
    draw_marks(theme);
    prose(theme, theme.dim, trf("Disassembly by {}. Shift+F1 or Esc closes this.", disassembler_name()));
    ImGui::End();
}

bool matches(std::string name, std::string wanted) {
    const auto lower = [](std::string& text) { std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); }); };
    lower(name), lower(wanted);
    return name.find(wanted) != std::string::npos;
}

constexpr std::size_t kMostOfThing = 32; // characters of the thing with the focus

/// What the palette offers: the rows of the key table, each panel, and what can be done with the thing that has the focus.
struct PaletteRow {
    std::string name;
    std::string english; ///< its name there: it is found by that as well
    const char *chord, *sentence;
    Command command;
};

std::vector<PaletteRow> palette_rows(const Debugger& debugger, const PanelState& state) {
    std::vector<PaletteRow> rows;
    for (const KeyRow& row : key_rows())
        if (row.action != Action::ShowPalette) rows.push_back({tr(row.name), row.name, row.chord, tr(row.sentence), {row.action}});
    for (std::size_t i = 0; i < kPanels; ++i) {
        const auto panel = static_cast<PanelId>(i);
        if (debugger.shows(panel)) rows.push_back({trf("Panel: {}", panel_title(panel, debugger)), panel_names(panel).title, "", tr(panel_names(panel).sentence), {Action::ShowPanel, i}});
    }
    if (const auto thing = focused_thing(debugger, state))
        for (const Offer offer : offers_for(*thing, debugger)) rows.push_back({fmt::format("{}: {}", tr(offer_row(offer).name), thing->text.substr(0, kMostOfThing)), offer_row(offer).name, "", tr(offer_row(offer).sentence), {Action::TakeOffer, static_cast<u64>(offer)}});
    return rows;
}

void draw_palette(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    begin_overlay(tr("Command palette"), 56);
    if (ImGui::IsWindowAppearing()) state.palette_text[0] = 0, ImGui::SetKeyboardFocusHere();
    ImGui::SetNextItemWidth(-1);
    const bool entered = ImGui::InputTextWithHint("##find", tr("type a part of a name; Enter takes the first"), state.palette_text, sizeof state.palette_text, ImGuiInputTextFlags_EnterReturnsTrue);
    for (const PaletteRow& row : palette_rows(debugger, state)) {
        if (!matches(row.name, state.palette_text) && !matches(row.english, state.palette_text)) continue;
        if (ImGui::Selectable(row.name.c_str()) || entered) return commands.push_back(row.command), ImGui::End();
        ImGui::SameLine(std::max(ImGui::GetFontSize() * 16, ImGui::CalcTextSize(row.name.c_str()).x + ImGui::GetFontSize()));
        ImGui::TextColored(theme.accent, "%-14s", row.chord);
        ImGui::SameLine();
        const WithFont font(theme.fonts.prose);
        ImGui::TextColored(theme.dim, "%s", row.sentence);
    }
    ImGui::End();
}

void draw_names(const Theme& theme, const scenarios::Explanation& entry) {
    if (!ImGui::BeginTable("names", 2)) return;
    ImGui::TableSetupColumn("", ImGuiTableColumnFlags_WidthFixed, ImGui::GetFontSize() * 8);
    ImGui::TableSetupColumn("", ImGuiTableColumnFlags_WidthStretch);
    for (const auto& [what, value] : {std::pair{tr("written in"), &entry.section}, {"x86", &entry.x86}, {"Arm", &entry.arm}, {tr("lesson"), &entry.lesson}}) {
        if (value->empty()) continue;
        ImGui::TableNextRow();
        ImGui::TableNextColumn();
        prose(theme, theme.dim, what);
        ImGui::TableNextColumn();
        prose(theme, theme.text, *value);
    }
    ImGui::EndTable();
}

void draw_explanation(const Debugger& debugger, const Theme& theme, Commands& commands) {
    begin_overlay(tr("Explain"), 50);
    int number = 0;
    for (const scenarios::Explanation& entry : debugger.explained()) {
        ImGui::PushID(number++);
        if (number > 1) ImGui::Separator();
        {
            const WithFont font(theme.fonts.bold);
            ImGui::TextColored(theme.accent, "%s", fmt::format("{}   {}", entry.key, scenarios::explain_kind_name(entry.kind)).c_str());
        }
        if (!entry.head.empty()) prose(theme, theme.dim, entry.head);
        prose(theme, theme.text, entry.text);
        draw_names(theme, entry);
        if (!entry.lesson.empty() && ImGui::SmallButton(tr("Open the lesson"))) commands.push_back({Action::OpenLesson, 0, entry.lesson});
        if (entry.kind == scenarios::ExplainKind::Csr)
            for (const scenarios::Explanation* field : scenarios::fields_of(entry.key))
                prose(theme, theme.dim, fmt::format("{} ({}): {}", field->key.substr(entry.key.size() + 1),
                                                    field->high == field->low ? fmt::format("{}", field->low) : fmt::format("{}:{}", field->high, field->low), field->text));
        ImGui::PopID();
    }
    prose(theme, theme.dim, tr("F1 or Esc closes this. `trapeze explain THING` prints the same."));
    ImGui::End();
}

/// One thing to choose on the card.
bool choice(const Theme& theme, const char* name, const char* sentence, bool there = true) {
    ImGui::TableNextRow();
    ImGui::TableNextColumn();
    if (!there) ImGui::BeginDisabled();
    bool pressed;
    {
        const WithFont font(theme.fonts.bold);
        pressed = ImGui::Button(name, {-1, ImGui::GetFrameHeight() * 1.3f});
    }
    if (!there) ImGui::EndDisabled();
    ImGui::TableNextColumn();
    ImGui::AlignTextToFramePadding();
    prose(theme, theme.dim, sentence);
    return pressed && there;
}

void draw_card(const Theme& theme, Commands& commands) {
    begin_overlay(tr("Where do you want to begin?"), 46);
    if (ImGui::BeginTable("choices", 2)) {
        ImGui::TableSetupColumn("", ImGuiTableColumnFlags_WidthFixed, ImGui::GetFontSize() * 15);
        ImGui::TableSetupColumn("", ImGuiTableColumnFlags_WidthStretch);
        for (const std::string& name : scenarios::shipped_lessons()) {
            const bool first = name == "01-watch-a-trap";
            if (choice(theme, first ? tr("Watch a trap (60 s)") : name.c_str(), first ? tr("A lesson: one instruction falls into the hypervisor, and is put back.") : tr("A lesson.")))
                commands.push_back({Action::OpenLesson, 0, name});
        }
        choice(theme, tr("Labs"), tr("Graded exercises: none is shipped with this version."), false);
        for (std::size_t i = 0; i < static_cast<std::size_t>(vmm::Mode::Count); ++i) {
            const vmm::ModeRow& mode = vmm::mode_row(static_cast<vmm::Mode>(i));
            if (choice(theme, trf("Free play: {}", mode.name).c_str(), tr(mode.sentence))) commands.push_back({Action::FreePlay, 0, mode.name});
        }
        ImGui::EndTable();
    }
    prose(theme, theme.dim, tr("Tab and Space choose from the keyboard. Esc closes this card; Ctrl+N opens it."));
    ImGui::End();
}

} // namespace

void draw_overlays(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    const std::size_t before = commands.size();
    switch (debugger.overlay()) {
    case Overlay::None: return;
    case Overlay::Help: draw_help(theme); break;
    case Overlay::Palette: draw_palette(debugger, theme, state, commands); break;
    case Overlay::Explanation: draw_explanation(debugger, theme, commands); break;
    case Overlay::Start: draw_card(theme, commands); break;
    }
    // What was chosen is done once the overlay is gone, because it may open another.
    if (commands.size() > before || ImGui::IsKeyPressed(ImGui::GetKeyIndex(ImGuiKey_Escape)))
        commands.insert(commands.begin() + static_cast<std::ptrdiff_t>(before), Command{Action::HideOverlay});
}

} // namespace trapeze::ui
