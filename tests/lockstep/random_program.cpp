#include "tests/lockstep/generator.hpp"

namespace trapeze::lockstep {

namespace {

/// Patches the branch of a group that is `distance` bytes before its target.
void patch(Group& g, i64 distance) {
    const auto merge = [&](u32 word, unsigned bytes) {
        for (unsigned i = 0; i < bytes; ++i) g.code.bytes[g.fixup + i] |= static_cast<u8>(word >> (8 * i));
    };
    const u32 d = static_cast<u32>(distance);
    switch (g.kind) {
    case Group::Target::None: return;
    case Group::Target::Branch: return merge(encode(Op::beq, {.imm = distance}), 4);
    case Group::Target::Jump: return merge(encode(Op::jal, {.imm = distance}), 4);
    case Group::Target::Register: return merge((d + 4) << 20, 4); // counted from the auipc before
    case Group::Target::CompressedBranch:
        return merge((d >> 8 & 1) << 12 | (d >> 3 & 3) << 10 | (d >> 6 & 3) << 5 | (d >> 1 & 3) << 3 | (d >> 5 & 1) << 2, 2);
    case Group::Target::CompressedJump:
        return merge((d >> 11 & 1) << 12 | (d >> 4 & 1) << 11 | (d >> 8 & 3) << 9 | (d >> 10 & 1) << 8 | (d >> 6 & 1) << 7 | (d >> 7 & 1) << 6 |
                         (d >> 1 & 7) << 3 | (d >> 5 & 1) << 2, 2);
    }
}

} // namespace

Segment Generator::registers(std::vector<u64> values) {
    Segment segment{kRegisters, {}};
    for (u64 value : values)
        for (unsigned i = 0; i < 8; ++i) segment.bytes.push_back(static_cast<u8>(value >> (8 * i)));
    return segment;
}

Segment Generator::program_code(u64& end) {
    std::vector<Group> groups;
    for (std::size_t i = 0; i < options_.groups; ++i) groups.push_back(group(i));
    Code& last = groups.emplace_back().code;
    if (options_.guests) last.word(encode(Op::ecall, {})); // back to M-mode, from where the next program goes on
    last.word(encode(Op::jal, {}));
    std::vector<u64> at;
    u64 offset = 0;
    for (const Group& g : groups) at.push_back(offset), offset += g.code.bytes.size();
    Segment segment{kCode, {}};
    for (std::size_t i = 0; i < groups.size(); ++i) {
        Group& g = groups[i];
        if (g.kind != Group::Target::None) {
            const i64 reach = g.kind == Group::Target::CompressedBranch ? 250 : 1800;
            const auto distance = [&](std::size_t to) { return static_cast<i64>(at[to] - at[i] - g.fixup); };
            std::size_t to = std::min(g.target, groups.size() - 1);
            while (to > i + 1 && distance(to) > reach) --to;
            patch(g, distance(std::max(to, i + 1)));
        }
        segment.bytes.insert(segment.bytes.end(), g.code.bytes.begin(), g.code.bytes.end());
    }
    end = kCode + offset - 4;
    return segment;
}

Program Generator::generate() {
    Program program;
    program.options = options_;
    program.entry = kPrologue;
    program.begin = kCode;
    if (options_.guests) {
        waits_ = random_.chance(50) ? Waits::BelowMachine : Waits::InGuests;
        injects_ = random_.chance(50);
        parts_ = random_.chance(25);
    }
    program.segments.push_back(prologue());
    program.segments.push_back(options_.guests ? guest_tables() : tables());
    program.segments.push_back(program_code(program.end));
    std::vector<u64> initial(64 + 64);
    for (u64& value : initial) value = interesting_value();
    for (unsigned pointer : kPointers) initial[pointer] = kData + 0x800 + pointer % 3 * kPageSize;
    initial[(kEndPointer - kRegisters) / 8] = program.end;
    program.segments.push_back(registers(std::move(initial)));
    Segment data{kData, {}};
    while (data.bytes.size() < kDataPages * kPageSize) {
        const u64 value = interesting_value();
        for (unsigned i = 0; i < 8; ++i) data.bytes.push_back(static_cast<u8>(value >> (8 * i)));
    }
    program.segments.push_back(std::move(data));
    return program;
}

Program random_program(const ProgramOptions& options) { return Generator(options).generate(); }

} // namespace trapeze::lockstep
