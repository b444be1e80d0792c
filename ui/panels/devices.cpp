// The guest's devices: where they are, their interrupt lines and what the interrupt controller makes of them, the timer, the UART.
#include "emulator/devices/uart.hpp"
#include "scenarios/looking.hpp"
#include "ui/panels.hpp"
#include "ui/text.hpp"
#include "ui/table_view.hpp"

#include <fmt/format.h>

namespace trapeze::ui {

namespace {

std::string contexts_text(const Plic& plic, unsigned source) {
    std::string text;
    for (unsigned context = 0; context < plic.contexts(); ++context)
        if (plic.enabled(context, source)) text += (text.empty() ? "" : " ") + fmt::format("hart {} {}", context / 2, context % 2 ? "S" : "M");
    return text.empty() ? "-" : text;
}

Table devices_table(const Board& board) {
    Table table{{tr("device"), tr("address"), "irq", tr("line"), tr("raised"), tr("pending"), tr("in service"), tr("priority"), tr("enabled for")}};
    for (const Board::Attached& attached : board.devices()) {
        std::vector<std::string> row{attached.device->name(), hex(attached.base)};
        if (const unsigned irq = attached.irq) {
            const Plic& plic = board.plic;
            for (std::string text : {std::to_string(irq), std::string(attached.device->irq() ? tr("high") : tr("low")), std::to_string(attached.device->irq_raises()), std::string(plic.pending(irq) ? tr("yes") : "-"),
                                     std::string(plic.claimed(irq) ? tr("yes") : "-"), std::to_string(plic.priority(irq)), contexts_text(plic, irq)})
                row.push_back(std::move(text));
        } else row.resize(9, "-");
        table.rows.push_back(std::move(row));
    }
    return table;
}

Table harts_table(const Session& session, const Board& board) {
    const u64 now = ticks_of(session.machine().cycles());
    Table table{{"hart", tr("software interrupt"), tr("timer at"), tr("time"), tr("timer interrupt"), tr("external (M)"), tr("external (S)"), tr("threshold (S)")}};
    for (unsigned hart = 0; hart * 2 < board.plic.contexts(); ++hart) {
        const u64 compare = board.clint.mtimecmp(hart);
        table.rows.push_back({std::to_string(hart), board.clint.msip(hart) ? tr("high") : tr("low"), compare == ~u64{0} ? tr("never") : std::to_string(compare), std::to_string(now),
                              now >= compare ? tr("high") : tr("low"), board.plic.asserted(hart * 2) ? tr("high") : tr("low"), board.plic.asserted(hart * 2 + 1) ? tr("high") : tr("low"),
                              std::to_string(board.plic.threshold(hart * 2 + 1))});
    }
    return table;
}

std::string uart_text(const Board& board) {
    const auto* uart = dynamic_cast<const Uart*>(board.find("uart"));
    if (!uart) return tr("There is no UART.");
    const Uart::View view = uart->view();
    return trf("UART 16550A: IER 0x{:02x} (interrupts{}{}), LCR 0x{:02x}, MCR 0x{:02x}, FCR 0x{:02x}; {} typed bytes wait{}", view.interrupt_enable,
                       view.interrupt_enable & 1 ? tr(" received") : "", view.interrupt_enable & 2 ? tr(" transmitted") : view.interrupt_enable & 1 ? "" : tr(" none"), view.line_control, view.modem_control, view.fifo_control, view.typed,
                       view.overrun ? tr("; overrun") : "");
}

constexpr const char* kOfContainers = later("Containers have no devices of their own: their kernel's are the host's.");

} // namespace

void draw_devices(const Debugger& debugger, const Theme& theme, PanelState&, Commands& commands) {
    if (debugger.session().kernel()) return prose(theme, theme.text, tr(kOfContainers));
    const Board& board = scenarios::board_of(debugger.session());
    const Table devices = devices_table(board), harts = harts_table(debugger.session(), board);
    const float line = ImGui::GetTextLineHeight() + ImGui::GetStyle().CellPadding.y * 2;
    const float lower = std::min(line * static_cast<float>(harts.rows.size() + 2), ImGui::GetContentRegionAvail().y * 0.35f);
    TableLook look{.clickable = true};
    look.height = std::max(line * 2, ImGui::GetContentRegionAvail().y - lower - ImGui::GetTextLineHeightWithSpacing() * 2.2f);
    look.colour = [&](std::size_t row, std::size_t column) -> std::optional<ImVec4> {
        const std::string& cell = devices.rows[row][column];
        if (cell == tr("high") || cell == tr("yes")) return theme.changed;
        return cell == "-" || cell == tr("low") ? std::optional(theme.dim) : std::nullopt;
    };
    if (const auto row = draw_table(theme, "devices", devices, look)) commands.push_back({Action::ShowRing, board.devices()[*row].base});
    tooltip(theme, tr("A click on a virtio device shows its ring."));
    prose(theme, theme.text, uart_text(board));
    TableLook lines;
    lines.colour = [&](std::size_t row, std::size_t column) -> std::optional<ImVec4> {
        const std::string& cell = harts.rows[row][column];
        return cell == tr("high") ? std::optional(theme.changed) : cell == tr("low") || cell == tr("never") ? std::optional(theme.dim) : std::nullopt;
    };
    draw_table(theme, "harts", harts, lines);
}

Sheet sheet_devices(const Debugger& debugger, const PanelState&) {
    if (debugger.session().kernel()) return Sheet().say(tr(kOfContainers));
    const Board& board = scenarios::board_of(debugger.session());
    return Sheet().add(devices_table(board)).say(uart_text(board)).add(harts_table(debugger.session(), board));
}

} // namespace trapeze::ui
