// Integer registers as the guest sees them, and CSRs: the guest's beside the hart's, with the fields of the selected one. What the last
// step changed is marked.
#include "emulator/isa/csr_fields.hpp"
#include "ui/panels.hpp"
#include "ui/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::ui {

namespace {

/// All digits, so that columns stay; the leading zeros step back.
void value_cell(const Theme& theme, u64 value, bool changed) {
    const std::string digits = fmt::format("{:016x}", value);
    const std::size_t zeros = std::min(digits.find_first_not_of('0'), std::size_t{15});
    const ImVec4 colour = changed ? theme.changed : theme.text;
    ImGui::TextColored(ImVec4(theme.dim.x, theme.dim.y, theme.dim.z, 0.45f), "%s", digits.substr(0, zeros).c_str());
    ImGui::SameLine(0, 0);
    ImGui::TextColored(colour, "%s%s", digits.c_str() + zeros, changed ? "*" : " ");
}

constexpr Csr kSupervisor[] = {Csr::satp, Csr::sstatus, Csr::stvec, Csr::sepc, Csr::scause, Csr::stval, Csr::sie, Csr::sip, Csr::sscratch, Csr::stimecmp};
constexpr Csr kHypervisor[] = {Csr::hstatus, Csr::hgatp, Csr::hedeleg, Csr::hideleg, Csr::hvip, Csr::htval, Csr::htinst, Csr::vsatp, Csr::vsstatus, Csr::vstvec, Csr::vsepc, Csr::vscause, Csr::vstval};
constexpr Csr kMachine[] = {Csr::mstatus, Csr::medeleg, Csr::mideleg, Csr::mtvec, Csr::mepc, Csr::mcause, Csr::mtval};

/// The bit fields of a CSR in words; empty when it is a number without fields.
std::string fields(Csr csr, u64 value) {
    if (csr == Csr::scause || csr == Csr::mcause || csr == Csr::vscause) return cause_name(value);
    std::string text;
    for (const CsrField& field : csr_fields(csr)) {
        const std::string meaning = field.meaning(value);
        if (meaning == "-") continue;
        text += (text.empty() ? "" : ", ") + std::string(field.name) + (meaning == "set" ? "" : " " + meaning);
    }
    return text.empty() && !csr_fields(csr).empty() ? tr("none set") : text;
}

/// The fields of the selected register, a row each, with what they mean now.
void draw_fields(const Theme& theme, Csr csr, u64 real, u64 guest, bool is_virtual) {
    const CsrRow& row = *csr_row(static_cast<u16>(csr));
    ImGui::Separator();
    prose(theme, theme.dim, fmt::format("{} (0x{:03x}): {}", row.name, static_cast<u16>(csr), row.sentence));
    const auto rows = csr_fields(csr);
    if (rows.empty()) return;
    if (csr == Csr::scause || csr == Csr::mcause || csr == Csr::vscause) prose(theme, theme.text, is_virtual ? trf("real: {}; virtual: {}", cause_name(real), cause_name(guest)) : cause_name(real));
    if (!ImGui::BeginTable("fields", is_virtual ? 4 : 3, ImGuiTableFlags_ScrollY | ImGuiTableFlags_SizingFixedFit | ImGuiTableFlags_RowBg)) return;
    ImGui::TableSetupScrollFreeze(0, 1);
    for (const char* title : {tr("bits"), tr("field"), is_virtual ? tr("real") : tr("value")}) ImGui::TableSetupColumn(title);
    if (is_virtual) ImGui::TableSetupColumn(tr("virtual"));
    ImGui::TableHeadersRow();
    for (const CsrField& field : rows) {
        ImGui::TableNextColumn();
        ImGui::TextColored(theme.dim, "%s", field.high == field.low ? fmt::format("{}", field.high).c_str() : fmt::format("{}:{}", field.high, field.low).c_str());
        ImGui::TableNextColumn();
        ImGui::Selectable(field.name, false, ImGuiSelectableFlags_SpanAllColumns);
        tooltip(theme, fmt::format("{}.{}: {}{}", row.name, field.name, field.sentence, *field.values ? trf(" Values: {}.", field.values) : ""));
        ImGui::TableNextColumn();
        const std::string here = field.meaning(real), there = field.meaning(guest);
        ImGui::TextColored(here == "-" ? theme.dim : theme.text, "%s", here.c_str());
        if (!is_virtual) continue;
        ImGui::TableNextColumn();
        ImGui::TextColored(here != there ? theme.accent : there == "-" ? theme.dim : theme.text, "%s%s", there.c_str(), here != there ? " \u2260" : "");
    }
    ImGui::EndTable();
}

void privilege_row(const Theme& theme, Priv real, Priv guest, bool is_virtual) {
    ImGui::TableNextColumn();
    ImGui::TextColored(theme.dim, "%s", tr("privilege"));
    ImGui::TableNextColumn();
    ImGui::TextColored(theme.privilege(real), "%c", priv_letter(real));
    if (!is_virtual) return;
    ImGui::TableNextColumn();
    ImGui::TextColored(theme.privilege(guest), "%c", priv_letter(guest));
}

} // namespace

void draw_registers(const Debugger& debugger, const Theme& theme, PanelState& state, Commands&) {
    const HartState now = debugger.session().guest_state();
    const HartState& before = debugger.guest_before();
    const int columns = std::clamp(static_cast<int>(ImGui::GetContentRegionAvail().x / (ImGui::CalcTextSize("x").x * 24)), 1, 4);
    if (!ImGui::BeginTable("registers", columns * 2, ImGuiTableFlags_ScrollY | ImGuiTableFlags_SizingFixedFit)) return;
    const auto cell = [&](const char* name, const Thing& thing, u64 value, bool changed) {
        ImGui::TableNextColumn();
        ImGui::PushStyleColor(ImGuiCol_Text, theme.dim);
        if (ImGui::Selectable(name, state.thing == thing && state.thing_panel == state.drawn)) state.thing = thing, state.thing_panel = state.drawn;
        ImGui::PopStyleColor();
        context_menu(state, thing);
        ImGui::TableNextColumn();
        ImGui::BeginGroup();
        value_cell(theme, value, changed);
        ImGui::EndGroup();
        context_menu(state, thing);
    };
    cell("pc", {ThingKind::Code, now.pc, 0, "pc = " + hex(now.pc)}, now.pc, false);
    for (unsigned i = 1; i < 32; ++i)
        cell(register_name(i), {ThingKind::Register, i, now.x[i], fmt::format("{} = {}", register_name(i), hex(now.x[i]))}, now.x[i], now.x[i] != before.x[i]);
    ImGui::EndTable();
}

void draw_csrs(const Debugger& debugger, const Theme& theme, PanelState& state, Commands&) {
    const Session& session = debugger.session();
    const HartState guest = session.guest_state(), real = session.real_state();
    const bool is_virtual = session.vmm() != nullptr;
    const float room = ImGui::GetContentRegionAvail().y, details = std::max(ImGui::GetTextLineHeightWithSpacing() * 4.3f, room * 0.42f);
    const bool with_details = room > ImGui::GetTextLineHeightWithSpacing() * 10;
    const bool narrow = ImGui::GetContentRegionAvail().x < ImGui::CalcTextSize("x").x * (is_virtual ? 49 : 30);
    const ImGuiTableFlags flags = ImGuiTableFlags_ScrollY | ImGuiTableFlags_SizingFixedFit | ImGuiTableFlags_RowBg | (narrow ? int{ImGuiTableFlags_ScrollX} : 0);
    if (!ImGui::BeginTable("csrs", is_virtual ? 3 : 2, flags, {0, with_details ? room - details : 0})) return;
    ImGui::TableSetupScrollFreeze(1, 1);
    ImGui::TableSetupColumn("CSR");
    ImGui::TableSetupColumn(is_virtual ? tr("real (hart)") : tr("value"));
    if (is_virtual) ImGui::TableSetupColumn(tr("virtual (guest)"));
    ImGui::TableHeadersRow();
    if (room > ImGui::GetFontSize() * 6) privilege_row(theme, real.priv, guest.priv, is_virtual); // the stripes beside the code say it too
    const auto line = [&](Csr csr) {
        const CsrRow& row = *csr_row(static_cast<u16>(csr));
        ImGui::TableNextColumn();
        if (ImGui::Selectable(row.name, state.csr == csr, ImGuiSelectableFlags_SpanAllColumns)) state.csr = csr;
        tooltip(theme, row.sentence);
        context_menu(state, {ThingKind::Csr, static_cast<u64>(csr), session.csr(guest, csr), fmt::format("{} = {}", row.name, hex(session.csr(guest, csr)))});
        ImGui::TableNextColumn();
        value_cell(theme, session.csr(real, csr), real[csr] != debugger.real_before()[csr]);
        if (!is_virtual) return;
        ImGui::TableNextColumn();
        value_cell(theme, session.csr(guest, csr), guest[csr] != debugger.guest_before()[csr]);
    };
    for (Csr csr : kSupervisor) line(csr);
    // Above SBI firmware machine mode is not the guest's.
    if (!is_virtual || !session.config().firmware)
        for (Csr csr : kMachine) line(csr);
    if (session.config().mode == vmm::Mode::HardwareAssisted && is_virtual)
        for (Csr csr : kHypervisor) line(csr);
    ImGui::EndTable();
    if (with_details) draw_fields(theme, state.csr, session.csr(real, state.csr), session.csr(guest, state.csr), is_virtual);
}

Sheet sheet_registers(const Debugger& debugger, const PanelState&) {
    const HartState now = debugger.session().guest_state();
    const HartState& before = debugger.guest_before();
    Table table{{tr("register"), tr("value"), tr("changed")}};
    table.rows.push_back({"pc", hex_digits(now.pc), ""});
    for (unsigned i = 1; i < 32; ++i) table.rows.push_back({register_name(i), hex_digits(now.x[i]), now.x[i] != before.x[i] ? "*" : ""});
    return Sheet().add(std::move(table));
}

Sheet sheet_csrs(const Debugger& debugger, const PanelState&) {
    const Session& session = debugger.session();
    const HartState guest = session.guest_state(), real = session.real_state();
    const bool is_virtual = session.vmm() != nullptr;
    Table table{is_virtual ? std::vector<std::string>{"CSR", tr("real"), tr("virtual"), tr("changed"), tr("fields")} : std::vector<std::string>{"CSR", tr("value"), tr("changed"), tr("fields")}};
    const auto add = [&](Csr csr) {
        const u64 value = session.csr(real, csr), guests = session.csr(guest, csr);
        const bool changed = real[csr] != debugger.real_before()[csr] || (is_virtual && guest[csr] != debugger.guest_before()[csr]);
        std::vector<std::string> row{csr_row(static_cast<u16>(csr))->name, hex_digits(value)};
        if (is_virtual) row.push_back(hex_digits(guests));
        row.push_back(changed ? "*" : "");
        row.push_back(is_virtual && !fields(csr, value).empty() ? trf("real: {}; virtual: {}", fields(csr, value), fields(csr, guests)) : fields(csr, value));
        table.rows.push_back(std::move(row));
    };
    for (Csr csr : kSupervisor) add(csr);
    if (!is_virtual || !session.config().firmware)
        for (Csr csr : kMachine) add(csr);
    if (session.config().mode == vmm::Mode::HardwareAssisted && is_virtual)
        for (Csr csr : kHypervisor) add(csr);
    return Sheet()
        .say(is_virtual ? trf("privilege: real {}, virtual {}", priv_letter(real.priv), priv_letter(guest.priv)) : trf("privilege: {}", priv_letter(real.priv)))
        .add(std::move(table));
}

} // namespace trapeze::ui
