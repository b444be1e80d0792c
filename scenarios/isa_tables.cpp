#include "scenarios/isa_tables.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace trapeze::scenarios {

namespace {

const char* sensitivity_name(Sensitivity sensitivity) {
    static constexpr const char* kNames[] = {"innocuous", "control-sensitive", "behaviour-sensitive", "as its CSR"};
    return kNames[static_cast<std::size_t>(sensitivity)];
}
std::string lowest_name(Priv lowest) { return lowest == Priv::Hs ? "HS" : std::string(1, priv_letter(lowest)); }

std::string in_user_text(InUser in_user, Gate gate) {
    switch (in_user) {
    case InUser::Runs: return "runs";
    case InUser::Traps: return "traps";
    case InUser::Trap: return "is a trap";
    case InUser::Gated: return "traps unless " + user_gate(gate);
    case InUser::ByCsr: break;
    }
    return "as its CSR";
}

bool is_sensitive(Sensitivity sensitivity) { return sensitivity == Sensitivity::Control || sensitivity == Sensitivity::Behaviour; }

/// How many rows of a table are of each kind, for the verdict on it.
struct Tally {
    unsigned rows = 0, innocuous = 0, sensitive = 0, privileged = 0, gated = 0, open = 0;
    void add(Sensitivity sensitivity, InUser in_user) {
        ++rows;
        if (sensitivity == Sensitivity::Innocuous) ++innocuous;
        if (!is_sensitive(sensitivity)) return;
        ++sensitive;
        privileged += in_user == InUser::Traps || in_user == InUser::Trap;
        gated += in_user == InUser::Gated;
        open += in_user == InUser::Runs;
    }
};
Tally instruction_tally() {
    Tally tally;
    for (std::size_t i = 0; i < kOpCount; ++i) tally.add(row(static_cast<Op>(i)).sensitivity, in_user(row(static_cast<Op>(i))));
    return tally;
}
Tally csr_tally() {
    Tally tally;
    for (std::size_t i = 0; i < kCsrCount; ++i) tally.add(csr_row_at(i).sensitivity, in_user(csr_row_at(i)));
    return tally;
}

void add_instructions(std::string& text, bool sensitive) {
    text += "| instruction | extension | lowest | in U-mode | class |\n|---|---|---|---|---|\n";
    for (std::size_t i = 0; i < kOpCount; ++i) {
        const InstructionRow& r = row(static_cast<Op>(i));
        if ((r.sensitivity != Sensitivity::Innocuous) != sensitive) continue;
        text += fmt::format("| `{}` | {} | {} | {} | {} |\n", r.mnemonic, extension_name(r.extension), lowest_name(r.lowest), in_user_text(in_user(r), r.gate),
                            sensitivity_name(r.sensitivity));
    }
}

void add_csrs(std::string& text) {
    text += "| number | CSR | lowest | access | in U-mode | class | what it is |\n|---|---|---|---|---|---|---|\n";
    for (std::size_t i = 0; i < kCsrCount; ++i) {
        const CsrRow& r = csr_row_at(i);
        const auto number = static_cast<u16>(r.csr);
        text += fmt::format("| 0x{:03x} | `{}` | {} | {} | {} | {} | {} |\n", number, r.name, lowest_name(csr_lowest_priv(number)),
                            csr_read_only(number) ? "read" : "read, write", in_user_text(in_user(r), r.gate), sensitivity_name(r.sensitivity), r.sentence);
    }
}

std::string verdict_line(const char* what, const Tally& tally) {
    return fmt::format("| {} | {} | {} | {} | {} | {} | {} |\n", what, tally.rows, tally.innocuous, tally.sensitive, tally.privileged, tally.gated, tally.open);
}

constexpr const char* kIntroduction = R"(# Instructions and CSRs, classified

This file is what `./trapeze isa --format markdown` prints, from the tables that the machine runs on (`emulator/isa/instructions.def`,
`emulator/isa/csrs.def`); a test compares the two.

Popek and Goldberg (1974) call an instruction

- *privileged* when it traps in user mode and does not in supervisor mode;
- *control-sensitive* when it changes the machine's resources or its mode;
- *behaviour-sensitive* when what it does depends on them: on the mode, or on where in the machine's memory the program lies;
- *innocuous* when it is not sensitive.

Their theorem: a virtual machine monitor can be built by running the guest in user mode if every sensitive instruction is privileged. The column
"in U-mode" says what the hart does. A gate is a bit of more privileged software's: as long as the VMM keeps it closed, the instruction traps. An
instruction that names a CSR is as sensitive as that CSR. `ecall` and `ebreak` are traps by themselves.

)";

} // namespace

const char* extension_name(Extension extension) {
    static constexpr const char* kNames[] = {"I", "M", "A", "F", "D", "Zicsr", "Zifencei", "H", "Svinval", "Zihintpause", "Zawrs", "Zicond", "Zicbom",
                                             "Zicbop", "Zicboz", "Zfhmin", "Zba", "Zbb", "Zbc", "Zbs"};
    return kNames[static_cast<std::size_t>(extension)];
}

InUser in_user(const InstructionRow& r) {
    if (r.match == row(Op::ecall).match || r.match == row(Op::ebreak).match) return InUser::Trap;
    if (r.sensitivity == Sensitivity::ByCsr) return InUser::ByCsr;
    if (r.lowest != Priv::U) return InUser::Traps;
    return user_gate(r.gate).empty() ? InUser::Runs : InUser::Gated;
}

InUser in_user(const CsrRow& r) {
    if (csr_lowest_priv(static_cast<u16>(r.csr)) != Priv::U) return InUser::Traps;
    return user_gate(r.gate).empty() ? InUser::Runs : InUser::Gated;
}

std::string user_gate(Gate gate) {
    switch (gate) {
    case Gate::Hu: return "hstatus.HU is set";
    case Gate::Fs: return "mstatus.FS is on";
    case Gate::Counter: return "mcounteren and scounteren allow it";
    case Gate::Cbie: return "CBIE of menvcfg and senvcfg is set";
    case Gate::Cbcfe: return "CBCFE of menvcfg and senvcfg is set";
    case Gate::Cbze: return "CBZE of menvcfg and senvcfg is set";
    case Gate::None: case Gate::Tvm: case Gate::Tw: case Gate::Tsr: case Gate::Stce: case Gate::Mcfg: case Gate::StateEnable: case Gate::Environment: break; // these close S-mode
    }
    return {};
}

std::string isa_text() {
    std::string text = fmt::format("{:<16}{:<13}{:<8}{:<48}{}\n", "instruction", "extension", "lowest", "in U-mode", "Popek and Goldberg");
    for (std::size_t i = 0; i < kOpCount; ++i) {
        const InstructionRow& r = row(static_cast<Op>(i));
        text += fmt::format("{:<16}{:<13}{:<8}{:<48}{}\n", r.mnemonic, extension_name(r.extension), lowest_name(r.lowest), in_user_text(in_user(r), r.gate),
                            sensitivity_name(r.sensitivity));
    }
    text += fmt::format("\n{:<8}{:<16}{:<8}{:<42}{:<22}{}\n", "number", "CSR", "lowest", "in U-mode", "Popek and Goldberg", "what it is");
    for (std::size_t i = 0; i < kCsrCount; ++i) {
        const CsrRow& r = csr_row_at(i);
        const auto number = static_cast<u16>(r.csr);
        text += fmt::format("0x{:03x}   {:<16}{:<8}{:<42}{:<22}{}\n", number, r.name, lowest_name(csr_lowest_priv(number)), in_user_text(in_user(r), r.gate),
                            sensitivity_name(r.sensitivity), r.sentence);
    }
    return text;
}

std::string isa_markdown() {
    std::string text = kIntroduction;
    text += "## The verdict\n\n| table | rows | innocuous | sensitive | of them: trap | behind a gate | run in U-mode |\n|---|---|---|---|---|---|---|\n";
    text += verdict_line("instructions", instruction_tally()) + verdict_line("CSRs", csr_tally());
    text += "\nThe rest of the instructions are as the CSR that they name. None that is sensitive runs in U-mode against the VMM's will, so RISC-V can be\n"
            "virtualised by trap and emulation. x86 could not: Robin and Irvine (2000) count 17 instructions of the Pentium that are sensitive and do not trap.\n";
    text += "\n## Sensitive instructions\n\n";
    add_instructions(text, true);
    text += "\n## CSRs\n\n";
    add_csrs(text);
    text += "\n## Innocuous instructions\n\n";
    add_instructions(text, false);
    return text;
}

std::string isa_json() {
    nlohmann::ordered_json instructions = nlohmann::ordered_json::array(), csrs = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < kOpCount; ++i) {
        const InstructionRow& r = row(static_cast<Op>(i));
        instructions.push_back({{"mnemonic", r.mnemonic}, {"match", r.match}, {"mask", r.mask}, {"extension", extension_name(r.extension)},
                                {"lowest", lowest_name(r.lowest)}, {"in_user", in_user_text(in_user(r), r.gate)}, {"sensitivity", sensitivity_name(r.sensitivity)}});
    }
    for (std::size_t i = 0; i < kCsrCount; ++i) {
        const CsrRow& r = csr_row_at(i);
        const auto number = static_cast<u16>(r.csr);
        csrs.push_back({{"number", number}, {"name", r.name}, {"lowest", lowest_name(csr_lowest_priv(number))}, {"read_only", csr_read_only(number)},
                        {"in_user", in_user_text(in_user(r), r.gate)}, {"sensitivity", sensitivity_name(r.sensitivity)}, {"sentence", r.sentence}});
    }
    return nlohmann::ordered_json{{"instructions", instructions}, {"csrs", csrs}}.dump(2) + "\n";
}

} // namespace trapeze::scenarios
