// Lines of source from an ELF's line table, beside what binutils' addr2line says of the same file.
#include "emulator/loader.hpp"
#include "scenarios/source_lines.hpp"
#include "tests/scenarios/child_process.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <random>

using namespace trapeze;
using namespace trapeze::test;
using namespace trapeze::scenarios;

namespace {

constexpr const char* kSource = "int twice(int n) {\n    return n + n;\n}\nint other(int n) {\n    n *= 3;\n    return twice(n) - 1;\n}\nvoid _start(void) {\n    other(2);\n    for (;;) ;\n}\n";
constexpr u64 kText = 0x400000;

std::string said_by(const std::string& command) {
    std::string text;
    FILE* const pipe = popen(command.c_str(), "r");
    REQUIRE(pipe);
    for (int c; (c = std::fgetc(pipe)) != EOF;) text += static_cast<char>(c);
    REQUIRE(pclose(pipe) == 0);
    return text;
}

/// A program that is compiled for RISC-V with lines.
std::vector<u8> compiled(const Folder& folder, std::string& program) {
    const std::string source = folder.write("lines.c", kSource);
    program = folder.path("lines.elf");
    REQUIRE(said_by(fmt::format("riscv64-linux-gnu-gcc -g -O0 -static -nostdlib -ffreestanding -Wl,-Ttext={:#x} '{}' -o '{}'", kText, source, program)).empty());
    auto bytes = read_file(program);
    REQUIRE(bytes);
    return std::move(*bytes);
}

} // namespace

TEST_CASE("Lines of source are those that addr2line finds, and have their text") {
    const Folder folder;
    std::string program, addresses, answers;
    const SourceLines lines = SourceLines::read(compiled(folder, program));
    REQUIRE_FALSE(lines.empty());
    for (u64 address = kText; address < kText + 0x80; address += 2) {
        addresses += fmt::format(" {:#x}", address);
        const auto place = lines.at(address);
        answers += place ? fmt::format("{}:{}\n", place->file, place->line) : "??:0\n";
    }
    CHECK(answers == said_by(fmt::format("riscv64-linux-gnu-addr2line -e '{}'{} | sed 's/ (discriminator.*//; s/:?$/:0/'", program, addresses)));
    CHECK(lines.text(*lines.at(kText)) == "int twice(int n) {");
    CHECK_FALSE(lines.at(kText - 2));
    CHECK_FALSE(lines.text({folder.path("lines.c"), 4000}));
    CHECK_FALSE(lines.text({"/no/such/file.c", 1}));
}

TEST_CASE("A damaged line table gives lines or none, and does no harm") {
    const Folder folder;
    std::string program;
    const std::vector<u8> whole = compiled(folder, program);
    std::mt19937 random(1);
    for (int i = 0; i < 60; ++i) {
        std::vector<u8> damaged = whole;
        for (int j = 0; j < 20; ++j) damaged[random() % damaged.size()] = static_cast<u8>(random());
        if (i % 4 == 0) damaged.resize(random() % damaged.size());
        const SourceLines lines = SourceLines::read(damaged);
        if (const auto place = lines.at(kText)) (void)lines.text(*place);
    }
    CHECK(SourceLines::read({}).empty());
}

TEST_CASE("The shipped kernel's lines are found wherever the program runs") {
    SessionConfig config;
    config.guest = "tiny-os";
    auto session = Session::create(config);
    REQUIRE(session);
    const SourceLines lines = SourceLines::of(*session);
    const auto place = lines.at(session->resolve("kernel_main").value());
    REQUIRE(place);
    CHECK(place->file == "scenarios/guests/tiny-os/kernel/main.c");
    CHECK(lines.text(*place).value_or("").starts_with("void kernel_main("));
}
