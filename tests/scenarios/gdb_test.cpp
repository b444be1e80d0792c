// `trapeze gdb`, driven by a real gdb-multiarch: what a person types there, and what GDB shows then.
#include "tests/scenarios/child_process.hpp"

#include <doctest/doctest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fcntl.h>
#include <regex>
#include <sys/wait.h>
#include <unistd.h>

using namespace trapeze::test;

namespace {

constexpr char kGdb[] = "/usr/bin/gdb-multiarch";
const char* const kModes[] = {"bare", "interpret", "trap-and-emulate", "paravirtual"};

std::string program() {
    const char* folder = std::getenv("TRAPEZE_BIN");
    return (folder ? std::string(folder) : std::filesystem::read_symlink("/proc/self/exe").parent_path().string()) + "/trapeze";
}

/// Runs GDB's commands on a guest. Returns what GDB printed.
std::string gdb(const std::string& elf, const std::string& target, const std::string& commands) {
    REQUIRE_MESSAGE(std::filesystem::exists(kGdb), "install gdb-multiarch");
    const Folder folder;
    const std::string script = folder.write("script", "set pagination off\nset confirm off\nset width 0\nfile " + built(elf) + "\ntarget remote " + target + "\n" + commands);
    Child child;
    child.arguments = {"/bin/sh", "-c", std::string("exec ") + kGdb + " -nx -batch -x " + script + " 2>&1"}; // what goes where, in order
    const Ended ended = run_child(child);
    CHECK_FALSE(ended.timed_out);
    CHECK(ended.signal == 0);
    return ended.out;
}

std::string tiny_os(const std::string& mode, const std::string& commands) {
    return gdb("guests/tiny-os.elf", "| " + program() + " gdb tiny-os --pipe --mode " + mode, commands);
}

/// The part of the text after the last "echo" of a mark; marks divide what one script prints.
std::string after(const std::string& text, const std::string& mark) {
    const std::size_t at = text.find("<" + mark + ">");
    if (at == std::string::npos) return {};
    const std::size_t begin = at + mark.size() + 2;
    return text.substr(begin, text.find('<' + std::string("end>"), begin) - begin);
}
std::string marked(const std::string& mark, const std::string& commands) { return "echo <" + mark + ">\\n\n" + commands + "echo <end>\\n\n"; }

bool has(const std::string& text, const std::string& pattern) { return std::regex_search(text, std::regex(pattern)); }

} // namespace

TEST_CASE("GDB breaks at a function, steps, and steps back to where it was, in every mode") {
    for (const char* mode : kModes) {
        CAPTURE(mode);
        const std::string text = tiny_os(mode, marked("start", "p/x $pc\np/x $satp\n") + "break page_allocate\n" + marked("hit", "continue\nbacktrace 1\n") +
                                                   marked("code", "x/4i $pc\n") + "set $first = $pc\n" + marked("step", "stepi\np $pc != $first\n") +
                                                   marked("back", "reverse-stepi\np $pc == $first\n") + "detach\n");
        CAPTURE(text);
        CHECK(has(after(text, "start"), "= 0x80200000"));
        CHECK(has(after(text, "hit"), "Breakpoint 1, page_allocate \\(\\) at tiny-os/kernel/memory.c"));
        CHECK(has(after(text, "code"), "=> 0x[0-9a-f]+ <page_allocate"));
        CHECK(has(after(text, "step"), "= 1"));
        CHECK(has(after(text, "back"), "= 1"));
        CHECK(has(text, "detached"));
    }
}

TEST_CASE("GDB shows the guest's own CSRs and privilege, under a hypervisor as on the machine") {
    for (const char* mode : kModes) {
        CAPTURE(mode);
        const std::string text = tiny_os(mode, "hbreak run_processes\ncontinue\n" + marked("csr", "p/x $satp\np/x $sscratch\ninfo registers priv\n") +
                                                   marked("cause", "break handle_trap\ncontinue\np $scause\np/x $stvec == &_entry + 0x14\n") +
                                                   marked("all", "info registers csr\n"));
        CAPTURE(text);
        CHECK(has(after(text, "csr"), "= 0x8000000000080[0-9a-f]{3}")); // Sv39, the guest's own table
        CHECK(has(after(text, "csr"), "prv:1 \\[Supervisor\\]"));
        CHECK(has(after(text, "cause"), "= -?[0-9]+"));
        for (const char* name : {"satp", "mstatus", "medeleg", "stimecmp", "pmpaddr15"}) CHECK(has(after(text, "all"), std::string(name) + " +0x"));
    }
}

TEST_CASE("A watchpoint on a kernel variable stops after the store, and going back finds the store again") {
    for (const char* mode : kModes) {
        CAPTURE(mode);
        const std::string text = tiny_os(mode, "watch *(long*)&next_pid\n" + marked("hit", "continue\np *(long*)&next_pid\n") + "set $there = $pc\n" +
                                                   marked("back", "reverse-continue\np *(long*)&next_pid\np $pc != $there\n") +
                                                   marked("again", "continue\np *(long*)&next_pid\np $pc == $there\n") +
                                                   marked("start", "delete\nreverse-continue\np/x $pc\n"));
        CAPTURE(text);
        CHECK(has(after(text, "hit"), "Old value = 1\nNew value = 2[^<]*= 2\n"));
        CHECK(has(after(text, "back"), "Old value = 2\nNew value = 1[^<]*= 1\n[^<]*= 1\n"));
        CHECK(has(after(text, "again"), "Old value = 1\nNew value = 2[^<]*= 2\n[^<]*= 1\n"));
        CHECK(has(after(text, "start"), "No more reverse-execution history[^<]*= 0x80200000"));
    }
}

TEST_CASE("Reading can be watched, and the program is not disturbed by what watches it") {
    const std::string text = tiny_os("bare", "rwatch *(long*)&next_pid\n" + marked("read", "continue\n") + "delete\nbreak run_processes\n" + marked("on", "continue\n"));
    CAPTURE(text);
    CHECK(has(after(text, "read"), "Hardware read watchpoint 1[^<]*Value = 1"));
    CHECK(has(after(text, "on"), "Breakpoint 2, [^<]*run_processes"));
}

TEST_CASE("Reverse-continue stops at the last breakpoint that was hit, then at the one before") {
    for (const char* mode : kModes) {
        CAPTURE(mode);
        const std::string text = tiny_os(mode, "break page_allocate\ncontinue\nset $n1 = $minstret\ncontinue\nset $n2 = $minstret\ncontinue\n" +
                                                   marked("one", "reverse-continue\np $minstret == $n2\n") + marked("two", "reverse-continue\np $minstret == $n1\n") +
                                                   marked("none", "reverse-continue\n"));
        CAPTURE(text);
        CHECK(has(after(text, "one"), "Breakpoint 1, [^<]*= 1\n"));
        CHECK(has(after(text, "two"), "Breakpoint 1, [^<]*= 1\n"));
        CHECK(has(after(text, "none"), "No more reverse-execution history"));
    }
}

TEST_CASE("GDB writes registers and memory, virtual and physical, and the guest goes on with what was written") {
    for (const char* mode : kModes) {
        CAPTURE(mode);
        const std::string text = tiny_os(
            mode, "break new_process\ncontinue\n" + marked("register", "set $s11 = 0x1122334455667788\nset $sscratch = 0x77\np/x $s11\np/x $sscratch\n") +
                      marked("memory", "set var *(long*)&next_pid = 41\np *(long*)&next_pid\n") +
                      marked("physical", "maintenance packet Qqemu.PhyMemMode:1\nmaintenance flush dcache\np *(long*)&next_pid == 41\nmaintenance packet Qqemu.PhyMemMode:0\n") +
                      "watch *(long*)&next_pid\n" + marked("on", "continue\n") + marked("ends", "reverse-continue\nreverse-continue\nreverse-continue\n"));
        CAPTURE(text);
        CHECK(has(after(text, "register"), "= 0x1122334455667788\n[^<]*= 0x77\n"));
        CHECK(has(after(text, "memory"), "= 41"));
        CHECK(has(after(text, "physical"), "= 1\n"));
        CHECK(has(after(text, "on"), "Old value = 41\nNew value = 42"));
        CHECK(has(after(text, "ends"), "No more reverse-execution history")); // at what was written: the log has no such input
    }
}

TEST_CASE("Harts are threads, each with its registers, and a breakpoint names the one that hit it") {
    const std::string text = gdb("guests/bench/int_loop.elf", "| " + program() + " gdb " + built("guests/bench/int_loop.elf") + " --bios none --smp 2 --pipe",
                                 marked("threads", "info threads\n") + "break *run_rounds\nbreak *park\n" + // the first hart computes, the others wait
                                     marked("first", "continue\np $mhartid\n") +
                                     marked("second", "continue\np $mhartid\ninfo threads\n") + "delete\n" +
                                     marked("step", "thread 1\nset $before = $pc\nset $count = $minstret\nstepi\np $minstret - $count\np $mhartid\n") +
                                     marked("back", "reverse-stepi\np $pc == $before\n"));
    CAPTURE(text);
    CHECK(has(after(text, "threads"), "Thread 1 \\(M-mode\\)[^<]*Thread 2 \\(M-mode\\)"));
    CHECK(has(after(text, "first"), "= 0\n"));
    CHECK(has(after(text, "second"), "= 1\n"));
    CHECK(has(after(text, "second"), "\\* 2 +Thread 2"));
    CHECK(has(after(text, "step"), "= 1\n[^<]*= 0\n"));
    CHECK(has(after(text, "back"), "= 1\n"));
}

TEST_CASE("Monitor commands answer what GDB has no word for") {
    const std::string text = tiny_os("trap-and-emulate", "break run_processes\ncontinue\n" + marked("help", "monitor help\n") + marked("mode", "monitor mode\n") +
                                                             marked("walk", "monitor walk next_pid\n") + marked("exits", "monitor exits\n") +
                                                             marked("events", "monitor events 3\n") + marked("privilege", "monitor privilege\n") +
                                                             marked("checkpoint", "monitor checkpoint\n") + marked("unknown", "monitor frobnicate\n") +
                                                             marked("go", "monitor go 0\nmaintenance flush register-cache\np/x $pc\n"));
    CAPTURE(text);
    CHECK(has(after(text, "help"), "monitor walk ADDRESS"));
    CHECK(has(after(text, "mode"), "trap-and-emulate: "));
    CHECK(has(after(text, "walk"), "level 2: entry at 0x[0-9a-f]+ is 0x[0-9a-f]+[^<]*is physical 0x802[0-9a-f]+"));
    CHECK(has(after(text, "exits"), "[0-9]+ csr access"));
    CHECK(has(after(text, "events"), "[0-9]+ (exit|entry|shadow)"));
    CHECK(has(after(text, "privilege"), "believes that it is in S-mode; its kernel really runs in: U"));
    CHECK(has(after(text, "checkpoint"), "position [0-9]+"));
    CHECK(has(after(text, "unknown"), "there is no command \"frobnicate\""));
    CHECK(has(after(text, "go"), "= 0x80200000"));
}

TEST_CASE("A guest that ends tells GDB its exit code, and its console is shown meanwhile") {
    const std::string passes = gdb("guests/bench/int_loop.elf", "| " + program() + " gdb " + built("guests/bench/int_loop.elf") + " --bios none --pipe", "continue\n");
    CHECK(has(passes, "exited normally"));
    const std::string fails = gdb("guests/bare/fail.elf", "| " + program() + " gdb fail --bios none --pipe", "continue\n");
    CHECK(has(fails, "exited with code [0-9]+"));
    const std::string types = tiny_os("bare", "break console_read\ncontinue\ndisable\nmonitor type hostname\nbreak process_exit\n" + marked("run", "continue\n"));
    CAPTURE(types);
    CHECK(has(types, "tiny-os: hello from hart 0"));
    CHECK(has(after(types, "run"), "Breakpoint 2, [^<]*process_exit"));
    CHECK(has(types, "hostname\\s+tiny\\s")); // what was typed, and what the program printed before its end
}

TEST_CASE("GDB connects to a port that was free, and Ctrl-C stops a guest that runs for ever") {
    int out[2];
    REQUIRE(pipe2(out, O_CLOEXEC) == 0);
    const std::string path = program();
    const pid_t server = fork();
    if (server == 0) {
        dup2(out[1], STDERR_FILENO);
        execl(path.c_str(), "trapeze", "gdb", "spin", "--bios", "none", "--port", "0", nullptr);
        _exit(127);
    }
    close(out[1]);
    std::string said;
    char byte = 0;
    while (byte != '\n' && read(out[0], &byte, 1) == 1) said += byte;
    std::smatch port;
    REQUIRE(std::regex_search(said, port, std::regex("127\\.0\\.0\\.1:([0-9]+)")));
    const std::string text = gdb("guests/bare/spin.elf", "127.0.0.1:" + port[1].str(),
                                 "python\nimport threading, os, signal\nthreading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\nend\n" +
                                     marked("stop", "continue\np/x $pc\n") + "kill\n");
    CAPTURE(text);
    CHECK(has(after(text, "stop"), "SIGINT[^<]*_start[^<]*= 0x80000000"));
    int status = 0;
    CHECK(waitpid(server, &status, 0) == server);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    close(out[0]);
}

TEST_CASE("A port that is taken, an address that is none, and a guest that is none are refused with a sentence") {
    CHECK(run_trapeze({"gdb", "tiny-os", "--address", "nowhere"}).err.find("no IPv4 address") != std::string::npos);
    CHECK(run_trapeze({"gdb", "tiny-os", "--address", "192.0.2.1"}).err.find("cannot be had") != std::string::npos);
    CHECK(run_trapeze({"gdb", "no-such-guest", "--pipe"}).status == 1);
}
