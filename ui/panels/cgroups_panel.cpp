// The tree of cgroups: who is in each, what it uses of its limits, and what it was refused.
#include "scenarios/container_views.hpp"
#include "ui/panels/seen_views.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::ui {

namespace {

using container::CgroupFigure;
using container::CgroupSeen;

void cell(const ImVec4& colour, const std::string& text) {
    ImGui::TableNextColumn();
    ImGui::TextColored(colour, "%s", text.c_str());
}

std::string pids_text(const CgroupSeen& group) {
    constexpr std::size_t kMost = 8;
    std::string text;
    for (std::size_t i = 0; i < std::min(group.processes.size(), kMost); ++i) text += (i ? " " : "") + std::to_string(group.processes[i]);
    return group.processes.size() > kMost ? text + " ..." : text;
}

/// Bars for what has a limit, words for what has none.
void limits_cell(const Theme& theme, const CgroupSeen& group) {
    ImGui::TableNextColumn();
    for (const CgroupFigure& figure : group.figures) {
        const std::string text = figure.controller + " " + scenarios::figure_text(figure);
        if (figure.limit == container::kNoLimit) ImGui::TextColored(theme.dim, "%s", text.c_str());
        else {
            const float part = figure.limit ? static_cast<float>(figure.used) / static_cast<float>(figure.limit) : 1;
            bar(theme, part > 0.9f ? theme.bad : theme.accent, part, text);
        }
    }
}

void cgroup_row(const Theme& theme, const CgroupSeen& group, u64 all_cpu) {
    ImGui::TableNextRow();
    ImGui::TableNextColumn();
    ImGui::Dummy({ImGui::GetFontSize() * 1.2f * static_cast<float>(std::min(group.depth, 20u)), 0});
    ImGui::SameLine(0, 0);
    constexpr std::size_t kLong = 24, kId = 12;
    ImGui::TextColored(group.frozen ? theme.accent : group.throttled ? theme.bad : theme.text, "%s", (group.name.size() > kLong ? group.name.substr(0, kId) : group.name).c_str());
    tooltip(theme, fmt::format("{}\nhas the controllers {}; gives {} to those below", group.path, group.controllers.empty() ? "none" : group.controllers, group.given.empty() ? "none" : group.given));
    cell(group.populated ? theme.text : theme.dim, group.frozen ? "frozen" : group.throttled ? "throttled" : group.populated ? "populated" : "empty");
    cell(theme.text, pids_text(group));
    limits_cell(theme, group);
    ImGui::TableNextColumn();
    const u64 ms = group.used_cpu / 1000;
    bar(theme, theme.hardware, all_cpu ? static_cast<float>(group.used_cpu) / static_cast<float>(all_cpu) : 0, fmt::format("{}.{} ms", ms, group.used_cpu / 100 % 10));
    cell(group.weight == 100 ? theme.dim : theme.text, std::to_string(group.weight));
    cell(group.quota == container::kNoLimit ? theme.dim : theme.text, scenarios::quota_text(group));
    cell(group.throttled_cpu ? theme.bad : theme.dim, fmt::format("{}.{} ms", group.throttled_cpu / 1000, group.throttled_cpu / 100 % 10));
    std::string counts;
    for (const auto& count : group.counts)
        if (count.count) counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", count.name, count.count);
    cell(counts.empty() ? theme.dim : theme.changed, counts.empty() ? "-" : counts);
    const auto& pressure = group.pressure[0];
    cell(pressure.some ? theme.text : theme.dim, fmt::format("{}%", pressure.some_average));
    tooltip(theme, fmt::format("cpu: some task waited {} us, all waited {} us", pressure.some, pressure.full));
}

} // namespace

void draw_cgroups(const Debugger& debugger, const Theme& theme, PanelState& state, Commands&) {
    const container::Kernel* kernel = debugger.session().kernel();
    if (!kernel) return prose(theme, theme.text, tr(kNoContainers));
    SeenViews& views = seen_views(debugger, state);
    if (!views.cgroups) views.cgroups = container::cgroup_tree(*kernel, debugger.session().machine().cycles());
    const auto& tree = *views.cgroups;
    constexpr ImGuiTableFlags kFlags = ImGuiTableFlags_ScrollY | ImGuiTableFlags_ScrollX | ImGuiTableFlags_RowBg | ImGuiTableFlags_SizingFixedFit | ImGuiTableFlags_BordersInnerV;
    if (!ImGui::BeginTable("cgroups", 10, kFlags)) return;
    ImGui::TableSetupScrollFreeze(1, 1);
    const float em = ImGui::GetFontSize();
    for (const char* title : {"cgroup", "state", "processes"}) ImGui::TableSetupColumn(title);
    ImGui::TableSetupColumn("use of limits", ImGuiTableColumnFlags_WidthFixed, em * 15);
    ImGui::TableSetupColumn("cpu used", ImGuiTableColumnFlags_WidthFixed, em * 7);
    for (const char* title : {"weight", "cpu.max", "throttled"}) ImGui::TableSetupColumn(title);
    for (const char* title : {"refused, counted", "cpu pressure"}) ImGui::TableSetupColumn(title);
    ImGui::TableHeadersRow();
    for (const CgroupSeen& group : tree) cgroup_row(theme, group, tree[0].used_cpu);
    ImGui::EndTable();
}

Sheet sheet_cgroups(const Debugger& debugger, const PanelState&) {
    const container::Kernel* kernel = debugger.session().kernel();
    if (!kernel) return Sheet().say(tr(kNoContainers));
    const scenarios::ViewText text = scenarios::cgroups_text(container::cgroup_tree(*kernel, debugger.session().machine().cycles()));
    return Sheet().add({text.tables[0].columns, text.tables[0].rows});
}

} // namespace trapeze::ui
