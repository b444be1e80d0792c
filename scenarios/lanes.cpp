#include "scenarios/lanes.hpp"

#include "hypervisor-sim/equivalence.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstring>

namespace trapeze::scenarios {

namespace {

u64 retired(const Session& session) { return session.guest_state().retired; }
u64 exits(const Session& session) { return session.vmm() ? session.vmm()->exits() : 0; }

const char* end_word(RunEnd end) { return end == RunEnd::Idle ? "waits for input" : end == RunEnd::Halted ? "has ended" : "runs"; }

/// CSRs that tell time, counts, or what the mode gives: no differences of the guest's.
bool is_the_modes_own(Csr csr) {
    switch (csr) {
    case Csr::misa: case Csr::medeleg: case Csr::mideleg: case Csr::mcounteren: case Csr::menvcfg: case Csr::mip: case Csr::mie: case Csr::mstatus:
        return true;
    default: return csr_row(static_cast<u16>(csr))->name[0] == 'h' || csr_row(static_cast<u16>(csr))->name[0] == 'v' || csr_row(static_cast<u16>(csr))->name[0] == 'm';
    }
}

u64 double_word(const Session& session, u64 physical) {
    u64 value = 0;
    Bus bus = const_cast<Session&>(session).guest_bus(); // reading changes nothing
    bus.ram.read(bus.ram_offset(physical), value);
    return value;
}

/// Guest physical addresses of the pages that differ. Pre: both have as much memory.
std::vector<u64> different_pages(const Session& a, const Session& b) {
    std::vector<u64> pages;
    Bus left = const_cast<Session&>(a).guest_bus(), right = const_cast<Session&>(b).guest_bus(); // reading changes nothing
    std::array<u8, kPageSize> first, second;
    for (u64 at = kRamBase; at < kRamBase + a.config().memory_bytes; at += kPageSize) {
        const u64 left_at = left.ram_offset(at), right_at = right.ram_offset(at);
        if (!left.ram.touched(left_at >> kPageShift) && !right.ram.touched(right_at >> kPageShift)) continue;
        left.ram.read(left_at, first), right.ram.read(right_at, second);
        if (first != second) pages.push_back(at);
    }
    return pages;
}

std::optional<u64> memory_difference(const Session& a, const Session& b) {
    const std::vector<u64> pages = different_pages(a, b);
    if (pages.empty()) return std::nullopt;
    for (u64 at = pages.front(); at < pages.front() + kPageSize; at += 8)
        if (double_word(a, at) != double_word(b, at)) return at;
    return std::nullopt;
}

} // namespace

std::optional<Lanes::Divergence> guest_difference(const Session& a, const Session& b) {
    const HartState left = a.guest_state(), right = b.guest_state();
    using Found = Lanes::Divergence;
    if (left.pc != right.pc) return Found{0, "pc", left.pc, right.pc};
    if (left.priv != right.priv) return Found{0, "privilege", static_cast<u64>(left.priv), static_cast<u64>(right.priv)};
    for (unsigned i = 1; i < 32; ++i)
        if (left.x[i] != right.x[i]) return Found{0, fmt::format("register {}", register_name(i)), left.x[i], right.x[i]};
    for (unsigned i = 0; i < 32; ++i)
        if (left.f[i] != right.f[i]) return Found{0, fmt::format("register {}", fp_register_name(i)), left.f[i], right.f[i]};
    for (std::size_t i = 0; i < kCsrCount; ++i) {
        const CsrRow& row = csr_row_at(i);
        if (is_the_modes_own(row.csr) || row.csr == Csr::stimecmp || left.csrs[i] == right.csrs[i]) continue;
        return Found{0, fmt::format("CSR {}", row.name), left.csrs[i], right.csrs[i]};
    }
    if (a.console() != b.console()) return Found{0, "console", a.console().size(), b.console().size()};
    if (const auto at = memory_difference(a, b)) return Found{0, fmt::format("memory at {:#x}", *at), double_word(a, *at), double_word(b, *at)};
    return std::nullopt;
}

Result<Lanes> Lanes::create(const Session& session, const std::vector<Mode>& modes) {
    if (modes.size() < kFewest || modes.size() > kMost) return Error{fmt::format("{} modes cannot be shown beside each other; give {} to {}", modes.size(), kFewest, kMost)};
    Lanes lanes;
    for (const Mode mode : modes) {
        auto lane = mode == session.config().mode ? Result<Session>(session.fork()) : session.in_mode(mode);
        if (!lane) return Error{lane.error()};
        lane->breakpoints().clear();
        const u64 cycles = lane->machine().cycles(), begin = retired(*lane), exited = exits(*lane);
        lanes.lanes_.push_back({mode, std::move(*lane), begin, cycles, exited});
    }
    return lanes;
}

u64 Lanes::instructions(std::size_t lane) const { return retired(lanes_[lane].session) - lanes_[lane].retired; }

void Lanes::step_together(u64 instructions) {
    stepped_ += instructions;
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
        Lane& lane = lanes_[i];
        // A unit is an instruction or an exit, so as many units as instructions are missing never run too far.
        while (this->instructions(i) < stepped_ || (lane.session.vmm() && lane.session.vmm()->in_hypervisor())) {
            lane.end = lane.session.run(std::max<u64>(stepped_ - std::min(stepped_, this->instructions(i)), 1));
            if (lane.end == RunEnd::Idle || lane.end == RunEnd::Halted) break;
        }
    }
    if (!diverged_at_ && !divergences().empty()) diverged_at_ = stepped_;
}

/// A fork of each lane looks how far it is. A bare or interpreted guest never exits.
bool Lanes::step_to_exit(u64 most) {
    u64 nearest = ~u64{0};
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
        if (!lanes_[i].session.vmm() || lanes_[i].mode == Mode::Interpret) continue;
        Session probe = lanes_[i].session.fork();
        if (probe.run_to_trap(most) != RunEnd::Exit) continue;
        nearest = std::min(nearest, retired(probe) - lanes_[i].retired);
    }
    if (nearest == ~u64{0}) return false;
    step_together(std::max(nearest + 1, stepped_ + 1) - stepped_);
    return true;
}

std::vector<Lanes::Cost> Lanes::costs() const {
    std::vector<Cost> all;
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
        const Lane& lane = lanes_[i];
        all.push_back({lane.mode, instructions(i), lane.session.machine().cycles() - lane.cycles, exits(lane.session) - lane.exits, lane.end, lane.session.guest_state().pc});
    }
    return all;
}

std::vector<Lanes::Divergence> Lanes::divergences() const {
    std::vector<Divergence> all;
    for (std::size_t i = 1; i < lanes_.size(); ++i)
        if (auto found = guest_difference(lanes_[0].session, lanes_[i].session)) found->lane = i, all.push_back(std::move(*found));
    return all;
}

std::string compare_branches(const Session& a, const Session& b) {
    constexpr std::size_t kShown = 8;
    std::string out = fmt::format("position {} and {}\n", a.position(), b.position());
    const HartState left = a.guest_state(), right = b.guest_state();
    const auto differs = [&](const std::string& name, u64 first, u64 other) {
        if (first != other) out += fmt::format("{} is {:#x} and {:#x}\n", name, first, other);
    };
    differs("pc", left.pc, right.pc);
    for (unsigned i = 1; i < 32; ++i) differs(register_name(i), left.x[i], right.x[i]);
    for (std::size_t i = 0; i < kCsrCount; ++i) differs(csr_row_at(i).name, left.csrs[i], right.csrs[i]);
    if (a.config().memory_bytes == b.config().memory_bytes) {
        const std::vector<u64> pages = different_pages(a, b);
        if (!pages.empty()) out += fmt::format("{} pages of memory differ:", pages.size());
        for (std::size_t i = 0; i < std::min(pages.size(), kShown); ++i) out += fmt::format(" {:#x}", pages[i]);
        if (!pages.empty()) out += pages.size() > kShown ? " ...\n" : "\n";
    }
    if (exits(a) != exits(b)) out += fmt::format("exits: {} and {}\n", exits(a), exits(b));
    if (a.console() != b.console()) {
        const auto same = std::mismatch(a.console().begin(), a.console().end(), b.console().begin(), b.console().end()).first - a.console().begin();
        out += fmt::format("the consoles differ after {} bytes: {} and {} in all\n", same, a.console().size(), b.console().size());
    }
    return out;
}

std::string lanes_text(const Lanes& lanes) {
    std::string out = fmt::format("{:<20} {:>14} {:>14} {:>10}  {:<16} {}\n", "mode", "instructions", "cycles", "exits", "the guest", "next instruction");
    const auto costs = lanes.costs();
    for (std::size_t i = 0; i < costs.size(); ++i) {
        const auto lines = lanes.session(i).code(0, 0);
        out += fmt::format("{:<20} {:>14} {:>14} {:>10}  {:<16} {} {}\n", vmm::mode_row(costs[i].mode).name, costs[i].instructions, costs[i].cycles, costs[i].exits,
                           end_word(costs[i].end), lanes.session(i).guest().elf.describe(costs[i].pc), lines.empty() ? "" : lines.front().text);
    }
    const auto differences = lanes.divergences();
    if (differences.empty()) out += "All lanes' guests are alike.\n";
    for (const Lanes::Divergence& d : differences)
        out += fmt::format("{} differs from {}: {} is {:#x} and {:#x}\n", vmm::mode_row(lanes.mode(d.lane)).name, vmm::mode_row(lanes.mode(0)).name, d.what, d.other, d.first);
    if (lanes.diverged_at()) out += fmt::format("First seen after {} instructions.\n", *lanes.diverged_at());
    return out;
}

std::string lanes_json(const Lanes& lanes) {
    nlohmann::ordered_json json{{"lanes", nlohmann::ordered_json::array()}, {"divergences", nlohmann::ordered_json::array()}};
    for (const Lanes::Cost& cost : lanes.costs())
        json["lanes"].push_back({{"mode", vmm::mode_row(cost.mode).name}, {"instructions", cost.instructions}, {"cycles", cost.cycles}, {"exits", cost.exits},
                                 {"state", end_word(cost.end)}, {"pc", fmt::format("{:#x}", cost.pc)}});
    for (const Lanes::Divergence& d : lanes.divergences())
        json["divergences"].push_back({{"mode", vmm::mode_row(lanes.mode(d.lane)).name}, {"what", d.what}, {"first", fmt::format("{:#x}", d.first)}, {"other", fmt::format("{:#x}", d.other)}});
    if (lanes.diverged_at()) json["diverged_at"] = *lanes.diverged_at();
    return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

} // namespace trapeze::scenarios
