// What the debugger itself costs its host: time of a frame, speed of the guest, memory. The only panel about the host; nothing of it is part of
// the session.
#include "ui/panels.hpp"
#include "ui/text.hpp"
#include "ui/table_view.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::ui {

namespace {

Table table_of(const Debugger& debugger, const PanelState& state) {
    const HostFigures& host = state.host;
    const Trace& trace = debugger.session().trace();
    Table table{{tr("figure"), tr("value")}};
    const auto measured = [](double value, const char* unit) { return value > 0 ? fmt::format("{:.2f} {}", value, unit) : std::string("-"); };
    table.rows = {{tr("guest's speed"), measured(debugger.units_per_second() / 1e6, tr("million units a second"))},
                  {tr("frame, processor time"), measured(host.frame_ms, "ms")},
                  {tr("slowest of the last 120"), measured(*std::max_element(host.frames.begin(), host.frames.end()), "ms")},
                  {tr("start to first frame"), measured(host.start_ms, "ms")},
                  {tr("memory of the process"), host.resident_bytes ? fmt::format("{} MiB", host.resident_bytes >> 20) : "-"},
                  {tr("memory of the guest"), trf("{} MiB touched", debugger.session().machine().ram.touched_pages() >> 8)},
                  {tr("events on the trace"), trf("{} of {} ever", trace.total() - trace.first(), trace.total())},
                  {tr("checkpoints"), std::to_string(debugger.session().checkpoints())}};
    return table;
}

} // namespace

void draw_host(const Debugger& debugger, const Theme& theme, PanelState& state, Commands&) {
    const float height = std::min(ImGui::GetFontSize() * 4, ImGui::GetContentRegionAvail().y * 0.3f);
    const float most = std::max(8.0f, *std::max_element(state.host.frames.begin(), state.host.frames.end()) * 1.1f);
    ImGui::PushStyleColor(ImGuiCol_PlotHistogram, theme.accent);
    ImGui::PlotHistogram("##frames", state.host.frames.data(), static_cast<int>(state.host.frames.size()), static_cast<int>(state.host.next), trf("ms a frame, to {:.0f}", most).c_str(), 0, most,
                         {ImGui::GetContentRegionAvail().x, height});
    ImGui::PopStyleColor();
    TableLook look;
    look.colour = [&](std::size_t, std::size_t column) { return column == 0 ? std::optional(theme.dim) : std::nullopt; };
    draw_table(theme, "host", table_of(debugger, state), look);
}

Sheet sheet_host(const Debugger& debugger, const PanelState& state) { return Sheet().add(table_of(debugger, state)); }

} // namespace trapeze::ui
