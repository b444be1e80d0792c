#include "scenarios/cli.hpp"

#include "scenarios/cost_model.hpp"
#include "scenarios/qemu_options.hpp"

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
    verb.add_option("guest,--kernel", guest, "a RISC-V ELF file, Linux image or flat image, or the name of a shipped guest (tiny-os)");
    if (with_mode) verb.add_option("--mode", mode, "bare, interpret or trap-and-emulate")->capture_default_str();
    verb.add_option("-m,--memory", memory, "memory of the guest, such as 128M")->capture_default_str();
    verb.add_option("--append", append, "the kernel's command line");
    verb.add_option("--drive", drive, "image file of the virtio disk, or file=FILE,format=raw; the file itself is never written");
    verb.add_option("--initrd", initrd, "the kernel's initial RAM disk (only bare)");
    verb.add_option("--dtb", device_tree, "file of a flattened device tree to give to the guest in place of the board's own (only bare)");
    verb.add_option("--bios", bios, "builtin (or default): SBI firmware below the guest; none: the guest starts in M-mode at 0x80000000; a file, such\n"
                                    "as OpenSBI's fw_dynamic.bin: starts there, and its next stage is the guest, which may then be absent (only bare)")->capture_default_str();
    verb.add_option("--smp", harts, "number of harts, 1 to 8 (more than 1 only bare)")->capture_default_str();
    verb.add_flag("--trap-misaligned", trap_misaligned, "misaligned loads and stores trap instead of being done (only bare)");
    verb.add_option("--costs", costs, "cost model: a file, or the name of a shipped one")->capture_default_str();
}

Result<SessionConfig> GuestOptions::config() const {
    SessionConfig config;
    config.guest = guest, config.append = append, config.harts = harts;
    config.initrd = initrd, config.device_tree = device_tree;
    const auto image = drive_file(drive);
    if (!image) return Error{image.error()};
    config.drive = image.value();
    const auto chosen = vmm::mode_by_name(mode);
    if (!chosen) return Error{chosen.error()};
    config.mode = chosen.value();
    const auto bytes = parse_size(memory);
    if (!bytes) return Error{bytes.error()};
    config.memory_bytes = bytes.value();
    const bool builtin = bios == "builtin" || bios == "default";
    config.firmware = builtin;
    if (!builtin && bios != "none") config.firmware_file = bios;
    if (guest.empty() && config.firmware_file.empty()) return Error{"no guest is given; name a RISC-V ELF file, a Linux image or a shipped guest such as tiny-os"};
    for (const auto& [option, value] : {std::pair<const char*, const std::string&>{"--bios FILE", config.firmware_file}, {"--initrd", initrd}, {"--dtb", device_tree}})
        if (!value.empty() && config.mode != Mode::Bare) return Error{fmt::format("{} works only in mode bare so far, not in mode {}", option, mode)};
    if (harts > 1 && config.mode != Mode::Bare) return Error{fmt::format("mode {} runs guests on one hart so far; leave --smp at 1", mode)};
    if (trap_misaligned && config.mode != Mode::Bare) return Error{fmt::format("mode {} always does misaligned accesses; leave --trap-misaligned away", mode)};
    config.trap_misaligned = trap_misaligned;
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
    const auto arguments = translate_qemu_options({argv + std::min(argc, 1), argv + argc});
    if (!arguments) return complain(arguments.error(), kUsage);
    try {
        app.parse(std::vector<std::string>(arguments.value().rbegin(), arguments.value().rend())); // CLI11 takes them from the back
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : kUsage;
    }
    if (app.get_subcommands().empty()) return run_default("trapeze.png", headless, debugger, options);
    return status;
}

} // namespace trapeze::scenarios
