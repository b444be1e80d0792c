#include "scenarios/cli.hpp"

#include "scenarios/cost_model.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cstdlib>

namespace trapeze::scenarios {

int complain(const std::string& sentence, int status) {
    fmt::print(stderr, "trapeze: {}\n", sentence);
    return status;
}

Result<u64> parse_size(const std::string& text) {
    char* end = nullptr;
    const u64 number = std::strtoull(text.c_str(), &end, 10);
    const std::string unit = end;
    const unsigned shift = unit.empty() ? 0 : unit == "K" || unit == "k" ? 10 : unit == "M" || unit == "m" ? 20 : unit == "G" || unit == "g" ? 30 : 99;
    if (end == text.c_str() || shift == 99 || number == 0 || text[0] == '-' || number > (~u64{0} >> shift))
        return Error{fmt::format("\"{}\" is no amount of memory; give a number with K, M or G, such as 128M", text)};
    return number << shift;
}

void DebuggerOptions::add_to(CLI::App& verb) {
    verb.add_option("--screenshot", screenshot, "write the debugger's picture to this PNG file instead of opening a window");
    verb.add_option("--keys", keys, "keys pressed before the screenshot, such as 2,F7,F11; 1 to 9 answer, Enter goes on");
    verb.add_option("--size-x", width, "width of the window in pixels")->check(CLI::Range(320, 16384))->capture_default_str();
    verb.add_option("--size-y", height, "height of the window in pixels")->check(CLI::Range(240, 16384))->capture_default_str();
    verb.add_option("--scale", scale, "size of text and everything, 0.5 to 4")->check(CLI::Range(0.5, 4.0))->capture_default_str();
    verb.add_option("--state-file,--dump-state", state_file, "keep the session's state in this file as JSON");
    verb.add_flag("--light", light, "light colours");
}

void GuestOptions::add_to(CLI::App& verb, bool with_mode) {
    verb.add_option("guest", guest, "a RISC-V ELF file or flat image, or the name of a shipped guest (tiny-os)")->required();
    if (with_mode) verb.add_option("--mode", mode, "bare, interpret or trap-and-emulate")->capture_default_str();
    verb.add_option("-m,--memory", memory, "memory of the guest, such as 128M")->capture_default_str();
    verb.add_option("--append", append, "the kernel's command line");
    devices.add_to(verb);
    verb.add_option("--bios", bios, "builtin: SBI firmware below the guest; none: the guest starts in M-mode at 0x80000000")->capture_default_str();
    verb.add_option("--smp", harts, "number of harts, 1 to 8 (more than 1 only bare)")->capture_default_str();
    verb.add_option("--costs", costs, "cost model: a file, or the name of a shipped one")->capture_default_str();
}

Result<SessionConfig> GuestOptions::config() const {
    SessionConfig config;
    config.guest = guest, config.append = append, config.harts = harts;
    auto board = parse_devices(devices);
    if (!board) return Error{board.error()};
    config.devices = std::move(*board);
    const auto chosen = vmm::mode_by_name(mode);
    if (!chosen) return Error{chosen.error()};
    config.mode = chosen.value();
    const auto bytes = parse_size(memory);
    if (!bytes) return Error{bytes.error()};
    config.memory_bytes = bytes.value();
    if (bios != "builtin" && bios != "none") return Error{fmt::format("--bios {}: firmware files cannot be loaded yet; give builtin or none", bios)};
    config.firmware = bios == "builtin";
    if (harts > 1 && config.mode != Mode::Bare) return Error{fmt::format("mode {} runs guests on one hart so far; leave --smp at 1", mode)};
    const auto model = load_cost_model(costs);
    if (!model) return Error{model.error()};
    config.costs = model.value();
    return config;
}

int run_command_line(int argc, char** argv, DebuggerEntry debugger) {
    CLI::App app{"Trapeze: step through virtualization, trap by trap. Without a verb: the lesson \"Watch a trap\"."};
    app.name("trapeze");
    app.footer("Launcher verbs: ./trapeze build, test, bench. Exit status: 0 done, 1 failed, 2 wrong usage, 3 instruction limit reached.");
    bool headless = false;
    DebuggerOptions options;
    app.add_flag("--headless", headless, "play the lesson in the terminal, and write the debugger's picture as PNG");
    options.add_to(app);
    app.require_subcommand(0, 1);
    int status = 0;
    const Verbs verbs{app, debugger, status};
    add_debug(verbs);
    add_boot(verbs);
    add_trace(verbs);
    add_compare(verbs);
    add_lesson(verbs);
    add_isa(verbs);
    add_container(verbs);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : kUsage;
    }
    if (app.get_subcommands().empty()) return run_default("trapeze.png", headless, debugger, options);
    return status;
}

} // namespace trapeze::scenarios
