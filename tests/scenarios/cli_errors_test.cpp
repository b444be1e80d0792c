// Everything that can be given to the program wrongly must end in a sentence that names the object and the mend.
#include "emulator/loader.hpp"
#include "tests/scenarios/command_line.hpp"

#include <cstring>
#include <filesystem>

using namespace trapeze;
using namespace trapeze::test;

namespace {

/// The bytes of a shipped guest, to be spoiled.
std::string guest_bytes(const std::string& path) {
    const std::string bytes = read_text(built("guests/" + path));
    REQUIRE(bytes.size() > 1000);
    return bytes;
}

template <class T> std::string spoiled(std::string bytes, std::size_t offset, T value) {
    REQUIRE(offset + sizeof value <= bytes.size());
    std::memcpy(bytes.data() + offset, &value, sizeof value);
    return bytes;
}

// Offsets in an ELF-64 file: its header, then the first program headers (System V ABI).
constexpr std::size_t kClass = 4, kByteOrder = 5, kType = 16, kMachine = 18, kEntry = 24, kProgramOffset = 32, kProgramCount = 56;
constexpr std::size_t kFirst = 64, kHeaderBytes = 56, kFileOffset = 8, kVirtual = 16, kPhysical = 24, kMemorySize = 40;

} // namespace

TEST_CASE("Wrong usage ends with status 2 and says what is right") {
    refused({"bott"}, 2, {"\"bott\"", "boot", "lesson"});
    refused({"container", "stop"}, 2, {"\"container stop\"", "run", "ps"});
    refused({"container", "run", "--machine-memory", "99G", "/", "/bin/true"}, 2, {"--memory 99G", "8G"});
    for (const char* verb : {"boot", "trace", "compare"}) refused({verb, "tiny-os", "--max-instructions", "-5"}, 2, {"-5"});
    refused({"boot"}, 2, {"no guest is given", "ELF file", "tiny-os"});
    refused({"boot", "tiny-os", "--frobnicate"}, 2, {"--frobnicate", "trapeze boot --help"});
    refused({"boot", "tiny-os", "--mode", "sideways"}, 2, {"\"sideways\"", "trap-and-emulate"});
    refused({"trace", "tiny-os", "--mode", ""}, 2, {"trap-and-emulate"});
    refused({"compare", "tiny-os", "--modes", "bare,sideways"}, 2, {"\"sideways\""});
    for (const char* memory : {"0", "-1", "5", "12X", "99999999999G", "100G", "x", "1M1"}) refused({"boot", "tiny-os", std::string("--memory=") + memory}, 2, {memory, "M"});
    refused({"boot", "tiny-os", "--smp", "0"}, 2, {"--smp 0", "1 to 8"});
    refused({"boot", "tiny-os", "--smp", "99"}, 2, {"--smp 99", "1 to 8"});
    refused({"boot", "tiny-os", "--smp", "2", "--mode", "interpret"}, 2, {"--smp", "interpret"});
    refused({"boot", "tiny-os", "--bios", "opensbi.bin"}, 1, {"opensbi.bin", "no such file"});
    refused({"boot", "tiny-os", "--device", "virtio-gpu-device"}, 2, {"virtio-gpu-device", "virtio-blk-device"});
    refused({"boot", "tiny-os", "--costs", "none-such"}, 2, {"\"none-such\"", "scenarios/costs"});
    refused({"boot", "tiny-os", "--max-instructions", "many"}, 2, {"many", "trapeze boot --help"});
    refused({"trace", "tiny-os", "--class", "traps"}, 2, {"\"traps\"", "paging"});
    refused({"trace", "tiny-os", "--format", "xml"}, 2, {"xml", "json"});
    refused({"container"}, 2, {"container", "trapeze container --help"});
    refused({"container", "run"}, 2, {"root folder"});
    refused({"container", "run", "--hostname"}, 2, {"--hostname"});
    refused({"container", "run", "/"}, 2, {"program"});
    refused({"lesson", "watch-a-trap", "--headless", "--answers", "x"}, 2, {"--answers"});
    refused({"lesson", "watch-a-trap", "--json", "--answers", "7"}, 1, {"7", "1 to 3"});
    refused({"lesson", "watch-a-trap", "--json", "--answers", "1,1,1,1"}, 1, {"4 predictions", "3"});
}

TEST_CASE("A guest file that is none, or no longer whole, is refused with what is wrong with it") {
    const Folder folder;
    const std::string elf = guest_bytes("tiny-os.elf");
    const auto spoil = [&](const char* name, const std::string& bytes, const Words& named) {
        CAPTURE(name);
        const std::string file = folder.write(name, bytes);
        Words words = named;
        words.push_back(file);
        refused({"boot", file}, 1, words);
        refused({"boot", file, "--mode", "trap-and-emulate"}, 1, words);
    };
    refused({"boot", "no-such.elf"}, 1, {"no-such.elf", "no such file", "tiny-os"});
    refused({"boot", folder.path("")}, 1, {"folder"});
    refused({"boot", "/dev/zero"}, 1, {"/dev/zero", "not a regular file", "copy"});
    spoil("empty.elf", "", {"empty"});
    spoil("magic.elf", elf.substr(0, 4), {"cut short", "copy or build it again"});
    spoil("header.elf", elf.substr(0, 63), {"cut short", "copy or build it again"});
    spoil("headers.elf", elf.substr(0, 100), {"program headers", "copy or build it again"});
    spoil("half.elf", elf.substr(0, elf.size() / 2), {"segment 0", "copy or build it again"});
    spoil("tail.elf", elf.substr(0, elf.size() - 100), {"section headers", "copy or build it again"});
    spoil("class.elf", spoiled<u8>(elf, kClass, 1), {"32-bit", "riscv64-linux-gnu-gcc"});
    spoil("order.elf", spoiled<u8>(elf, kByteOrder, 2), {"big-endian", "riscv64-linux-gnu-gcc"});
    spoil("machine.elf", spoiled<u16>(elf, kMachine, 62), {"x86-64", "riscv64-linux-gnu-gcc"});
    spoil("other.elf", spoiled<u16>(elf, kMachine, 12345), {"12345", "riscv64-linux-gnu-gcc"});
    spoil("object.elf", spoiled<u16>(elf, kType, 1), {"not linked", "link it"});
    spoil("none.elf", spoiled<u16>(elf, kProgramCount, 0), {"nothing to load", "link it"});
    spoil("many.elf", spoiled<u16>(elf, kProgramCount, 65535), {"65535", "copy or build it again"});
    spoil("far.elf", spoiled<u64>(elf, kProgramOffset, ~u64{0} - 3), {"program headers", "copy or build it again"});
    spoil("beyond.elf", spoiled<u64>(elf, kFirst + kFileOffset, ~u64{0} - 5), {"segment 0", "copy or build it again"});
    spoil("huge.elf", spoiled<u64>(elf, kFirst + kMemorySize, u64{1} << 60), {"segment 0", "copy or build it again"});
    spoil("large.elf", spoiled<u64>(spoiled<u16>(elf, kProgramCount, 1), kFirst + kMemorySize, u64{5} << 30), {"MiB of RAM", "--memory"});
    spoil("low.elf", spoiled<u64>(elf, kFirst + kPhysical, 0x1000), {"0x1000", "RAM begins at 0x80000000"});
    spoil("entry.elf", spoiled<u64>(elf, kEntry, 0x10), {"entry 0x10", "ENTRY"});
    refused({"boot", "/bin/true"}, 1, {"/bin/true", "not for RISC-V", "riscv64-linux-gnu-gcc"});
    refused({"boot", built("guests/linux/float")}, 1, {"guests/linux/float", "needs a container"});
    refused({"symbols", "no-such.elf"}, 1, {"no-such.elf"});
    refused({"symbols", folder.write("text", "just a text")}, 1, {"text", "not an ELF file"});
    refused({"trace", folder.path("half.elf")}, 1, {"half.elf", "copy or build it again"});
    refused({"compare", folder.path("half.elf")}, 1, {"half.elf", "copy or build it again"});
    refused({"debug", folder.path("half.elf")}, 1, {"half.elf", "copy or build it again"});
}

TEST_CASE("Segments over each other are refused, in virtual and in physical memory") {
    // A file of its own, of two segments with one page each.
    std::string bytes = guest_bytes("tiny-os.elf").substr(0, 64) + std::string(0x3000 - 64, '\0');
    bytes = spoiled<u16>(spoiled<u64>(bytes, kProgramOffset, 64), kProgramCount, 2);
    bytes = spoiled<u64>(bytes, 40, 0); // no sections
    bytes = spoiled<u64>(bytes, kEntry, 0x80200000);
    const auto segment = [&](unsigned index, u64 offset, u64 virtual_address, u64 physical) {
        const std::size_t at = kFirst + index * kHeaderBytes;
        bytes = spoiled<u32>(spoiled<u32>(bytes, at, 1), at + 4, 7);
        bytes = spoiled<u64>(spoiled<u64>(spoiled<u64>(bytes, at + kFileOffset, offset), at + kVirtual, virtual_address), at + kPhysical, physical);
        bytes = spoiled<u64>(spoiled<u64>(bytes, at + 32, 0x1000), at + kMemorySize, 0x1000);
    };
    const Folder folder;
    segment(0, 0x1000, 0x80200000, 0x80200000);
    segment(1, 0x2000, 0x80200800, 0x80200800);
    refused({"boot", folder.write("virtual.elf", bytes)}, 1, {"virtual.elf", "overlap at 0x80200800", "linker script"});
    segment(1, 0x2000, 0x80300000, 0x80200ff0);
    refused({"boot", folder.write("physical.elf", bytes)}, 1, {"physical.elf", "over each other at 0x80200ff0", "linker script"});
    segment(1, 0x2000, 0x80300000, 0x80201000);
    CHECK(run_trapeze({"boot", folder.write("good.elf", bytes), "--max-instructions", "10"}).status == 3);
}

TEST_CASE("What is larger than the machine is refused with how much it needs") {
    const Folder folder;
    refused({"boot", "tiny-os", "--memory", "2M"}, 1, {"tiny-os.elf", "MiB of RAM", "has 2 MiB", "--memory"});
    const std::string flat = folder.write("flat.bin", std::string(20 << 20, '\x13'));
    refused({"boot", flat, "--memory", "16M"}, 1, {"flat.bin", "22 MiB of RAM", "has 16 MiB", "--memory"});
    refused({"boot", flat, "--memory", "16M", "--mode", "interpret"}, 1, {"flat.bin", "--memory"});
    const std::string disk = folder.write("disk.img", std::string(1000, 'x'));
    refused({"boot", "tiny-os", "--drive", disk}, 1, {"disk.img", "512", "truncate"});
    refused({"boot", "tiny-os", "--drive", disk, "--mode", "interpret"}, 1, {"disk.img", "512", "truncate"});
    refused({"boot", "tiny-os", "--drive", folder.path("none.img")}, 1, {"none.img", "no such file"});
    refused({"boot", "tiny-os", "--append", std::string(70'000, 'x')}, 1, {"command line", "shorten"});
}

TEST_CASE("A device tree can be given to the guest, and one that does not parse is refused") {
    const Folder folder;
    const Board board(1);
    const auto tree = make_device_tree(board, 1, kRamBase, u64{128} << 20, "run=/bin/uname");
    const std::string blob(tree.begin(), tree.end());
    for (const std::string mode : kModeNames) {
        CAPTURE(mode);
        const Ended ended = run_trapeze({"boot", "tiny-os", "--mode", mode, "--dtb", folder.write("own.dtb", blob)});
        CHECK(ended.status == 0);
        CHECK(ended.out.find("tiny-os tiny 1.0 riscv64") != std::string::npos); // its command line is the tree's
    }
    const auto wrong = [&](const std::string& bytes, const Words& named) {
        const std::string file = folder.write("wrong.dtb", bytes);
        Words words = named;
        words.push_back("wrong.dtb: the device tree");
        words.push_back("dtc");
        refused({"boot", "tiny-os", "--dtb", file}, 1, words);
        refused({"boot", "tiny-os", "--dtb", file, "--mode", "trap-and-emulate"}, 1, words);
    };
    refused({"boot", "tiny-os", "--dtb", folder.write("empty.dtb", "")}, 1, {"empty.dtb", "the file is empty"});
    wrong("/dts-v1/;\n/ { };\n" + std::string(100, ' '), {"0xd00dfeed"});
    wrong(blob.substr(0, blob.size() / 2), {"cut short"});
    wrong(spoiled<u32>(blob, 8, 0xffffffff), {"does not parse"}); // where the structure begins
    refused({"boot", "tiny-os", "--dtb", folder.path("none.dtb")}, 1, {"none.dtb", "no such file"});
    // As a guest it is no program, and no harm either.
    CHECK(run_trapeze({"boot", folder.write("as-guest.dtb", blob), "--max-instructions", "100000"}).status == 3);
}

TEST_CASE("A guest that can never get on ends with what holds it") {
    for (const std::string mode : kModeNames) {
        CAPTURE(mode);
        for (const std::string bios : {"none", "builtin"}) {
            CAPTURE(bios);
            refused({"boot", "void", "--bios", bios, "--mode", mode}, 1, {"void", "0x4000", "instruction access fault", bios == "none" ? "mtvec" : "stvec", "mend"});
        }
        refused({"boot", "spin", "--bios", "none", "--mode", mode}, 1, {"spin", "0x80000000 (_start)", "jumps to itself"});
        const Ended limited = run_trapeze({"boot", "void", "--bios", "none", "--mode", mode, "--max-instructions", "70000"});
        CHECK(limited.status == 3);
        CHECK(limited.err.find("0x4000") != std::string::npos);
    }
    const Json json = json_of(run_trapeze({"boot", "void", "--bios", "none", "--json"}).out);
    CHECK(json["end"] == "stuck");
    CHECK(json["stuck"].get<std::string>().find("0x4000") != std::string::npos);
    const Ended traced = run_trapeze({"trace", "void", "--bios", "none", "--max-instructions", "100"});
    CHECK(traced.status == 0);
    CHECK(traced.out.find("instruction access fault at pc 0x4000") != std::string::npos);
}

TEST_CASE("A lesson that is wrong ends with file, line and mend") {
    const Folder folder;
    const auto wrong = [&](const std::string& text, const Words& named) {
        const std::string file = folder.write("wrong.md", text);
        for (const char* how : {"--headless", "--json"}) {
            const Ended ended = run_trapeze({"lesson", file, how}, without_display());
            CAPTURE(ended.err);
            CHECK(ended.status == 1);
            CHECK(std::count(ended.err.begin(), ended.err.end(), '\n') == 1);
            for (const std::string& word : named) {
                CAPTURE(word);
                CHECK(ended.err.find(word) != std::string::npos);
            }
        }
    };
    const std::string head = "# T\n\n## S\n\n"; // code of a block that follows begins on line 6
    wrong("", {"wrong.md", "# Title"});
    wrong(head + "```lua do\n\nstep(\n```\n", {"wrong.md:", "docs/lessons.md"});
    wrong(head + "```lua do\nlocal a\na.b = 1\n```\n", {"wrong.md:7:", "docs/lessons.md"});
    wrong(head + "```lua setup\nio.open('/etc/passwd')\n```\n", {"wrong.md:6:", "io"});
    wrong(head + "```lua setup\nwhile true do end\n```\n", {"wrong.md:6:", "endless loop"});
    wrong(head + "```lua setup\nlocal s = 'x' while true do s = s .. s end\n```\n", {"wrong.md:6:", "memory"});
    wrong(head + "```lua setup\nsession.open{guest = 'none.elf'}\n```\n", {"wrong.md:6:", "none.elf", "no such file"});
    wrong(head + "```lua do\nx = 1\n```\n\n```lua check\nreturn false\n```\n", {"wrong.md:3:", "\"S\"", "lua check"});
    refused({"lesson", "no-such-lesson"}, 1, {"\"no-such-lesson\"", "trapeze lesson --list"});
    refused({"lesson", folder.path("")}, 1, {"trapeze lesson --list"});
    const std::string quiet = folder.write("quiet.md", head + "Only text.\n");
    CHECK(run_trapeze({"lesson", quiet, "--headless"}).out.find("Done: 0 of 0") != std::string::npos);
    const Ended no_picture = run_trapeze({"lesson", quiet, "--headless", "--picture", folder.path("a.png")}, without_display());
    CHECK(no_picture.status == 1);
    CHECK(no_picture.err.find("quiet.md:3: the first step opens no session") != std::string::npos);
}

TEST_CASE("A cost model that is wrong is refused with file, line and mend") {
    const Folder folder;
    const auto wrong = [&](const std::string& text, const Words& named) { refused({"compare", "hello", "--costs", folder.write("wrong.toml", text)}, 2, named); };
    wrong("[cycles\n", {"wrong.toml:1"});
    wrong("name = \"x\"\n", {"wrong.toml", "[cycles]"});
    wrong("[cycles]\ntrap = 1\ntarp = 2\n", {"wrong.toml:3", "\"tarp\"", "flat.toml"});
    wrong("[cycles]\ntrap = -1\n", {"wrong.toml:2", "trap", "0 to"});
    wrong("[cycles]\ntrap = \"much\"\n", {"wrong.toml:2", "trap"});
}

TEST_CASE("A reader of the output that goes away ends the program, too") {
    Child child;
    child.arguments = {"/bin/sh", "-c", "\"$TRAPEZE\" trace tiny-os --max-instructions 50000000 --class all | head -n 1"};
    const char* folder = std::getenv("TRAPEZE_BIN");
    REQUIRE(folder);
    child.environment = {{"TRAPEZE", std::string(folder) + "/trapeze"}};
    child.seconds = 60;
    const Ended ended = run_child(child);
    CHECK_FALSE(ended.timed_out);
    CHECK(lines_of(ended.out).size() == 1);
}
