// `trapeze isa`: docs/isa.md is what it prints, and what it says of U-mode is what a hart does, row by row.
#include "emulator/machine.hpp"
#include "scenarios/isa_tables.hpp"
#include "scenarios/session.hpp"
#include "tests/hypervisor-sim/guest_program.hpp"
#include "tests/scenarios/child_process.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace trapeze;
using namespace trapeze::test;
using scenarios::InUser;

namespace {

constexpr u64 kCode = kRamBase + 0x1000, kData = kRamBase + 0x2000;

/// How a hart in U-mode takes one instruction, with every gate open or every gate closed.
std::optional<Trap> run_in_user(u32 word, bool gates_open) {
    MachineConfig config;
    config.builtin_firmware = false;
    auto machine = Machine::create(config);
    REQUIRE(machine);
    Hart& hart = machine->hart();
    Bus bus = machine->bus();
    hart.reset(kCode);
    machine->ram.write(kCode - kRamBase, std::span(reinterpret_cast<const u8*>(&word), sizeof word));
    const u64 all = gates_open ? ~u64{0} : 0;
    hart.write_csr(Csr::pmpaddr0, ~u64{0}, bus), hart.write_csr(Csr::pmpcfg0, 0x1f, bus);
    hart.write_csr(Csr::mstatus, all & mstatus::FS, bus), hart.write_csr(Csr::hstatus, all & hstatus::HU, bus);
    hart.write_csr(Csr::mcounteren, all, bus), hart.write_csr(Csr::scounteren, all, bus);
    const u64 blocks = set_field(u64{0}, envcfg::CBIE, 1) | envcfg::CBCFE | envcfg::CBZE;
    hart.write_csr(Csr::menvcfg, all & blocks, bus), hart.write_csr(Csr::senvcfg, all & blocks, bus);
    hart.state.priv = Priv::U;
    hart.state.x.fill(kData);
    hart.state.x[0] = 0;
    const Hart::StepResult result = hart.step(bus);
    return result.trapped ? std::optional(result.trap) : std::nullopt;
}

/// A word of the row with registers wherever it has any, and a dynamic rounding mode.
u32 user_word(Op op) {
    const u32 registers = u32{t0} << 7 | u32{t1} << 15 | u32{t2} << 20, rounding = 7u << 12;
    const InstructionRow& r = row(op);
    const bool rounds = !(r.mask & rounding) && r.extension != Extension::I;
    return r.match | ((registers | (rounds ? rounding : 0)) & ~r.mask);
}

void check_user(InUser expected, u32 word) {
    const auto closed = run_in_user(word, false), open = run_in_user(word, true);
    const auto illegal = [](const std::optional<Trap>& trap) { return trap && trap->is(Cause::IllegalInstruction); };
    CHECK(illegal(closed) == (expected == InUser::Traps || expected == InUser::Gated));
    CHECK(illegal(open) == (expected == InUser::Traps));
    if (expected == InUser::Trap) CHECK((closed && (closed->is(Cause::EcallFromU) || closed->is(Cause::Breakpoint))));
}

} // namespace

TEST_CASE("docs/isa.md is what `trapeze isa --format markdown` prints") {
    const Ended printed = run_trapeze({"isa", "--format", "markdown"});
    CHECK(printed.status == 0);
    const bool same = printed.out == read_text(scenarios::root_folder() + "/docs/isa.md");
    CHECK_MESSAGE(same, "the tables have changed; renew the file: ./trapeze isa --format markdown > docs/isa.md");
}

TEST_CASE("Popek and Goldberg: every instruction does in U-mode what its row says, with the gates closed and open") {
    for (std::size_t i = 0; i < kOpCount; ++i) {
        const auto op = static_cast<Op>(i);
        CAPTURE(std::string(row(op).mnemonic));
        const InUser expected = scenarios::in_user(row(op));
        if (expected == InUser::ByCsr) continue;
        check_user(expected, user_word(op));
    }
}

TEST_CASE("Popek and Goldberg: every CSR does in U-mode what its row says, read and, where it can be, written") {
    for (std::size_t i = 0; i < kCsrCount; ++i) {
        CAPTURE(std::string(csr_row_at(i).name));
        const auto number = static_cast<i64>(csr_row_at(i).csr);
        const InUser expected = scenarios::in_user(csr_row_at(i));
        check_user(expected, encode(Op::csrrs, {.rd = t0, .rs1 = 0, .imm = number}));
        if (!csr_read_only(static_cast<u16>(number))) check_user(expected, encode(Op::csrrw, {.rd = t0, .rs1 = t1, .imm = number}));
    }
}

TEST_CASE("Popek and Goldberg: nothing that is sensitive runs in U-mode while the gates are closed") {
    const auto sensitive = [](Sensitivity s) { return s == Sensitivity::Control || s == Sensitivity::Behaviour; };
    unsigned seen = 0;
    for (std::size_t i = 0; i < kOpCount; ++i) {
        const InstructionRow& r = row(static_cast<Op>(i));
        if (!sensitive(r.sensitivity)) continue;
        CAPTURE(std::string(r.mnemonic));
        ++seen;
        CHECK(run_in_user(user_word(static_cast<Op>(i)), false).has_value());
    }
    for (std::size_t i = 0; i < kCsrCount; ++i) {
        const CsrRow& r = csr_row_at(i);
        if (!sensitive(r.sensitivity)) continue;
        CAPTURE(std::string(r.name));
        ++seen;
        CHECK(run_in_user(encode(Op::csrrs, {.rd = t0, .imm = static_cast<i64>(r.csr)}), false).has_value());
    }
    CHECK(seen > 100);
}

TEST_CASE("isa prints the same tables as text, Markdown and JSON") {
    const auto tables = nlohmann::json::parse(run_trapeze({"isa", "--format", "json"}).out, nullptr, false);
    REQUIRE(tables.is_object());
    CHECK(tables["instructions"].size() == kOpCount);
    CHECK(tables["csrs"].size() == kCsrCount);
    const std::string text = run_trapeze({"isa"}).out, markdown = run_trapeze({"isa", "--format", "markdown"}).out;
    for (const auto& instruction : tables["instructions"]) {
        const std::string name = instruction["mnemonic"];
        CAPTURE(name);
        CHECK(text.find("\n" + name + " ") != std::string::npos);
        CHECK(markdown.find("| `" + name + "` | " + instruction["extension"].get<std::string>() + " | ") != std::string::npos);
    }
    CHECK(run_trapeze({"isa", "--format", "html"}).status == 2);
}
