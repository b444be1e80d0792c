#include "scenarios/monitor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

namespace trapeze::scenarios {

namespace {

using Then = MonitorAnswer::Then;
using Words = std::vector<std::string>;

constexpr u64 kDefaultLast = 10; // exits and events shown unless a number is given
constexpr Csr kShown[] = {Csr::mstatus, Csr::sstatus, Csr::sie,   Csr::sip,      Csr::stvec,   Csr::sepc,  Csr::scause, Csr::stval,
                          Csr::satp,    Csr::stimecmp, Csr::mie,  Csr::mip,      Csr::mtvec,   Csr::mepc,  Csr::mcause, Csr::mtval,
                          Csr::medeleg, Csr::mideleg, Csr::menvcfg, Csr::time};

/// The state that a hart's guest believes in: of a machine with several, any of them.
Result<HartState> state_of(const Session& session, const Words& words, std::size_t at) {
    if (words.size() <= at) return session.guest_state();
    const u64 index = std::strtoull(words[at].c_str(), nullptr, 10);
    const std::size_t count = session.vmm() ? 1 : session.machine().harts.size();
    if (index >= count) return Error{fmt::format("there is no hart {}; the harts are 0 to {}", words[at], count - 1)};
    return session.vmm() ? session.guest_state() : session.machine().hart(static_cast<unsigned>(index)).state;
}

std::string registers(Session& session, const Words& words) {
    const auto state = state_of(session, words, 2);
    if (!state) return state.error() + "\n";
    const HartState& s = state.value();
    std::string out = fmt::format(" pc       {:016x} {}  privilege {}{}\n", s.pc, session.guest().elf.describe(s.pc), priv_letter(s.priv), s.waiting ? ", waits for an interrupt" : "");
    for (unsigned i = 0; i < 32; ++i) out += fmt::format(" {:<3} {:<4} {:016x}{}", fmt::format("x{}", i), register_name(i), s.x[i], i % 4 == 3 ? "\n" : "");
    unsigned column = 0;
    for (Csr csr : kShown) out += fmt::format(" {:<8} {:016x}{}", csr_row(static_cast<u16>(csr))->name, session.csr(s, csr), ++column % 4 == 0 ? "\n" : "");
    return out;
}

std::string info(Session& session, const Words& words) {
    if (words.size() < 2 || words[1] != "registers") return "info registers [HART] is what there is\n";
    return registers(session, words);
}

/// How the guest's own tables translate an address, entry by entry.
std::string walk(Session& session, const Words& words) {
    if (words.size() != 2) return "walk needs one address, such as walk 0x80200000 or walk main\n";
    const auto address = session.resolve(words[1]);
    if (!address) return address.error() + "\n";
    const Hart view = session.walk_view(0);
    Bus bus = session.walk_bus();
    const PageWalk result = view.translate(address.value(), Access::Load, bus);
    std::string out;
    for (unsigned i = 0; i < result.steps; ++i) {
        const PageWalk::Step& step = result.read[i];
        std::string flags;
        for (unsigned b = 0; b < 8; ++b) flags += bit(step.entry, b) ? "VRWXUGAD"[b] : '-';
        out += fmt::format("level {}: entry at {:#x} is {:#018x} ({})\n", step.level, step.entry_address, step.entry, flags);
    }
    switch (result.outcome) {
    case PageWalk::Outcome::Ok: return out + fmt::format("{:#x} is at physical address {:#x}, in a page of {} KiB\n", address.value(), result.physical, result.page_size >> 10);
    case PageWalk::Outcome::PageFault: return out + fmt::format("a load from {:#x} takes a page fault\n", address.value());
    default: return out + fmt::format("a load from {:#x} takes an access fault\n", address.value());
    }
}

u64 how_many(const Words& words) { return words.size() > 1 ? std::max<u64>(std::strtoull(words[1].c_str(), nullptr, 10), 1) : kDefaultLast; }

std::string exits(Session& session, const Words& words) {
    const vmm::Vmm* vmm = session.vmm();
    if (!vmm) return "there are no exits: the guest runs on the machine itself; boot it with --mode trap-and-emulate\n";
    std::string out;
    for (std::size_t i = 0; i < static_cast<std::size_t>(vmm::ExitReason::Count); ++i)
        if (const auto reason = static_cast<vmm::ExitReason>(i); vmm->exits(reason)) out += fmt::format("{:>10} {}\n", vmm->exits(reason), vmm::exit_reason_row(reason).name);
    const char* const last = vmm->config().dossiers ? "the last of them" : "the last one (with --no-dossiers no other is kept)";
    out += fmt::format("{:>10} exits in all; {}:\n", vmm->exits(), last);
    const auto& ledger = vmm->ledger();
    for (std::size_t i = ledger.size() - std::min<u64>(how_many(words), ledger.size()); i < ledger.size(); ++i)
        out += fmt::format("{:>10} {} at guest pc {:#x}, cost {}\n", ledger[i].number, vmm::exit_reason_row(ledger[i].reason).name, ledger[i].guest_pc, ledger[i].cost);
    return out;
}

std::string events(Session& session, const Words& words) {
    const Trace& trace = session.trace();
    if (trace.total() == trace.first()) return "no events have been recorded\n";
    std::string out;
    const u64 count = std::min(how_many(words), trace.total() - trace.first());
    for (u64 i = trace.total() - count; i < trace.total(); ++i) out += fmt::format("{:>12} {}\n", trace.at(i).time, event_text(trace, trace.at(i)));
    return out;
}

std::string code(Session& session, const Words&) {
    std::string out;
    for (const Session::CodeLine& line : session.code(4, 8)) {
        if (!line.symbol.empty()) out += line.symbol + ":\n";
        out += fmt::format("{} {:#018x}  {}\n", line.current ? '>' : ' ', line.pc, line.text);
    }
    return out.empty() ? "the instruction at the program counter cannot be read\n" : out;
}

std::string help(Session&, const Words&);

struct Command {
    const char* name;
    const char* arguments;
    const char* sentence;
    std::string (*run)(Session&, const Words&);
    Then then = Then::Ask;
};
std::string nothing(Session&, const Words&) { return {}; }
constexpr Command kCommands[] = {
    {"help", "", "this list", help},
    {"info", "registers [HART]", "registers and CSRs as the guest sees them", info},
    {"code", "", "instructions around the program counter", code},
    {"walk", "ADDRESS", "how the page tables translate an address or a symbol", walk},
    {"exits", "[N]", "why the guest gave up the hart, counted, and the last N times", exits},
    {"events", "[N]", "the last N events of the trace", events},
    {"cont", "", "go on (Ctrl+A c stops again)", nothing, Then::Continue},
    {"quit", "", "end the guest", nothing, Then::Quit},
};

std::string help(Session&, const Words&) {
    std::string out;
    for (const Command& c : kCommands) out += fmt::format("{:<24} {}\n", fmt::format("{} {}", c.name, c.arguments), c.sentence);
    return out;
}

} // namespace

MonitorAnswer monitor(Session& session, const std::string& line) {
    std::istringstream in(line);
    Words words;
    for (std::string word; in >> word;) words.push_back(word);
    if (words.empty()) return {};
    for (const Command& command : kCommands)
        if (std::string_view(command.name).starts_with(words[0])) return {command.run(session, words), command.then};
    return {fmt::format("there is no command \"{}\"; help lists them\n", words[0])};
}

} // namespace trapeze::scenarios
