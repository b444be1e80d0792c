// The real program as a process: its verbs, what they print, their exit statuses.
#include "tests/scenarios/command_line.hpp"

#include <filesystem>

using namespace trapeze;
using namespace trapeze::test;

namespace {

/// For programs that draw: graphics drivers leak, and are unloaded before the leaks can be told apart from the program's.
const std::pair<std::string, std::string> kDriverLeaks{"ASAN_OPTIONS", "detect_leaks=0"};

} // namespace

TEST_CASE("Every verb explains itself with --help") {
    const Ended all = run_trapeze({"--help"});
    CHECK(all.status == 0);
    for (const Words& verb : {Words{"boot"}, {"trace"}, {"compare"}, {"nano"}, {"costs"}, {"walk"}, {"lesson"}, {"debug"}, {"isa"}, {"explain"}, {"script"}, {"symbols"}, {"container"}, {"container", "run"}, {"container", "ps"}, {"container", "debug"}}) {
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
    for (const Words& verb : {Words{"boot"}, {"trace"}, {"compare"}, {"nano"}, {"costs"}, {"walk"}, {"lesson"}, {"isa"}, {"explain"}, {"symbols"}, {"container", "run"}, {"container", "ps"}}) {
        CAPTURE(verb.back());
        Words words = verb;
        words.push_back("--help");
        CHECK(run_trapeze(words).out.find("--json") != std::string::npos);
    }
}

TEST_CASE("boot ends with the guest's own status, in every mode") {
    for (const std::string mode : kModeNames) {
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
    for (const std::string mode : kModeNames) {
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
    for (const std::string mode : kModeNames) {
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
    REQUIRE(list.size() >= std::size(kModeNames));
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
