// A paravirtual guest for tests: a kernel in U-mode that makes the calls that a test asks it to, with page tables that the test made.
#pragma once

#include "tests/hypervisor-sim/guest_program.hpp"

#include <bit>
#include <map>

namespace trapeze::test {

struct Called {
    i64 error = 0;
    u64 value = 0;
    bool operator==(const Called&) const = default;
};

class ParavirtualGuest {
  public:
    static constexpr u64 kCode = kRamBase + 0x20'0000, kHandler = kCode + 0x100, kShared = kRamBase + 0x30'0000, kBatch = kRamBase + 0x30'1000;
    static constexpr u64 kRoot = kRamBase + 0x40'0000, kMiddle = kRoot + 0x1000, kLast = kRoot + 0x2000, kFree = kRamBase + 0x60'0000;
    static constexpr u64 kLeaf = pte::V | pte::R | pte::X | pte::U | pte::A | pte::D, kTables = kGuestBytes >> 21;

    explicit ParavirtualGuest(vmm::Mode mode = vmm::Mode::Paravirtual) : running(start_machine(mode)) {}

    /// Makes one SBI call from the guest's kernel and runs until it is answered.
    Called call(u64 extension, u64 function, u64 first = 0, u64 second = 0, u64 third = 0) {
        vmm::Vmm& vm = *running.vm;
        HartState state = vm.guest_state(running.machine);
        state.pc = kCode, state.priv = Priv::S, state.waiting = false;
        state.x[a7] = extension, state.x[a6] = function, state.x[a0] = first, state.x[a1] = second, state.x[a2] = third;
        vm.set_guest_state(running.machine, state);
        const u64 before = vm.exits();
        for (int i = 0; i < 10; ++i) {
            vm.run(running.machine, 100, vmm::Until::ExitHandled);
            if (vm.exits() > before && vm.ledger().back().complete && vm.ledger().back().hardware.is(Cause::EcallFromU)) break;
        }
        const HartState after = vm.guest_state(running.machine);
        return {static_cast<i64>(after.x[a0]), after.x[a1]};
    }
    Called call(vmm::Hypercall number, u64 first = 0, u64 second = 0, u64 third = 0) {
        return call(vmm::kHypercallExtension, static_cast<u64>(number), first, second, third);
    }

    u64 machine_address(u64 address) const { return running.vm->to_host(GuestPhys(address)).value; }
    u64 entry_of(u64 address, u64 flags) const { return machine_address(address) >> kPageShift << 10 | flags; }
    u64 own_entry(u64 address) const { return kLast + (address - kRamBase) / kPageSize * sizeof(u64); } ///< where the kernel's map of a page is
    void poke(u64 address, u64 value) {
        Bus bus = running.bus();
        REQUIRE(bus.ram.write_value(bus.ram_offset(address), value));
    }
    u64 shared(vmm::Shared field) { return running.peek(kShared + static_cast<u64>(field)); }

    /// Tables that map all of memory at its guest physical addresses, writable but for themselves.
    void make_tables() {
        poke(kRoot + 2 * sizeof(u64), entry_of(kMiddle, pte::V));
        for (u64 i = 0; i < kTables; ++i) poke(kMiddle + i * sizeof(u64), entry_of(kLast + i * kPageSize, pte::V));
        for (u64 page = kRamBase; page < kRamBase + kGuestBytes; page += kPageSize)
            poke(own_entry(page), entry_of(page, kLeaf | (page - kRoot < (2 + kTables) * kPageSize ? 0 : pte::W)));
    }
    Called start(u64 page = kShared, u64 handler = kHandler, u64 root = kRoot) { return call(vmm::Hypercall::Start, page, handler, machine_address(root)); }
    void start_well() {
        make_tables();
        REQUIRE(start() == Called{0, 0});
        REQUIRE(running.vm->paravirt().started);
    }
    using Record = std::pair<u64, u64>;
    static Record record(vmm::TableUpdate kind, u64 target, u64 value) { return {target | static_cast<u64>(kind), value}; }
    Record write(u64 entry, u64 value) const { return record(vmm::TableUpdate::Write, machine_address(entry), value); }
    Record pin(u64 page, u64 level) const { return record(vmm::TableUpdate::Pin, machine_address(page), level); }
    Record unpin(u64 page) const { return record(vmm::TableUpdate::Unpin, machine_address(page), 0); }
    Called update(const std::vector<Record>& records) {
        for (std::size_t i = 0; i < records.size(); ++i) poke(kBatch + 16 * i, records[i].first), poke(kBatch + 16 * i + 8, records[i].second);
        return call(vmm::Hypercall::Update, kBatch, records.size());
    }
    /// The handler's way to let a page become a table.
    Record protect(u64 page) const { return write(own_entry(page), entry_of(page, kLeaf)); }

    Running running;

  private:
    static Running start_machine(vmm::Mode mode) {
        Program p;
        p.op(Op::ecall).op(Op::jal).at(kRamBase + 0x100).op(Op::jal); // at kCode; and the handler, which stays where it is
        return Running::start(mode, p.bytes(), true);
    }
};

/// What is wrong with the types and counts that the VMM keeps, when the tables of the guest are looked at from scratch; empty: nothing.
/// Pre: `roots` are loaded.
inline std::string wrong_in_types(ParavirtualGuest& guest, const std::vector<u64>& roots) {
    const vmm::DirectPaging& direct = guest.running.vm->direct();
    const Ram& ram = guest.running.machine.ram;
    const u64 first = guest.machine_address(kRamBase), end = first + kGuestBytes;
    std::map<u64, u32> uses;
    std::map<u64, bool> writable;
    for (u64 root : roots) ++uses[guest.machine_address(root)];
    ++uses[guest.machine_address(ParavirtualGuest::kShared)], writable[guest.machine_address(ParavirtualGuest::kShared)] = true;
    const auto level_of = [&](u64 page) { return static_cast<int>(direct.type(ram, HostPhys(page))) - static_cast<int>(vmm::PageType::Table0); };
    for (u64 page = first; page < end; page += kPageSize) {
        const int level = level_of(page);
        if (level < 0) continue;
        for (u64 i = 0; i < kPageSize / sizeof(u64); ++i) {
            u64 entry = 0;
            ram.read(page - kRamBase + i * sizeof entry, entry);
            if (!(entry & pte::V)) continue;
            const u64 target = pte::address(entry);
            if (target < first || target >= end) return "an entry leaves the guest";
            const bool leaf = pte::is_leaf(entry);
            if (leaf != (level == 0)) return "a leaf above the lowest level, or a pointer in it";
            if (!leaf && level_of(target) != level - 1) return "a pointer to what is no table of the level below";
            if (leaf && entry & pte::W && level_of(target) >= 0) return "a table that is mapped writable";
            if (!leaf || entry & pte::W) ++uses[target];
            if (leaf && entry & pte::W) writable[target] = true;
        }
    }
    for (u64 page = first; page < end; page += kPageSize) {
        if (direct.uses(ram, HostPhys(page)) != uses[page]) return "a count of uses";
        if (level_of(page) < 0 && (direct.type(ram, HostPhys(page)) == vmm::PageType::Writable) != writable[page]) return "a page's type";
    }
    return {};
}

} // namespace trapeze::test
