// Runs a program on two sides, an instruction at a time, and says where they first disagree.
// Usage: `Report report = run_lockstep(ours, theirs, random_program({.seed = 7}));`
#pragma once

#include "tests/lockstep/hart_view.hpp"

#include <string>
#include <utility>

namespace trapeze::lockstep {

struct Report {
    u64 steps = 0;            ///< made, the prologue's included
    u64 amended = 0;          ///< known differences that were mended in the peer
    u64 compared = 0;         ///< after which everything was compared
    bool parted = false;      ///< a known difference that cannot be mended ended the comparison
    std::string disagreement; ///< seed, step, instruction and what differs; empty: none
    std::string host_error;   ///< the run could not be finished; empty: it was
    bool agreed() const { return disagreement.empty() && host_error.empty(); }
};

/// The last instructions that ran, the newest last.
struct History {
    static constexpr std::size_t kKept = 8;
    std::vector<std::pair<u64, u32>> ran; ///< address and word
    void add(u64 pc, u32 word) {
        if (ran.size() == kKept) ran.erase(ran.begin());
        ran.emplace_back(pc, word);
    }
};

/// The lines that say what differs; empty when nothing does.
std::string differences(const HartView& ours, const HartView& theirs);
/// The beginning of a report of a disagreement: the seed, the step, the instruction, and how to replay it.
std::string describe_step(const Program& program, u64 step, const HartView& before, const History& history);
/// The first 8 bytes that differ; empty: none.
std::string memory_difference(u64 address, const std::vector<u8>& ours, const std::vector<u8>& theirs);

/// Where the peer is known to differ although we are right, or both are: what to write into it so that the run goes on.
struct Amendment {
    Csr csr;
    u64 value;
};
std::vector<Amendment> amendments(u32 word, const HartView& before, const HartView& ours, const HartView& theirs);
/// QEMU 7.2 ignores what is written to htinst, so that it is compared when a trap to HS-mode has written it, and its zeros cannot be mended.
void hide_what_cannot_be_written(const HartView& before, const HartView& ours, HartView& theirs);
/// Whether QEMU is known to go elsewhere from here; nothing can be compared from then on.
bool parts(u32 word, const HartView& before, const HartView& ours, const HartView& theirs);
/// Whether a step can have changed more than general registers.
bool wants_all(u32 word, u64 pc, const HartView& after);

/// `theirs` needs write_csr(csr, value) besides.
template <Side Ours, Side Theirs>
Report run_lockstep(Ours& ours, Theirs& theirs, const Program& program, u64 step_limit = 50'000) {
    Report report;
    const auto failed = [&](const auto& result) {
        if (!result) report.host_error = result.error();
        return !result;
    };
    if (failed(ours.reset(program)) || failed(theirs.reset(program))) return report;
    History history;
    HartView before;
    bool comparing = false;
    before.pc = program.entry;
    before.priv = 3;
    while (before.pc != program.end) {
        if (report.steps == step_limit) {
            report.host_error = "seed " + std::to_string(program.options.seed) + ": the program did not end within the limit of " +
                                std::to_string(step_limit) + " steps; mend the generator\n" +
                                describe_step(program, report.steps, before, history);
            return report;
        }
        auto bytes = ours.read(before.pc, 4); // code is mapped to itself
        if (failed(bytes)) return report;
        u32 word = 0;
        for (std::size_t i = 0; i < 4; ++i) word |= u32{bytes.value()[i]} << (8 * i);
        history.add(before.pc, word);
        if (failed(ours.step()) || failed(theirs.step())) return report;
        ++report.steps;
        auto mine = ours.view(Detail::All);
        if (failed(mine)) return report;
        const bool all = !comparing || wants_all(word, before.pc, mine.value()) || report.steps % 64 == 0 || mine->pc == program.end;
        comparing = comparing || mine->pc == program.begin;
        if (comparing) {
            auto other = theirs.view(all ? Detail::All : Detail::General);
            if (failed(other)) return report;
            if (all && parts(word, before, mine.value(), other.value())) {
                report.parted = true;
                return report;
            }
            hide_what_cannot_be_written(before, mine.value(), other.value());
            for (const Amendment& amendment : amendments(word, before, mine.value(), other.value())) {
                if (failed(theirs.write_csr(amendment.csr, amendment.value))) return report;
                other->csrs[compared_index(amendment.csr)] = amendment.value;
                ++report.amended;
            }
            const std::string lines = differences(mine.value(), other.value());
            if (!lines.empty()) {
                report.disagreement = describe_step(program, report.steps, before, history) + lines;
                return report;
            }
            ++report.compared;
        }
        before = mine.value();
    }
    for (const Segment& segment : program.segments) {
        auto mine = ours.read(segment.address, segment.bytes.size()), other = theirs.read(segment.address, segment.bytes.size());
        if (failed(mine) || failed(other)) return report;
        report.disagreement += memory_difference(segment.address, mine.value(), other.value());
    }
    if (!report.disagreement.empty()) report.disagreement = describe_step(program, report.steps, before, history) + report.disagreement;
    return report;
}

} // namespace trapeze::lockstep
