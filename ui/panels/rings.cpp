// A virtio queue as it lies in the guest's memory: the ring of available chains, the descriptors, the ring of used ones, and how far driver and
// device are in each.
#include "scenarios/rings.hpp"
#include "ui/panels.hpp"
#include "ui/text.hpp"
#include "ui/table_view.hpp"

#include <fmt/format.h>

namespace trapeze::ui {

namespace {

using scenarios::Ring;
using scenarios::RingPlace;

constexpr const char* kNoRing = later("This guest has no virtio device: --drive FILE gives it a disk, --device virtio-rng-device random numbers (`trapeze debug --help`).");
constexpr std::size_t kShown = 64; // entries of each ring around where it is in use

std::string ring_name(const RingPlace& place) { return trf("{} at {}, queue {}", place.device, hex(place.base), place.queue); }

/// The chosen one, by the address of its device and the number of its queue; else the first that is in use.
const RingPlace& chosen(const Debugger& debugger, const std::vector<RingPlace>& rings) {
    const RingPlace* ready = nullptr;
    for (const RingPlace& ring : rings) {
        if (ring.base == debugger.ring_device() && ring.queue == debugger.ring_queue()) return ring;
        if (!ready && ring.transport->queue_view(ring.queue).ready) ready = &ring;
    }
    return ready ? *ready : rings.front();
}

std::vector<std::string> facts(const RingPlace& place, const Ring& ring) {
    const VirtioMmio& transport = *place.transport;
    std::vector<std::string> lines{trf("status: {}; features offered {}, accepted {}; interrupts {}", scenarios::virtio_status_text(transport.status()), hex(transport.offered_features()),
                                               hex(transport.accepted_features()), transport.interrupts() ? hex(transport.interrupts()) : tr("none"))};
    if (!ring.queue.ready) {
        lines.push_back(tr("The driver has not set up this queue."));
        return lines;
    }
    lines.push_back(trf("{} descriptors at {}, available ring at {}, used ring at {}; kicks: {}", ring.queue.size, hex(ring.queue.descriptors), hex(ring.queue.driver), hex(ring.queue.device),
                                ring.queue.kicks));
    if (!ring.readable) lines.push_back(tr("A part of the queue lies outside the guest's memory."));
    else
        lines.push_back(trf("available index {} ({}), device has taken {}: {} wait; used index {} ({})", ring.available_index,
                                    ring.available_flags & 1 ? tr("driver wants no interrupts") : tr("driver wants interrupts"), ring.queue.next_available, ring.waiting(), ring.used_index,
                                    ring.used_flags & 1 ? tr("device wants no kicks") : tr("device wants kicks")));
    return lines;
}

/// Entries of a ring up to its index, the newest first.
template <class Cells> Table entries(std::vector<std::string> columns, u16 index, u32 size, Cells cells) {
    Table table{std::move(columns)};
    for (u32 back = 1; back <= std::min<u32>({size, index, kShown}); ++back) table.rows.push_back(cells(static_cast<u16>(index - back)));
    return table;
}

Table available_table(const Ring& ring) {
    return entries({tr("no."), tr("chain")}, ring.available_index, ring.queue.size, [&](u16 number) {
        std::string chain;
        for (u16 at : ring.chain(ring.available[number % ring.queue.size])) chain += (chain.empty() ? "" : ">") + std::to_string(at);
        return std::vector<std::string>{std::to_string(number), chain + (static_cast<u16>(number - ring.queue.next_available) < ring.waiting() ? tr(" waits") : "")};
    });
}

Table used_table(const Ring& ring) {
    return entries({tr("no."), tr("head"), tr("bytes")}, ring.used_index, ring.queue.size, [&](u16 number) {
        const Ring::Used& used = ring.used[number % ring.queue.size];
        return std::vector<std::string>{std::to_string(number), std::to_string(used.id), std::to_string(used.bytes)};
    });
}

Table descriptors_table(const Ring& ring) {
    Table table{{tr("no."), tr("address"), tr("bytes"), tr("flags"), tr("next")}};
    for (std::size_t i = 0; i < ring.descriptors.size(); ++i) {
        const Ring::Descriptor& d = ring.descriptors[i];
        if (!d.address && !d.bytes && !d.flags) continue; // never used
        table.rows.push_back({std::to_string(i), hex(d.address), std::to_string(d.bytes), scenarios::descriptor_flags(d), d.chained() ? std::to_string(d.next) : "-"});
    }
    return table;
}

void column(const Theme& theme, const char* title, float width) {
    ImGui::BeginChild(title, {width, 0});
    prose(theme, theme.accent, title);
}

} // namespace

void draw_rings(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    const auto rings = scenarios::rings_of(debugger.session());
    if (rings.empty() || debugger.session().kernel()) return prose(theme, theme.text, tr(kNoRing));
    const RingPlace& place = chosen(debugger, rings);
    ImGui::SetNextItemWidth(-1);
    if (ImGui::BeginCombo("##ring", ring_name(place).c_str())) {
        for (const RingPlace& ring : rings)
            if (ImGui::Selectable(ring_name(ring).c_str(), &ring == &place)) commands.push_back({Action::ShowRing, ring.base | ring.queue});
        ImGui::EndCombo();
    }
    const Ring ring = scenarios::read_ring(debugger.session(), place);
    for (const std::string& line : facts(place, ring)) prose(theme, theme.text, line);
    if (!ring.readable) return;
    const float room = ImGui::GetContentRegionAvail().x, side = room * 0.24f;
    TableLook waits;
    const Table available = available_table(ring), descriptors = descriptors_table(ring);
    waits.colour = [&](std::size_t row, std::size_t) { return available.rows[row][1].ends_with(tr(" waits")) ? std::optional(theme.changed) : std::nullopt; };
    column(theme, tr("available: driver to device"), side);
    draw_table(theme, "available", available, waits);
    ImGui::EndChild();
    ImGui::SameLine();
    column(theme, tr("descriptors"), room - side * 2 - ImGui::GetStyle().ItemSpacing.x * 2);
    TableLook follow{.clickable = true};
    follow.menu = [&](std::size_t row) { context_menu(state, {ThingKind::Physical, std::strtoull(descriptors.rows[row][1].c_str(), nullptr, 16), 0, descriptors.rows[row][1]}); };
    if (const auto row = draw_table(theme, "descriptors", descriptors, follow)) commands.push_back({Action::ShowMemory, std::strtoull(descriptors.rows[*row][1].c_str(), nullptr, 16), "physical"});
    ImGui::EndChild();
    ImGui::SameLine();
    column(theme, tr("used: device to driver"), side);
    draw_table(theme, "used", used_table(ring));
    ImGui::EndChild();
}

Sheet sheet_rings(const Debugger& debugger, const PanelState&) {
    const auto rings = scenarios::rings_of(debugger.session());
    if (rings.empty() || debugger.session().kernel()) return Sheet().say(tr(kNoRing));
    const RingPlace& place = chosen(debugger, rings);
    const Ring ring = scenarios::read_ring(debugger.session(), place);
    Sheet sheet;
    sheet.say(ring_name(place));
    for (const std::string& line : facts(place, ring)) sheet.say(line);
    if (!ring.readable) return sheet;
    return sheet.say("available:").add(available_table(ring)).say("descriptors:").add(descriptors_table(ring)).say("used:").add(used_table(ring));
}

} // namespace trapeze::ui
