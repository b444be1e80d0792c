// The virtual machines of this session, one beside the other: memory, what they have had of the hart, devices.
#include "scenarios/looking.hpp"
#include "ui/panels.hpp"
#include "ui/text.hpp"
#include "ui/table_view.hpp"

#include <fmt/format.h>

namespace trapeze::ui {

namespace {

std::string bytes_text(u64 bytes) {
    if (bytes >= u64{1} << 30 && bytes % (u64{1} << 30) == 0) return fmt::format("{} GiB", bytes >> 30);
    if (bytes >= u64{10} << 20) return fmt::format("{} MiB", bytes >> 20);
    return bytes >= 1024 ? fmt::format("{} KiB", bytes >> 10) : trf("{} bytes", bytes);
}

/// Pages of a part of the RAM that were ever written.
u64 touched(const Ram& ram, u64 offset, u64 bytes) {
    u64 pages = 0;
    for (u64 page = offset >> kPageShift; page < (offset + bytes) >> kPageShift; ++page) pages += ram.touched(page);
    return pages;
}

Table bare_table(const Session& session) {
    const Machine& machine = session.machine();
    Table table{{tr("machine"), tr("value")}};
    table.rows = {{tr("memory"), bytes_text(machine.ram.size())}, {tr("touched"), bytes_text(machine.ram.touched_pages() << kPageShift)}, {"harts", std::to_string(machine.harts.size())},
                  {tr("cycles"), std::to_string(machine.cycles())}, {tr("instructions"), std::to_string(machine.hart().state.retired)}};
    return table;
}

Table vm_table(const Session& session, const vmm::Vmm& vmm) {
    const Machine& machine = session.machine();
    const u64 guest = vmm.guest_instructions(machine), host = vmm.to_host(GuestPhys(kRamBase)).value;
    std::string devices;
    for (const Board::Attached& attached : vmm.board().devices())
        if (std::string(attached.device->name()) != "virtio") devices += (devices.empty() ? "" : ", ") + std::string(attached.device->name());
    Table table{{"VM", fmt::format("{}", vmm.config().place.id)}};
    table.rows = {{tr("mode"), vmm::mode_row(vmm.mode()).name},
                  {tr("memory"), bytes_text(vmm.config().ram_bytes)},
                  {tr("where in the machine"), trf("{} to {}", hex(host), hex(host + vmm.config().ram_bytes))},
                  {tr("touched by the guest"), bytes_text(touched(machine.ram, host - kRamBase, vmm.config().ram_bytes) << kPageShift)},
                  {tr("taken by the hypervisor"), bytes_text(vmm.vmm_bytes())},
                  {tr("machine's memory"), bytes_text(machine.ram.size())},
                  {tr("instructions of the guest"), std::to_string(guest)},
                  {tr("of them by the hypervisor"), fmt::format("{} ({:.2f}%)", vmm.interpreted(), guest ? 100.0 * static_cast<double>(vmm.interpreted()) / static_cast<double>(guest) : 0.0)},
                  {tr("exits"), std::to_string(vmm.exits())},
                  {tr("exits in 1000 instructions"), fmt::format("{:.3f}", guest ? 1000.0 * static_cast<double>(vmm.exits()) / static_cast<double>(guest) : 0.0)},
                  {tr("machine's cycles"), std::to_string(machine.cycles())},
                  {tr("stolen"), tr("0: it has the hart alone")},
                  {tr("shadow entries filled"), std::to_string(vmm.shadow_fills())},
                  {tr("G-stage pages (4K, 2M, 1G)"), fmt::format("{}, {}, {}", vmm.gstage().mapped()[0], vmm.gstage().mapped()[1], vmm.gstage().mapped()[2])},
                  {tr("devices"), devices}};
    return table;
}

Table table_of(const Session& session) { return session.vmm() ? vm_table(session, *session.vmm()) : bare_table(session); }

/// Counting pages takes a while for large guests, so it is done when the session has moved.
const Table& remembered(const Debugger& debugger, PanelState& state) {
    if (state.vms_at != debugger.session().machine().cycles() || state.vms.rows.empty() || state.vms_of != debugger.sessions()) {
        if (!debugger.running() || state.vms_skipped++ % 16 == 0 || state.vms_of != debugger.sessions()) state.vms = table_of(debugger.session());
        state.vms_at = debugger.running() ? ~u64{0} : debugger.session().machine().cycles(), state.vms_of = debugger.sessions();
    }
    return state.vms;
}

} // namespace

void draw_vms(const Debugger& debugger, const Theme& theme, PanelState& state, Commands&) {
    prose(theme, theme.dim, debugger.session().vmm() ? tr("This session has one VM. `trapeze vms` runs several, with weights and stolen time.") : tr("No VM: whoever runs here has the machine."));
    TableLook look;
    look.colour = [&](std::size_t, std::size_t column) { return column == 0 ? std::optional(theme.dim) : std::nullopt; };
    draw_table(theme, "vms", remembered(debugger, state), look);
}

Sheet sheet_vms(const Debugger& debugger, const PanelState&) { return Sheet().add(table_of(debugger.session())); }

} // namespace trapeze::ui
