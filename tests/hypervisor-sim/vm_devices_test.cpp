// A VM's board: its devices act at the guest's time in every mode, and are those that its configuration names.
#include "tests/hypervisor-sim/guest_program.hpp"

#include "emulator/devices/rtc.hpp"

using namespace trapeze;
using namespace trapeze::test;

TEST_CASE("A guest that waits for the RTC's alarm is woken in every mode, and claims its interrupt") {
    constexpr u64 kAlarm = Rtc::kStart + 3'000'000; // 3 ms
    const auto store = [](Program& p, u64 address, u64 value) { p.li(t0, address).li(t1, value & 0xffff'ffff).op(Op::sw, {0, t0, t1}); };
    Program p;
    store(p, kPlicBase + 4 * kRtcIrq, 1);
    store(p, kPlicBase + 0x2000, 1 << kRtcIrq);
    store(p, kRtcBase + 0x10, 1);
    store(p, kRtcBase + 0x0c, kAlarm >> 32);
    store(p, kRtcBase + 0x08, kAlarm);
    p.csrw(Csr::mie, irq_bit(Irq::Mei), t0);
    p.op(Op::wfi);
    p.li(t0, kPlicBase + 0x20'0004).op(Op::lw, {a0, t0});
    p.li(t0, kRtcBase + 0x18).op(Op::lw, {a1, t0}); // the alarm runs no more
    p.finish();
    const Running last = run_everywhere(p);
    CHECK(last.state().x[a0] == kRtcIrq);
    CHECK(last.state().x[a1] == 0);
    CHECK(ticks_of(last.machine.cycles()) >= 30'000);
}

TEST_CASE("A VM has the devices of its own configuration, the machine below it those of its own") {
    MachineConfig config;
    config.builtin_firmware = false;
    config.board.rng = true;
    vmm::VmConfig guest;
    guest.ram_bytes = kGuestBytes;
    guest.board.disks = {{disk_image(std::vector<u8>(512))}, {disk_image(std::vector<u8>(1024))}};
    guest.board.network_cards = 1, guest.board.console = true;
    config.ram_bytes = vmm::Vmm::machine_bytes(guest);
    auto machine = Machine::create(config);
    REQUIRE(machine);
    auto vm = vmm::Vmm::create(*machine, guest);
    REQUIRE(vm);
    std::vector<std::string> names;
    for (const Board::Window& window : vm->board().windows())
        if (window.base >= kVirtioBase && window.base < kVirtioBase + kVirtioSlots * kVirtioStride) names.push_back(window.name);
    CHECK(names == std::vector<std::string>{"virtio-blk", "virtio-blk", "virtio-net", "virtio-console", "virtio", "virtio", "virtio", "virtio"});
    CHECK_FALSE(vm->board().find("virtio-rng"));
    CHECK(machine->board.find("virtio-rng"));
    guest.board.disks.push_back({disk_image(std::vector<u8>(100))});
    const auto refused = vmm::Vmm::create(*machine, guest);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().find("512") != std::string::npos);
}
