// Integer registers as the guest sees them, and CSRs: the guest's beside the hart's. What the last step changed is marked.
#include "ui/panels.hpp"

#include <fmt/format.h>

namespace trapeze::ui {

namespace {

void value_cell(const Theme& theme, u64 value, bool changed) {
    ImGui::TextColored(changed ? theme.changed : theme.text, "%016llx%s", static_cast<unsigned long long>(value), changed ? "*" : " ");
}

constexpr Csr kShown[] = {Csr::sstatus, Csr::satp, Csr::stvec, Csr::sepc, Csr::scause, Csr::stval, Csr::sie, Csr::sip, Csr::sscratch, Csr::stimecmp,
                          Csr::mstatus, Csr::medeleg, Csr::mideleg, Csr::mtvec, Csr::mepc, Csr::mcause, Csr::mtval};

void csr_tooltip(Csr csr, u64 value) {
    const CsrRow& row = *csr_row(static_cast<u16>(csr));
    std::string text = fmt::format("{} (0x{:03x}): {}", row.name, static_cast<u16>(csr), row.sentence);
    if (csr == Csr::satp)
        text += fmt::format("\nMODE {} ({}), ASID {}, root table at 0x{:x}", get_field(value, satp::MODE), get_field(value, satp::MODE) == satp::kSv39 ? "Sv39" : "bare",
                            get_field(value, satp::ASID), (value & satp::PPN) << kPageShift);
    if (csr == Csr::scause || csr == Csr::mcause) text += fmt::format("\n{}", cause_name(value));
    if (csr == Csr::sstatus || csr == Csr::mstatus)
        text += fmt::format("\nSIE {} SPIE {} SPP {} FS {} SUM {} MXR {}", bit(value, 1), bit(value, 5), bit(value, 8) ? "S" : "U", get_field(value, mstatus::FS),
                            bit(value, 18), bit(value, 19));
    ImGui::SetTooltip("%s", text.c_str());
}

} // namespace

void draw_registers(const Debugger& debugger, const Theme& theme, PanelState&, Commands&) {
    const HartState now = debugger.session().guest_state();
    const HartState& before = debugger.guest_before();
    const bool two_columns = ImGui::GetContentRegionAvail().x > ImGui::CalcTextSize("x").x * 46;
    if (!ImGui::BeginTable("registers", two_columns ? 4 : 2, ImGuiTableFlags_ScrollY | ImGuiTableFlags_SizingFixedFit)) return;
    const auto cell = [&](const char* name, u64 value, bool changed) {
        ImGui::TableNextColumn();
        ImGui::TextColored(theme.dim, "%s", name);
        ImGui::TableNextColumn();
        value_cell(theme, value, changed);
    };
    cell("pc", now.pc, false);
    for (unsigned i = 1; i < 32; ++i) {
        const unsigned index = two_columns && i >= 1 ? i : i;
        cell(register_name(index), now.x[index], now.x[index] != before.x[index]);
    }
    ImGui::EndTable();
}

void draw_csrs(const Debugger& debugger, const Theme& theme, PanelState&, Commands&) {
    const Session& session = debugger.session();
    const HartState guest = session.guest_state(), real = session.real_state();
    const bool is_virtual = session.vmm() != nullptr;
    if (!ImGui::BeginTable("csrs", is_virtual ? 3 : 2, ImGuiTableFlags_ScrollY | ImGuiTableFlags_SizingFixedFit | ImGuiTableFlags_RowBg)) return;
    ImGui::TableSetupScrollFreeze(0, 1);
    ImGui::TableSetupColumn("");
    ImGui::TableSetupColumn("real");
    if (is_virtual) ImGui::TableSetupColumn("virtual");
    ImGui::TableHeadersRow();
    ImGui::TableNextColumn();
    ImGui::TextColored(theme.dim, "privilege");
    ImGui::TableNextColumn();
    ImGui::TextColored(theme.privilege(real.priv), "%c", priv_letter(real.priv));
    if (is_virtual) {
        ImGui::TableNextColumn();
        ImGui::TextColored(theme.privilege(guest.priv), "%c", priv_letter(guest.priv));
    }
    for (Csr csr : kShown) {
        const u64 real_value = session.csr(real, csr), guest_value = session.csr(guest, csr);
        ImGui::TableNextColumn();
        ImGui::TextColored(theme.dim, "%s", csr_row(static_cast<u16>(csr))->name);
        if (ImGui::IsItemHovered()) csr_tooltip(csr, is_virtual ? guest_value : real_value);
        ImGui::TableNextColumn();
        value_cell(theme, real_value, real[csr] != debugger.real_before()[csr]);
        if (ImGui::IsItemHovered()) csr_tooltip(csr, real_value);
        if (!is_virtual) continue;
        ImGui::TableNextColumn();
        value_cell(theme, guest_value, guest[csr] != debugger.guest_before()[csr]);
        if (ImGui::IsItemHovered()) csr_tooltip(csr, guest_value);
    }
    ImGui::EndTable();
}

} // namespace trapeze::ui
