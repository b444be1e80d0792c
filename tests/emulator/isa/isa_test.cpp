// The instruction and CSR tables: decoding, compressed expansion, disassembly.
#include "emulator/isa/isa.hpp"

#include "emulator/isa/csr_fields.hpp"

#include <doctest/doctest.h>

using namespace trapeze;

TEST_CASE("decode: every row's match decodes to its own row") {
    for (std::size_t i = 0; i < kOpCount; ++i) {
        const Op op = static_cast<Op>(i);
        CAPTURE(row(op).mnemonic);
        CHECK(decode(row(op).match).op == op);
    }
}

TEST_CASE("decode: immediates are sign-extended and scaled as section 2.3 says") {
    CHECK(decode(0xfff50513).imm == -1);              // addi a0, a0, -1
    CHECK(decode(0xfe000ee3).imm == -4);              // beq zero, zero, -4
    CHECK(decode(0xffdff06f).imm == -4);              // j -4
    CHECK(decode(0x80000537).imm == INT32_MIN);       // lui a0, 0x80000
    CHECK(decode(0xfea12e23).imm == -4);              // sw a0, -4(sp)
    CHECK(decode(0x18051073).imm == 0x180);           // csrw satp, a0
    CHECK(decode(0x43f55513).imm == 63);              // srai a0, a0, 63
}

TEST_CASE("decode: words that are no instruction are illegal") {
    for (u32 word : {0u, 0xffffffffu, 0x00000073u | 2u << 20, 0x0000000bu}) {
        CAPTURE(word);
        CHECK(decode(word).op == Op::Illegal);
    }
}

TEST_CASE("compressed: well-known encodings expand to their base instruction") {
    const auto text = [](u16 half) { return disassemble_by_table(half, 0x1000); };
    CHECK(text(0x4501) == "addi a0, zero, 0");  // c.li a0, 0
    CHECK(text(0x8082) == "jalr zero, 0(ra)");  // c.jr ra
    CHECK(text(0x852e) == "add a0, zero, a1");  // c.mv a0, a1
    CHECK(text(0x1141) == "addi sp, sp, -16");  // c.addi sp, -16
    CHECK(text(0xe406) == "sd ra, 8(sp)");      // c.sdsp ra, 8
    CHECK(text(0x60a2) == "ld ra, 8(sp)");      // c.ldsp ra, 8
    CHECK(text(0x7139) == "addi sp, sp, -64");  // c.addi16sp -64
    CHECK(text(0x0800) == "addi s0, sp, 16");   // c.addi4spn
    CHECK(text(0xa001) == "jal zero, 0x1000");  // c.j .
    CHECK(text(0x9002) == "ebreak");
    CHECK(expand_compressed(0) == 0);
}

TEST_CASE("compressed: every half-word expands to something that decodes, or is illegal") {
    unsigned legal = 0;
    for (u32 half = 0; half < 0x10000; ++half) {
        if (is_long(static_cast<u16>(half))) continue;
        const u32 full = expand_compressed(static_cast<u16>(half));
        if (!full) continue;
        ++legal;
        REQUIRE(decode(full).op != Op::Illegal);
        REQUIRE(decode(half).length == 2);
    }
    CHECK(legal > 40000);
}

TEST_CASE("csrs: numbers, names and slots agree") {
    for (std::size_t i = 0; i < kCsrCount; ++i) {
        const CsrRow& r = csr_row_at(i);
        CAPTURE(r.name);
        CHECK(r.slot == i);
        CHECK(csr_row(static_cast<u16>(r.csr)) == &r);
        CHECK(csr_by_name(r.name) == &r);
        CHECK(slot(r.csr) == i);
    }
    CHECK(csr_row(0x800) == nullptr);
    CHECK(csr_lowest_priv(static_cast<u16>(Csr::satp)) == Priv::S);
    CHECK(csr_read_only(static_cast<u16>(Csr::mhartid)));
}

TEST_CASE("disassembly: privileged instructions are written as people write them") {
    CHECK(disassemble(0x18051073, 0) == "csrw satp, a0");
    CHECK(disassemble(0x10002573, 0) == "csrr a0, sstatus");
    CHECK(disassemble(0x10200073, 0) == "sret");
    CHECK(disassemble(0xfe000ee3, 0x1004) == "beq zero, zero, 0x1000");
}

TEST_CASE("disassembly: extensions that Capstone does not know come from the table") {
    CHECK(disassemble(0x20b52533, 0) == "sh1add a0, a0, a1");
    CHECK(disassemble(0x0805151b, 0) == "slli.uw a0, a0, 0");
    CHECK(disassemble(0x60051513, 0) == "clz a0, a0");
    CHECK(disassemble(0x6b855513, 0) == "rev8 a0, a0");
    CHECK(disassemble(0x0805453b, 0) == "zext.h a0, a0");
    CHECK(disassemble(0x63f55513, 0) == "rori a0, a0, 63");
    CHECK(disassemble(0x0ab51533, 0) == "clmul a0, a0, a1");
    CHECK(disassemble(0x49f51513, 0) == "bclri a0, a0, 31");
    CHECK(disassemble(0x0eb55533, 0) == "czero.eqz a0, a0, a1");
    CHECK(disassemble(0x00151507, 0) == "flh fa0, 1(a0)");
    CHECK(disassemble(0x4405f553, 0) == "fcvt.h.s fa0, fa1");
    CHECK(disassemble(0x0045200f, 0) == "cbo.zero (a0)");
    CHECK(disassemble(0x00d00073, 0) == "wrs.nto");
}

TEST_CASE("disassembly: hints have their names, and run as the instruction that they are") {
    CHECK(disassemble(0x0100000f, 0) == "pause");
    CHECK(decode(0x0100000f).op == Op::fence);
    CHECK(disassemble(0x02056013, 0) == "prefetch.i 32(a0)");
    CHECK(disassemble(0xfe156013, 0) == "prefetch.r -32(a0)");
    CHECK(disassemble(0x00356013, 0) == "prefetch.w 0(a0)");
    CHECK(decode(0x00356013).op == Op::ori);
    CHECK(disassemble(0x00256013, 0).starts_with("ori zero, a0, 2")); // no hint of a name
    CHECK(hint_row(0x0ff0000f) == nullptr);                          // fence iorw, iorw
}

TEST_CASE("disassembly: total over random words") {
    u64 seed = 1;
    for (int i = 0; i < 200000; ++i) {
        seed = seed * 6364136223846793005 + 1442695040888963407;
        REQUIRE(!disassemble(static_cast<u32>(seed >> 32), 0x8000'0000).empty());
    }
}

TEST_CASE("The fields of a CSR do not overlap, stand from high to low, and say what they are") {
    for (std::size_t i = 0; i < kCsrCount; ++i) {
        const CsrRow& row = csr_row_at(i);
        unsigned above = 64;
        for (const CsrField& field : csr_fields(row.csr)) {
            CAPTURE(row.name);
            CAPTURE(field.name);
            CHECK(field.high < above);
            CHECK(field.low <= field.high);
            CHECK(std::string(field.sentence).find('(') != std::string::npos); // the section
            above = field.low;
        }
    }
    const auto fields = csr_fields(Csr::vsatp);
    REQUIRE(fields.size() == 3);
    CHECK(fields[0].meaning(u64{8} << 60) == "Sv39");
    CHECK(fields[0].meaning(u64{10} << 60) == "Sv57");
    CHECK(fields[2].meaning(0x80001) == "0x80001");
    CHECK(csr_fields(Csr::sscratch).empty());
}
