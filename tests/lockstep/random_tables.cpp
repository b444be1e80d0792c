#include "tests/lockstep/generator.hpp"

namespace trapeze::lockstep {

u64 Generator::random_rights() {
    u64 flags = pte::V | pte::R | pte::W | pte::X | pte::A | pte::D;
    if (random_.chance(40)) flags &= ~(u64{1} << random_.pick({0, 1, 2, 2, 3, 6, 7})); // W without R is reserved: a fault as well
    if (random_.chance(10)) flags &= ~(random_.next() & 0xce);
    if (random_.chance(40)) flags |= pte::U;
    if (random_.chance(20)) flags |= pte::G;
    if (random_.chance(10)) flags |= (random_.next() & 3) << 8; // for software
    if (random_.chance(3)) flags |= u64{1} << (54 + random_.below(7)); // reserved
    return flags;
}

/// Two tables of five pages: root, a middle for 0x8000'0000, one for the superpage's gigabyte, leaves for code, leaves for data.
Segment Generator::tables() {
    std::vector<u64> entries(2 * kTablePages * 512);
    const auto leaf = [](u64 physical, u64 flags) { return physical >> kPageShift << 10 | flags; };
    for (u64 table = 0; table < 2; ++table) {
        u64* const root = entries.data() + table * kTablePages * 512;
        const u64 root_address = kTables + table * kTablePages * kPageSize;
        u64 *middle = root + 512, *high = root + 1024, *code = root + 1536, *data = root + 2048;
        const auto pointer = [&](u64 page) { return leaf(root_address + page * kPageSize, pte::V); };
        root[bits(kCode, 38, 30)] = pointer(1);
        root[bits(kSuperpageAddress, 38, 30)] = pointer(2);
        middle[bits(kCode, 29, 21)] = pointer(3);
        middle[bits(kData, 29, 21)] = pointer(4);
        high[bits(kSuperpageAddress, 29, 21)] = leaf(kData, random_rights()) | (random_.chance(5) ? u64{1} << 10 : 0); // misaligned
        code[0] = leaf(kPrologue, pte::V | pte::R | pte::X | pte::A | pte::D);
        for (u64 page = 0; page < 16; ++page) {
            u64 flags = random_rights();
            if (random_.chance(70)) flags |= pte::V | pte::R | pte::X; // mostly code that can run
            code[bits(kCode, 20, 12) + page] = leaf(kCode + page * kPageSize, flags);
        }
        for (u64 page = 0; page < kDataPages; ++page)
            data[bits(kData, 20, 12) + page] = leaf(kData + random_.below(kDataPages) * kPageSize, random_rights());
    }
    Segment segment{kTables, {}};
    for (u64 entry : entries)
        for (unsigned i = 0; i < 8; ++i) segment.bytes.push_back(static_cast<u8>(entry >> (8 * i)));
    return segment;
}

} // namespace trapeze::lockstep
