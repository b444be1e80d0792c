// The process x namespace matrix: who lives in which namespace, and what each sees as its pid, host name and root.
#include "container-sim/kernel.hpp"
#include "ui/panels.hpp"
#include "ui/text.hpp"

#include <fmt/format.h>

namespace trapeze::ui {

namespace {

using container::NamespaceKind;

constexpr const char* kNoContainers = later("This session has no containers: a guest owns the machine. `trapeze container debug` opens one with them.");

/// The same letter and colour for the same namespace.
void namespace_cell(const Theme& theme, const container::Kernel& kernel, NamespaceKind kind, u32 index) {
    ImGui::TableNextColumn();
    const ImVec4 colours[] = {theme.user, theme.supervisor, theme.machine, theme.hardware, theme.hypervisor};
    const ImVec4 colour = index == 0 ? theme.dim : colours[(index - 1) % 5];
    const std::string letter = index == 0 ? tr("host") : std::string(1, static_cast<char>('A' + (index - 1) % 26)) + (index > 26 ? std::to_string((index - 1) / 26) : "");
    const ImVec2 at = ImGui::GetCursorScreenPos(), size = ImGui::CalcTextSize(letter.c_str());
    const float pad = ImGui::GetFontSize() * 0.4f;
    ImGui::GetWindowDrawList()->AddRectFilled(at, {at.x + size.x + pad * 2, at.y + size.y}, ImGui::GetColorU32(ImVec4(colour.x, colour.y, colour.z, 0.26f)), 4);
    ImGui::SetCursorPosX(ImGui::GetCursorPosX() + pad);
    ImGui::TextColored(colour, "%s", letter.c_str());
    ImGui::SameLine(0, pad * 2);
    ImGui::TextColored(theme.dim, "%llu", static_cast<unsigned long long>(kernel.namespace_inode(kind, index)));
}

void process_row(const Theme& theme, PanelState& state, const container::Kernel& kernel, const container::ProcessView& view) {
    ImGui::TableNextRow();
    ImGui::TableNextColumn();
    const Thing thing{ThingKind::Process, static_cast<u64>(view.pid), view.container, fmt::format("{} {}", view.pid, view.name)};
    const bool chosen = state.thing == thing && state.thing_panel == state.drawn;
    if (ImGui::Selectable(fmt::format("{}", view.pid).c_str(), chosen, ImGuiSelectableFlags_SpanAllColumns)) state.thing = thing, state.thing_panel = state.drawn;
    context_menu(state, thing);
    ImGui::TableNextColumn();
    ImGui::TextColored(theme.accent, "%d", view.pids.back());
    for (const std::string* text : {&view.name, &view.state, &view.hostname}) {
        ImGui::TableNextColumn();
        ImGui::TextUnformatted(text->c_str());
    }
    namespace_cell(theme, kernel, NamespaceKind::Pid, view.namespaces.pid);
    namespace_cell(theme, kernel, NamespaceKind::Uts, view.namespaces.uts);
    namespace_cell(theme, kernel, NamespaceKind::Mnt, view.namespaces.mnt);
    ImGui::TableNextColumn();
    ImGui::TextUnformatted(view.root.c_str());
}

} // namespace

void draw_containers(const Debugger& debugger, const Theme& theme, PanelState& state, Commands&) {
    const container::Kernel* kernel = debugger.session().kernel();
    if (!kernel) return prose(theme, theme.text, tr(kNoContainers));
    prose(theme, theme.dim, trf("One kernel for all. The same letter is the same namespace: processes that share it see the same there.   {} system calls, {} pages in use",
                                        kernel->system_calls(), kernel->frames_used()));
    const auto processes = kernel->processes_seen();
    if (processes.empty()) return prose(theme, theme.text, tr("Every process has ended. Shift+F10 goes back a step, Ctrl+Shift+F5 to the start."));
    constexpr ImGuiTableFlags kFlags = ImGuiTableFlags_ScrollY | ImGuiTableFlags_RowBg | ImGuiTableFlags_SizingFixedFit | ImGuiTableFlags_BordersInnerV;
    if (!ImGui::BeginTable("processes", 9, kFlags)) return;
    ImGui::TableSetupScrollFreeze(0, 1);
    for (const char* title : {tr("pid outside"), tr("inside"), tr("program"), tr("state"), tr("host name"), tr("pid namespace"), tr("uts namespace"), tr("mnt namespace")}) ImGui::TableSetupColumn(title);
    ImGui::TableSetupColumn(tr("root folder"), ImGuiTableColumnFlags_WidthStretch);
    ImGui::TableHeadersRow();
    for (const container::ProcessView& view : processes) process_row(theme, state, *kernel, view);
    ImGui::EndTable();
}

Sheet sheet_containers(const Debugger& debugger, const PanelState&) {
    const container::Kernel* kernel = debugger.session().kernel();
    if (!kernel) return Sheet().say(tr(kNoContainers));
    Table table{{tr("pid outside"), tr("inside"), tr("program"), tr("state"), tr("host name"), tr("pid namespace"), tr("uts namespace"), tr("mnt namespace"), tr("root folder")}};
    const auto inode = [&](NamespaceKind kind, u32 index) { return std::to_string(kernel->namespace_inode(kind, index)); };
    for (const container::ProcessView& view : kernel->processes_seen())
        table.rows.push_back({std::to_string(view.pid), std::to_string(view.pids.back()), view.name, view.state, view.hostname, inode(NamespaceKind::Pid, view.namespaces.pid),
                              inode(NamespaceKind::Uts, view.namespaces.uts), inode(NamespaceKind::Mnt, view.namespaces.mnt), view.root});
    return Sheet().say(trf("{} system calls, {} pages in use", kernel->system_calls(), kernel->frames_used())).add(std::move(table));
}

} // namespace trapeze::ui
