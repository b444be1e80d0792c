// Snapshots of a machine: what is saved comes back and goes on as if nothing had been; what cannot be loaded is refused with a sentence.
#include "emulator/loader.hpp"
#include "emulator/snapshot.hpp"

#include <doctest/doctest.h>

#include <cstring>

using namespace trapeze;

namespace {

/// auipc x6, 1; loop: addi x5, x5, 1; sd x5, 0(x6); j loop
const std::vector<u32> kCounting = {0x0000'1317, 0x0012'8293, 0x0053'3023, 0xff9f'f06f};

MachineConfig config(unsigned harts = 1) {
    MachineConfig c;
    c.ram_bytes = 16 << 20;
    c.harts = harts;
    c.builtin_firmware = false;
    return c;
}

Machine counting(unsigned harts = 1) {
    Machine m = std::move(Machine::create(config(harts))).value();
    const auto* bytes = reinterpret_cast<const u8*>(kCounting.data());
    REQUIRE(load_guest_bytes(m, {bytes, bytes + kCounting.size() * 4}, "program"));
    m.trace.record(kAllClasses);
    return m;
}

std::string refusal(std::span<const u8> file, const MachineConfig& c = config()) {
    const auto loaded = load_machine(file, c, "file.snap");
    REQUIRE_FALSE(loaded);
    CHECK(loaded.error().starts_with("file.snap: "));
    return loaded.error();
}
bool says(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

} // namespace

TEST_CASE("A machine that was saved and loaded is equal, and runs on exactly as the first") {
    for (unsigned harts : {1u, 3u}) {
        Machine machine = counting(harts);
        machine.run(12'345);
        auto again = load_machine(save_machine(machine), config(harts), "file.snap");
        REQUIRE(again);
        CHECK(*again == machine);
        CHECK(again->trace == machine.trace);
        machine.run(54'321), again->run(54'321);
        CHECK(*again == machine);
        CHECK(again->trace == machine.trace);
        again->step();
        CHECK_FALSE(*again == machine);
    }
}

TEST_CASE("A snapshot stores the pages that hold something, not all memory") {
    Machine machine = counting();
    const std::size_t before = save_machine(machine).size();
    machine.ram.fill(8 << 20, 4 << 20, 0xff);
    machine.ram.fill(8 << 20, 4 << 20, 0); // touched, and zero again
    CHECK(save_machine(machine).size() == before);
    CHECK(before < 64 << 10);
    auto again = load_machine(save_machine(machine), config(), "file.snap");
    REQUIRE(again);
    CHECK(again->ram == machine.ram);
    CHECK(again->ram.touched_pages() < machine.ram.touched_pages());
}

TEST_CASE("What a disk was changed to is saved, and its image stays outside") {
    MachineConfig c = config();
    c.board.disks = {{disk_image(std::vector<u8>(1 << 20, 0x5a))}};
    Machine machine = std::move(Machine::create(c)).value();
    const auto file = save_machine(machine);
    CHECK(file.size() < 64 << 10);
    CHECK(load_machine(file, c, "file.snap"));
    CHECK(says(refusal(file), "other memory, harts or devices"));
}

TEST_CASE("A copy shares its pages with the original until one of them writes, and both run alike") {
    Machine machine = counting();
    machine.run(1000);
    Machine copy = machine;
    CHECK(copy == machine);
    CHECK(copy.ram.page_for_read(0) == machine.ram.page_for_read(0));
    machine.run(5000), copy.run(5000);
    CHECK(copy == machine);
    CHECK(copy.ram.page_for_read(0) == machine.ram.page_for_read(0)); // code: nobody wrote it
    CHECK(copy.ram.page_for_read(1) != machine.ram.page_for_read(1)); // the counter's page is each one's own
    CHECK(copy.ram.touched_pages() == machine.ram.touched_pages());
    copy.step();
    CHECK_FALSE(copy == machine);
}

TEST_CASE("A snapshot that is damaged anywhere is refused") {
    Machine machine = counting();
    machine.run(1000);
    const auto file = save_machine(machine);
    for (std::size_t at = 0; at < file.size(); at += at < 64 ? 1 : 37) {
        auto damaged = file;
        damaged[at] ^= 0x10;
        CAPTURE(at);
        (void)refusal(damaged);
    }
    for (std::size_t bytes = 0; bytes < file.size(); bytes += bytes < 64 ? 1 : 101) {
        CAPTURE(bytes);
        (void)refusal(std::span(file).first(bytes));
    }
    auto longer = file;
    longer.push_back(0);
    (void)refusal(longer);
}

TEST_CASE("The refusal says what is wrong: foreign, newer, another kind, another configuration") {
    Machine machine = counting();
    const auto file = save_machine(machine);
    const std::string elf = "\x7f" "ELF and so on, a file of something else altogether";
    CHECK(says(refusal(std::span(reinterpret_cast<const u8*>(elf.data()), elf.size())), "this is not a snapshot"));
    auto newer = file;
    newer[8] = 200;
    CHECK(says(refusal(newer), "newer"));
    auto layout = file;
    layout[16] ^= 1;
    CHECK(says(refusal(layout), "other registers or devices"));
    auto content = unpack_snapshot(SnapshotKind::Machine, file, 1 << 30, "file.snap");
    REQUIRE(content);
    CHECK(says(refusal(pack_snapshot(SnapshotKind::Session, *content)), "something else"));
    CHECK(says(refusal(file, config(2)), "other memory, harts or devices"));
    MachineConfig larger = config();
    larger.ram_bytes *= 2;
    CHECK(says(refusal(file, larger), "other memory, harts or devices"));
}

TEST_CASE("A file cannot make more memory be used than the machine that is asked for has") {
    std::vector<u8> large(largest_content(config().ram_bytes, 0) + 1);
    CHECK(says(refusal(pack_snapshot(SnapshotKind::Machine, large)), "more than the machine"));
}

TEST_CASE("States that no hart can be in are refused") {
    const auto loaded = [](auto change) {
        HartState state;
        state.priv = Priv::S;
        change(state);
        StateArchive out;
        out(state); // as it is
        StateArchive in(out.bytes());
        HartState back;
        hart_state(in, back);
        return !in.failed();
    };
    CHECK(loaded([](HartState&) {}));
    CHECK_FALSE(loaded([](HartState& s) { s.priv = static_cast<Priv>(2); }));
    CHECK_FALSE(loaded([](HartState& s) { s[Csr::mstatus] = mstatus::MPP & u64{2} << 11; }));
    CHECK_FALSE(loaded([](HartState& s) { s[Csr::satp] = u64{7} << 60; }));
}
