#include "scenarios/cli.hpp"

#include "scenarios/cli_explain.hpp"
#include "scenarios/cli_script.hpp"
#include "scenarios/cost_model.hpp"
#include "scenarios/qemu_options.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cstdlib>

namespace trapeze::scenarios {

constexpr u64 kSmallestMemory = u64{1} << 20, kLargestMemory = u64{8} << 30;

bool has_display() {
    const auto set = [](const char* name) {
        const char* value = std::getenv(name);
        return value && *value;
    };
    return set("DISPLAY") || set("WAYLAND_DISPLAY");
}

std::string missing_display(const DebuggerOptions& options) {
    if (has_display() || !options.needs_display()) return {};
    return "there is no display to open a window on (neither DISPLAY nor WAYLAND_DISPLAY is set); give --screenshot FILE for a picture, --text PANEL for what a panel says, or use a verb that needs no "
           "window, such as boot or trace";
}

int complain(const std::string& sentence, int status) {
    fmt::print(stderr, "trapeze: {}\n", sentence);
    return status;
}

Result<u64> parse_memory(const std::string& text) {
    char* end = nullptr;
    const u64 number = std::strtoull(text.c_str(), &end, 10);
    const std::string unit = end;
    const unsigned shift = unit.empty() ? 0 : unit == "K" || unit == "k" ? 10 : unit == "M" || unit == "m" ? 20 : unit == "G" || unit == "g" ? 30 : 99;
    if (end == text.c_str() || shift == 99 || number == 0 || text[0] == '-' || number > (~u64{0} >> shift))
        return Error{fmt::format("\"{}\" is no amount of memory; give a number with K, M or G, such as 128M", text)};
    const u64 bytes = number << shift;
    if (bytes < kSmallestMemory || bytes > kLargestMemory || bytes & kPageMask)
        return Error{fmt::format("--memory {}: memory can be 1M to 8G, in whole pages of 4K; give such a size", text)};
    return bytes;
}

void DebuggerOptions::add_to(CLI::App& verb) {
    verb.add_option("--screenshot", screenshot, "write the debugger's picture to this PNG file instead of opening a window");
    verb.add_option("--text", text, "print what this panel says, such as csrs or ledger, instead of opening a window");
    verb.add_option("--keys", keys, "keys pressed before the screenshot or the text, such as 2,F7,F11; 1 to 9 answer, Enter goes on");
    verb.add_option("--language", language, "language of the window and of --text; without it the one that was chosen there, or that LANG names")->check(CLI::IsMember({"en", "ko"}));
    verb.add_option("--script", script, "a Lua file that the debugger's Lua console runs at the start; docs/scripts.md lists what it can call");
    verb.add_option("--frames", frames, "frames drawn before the screenshot")->check(CLI::Range(1, 100000))->capture_default_str();
    verb.add_option("--size-x", width, "width of the window in pixels")->check(CLI::Range(320, 16384))->capture_default_str();
    verb.add_option("--size-y", height, "height of the window in pixels")->check(CLI::Range(240, 16384))->capture_default_str();
    verb.add_option("--scale", scale, "size of text and everything, 0.5 to 4")->check(CLI::Range(0.5, 4.0))->capture_default_str();
    verb.add_option("--state-file,--dump-state", state_file, "keep the session's state in this file as JSON");
    verb.add_flag("--light", light, "light colours");
    verb.add_flag("--high-contrast", high_contrast, "black or white behind the text, and lines around everything");
    verb.add_flag("--reduced-motion", reduced_motion, "nothing moves by itself");
}

std::string silent_names() {
    std::string names;
    for (unsigned i = 0; i < static_cast<unsigned>(SilentOp::Count); ++i) names += (i ? ", " : "") + std::string(silent_row(static_cast<SilentOp>(i)).name);
    return names;
}

Result<u8> parse_silent(const std::vector<std::string>& names) {
    u8 bits = 0;
    for (const std::string& name : names) {
        u8 found = 0;
        for (unsigned i = 0; i < static_cast<unsigned>(SilentOp::Count); ++i)
            if (name == silent_row(static_cast<SilentOp>(i)).name) found = silent_bit(static_cast<SilentOp>(i));
        if (!found) return Error{fmt::format("--silent {}: there is no such operation; give some of {}", name, silent_names())};
        bits |= found;
    }
    return bits;
}

Result<vmm::ShadowPolicy> parse_shadow_policy(const std::string& name) {
    for (vmm::ShadowPolicy policy : {vmm::ShadowPolicy::VirtualTlb, vmm::ShadowPolicy::WriteProtect})
        if (name == vmm::shadow_policy_name(policy)) return policy;
    return Error{fmt::format("--shadow-policy {}: give virtual-tlb or write-protect", name)};
}

void GuestOptions::add_to(CLI::App& verb, bool with_mode) {
    verb.add_option("guest,--kernel", guest, "a RISC-V ELF file, Linux image or flat image, or the name of a shipped guest (tiny-os)");
    if (with_mode) verb.add_option("--mode", mode, "bare, interpret, translate, trap-and-emulate, paravirtual or hardware-assisted")->capture_default_str();
    verb.add_option("-m,--memory", memory, "memory of the guest, such as 128M")->capture_default_str();
    verb.add_option("--append", append, "the kernel's command line");
    devices.add_to(verb);
    verb.add_option("--initrd", initrd, "the kernel's initial RAM disk");
    verb.add_option("--dtb", device_tree, "file of a flattened device tree to give to the guest in place of the board's own");
    verb.add_option("--bios", bios, "builtin (or default): SBI firmware below the guest; none: the guest starts in M-mode at 0x80000000; a file, such\n"
                                    "as OpenSBI's fw_dynamic.bin: starts there, and its next stage is the guest, which may then be absent")->capture_default_str();
    verb.add_option("--smp", harts, "number of harts, 1 to 8 (more than 1 only bare)")->capture_default_str();
    verb.add_flag("--trap-misaligned", trap_misaligned, "misaligned loads and stores trap instead of being done (only bare)");
    verb.add_option("--shadow-policy", shadow_policy, "of shadow paging: virtual-tlb (entries are forgotten at fences) or write-protect (each write of\n"
                                                      "the guest's tables exits, and the shadow follows)")->capture_default_str();
    verb.add_flag("--cluster", clustering, "trap-and-emulate: emulate trapping instructions that follow one another in one exit");
    verb.add_option("--silent", silent, "sensitive operations on which the hart shall not trap in U-mode, as x86's did not: " + silent_names())->delimiter(',');
    verb.add_option("--gstage-page", gstage_page, "hardware-assisted: largest page of the G-stage: 4K, 2M or 1G")->capture_default_str();
    verb.add_flag("--trapped-timer", trapped_timer, "hardware-assisted: each write of the guest's timer exits, instead of going to vstimecmp");
    verb.add_flag("--no-dossiers", no_dossiers, "do not record the steps of exits and what they changed; exits, costs and counts stay");
    verb.add_option("--costs", costs, "cost model: a file, or the name of a shipped one")->capture_default_str();
}

static Result<unsigned> gstage_level(const std::string& page) {
    for (unsigned level = 0; level < vmm::GStageTables::kLevels; ++level)
        if (page == vmm::page_size_name(level)) return level;
    return Error{fmt::format("--gstage-page {}: the G-stage has pages of 4K, 2M and 1G; give one of these", page)};
}

Result<SessionConfig> GuestOptions::config() const {
    SessionConfig config;
    config.guest = guest, config.append = append, config.harts = harts;
    config.initrd = initrd, config.device_tree = device_tree;
    auto board = parse_devices(devices);
    if (!board) return Error{board.error()};
    config.devices = std::move(*board);
    const auto chosen = vmm::mode_by_name(mode);
    if (!chosen) return Error{chosen.error()};
    config.mode = chosen.value();
    const auto bytes = parse_memory(memory);
    if (!bytes) return Error{bytes.error()};
    config.memory_bytes = bytes.value();
    if (harts < 1 || harts > kMaxHarts) return Error{fmt::format("--smp {}: a machine has 1 to {} harts; give such a number", harts, kMaxHarts)};
    const bool builtin = bios == "builtin" || bios == "default";
    config.firmware = builtin;
    if (!builtin && bios != "none") config.firmware_file = bios;
    if (guest.empty() && config.firmware_file.empty()) return Error{kNoGuest};
    if (harts > 1 && config.mode != Mode::Bare) return Error{fmt::format("mode {} runs guests on one hart so far; leave --smp at 1", mode)};
    if (trap_misaligned && config.mode != Mode::Bare) return Error{fmt::format("mode {} always does misaligned accesses; leave --trap-misaligned away", mode)};
    config.dossiers = !no_dossiers;
    config.trap_misaligned = trap_misaligned, config.switches.trapped_timer = trapped_timer, config.switches.clustering = clustering;
    const auto policy = parse_shadow_policy(shadow_policy);
    if (!policy) return Error{policy.error()};
    config.switches.shadow_policy = policy.value();
    const auto operations = parse_silent(silent);
    if (!operations) return Error{operations.error()};
    config.silent = operations.value();
    const auto level = gstage_level(gstage_page);
    if (!level) return Error{level.error()};
    config.switches.gstage_level = level.value();
    const auto model = load_cost_model(costs);
    if (!model) return Error{model.error()};
    config.costs = model.value();
    return config;
}

/// When a word stands where only a verb can stand and is none: a sentence that lists the verbs.
static std::string unknown_verb(CLI::App& app, int argc, char** argv) {
    CLI::App* place = &app;
    std::string before;
    for (int i = 1; i < argc && argv[i][0] != '-'; ++i) {
        const auto verbs = place->get_subcommands(nullptr);
        if (verbs.empty()) return {};
        std::string names;
        CLI::App* found = nullptr;
        for (CLI::App* verb : verbs) {
            names += (names.empty() ? "" : ", ") + verb->get_name();
            if (verb->get_name() == argv[i]) found = verb;
        }
        if (!found) return fmt::format("there is no verb \"{}{}\"; the verbs are {}", before, argv[i], names);
        before += found->get_name() + " ";
        place = found;
    }
    return {};
}

/// What of the command line was understood as a verb, such as "container run ".
static std::string chosen_verb(const CLI::App& app) {
    std::string verb;
    for (const CLI::App* chosen = &app; !chosen->get_subcommands().empty();) {
        chosen = chosen->get_subcommands().front();
        verb += chosen->get_name() + " ";
    }
    return verb;
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
    add_vms(verbs);
    add_equivalence(verbs);
    add_translation(verbs);
    add_lesson(verbs);
    add_isa(verbs);
    add_explain(verbs);
    add_costs(verbs);
    add_walk(verbs);
    add_nano(verbs);
    add_container(verbs);
    add_gdb(verbs);
    add_script(verbs);
    add_flip(verbs);
    const auto arguments = translate_qemu_options({argv + std::min(argc, 1), argv + argc});
    if (!arguments) return complain(arguments.error(), kUsage);
    try {
        app.parse(std::vector<std::string>(arguments.value().rbegin(), arguments.value().rend())); // CLI11 takes them from the back
    } catch (const CLI::ParseError& error) {
        if (const std::string sentence = unknown_verb(app, argc, argv); !sentence.empty()) return complain(sentence, kUsage);
        if (error.get_exit_code() == 0) return app.exit(error); // --help
        const std::string verb = chosen_verb(app);
        return complain(fmt::format("{}{}; `trapeze {}--help` says how it is used", verb.empty() ? "" : verb.substr(0, verb.size() - 1) + ": ", error.what(), verb), kUsage);
    }
    if (app.get_subcommands().empty()) return run_default("trapeze.png", headless, debugger, options);
    return status;
}

} // namespace trapeze::scenarios
