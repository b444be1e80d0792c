// The event log: everything on the trace that the filters take. Rows are made for what is in view alone, and filters look at the trace piece by
// piece, so ten million events cost a frame no more than ten.
#include "ui/panels.hpp"
#include "ui/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace trapeze::ui {

namespace {

constexpr u64 kLooksAFrame = 300'000;
constexpr u64 kMostOfText = 10'000; // rows of the sheet

struct ClassName {
    EventClass event_class;
    const char* name;
};
constexpr ClassName kClasses[] = {{EventClass::Trap, later("trap")}, {EventClass::Csr, "CSR"}, {EventClass::Input, later("input")}, {EventClass::Exit, later("exit")}, {EventClass::Paging, later("paging")},
                                  {EventClass::Syscall, later("system call")}, {EventClass::Namespace, later("namespace")}, {EventClass::Process, later("process")}};

const char* class_name(EventClass event_class) { return tr(kClasses[static_cast<std::size_t>(event_class)].name); }

/// Events of a class so far; counters are kept by the trace.
u64 counted(const Trace& trace, EventClass event_class) {
    u64 count = 0;
    for (std::size_t kind = 0; kind < static_cast<std::size_t>(EventKind::Count); ++kind)
        if (event_row(static_cast<EventKind>(kind)).event_class == event_class) count += trace.count(static_cast<EventKind>(kind));
    return count;
}

ImVec4 colour_of(const Theme& theme, EventClass event_class) {
    switch (event_class) {
    case EventClass::Trap: return theme.supervisor;
    case EventClass::Exit: return theme.hypervisor;
    case EventClass::Csr: return theme.machine;
    case EventClass::Paging: return theme.hardware;
    case EventClass::Input: return theme.changed;
    default: return theme.user;
    }
}

void draw_filters(const Trace& trace, const Theme& theme, PanelState& state) {
    const float right = ImGui::GetCursorScreenPos().x + ImGui::GetContentRegionAvail().x;
    bool first = true;
    for (const ClassName& row : kClasses) {
        const u64 count = counted(trace, row.event_class);
        if (!count) continue;
        const std::string label = fmt::format("{} {}", tr(row.name), count);
        if (!first) ImGui::SameLine();
        first = false;
        if (ImGui::GetCursorScreenPos().x + ImGui::CalcTextSize(label.c_str()).x + ImGui::GetFrameHeight() * 1.5f > right) ImGui::NewLine();
        bool on = state.events.classes & class_bit(row.event_class);
        ImGui::PushStyleColor(ImGuiCol_Text, colour_of(theme, row.event_class));
        if (ImGui::Checkbox(label.c_str(), &on)) state.events.classes ^= class_bit(row.event_class);
        ImGui::PopStyleColor();
        if (ImGui::IsItemHovered() && ImGui::IsMouseClicked(1)) state.events.classes = class_bit(row.event_class);
        tooltip(theme, trf("Show events of the class {}. A right click shows them alone.", tr(row.name)));
    }
    ImGui::SetNextItemWidth(std::min(ImGui::GetFontSize() * 18, ImGui::GetContentRegionAvail().x * 0.5f));
    if (ImGui::InputTextWithHint("##text", tr("only with this text"), state.events_text, sizeof state.events_text)) state.events.text = state.events_text;
    ImGui::SameLine();
    if (ImGui::SmallButton(tr("all"))) state.events = {}, state.events_text[0] = 0;
    tooltip(theme, tr("Show all events."));
}

void draw_event(const Debugger& debugger, const Theme& theme, const Event& event, u64 index, bool chosen, ImVec2 at, float width) {
    const Trace& trace = debugger.session().trace();
    ImDrawList* list = ImGui::GetWindowDrawList();
    const float cell = ImGui::CalcTextSize("x").x, line = ImGui::GetTextLineHeightWithSpacing();
    if (chosen) list->AddRectFilled({at.x, at.y}, {at.x + width, at.y + line}, ImGui::GetColorU32(theme.current_line), 2);
    else if (index % 2) list->AddRectFilled({at.x, at.y}, {at.x + width, at.y + line}, ImGui::GetColorU32(ImGuiCol_TableRowBgAlt));
    const auto text = [&](float column, const ImVec4& colour, const std::string& words) { list->AddText({at.x + cell * column, at.y}, ImGui::GetColorU32(colour), words.c_str()); };
    const EventClass event_class = event_row(event.kind).event_class;
    text(0.5f, theme.dim, fmt::format("{:>12}", event.time));
    text(14, colour_of(theme, event_class), class_name(event_class));
    text(26, theme.text, event_text(trace, event));
}

void draw_list(const Debugger& debugger, const Theme& theme, PanelState& state) {
    const Trace& trace = debugger.session().trace();
    const EventIndex& index = state.event_index;
    ImGui::BeginChild("list", {0, 0}, false, ImGuiWindowFlags_NoScrollbar | ImGuiWindowFlags_NoScrollWithMouse);
    const float line = ImGui::GetTextLineHeightWithSpacing(), bar = ImGui::GetStyle().ScrollbarSize;
    const auto rows = static_cast<u64>(std::max(1.0f, std::floor(ImGui::GetContentRegionAvail().y / line)));
    const u64 last = index.size() > rows ? index.size() - rows : 0;
    if (state.events_follow) state.event_top = last;
    if (ImGui::IsWindowHovered() && ImGui::GetIO().MouseWheel != 0) {
        const auto by = static_cast<i64>(ImGui::GetIO().MouseWheel * 3);
        state.event_top = by > 0 ? state.event_top - std::min<u64>(state.event_top, static_cast<u64>(by)) : std::min<u64>(last, state.event_top + static_cast<u64>(-by));
        state.events_follow = state.event_top >= last;
    }
    state.event_top = std::min(state.event_top, last);
    const ImVec2 origin = ImGui::GetCursorScreenPos();
    const float width = ImGui::GetContentRegionAvail().x - (last ? bar + 2 : 0);
    ImGui::PushClipRect(origin, {origin.x + width, origin.y + ImGui::GetContentRegionAvail().y}, true);
    for (u64 row = 0; row < rows && state.event_top + row < index.size(); ++row) {
        const u64 at = index.at(state.event_top + row);
        draw_event(debugger, theme, trace.at(at), at, at == state.event_chosen, {origin.x, origin.y + line * static_cast<float>(row)}, width);
    }
    ImGui::PopClipRect();
    const ImVec2 mouse = ImGui::GetIO().MousePos;
    if (ImGui::IsWindowHovered() && ImGui::IsMouseClicked(0) && mouse.x < origin.x + width) {
        const u64 row = state.event_top + static_cast<u64>(std::max(0.0f, (mouse.y - origin.y) / line));
        if (row < index.size()) state.event_chosen = index.at(row), state.events_follow = false;
    }
    const u64 under = state.event_top + static_cast<u64>(std::max(0.0f, (mouse.y - origin.y) / line));
    if (ImGui::IsWindowHovered() && mouse.x < origin.x + width && under < index.size())
        note_thing(state, {ThingKind::Event, index.at(under), 0, event_text(trace, trace.at(index.at(under)))}, true);
    if (last) { // drawn by itself: a list of ten million rows is taller than what a float can place to the pixel
        ImGui::SetCursorScreenPos({origin.x + width + 2, origin.y});
        u64 from_below = last - state.event_top;
        const u64 none = 0;
        if (ImGui::VSliderScalar("##scroll", {bar, ImGui::GetContentRegionAvail().y}, ImGuiDataType_U64, &from_below, &none, &last, ""))
            state.event_top = last - std::min(from_below, last), state.events_follow = state.event_top >= last;
    }
    ImGui::EndChild();
}

} // namespace

void draw_events(const Debugger& debugger, const Theme& theme, PanelState& state, Commands&) {
    const Trace& trace = debugger.session().trace();
    draw_filters(trace, theme, state);
    EventIndex& index = state.event_index;
    index.advance(trace, state.events, debugger.histories(), kLooksAFrame);
    ImGui::SameLine();
    if (index.done() < 1) ImGui::ProgressBar(index.done(), {ImGui::GetFontSize() * 8, 0}, tr("looking"));
    else
        prose(theme, theme.dim, trf("{} of {}{}", index.size(), trace.total(), trace.first() ? trf("; the trace holds the newest {}", trace.total() - trace.first()) : ""));
    state.moving = state.moving || index.done() < 1;
    if (index.size() == 0) return prose(theme, theme.text, trace.total() ? tr("No event passes the filters.") : tr("Nothing has happened yet. F5 runs, F7 runs to the next trap."));
    draw_list(debugger, theme, state);
}

Sheet sheet_events(const Debugger& debugger, const PanelState& state) {
    const Trace& trace = debugger.session().trace();
    EventIndex index;
    index.advance(trace, state.events, 0, ~u64{0} >> 8);
    Table table{{tr("cycle"), tr("class"), tr("kind"), tr("event")}};
    for (u64 i = index.size() - std::min(index.size(), kMostOfText); i < index.size(); ++i) {
        const Event& event = trace.at(index.at(i));
        table.rows.push_back({std::to_string(event.time), class_name(event_row(event.kind).event_class), event_row(event.kind).name, event_text(trace, event)});
    }
    return Sheet().say(trf("{} events of {}; the newest {}. `trapeze trace` writes all.", index.size(), trace.total(), table.rows.size())).add(std::move(table));
}

} // namespace trapeze::ui
