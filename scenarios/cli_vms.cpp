// trapeze vms: several VMs on one machine, under the scheduler's weights.
#include "hypervisor-sim/scheduler.hpp"
#include "scenarios/cli.hpp"
#include "scenarios/cost_model.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <charconv>

namespace trapeze::scenarios {

namespace {

struct VmsOptions {
    std::vector<std::string> guests;
    std::string mode = "trap-and-emulate", memory = "16M", append, costs = "flat";
    unsigned copies = 1;
    u64 max_instructions = 20'000'000;
    bool console = false, json = false;
};

/// One VM as the command line names it: GUEST[:MODE[:WEIGHT]].
struct Wanted {
    std::string guest;
    vmm::VmConfig config;
    u64 weight = vmm::VmShare{}.weight;
};

Result<Wanted> parse_guest(const std::string& text, const VmsOptions& options) {
    Wanted wanted;
    const std::size_t first = text.find(':'), second = first == std::string::npos ? first : text.find(':', first + 1);
    wanted.guest = text.substr(0, first);
    const std::string mode = first == std::string::npos ? "" : text.substr(first + 1, second == std::string::npos ? second : second - first - 1);
    const auto chosen = vmm::mode_by_name(mode.empty() ? options.mode : mode);
    if (!chosen) return Error{chosen.error()};
    wanted.config.mode = chosen.value();
    if (second != std::string::npos) {
        const char *begin = text.data() + second + 1, *end = text.data() + text.size();
        if (const auto [stop, failed] = std::from_chars(begin, end, wanted.weight); failed != std::errc{} || stop != end)
            return Error{fmt::format("{}: the weight after the second colon must be a whole number, such as tiny-os:hardware-assisted:200", text)};
    }
    const auto bytes = parse_memory(options.memory);
    if (!bytes) return Error{bytes.error()};
    wanted.config.ram_bytes = bytes.value();
    wanted.config.bootargs = options.append.empty() && wanted.guest == "tiny-os" ? "test" : options.append;
    const auto costs = load_cost_model(options.costs);
    if (!costs) return Error{costs.error()};
    wanted.config.costs = costs.value();
    return wanted;
}

struct Host {
    Machine machine;
    vmm::VmScheduler vms;
    std::vector<Wanted> wanted;
};

Result<Host> set_up(const VmsOptions& options) {
    std::vector<Wanted> wanted;
    for (const std::string& text : options.guests) {
        const auto one = parse_guest(text, options);
        if (!one) return Error{one.error()};
        for (unsigned i = 0; i < options.copies; ++i) wanted.push_back(one.value());
    }
    std::vector<vmm::VmConfig> configs;
    std::vector<u64> weights;
    for (const Wanted& one : wanted) configs.push_back(one.config), weights.push_back(one.weight);
    auto machine = Machine::create({.ram_bytes = vmm::VmScheduler::machine_bytes(configs), .builtin_firmware = false});
    if (!machine) return Error{machine.error()};
    auto vms = vmm::VmScheduler::create(*machine, configs, weights);
    if (!vms) return Error{vms.error()};
    Host host{std::move(*machine), std::move(*vms), std::move(wanted)};
    host.machine.trace.record(0);
    for (std::size_t i = 0; i < host.wanted.size(); ++i) {
        const auto path = find_guest(host.wanted[i].guest);
        if (!path) return Error{path.error()};
        auto bytes = read_file(path.value(), u64{256} << 20);
        if (!bytes) return Error{bytes.error()};
        const auto loaded = host.vms.vm(i).load(host.machine, std::move(*bytes), host.wanted[i].guest);
        if (!loaded) return Error{loaded.error()};
    }
    return host;
}

/// Prints what the guests have written, each whole line behind the number of its VM.
class Consoles {
  public:
    explicit Consoles(std::size_t count) : rest_(count) {}
    void show(Host& host) {
        for (std::size_t i = 0; i < rest_.size(); ++i) {
            rest_[i] += host.vms.vm(i).board().take_output();
            for (std::size_t end; (end = rest_[i].find('\n')) != std::string::npos; rest_[i].erase(0, end + 1))
                fmt::print("vm{:<3}| {}\n", i + 1, rest_[i].substr(0, end));
        }
    }

  private:
    std::vector<std::string> rest_;
};

std::string state_of(const Host& host, std::size_t index) {
    const vmm::Vmm& vm = host.vms.vm(index);
    if (vm.board().halt) return vm.board().halt->code ? fmt::format("off, code {}", vm.board().halt->code) : "off";
    return vm.guest_state(host.machine).waiting ? "waits" : "runs";
}

double percent(u64 part, u64 whole) { return whole ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0; }

void print_table(const Host& host) {
    const u64 cycles = host.machine.cycles();
    fmt::print("{:>4} {:<14} {:<18} {:>7} {:>8} {:>8} {:>9} {:>12} {:>10} {}\n", "vm", "guest", "mode", "weight", "hart %", "stolen %", "exits", "instructions",
               "tables KiB", "state");
    for (std::size_t i = 0; i < host.vms.count(); ++i) {
        const vmm::Vmm& vm = host.vms.vm(i);
        const vmm::VmShare& share = host.vms.share(i);
        fmt::print("{:>4} {:<14} {:<18} {:>7} {:>8.1f} {:>8.1f} {:>9} {:>12} {:>10} {}\n", i + 1, host.wanted[i].guest.substr(host.wanted[i].guest.rfind('/') + 1),
                   vmm::mode_row(vm.mode()).name, share.weight, percent(share.used, cycles), percent(share.stolen, cycles), vm.exits(),
                   vm.guest_instructions(host.machine), vm.vmm_bytes() >> 10, state_of(host, i));
    }
    fmt::print("\n{} modelled cycles, {:.1f}% of them idle; {} KiB of the machine's memory touched. Stolen: the VM had work, and another one had the hart.\n", cycles,
               percent(host.vms.idle(), cycles), host.machine.ram.touched_pages() * kPageSize >> 10);
}

void print_json(const Host& host) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < host.vms.count(); ++i) {
        const vmm::Vmm& vm = host.vms.vm(i);
        const vmm::VmShare& share = host.vms.share(i);
        list.push_back({{"guest", host.wanted[i].guest}, {"mode", vmm::mode_row(vm.mode()).name}, {"weight", share.weight}, {"used", share.used}, {"stolen", share.stolen},
                        {"slices", share.slices}, {"exits", vm.exits()}, {"instructions", vm.guest_instructions(host.machine)}, {"vmm_bytes", vm.vmm_bytes()},
                        {"state", state_of(host, i)}});
    }
    const nlohmann::ordered_json whole{{"cycles", host.machine.cycles()}, {"idle", host.vms.idle()},
                                       {"memory_bytes", host.machine.ram.touched_pages() * kPageSize}, {"vms", list}};
    fmt::print("{}\n", whole.dump(2));
}

int run_vms(const VmsOptions& options) {
    if (options.guests.empty()) return complain("no guest is given; name some, such as tiny-os:trap-and-emulate tiny-os:hardware-assisted:200", kUsage);
    auto host = set_up(options);
    if (!host) return complain(host.error(), kUsage);
    Consoles consoles(host->vms.count());
    constexpr u64 kStretch = 1'000'000;
    for (u64 used = 0; used < options.max_instructions;) {
        const vmm::VmmStop stop = host->vms.run(host->machine, std::min(kStretch, options.max_instructions - used));
        used += stop.executed;
        if (options.console) consoles.show(*host);
        if (stop.kind != vmm::VmmStopKind::Budget) break;
    }
    if (options.json) print_json(*host);
    else print_table(*host);
    return 0;
}

} // namespace

void add_vms(Verbs verbs) {
    auto* verb = verbs.app.add_subcommand("vms", "run several VMs on one machine: who gets how much of the hart, and from whom it is stolen");
    auto options = std::make_shared<VmsOptions>();
    verb->add_option("guests", options->guests, "GUEST[:MODE[:WEIGHT]] ..., such as tiny-os:hardware-assisted:200; the weight is relative, 100 by default");
    verb->add_option("--mode", options->mode, "of guests that name none")->capture_default_str();
    verb->add_option("--copies", options->copies, "run each of them so many times")->check(CLI::Range(1u, vmm::VmPlace::kMostIds))->capture_default_str();
    verb->add_option("-m,--memory", options->memory, "memory of each guest")->capture_default_str();
    verb->add_option("--append", options->append, "the kernels' command line");
    verb->add_option("--costs", options->costs, "cost model: a file, or the name of a shipped one")->capture_default_str();
    verb->add_option("--max-instructions", options->max_instructions, "how far to run, all together")->check(CLI::NonNegativeNumber)->capture_default_str();
    verb->add_flag("--console", options->console, "print what the guests write, behind the number of the VM");
    verb->add_flag("--json", options->json, "one object: cycles, idle, memory_bytes, vms (guest, mode, weight, used, stolen, slices, exits, instructions, vmm_bytes, state)");
    verb->footer("tiny-os runs its self-test unless --append says otherwise.");
    verb->callback([=, status = &verbs.status] { *status = run_vms(*options); });
}

} // namespace trapeze::scenarios
