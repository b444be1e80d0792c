#include "ui/things.hpp"

#include "ui/focused.hpp"
#include "ui/sheet.hpp"

#include "container-sim/kernel.hpp"

#include <fmt/format.h>

namespace trapeze::ui {

namespace {

/// The guest's virtual address that a thing is, or holds.
std::optional<u64> address_of(const Thing& thing) {
    switch (thing.kind) {
    case ThingKind::Address: case ThingKind::Value: case ThingKind::Code: case ThingKind::Line: return thing.number;
    case ThingKind::Register: case ThingKind::Entry: case ThingKind::HostEntry: return thing.other;
    default: return std::nullopt;
    }
}

const vmm::ExitDossier* exit_of(const Thing& thing, const Debugger& debugger) {
    if (!debugger.session().vmm()) return nullptr;
    for (const vmm::ExitDossier& exit : debugger.session().vmm()->ledger())
        if (exit.number == thing.number) return &exit;
    return nullptr;
}

} // namespace

const OfferRow& offer_row(Offer offer) {
    static const auto rows = [] {
        constexpr u16 Address = 1, Physical = 2, Entry = 4, Value = 8, Register = 16, Csr = 32, Code = 64, Line = 128, Exit = 256, Event = 512, Process = 1024, Container = 2048, HostEntry = 4096;
        return std::vector<OfferRow>{
#define OFFER(id, kinds, name, sentence) {Offer::id, static_cast<u16>(kinds), name, sentence},
#include "ui/offers.def"
        };
    }();
    return rows[static_cast<std::size_t>(offer)];
}

std::vector<Offer> offers_for(const Thing& thing, const Debugger& debugger) {
    std::vector<Offer> offers;
    for (std::size_t i = 0; i < static_cast<std::size_t>(Offer::Count); ++i) {
        const auto offer = static_cast<Offer>(i);
        if (!(offer_row(offer).kinds & static_cast<u16>(thing.kind))) continue;
        const bool memory = offer == Offer::LastWrite || offer == Offer::Follow || offer == Offer::Walk || offer == Offer::Watch || offer == Offer::WatchAll;
        if (memory && debugger.session().kernel()) continue; // programs in containers are not looked into here
        if (offer == Offer::ItsTerminal && !debugger.session().kernel()) continue;
        offers.push_back(offer);
    }
    return offers;
}

Commands commands_of(Offer offer, const Thing& thing, const Debugger& debugger) {
    switch (offer) {
    case Offer::Break: return {{Action::AddBreakpoint, 0, hex(thing.number)}};
    case Offer::BreakWrite: return {{Action::AddBreakpoint, 0, fmt::format("csr {}", csr_row(static_cast<u16>(thing.number)) ? csr_row(static_cast<u16>(thing.number))->name : "?")}};
    case Offer::BreakKind:
        if (const vmm::ExitDossier* exit = exit_of(thing, debugger)) return {{Action::AddBreakpoint, 0, fmt::format("exit {}", vmm::exit_reason_row(exit->reason).name)}};
        return {};
    case Offer::RunHere: return {{Action::SelectLine, thing.number}, {Action::RunToLine}};
    case Offer::Watch: return {{Action::AddBreakpoint, 0, "write " + hex(thing.number)}};
    case Offer::WatchAll: return {{Action::AddBreakpoint, 0, "access " + hex(thing.number)}};
    case Offer::LastWrite:
        switch (thing.kind) {
        case ThingKind::Register: return {{Action::BackToRegister, thing.number}};
        case ThingKind::Csr: return {{Action::BackToCsrWrite, thing.number}};
        case ThingKind::Address: return {{Action::BackToMemory, thing.number}};
        default: return {{Action::BackToPhysical, thing.number}};
        }
    case Offer::Explain: return {{Action::ExplainThing, 0, things_of(thing, debugger)}};
    case Offer::Follow:
        if (thing.kind == ThingKind::Physical || thing.kind == ThingKind::Entry) return {{Action::ShowMemory, thing.number, "physical"}};
        return {{Action::ShowMemory, *address_of(thing)}};
    case Offer::Walk: return {{Action::ShowWalk, *address_of(thing)}};
    case Offer::Dossier: return {{Action::SelectExit, thing.number}, {Action::ShowPanel, static_cast<u64>(PanelId::Dossier)}};
    case Offer::SameClass: case Offer::ItsEvents: return {{Action::ShowPanel, static_cast<u64>(PanelId::Events)}};
    case Offer::ItsTerminal: {
        Commands commands{{Action::ShowPanel, static_cast<u64>(PanelId::Console)}};
        if (!debugger.typing()) commands.push_back({Action::ToggleTyping});
        return commands;
    }
    case Offer::LuaValue: return {{Action::ShowLua}};
    case Offer::Copy: case Offer::Count: break;
    }
    return {};
}

std::string lua_of(const Thing& thing) {
    switch (thing.kind) {
    case ThingKind::Register: return fmt::format("reg(\"{}\")", register_name(static_cast<unsigned>(thing.number & 31)));
    case ThingKind::Csr: return csr_row(static_cast<u16>(thing.number)) ? fmt::format("csr(\"{}\")", csr_row(static_cast<u16>(thing.number))->name) : "";
    case ThingKind::Address: case ThingKind::Code: case ThingKind::Line: return fmt::format("memory({})", hex(thing.number));
    case ThingKind::Exit: return "last_exit()";
    default: return hex(thing.number);
    }
}

} // namespace trapeze::ui
