// Page tables as they lie in memory, for people: which there are, and the entries of each, alike ones that follow each other as one line.
#pragma once

#include "scenarios/session.hpp"

#include <string>
#include <vector>

namespace trapeze::scenarios {

enum class TableOwner : u8 { Guest, Machine }; ///< the guest's own; the one that the machine's hart walks for it

struct PageTable {
    std::string name;        ///< "guest's table", "shadow table", "G-stage table"
    u64 root = 0;            ///< physical address, in the owner's memory
    unsigned levels = 0;     ///< 0: no translation is in force
    unsigned root_entries = 512;
    TableOwner owner = TableOwner::Guest;
    std::string off;         ///< why there is none, when levels is 0
};
/// The guest's own table that is in force; and that of the machine, as far as there is one beside it.
PageTable guest_table(const Session& session);
PageTable machine_table(const Session& session);

/// An entry of a table, or `count` leaves that follow each other and map memory that does.
struct TableLine {
    u64 va = 0;              ///< first virtual (or guest physical) address that it maps
    u64 entry_address = 0, entry = 0;
    unsigned level = 0;      ///< 0: the last
    u64 count = 1;
    bool leaf() const;
    u64 size() const;        ///< bytes that each entry maps
    u64 target() const;      ///< physical address of the page or of the next table
};
/// The entries of one table that are not zero, in order. `level`: of the table; `va`: the first address that it maps.
std::vector<TableLine> table_lines(const Session& session, const PageTable& table, u64 address, unsigned level, u64 va);
/// "VRWXUGAD" with a dash for each bit that is not set.
std::string entry_letters(u64 entry);
const char* entry_size_name(u64 bytes);

} // namespace trapeze::scenarios
