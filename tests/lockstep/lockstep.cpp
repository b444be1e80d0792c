#include "tests/lockstep/lockstep.hpp"

#include "emulator/cpu/state.hpp"

#include <fmt/format.h>

namespace trapeze::lockstep {

namespace {

void compare(std::string& lines, const std::string& name, u64 ours, u64 theirs) {
    if (ours != theirs) lines += fmt::format("  {:<10} ours {:016x}  theirs {:016x}\n", name, ours, theirs);
}

} // namespace

std::string differences(const HartView& ours, const HartView& theirs) {
    std::string lines;
    compare(lines, "pc", ours.pc, theirs.pc);
    for (unsigned i = 0; i < 32; ++i) compare(lines, register_name(i), ours.x[i], theirs.x[i]);
    if (ours.detail != Detail::All || theirs.detail != Detail::All) return lines;
    compare(lines, "privilege", ours.priv, theirs.priv);
    for (unsigned i = 0; i < 32; ++i) compare(lines, fp_register_name(i), ours.f[i], theirs.f[i]);
    for (std::size_t i = 0; i < kComparedCsrCount; ++i) {
        const ComparedCsr& csr = kComparedCsrs[i];
        if (csr.csr == Csr::satp && (ours.satp_hidden || theirs.satp_hidden)) continue;
        compare(lines, csr_row(static_cast<u16>(csr.csr))->name, ours.csrs[i] & csr.mask, theirs.csrs[i] & csr.mask);
    }
    return lines;
}

bool wants_all(u32 word, u64 pc, const HartView& after) {
    const Instruction insn = decode(word);
    const InstructionRow& r = row(insn.op);
    const bool plain = insn.op != Op::Illegal && r.gate == Gate::None && r.lowest == Priv::U && r.extension != Extension::Zicsr;
    // Traps go to a handler, which is far from the program.
    return !plain || after.pc - pc > 0x1000;
}

std::vector<Amendment> amendments(u32 word, const HartView& before, const HartView& ours, const HartView& theirs) {
    std::vector<Amendment> list;
    if (theirs.detail != Detail::All) return list;
    const auto amend = [&](Csr csr, u64 theirs_would_be) {
        const u64 right = ours.csrs[compared_index(csr)], wrong = theirs.csrs[compared_index(csr)];
        if (right != wrong && right == theirs_would_be) list.push_back({csr, right});
    };
    // Section 3.1.14: bit 0 of xepc is always zero. QEMU 7.2 clears it when returning, not when it is written.
    for (Csr epc : {Csr::mepc, Csr::sepc}) amend(epc, theirs.csrs[compared_index(epc)] & ~u64{1});
    // Section 3.1.11: counter enables are 32 bits. QEMU 7.2 keeps 64.
    amend(Csr::scounteren, theirs.csrs[compared_index(Csr::scounteren)] & 0xffffffff);
    const Instruction insn = decode(word);
    // Section 3.1.6.3: a return to a mode below M clears MPRV. QEMU 7.2 leaves it.
    if ((insn.op == Op::mret || insn.op == Op::sret) && ours.priv != 3)
        amend(Csr::mstatus, theirs.csrs[compared_index(Csr::mstatus)] & ~mstatus::MPRV);
    // Section 3.1.6.6: flags are part of the state that FS describes. QEMU 7.2 does not mark it dirty when only flags can change.
    const Format format = row(insn.op).format;
    if (format == Format::FToXRm || format == Format::FCmp)
        for (Csr status : {Csr::mstatus, Csr::sstatus}) amend(status, theirs.csrs[compared_index(status)] | mstatus::FS | mstatus::SD);
    if (ours.pc != theirs.pc || ours.priv != theirs.priv) return list;
    const bool machine = ours.priv == 3;
    const Csr cause = machine ? Csr::mcause : Csr::scause, value = machine ? Csr::mtval : Csr::stval, epc = machine ? Csr::mepc : Csr::sepc;
    const auto mine = [&](Csr csr) { return ours.csrs[compared_index(csr)]; };
    const auto other = [&](Csr csr) { return theirs.csrs[compared_index(csr)]; };
    if (mine(epc) != before.pc || mine(epc) != other(epc)) return list;
    // Section 3.1.16: for a breakpoint, mtval is zero or the address. QEMU 7.2 writes zero.
    if (insn.op == Op::ebreak && mine(cause) == 3 && mine(value) == before.pc && other(value) == 0) list.push_back({value, before.pc});
    // Section 3.1.16: for an illegal instruction, mtval is zero or its bits. QEMU 7.2 has lost those of sinval.vma.
    if (insn.op == Op::sinval_vma && mine(cause) == 2 && mine(value) == word && other(value) == 0) list.push_back({value, word});
    // Section 14.4: AMOs raise store/AMO exceptions, never load exceptions. In QEMU 7.2 the load of an AMO may notice first.
    for (u64 store : {6, 7, 15}) {
        const u64 load = store == 15 ? 13 : store - 2;
        if (format == Format::Amo && mine(cause) == store && other(cause) == load) list.push_back({cause, store});
    }
    // Section 3.1.16: the address is that of the portion that faulted. QEMU 7.2 splits a misaligned access in two aligned ones.
    if ((mine(cause) == 5 || mine(cause) == 7) && mine(cause) == other(cause) && other(value) < mine(value) && mine(value) - other(value) < 8)
        list.push_back({value, mine(value)});
    return list;
}

std::string describe_step(const Program& program, u64 step, const HartView& before, const History& history) {
    const u32 word = history.ran.empty() ? 0 : history.ran.back().second;
    const ProgramOptions& o = program.options;
    std::string text = fmt::format("seed {}, step {}, {}-mode, pc {:#x}: {:08x} {}\n", o.seed, step, priv_letter(static_cast<Priv>(before.priv)),
                                   before.pc, word, disassemble(word, before.pc));
    for (const auto& [pc, earlier] : history.ran) text += fmt::format("    {:#x}: {}\n", pc, disassemble(earlier, pc));
    const Instruction insn = decode(word);
    const std::size_t status = 0; // mstatus is the first of kComparedCsrs
    text += fmt::format("  before:    rs1 {}={:016x} rs2 {}={:016x} mstatus={:016x}\n", register_name(insn.rs1), before.x[insn.rs1],
                        register_name(insn.rs2), before.x[insn.rs2], before.csrs[status]);
    text += fmt::format("  replay:    TRAPEZE_LOCKSTEP_SEED={} trapeze-tests --test-case='lock step: *'\n", o.seed);
    return text;
}

std::string memory_difference(u64 address, const std::vector<u8>& ours, const std::vector<u8>& theirs) {
    for (std::size_t i = 0; i < ours.size() && i < theirs.size(); ++i) {
        if (ours[i] == theirs[i]) continue;
        const std::size_t begin = i & ~std::size_t{7};
        u64 mine = 0, other = 0;
        for (std::size_t k = 0; k < 8 && begin + k < ours.size() && begin + k < theirs.size(); ++k)
            mine |= u64{ours[begin + k]} << (8 * k), other |= u64{theirs[begin + k]} << (8 * k);
        return fmt::format("  memory at {:#x} at the end: ours {:016x}  theirs {:016x}\n", address + begin, mine, other);
    }
    return {};
}

} // namespace trapeze::lockstep
