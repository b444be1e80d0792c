// The mode paravirtual: what a guest can ask for, what it gets, and what is refused. The VMM's types and counts of pages are compared with
// those that a second, simple reading of all tables gives.
#include "tests/hypervisor-sim/paravirtual_guest.hpp"

#include <random>

using namespace trapeze;
using namespace trapeze::test;
using vmm::ExitReason;
using vmm::Hypercall;
using vmm::Mode;
using vmm::PageType;
using vmm::Shared;
using vmm::TableUpdate;
using Guest = ParavirtualGuest;

namespace {

constexpr i64 kNotSupported = -2, kInvalidParam = -3, kDenied = -4, kInvalidAddress = -5, kAlreadyAvailable = -6; // SBI specification, table 1
constexpr u64 kBase = 0x10, kProbe = 3, kDbcn = 0x4442434e;

std::string last_refusal(const Guest& guest) {
    for (const vmm::DossierStep& step : guest.running.vm->ledger().back().steps)
        if (step.kind == vmm::StepKind::Refused) return step_text(step);
    return {};
}

u64 refusals_traced(const Guest& guest) { return guest.running.machine.trace.count(EventKind::HypercallRefused); }

/// The guest's state at an address of its own, in its kernel.
void go_on_at(Guest& guest, u64 pc, Priv priv = Priv::S) {
    HartState state = guest.running.state();
    state.pc = pc, state.priv = priv, state.waiting = false;
    guest.running.vm->set_guest_state(guest.running.machine, state);
}

void write_code(Guest& guest, u64 address, const Program& program) {
    Bus bus = guest.running.bus();
    REQUIRE(bus.ram.write(bus.ram_offset(address), program.bytes()));
}

} // namespace

TEST_CASE("a guest finds the hypervisor's extension by SBI's probe, in mode paravirtual alone") {
    Guest here, elsewhere(Mode::TrapAndEmulate);
    CHECK(here.call(kBase, kProbe, vmm::kHypercallExtension) == Called{0, 1});
    CHECK(elsewhere.call(kBase, kProbe, vmm::kHypercallExtension) == Called{0, 0});
    CHECK(here.call(Hypercall::Null) == Called{0, 0});
    CHECK(elsewhere.call(Hypercall::Null).error == kNotSupported);
    CHECK(here.running.vm->exits(ExitReason::Hypercall) == 1);
    CHECK(here.running.vm->ledger().back().reason == ExitReason::Hypercall);
    CHECK(here.call(vmm::kHypercallExtension, 12345).error == kNotSupported);
}

TEST_CASE("a guest that does not know this hypervisor is run by trap-and-emulate in mode paravirtual") {
    Program p;
    p.csrw(Csr::mtvec, kRamBase + 0x200, t0).csrw(Csr::mscratch, 1, t0).op(Op::ebreak).at(kRamBase + 0x200).csrr(a0, Csr::mcause).finish();
    Running paravirtual = Running::start(Mode::Paravirtual, p.bytes()), emulated = Running::start(Mode::TrapAndEmulate, p.bytes());
    paravirtual.run(10'000), emulated.run(10'000);
    REQUIRE(paravirtual.board().halt);
    CHECK(vmm::difference(paravirtual.state(), emulated.state()) == "");
    CHECK(paravirtual.vm->exits() == emulated.vm->exits());
    CHECK(paravirtual.machine.cycles() == emulated.machine.cycles());
}

TEST_CASE("a guest hands its tables over once, when every entry of them holds") {
    Guest guest;
    guest.make_tables();
    const auto refused = [&](i64 error, u64 page, u64 handler, u64 root) {
        CHECK(guest.start(page, handler, root).error == error);
        CHECK_FALSE(guest.running.vm->paravirt().started);
        CHECK(guest.running.vm->direct().type(guest.running.machine.ram, HostPhys(guest.machine_address(Guest::kRoot))) == PageType::None);
    };
    refused(kInvalidAddress, Guest::kShared + 8, Guest::kHandler, Guest::kRoot);
    refused(kInvalidAddress, kRamBase + kGuestBytes, Guest::kHandler, Guest::kRoot);
    refused(kInvalidAddress, kUartBase, Guest::kHandler, Guest::kRoot);
    refused(kInvalidParam, Guest::kShared, Guest::kHandler + 2, Guest::kRoot);
    refused(kInvalidAddress, Guest::kShared, kRamBase + kGuestBytes, Guest::kRoot);
    refused(kInvalidAddress, Guest::kShared, 0x1000, Guest::kRoot);
    refused(kInvalidParam, Guest::kShared, Guest::kHandler, Guest::kRoot + 8);
    refused(kInvalidAddress, Guest::kShared, Guest::kHandler, kRamBase + kGuestBytes);
    refused(kDenied, Guest::kMiddle, Guest::kHandler, Guest::kRoot); // shares a table
    guest.poke(guest.own_entry(Guest::kMiddle), guest.entry_of(Guest::kMiddle, Guest::kLeaf | pte::W));
    refused(kDenied, Guest::kShared, Guest::kHandler, Guest::kRoot);
    guest.poke(guest.own_entry(Guest::kMiddle), guest.entry_of(Guest::kMiddle, Guest::kLeaf));
    guest.poke(Guest::kMiddle + 8, guest.entry_of(Guest::kRoot, pte::V)); // a root where a table of the lowest level is wanted
    refused(kDenied, Guest::kShared, Guest::kHandler, Guest::kRoot);
    CHECK(guest.call(Hypercall::Update, Guest::kBatch, 0).error == kDenied); // not before the start
    CHECK(guest.call(Hypercall::Switch, guest.machine_address(Guest::kRoot), 0).error == kDenied);
    CHECK(guest.call(Hypercall::Wait).error == kDenied);
    CHECK(guest.call(Hypercall::Return).error == kDenied);
    guest.start_well();
    CHECK(guest.start().error == kAlreadyAvailable);
    CHECK(wrong_in_types(guest, {Guest::kRoot}) == "");
    CHECK(guest.call(Hypercall::MachineOffset) == Called{0, guest.machine_address(kRamBase) - kRamBase});
    CHECK(guest.running.vm->ledger().back().word == encode(Op::ecall, {}));
    CHECK(satp::root(guest.running.machine.hart().state[Csr::satp]) == guest.machine_address(Guest::kRoot)); // the guest's own table
}

TEST_CASE("a forged entry is refused with an error code, an event and a sentence, and the table stays") {
    Guest guest;
    guest.start_well();
    const u64 target = guest.own_entry(Guest::kFree), before = guest.running.peek(target);
    const auto attack = [&](u64 entry, i64 error, const char* why) {
        CAPTURE(why);
        const u64 events = refusals_traced(guest);
        CHECK(guest.update({guest.write(target, entry)}) == Called{error, 0});
        CHECK(guest.running.vm->ledger().back().reason == ExitReason::TableUpdate);
        CHECK(last_refusal(guest).find(why) != std::string::npos);
        CHECK(refusals_traced(guest) == events + 1);
        CHECK(guest.running.peek(target) == before);
    };
    const auto machine_leaf = [](u64 address, u64 flags) { return address >> kPageShift << 10 | flags; };
    attack(machine_leaf(kRamBase, Guest::kLeaf), kDenied, "a page of the VMM");
    attack(machine_leaf(kRamBase, Guest::kLeaf | pte::W), kDenied, "a page of the VMM");
    attack(machine_leaf(guest.machine_address(kRamBase) - kPageSize, Guest::kLeaf), kDenied, "a page of the VMM");
    attack(machine_leaf(guest.machine_address(kRamBase) + kGuestBytes, Guest::kLeaf), kInvalidAddress, "not the guest's memory");
    attack(machine_leaf(kUartBase, Guest::kLeaf | pte::W), kInvalidAddress, "not the guest's memory"); // the machine's, not its own
    attack(machine_leaf(0, Guest::kLeaf), kInvalidAddress, "not the guest's memory");
    attack(Guest::kLeaf | pte::PPN, kInvalidAddress, "not the guest's memory");
    for (u64 table : {Guest::kRoot, Guest::kMiddle, Guest::kLast, Guest::kLast + 7 * kPageSize}) attack(guest.entry_of(table, Guest::kLeaf | pte::W), kDenied, "table writable");
    attack(guest.entry_of(Guest::kFree, Guest::kLeaf & ~pte::U), kInvalidParam, "S-mode");
    for (u64 bits : {pte::G, pte::N, u64{1} << 61, u64{1} << 54}) attack(guest.entry_of(Guest::kFree, Guest::kLeaf | bits), kInvalidParam, "must be zero");
    attack(guest.entry_of(Guest::kFree, pte::V | pte::W | pte::U), kInvalidParam, "must be zero");
    attack(guest.entry_of(Guest::kLast, pte::V), kInvalidParam, "must be zero"); // a pointer in the lowest level
    // The same in the tables above.
    CHECK(guest.update({guest.write(Guest::kMiddle + 8 * 100, guest.entry_of(kRamBase, Guest::kLeaf))}).error == kInvalidParam);
    CHECK(last_refusal(guest).find("more than 4 KiB") != std::string::npos);
    CHECK(guest.update({guest.write(Guest::kMiddle + 8 * 100, guest.entry_of(Guest::kFree, pte::V))}).error == kDenied);
    CHECK(last_refusal(guest).find("no table of the level below") != std::string::npos);
    CHECK(guest.update({guest.write(Guest::kMiddle + 8 * 100, guest.entry_of(Guest::kRoot, pte::V))}).error == kDenied);
    CHECK(guest.update({guest.write(Guest::kRoot + 8, guest.entry_of(Guest::kLast, pte::V))}).error == kDenied);
    // Where there is no table.
    CHECK(guest.update({guest.write(Guest::kFree, 0)}).error == kInvalidAddress);
    CHECK(guest.update({Guest::record(TableUpdate::Write, kRamBase, 0)}).error == kInvalidAddress);
    CHECK(guest.update({Guest::record(TableUpdate::Write, ~u64{7}, 0)}).error == kInvalidAddress);
    CHECK(guest.update({{guest.machine_address(target) | 7, 0}}).error == kInvalidParam);
    CHECK(wrong_in_types(guest, {Guest::kRoot}) == "");
    // What is allowed still is: no access at all, and reading a table.
    CHECK(guest.update({guest.write(target, 0), guest.write(target, guest.entry_of(Guest::kRoot, Guest::kLeaf)), guest.write(target, before)}) == Called{0, 3});
}

TEST_CASE("a kernel that stores to its own table faults, and the table stays") {
    Guest guest;
    guest.start_well();
    Program p;
    p.li(t0, guest.own_entry(Guest::kFree)).li(t1, ~u64{0}).op(Op::sd, {0, t0, t1});
    write_code(guest, Guest::kFree, p);
    const u64 before = guest.running.peek(guest.own_entry(Guest::kFree));
    go_on_at(guest, Guest::kFree);
    guest.running.vm->run(guest.running.machine, 100, vmm::Until::ExitHandled);
    CHECK(guest.running.vm->ledger().back().reason == ExitReason::GuestPageFault);
    CHECK(guest.running.state().pc == Guest::kHandler);
    CHECK(guest.shared(Shared::Cause) == static_cast<u64>(Cause::StorePageFault));
    CHECK(guest.shared(Shared::Value) == guest.own_entry(Guest::kFree));
    CHECK(guest.shared(Shared::Pc) == Guest::kFree + (p.here() - kRamBase) - 4);
    CHECK((guest.shared(Shared::Status) & mstatus::SPP) != 0); // it came from the kernel
    CHECK(guest.running.peek(guest.own_entry(Guest::kFree)) == before);
}

TEST_CASE("no device writes a page table on the guest's behalf") {
    Guest guest;
    guest.make_tables();
    const std::vector<u8> bytes(16, 0xff);
    const auto dma = [&](u64 address) { return guest.running.bus().device_context(0).memory.write(address, bytes); };
    CHECK(dma(Guest::kFree));
    CHECK(dma(Guest::kLast + 8));
    guest.make_tables();
    guest.start_well();
    CHECK(dma(Guest::kFree));
    for (u64 table : {Guest::kRoot, Guest::kMiddle, Guest::kLast}) CHECK_FALSE(dma(table + 8));
    CHECK_FALSE(dma(Guest::kRoot - 8)); // begins before it
    // Nor does the firmware's console, which would read typed bytes into memory.
    guest.running.board().type("attack");
    const u64 before = guest.running.peek(Guest::kRoot);
    CHECK(guest.call(kDbcn, 1, 6, Guest::kRoot, 0).error == kDenied);
    CHECK(guest.running.peek(Guest::kRoot) == before);
}

TEST_CASE("a page is a table or writable, never both, and changes only when nothing uses it") {
    Guest guest;
    guest.start_well();
    const u64 page = Guest::kFree, slot = Guest::kMiddle + 8 * 100;
    CHECK(guest.update({guest.pin(page, 0)}).error == kDenied); // mapped writable
    CHECK(guest.update({guest.protect(page), guest.pin(page, 0)}) == Called{0, 2});
    CHECK(guest.update({guest.write(guest.own_entry(page), guest.entry_of(page, Guest::kLeaf | pte::W))}).error == kDenied);
    CHECK(guest.update({guest.pin(page, 0)}).error == kDenied);
    CHECK(guest.update({guest.write(slot, guest.entry_of(page, pte::V))}) == Called{0, 1});
    CHECK(guest.update({guest.unpin(page)}).error == kDenied); // an entry points to it
    CHECK(last_refusal(guest).find("in use") != std::string::npos);
    CHECK(wrong_in_types(guest, {Guest::kRoot}) == "");
    CHECK(guest.update({guest.write(slot, 0), guest.unpin(page), guest.write(guest.own_entry(page), guest.entry_of(page, Guest::kLeaf | pte::W))}) == Called{0, 3});
    CHECK(guest.update({guest.unpin(page)}).error == kInvalidAddress);
    CHECK(guest.update({guest.unpin(Guest::kRoot)}).error == kDenied); // the root that is walked now
    CHECK(guest.update({guest.pin(page + 8, 0)}).error == kInvalidParam);
    CHECK(guest.update({guest.protect(page), guest.pin(page, 3)}) == Called{kInvalidParam, 1});
    CHECK(guest.update({guest.pin(page, ~u64{0})}).error == kInvalidParam);
    CHECK(guest.update({guest.pin(Guest::kShared, 0)}).error == kDenied); // the VMM writes it
    CHECK(wrong_in_types(guest, {Guest::kRoot}) == "");
}

TEST_CASE("a page that holds a forged entry does not become a table") {
    Guest guest;
    guest.start_well();
    const u64 page = Guest::kFree;
    guest.poke(page + 8 * 511, kRamBase >> kPageShift << 10 | Guest::kLeaf);
    guest.poke(page, guest.entry_of(Guest::kFree + kPageSize, Guest::kLeaf | pte::W));
    CHECK(guest.update({guest.protect(page), guest.pin(page, 0)}) == Called{kDenied, 1});
    CHECK(guest.running.vm->direct().type(guest.running.machine.ram, HostPhys(guest.machine_address(page))) == PageType::None);
    CHECK(wrong_in_types(guest, {Guest::kRoot}) == "");
}

TEST_CASE("an address space has two roots, and user mode sees only its own") {
    Guest guest;
    guest.start_well();
    const u64 user = Guest::kFree;
    CHECK(guest.update({guest.protect(user), guest.pin(user, 2)}) == Called{0, 2});
    CHECK(guest.call(Hypercall::Switch, guest.machine_address(Guest::kRoot), guest.machine_address(user)) == Called{0, 0});
    CHECK(wrong_in_types(guest, {Guest::kRoot, user}) == "");
    CHECK(guest.update({guest.unpin(user)}).error == kDenied);
    // Without any page of its own, a program's first fetch is the kernel's to hear of. That it returns to a kernel address helps nothing.
    guest.poke(Guest::kShared + static_cast<u64>(Shared::Pc), Guest::kCode);
    guest.poke(Guest::kShared + static_cast<u64>(Shared::Status), mstatus::SPIE);
    guest.poke(Guest::kShared + static_cast<u64>(Shared::KernelStack), 0x1234'5678);
    guest.call(Hypercall::Return);
    CHECK(guest.running.state().priv == Priv::U);
    CHECK(guest.running.state().pc == Guest::kCode);
    guest.running.vm->run(guest.running.machine, 10, vmm::Until::ExitHandled);
    CHECK(guest.shared(Shared::Cause) == static_cast<u64>(Cause::InstructionPageFault));
    CHECK(guest.running.state().pc == Guest::kHandler);
    CHECK(guest.running.state().priv == Priv::S);
    CHECK(guest.running.state().x[sp] == 0x1234'5678);
    // An address space without a root for user mode.
    CHECK(guest.call(Hypercall::Switch, guest.machine_address(Guest::kRoot), 0) == Called{0, 0});
    CHECK(wrong_in_types(guest, {Guest::kRoot}) == "");
    guest.call(Hypercall::Return);
    guest.running.vm->run(guest.running.machine, 10, vmm::Until::ExitHandled);
    CHECK(guest.shared(Shared::Cause) == static_cast<u64>(Cause::InstructionPageFault));
    for (const auto& [kernel, other] : {std::pair<u64, u64>{0, 0}, {Guest::kMiddle, 0}, {Guest::kRoot, Guest::kLast}, {Guest::kRoot + 8, 0}, {Guest::kRoot, 0x1000}})
        CHECK(guest.call(Hypercall::Switch, kernel ? guest.machine_address(kernel) : 0, other ? guest.machine_address(other) : 0).error < 0);
    CHECK(wrong_in_types(guest, {Guest::kRoot}) == "");
}

TEST_CASE("random updates never leave a table that a second reading finds wrong") {
    for (u64 seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        Guest guest;
        guest.start_well();
        std::mt19937_64 random(seed);
        const auto below = [&](u64 n) { return random() % n; };
        constexpr u64 kPages = 24;
        const auto some_page = [&] { return below(8) ? Guest::kFree + below(kPages) * kPageSize : Guest::kRoot + below(4) * kPageSize; };
        u64 allowed = 0;
        for (int i = 0; i < 300; ++i) {
            const u64 page = some_page(), other = below(20) ? some_page() : kRamBase - kPageSize;
            const u64 flags = below(3) ? pte::V : Guest::kLeaf | (below(2) ? pte::W : 0);
            const u64 value = below(4) ? guest.entry_of(other, flags) : 0;
            const Guest::Record records[] = {guest.protect(page), guest.pin(page, below(3)), guest.unpin(page), guest.write(page + 8 * below(512), value),
                                             guest.write(guest.own_entry(page), guest.entry_of(page, Guest::kLeaf | pte::W))};
            allowed += guest.update({records[below(std::size(records))]}).value;
        }
        CHECK(allowed > 60);
        CHECK(wrong_in_types(guest, {Guest::kRoot}) == "");
    }
}

TEST_CASE("a batch stops at the first refused update and says how many were done") {
    Guest guest;
    guest.start_well();
    const u64 entry = guest.own_entry(Guest::kFree), leaf = guest.entry_of(Guest::kFree, Guest::kLeaf);
    CHECK(guest.update({guest.write(entry, leaf), guest.write(entry, 0), guest.write(entry, kRamBase >> 2 | Guest::kLeaf), guest.write(entry, leaf)}) == Called{kDenied, 2});
    CHECK(guest.running.peek(entry) == 0);
    CHECK(guest.running.vm->paravirt().updates == 2);
    CHECK(guest.update({}) == Called{0, 0});
    const u64 refused = guest.running.vm->paravirt().refused;
    for (u64 count : {u64{513}, u64{1} << 32, ~u64{0}}) CHECK(guest.call(Hypercall::Update, Guest::kBatch, count).error == kInvalidParam);
    for (u64 address : {Guest::kBatch + 1, kRamBase + kGuestBytes - 16 * 511, kRamBase + kGuestBytes, u64{0}, kUartBase, ~u64{7}, kRamBase - 8})
        CHECK(guest.call(Hypercall::Update, address, 512).error == kInvalidAddress);
    CHECK(guest.running.vm->paravirt().refused == refused + 10);
    CHECK(guest.call(Hypercall::Update, kRamBase + kGuestBytes - 16 * 512, 512).error == kInvalidAddress); // 512 zeros: entries at address 0
    CHECK(wrong_in_types(guest, {Guest::kRoot}) == "");
}

TEST_CASE("masking and unmasking events costs no exit") {
    Guest guest;
    guest.start_well();
    Program p;
    p.li(t0, Guest::kShared).li(t1, 1).li(a3, 1000);
    const u64 loop = p.here();
    p.op(Op::sd, {0, t0, 0}).op(Op::sd, {0, t0, t1}).op(Op::addi, {a3, a3, 0, -1}).op(Op::bne, {0, a3, 0, static_cast<i64>(loop - p.here())}).op(Op::jal);
    write_code(guest, Guest::kFree, p);
    go_on_at(guest, Guest::kFree);
    const u64 exits = guest.running.vm->exits();
    guest.running.run(6000);
    CHECK(guest.running.state().x[a3] == 0);
    CHECK(guest.running.vm->exits() == exits);
}

TEST_CASE("an event sets its bit while masked, enters the handler once open, and is told again only when it comes again") {
    Guest guest;
    guest.start_well();
    const auto set = [&](Shared field, u64 value) { guest.poke(Guest::kShared + static_cast<u64>(field), value); };
    constexpr u64 kTimer = 1, kUart = u64{1} << kUartIrq;
    set(Shared::Enabled, kTimer | kUart);
    CHECK(guest.call(Hypercall::SetTimer, 0) == Called{0, 0}); // long due, but masked
    CHECK(guest.shared(Shared::Pending) == kTimer);
    CHECK(guest.running.state().pc == Guest::kCode + 4);
    Program unmasks; // and asks for what came meanwhile
    unmasks.li(t0, Guest::kShared).op(Op::sd, {0, t0, 0}).li(a7, vmm::kHypercallExtension).li(a6, static_cast<u64>(Hypercall::Events)).op(Op::ecall);
    write_code(guest, Guest::kFree, unmasks);
    go_on_at(guest, Guest::kFree);
    const u64 exits = guest.running.vm->exits(), after = Guest::kFree + (unmasks.here() - kRamBase);
    while (guest.running.vm->hypercalls(Hypercall::Events) == 0) guest.running.vm->run(guest.running.machine, 20, vmm::Until::ExitHandled);
    CHECK(guest.running.vm->exits() == exits + 1); // the store cost none
    CHECK(guest.running.state().pc == Guest::kHandler);
    CHECK(guest.shared(Shared::Cause) == (kInterruptBit | static_cast<u64>(Irq::Ssi)));
    CHECK(guest.shared(Shared::Masked) == 1);
    CHECK(guest.shared(Shared::Pc) == after);
    CHECK((guest.shared(Shared::Status) & (mstatus::SPP | mstatus::SPIE)) == (mstatus::SPP | mstatus::SPIE));
    set(Shared::Pending, 0);
    set(Shared::Masked, 0);
    guest.call(Hypercall::Events);
    CHECK(guest.shared(Shared::Pending) == 0); // the timer rang once
    CHECK(guest.running.state().pc == Guest::kCode + 4);
    // A key, through the PLIC's source: the bit comes, and again only after it was cleared.
    CHECK(guest.call(Hypercall::DeviceWrite, kUartBase + 1, 1, 1) == Called{0, 0});
    set(Shared::Masked, 1);
    guest.running.board().type("x");
    go_on_at(guest, Guest::kCode + 4);
    guest.running.run(10);
    CHECK(guest.shared(Shared::Pending) == kUart);
    CHECK(guest.running.state().pc == Guest::kCode + 4); // masked
    CHECK(guest.call(Hypercall::DeviceRead, kUartBase, 1) == Called{0, 'x'});
    set(Shared::Pending, 0);
    guest.call(Hypercall::Null);
    guest.running.board().type("y");
    set(Shared::Masked, 0);
    go_on_at(guest, Guest::kCode + 4);
    guest.running.run(10);
    CHECK(guest.shared(Shared::Pending) == kUart);
    CHECK(guest.running.state().pc == Guest::kHandler);
}

TEST_CASE("a guest that waits is woken by its timer, and by nothing that it does not want") {
    Guest guest;
    guest.start_well();
    guest.poke(Guest::kShared + static_cast<u64>(Shared::Enabled), 1);
    const u64 now = ticks_of(guest.running.machine.cycles());
    guest.call(Hypercall::SetTimer, now + 1000);
    guest.call(Hypercall::Wait);
    CHECK(guest.running.state().pc == Guest::kHandler);
    CHECK(guest.shared(Shared::Pending) == 1);
    CHECK(ticks_of(guest.running.machine.cycles()) >= now + 1000);
    guest.poke(Guest::kShared + static_cast<u64>(Shared::Pending), 0);
    guest.call(Hypercall::Wait);
    CHECK(guest.running.vm->run(guest.running.machine, 100).kind == vmm::VmmStopKind::Idle);
}

TEST_CASE("a device register is read and written by a call, memory and nothing are not") {
    Guest guest;
    CHECK(guest.call(Hypercall::DeviceRead, kUartBase + 5, 1).value == 0x60); // may send
    CHECK(guest.call(Hypercall::DeviceWrite, kUartBase, 1, 'A') == Called{0, 0});
    guest.poke(Guest::kFree, 0x21'6968); // "hi!"
    CHECK(guest.call(Hypercall::ConsoleWrite, Guest::kFree, 3) == Called{0, 3});
    CHECK(guest.running.board().take_output() == "Ahi!");
    for (u64 address : {kRamBase, kRamBase + kGuestBytes - 1, u64{0}, kRamBase + kGuestBytes, ~u64{0}}) {
        CHECK(guest.call(Hypercall::DeviceRead, address, 4).error == kInvalidAddress);
        CHECK(guest.call(Hypercall::DeviceWrite, address, 4, 1).error == kInvalidAddress);
    }
    for (u64 bytes : {u64{0}, u64{3}, u64{16}, ~u64{0}}) CHECK(guest.call(Hypercall::DeviceRead, kUartBase, bytes).error == kInvalidParam);
    CHECK(guest.call(Hypercall::ConsoleWrite, Guest::kFree, 4097).error == kInvalidParam);
    for (u64 address : {kRamBase + kGuestBytes - 1, u64{0}, ~u64{0}}) CHECK(guest.call(Hypercall::ConsoleWrite, address, 2).error == kInvalidAddress);
    CHECK(guest.running.board().take_output().empty());
}

TEST_CASE("a handler that the guest takes away costs it its own time only") {
    Guest guest;
    guest.start_well();
    CHECK(guest.update({guest.write(guest.own_entry(Guest::kCode), 0)}) == Called{0, 1});
    const vmm::VmmStop stop = guest.running.vm->run(guest.running.machine, 5000);
    CHECK(stop.kind == vmm::VmmStopKind::Budget);
    CHECK(guest.running.state().pc == Guest::kHandler);
    CHECK(guest.shared(Shared::Cause) == static_cast<u64>(Cause::InstructionPageFault));
}
