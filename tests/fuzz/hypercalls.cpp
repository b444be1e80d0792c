// Fuzz target: hypercalls and page-table batches. A paravirtual kernel makes the calls that the input stands for, with addresses that matter
// mixed in. Whatever they are, no table may then hold an entry that leads out of the guest or makes a table writable.
#include "emulator/machine.hpp"
#include "hypervisor-sim/vmm.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <cstdlib>

namespace {

using namespace trapeze;
using namespace trapeze::vmm;

constexpr u64 kBytes = u64{4} << 20, kCode = kRamBase + 0x20'0000, kShared = kRamBase + 0x21'0000, kBatch = kRamBase + 0x21'1000;
constexpr u64 kRoot = kRamBase + 0x30'0000, kMiddle = kRoot + 0x1000, kLast = kRoot + 0x2000, kFree = kRoot + 0x4000;
constexpr u64 kLeaf = pte::V | pte::R | pte::X | pte::U | pte::A | pte::D;
constexpr std::size_t kCallBytes = 20;

struct Guest {
    Machine machine;
    Vmm vm;

    static Guest create() {
        VmConfig config;
        config.mode = Mode::Paravirtual, config.ram_bytes = kBytes, config.features = {.hypervisor = false, .paging_levels = 3};
        MachineConfig host;
        host.builtin_firmware = false, host.ram_bytes = Vmm::machine_bytes(config), host.features = config.features;
        Machine machine = std::move(Machine::create(host)).value();
        Vmm vm = std::move(Vmm::create(machine, config)).value();
        const u32 ecall_and_again[] = {0x00000073, 0xffdff06f};
        const auto* bytes = reinterpret_cast<const u8*>(ecall_and_again);
        if (!vm.load(machine, {bytes, bytes + sizeof ecall_and_again}, "fuzz")) std::abort();
        return {std::move(machine), std::move(vm)};
    }
    u64 host(u64 address) const { return vm.to_host(GuestPhys(address)).value; }
    void poke(u64 address, u64 value) { machine.ram.write_value(host(address) - kRamBase, value); }
    void make_tables() {
        poke(kRoot + 16, host(kMiddle) >> 2 | pte::V);
        for (u64 i = 0; i < 2; ++i) poke(kMiddle + 8 * i, host(kLast + i * kPageSize) >> 2 | pte::V);
        for (u64 page = kRamBase; page < kRamBase + kBytes; page += kPageSize)
            poke(kLast + (page - kRamBase) / kPageSize * 8, host(page) >> 2 | kLeaf | (page - kRoot < 4 * kPageSize ? 0 : pte::W));
    }
    void call(u64 number, u64 first, u64 second, u64 third) {
        HartState state = vm.guest_state(machine);
        state.pc = kCode, state.priv = Priv::S, state.waiting = false;
        state.x[17] = kHypercallExtension, state.x[16] = number, state.x[10] = first, state.x[11] = second, state.x[12] = third;
        vm.set_guest_state(machine, state);
        (void)vm.run(machine, 40);
    }
};

u64 number_at(const std::vector<u8>& input, std::size_t at, unsigned bytes) {
    u64 value = 0;
    for (unsigned i = 0; i < bytes && at + i < input.size(); ++i) value |= u64{input[at + i]} << (8 * i);
    return value;
}

/// Two bytes that stand for a number: often an address of the guest or of the machine, in or around what matters.
u64 telling(const Guest& guest, u64 choice) {
    const u64 pages[] = {kRoot, kMiddle, kLast, kLast + kPageSize, kFree, kFree + kPageSize, kShared, kBatch, kRamBase, kRamBase + kBytes, kCode, 0};
    const u64 page = pages[choice % std::size(pages)], low = choice >> 8 << 3 & kPageMask;
    switch (choice >> 4 & 7) {
    case 0: return choice;
    case 1: return ~u64{0} - (choice & 15);
    case 2: return guest.host(page) >> 2 | pte::V;
    case 3: return guest.host(page) >> 2 | kLeaf | (choice >> 8 & pte::W);
    case 4: return page;
    case 5: return page + low + (choice >> 14);
    case 6: return guest.host(page) + low + (choice >> 13);
    default: return guest.host(page) + (choice >> 13 & 3);
    }
}

void check_tables(const Guest& guest) {
    const DirectPaging& direct = guest.vm.direct();
    const Ram& ram = guest.machine.ram;
    const auto is_table = [&](u64 page) { return direct.type(ram, HostPhys(page)) >= PageType::Table0; };
    const u64 first = guest.host(kRamBase);
    for (u64 page = first; page < first + kBytes; page += kPageSize) {
        for (u64 i = 0; is_table(page) && i < kPageSize / 8; ++i) {
            u64 entry = 0;
            ram.read(page - kRamBase + 8 * i, entry);
            if (!(entry & pte::V)) continue;
            if (pte::address(entry) - first >= kBytes) std::abort();
            if (pte::is_leaf(entry) ? entry & pte::W && is_table(pte::address(entry)) : !is_table(pte::address(entry))) std::abort();
        }
    }
}

std::vector<std::vector<u8>> seeds() {
    std::vector<u8> calls;
    for (u8 number = 0; number <= static_cast<u8>(Hypercall::Count); ++number)
        for (u8 i = 0; i < kCallBytes; ++i) calls.push_back(i == 0 ? number : static_cast<u8>(16 * i + number));
    return {calls};
}

void run(const std::vector<u8>& input) {
    Guest guest = Guest::create();
    const bool starts = input.empty() || input[0] % 8;
    guest.make_tables();
    if (starts) guest.call(static_cast<u64>(Hypercall::Start), kShared, kCode, guest.host(kRoot));
    for (std::size_t at = 0; at + kCallBytes <= input.size() && at < 40 * kCallBytes; at += kCallBytes) {
        const auto value = [&](std::size_t i) { return telling(guest, number_at(input, at + i, 2)); };
        const bool a_table = guest.vm.direct().type(guest.machine.ram, HostPhys(guest.host(kBatch))) >= PageType::Table0; // then it cannot write it
        for (std::size_t i = 0; i < 4 && !a_table; ++i) guest.poke(kBatch + 8 * i, value(8 + 2 * i));
        const bool updates = input[at] & 0x80;
        const u64 number = updates ? static_cast<u64>(Hypercall::Update) : input[at] % (static_cast<u64>(Hypercall::Count) + 1);
        guest.call(number, updates && input[at + 1] % 4 ? kBatch : value(2), updates ? input[at + 1] % 3 : value(4), value(6));
    }
    if (guest.vm.paravirt().started) check_tables(guest);
}

const fuzz::Registration registration({"hypercalls", run, seeds});

} // namespace
