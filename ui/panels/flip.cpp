// The mode flip: one guest that goes on in several modes at once, a lane each, aligned by guest instruction. Exits, costs and what differs stand
// side by side.
#include "ui/panels.hpp"
#include "ui/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::ui {

namespace {

using scenarios::Lanes;

constexpr const char* kNone = later("Ctrl+Shift+F8 lets the guest go on from here in several modes at once, in lanes beside each other that are stepped together. The session itself stays where it is.");
constexpr const char* kAlike = later("All guests are alike: registers, CSRs, memory and console.");

const char* state_of(const Lanes& lanes, std::size_t lane, const Lanes::Cost& cost) {
    if (lanes.session(lane).vmm() && lanes.session(lane).vmm()->in_hypervisor()) return tr("in the hypervisor");
    return cost.end == RunEnd::Halted ? tr("has ended") : cost.end == RunEnd::Idle ? tr("waits for input") : tr("is paused");
}

std::string instruction_of(const Session& session) {
    const auto lines = session.code(0, 0);
    return lines.empty() ? tr("not mapped") : lines.front().text;
}

/// How a lane's guest differs from the first one's; empty: it does not.
std::string difference_of(const std::vector<Lanes::Divergence>& differences, std::size_t lane) {
    for (const Lanes::Divergence& d : differences)
        if (d.lane == lane) return trf("{} is {:#x}, not {:#x}", d.what, d.other, d.first);
    return {};
}

/// A number with a bar behind it, in relation to the largest of all lanes.
void bar(const Theme& theme, const ImVec4& colour, const char* name, u64 value, u64 most) {
    const float em = ImGui::GetFontSize(), width = ImGui::GetContentRegionAvail().x;
    const ImVec2 at = ImGui::GetCursorScreenPos();
    const float part = most ? static_cast<float>(static_cast<double>(value) / static_cast<double>(most)) : 0;
    ImGui::GetWindowDrawList()->AddRectFilled(at, {at.x + width * part, at.y + em * 1.2f}, ImGui::GetColorU32(ImVec4(colour.x, colour.y, colour.z, 0.35f)), 3);
    ImGui::TextColored(theme.text, " %s %llu", name, static_cast<unsigned long long>(value));
}

struct Column {
    const Lanes& lanes;
    const Theme& theme;
    const std::vector<Lanes::Cost>& costs;
    const std::vector<Lanes::Divergence>& differences;

    void code(const Session& session) {
        const auto rows = static_cast<unsigned>(std::max(3.0f, ImGui::GetContentRegionAvail().y / ImGui::GetTextLineHeightWithSpacing()));
        for (const Session::CodeLine& line : session.code(rows / 3, rows)) {
            if (line.current) {
                const ImVec2 at = ImGui::GetCursorScreenPos();
                ImGui::GetWindowDrawList()->AddRectFilled(at, {at.x + ImGui::GetContentRegionAvail().x, at.y + ImGui::GetTextLineHeightWithSpacing()}, ImGui::GetColorU32(theme.current_line), 3);
            }
            ImGui::TextColored(theme.privilege(line.real.priv), "%-2s", mode_text(line.real));
            ImGui::SameLine(0, 0);
            ImGui::TextColored(line.sensitive ? theme.sensitive : line.current ? theme.text : theme.dim, "%s%s", line.sensitive ? "!" : " ", line.text.c_str());
        }
    }
    void draw(std::size_t lane) {
        const Lanes::Cost& cost = costs[lane];
        u64 cycles = 1, exits = 1;
        for (const Lanes::Cost& other : costs) cycles = std::max(cycles, other.cycles), exits = std::max(exits, other.exits);
        {
            const WithFont font(theme.fonts.bold);
            ImGui::TextColored(theme.accent, "%s", vmm::mode_row(cost.mode).name);
        }
        bar(theme, theme.hypervisor, tr("exits"), cost.exits, exits);
        bar(theme, theme.hardware, tr("cycles"), cost.cycles, cycles);
        ImGui::TextColored(theme.dim, " %s %llu", tr("instructions"), static_cast<unsigned long long>(cost.instructions));
        if (cost.mode == vmm::Mode::Translate) tooltip(theme, tr("What the hart ran of its translation: the guest may be a little before or behind the others."));
        const std::string difference = difference_of(differences, lane);
        if (difference.empty()) prose(theme, theme.dim, lane ? trf("{}, as the first", state_of(lanes, lane, cost)) : std::string(state_of(lanes, lane, cost)));
        else prose(theme, theme.bad, trf("differs: {}", difference));
        ImGui::Separator();
        code(lanes.session(lane));
    }
};

void draw_buttons(const Debugger& debugger, const Theme& theme, Commands& commands) {
    const std::pair<const char*, Action> kButtons[] = {{later("F8  step"), Action::FlipStep}, {later("Shift+F8  100 steps"), Action::FlipMany}, {later("Ctrl+F8  next exit"), Action::FlipExit}, {later("Ctrl+Shift+F8  end"), Action::Flip}};
    const float right = ImGui::GetWindowPos().x + ImGui::GetContentRegionMax().x;
    for (const auto& [english, action] : kButtons) {
        const char* const text = tr(english);
        if (action != Action::FlipStep) ImGui::SameLine();
        if (ImGui::GetCursorScreenPos().x + ImGui::CalcTextSize(text).x + ImGui::GetStyle().FramePadding.x * 2 > right) ImGui::NewLine();
        if (ImGui::SmallButton(text)) commands.push_back({action});
    }
    if (const auto at = debugger.flip()->diverged_at()) prose(theme, theme.bad, trf("The guests differ; first seen after {} instructions.", *at));
    else prose(theme, theme.good, tr(kAlike));
}

} // namespace

void draw_flip(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    if (!debugger.flip()) {
        prose(theme, theme.text, tr(kNone));
        if (!debugger.session().kernel() && ImGui::Button(tr("Flip here"))) commands.push_back({Action::Flip});
        return;
    }
    const Lanes& lanes = *debugger.flip();
    draw_buttons(debugger, theme, commands);
    // Comparing memory is not for every frame.
    if (state.flip_seen != debugger.flips()) state.flip_seen = debugger.flips(), state.flip_costs = lanes.costs(), state.flip_differences = lanes.divergences();
    constexpr float kLeastColumn = 14; // em
    const float em = ImGui::GetFontSize();
    constexpr ImGuiTableFlags kFlags = ImGuiTableFlags_BordersInnerV | ImGuiTableFlags_ScrollX | ImGuiTableFlags_SizingFixedFit;
    if (!ImGui::BeginTable("lanes", static_cast<int>(lanes.size()), kFlags)) return;
    const float width = std::max(em * kLeastColumn, ImGui::GetContentRegionAvail().x / static_cast<float>(lanes.size()) - em);
    for (std::size_t i = 0; i < lanes.size(); ++i) ImGui::TableSetupColumn("", ImGuiTableColumnFlags_WidthFixed, width);
    Column column{lanes, theme, state.flip_costs, state.flip_differences};
    for (std::size_t i = 0; i < lanes.size(); ++i) {
        ImGui::TableNextColumn();
        column.draw(i);
    }
    ImGui::EndTable();
}

Sheet sheet_flip(const Debugger& debugger, const PanelState&) {
    if (!debugger.flip()) return Sheet().say(tr(kNone));
    const Lanes& lanes = *debugger.flip();
    Table table{{tr("mode"), tr("exits"), tr("cycles"), tr("instructions"), tr("the guest"), tr("place"), tr("next instruction"), tr("differs from the first")}};
    const auto costs = lanes.costs();
    const auto differences = lanes.divergences();
    for (std::size_t i = 0; i < lanes.size(); ++i)
        table.rows.push_back({vmm::mode_row(costs[i].mode).name, std::to_string(costs[i].exits), std::to_string(costs[i].cycles), std::to_string(costs[i].instructions),
                              state_of(lanes, i, costs[i]), lanes.session(i).guest().elf.describe(costs[i].pc), instruction_of(lanes.session(i)),
                              difference_of(differences, i).empty() ? tr("no") : difference_of(differences, i)});
    Sheet sheet;
    sheet.say(lanes.diverged_at() ? trf("The guests differ; first seen after {} instructions.", *lanes.diverged_at()) : std::string(tr(kAlike)));
    return sheet.add(std::move(table));
}

} // namespace trapeze::ui
