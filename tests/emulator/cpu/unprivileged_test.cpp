// Extensions that programs use, on the hart: bits, conditionals, cache blocks, half precision, misaligned accesses, FS. What the
// official test programs and QEMU do not cover.
#include "emulator/machine.hpp"
#include "emulator/mem/page_walk.hpp"

#include <doctest/doctest.h>

#include <initializer_list>

using namespace trapeze;

namespace {

constexpr unsigned kA0 = 10, kA1 = 11, kA2 = 12;
constexpr u64 kHandler = kRamBase + 0x800, kData = kRamBase + 0x10000;

Machine machine_with(std::initializer_list<u32> words, bool misaligned_traps = false) {
    Machine machine = std::move(Machine::create({.ram_bytes = 4 << 20, .features = {.misaligned_traps = misaligned_traps}, .builtin_firmware = false})).value();
    u64 at = 0;
    for (u32 word : words) machine.ram.write_value(at, word), at += 4;
    HartState& s = machine.hart().state;
    s.pc = kRamBase;
    s[Csr::mtvec] = kHandler;
    s[Csr::pmpaddr0] = ~u64{0} >> 10, s[Csr::pmpcfg0] = 0x1f;
    return machine;
}
u32 word_of(Op op, unsigned rd, unsigned rs1, unsigned rs2 = 0, u32 more = 0) {
    const InstructionRow& r = row(op);
    return r.match | ((rd << 7 | rs1 << 15 | rs2 << 20 | more) & ~r.mask);
}

/// a0 after one instruction `op a0, a1, a2`.
u64 result(Op op, u64 a1, u64 a2 = 0) {
    Machine machine = machine_with({word_of(op, kA0, kA1, kA2)});
    HartState& s = machine.hart().state;
    s.x[kA1] = a1, s.x[kA2] = a2;
    machine.run(1);
    REQUIRE(s.pc == kRamBase + 4);
    return s.x[kA0];
}

struct Fault {
    u64 cause, tval;
    bool operator==(const Fault&) const = default;
};
/// What the first instruction raised; {~0, 0}: nothing.
Fault fault_of(Machine& machine) {
    machine.run(1);
    const HartState& s = machine.hart().state;
    if (s.pc != kHandler) return {~u64{0}, 0};
    return {s[Csr::mcause], s[Csr::mtval]};
}
constexpr Fault kNone{~u64{0}, 0};
Fault raised(Cause cause, u64 tval) { return {static_cast<u64>(cause), tval}; }

/// Sv39 in S-mode: the first two pages of data, where the second may be absent; code is mapped to itself.
void map_data(Machine& machine, u64 first_flags, u64 second_flags) {
    constexpr u64 kRoot = 0x20000, kMiddle = 0x21000, kLeaves = 0x22000;
    const auto entry = [&](u64 table, u64 index, u64 physical, u64 flags) {
        machine.ram.write_value(table + 8 * index, (physical >> kPageShift) << 10 | flags);
    };
    constexpr u64 kAll = pte::V | pte::R | pte::W | pte::X | pte::A | pte::D;
    entry(kRoot, bits(kRamBase, 38, 30), kRamBase + kMiddle, pte::V);
    entry(kMiddle, bits(kRamBase, 29, 21), kRamBase + kLeaves, pte::V);
    entry(kLeaves, 0, kRamBase, kAll);
    entry(kLeaves, 16, kData, first_flags);
    entry(kLeaves, 17, kData + kPageSize, second_flags);
    HartState& s = machine.hart().state;
    s.priv = Priv::S;
    s[Csr::satp] = satp::kSv39 << 60 | (kRamBase + kRoot) >> kPageShift;
}
constexpr u64 kReadWrite = pte::V | pte::R | pte::W | pte::A | pte::D;

} // namespace

TEST_CASE("Zicond: czero gives zero or its first operand") {
    CHECK(result(Op::czero_eqz, 5, 0) == 0);
    CHECK(result(Op::czero_eqz, 5, u64{1} << 63) == 5);
    CHECK(result(Op::czero_nez, 5, 0) == 5);
    CHECK(result(Op::czero_nez, 5, u64{1} << 63) == 0);
}

TEST_CASE("Zbb: counts of words and doublewords without a one") {
    CHECK(result(Op::clz, 0) == 64);
    CHECK(result(Op::clzw, u64{1} << 63) == 32);
    CHECK(result(Op::ctz, 0) == 64);
    CHECK(result(Op::ctzw, u64{1} << 63) == 32);
    CHECK(result(Op::cpopw, ~u64{0}) == 32);
    CHECK(result(Op::orc_b, 0x0001'8000'0010'0000) == 0x00ff'ff00'00ff'0000);
    CHECK(result(Op::rolw, 0x80000001, 33) == 3);
    CHECK(result(Op::rorw, 1, 1) == 0xffffffff80000000);
}

TEST_CASE("Zbc: clmulr is the carry-less product without its lowest 63 bits") {
    CHECK(result(Op::clmul, 3, 3) == 5);
    CHECK(result(Op::clmulh, ~u64{0}, 2) == 1);
    CHECK(result(Op::clmulr, u64{1} << 63, u64{1} << 63) == u64{1} << 63);
}

TEST_CASE("Zicboz: cbo.zero clears the block around its address, and nothing else") {
    Machine machine = machine_with({word_of(Op::cbo_zero, 0, kA0)});
    for (u64 at = 0; at < 256; at += 8) machine.ram.write_value(kData - kRamBase + at, ~u64{0});
    machine.hart().state.x[kA0] = kData + 64 + 37;
    REQUIRE(fault_of(machine) == kNone);
    for (u64 at = 0; at < 256; at += 8) {
        u64 value = 0;
        machine.ram.read(kData - kRamBase + at, value);
        CHECK(value == (at >= 64 && at < 128 ? 0 : ~u64{0}));
    }
}

TEST_CASE("Zicbom, Zicboz: menvcfg gates S and U, senvcfg gates U as well") {
    const struct { Op op; u64 field; } blocks[] = {{Op::cbo_inval, envcfg::CBIE}, {Op::cbo_clean, envcfg::CBCFE}, {Op::cbo_flush, envcfg::CBCFE}, {Op::cbo_zero, envcfg::CBZE}};
    for (const auto& [op, field] : blocks)
        for (Priv priv : {Priv::U, Priv::S, Priv::M})
            for (unsigned open = 0; open < 4; ++open) {
                Machine machine = machine_with({word_of(op, 0, kA0)});
                HartState& s = machine.hart().state;
                s.priv = priv;
                s.x[kA0] = kData;
                s[Csr::menvcfg] = open & 1 ? field : 0;
                s[Csr::senvcfg] = open & 2 ? field : 0;
                const bool allowed = priv == Priv::M || ((open & 1) && (priv == Priv::S || open & 2));
                CAPTURE(row(op).mnemonic);
                CAPTURE(open);
                CHECK(fault_of(machine) == (allowed ? kNone : raised(Cause::IllegalInstruction, word_of(op, 0, kA0))));
            }
}

TEST_CASE("CBIE: the reserved value is not written") {
    Machine machine = machine_with({});
    Bus bus = machine.bus();
    machine.hart().write_csr(Csr::menvcfg, envcfg::CBIE, bus);
    machine.hart().write_csr(Csr::menvcfg, u64{2} << 4 | envcfg::CBZE, bus);
    CHECK(machine.hart().read_csr(Csr::menvcfg, bus) == (envcfg::CBIE | envcfg::CBZE));
}

TEST_CASE("Zicbom, Zicboz: faults are a store's, and name the address in the register") {
    for (Op op : {Op::cbo_zero, Op::cbo_clean, Op::cbo_flush, Op::cbo_inval}) {
        CAPTURE(row(op).mnemonic);
        Machine machine = machine_with({word_of(op, 0, kA0)});
        map_data(machine, 0, 0);
        HartState& s = machine.hart().state;
        s[Csr::menvcfg] = envcfg::CBIE | envcfg::CBCFE | envcfg::CBZE;
        s.x[kA0] = kData + 5;
        CHECK(fault_of(machine) == raised(Cause::StorePageFault, kData + 5));

        Machine bare = machine_with({word_of(op, 0, kA0)});
        bare.hart().state.x[kA0] = 0x4000'0007;
        CHECK(fault_of(bare) == raised(Cause::StoreAccess, 0x4000'0007));
    }
}

TEST_CASE("Zicbom: what may only be read may be cleaned; cbo.zero needs to write") {
    for (Op op : {Op::cbo_zero, Op::cbo_clean}) {
        Machine machine = machine_with({word_of(op, 0, kA0)});
        map_data(machine, pte::V | pte::R | pte::A, 0);
        machine.hart().state[Csr::menvcfg] = envcfg::CBCFE | envcfg::CBZE;
        machine.hart().state.x[kA0] = kData;
        CHECK(fault_of(machine) == (op == Op::cbo_clean ? kNone : raised(Cause::StorePageFault, kData)));
    }
}

TEST_CASE("Zicbop, Zihintpause: hints change nothing but pc") {
    for (u32 word : {0x0100000fu, 0x02056013u, 0x00156013u, 0x00356013u}) {
        Machine machine = machine_with({word});
        HartState& s = machine.hart().state;
        s.x[kA0] = 0x123; // an address where nothing is
        const HartState before = s;
        REQUIRE(fault_of(machine) == kNone);
        CHECK(s.x == before.x);
        CHECK(s.pc == before.pc + 4);
    }
}

TEST_CASE("Zfhmin: half precision is boxed, moved with its sign, and converted") {
    Machine machine = machine_with({word_of(Op::flh, 1, kA0), word_of(Op::fmv_x_h, kA1, 1), word_of(Op::fcvt_d_h, 2, 1, 0, 7 << 12),
                                    word_of(Op::fcvt_h_d, 3, 2, 0, 7 << 12), word_of(Op::fsh, 0, kA0, 3, 2 << 7)});
    HartState& s = machine.hart().state;
    s[Csr::mstatus] = mstatus::FS;
    s.x[kA0] = kData;
    machine.ram.write_value(kData - kRamBase, u16{0xc248}); // -3.140625
    machine.run(5);
    REQUIRE(s.pc == kRamBase + 20);
    CHECK(s.f[1] == 0xffffffffffffc248);
    CHECK(s.x[kA1] == 0xffffffffffffc248);
    CHECK(std::bit_cast<double>(s.f[2]) == -3.140625);
    CHECK(s.f[3] == 0xffffffffffffc248);
    u16 stored = 0;
    machine.ram.read(kData - kRamBase + 2, stored);
    CHECK(stored == 0xc248);
}

TEST_CASE("FS: off, every floating-point instruction is illegal; reserved rounding modes always are") {
    for (Op op : {Op::flh, Op::fsh, Op::fcvt_h_s, Op::fadd_d, Op::fmv_x_h}) {
        Machine machine = machine_with({word_of(op, 1, kA0)});
        machine.hart().state.x[kA0] = kData;
        CHECK(fault_of(machine) == raised(Cause::IllegalInstruction, word_of(op, 1, kA0)));
    }
    for (u32 mode : {5u, 6u, 7u}) {
        Machine machine = machine_with({word_of(Op::fadd_d, 1, 2, 3, mode << 12)});
        machine.hart().state[Csr::mstatus] = mstatus::FS;
        machine.hart().state[Csr::fcsr] = 5 << 5;
        CHECK(fault_of(machine) == raised(Cause::IllegalInstruction, word_of(Op::fadd_d, 1, 2, 3, mode << 12)));
    }
}

TEST_CASE("FS: a conversion to an integer makes it dirty only when it raises a flag") {
    for (double value : {2.0, 2.5}) {
        Machine machine = machine_with({word_of(Op::fcvt_w_d, kA0, 1)});
        HartState& s = machine.hart().state;
        s[Csr::mstatus] = u64{1} << 13; // Initial
        s.f[1] = std::bit_cast<u64>(value);
        machine.run(1);
        CHECK(s.x[kA0] == 2);
        CHECK(get_field(s[Csr::mstatus], mstatus::FS) == (value == 2.0 ? 1 : 3));
        CHECK(s[Csr::fcsr] == (value == 2.0 ? 0 : 1));
    }
}

TEST_CASE("FS: reading flags that are there since long does not make it dirty, however the run was cut") {
    // fdiv.d ft1, ft2, ft3 (inexact); csrc mstatus, a0 (FS from Dirty to Initial); csrr a1, fflags
    const std::initializer_list<u32> words = {word_of(Op::fdiv_d, 1, 2, 3), 0x30053073, 0x001025f3, 0x0000006f};
    Machine whole = machine_with(words);
    HartState& s = whole.hart().state;
    s[Csr::mstatus] = mstatus::FS;
    s.f[2] = std::bit_cast<u64>(1.0), s.f[3] = std::bit_cast<u64>(3.0);
    s.x[kA0] = u64{1} << 14;
    Machine cut = whole;
    whole.run(6);
    for (unsigned i = 0; i < 6; ++i) cut.run(1);
    CHECK(whole == cut);
    CHECK(s.x[kA1] == 1);
    CHECK(get_field(s[Csr::mstatus], mstatus::FS) == 1);
}

TEST_CASE("misaligned accesses are done in hardware, across pages as well") {
    for (u64 offset : {u64{1}, u64{7}, kPageSize - 1, kPageSize - 4, kPageSize - 7}) {
        Machine machine = machine_with({word_of(Op::sd, 0, kA0, kA1), word_of(Op::ld, kA2, kA0)});
        HartState& s = machine.hart().state;
        s.x[kA0] = kData + offset, s.x[kA1] = 0x0123456789abcdef;
        machine.run(2);
        CHECK(s.pc == kRamBase + 8);
        CHECK(s.x[kA2] == 0x0123456789abcdef);
    }
}

TEST_CASE("3.1.16: a fault on the second page of a misaligned access names the first byte there, and nothing is stored") {
    for (Op op : {Op::ld, Op::sd, Op::lh, Op::sw}) {
        const u64 start = kData + kPageSize - 1;
        Machine machine = machine_with({word_of(op, op == Op::ld || op == Op::lh ? kA1 : 0, kA0, op == Op::ld || op == Op::lh ? 0 : kA1)});
        map_data(machine, kReadWrite, 0);
        HartState& s = machine.hart().state;
        s.x[kA0] = start, s.x[kA1] = ~u64{0};
        const bool load = op == Op::ld || op == Op::lh;
        CAPTURE(row(op).mnemonic);
        CHECK(fault_of(machine) == raised(load ? Cause::LoadPageFault : Cause::StorePageFault, kData + kPageSize));
        u8 last = 1;
        machine.ram.read(start - kRamBase, last);
        CHECK(last == 0);
        CHECK(s.x[kA1] == ~u64{0});

        Machine first = machine_with({word_of(op, load ? kA1 : 0, kA0, load ? 0 : kA1)});
        map_data(first, 0, kReadWrite);
        first.hart().state.x[kA0] = start;
        CHECK(fault_of(first) == raised(load ? Cause::LoadPageFault : Cause::StorePageFault, start));
    }
}

TEST_CASE("a machine may be told to trap on misaligned loads and stores") {
    const struct { Op op; Cause cause; } accesses[] = {{Op::lh, Cause::LoadMisaligned}, {Op::ld, Cause::LoadMisaligned}, {Op::fld, Cause::LoadMisaligned},
        {Op::flh, Cause::LoadMisaligned}, {Op::sw, Cause::StoreMisaligned}, {Op::fsd, Cause::StoreMisaligned}, {Op::fsh, Cause::StoreMisaligned}};
    for (const auto& [op, cause] : accesses)
        for (u64 offset : {u64{0}, u64{1}}) {
            Machine machine = machine_with({word_of(op, 0, kA0)}, true);
            machine.hart().state[Csr::mstatus] = mstatus::FS;
            machine.hart().state.x[kA0] = kData + offset;
            CAPTURE(row(op).mnemonic);
            CHECK(fault_of(machine) == (offset ? raised(cause, kData + offset) : kNone));
        }
    Machine bytes = machine_with({word_of(Op::lb, kA1, kA0)}, true);
    bytes.hart().state.x[kA0] = kData + 1;
    CHECK(fault_of(bytes) == kNone);
}

TEST_CASE("14.2, 14.4: misaligned lr, sc and AMOs trap on every machine") {
    const struct { Op op; Cause cause; } accesses[] = {{Op::lr_w, Cause::LoadMisaligned}, {Op::lr_d, Cause::LoadMisaligned}, {Op::sc_w, Cause::StoreMisaligned},
        {Op::sc_d, Cause::StoreMisaligned}, {Op::amoadd_w, Cause::StoreMisaligned}, {Op::amoswap_d, Cause::StoreMisaligned}};
    for (const auto& [op, cause] : accesses)
        for (bool switched : {false, true}) {
            Machine machine = machine_with({word_of(op, kA1, kA0)}, switched);
            machine.hart().state.x[kA0] = kData + 2;
            CAPTURE(row(op).mnemonic);
            CHECK(fault_of(machine) == raised(cause, kData + 2));
        }
}
