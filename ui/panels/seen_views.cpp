#include "ui/panels/seen_views.hpp"

#include "scenarios/container_views.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::ui {

SeenViews& seen_views(const Debugger& debugger, PanelState& state) {
    const u64 cycles = debugger.session().machine().cycles();
    if (!state.seen || state.seen->cycles != cycles || state.seen->session != debugger.sessions()) {
        state.seen = std::make_shared<SeenViews>();
        state.seen->cycles = cycles, state.seen->session = debugger.sessions();
    }
    return *state.seen;
}

const container::ProcessMatrix& seen_processes(const Debugger& debugger, PanelState& state) {
    SeenViews& views = seen_views(debugger, state);
    if (!views.processes) views.processes = container::process_matrix(*debugger.session().kernel());
    return *views.processes;
}

i32 chosen_process(const container::Kernel& kernel, const PanelState& state) {
    if (state.seen_process && container::namespace_of_process(kernel, state.seen_process, container::NamespaceKind::Mnt)) return state.seen_process;
    return scenarios::default_process(kernel);
}

const container::ProcessSeen* choose_process(const Debugger& debugger, const Theme& theme, PanelState& state) {
    const container::ProcessMatrix& matrix = seen_processes(debugger, state);
    const i32 chosen = chosen_process(*debugger.session().kernel(), state);
    const auto label = [](const container::ProcessSeen& seen) { return fmt::format("{}: {}, pid {} ({} inside)", seen.hostname, seen.name, seen.pid, seen.pids.back()); };
    const container::ProcessSeen* own = nullptr;
    for (const container::ProcessSeen& seen : matrix.processes)
        if (seen.pid == chosen && seen.state != "ended") own = &seen;
    if (!own) return prose(theme, theme.text, tr(kAllEnded)), nullptr;
    ImGui::SetNextItemWidth(std::min(ImGui::GetContentRegionAvail().x, ImGui::GetFontSize() * 24));
    if (ImGui::BeginCombo("##process", label(*own).c_str())) {
        for (const container::ProcessSeen& seen : matrix.processes)
            if (seen.state != "ended" && ImGui::Selectable(label(seen).c_str(), seen.pid == chosen)) state.seen_process = seen.pid;
        ImGui::EndCombo();
    }
    return own;
}

ImVec4 namespace_colour(const Theme& theme, u32 index) {
    const ImVec4 colours[] = {theme.user, theme.supervisor, theme.machine, theme.hardware, theme.hypervisor};
    return index == 0 ? theme.dim : colours[(index - 1) % 5];
}

void chip(const ImVec4& colour, const std::string& text) {
    const ImVec2 at = ImGui::GetCursorScreenPos(), size = ImGui::CalcTextSize(text.c_str());
    const float pad = ImGui::GetFontSize() * 0.4f;
    ImGui::GetWindowDrawList()->AddRectFilled(at, {at.x + size.x + pad * 2, at.y + size.y}, ImGui::GetColorU32(ImVec4(colour.x, colour.y, colour.z, 0.26f)), 4);
    ImGui::SetCursorPosX(ImGui::GetCursorPosX() + pad);
    ImGui::TextColored(colour, "%s", text.c_str());
    ImGui::SameLine(0, pad);
    ImGui::Dummy({0, 0});
}

void bar(const Theme& theme, const ImVec4& colour, float part, const std::string& text) {
    const float pad = ImGui::GetFontSize() * 0.3f, height = ImGui::GetTextLineHeight();
    const float width = std::max(ImGui::CalcTextSize(text.c_str()).x + pad * 2, ImGui::GetContentRegionAvail().x);
    const ImVec2 at = ImGui::GetCursorScreenPos();
    ImDrawList* list = ImGui::GetWindowDrawList();
    list->AddRectFilled(at, {at.x + width, at.y + height}, ImGui::GetColorU32(ImVec4(theme.dim.x, theme.dim.y, theme.dim.z, 0.14f)), 2);
    list->AddRectFilled(at, {at.x + width * std::clamp(part, 0.0f, 1.0f), at.y + height}, ImGui::GetColorU32(ImVec4(colour.x, colour.y, colour.z, 0.5f)), 2);
    list->AddText({at.x + pad, at.y}, ImGui::GetColorU32(theme.text), text.c_str());
    ImGui::Dummy({width, height});
}

} // namespace trapeze::ui
