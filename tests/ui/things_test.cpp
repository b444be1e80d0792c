// Menus of things: what is offered for what, that each offer does what its row says, and that a right click opens the menu.
#include "ui/panels.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace trapeze;
using namespace trapeze::ui;

namespace {

Debugger guest(vmm::Mode mode = vmm::Mode::TrapAndEmulate) {
    scenarios::SessionConfig config;
    config.guest = "tiny-os", config.mode = mode;
    auto session = Session::create(config);
    REQUIRE_MESSAGE(session, (session ? "" : session.error()));
    return Debugger(std::move(*session), std::nullopt);
}

void apply(Debugger& debugger, Offer offer, const Thing& thing) {
    for (const Command& command : commands_of(offer, thing, debugger)) debugger.apply(command);
}

std::string newest_breakpoint(const Debugger& debugger) {
    const auto& all = debugger.session().breakpoints();
    return all.empty() ? "" : debugger.session().breakpoint_text(all.back());
}

/// Dear ImGui without a backend; the mouse is put where it is wanted.
class Screen {
  public:
    Screen() {
        ImGui::CreateContext();
        ImGui::GetIO().IniFilename = nullptr;
        ImGui::GetIO().DisplaySize = {1280, 800};
        apply_theme(false, 1);
        theme_ = dark_theme();
        theme_.fonts = load_fonts(15);
        unsigned char* pixels = nullptr;
        int columns = 0, rows = 0;
        ImGui::GetIO().Fonts->GetTexDataAsRGBA32(&pixels, &columns, &rows);
    }
    ~Screen() { ImGui::DestroyContext(); }
    Screen(const Screen&) = delete;
    Screen& operator=(const Screen&) = delete;

    Commands frame(const Debugger& debugger) {
        ImGui::GetIO().DeltaTime = 1.0f / 60;
        ImGui::NewFrame();
        Commands commands;
        draw_window(debugger, theme_, state, commands);
        ImGui::Render();
        return commands;
    }
    Commands click(const Debugger& debugger, ImVec2 at, int button) {
        Commands all;
        for (const bool down : {false, true, false, false}) {
            ImGui::GetIO().MousePos = at, ImGui::GetIO().MouseDown[button] = down;
            for (const Command& command : frame(debugger)) all.push_back(command);
        }
        return all;
    }
    PanelState state;

  private:
    Theme theme_;
};

} // namespace

TEST_CASE("Every kind of thing can be copied, and every offer has a kind, a name and a sentence") {
    const Debugger debugger = guest();
    for (u16 kind = 1; kind <= static_cast<u16>(ThingKind::HostEntry); kind = static_cast<u16>(kind * 2)) {
        CAPTURE(kind);
        const auto offers = offers_for({static_cast<ThingKind>(kind), 1, 1, "x"}, debugger);
        CHECK(std::find(offers.begin(), offers.end(), Offer::Copy) != offers.end());
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(Offer::Count); ++i) {
        const OfferRow& row = offer_row(static_cast<Offer>(i));
        CHECK(row.offer == static_cast<Offer>(i));
        CHECK(row.kinds != 0);
        CHECK(*row.name);
        CHECK(*row.sentence);
    }
}

TEST_CASE("What is offered for a thing does what its name says") {
    Debugger debugger = guest();
    const u64 place = debugger.session().resolve("enable_paging_satp").value();
    apply(debugger, Offer::Break, {ThingKind::Code, place, 0, ""});
    CHECK(debugger.session().breakpoints().back().value == place);
    apply(debugger, Offer::BreakWrite, {ThingKind::Csr, static_cast<u64>(Csr::stvec), 0, ""});
    CHECK(newest_breakpoint(debugger) == "csr stvec");
    apply(debugger, Offer::Watch, {ThingKind::Address, 0x80400000, 0, ""});
    CHECK(newest_breakpoint(debugger).find("write ") == 0);
    apply(debugger, Offer::WatchAll, {ThingKind::Address, 0x80400010, 0, ""});
    CHECK(newest_breakpoint(debugger).find("access ") == 0);
    apply(debugger, Offer::Follow, {ThingKind::Register, 2, place, ""});
    CHECK(debugger.memory_place()->address == place);
    apply(debugger, Offer::Follow, {ThingKind::Entry, 0x80300000, 0x1000, ""});
    CHECK(debugger.memory_place()->physical);
    apply(debugger, Offer::Walk, {ThingKind::Entry, 0x80300000, place, ""});
    CHECK(debugger.walk_address() == place);
    while (!debugger.session().breakpoints().empty()) debugger.apply({Action::RemoveBreakpoint, 0});
    apply(debugger, Offer::RunHere, {ThingKind::Line, place, 0, ""});
    CHECK(debugger.session().guest_state().pc == place);
    debugger.apply({Action::NextTrap});
    const vmm::ExitDossier& exit = debugger.session().vmm()->ledger().back();
    apply(debugger, Offer::BreakKind, {ThingKind::Exit, exit.number, 0, ""});
    CHECK(newest_breakpoint(debugger) == std::string("exit ") + vmm::exit_reason_row(exit.reason).name);
    apply(debugger, Offer::Dossier, {ThingKind::Exit, debugger.session().vmm()->ledger().front().number, 0, ""});
    CHECK(debugger.selected_exit()->number == debugger.session().vmm()->ledger().front().number);
    apply(debugger, Offer::Explain, {ThingKind::Csr, static_cast<u64>(Csr::satp), 0, ""});
    CHECK(debugger.overlay() == Overlay::Explanation);
    debugger.apply({Action::HideOverlay});
    const u64 here = debugger.session().position();
    apply(debugger, Offer::LastWrite, {ThingKind::Csr, static_cast<u64>(Csr::stvec), 0, ""});
    while (debugger.busy()) debugger.tick(10);
    CHECK(debugger.session().position() < here);
    CHECK(lua_of({ThingKind::Register, 10, 0, ""}) == "reg(\"a0\")");
    CHECK(lua_of({ThingKind::Csr, static_cast<u64>(Csr::satp), 0, ""}) == "csr(\"satp\")");
}

TEST_CASE("A right click on a line of code opens its menu, and a click there does the first thing") {
    Debugger debugger = guest();
    Screen screen;
    screen.frame(debugger);
    const Rectangle code = window_layout(debugger, 21)[PanelId::Code];
    const ImVec2 at{code.x + code.width / 2, code.y + code.height * 0.6f};
    screen.click(debugger, at, 1);
    REQUIRE(screen.state.thing);
    CHECK(screen.state.thing->kind == ThingKind::Line);
    const auto chosen = screen.click(debugger, {at.x + 30, at.y + ImGui::GetFontSize() * 2.3f}, 0);
    REQUIRE(chosen.size() == 1);
    CHECK(chosen[0].action == Action::AddBreakpoint);
    CHECK(chosen[0].text == hex(screen.state.thing->number));
}

TEST_CASE("The thing with the focus has its offers in the palette, and follows the panel") {
    Debugger debugger = guest();
    Screen screen;
    screen.frame(debugger);
    screen.state.focus = PanelId::Csrs;
    CHECK(focused_thing(debugger, screen.state)->kind == ThingKind::Csr);
    screen.state.focus = PanelId::Code;
    CHECK(focused_thing(debugger, screen.state)->number == debugger.selected_line());
    debugger.apply({Action::ShowMemory, 0x80200000});
    screen.state.focus = PanelId::Memory;
    CHECK(focused_thing(debugger, screen.state)->number == 0x80200000);
}
