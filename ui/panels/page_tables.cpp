// Page tables as trees: the guest's own, and the one that the machine's hart walks for it. Leaves that follow each other are one line.
#include "scenarios/page_tables.hpp"
#include "ui/panels.hpp"
#include "ui/text.hpp"

#include <fmt/format.h>

namespace trapeze::ui {

namespace {

using scenarios::PageTable;
using scenarios::TableLine;

constexpr std::size_t kMostLines = 4000; // of the text
constexpr const char* kOfContainers = later("Processes have page tables in the machine's memory; `trapeze container` shows what is shared. This panel is for guests.");

const char* unit_of(const PageTable& table) { return table.root_entries > 512 ? tr("guest physical") : tr("virtual"); }

std::string range_text(const TableLine& line) {
    const u64 bytes = line.count * line.size();
    return fmt::format("{:x} - {:x}", line.va, line.va + bytes - 1);
}

std::string what_text(const TableLine& line) {
    if (!line.leaf()) return trf("table at {}", hex(line.target()));
    return trf("{} x {} to {}{}", line.count, scenarios::entry_size_name(line.size()), hex(line.target()), line.level ? tr(", superpage") : "");
}

struct Tree {
    const Session& session;
    const Theme& theme;
    const PageTable& table;
    Commands& commands;
    PanelState& state;

    void leaf(const TableLine& line) {
        ImGui::TableNextRow();
        ImGui::TableNextColumn();
        ImGui::TreeNodeEx(fmt::format("{}##{}", range_text(line), line.entry_address).c_str(),
                          ImGuiTreeNodeFlags_Leaf | ImGuiTreeNodeFlags_NoTreePushOnOpen | ImGuiTreeNodeFlags_SpanFullWidth);
        if (ImGui::IsItemClicked()) commands.push_back({table.root_entries > 512 ? Action::ShowMemory : Action::ShowWalk, line.va, table.root_entries > 512 ? "physical" : ""});
        if (table.root_entries > 512) context_menu(state, {ThingKind::Physical, line.va, 0, range_text(line)});
        else
            context_menu(state, {table.owner == scenarios::TableOwner::Machine ? ThingKind::HostEntry : ThingKind::Entry, line.entry_address, line.va,
                                 fmt::format("{} {} {}", range_text(line), scenarios::entry_letters(line.entry), what_text(line))});
        tooltip(theme, trf("Entry at {} is {}. A click shows the walk of this address.", hex(line.entry_address), hex(line.entry)));
        cells(line);
    }
    void cells(const TableLine& line) {
        const bool valid = line.entry & pte::V;
        ImGui::TableNextColumn();
        ImGui::TextColored(valid ? theme.text : theme.bad, "%s", scenarios::entry_letters(line.entry).c_str());
        tooltip(theme, tr("V valid, R readable, W writable, X executable, U for user mode, G global, A accessed, D dirty"));
        ImGui::TableNextColumn();
        ImGui::TextColored(line.leaf() && line.level ? theme.changed : line.leaf() ? theme.text : theme.dim, "%s", what_text(line).c_str());
    }
    void lines(u64 address, unsigned level, u64 va) {
        for (const TableLine& line : scenarios::table_lines(session, table, address, level, va)) {
            if (line.leaf() || !(line.entry & pte::V) || level == 0) {
                leaf(line);
                continue;
            }
            ImGui::TableNextRow();
            ImGui::TableNextColumn();
            const bool open = ImGui::TreeNodeEx(fmt::format("{}##{}", range_text(line), line.entry_address).c_str(), ImGuiTreeNodeFlags_DefaultOpen | ImGuiTreeNodeFlags_SpanFullWidth);
            cells(line);
            if (!open) continue;
            this->lines(line.target(), level - 1, line.va);
            ImGui::TreePop();
        }
    }
};

void draw_table_tree(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands, const PageTable& table) {
    if (debugger.session().kernel()) return prose(theme, theme.text, tr(kOfContainers));
    if (!table.levels) return prose(theme, theme.text, tr(table.off));
    prose(theme, theme.accent, trf("{}: Sv{}{}, root at {} {}", tr(table.name), table.levels * 9 + 12, table.root_entries > 512 ? "x4" : "",
                                           table.owner == scenarios::TableOwner::Machine ? tr("machine") : tr("guest physical"), hex(table.root)));
    constexpr ImGuiTableFlags kFlags = ImGuiTableFlags_ScrollY | ImGuiTableFlags_ScrollX | ImGuiTableFlags_RowBg | ImGuiTableFlags_SizingFixedFit | ImGuiTableFlags_Resizable;
    if (!ImGui::BeginTable("tree", 3, kFlags)) return;
    ImGui::TableSetupScrollFreeze(0, 1);
    ImGui::TableSetupColumn(trf("{} addresses", unit_of(table)).c_str());
    ImGui::TableSetupColumn(tr("bits"));
    ImGui::TableSetupColumn(tr("maps"));
    ImGui::TableHeadersRow();
    Tree{debugger.session(), theme, table, commands, state}.lines(table.root, table.levels - 1, 0);
    ImGui::EndTable();
}

void add_rows(const Session& session, const PageTable& table, u64 address, unsigned level, u64 va, Table& rows) {
    for (const TableLine& line : scenarios::table_lines(session, table, address, level, va)) {
        if (rows.rows.size() >= kMostLines) return;
        rows.rows.push_back({std::to_string(level), std::string((table.levels - 1 - level) * 2, ' ') + range_text(line), scenarios::entry_letters(line.entry), what_text(line), hex(line.entry_address)});
        if (!line.leaf() && line.entry & pte::V && level > 0) add_rows(session, table, line.target(), level - 1, line.va, rows);
    }
}

Sheet table_sheet(const Debugger& debugger, const PageTable& table) {
    if (debugger.session().kernel()) return Sheet().say(tr(kOfContainers));
    if (!table.levels) return Sheet().say(tr(table.off));
    Table rows{{tr("level"), trf("{} addresses", unit_of(table)), tr("bits"), tr("maps"), tr("entry at")}};
    add_rows(debugger.session(), table, table.root, table.levels - 1, 0, rows);
    const bool cut = rows.rows.size() >= kMostLines;
    Sheet sheet;
    sheet.say(trf("{}: Sv{}{}, root at {}", tr(table.name), table.levels * 9 + 12, table.root_entries > 512 ? "x4" : "", hex(table.root))).add(std::move(rows));
    return cut ? sheet.say(trf("... and more: the first {} lines are listed.", kMostLines)) : sheet;
}

} // namespace

void draw_guest_table(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    draw_table_tree(debugger, theme, state, commands, scenarios::guest_table(debugger.session()));
}
Sheet sheet_guest_table(const Debugger& debugger, const PanelState&) { return table_sheet(debugger, scenarios::guest_table(debugger.session())); }

void draw_machine_table(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    draw_table_tree(debugger, theme, state, commands, scenarios::machine_table(debugger.session()));
}
Sheet sheet_machine_table(const Debugger& debugger, const PanelState&) { return table_sheet(debugger, scenarios::machine_table(debugger.session())); }

} // namespace trapeze::ui
