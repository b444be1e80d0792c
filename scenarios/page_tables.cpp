#include "scenarios/page_tables.hpp"

#include "emulator/mem/page_walk.hpp"
#include "scenarios/looking.hpp"

namespace trapeze::scenarios {

namespace {

u64 raw(const HartState& state, Csr csr) { return state[csr]; }

PageTable from_register(std::string name, u64 value, TableOwner owner, const char* off) {
    PageTable table{std::move(name), satp::root(value), satp::levels(value), 512, owner, {}};
    if (!table.levels) table.off = off;
    return table;
}

/// The leaf maps what lies behind the one before, in both address spaces, with the same bits.
bool follows(const TableLine& before, const TableLine& line) {
    const u64 bytes = before.count * before.size();
    return before.leaf() && line.leaf() && ((line.entry ^ before.entry) & ~pte::PPN) == 0 && before.va + bytes == line.va && before.target() + bytes == line.target();
}

} // namespace

PageTable guest_table(const Session& session) {
    const Hart view = session.walk_view(0);
    const bool virtualized = view.state.virt;
    return from_register(session.vmm() ? "guest's table" : "page table", raw(view.state, virtualized ? Csr::vsatp : Csr::satp), TableOwner::Guest,
                         "No translation is in force: virtual addresses are physical ones.");
}

PageTable machine_table(const Session& session) {
    const HartState real = session.real_state();
    if (!session.vmm() || session.config().mode == Mode::Interpret) {
        PageTable none;
        none.name = "machine's table", none.owner = TableOwner::Machine;
        none.off = session.vmm() ? "An interpreted guest never runs on the hart: nothing of it is walked there." : "Without a hypervisor the hart walks the table of whoever runs on it.";
        return none;
    }
    if (session.config().mode == Mode::HardwareAssisted) {
        PageTable table = from_register("G-stage table", raw(real, Csr::hgatp), TableOwner::Machine, "The G-stage is off.");
        table.root_entries = 2048; // four pages (Privileged specification, section 15.5.1)
        return table;
    }
    const bool direct = session.vmm()->paravirt().started;
    return from_register(direct ? "guest's table, checked" : "shadow table", raw(real, Csr::satp), TableOwner::Machine, "The hart translates nothing.");
}

bool TableLine::leaf() const { return pte::is_leaf(entry); }
u64 TableLine::size() const { return u64{1} << (kPageShift + 9 * level); }
u64 TableLine::target() const { return pte::address(entry); }

std::vector<TableLine> table_lines(const Session& session, const PageTable& table, u64 address, unsigned level, u64 va) {
    const Bus bus = table.owner == TableOwner::Machine ? look_at_machine(session) : look_as_walker(session);
    const bool root = level + 1 == table.levels;
    std::vector<TableLine> lines;
    for (u64 i = 0; i < (root ? table.root_entries : 512u); ++i) {
        TableLine line{.entry_address = address + i * 8, .level = level};
        if (!look(bus, line.entry_address, line.entry)) break;
        if (!line.entry) continue;
        line.va = va + i * line.size();
        if (root && table.root_entries == 512) line.va = sign_extend(line.va, kPageShift + 9 * table.levels);
        if (!lines.empty() && follows(lines.back(), line)) ++lines.back().count;
        else lines.push_back(line);
    }
    return lines;
}

std::string entry_letters(u64 entry) {
    constexpr char kLetters[] = "VRWXUGAD";
    std::string text;
    for (unsigned i = 0; i < 8; ++i) text += bit(entry, i) ? kLetters[i] : '-';
    return text;
}

const char* entry_size_name(u64 bytes) {
    switch (bytes >> kPageShift) {
    case 1: return "4 KiB";
    case 1 << 9: return "2 MiB";
    case 1 << 18: return "1 GiB";
    case 1 << 27: return "512 GiB";
    default: return "256 TiB";
    }
}

} // namespace trapeze::scenarios
