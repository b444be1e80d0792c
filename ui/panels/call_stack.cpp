// The calls that led to where the guest is, and how each was found: only some can be known.
#include "scenarios/call_stack.hpp"
#include "ui/panels.hpp"
#include "ui/text.hpp"
#include "ui/table_view.hpp"

#include <fmt/format.h>

namespace trapeze::ui {

namespace {

using scenarios::CallFrame;

Table table_of(const std::vector<CallFrame>& frames) {
    Table table{{"", tr("function"), "pc", tr("found in"), tr("how")}};
    for (std::size_t i = 0; i < frames.size(); ++i)
        table.rows.push_back({std::to_string(i), frames[i].place.empty() ? "?" : frames[i].place, hex(frames[i].pc), frames[i].at ? hex(frames[i].at) : "-", scenarios::how_text(frames[i].how)});
    return table;
}

constexpr const char* kContainers = later("Programs in containers are not looked into: their stacks are their own.");

} // namespace

void draw_call_stack(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    if (debugger.session().kernel()) return prose(theme, theme.text, tr(kContainers));
    const auto frames = scenarios::call_stack(debugger.session());
    TableLook look;
    look.clickable = true;
    look.menu = [&](std::size_t row) { context_menu(state, {ThingKind::Code, frames[row].pc, 0, fmt::format("{} {}", hex(frames[row].pc), frames[row].place)}); };
    look.colour = [&](std::size_t row, std::size_t) -> std::optional<ImVec4> {
        if (frames[row].how == CallFrame::How::Guess) return theme.dim;
        return frames[row].how == CallFrame::How::Now ? std::optional(theme.accent) : std::nullopt;
    };
    if (const auto row = draw_table(theme, "frames", table_of(frames), look)) commands.push_back({Action::ShowMemory, frames[*row].at ? frames[*row].at : frames[*row].pc});
}

Sheet sheet_call_stack(const Debugger& debugger, const PanelState&) {
    if (debugger.session().kernel()) return Sheet().say(tr(kContainers));
    return Sheet().add(table_of(scenarios::call_stack(debugger.session())));
}

} // namespace trapeze::ui
