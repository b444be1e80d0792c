// The menu of a thing: what offers.def has for it. Opened by a right click on the thing, or by a key for the one that has the focus.
#include "ui/panels.hpp"
#include "ui/text.hpp"
#include "ui/things.hpp"

#include <fmt/format.h>

namespace trapeze::ui {

namespace {

constexpr const char* kPopup = "thing";

EventClass class_of(const Debugger& debugger, u64 index) {
    const Trace& trace = debugger.session().trace();
    return event_row(trace.at(index).kind).event_class;
}

} // namespace

void note_thing(PanelState& state, const Thing& thing, bool hovered) {
    if (!hovered) return;
    if (ImGui::IsMouseClicked(0) || ImGui::IsMouseClicked(1)) state.thing = thing, state.thing_panel = state.drawn;
    if (ImGui::IsMouseReleased(1)) state.menu_wanted = true;
}

void context_menu(PanelState& state, const Thing& thing) { note_thing(state, thing, ImGui::IsItemHovered()); }

std::optional<Thing> focused_thing(const Debugger& debugger, const PanelState& state) {
    // What is selected by other means as well is the panel's own; the rest is what was clicked there.
    const bool own = state.thing && (state.thing->kind == ThingKind::Line || state.thing->kind == ThingKind::Exit || state.thing->kind == ThingKind::Event || state.focus == PanelId::Csrs);
    if (state.thing && state.thing_panel == state.focus && !own) return state.thing;
    const Session& session = debugger.session();
    switch (state.focus) {
    case PanelId::Memory:
        if (const auto& place = debugger.memory_place()) return Thing{place->physical ? ThingKind::Physical : ThingKind::Address, place->address, 0, hex(place->address)};
        break;
    case PanelId::Csrs: return Thing{ThingKind::Csr, static_cast<u64>(state.csr), session.csr(session.guest_state(), state.csr), csr_row(static_cast<u16>(state.csr))->name};
    case PanelId::Ledger: case PanelId::Dossier: case PanelId::Exits:
        if (const vmm::ExitDossier* exit = debugger.selected_exit()) return Thing{ThingKind::Exit, exit->number, 0, fmt::format("{} {}", exit->number, vmm::exit_reason_row(exit->reason).name)};
        break;
    case PanelId::Events:
        if (const Trace& trace = session.trace(); state.event_chosen >= trace.first() && state.event_chosen < trace.total())
            return Thing{ThingKind::Event, state.event_chosen, 0, event_text(trace, trace.at(state.event_chosen))};
        break;
    case PanelId::Walk:
        if (debugger.walk_address()) return Thing{ThingKind::Address, *debugger.walk_address(), 0, hex(*debugger.walk_address())};
        break;
    default: break;
    }
    if (session.kernel()) return std::nullopt;
    return Thing{ThingKind::Line, debugger.selected_line(), 0, hex(debugger.selected_line())};
}

void take_offer(Offer offer, const Thing& thing, const Debugger& debugger, PanelState& state, Commands& commands) {
    const Trace& trace = debugger.session().trace();
    switch (offer) {
    case Offer::Copy: ImGui::SetClipboardText(thing.text.c_str()); break;
    case Offer::SameClass:
        if (thing.number >= trace.first() && thing.number < trace.total()) state.events = {}, state.events.classes = class_bit(class_of(debugger, thing.number));
        break;
    case Offer::ItsEvents: {
        const std::string text = fmt::format("pid {}", thing.number);
        state.events = {}, state.events.text = text;
        text.copy(state.events_text, sizeof state.events_text - 1), state.events_text[std::min(text.size(), sizeof state.events_text - 1)] = 0;
        break;
    }
    case Offer::ItsTerminal: state.terminal = static_cast<u32>(thing.kind == ThingKind::Container ? thing.number : thing.other); break;
    case Offer::LuaValue: state.lua.take = state.lua.text + lua_of(thing); break;
    default: break;
    }
    for (Command& command : commands_of(offer, thing, debugger)) commands.push_back(std::move(command));
}

/// The popup's rows. The font goes before the popup ends.
static void draw_offers(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands, const Thing& thing) {
    constexpr std::size_t kMostText = 60;
    const WithFont font(theme.fonts.prose);
    ImGui::TextColored(theme.dim, "%s", thing.text.substr(0, kMostText).c_str());
    ImGui::Separator();
    for (const Offer offer : offers_for(thing, debugger)) {
        if (ImGui::MenuItem(tr(offer_row(offer).name))) take_offer(offer, thing, debugger, state, commands);
        tooltip(theme, tr(offer_row(offer).sentence));
    }
}

void draw_menu_of_thing(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    if (std::exchange(state.menu_wanted, false) && state.thing) ImGui::OpenPopup(kPopup);
    if (!state.thing || !ImGui::BeginPopup(kPopup)) return;
    draw_offers(debugger, theme, state, commands, Thing(*state.thing));
    ImGui::EndPopup();
}

} // namespace trapeze::ui
