// The random guests of the equivalence check: code, two address spaces with permissions dealt out at random, and a random state of the hart.
#include "emulator/isa/encode.hpp"
#include "hypervisor-sim/equivalence.hpp"

#include <array>
#include <random>

namespace trapeze::vmm {

namespace {

using namespace random_guest_layout;
constexpr u64 kUartScratch = kUartBase + 7;
constexpr u64 kStartCycles = 10'000'000;
constexpr unsigned kDataPages = 8;
constexpr u64 kGuestBytes = u64{16} << 20;

class Random {
  public:
    explicit Random(u64 seed) : engine_(seed) {}
    u64 below(u64 limit) { return engine_() % limit; }
    u64 any() { return engine_(); }
    bool one_in(u64 n) { return below(n) == 0; }
    template <class C> auto pick(const C& from) { return from[below(std::size(from))]; }

  private:
    std::mt19937_64 engine_;
};

/// Two address spaces over the same memory, their permissions dealt out at random.
u64 table_satp(unsigned which) { return satp::kSv39 << 60 | (kTables + which * 0x10000) >> kPageShift; }

struct Poke {
    u64 address, value;
};

void lay_out_tables(Random& random, std::vector<Poke>& pokes) {
    const auto pointer = [](u64 table) { return table >> 2 | pte::V; };
    for (unsigned which = 0; which < 2; ++which) {
        const u64 root = kTables + which * 0x10000, ram = root + 0x1000, low = root + 0x2000, devices = root + 0x3000;
        const auto leaf = [&](u64 physical, u64 always) {
            u64 permissions = random.pick(std::array<u64, 6>{pte::R, pte::R | pte::W, pte::R | pte::W | pte::X, pte::X, pte::R | pte::X, pte::W});
            if (random.one_in(2)) permissions |= pte::U;
            if (random.one_in(2)) permissions |= pte::A;
            if (random.one_in(2)) permissions |= pte::A | pte::D;
            return physical >> 2 | permissions | always | (random.one_in(8) ? 0 : pte::V);
        };
        pokes.push_back({root + 8 * 2, pointer(ram)});
        pokes.push_back({root + 8 * 0, pointer(devices)});
        pokes.push_back({devices + 8 * (kUartBase >> 21), leaf(kUartBase, pte::R | pte::W | pte::V)});
        pokes.push_back({ram + 8 * 0, pointer(low)});
        pokes.push_back({ram + 8 * 1, leaf(kBig, 0)});
        for (unsigned page = 0; page < 4; ++page)
            pokes.push_back({low + 8 * page, leaf(kCode + page * kPageSize, pte::V | pte::X | pte::R)});
        for (unsigned page = 0; page < kDataPages; ++page)
            pokes.push_back({low + 8 * (0x10 + page), leaf(kData + page * kPageSize, 0)});
    }
}

bool time_dependent(const CsrRow& csr) {
    switch (csr.csr) {
    case Csr::time: case Csr::cycle: case Csr::mcycle: case Csr::mcountinhibit: return true;
    default: return false;
    }
}

u64 random_value(Random& random) {
    switch (random.below(8)) {
    case 0: return kCode + random.below(0x4000);
    case 1: return kData + random.below(kDataPages * kPageSize);
    case 2: return kBig + random.below(0x4000);
    case 3: return random.one_in(2) ? kUartScratch : 0;
    case 4: return random.below(16);
    case 5: return ~u64{0} >> random.below(4) * 8;
    case 6: return random.one_in(2) ? table_satp(0) : table_satp(1);
    default: return random.any() & ~(u64{15} << 60) & ~(u64{0xff} << 52);
    }
}

/// `counted`: the program may read how many instructions have retired, which a translated one knows differently.
u32 random_instruction(Random& random, bool counted) {
    static constexpr Op kSystem[] = {Op::ecall, Op::ebreak, Op::mret, Op::sret, Op::sfence_vma, Op::fence_i, Op::mret, Op::sret, Op::sfence_vma};
    static constexpr Op kCsrOps[] = {Op::csrrw, Op::csrrs, Op::csrrc, Op::csrrwi, Op::csrrsi, Op::csrrci};
    static constexpr Op kMemory[] = {Op::lb, Op::lh, Op::lw, Op::ld, Op::lbu, Op::sb, Op::sh, Op::sw, Op::sd, Op::sd, Op::ld, Op::fld, Op::fsd, Op::flw, Op::fsw,
                                     Op::amoadd_w, Op::amoswap_d, Op::lr_d, Op::sc_d, Op::lr_w, Op::sc_w, Op::amomaxu_d};
    static constexpr Op kPlain[] = {Op::add, Op::sub, Op::addi, Op::xori, Op::mul, Op::div, Op::fadd_d, Op::fmv_x_d, Op::fmv_d_x, Op::auipc, Op::slli};
    Operands o{static_cast<unsigned>(random.below(32)), static_cast<unsigned>(random.below(32)), static_cast<unsigned>(random.below(32)),
               static_cast<i64>(random.below(64))};
    switch (random.below(16)) {
    case 0: return random.one_in(4) ? encode(Op::wfi, {}) : random.one_in(3) ? static_cast<u32>(random.any()) | 3 : encode(random.pick(kSystem), o);
    case 1: case 2: return encode(random.pick(kSystem), o);
    case 3: case 4: case 5: case 6: case 7: {
        const CsrRow* csr = &csr_row_at(random.below(kCsrCount));
        while (time_dependent(*csr) || (!counted && (csr->csr == Csr::instret || csr->csr == Csr::minstret))) csr = &csr_row_at(random.below(kCsrCount));
        static constexpr Csr kOften[] = {Csr::mstatus, Csr::sstatus, Csr::satp, Csr::sepc, Csr::mepc, Csr::sip, Csr::mip, Csr::sie, Csr::mie, Csr::medeleg, Csr::stvec, Csr::senvcfg};
        o.imm = static_cast<i64>(random.one_in(2) ? random.pick(kOften) : csr->csr);
        if (random.one_in(3)) o.rs1 = 0; // reads only
        if (random.one_in(4)) o.rd = 0;  // writes only
        return encode(random.pick(kCsrOps), o);
    }
    case 8: case 9: case 10: case 11: case 12: return encode(random.pick(kMemory), o);
    case 13: return encode(Op::jal, {o.rd, 0, 0, 8});
    default: return encode(random.pick(kPlain), o);
    }
}

} // namespace

Result<GuestInMode> random_guest(const EquivalenceCheck& check, Mode mode) {
    Random random(check.seed);
    std::vector<u32> code(0x4000 / 4);
    for (u32& word : code) word = random_instruction(random, check.mode != Mode::Translate);
    std::vector<u8> image(reinterpret_cast<u8*>(code.data()), reinterpret_cast<u8*>(code.data() + code.size()));
    VmConfig config;
    config.mode = mode, config.ram_bytes = kGuestBytes, config.firmware = false, config.switches = check.switches;
    config.features = kCommonFeatures, config.features.silent = check.silent;
    auto created = GuestInMode::create(config);
    if (!created) return created;
    if (const auto loaded = created->load(std::move(image), "random guest"); !loaded) return Error{loaded.error()};
    GuestInMode& running = *created;

    std::vector<Poke> pokes;
    lay_out_tables(random, pokes);
    for (unsigned i = 0; i < 256; ++i) pokes.push_back({kData + i * 128, random.any()});
    Bus bus = running.bus();
    for (const Poke& poke : pokes) bus.ram.write_value(bus.ram_offset(poke.address), poke.value);

    Hart maker(0, config.features);
    maker.reset(kCode + random.below(0x200) * 4);
    for (unsigned i = 1; i < 32; ++i) maker.state.x[i] = random_value(random), maker.state.f[i] = random.any();
    for (Csr csr : {Csr::mstatus, Csr::medeleg, Csr::mideleg, Csr::mie, Csr::mip, Csr::mcounteren, Csr::scounteren, Csr::sscratch, Csr::mscratch, Csr::fcsr, Csr::senvcfg})
        maker.write_csr(csr, random.any(), bus);
    maker.write_csr(Csr::menvcfg, random.one_in(4) ? 0 : menvcfg::ADUE | menvcfg::STCE, bus);
    maker.write_csr(Csr::mtvec, kCode + 0x1000 + random.below(2), bus);
    maker.write_csr(Csr::stvec, kCode + 0x2000 + random.below(2), bus);
    maker.write_csr(Csr::mepc, kCode + random.below(0x1000), bus);
    maker.write_csr(Csr::sepc, kCode + random.below(0x1000), bus);
    maker.write_csr(Csr::satp, random.pick(std::array<u64, 4>{0, table_satp(0), table_satp(1), table_satp(0)}), bus);
    if (random.one_in(2)) maker.write_csr(Csr::mstatus, maker.read_csr(Csr::mstatus, bus) & ~(mstatus::MPRV | mstatus::TVM | mstatus::TW | mstatus::TSR), bus);
    const bool divided = random.one_in(3); // a region that memory protection cuts out of a page
    maker.write_csr(Csr::pmpaddr0, divided ? (kData + random.below(4) * kPageSize + 0x100) >> 2 : ~u64{0}, bus);
    maker.write_csr(Csr::pmpaddr1, ~u64{0}, bus);
    maker.write_csr(Csr::pmpcfg0, 0x1f00 | (divided ? 0x10 | random.below(8) : 0x1f), bus);
    maker.state.priv = random.pick(std::array<Priv, 3>{Priv::U, Priv::S, Priv::M});
    maker.state.cycles = kStartCycles;
    if (running.vm) {
        running.vm->set_guest_state(running.machine, maker.state);
        running.machine.hart().state.cycles = kStartCycles;
    } else {
        running.machine.hart().state = maker.state;
        running.machine.hart().flush_all();
    }
    return created;
}

} // namespace trapeze::vmm
