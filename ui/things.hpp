// Things that panels show, and what can be done with them: one table (offers.def). A panel tells of each thing that it draws with context_menu(); a click
// chooses the thing, a right click opens its menu, and Ctrl+M the menu of the thing that has the focus.
#pragma once

#include "ui/debugger.hpp"

#include <optional>
#include <string>
#include <vector>

namespace trapeze::ui {

enum class ThingKind : u16 {
    Address = 1,       ///< number: as the guest's software uses it
    Physical = 2,      ///< number: a guest physical address
    Entry = 4,         ///< of a page table; number: where it is, guest physical; other: the address that it maps
    Value = 8,         ///< number
    Register = 16,     ///< number: 0 to 31; other: its value
    Csr = 32,          ///< number: of the CSR; other: its value
    Code = 64,         ///< number: an address at which code is
    Line = 128,        ///< number: of the line of code
    Exit = 256,        ///< number: in the ledger
    Event = 512,       ///< number: its index on the trace
    Process = 1024,    ///< number: its pid on the host; other: its container
    Container = 2048,  ///< number: which
    HostEntry = 4096,  ///< of a page table in the machine's memory; number: where; other: the address that it maps
};

struct Thing {
    ThingKind kind;
    u64 number = 0, other = 0;
    std::string text; ///< as it is shown, and copied
    bool operator==(const Thing&) const = default;
};

enum class Offer : u8 {
#define OFFER(id, ...) id,
#include "ui/offers.def"
    Count,
};
struct OfferRow {
    Offer offer;
    u16 kinds; ///< bits of ThingKind
    const char *name, *sentence;
};
const OfferRow& offer_row(Offer offer);
/// What can be done with a thing here, in the order of the table.
std::vector<Offer> offers_for(const Thing& thing, const Debugger& debugger);
/// What an offer does, as commands; of those that concern the window alone there are none.
Commands commands_of(Offer offer, const Thing& thing, const Debugger& debugger);
/// What reads the thing, in Lua; empty: nothing does.
std::string lua_of(const Thing& thing);

} // namespace trapeze::ui
