// The process x namespace matrix: the tree of processes, who lives in which namespace, and what each sees as its pid, user, host name and root.
#include "scenarios/container_views.hpp"
#include "ui/panels/seen_views.hpp"

#include <fmt/format.h>

namespace trapeze::ui {

namespace {

using container::NamespaceKind;
using container::ProcessSeen;

constexpr NamespaceKind kShown[] = {NamespaceKind::Pid, NamespaceKind::Mnt, NamespaceKind::Net, NamespaceKind::Uts, NamespaceKind::Ipc, NamespaceKind::User, NamespaceKind::Cgroup, NamespaceKind::Time};

/// The same letter and colour for the same namespace.
void namespace_cell(const Debugger& debugger, const Theme& theme, const ProcessSeen& seen, NamespaceKind kind) {
    ImGui::TableNextColumn();
    if (seen.state == "ended") return ImGui::TextColored(theme.dim, "-");
    chip(namespace_colour(theme, seen.namespaces[kind]), scenarios::namespace_letter(seen.namespaces[kind]));
    const container::Kernel& kernel = *debugger.session().kernel();
    tooltip(theme, fmt::format("{} namespace {}, owned by user namespace {}", container::namespace_name(kind), seen.inodes[kind],
                               kernel.namespace_inode(NamespaceKind::User, kernel.namespace_head(kind, seen.namespaces[kind]).owner)));
}

void cell(const ImVec4& colour, const std::string& text) {
    ImGui::TableNextColumn();
    ImGui::TextColored(colour, "%s", text.c_str());
}

/// An id that is another one outside is told with both.
void id_cell(const Theme& theme, u64 inside, u64 outside) {
    cell(inside == outside ? theme.text : theme.accent, std::to_string(inside));
    if (inside == outside) return;
    ImGui::SameLine(0, ImGui::GetFontSize() * 0.5f);
    ImGui::TextColored(theme.dim, "outside %llu", static_cast<unsigned long long>(outside));
}

void process_row(const Debugger& debugger, const Theme& theme, PanelState& state, const ProcessSeen& seen, bool chosen) {
    ImGui::TableNextRow();
    ImGui::TableNextColumn();
    const Thing thing{ThingKind::Process, static_cast<u64>(seen.pid), seen.container, fmt::format("{} {}", seen.pid, seen.name)};
    ImGui::PushID(seen.pid);
    if (ImGui::Selectable("##process", chosen, ImGuiSelectableFlags_SpanAllColumns | ImGuiSelectableFlags_AllowItemOverlap)) state.seen_process = seen.pid, state.thing = thing, state.thing_panel = state.drawn;
    ImGui::PopID();
    context_menu(state, thing);
    ImGui::SameLine(0, ImGui::GetFontSize() * 1.2f * static_cast<float>(std::min(seen.depth, 20u)));
    ImGui::TextUnformatted(seen.name.c_str());
    id_cell(theme, static_cast<u64>(seen.pids.back()), static_cast<u64>(seen.pid));
    id_cell(theme, seen.uid_inside, seen.uid);
    cell(theme.text, seen.hostname);
    cell(seen.state == "running" ? theme.good : seen.state == "ended" ? theme.bad : theme.dim, seen.state);
    for (const NamespaceKind kind : kShown) namespace_cell(debugger, theme, seen, kind);
    cell(theme.text, seen.cgroup_inside);
    if (seen.cgroup != seen.cgroup_inside) tooltip(theme, "outside: " + seen.cgroup);
    cell(theme.text, seen.root);
}

} // namespace

void draw_containers(const Debugger& debugger, const Theme& theme, PanelState& state, Commands&) {
    const container::Kernel* kernel = debugger.session().kernel();
    if (!kernel) return prose(theme, theme.text, tr(kNoContainers));
    prose(theme, theme.dim, trf("One kernel for all. The same letter is the same namespace: processes that share it see the same there.   {} system calls, {} pages in use",
                                        kernel->system_calls(), kernel->frames_used()));
    const auto& matrix = seen_processes(debugger, state);
    if (matrix.processes.empty()) return prose(theme, theme.text, tr(kAllEnded));
    constexpr ImGuiTableFlags kFlags = ImGuiTableFlags_ScrollY | ImGuiTableFlags_ScrollX | ImGuiTableFlags_RowBg | ImGuiTableFlags_SizingFixedFit | ImGuiTableFlags_BordersInnerV;
    if (!ImGui::BeginTable("processes", 7 + static_cast<int>(std::size(kShown)), kFlags)) return;
    ImGui::TableSetupScrollFreeze(1, 1);
    for (const std::string& title : {std::string("process"), std::string("pid"), std::string("uid"), std::string(tr("host name")), std::string(tr("state"))}) ImGui::TableSetupColumn(title.c_str());
    for (const NamespaceKind kind : kShown) ImGui::TableSetupColumn(container::namespace_name(kind));
    for (const char* title : {"cgroup", "root"}) ImGui::TableSetupColumn(title);
    ImGui::TableHeadersRow();
    const i32 chosen = chosen_process(*kernel, state);
    ImGuiListClipper clipper;
    clipper.Begin(static_cast<int>(matrix.processes.size()));
    while (clipper.Step())
        for (int i = clipper.DisplayStart; i < clipper.DisplayEnd; ++i)
            process_row(debugger, theme, state, matrix.processes[static_cast<std::size_t>(i)], matrix.processes[static_cast<std::size_t>(i)].pid == chosen);
    ImGui::EndTable();
}

Sheet sheet_containers(const Debugger& debugger, const PanelState&) {
    const container::Kernel* kernel = debugger.session().kernel();
    if (!kernel) return Sheet().say(tr(kNoContainers));
    Sheet sheet;
    sheet.say(trf("{} system calls, {} pages in use", kernel->system_calls(), kernel->frames_used()));
    const auto matrix = container::process_matrix(*kernel);
    for (const auto& table : scenarios::processes_text(matrix).tables) sheet.add({table.columns, table.rows});
    for (const auto& table : scenarios::namespaces_text(matrix).tables) sheet.add({table.columns, table.rows});
    return sheet;
}

} // namespace trapeze::ui
