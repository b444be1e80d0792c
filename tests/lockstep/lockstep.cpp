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
        if (ours.hidden[i] || theirs.hidden[i]) continue;
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

std::string describe_step(const Program& program, u64 step, const HartView& before, const History& history) {
    const u32 word = history.ran.empty() ? 0 : history.ran.back().second;
    const ProgramOptions& o = program.options;
    std::string text = fmt::format("seed {}, step {}, {}-mode, pc {:#x}: {:08x} {}\n", o.seed, step, mode_text(before.mode()), before.pc, word, disassemble(word, before.pc));
    for (const auto& [pc, earlier] : history.ran) text += fmt::format("    {:#x}: {}\n", pc, disassemble(earlier, pc));
    const Instruction insn = decode(word);
    const std::size_t status = 0; // mstatus is the first of kComparedCsrs
    text += fmt::format("  before:    rs1 {}={:016x} rs2 {}={:016x} mstatus={:016x}\n", register_name(insn.rs1), before.x[insn.rs1],
                        register_name(insn.rs2), before.x[insn.rs2], before.csrs[status]);
    if (o.guests)
        text += fmt::format("             satp={:016x} vsatp={:016x} hgatp={:016x} hstatus={:016x} vsstatus={:016x}\n", before[Csr::satp], before[Csr::vsatp],
                            before[Csr::hgatp], before[Csr::hstatus], before[Csr::vsstatus]);
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
