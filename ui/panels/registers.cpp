// Integer registers as the guest sees them, and CSRs: the guest's beside the hart's, with the fields of the selected one. What the last
// step changed is marked.
#include "ui/panels.hpp"

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
constexpr Csr kMachine[] = {Csr::mstatus, Csr::medeleg, Csr::mideleg, Csr::mtvec, Csr::mepc, Csr::mcause, Csr::mtval};

struct Flag {
    unsigned bit;
    const char* name;
};
constexpr Flag kStatusFlags[] = {{1, "SIE"}, {3, "MIE"}, {5, "SPIE"}, {7, "MPIE"}, {8, "SPP"}, {17, "MPRV"}, {18, "SUM"}, {19, "MXR"}, {20, "TVM"}, {21, "TW"}, {22, "TSR"}};
constexpr Flag kInterruptFlags[] = {{1, "supervisor software"}, {3, "machine software"}, {5, "supervisor timer"}, {7, "machine timer"}, {9, "supervisor external"}, {11, "machine external"}};

template <std::size_t N> std::string flags(const Flag (&rows)[N], u64 value) {
    std::string text;
    for (const Flag& flag : rows)
        if (bit(value, flag.bit)) text += (text.empty() ? "" : ", ") + std::string(flag.name);
    return text.empty() ? "none" : text;
}

/// The bit fields of a CSR in words; empty when it is a number without fields.
std::string fields(Csr csr, u64 value) {
    switch (csr) {
    case Csr::satp:
        return get_field(value, satp::MODE) == satp::kSv39
                   ? fmt::format("Sv39, root table at 0x{:x}, ASID {}", (value & satp::PPN) << kPageShift, get_field(value, satp::ASID)) : "paging is off";
    case Csr::sstatus: case Csr::mstatus: return fmt::format("set: {}; FS {}", flags(kStatusFlags, value), get_field(value, mstatus::FS));
    case Csr::sie: case Csr::sip: case Csr::mideleg: return flags(kInterruptFlags, value);
    case Csr::scause: case Csr::mcause: return cause_name(value);
    case Csr::stvec: case Csr::mtvec: return fmt::format("0x{:x}, {}", value & ~u64{3}, value & 1 ? "vectored" : "direct");
    default: return {};
    }
}

void draw_fields(const Theme& theme, Csr csr, u64 real, u64 guest, bool is_virtual) {
    const CsrRow& row = *csr_row(static_cast<u16>(csr));
    ImGui::Separator();
    prose(theme, theme.dim, fmt::format("{} (0x{:03x}): {}", row.name, static_cast<u16>(csr), row.sentence));
    if (fields(csr, real).empty()) return;
    prose(theme, theme.text, (is_virtual ? "real: " : "") + fields(csr, real));
    if (is_virtual) prose(theme, theme.text, "virtual: " + fields(csr, guest));
}

void privilege_row(const Theme& theme, Priv real, Priv guest, bool is_virtual) {
    ImGui::TableNextColumn();
    ImGui::TextColored(theme.dim, "privilege");
    ImGui::TableNextColumn();
    ImGui::TextColored(theme.privilege(real), "%c", priv_letter(real));
    if (!is_virtual) return;
    ImGui::TableNextColumn();
    ImGui::TextColored(theme.privilege(guest), "%c", priv_letter(guest));
}

} // namespace

void draw_registers(const Debugger& debugger, const Theme& theme, PanelState&, Commands&) {
    const HartState now = debugger.session().guest_state();
    const HartState& before = debugger.guest_before();
    const int columns = std::clamp(static_cast<int>(ImGui::GetContentRegionAvail().x / (ImGui::CalcTextSize("x").x * 24)), 1, 4);
    if (!ImGui::BeginTable("registers", columns * 2, ImGuiTableFlags_ScrollY | ImGuiTableFlags_SizingFixedFit)) return;
    const auto cell = [&](const char* name, u64 value, bool changed) {
        ImGui::TableNextColumn();
        ImGui::TextColored(theme.dim, "%s", name);
        ImGui::TableNextColumn();
        value_cell(theme, value, changed);
    };
    cell("pc", now.pc, false);
    for (unsigned i = 1; i < 32; ++i) cell(register_name(i), now.x[i], now.x[i] != before.x[i]);
    ImGui::EndTable();
}

void draw_csrs(const Debugger& debugger, const Theme& theme, PanelState& state, Commands&) {
    const Session& session = debugger.session();
    const HartState guest = session.guest_state(), real = session.real_state();
    const bool is_virtual = session.vmm() != nullptr;
    const float details = ImGui::GetTextLineHeightWithSpacing() * (is_virtual ? 4.3f : 3.3f);
    const float room = ImGui::GetContentRegionAvail().y;
    const bool with_details = room > details * 2.4f;
    const bool narrow = ImGui::GetContentRegionAvail().x < ImGui::CalcTextSize("x").x * (is_virtual ? 49 : 30);
    const ImGuiTableFlags flags = ImGuiTableFlags_ScrollY | ImGuiTableFlags_SizingFixedFit | ImGuiTableFlags_RowBg | (narrow ? int{ImGuiTableFlags_ScrollX} : 0);
    if (!ImGui::BeginTable("csrs", is_virtual ? 3 : 2, flags, {0, with_details ? room - details : 0})) return;
    ImGui::TableSetupScrollFreeze(1, 1);
    ImGui::TableSetupColumn("CSR");
    ImGui::TableSetupColumn(is_virtual ? "real (hart)" : "value");
    if (is_virtual) ImGui::TableSetupColumn("virtual (guest)");
    ImGui::TableHeadersRow();
    if (room > ImGui::GetFontSize() * 6) privilege_row(theme, real.priv, guest.priv, is_virtual); // the stripes beside the code say it too
    const auto line = [&](Csr csr) {
        const CsrRow& row = *csr_row(static_cast<u16>(csr));
        ImGui::TableNextColumn();
        if (ImGui::Selectable(row.name, state.csr == csr, ImGuiSelectableFlags_SpanAllColumns)) state.csr = csr;
        tooltip(theme, row.sentence);
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
    ImGui::EndTable();
    if (with_details) draw_fields(theme, state.csr, session.csr(real, state.csr), session.csr(guest, state.csr), is_virtual);
}

Sheet sheet_registers(const Debugger& debugger, const PanelState&) {
    const HartState now = debugger.session().guest_state();
    const HartState& before = debugger.guest_before();
    Table table{{"register", "value", "changed"}};
    table.rows.push_back({"pc", hex_digits(now.pc), ""});
    for (unsigned i = 1; i < 32; ++i) table.rows.push_back({register_name(i), hex_digits(now.x[i]), now.x[i] != before.x[i] ? "*" : ""});
    return Sheet().add(std::move(table));
}

Sheet sheet_csrs(const Debugger& debugger, const PanelState&) {
    const Session& session = debugger.session();
    const HartState guest = session.guest_state(), real = session.real_state();
    const bool is_virtual = session.vmm() != nullptr;
    Table table{is_virtual ? std::vector<std::string>{"CSR", "real", "virtual", "changed", "fields"} : std::vector<std::string>{"CSR", "value", "changed", "fields"}};
    const auto add = [&](Csr csr) {
        const u64 value = session.csr(real, csr), guests = session.csr(guest, csr);
        const bool changed = real[csr] != debugger.real_before()[csr] || (is_virtual && guest[csr] != debugger.guest_before()[csr]);
        std::vector<std::string> row{csr_row(static_cast<u16>(csr))->name, hex_digits(value)};
        if (is_virtual) row.push_back(hex_digits(guests));
        row.push_back(changed ? "*" : "");
        row.push_back(is_virtual && !fields(csr, value).empty() ? "real: " + fields(csr, value) + "; virtual: " + fields(csr, guests) : fields(csr, value));
        table.rows.push_back(std::move(row));
    };
    for (Csr csr : kSupervisor) add(csr);
    if (!is_virtual || !session.config().firmware)
        for (Csr csr : kMachine) add(csr);
    return Sheet()
        .say(is_virtual ? fmt::format("privilege: real {}, virtual {}", priv_letter(real.priv), priv_letter(guest.priv)) : fmt::format("privilege: {}", priv_letter(real.priv)))
        .add(std::move(table));
}

} // namespace trapeze::ui
