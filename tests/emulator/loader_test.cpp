// Guests' files: what is loaded, and the sentence for each kind of file that is not.
#include "emulator/loader.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

using namespace trapeze;

namespace {

/// A small well-formed ELF file, field by field, so that each test can spoil one of them.
struct TestElf {
    struct Segment {
        u64 vaddr, paddr, memory;
        std::vector<u8> bytes;
        u32 type = 1;
    };
    std::vector<u8> file;
    std::vector<Segment> segments{{kRamBase, kRamBase, 64, {0x6f, 0, 0, 0}}};
    u64 entry = kRamBase;
    std::vector<std::pair<std::string, u64>> symbols;

    template <class T> static void put(std::vector<u8>& to, u64 at, T value) {
        if (to.size() < at + sizeof value) to.resize(at + sizeof value);
        std::memcpy(to.data() + at, &value, sizeof value);
    }
    std::vector<u8> make() {
        file.assign(64, 0);
        const u8 ident[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
        std::memcpy(file.data(), ident, sizeof ident);
        put(file, 16, u16{2}), put(file, 18, u16{243}), put(file, 20, u32{1}), put(file, 24, entry), put(file, 32, u64{64});
        put(file, 52, u16{64}), put(file, 54, u16{56}), put(file, 56, static_cast<u16>(segments.size())), put(file, 58, u16{64});
        u64 data = 64 + 56 * segments.size();
        for (std::size_t i = 0; i < segments.size(); ++i) {
            const Segment& s = segments[i];
            const u64 h = 64 + 56 * i;
            put(file, h, s.type), put(file, h + 4, u32{7}), put(file, h + 8, data), put(file, h + 16, s.vaddr), put(file, h + 24, s.paddr);
            put(file, h + 32, u64{s.bytes.size()}), put(file, h + 40, s.memory), put(file, h + 48, u64{0});
            file.resize(std::max<std::size_t>(file.size(), data + s.bytes.size()));
            std::copy(s.bytes.begin(), s.bytes.end(), file.begin() + static_cast<long>(data));
            data += s.bytes.size();
        }
        if (!symbols.empty()) add_symbols();
        return file;
    }
    void add_symbols() {
        std::string names(1, '\0');
        std::vector<u8> table(24, 0);
        for (const auto& [name, value] : symbols) {
            const u64 at = table.size();
            put(table, at, static_cast<u32>(names.size())), put(table, at + 4, u8{2}), put(table, at + 6, u16{1}), put(table, at + 8, value), put(table, at + 16, u64{0});
            names += name + '\0';
        }
        const u64 table_at = file.size(), names_at = table_at + table.size(), sections = names_at + names.size();
        file.insert(file.end(), table.begin(), table.end());
        file.insert(file.end(), names.begin(), names.end());
        put(file, 40, sections), put(file, 60, u16{3});
        file.resize(sections + 3 * 64);
        put(file, sections + 64 + 4, u32{2}), put(file, sections + 64 + 24, table_at), put(file, sections + 64 + 32, u64{table.size()});
        put(file, sections + 64 + 40, u32{2}), put(file, sections + 64 + 56, u64{24});
        put(file, sections + 128 + 4, u32{3}), put(file, sections + 128 + 24, names_at), put(file, sections + 128 + 32, u64{names.size()});
    }
};

Machine machine(u64 ram = 16 << 20, bool firmware = false) {
    MachineConfig config;
    config.ram_bytes = ram;
    config.builtin_firmware = firmware;
    return std::move(Machine::create(config)).value();
}

/// The sentence with which loading is refused; it always names the file.
std::string refusal(std::vector<u8> bytes, u64 ram = 16 << 20) {
    Machine m = machine(ram);
    const auto loaded = load_guest_bytes(m, std::move(bytes), "guest.elf");
    REQUIRE_FALSE(loaded);
    CHECK(loaded.error().find("guest.elf") != std::string::npos);
    return loaded.error();
}
bool says(const std::string& sentence, const char* words) {
    const bool found = sentence.find(words) != std::string::npos;
    if (!found) MESSAGE(sentence);
    return found;
}
std::vector<u8> spoiled(u64 at, u64 value, unsigned bytes) {
    std::vector<u8> file = TestElf().make();
    std::memcpy(file.data() + at, &value, bytes);
    return file;
}
} // namespace

TEST_CASE("An ELF file is loaded to its physical addresses, its rest cleared, and started at its entry") {
    TestElf elf;
    elf.segments = {{0xffff'ffff'8000'0000, kRamBase + 0x1000, 16, {1, 2, 3, 4}}};
    elf.entry = 0xffff'ffff'8000'0002;
    Machine m = machine();
    m.ram.fill(0x1000, 32, 0xff);
    const auto loaded = load_guest_bytes(m, elf.make(), "k");
    REQUIRE(loaded);
    std::array<u8, 17> bytes;
    m.ram.read(0x1000, std::span<u8>(bytes));
    CHECK(bytes == std::array<u8, 17>{1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff});
    CHECK(m.hart().state.pc == kRamBase + 0x1002);
    CHECK(m.hart().state.priv == Priv::M);
    CHECK(m.hart().state.x[11] == loaded.value().device_tree);
    u32 magic = 0;
    m.ram.read(loaded.value().device_tree - kRamBase, magic);
    CHECK(magic == 0xedfe0dd0); // d00dfeed, big-endian
}

TEST_CASE("A flat image goes to the start of RAM, or behind the firmware's 2 MiB") {
    Machine bare = machine();
    CHECK(load_guest_bytes(bare, {1, 2, 3, 4}, "flat").value().entry == kRamBase);
    Machine with_firmware = machine(16 << 20, true);
    CHECK(load_guest_bytes(with_firmware, {1, 2, 3, 4}, "flat").value().entry == kRamBase + 0x20'0000);
    CHECK(with_firmware.hart().state.priv == Priv::S);
    CHECK(with_firmware.hart().state.pc == kRamBase + 0x20'0000);
}

namespace {
/// The 64 bytes with which a RISC-V Linux image begins, and `more` behind them.
std::vector<u8> linux_file(u64 load_offset, u64 memory_size, u64 more = 0) {
    std::vector<u8> file(64 + more, 0x11);
    TestElf::put(file, 8, load_offset), TestElf::put(file, 16, memory_size), TestElf::put(file, 24, u64{0}), TestElf::put(file, 56, u32{0x05435352});
    return file;
}
u64 word_at(Machine& m, u64 address) {
    Bus bus = m.bus();
    u64 value = 0;
    CHECK(bus.read(address, 8, value, 0));
    return value;
}
GuestFile file_of(const char* name, std::size_t bytes, u8 fill) { return {name, std::vector<u8>(bytes, fill)}; }
} // namespace

TEST_CASE("A Linux image goes where its header says, and must fit with the memory that it uses beyond its file") {
    for (bool firmware : {false, true}) {
        Machine m = machine(16 << 20, firmware);
        const auto loaded = load_guest_bytes(m, linux_file(0x40'0000, 0x10'0000), "Image");
        REQUIRE(loaded);
        CHECK(loaded.value().entry == kRamBase + 0x40'0000);
        CHECK(loaded.value().end == kRamBase + 0x50'0000);
    }
    CHECK(refusal(linux_file(0x20'0000, 64 << 20)).find("guest.elf") != std::string::npos);
    CHECK(says(refusal(linux_file(0x20'0000, 64 << 20)), "needs 66 MiB"));
    CHECK(says(refusal(linux_file(0x20'0000, 13 << 20)), "no room for the device tree"));
    CHECK_FALSE(linux_image(linux_file(~u64{0}, ~u64{0})));
    CHECK_FALSE(linux_image(std::vector<u8>(63, 0)));
}

TEST_CASE("Packed kernels are refused with the name of what packed them") {
    CHECK(says(refusal({0x1f, 0x8b, 8, 0, 0, 0}), "gzip"));
    CHECK(says(refusal({0xfd, '7', 'z', 'X', 'Z', 0}), "xz"));
    CHECK(says(refusal({0x28, 0xb5, 0x2f, 0xfd, 0}), "zstd"));
    CHECK(says(refusal({'M', 'Z', 0, 0, 'z', 'i', 'm', 'g'}), "zboot"));
}

TEST_CASE("The initial RAM disk lies between kernel and device tree, and must fit there") {
    Machine m = machine(16 << 20, true);
    GuestFiles files;
    files.kernel = file_of("kernel", 4096, 1), files.initrd = file_of("initrd", 5000, 2);
    const auto loaded = load_guest_files(m, files);
    REQUIRE(loaded);
    const u64 initrd = (loaded.value().device_tree - 5000) & ~kPageMask;
    CHECK(initrd >= loaded.value().end);
    CHECK(word_at(m, initrd) == 0x0202020202020202);
    CHECK((word_at(m, initrd + 4992) & 0xff) == 2);
    u64 magic = word_at(m, loaded.value().device_tree);
    CHECK(static_cast<u32>(magic) == 0xedfe0dd0);

    files.initrd = file_of("initrd.img", 12 << 20, 2);
    Machine small = machine(16 << 20, true);
    const auto refused = load_guest_files(small, files);
    REQUIRE_FALSE(refused);
    CHECK(says(refused.error(), "initrd.img: the initial RAM disk of 12 MiB does not fit"));
}

TEST_CASE("Firmware starts in M-mode on every hart at the start of RAM, and finds kernel and tree by the reset ROM") {
    MachineConfig config;
    config.ram_bytes = 16 << 20, config.harts = 2, config.builtin_firmware = false;
    Machine m = std::move(Machine::create(config)).value();
    GuestFiles files;
    files.kernel = file_of("kernel", 4096, 1), files.firmware = file_of("fw", 4096, 2);
    const auto loaded = load_guest_files(m, files);
    REQUIRE(loaded);
    CHECK(loaded.value().entry == kRamBase + 0x20'0000);
    for (const Hart& hart : m.harts) {
        CHECK(hart.state.priv == Priv::M);
        CHECK(hart.state.pc == kRamBase);
        CHECK(hart.state.x[10] == hart.id());
        CHECK(hart.state.x[11] == loaded.value().device_tree);
    }
    // struct fw_dynamic_info of OpenSBI: magic, version, next address, next mode (S), options, boot hart.
    const u64 info = m.hart().state.x[12];
    CHECK(info == 0x1028);
    const u64 expected[] = {0x4942534f, 2, kRamBase + 0x20'0000, 1, 0, 0};
    for (unsigned i = 0; i < 6; ++i) CHECK(word_at(m, info + 8 * i) == expected[i]);
    CHECK(word_at(m, 0x1018) == kRamBase);
    CHECK(word_at(m, 0x1020) == loaded.value().device_tree);
    Bus bus = m.bus();
    CHECK(bus.write(0x1018, 8, 0, 0)); // it is read-only
    CHECK(word_at(m, 0x1018) == kRamBase);

    Machine copy = m; // the ROM is part of the machine's value
    CHECK(copy == m);
    CHECK(word_at(copy, 0x1028) == 0x4942534f);
}

TEST_CASE("Firmware alone boots as well; firmware that would lie over the kernel, or beside the built-in one, is refused") {
    Machine alone = machine();
    GuestFiles files;
    files.firmware = file_of("u-boot.bin", 4096, 2);
    REQUIRE(load_guest_files(alone, files));
    CHECK(alone.hart().state.pc == kRamBase);
    CHECK(word_at(alone, 0x1038) == 0); // no next stage
    files.kernel = file_of("kernel", 4096, 1);
    files.firmware = file_of("big", 0x20'0001, 2);
    Machine overlapping = machine();
    CHECK(says(load_guest_files(overlapping, files).error(), "the firmware big occupies"));
    Machine builtin = machine(16 << 20, true);
    CHECK(says(load_guest_files(builtin, files).error(), "built-in firmware"));
    Machine empty = machine();
    CHECK(says(load_guest_files(empty, {}).error(), "nothing to load"));
}

TEST_CASE("A device tree of the user's is taken with the command line and initrd written into it; one that does not parse is refused") {
    Machine m = machine(16 << 20, true);
    GuestFiles files;
    files.kernel = file_of("kernel", 4096, 1);
    files.device_tree = {"my.dtb", make_device_tree(m.board, 7, kRamBase, 16 << 20, "mine")};
    const auto loaded = load_guest_files(m, files);
    REQUIRE(loaded);
    std::vector<u8> blob(files.device_tree.bytes.size());
    m.ram.read(loaded.value().device_tree - kRamBase, std::span(blob));
    CHECK(device_tree_text(blob).value().find("cpu@6") != std::string::npos);
    files.device_tree.bytes.assign(200, 7);
    Machine other = machine(16 << 20, true);
    CHECK(says(load_guest_files(other, files).error(), "my.dtb: the device tree does not parse"));
}

TEST_CASE("Symbols are known by name and by address, and tohost is the machine's") {
    TestElf elf;
    elf.symbols = {{"start", kRamBase}, {"main", kRamBase + 8}, {"$x", kRamBase + 9}, {".Lloop", kRamBase + 10}, {"tohost", kRamBase + 32}};
    Machine m = machine();
    const auto loaded = load_guest_bytes(m, elf.make(), "k");
    REQUIRE(loaded);
    const ElfImage& image = loaded.value().elf;
    CHECK(image.symbol("main") == kRamBase + 8);
    CHECK_FALSE(image.symbol("$x"));
    CHECK(image.describe(kRamBase + 8) == "main");
    CHECK(image.describe(kRamBase + 24) == "main+0x10");
    CHECK(image.describe(kRamBase - 1).empty());
    CHECK(image.describe(kRamBase + 64).empty()); // behind the segment
    CHECK(m.board.tohost == kRamBase + 32);
}

TEST_CASE("Files that are not guests are refused, each with its sentence") {
    const std::vector<u8> good = TestElf().make();
    const auto cut = [&](std::size_t bytes) { return std::vector<u8>(good.begin(), good.begin() + static_cast<long>(bytes)); };
    CHECK(says(refusal({}), "empty"));
    for (std::size_t bytes : {4, 5, 6, 20, 63}) CHECK(says(refusal(cut(bytes)), "cut short"));
    CHECK(says(refusal(cut(100)), "outside the file"));
    CHECK(says(refusal(cut(good.size() - 1)), "outside the file"));
    CHECK(says(refusal(spoiled(4, 1, 1)), "32-bit"));
    CHECK(says(refusal(spoiled(5, 2, 1)), "big-endian"));
    CHECK(says(refusal(spoiled(18, 62, 2)), "x86-64"));
    CHECK(says(refusal(spoiled(18, 62, 2)), "build it with riscv64-linux-gnu-gcc"));
    CHECK(says(refusal(spoiled(18, 40000, 2)), "machine number 40000"));
    CHECK(says(refusal(spoiled(16, 1, 2)), "object file"));
    CHECK(says(refusal(spoiled(16, 4, 2)), "core dump"));
    CHECK(says(refusal(spoiled(54, 32, 2)), "program headers have 32 bytes"));
    CHECK(says(refusal(spoiled(56, 0, 2)), "no program headers"));
    CHECK(says(refusal(spoiled(56, 0xffff, 2)), "65535 program headers"));
    CHECK(says(refusal(spoiled(32, ~u64{0} - 8, 8)), "outside the file"));
    CHECK(says(refusal(spoiled(64, 7, 4)), "no program header asks for anything"));
    CHECK(says(refusal(spoiled(64 + 8, ~u64{0} - 2, 8)), "outside the file"));
}

TEST_CASE("Segments that cannot be had are refused") {
    CHECK(says(refusal(spoiled(64 + 40, 2, 8)), "only 2 in memory"));
    CHECK(says(refusal(spoiled(64 + 40, u64{1} << 50, 8)), "more than any machine"));
    CHECK(says(refusal(spoiled(64 + 16, ~u64{0} - 8, 8)), "end of the address space"));
    CHECK(says(refusal(spoiled(64 + 24, 0x1'0000, 8)), "RAM begins at 0x80000000"));
    CHECK(says(refusal(spoiled(64 + 24, kRamBase + (16 << 20), 8)), "give it more with --memory"));
    const std::string large = refusal(spoiled(64 + 40, u64{20} << 20, 8));
    CHECK(says(large, "needs 20 MiB"));
    CHECK(says(large, "has 16 MiB"));
    CHECK(says(large, "--memory"));
    CHECK(says(refusal(spoiled(64 + 40, (u64{16} << 20), 8)), "no room for the device tree"));
    CHECK(says(refusal(std::vector<u8>(17 << 20, 1)), "--memory"));
    CHECK(says(refusal(spoiled(24, 0x1234, 8)), "entry 0x1234"));
    TestElf overlap;
    overlap.segments.push_back({kRamBase + 32, kRamBase + 0x1000, 64, {1}});
    CHECK(says(refusal(overlap.make()), "overlap"));
    TestElf physical;
    physical.segments.push_back({kRamBase + 0x1000, kRamBase + 32, 64, {1}});
    CHECK(says(refusal(physical.make()), "over each other"));
    TestElf dynamic;
    dynamic.segments.push_back({0, 0, 0, {'/', 'l', 'd', 0}, 3});
    CHECK(says(refusal(dynamic.make()), "dynamically linked"));
}

TEST_CASE("Damaged section tables are refused, not read") {
    TestElf elf;
    elf.symbols = {{"main", kRamBase}};
    const std::vector<u8> good = elf.make();
    u64 sections = 0;
    std::memcpy(&sections, good.data() + 40, 8);
    const auto with = [&](u64 at, u64 value, unsigned bytes) {
        auto file = good;
        std::memcpy(file.data() + at, &value, bytes);
        return file;
    };
    Machine m = machine();
    REQUIRE(load_guest_bytes(m, good, "k"));
    CHECK(says(refusal(with(40, good.size() - 10, 8)), "section headers"));
    CHECK(says(refusal(with(58, 10, 2)), "section headers have 10 bytes"));
    CHECK(says(refusal(with(sections + 64 + 24, ~u64{0}, 8)), "symbol table"));
    CHECK(says(refusal(with(sections + 64 + 40, 99, 4)), "symbol table"));
    CHECK(says(refusal(with(sections + 128 + 32, u64{1} << 60, 8)), "names of its symbols"));
}

TEST_CASE("Files that cannot be read say why") {
    CHECK(says(read_file("no/such/file").error(), "no such file"));
    CHECK(says(read_file(".").error(), "folder"));
    CHECK(says(read_file("/dev/null").error(), "not a regular file"));
    const auto path = (std::filesystem::temp_directory_path() / "trapeze-loader-test").string();
    std::ofstream(path) << "hello";
    CHECK(read_file(path).value().size() == 5);
    CHECK(says(read_file(path, 4).error(), "5 bytes, more than the 4"));
    std::remove(path.c_str());
    Machine m = machine();
    CHECK(says(load_guest(m, path).error(), path.c_str()));
}
