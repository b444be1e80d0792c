// The real program as a process: its verbs, what they print, their exit statuses; and everything that can be given to it wrongly, which
// must end in a sentence that names the object and the mend.
#include "emulator/loader.hpp"
#include "tests/scenarios/child_process.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <cstring>
#include <filesystem>
#include <sstream>

using namespace trapeze;
using namespace trapeze::test;
using Json = nlohmann::json;

namespace {

using Words = std::vector<std::string>;

const char* const kModes[] = {"bare", "interpret", "translate", "trap-and-emulate", "paravirtual", "hardware-assisted"};
const std::pair<std::string, std::string> kNoDisplay[] = {{"DISPLAY", ""}, {"WAYLAND_DISPLAY", ""}};

/// For programs that draw: graphics drivers leak, and are unloaded before the leaks can be told apart from the program's.
const std::pair<std::string, std::string> kDriverLeaks{"ASAN_OPTIONS", "detect_leaks=0"};

Child without_display() {
    Child child;
    child.environment.assign(std::begin(kNoDisplay), std::end(kNoDisplay));
    return child;
}

/// A run that must fail: one sentence on standard error, with these words in it, and nothing else.
void refused(const Words& arguments, int status, const Words& named, Child child = without_display()) {
    child.seconds = 60;
    const Ended ended = run_trapeze(arguments, child);
    std::string line;
    for (const std::string& word : arguments) line += word.substr(0, 100) + " ";
    CAPTURE(line);
    CAPTURE(ended.err);
    CHECK(ended.status == status);
    CHECK(ended.out == "");
    CHECK(ended.err.starts_with("trapeze: "));
    CHECK(std::count(ended.err.begin(), ended.err.end(), '\n') == 1);
    for (const std::string& word : named) {
        CAPTURE(word);
        CHECK(ended.err.find(word) != std::string::npos);
    }
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

Json json_of(const std::string& text) {
    Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded()) FAIL("this is not JSON: " << text.substr(0, 500));
    return json;
}

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

TEST_CASE("Every verb explains itself with --help") {
    const Ended all = run_trapeze({"--help"});
    CHECK(all.status == 0);
    for (const Words& verb : {Words{"boot"}, {"trace"}, {"compare"}, {"nano"}, {"costs"}, {"walk"}, {"lesson"}, {"debug"}, {"isa"}, {"symbols"}, {"container"}, {"container", "run"}, {"container", "ps"}, {"container", "debug"}}) {
        CAPTURE(verb.back());
        if (verb.size() == 1) CHECK(all.out.find("\n  " + verb[0] + " ") != std::string::npos);
        Words words = verb;
        words.push_back("--help");
        const Ended help = run_trapeze(words);
        CHECK(help.status == 0);
        CHECK(help.err == "");
        CHECK(help.out.find("Usage: ") != std::string::npos);
        CHECK(help.out.find("--help") != std::string::npos);
    }
    for (const Words& verb : {Words{"boot"}, {"trace"}, {"compare"}, {"nano"}, {"costs"}, {"walk"}, {"lesson"}, {"isa"}, {"symbols"}, {"container", "run"}, {"container", "ps"}}) {
        CAPTURE(verb.back());
        Words words = verb;
        words.push_back("--help");
        CHECK(run_trapeze(words).out.find("--json") != std::string::npos);
    }
}

TEST_CASE("boot ends with the guest's own status, in every mode") {
    for (const std::string mode : kModes) {
        CAPTURE(mode);
        CHECK(run_trapeze({"boot", "pass", "--bios", "none", "--mode", mode}).status == 0);
        CHECK(run_trapeze({"boot", "fail", "--bios", "none", "--mode", mode}).status == 7);
        const Ended hello = run_trapeze({"boot", "hello", "--bios", "none", "--mode", mode});
        CHECK(hello.status == 0);
        CHECK(hello.out == "hello from bare metal\n");
        CHECK(hello.err == "");
        const Ended limited = run_trapeze({"boot", "spin", "--bios", "none", "--mode", mode, "--max-instructions", "100000"});
        CHECK(limited.status == 3);
        CHECK(limited.err.find("100000 instructions") != std::string::npos);
        CHECK(limited.err.find("--max-instructions") != std::string::npos);
        const Ended text = run_trapeze({"boot", "tiny-os", "--mode", mode, "--exit-on", "paging is on"});
        CHECK(text.status == 0);
        CHECK(text.out.find("tiny-os: hello from hart 0") != std::string::npos);
    }
    // The text may come in pieces, and need not come at all.
    CHECK(run_trapeze({"boot", "tiny-os", "--exit-on", "\n$ "}).status == 0);
    CHECK(run_trapeze({"boot", "tiny-os", "--exit-on", "never printed"}).err.find("waits for input") != std::string::npos);
    const Ended files = run_trapeze({"boot", built("guests/bare/fail.elf"), "--bios", "none"});
    CHECK(files.status == 7);
    const Ended flat = run_trapeze({"boot", built("guests/tiny-os.bin"), "--append", "run=/bin/hello"});
    CHECK(flat.status == 0);
    CHECK(flat.out.find("hello, world") != std::string::npos);
}

TEST_CASE("boot passes what is typed to the guest, and ends when the guest waits for input that has ended") {
    Child child;
    child.input = "echo from outside\nuname\n";
    std::string expected;
    for (const std::string mode : kModes) {
        CAPTURE(mode);
        const Ended ended = run_trapeze({"boot", "tiny-os", "--mode", mode}, child);
        CHECK(ended.status == 0);
        std::string printed = ended.out;
        std::erase(printed, '\r');
        CHECK(printed.find("\nfrom outside\n") != std::string::npos);
        CHECK(ended.err.find("waits for input") != std::string::npos);
        if (expected.empty()) expected = ended.out;
        CHECK(ended.out == expected);
    }
    child.input += "poweroff\n";
    const Ended off = run_trapeze({"boot", "tiny-os", "--json"}, child);
    const Json json = json_of(off.out);
    CHECK(json["end"] == "halted");
    CHECK(json["status"] == 0);
    CHECK(json["mode"] == "bare");
    CHECK(json["console"].get<std::string>().find("from outside") != std::string::npos);
    CHECK(json["position"].get<u64>() > 100'000);
}

TEST_CASE("trace prints sentences or JSON lines, the same bytes each time") {
    for (const std::string mode : kModes) {
        CAPTURE(mode);
        for (const std::string classes : {"trap,exit", "all"}) {
            CAPTURE(classes);
            const Words words{"trace", "tiny-os", "--mode", mode, "--append", "run=/bin/pipetest", "--max-instructions", "1000000", "--class", classes};
            const Ended text = run_trapeze(words), again = run_trapeze(words);
            CHECK(text.status == 0);
            CHECK(text.err == "");
            CHECK((text.out == again.out));
            const bool virtualized = mode == "hardware-assisted"; // its programs' calls go from VU to VS
            CHECK(text.out.find(virtualized ? "trap VU->VS: environment call from U-mode" : "trap U->S: environment call from U-mode") != std::string::npos);
            Words json_words = words;
            json_words.push_back("--json");
            const Ended json = run_trapeze(json_words), json_again = run_trapeze(json_words);
            CHECK((json.out == json_again.out));
            const auto lines = lines_of(json.out);
            CHECK(lines.size() == lines_of(text.out).size());
            REQUIRE(lines.size() > 50);
            u64 time = 0, exits = 0, incomplete = 0, back = 0;
            for (const std::string& line : lines) {
                const Json event = json_of(line);
                for (const char* field : {"time", "kind", "pc", "a", "detail", "hart", "vm", "from", "to"}) incomplete += !event.contains(field);
                // The trap that a VMM reflects bears the cycle of its instruction, which is over when the VMM reflects it.
                const u64 now = event.value("time", u64{0});
                back += now + (mode == "translate" || mode == "trap-and-emulate" || mode == "paravirtual") < time;
                time = now;
                exits += event["kind"] == "VmExit";
            }
            CHECK(incomplete == 0);
            if (mode != "interpret") CHECK(back == 0);
            CHECK((exits > 0) == (mode != "bare" && mode != "interpret"));
        }
    }
    const Words by_format{"trace", "hello", "--bios", "none", "--format", "json"};
    CHECK(run_trapeze(by_format).out == run_trapeze({"trace", "hello", "--bios", "none", "--json"}).out);
}

TEST_CASE("compare measures each mode on the same guest, and their consoles agree") {
    const Ended ended = run_trapeze({"compare", "tiny-os", "--json"});
    CHECK(ended.status == 0);
    const Json list = json_of(ended.out);
    REQUIRE(list.is_array());
    REQUIRE(list.size() >= std::size(kModes));
    for (std::size_t i = 0; i < list.size(); ++i) {
        CAPTURE(i);
        CHECK(list[i]["console"] == list[0]["console"]);
        CHECK(list[i]["end"] == "halted");
        CHECK(list[i]["instructions"].get<u64>() > 1'000'000);
        CHECK(list[i]["cycles"].get<u64>() >= list[i]["instructions"].get<u64>());
        CHECK(list[i]["memory_bytes"].get<u64>() > 100'000);
    }
    CHECK(list[0]["console"].get<std::string>().find("self-test passed") != std::string::npos);
    const auto column = [&](const char* mode) { return *std::find_if(list.begin(), list.end(), [&](const Json& c) { return c["mode"] == mode; }); };
    const Json bare = column("bare"), interpreted = column("interpret"), trapped = column("trap-and-emulate"), assisted = column("hardware-assisted");
    CHECK(bare["exits"].empty());
    CHECK(trapped["exits"]["csr access"].get<u64>() > 100);
    CHECK(!assisted["exits"].contains("csr access"));
    CHECK(interpreted["instructions"] == bare["instructions"]); // interpreted, it runs exactly as bare
    CHECK(interpreted["cycles"].get<u64>() > bare["cycles"].get<u64>());
    CHECK(trapped["cycles"].get<u64>() > assisted["cycles"].get<u64>());
    CHECK(assisted["cycles"].get<u64>() > bare["cycles"].get<u64>());

    const Ended table = run_trapeze({"compare", "tiny-os", "--modes", "bare,trap-and-emulate", "--append", "run=/bin/hello"});
    CHECK(table.status == 0);
    CHECK(table.out.find("interpret") == std::string::npos);
    CHECK(table.out.find("  csr access") != std::string::npos);
    CHECK(table.out.find("the same in each mode") != std::string::npos);
    const Json stuck = json_of(run_trapeze({"compare", "void", "--bios", "none", "--json"}).out);
    for (const Json& column : stuck) CHECK(column["end"] == "stuck");
    const Json limited = json_of(run_trapeze({"compare", "spin", "--bios", "none", "--json", "--max-instructions", "50000"}).out);
    for (const Json& column : limited) CHECK(column["end"] == "limit");
}

TEST_CASE("isa and symbols print their tables, for people and for programs") {
    const Ended isa = run_trapeze({"isa"});
    CHECK(isa.status == 0);
    CHECK(isa.out.find("sfence.vma") != std::string::npos);
    CHECK(isa.out.find("satp") != std::string::npos);
    const Json tables = json_of(run_trapeze({"isa", "--json"}).out);
    CHECK(tables["instructions"].size() > 150);
    CHECK(tables["csrs"].size() > 50);
    std::size_t sensitive = 0;
    for (const Json& row : tables["instructions"]) {
        sensitive += row["sensitivity"] != "innocuous";
        CHECK((row["match"].get<u64>() & ~row["mask"].get<u64>()) == 0);
    }
    CHECK(sensitive > 5);

    const Ended symbols = run_trapeze({"symbols", "tiny-os"});
    CHECK(symbols.status == 0);
    CHECK(symbols.out.find(" kernel_main\n") != std::string::npos);
    const Json list = json_of(run_trapeze({"symbols", "tiny-os", "--json"}).out);
    CHECK(list.size() == lines_of(symbols.out).size());
    CHECK(std::any_of(list.begin(), list.end(), [](const Json& row) { return row["name"] == "enable_paging_satp" && row["address"].get<std::string>().starts_with("0x802"); }));
}

TEST_CASE("lesson plays in the terminal, marks predictions, and gives the same as JSON") {
    const Ended list = run_trapeze({"lesson", "--list"});
    CHECK(list.status == 0);
    const auto names = lines_of(list.out);
    CHECK(json_of(run_trapeze({"lesson", "--list", "--json"}).out).size() == names.size());
    REQUIRE_FALSE(names.empty());
    for (const std::string& name : names) {
        CAPTURE(name);
        const Ended played = run_trapeze({"lesson", name, "--headless"});
        CHECK(played.status == 0);
        CHECK(played.err == "");
        CHECK(played.out.find("Done: ") != std::string::npos);
        const Json json = json_of(run_trapeze({"lesson", name, "--json"}).out);
        CHECK(json["right"] == json["questions"]);
        CHECK(json["steps"].size() > 0);
    }
    const Ended undisplayed = run_trapeze({"lesson", "watch-a-trap"}, without_display());
    CHECK(undisplayed.status == 0);
    CHECK(undisplayed.out.find("Done: 3 of 3") != std::string::npos);
    const Ended wrong = run_trapeze({"lesson", "watch-a-trap", "--headless", "--answers", "1,1,3"});
    CHECK(wrong.status == 0);
    CHECK(wrong.out.find("Done: 1 of 3") != std::string::npos);
    CHECK(wrong.out.find("Your prediction was wrong; right is 2.") != std::string::npos);
    const Json json = json_of(run_trapeze({"lesson", "watch-a-trap", "--json", "--answers", "3,2"}).out);
    CHECK(json["right"] == 1);
    CHECK(json["steps"][0]["answered"] == 3);
    CHECK(json["steps"][0]["right"] == 2);
    CHECK(json["steps"][0]["said"].size() > 0);
    CHECK(json["steps"][2]["mode"] == "bare");
}

TEST_CASE("The first minute without a display: the lesson in the terminal, and the debugger's picture") {
    const Folder folder;
    Child child = without_display();
    child.environment.push_back(kDriverLeaks);
    child.folder = folder.path("");
    for (const Words& words : {Words{"--headless"}, Words{}}) {
        std::filesystem::remove(folder.path("trapeze.png"));
        const Ended ended = run_trapeze(words, child);
        CHECK(ended.status == 0);
        CHECK(ended.out.find("Watch a trap") != std::string::npos);
        CHECK(ended.out.find("Done: 3 of 3") != std::string::npos);
        CHECK(ended.out.find("trapeze.png") != std::string::npos);
        const std::string picture = read_text(folder.path("trapeze.png"));
        CHECK(picture.size() > 20'000);
        CHECK(picture.starts_with("\x89PNG\r\n\x1a\n"));
    }
    const std::string picture = folder.path("own.png");
    CHECK(run_trapeze({"lesson", "--headless", "--picture", picture}, child).status == 0);
    CHECK(read_text(picture).size() > 20'000);
    refused({"debug", "tiny-os", "--screenshot", folder.path("no/such/folder/a.png")}, 1, {"no/such/folder/a.png", "check the folder"}, child);
}

TEST_CASE("At a terminal the lesson asks for predictions, and takes nothing else for one") {
    Child child = without_display();
    child.terminal = true;
    child.input = "nonsense\n9\n1\n\n" "1\n\n" "1\n\n";
    const Ended ended = run_trapeze({"lesson"}, child);
    CHECK(ended.status == 0);
    CHECK(ended.out.find("Your prediction (1-3): ") != std::string::npos);
    CHECK(ended.out.find("Your prediction was wrong; right is 2.") != std::string::npos);
    CHECK(ended.out.find("Done: 2 of 3") != std::string::npos);
    child.input = "1\n\x04"; // and leaves
    CHECK(run_trapeze({"lesson"}, child).status == 0);
}

TEST_CASE("Ctrl+A x leaves a guest, whether it waits or computes") {
    Child child;
    child.terminal = true;
    child.input = "\x01x";
    for (const std::string& guest : {std::string("tiny-os"), built("guests/bench/int_loop.elf")}) {
        CAPTURE(guest);
        const Ended ended = run_trapeze({"boot", guest, "--bios", guest == "tiny-os" ? "builtin" : "none"}, child);
        CHECK(ended.status == 0);
        CHECK(ended.out.find("check ") == std::string::npos); // the loop's own end
        CHECK(ended.out.find("Ctrl+A x leaves") != std::string::npos);
    }
    child.input = "uname\r\x01\x01x\x01x"; // Ctrl+A twice is one for the guest
    CHECK(run_trapeze({"boot", "tiny-os"}, child).status == 0);
}

TEST_CASE("A window that nobody could see is refused, and not waited for") {
    refused({"debug", "tiny-os"}, 1, {"no display", "--screenshot", "boot"});
    refused({"container", "debug", built("guests/root"), "/bin/hello"}, 1, {"no display", "--screenshot"});
    Child dead;
    dead.environment = {{"DISPLAY", ":9999"}, {"WAYLAND_DISPLAY", ""}, kDriverLeaks};
    dead.seconds = 60;
    for (const Words& words : {Words{}, Words{"lesson"}, Words{"debug", "tiny-os"}}) {
        const Ended ended = run_trapeze(words, dead);
        CAPTURE(ended.err);
        CHECK(ended.status == 1);
        CHECK(ended.err.find("--headless") != std::string::npos);
    }
}

TEST_CASE("container run and ps give text and JSON") {
    const std::string root = built("guests/root");
    const Ended hello = run_trapeze({"container", "run", root, "/bin/hello"});
    CHECK(hello.status == 0);
    CHECK(hello.out == "hello, world\n");
    const Json json = json_of(run_trapeze({"container", "run", "--json", "--hostname", "web", root, "/bin/hostname"}).out);
    CHECK(json["containers"][0]["output"] == "web\n");
    CHECK(json["containers"][0]["status"] == 0);
    const Json processes = json_of(run_trapeze({"container", "ps", "--json", root, "/bin/sleep", "5", "--and", root, "/bin/sleep", "5"}).out);
    CHECK(std::count_if(processes.begin(), processes.end(), [](const Json& process) { return process["pids"].back() == 1; }) >= 2);
}

TEST_CASE("Wrong usage ends with status 2 and says what is right") {
    refused({"bott"}, 2, {"\"bott\"", "boot", "lesson"});
    refused({"container", "stop"}, 2, {"\"container stop\"", "run", "ps"});
    refused({"container", "run", "--memory", "99G", "/", "/bin/true"}, 2, {"--memory 99G", "8G"});
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
    for (const std::string mode : kModes) {
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
    for (const std::string mode : kModes) {
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
