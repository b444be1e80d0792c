// The histogram of exits: how often each reason came, as bars, and what one of them cost among the newest.
#include "ui/panels.hpp"
#include "ui/text.hpp"
#include "ui/table_view.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::ui {

namespace {

struct ReasonCount {
    vmm::ExitReason reason;
    u64 count;
    double cost; ///< mean of those in the ledger; negative: none is there
};

/// The reasons that came, the most frequent first.
std::vector<ReasonCount> counted(const vmm::Vmm& vmm) {
    std::array<std::pair<u64, u64>, static_cast<std::size_t>(vmm::ExitReason::Count)> costs{};
    for (const vmm::ExitDossier& exit : vmm.ledger())
        if (exit.complete) ++costs[static_cast<std::size_t>(exit.reason)].first, costs[static_cast<std::size_t>(exit.reason)].second += exit.cost;
    std::vector<ReasonCount> counts;
    for (std::size_t i = 0; i < costs.size(); ++i)
        if (const auto reason = static_cast<vmm::ExitReason>(i); vmm.exits(reason))
            counts.push_back({reason, vmm.exits(reason), costs[i].first ? static_cast<double>(costs[i].second) / static_cast<double>(costs[i].first) : -1});
    std::stable_sort(counts.begin(), counts.end(), [](const ReasonCount& a, const ReasonCount& b) { return a.count > b.count; });
    return counts;
}

std::string cost_text(const ReasonCount& reason) { return reason.cost < 0 ? "-" : fmt::format("{:.0f}", reason.cost); }

} // namespace

void draw_exits(const Debugger& debugger, const Theme& theme, PanelState&, Commands& commands) {
    const vmm::Vmm* vmm = debugger.session().vmm();
    if (!vmm) return;
    const auto counts = counted(*vmm);
    if (counts.empty()) return prose(theme, theme.text, tr("No exit yet. F5 runs, F7 runs to the next one."));
    prose(theme, theme.dim, trf("{} exits. Cost: the mean of those in the ledger, in cycles. A click stops at the next one of its kind.", vmm->exits()));
    if (!ImGui::BeginTable("histogram", 4, ImGuiTableFlags_ScrollY | ImGuiTableFlags_SizingFixedFit | ImGuiTableFlags_RowBg)) return;
    ImGui::TableSetupScrollFreeze(0, 1);
    ImGui::TableSetupColumn(tr("why"));
    ImGui::TableSetupColumn(tr("exits"));
    ImGui::TableSetupColumn("", ImGuiTableColumnFlags_WidthStretch);
    ImGui::TableSetupColumn(tr("cost"));
    ImGui::TableHeadersRow();
    for (const ReasonCount& reason : counts) {
        const vmm::ExitReasonRow& row = vmm::exit_reason_row(reason.reason);
        ImGui::TableNextColumn();
        {
            const WithFont font(theme.fonts.prose);
            if (ImGui::Selectable(row.name, false, ImGuiSelectableFlags_SpanAllColumns)) commands.push_back({Action::AddBreakpoint, 0, fmt::format("exit {}", row.name)});
        }
        tooltip(theme, fmt::format("{} ({})", tr(row.sentence), row.section));
        ImGui::TableNextColumn();
        ImGui::Text("%8llu", static_cast<unsigned long long>(reason.count));
        ImGui::TableNextColumn();
        const ImVec2 at = ImGui::GetCursorScreenPos();
        const float width = ImGui::GetContentRegionAvail().x, part = static_cast<float>(reason.count) / static_cast<float>(counts.front().count), height = ImGui::GetTextLineHeight();
        ImGui::GetWindowDrawList()->AddRectFilled(at, {at.x + std::max(2.0f, width * part), at.y + height}, ImGui::GetColorU32(theme.hypervisor), 2);
        const std::string share = fmt::format("{:.1f}%", 100.0 * static_cast<double>(reason.count) / static_cast<double>(vmm->exits()));
        const float text = ImGui::CalcTextSize(share.c_str()).x, pad = ImGui::GetFontSize() * 0.4f;
        const bool inside = width * part > text + pad * 2;
        ImGui::GetWindowDrawList()->AddText({inside ? at.x + width * part - text - pad : at.x + width * part + pad, at.y},
                                            ImGui::GetColorU32(inside ? ImGui::GetStyle().Colors[ImGuiCol_WindowBg] : theme.text), share.c_str());
        ImGui::Dummy({width, height});
        ImGui::TableNextColumn();
        ImGui::Text("%6s", cost_text(reason).c_str());
    }
    ImGui::EndTable();
}

Sheet sheet_exits(const Debugger& debugger, const PanelState&) {
    const vmm::Vmm* vmm = debugger.session().vmm();
    if (!vmm) return Sheet().say(tr("Without a hypervisor there are no exits."));
    Table table{{tr("why"), tr("exits"), tr("share"), tr("mean cost"), tr("section")}};
    for (const ReasonCount& reason : counted(*vmm)) {
        const vmm::ExitReasonRow& row = vmm::exit_reason_row(reason.reason);
        table.rows.push_back({row.name, std::to_string(reason.count), fmt::format("{:.1f}%", 100.0 * static_cast<double>(reason.count) / static_cast<double>(vmm->exits())), cost_text(reason),
                              row.section});
    }
    return Sheet().say(trf("{} exits", vmm->exits())).add(std::move(table));
}

} // namespace trapeze::ui
