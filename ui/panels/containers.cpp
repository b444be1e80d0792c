// The process x namespace matrix: who lives in which namespace, and what each sees as its pid, host name and root.
#include "ui/panels.hpp"

#include <fmt/format.h>

namespace trapeze::ui {

namespace {

using container::NamespaceKind;

void namespace_cell(const Theme& theme, NamespaceKind kind, u32 index) {
    ImGui::TableNextColumn();
    const ImVec4 colours[] = {theme.dim, theme.user, theme.supervisor, theme.machine, theme.hardware, theme.hypervisor};
    // The same letter and colour for the same namespace.
    const char letter = index == 0 ? '-' : static_cast<char>('A' + (index - 1) % 26);
    ImGui::TextColored(index == 0 ? theme.dim : colours[1 + (index - 1) % 5], "%c  %llu", letter, static_cast<unsigned long long>(namespace_inode(kind, index)));
}

} // namespace

void draw_containers(const Debugger& debugger, const Theme& theme, PanelState&, Commands&) {
    const container::Kernel* kernel = debugger.session().kernel();
    if (!kernel) return;
    ImGui::TextColored(theme.dim, "The same letter is the same namespace. %llu system calls, %llu pages in use.", static_cast<unsigned long long>(kernel->system_calls()),
                       static_cast<unsigned long long>(kernel->frames_used()));
    constexpr ImGuiTableFlags kFlags = ImGuiTableFlags_ScrollY | ImGuiTableFlags_RowBg | ImGuiTableFlags_SizingStretchProp;
    if (!ImGui::BeginTable("processes", 9, kFlags)) return;
    ImGui::TableSetupScrollFreeze(0, 1);
    for (const char* title : {"pid outside", "pid inside", "program", "state", "host name", "pid namespace", "uts namespace", "mnt namespace", "root"}) ImGui::TableSetupColumn(title);
    ImGui::TableHeadersRow();
    for (const container::ProcessView& view : kernel->processes()) {
        ImGui::TableNextRow();
        ImGui::TableNextColumn();
        ImGui::Text("%d", view.pid);
        ImGui::TableNextColumn();
        ImGui::TextColored(theme.changed, "%d", view.pids.back());
        for (const std::string* text : {&view.name, &view.state, &view.hostname}) {
            ImGui::TableNextColumn();
            ImGui::TextUnformatted(text->c_str());
        }
        namespace_cell(theme, NamespaceKind::Pid, view.namespaces.pid);
        namespace_cell(theme, NamespaceKind::Uts, view.namespaces.uts);
        namespace_cell(theme, NamespaceKind::Mnt, view.namespaces.mnt);
        ImGui::TableNextColumn();
        ImGui::TextUnformatted(view.root.c_str());
    }
    ImGui::EndTable();
}

} // namespace trapeze::ui
