#include "scenarios/container_shell.hpp"

#include "scenarios/container_options.hpp"
#include "scenarios/terminal.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <iostream>

namespace trapeze::scenarios {

using namespace container;

namespace {

constexpr u64 kSlice = 500'000, kMostAfterCommand = 50'000'000;
constexpr std::size_t kMostLine = 64 << 10, kMostTyped = 1 << 20;

} // namespace

Result<ContainerShell> ContainerShell::start(const Config& config, std::istream& input) {
    MachineConfig board;
    board.ram_bytes = config.memory_bytes, board.builtin_firmware = false;
    auto machine = Machine::create(board);
    if (!machine) return Error{machine.error()};
    machine->trace.record(0);
    auto kernel = Kernel::boot(*machine);
    auto engine = kernel ? Engine::start(*machine, *kernel) : Result<Engine>(Error{kernel.error()});
    if (!engine) return Error{engine.error()};
    return ContainerShell(std::move(*machine), std::move(*kernel), std::move(*engine), config, input);
}

// --- The machine ---------------------------------------------------------------------------------------------------------------------

void ContainerShell::step(u64 budget, WhenIdle when_idle, bool& idle) {
    const KernelStop stop = kernel.run(machine, budget, when_idle);
    const bool news = kernel.engine_news;
    engine.settle(machine, kernel);
    idle = !news && stop.state != RunState::Budget;
}

void ContainerShell::go_on() {
    bool idle = false;
    for (u64 done = 0; done < kMostAfterCommand && !idle; done += kSlice) step(kSlice, WhenIdle::Return, idle);
}

bool ContainerShell::wait_for(double seconds, const std::function<bool()>& done) {
    const u64 end = machine.cycles() + static_cast<u64>(seconds * 1e9 / static_cast<double>(Kernel::kNanosecondsPerCycle));
    while (!done()) {
        if (machine.cycles() >= end) return false;
        bool idle = false;
        step(std::min(kSlice, end - machine.cycles()), WhenIdle::Return, idle);
        if (!idle || done()) continue;
        // Nobody has anything to do: time passes to the next timer, or to the end.
        u64 next = end;
        for (const auto* set : {&kernel.timers, &kernel.alarms, &kernel.timer_file_deadlines})
            if (!set->empty()) next = std::min(next, set->begin()->first);
        next = std::min(next, kernel.network_due());
        machine.charge(std::max<u64>(1, next - std::min(next, machine.cycles())));
    }
    return true;
}

int ContainerShell::follow(u32 console, bool with_input, bool terminal) {
    std::optional<RawTerminal> raw;
    Keyboard keyboard;
    if (with_input && terminal && config.interactive) raw.emplace(), fmt::print(stderr, "trapeze: Ctrl+A x leaves the container\r\n");
    if (with_input && typed_) kernel.type(console, *typed_);
    if (with_input && !config.interactive) kernel.close_input(console);
    for (;;) {
        bool idle = false;
        step(kSlice, WhenIdle::PassTime, idle);
        std::cout << engine.take_output(kernel, console) << std::flush;
        if (const auto code = engine.exit_code(console)) return *code;
        if (raw) {
            const std::string keys = keyboard.read(idle ? -1 : 0);
            if (!keys.empty()) kernel.type(console, keys);
            if (keyboard.leave() || RawTerminal::signal() || (idle && keyboard.at_end() && keys.empty())) return 0;
        } else if (idle && with_input && config.interactive) {
            std::string line;
            if (std::getline(*input_, line)) kernel.type(console, line + "\n");
            else input_->clear(), kernel.close_input(console), with_input = false;
        } else if (idle) {
            fmt::print(stderr, "trapeze: the container waits for what will not come while we wait for it; it goes on in the background\n");
            return 0;
        }
    }
}

// --- Command lines -------------------------------------------------------------------------------------------------------------------

bool ContainerShell::read_line(std::string& line) {
    line.clear();
    if (config.interactive) std::cout << "docker> " << std::flush;
    if (!std::getline(*input_, line)) return false;
    while (!line.empty() && line.back() == '\\') { // goes on in the next line
        std::string more;
        line.pop_back();
        if (line.size() > kMostLine || !std::getline(*input_, more)) break;
        line += more;
    }
    return true;
}

/// "<<WORD" at a line's end: the lines up to WORD are what the container reads.
Result<std::string> ContainerShell::here_document(std::vector<std::string>& words) {
    const std::string end = words.back().substr(2);
    words.pop_back();
    std::string text, line;
    while (std::getline(*input_, line)) {
        if (line == end) return text;
        text += line + "\n";
        if (text.size() > kMostTyped) return Error{fmt::format("more than {} bytes behind <<{}; give a container a folder with -v instead", kMostTyped, end)};
    }
    return Error{fmt::format("<<{}: the line {} does not come; end the input with it", end, end)};
}

int ContainerShell::run() {
    int last = 0;
    std::string line;
    while (!left_ && read_line(line)) {
        if (line.size() > kMostLine) {
            last = complain(fmt::format("a line of {} bytes (at most {})", line.size(), kMostLine), kUsage);
            continue;
        }
        auto words = split_line(line);
        if (!words) {
            last = complain(words.error(), kUsage);
            continue;
        }
        if (words->empty()) continue;
        std::optional<std::string> typed;
        if (words->back().size() > 2 && words->back().starts_with("<<")) {
            auto text = here_document(*words);
            if (!text) return complain(text.error(), kUsage);
            typed = std::move(*text);
        }
        last = execute(std::move(*words), typed);
        std::cout << std::flush;
    }
    if (config.interactive) std::cout << "\n";
    return last;
}

int ContainerShell::execute(std::vector<std::string> words, const std::optional<std::string>& typed) {
    if (!words.empty() && words[0] == "docker") words.erase(words.begin());
    const bool explains = !words.empty() && words[0] == "explain";
    if (explains) words.erase(words.begin());
    if (words.size() > 1 && (words[0] == "container" || words[0] == "image")) { // Docker's longer names for the same
        const bool image = words[0] == "image";
        words.erase(words.begin());
        if (words[0] == "ls" || words[0] == "list") words[0] = image ? "images" : "ps";
        if (image && words[0] == "rm") words[0] = "rmi";
    }
    if (words.empty()) return 0;
    if (words[0] == "help") words[0] = "--help";
    int status = 0;
    CLI::App app("Docker's commands on containers of one simulated machine; docker may stand in front of each", "");
    app.require_subcommand(1);
    app.add_subcommand("exit", "end the machine with all its containers")->alias("quit")->callback([this] { left_ = true; });
    add_container_commands(app, *this, status);
    add_view_commands(app, *this, status);
    add_inspect_command(app, *this, status, "");
    add_image_verbs(app, status);
    const auto named = app.get_subcommands([&](const CLI::App* one) { return one->check_name(words[0]); });
    if (!words[0].starts_with('-') && named.empty()) return complain(fmt::format("there is no command \"{}\"; help lists them", words[0]), kUsage);
    typed_ = typed;
    engine.record(explains);
    std::reverse(words.begin(), words.end());
    try {
        app.parse(words);
    } catch (const CLI::ParseError& failed) { // also how the library tells of --help
        if (failed.get_exit_code() == 0) app.exit(failed);
        else status = complain(failed.what(), kUsage);
    }
    if (explains) fmt::print("{}", explain_steps(engine.calls()));
    engine.record(false);
    if (!left_) go_on();
    return status;
}

} // namespace trapeze::scenarios
