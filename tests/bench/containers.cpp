#include "tests/bench/containers.hpp"

#include "container-sim/engine/engine.hpp"
#include "container-sim/engine/image_store.hpp"
#include "scenarios/files.hpp"
#include "scenarios/shipped_images.hpp"

#include <fmt/format.h>

#include <malloc.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>

namespace trapeze::bench {

namespace {

using container::Engine;
using container::Kernel;
using container::RunConfig;

double thread_seconds() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

std::string riscv_program() { return scenarios::build_folder() + "/guests/probes/calls"; }
std::string native_program() { return scenarios::build_folder() + "/guests/calls-native"; }

/// The same source for this machine's own kernel.
Result<void> build_native() {
    std::error_code failed;
    if (std::filesystem::exists(native_program(), failed)) return {};
    const auto built = run_command({"g++", "-x", "c", "-O2", "-static", "-o", native_program(), scenarios::root_folder() + "/tests/container-sim/programs/calls.c"}, "");
    return built ? Result<void>() : Result<void>(Error{built.error()});
}

Result<Machine> new_machine(u64 bytes) {
    MachineConfig config;
    config.ram_bytes = bytes, config.builtin_firmware = false;
    return Machine::create(config);
}

/// CPU seconds of a run of the program here, its start included.
Result<double> seconds_here(const CallWorkload& workload, u64 rounds) {
    const std::filesystem::path root = std::filesystem::path(scenarios::build_folder()) / "bench-root";
    std::error_code failed;
    std::filesystem::create_directories(root, failed);
    std::filesystem::copy_file(riscv_program(), root / "calls", std::filesystem::copy_options::overwrite_existing, failed);
    if (failed) return Error{fmt::format("{}: {}; ./trapeze build makes it", riscv_program(), failed.message())};
    auto machine = new_machine(u64{128} << 20);
    if (!machine) return Error{machine.error()};
    machine->trace.record(0);
    auto kernel = Kernel::boot(*machine);
    if (!kernel) return Error{kernel.error()};
    container::ContainerSpec spec;
    spec.rootfs = root.string(), spec.arguments = {"/calls", workload.name, std::to_string(rounds)};
    if (const auto started = kernel->start_container(*machine, spec); !started) return Error{started.error()};
    const double begin = thread_seconds();
    kernel->run(*machine, u64{200'000'000'000});
    const double taken = thread_seconds() - begin;
    const std::string output = kernel->take_output(1);
    if (output != fmt::format("done {}\n", workload.name)) return Error{fmt::format("calls {}: it printed \"{}\"", workload.name, output)};
    return taken;
}

Result<double> seconds_of_peer(const std::vector<std::string>& program, const CallWorkload& workload, u64 rounds) {
    std::vector<std::string> command = program;
    command.push_back(workload.name), command.push_back(std::to_string(rounds));
    auto sample = run_command(command, "");
    if (!sample) return Error{sample.error()};
    if (sample->console != fmt::format("done {}\n", workload.name)) return Error{fmt::format("{}: it printed \"{}\"", fmt::join(command, " "), sample->console)};
    return sample->cpu_seconds;
}

/// Nanoseconds of one operation: a long run without a short one.
template <class Run> Result<double> per_operation(Run run, u64 rounds) {
    auto whole = run(rounds), part = run(rounds / 10);
    if (!whole) return Error{whole.error()};
    if (!part) return Error{part.error()};
    return std::max(0.0, (*whole - *part) * 1e9 / static_cast<double>(rounds - rounds / 10));
}

Result<RunConfig> image_config(const std::string& name, std::vector<std::string> command) {
    auto image = scenarios::shipped_image(name);
    if (!image) return Error{image.error()};
    auto layers = container::layers_of(*image, {});
    if (!layers) return Error{layers.error()};
    RunConfig config;
    config.image = name, config.image_id = image->id(), config.defaults = image->config, config.layers = *layers, config.command = std::move(command);
    return config;
}

/// A machine with an engine.
struct Host {
    Machine machine;
    Kernel kernel;
    Engine engine;
    static Result<Host> create(u64 bytes) {
        auto machine = new_machine(bytes);
        if (!machine) return Error{machine.error()};
        machine->trace.record(0);
        auto kernel = Kernel::boot(*machine);
        if (!kernel) return Error{kernel.error()};
        auto engine = Engine::start(*machine, *kernel);
        if (!engine) return Error{engine.error()};
        return Host{std::move(*machine), std::move(*kernel), std::move(*engine)};
    }
    /// Until everybody has ended or waits.
    void go() {
        for (;;) {
            const auto stop = kernel.run(machine, 500'000'000, container::WhenIdle::Return);
            const bool news = kernel.engine_news;
            engine.settle(machine, kernel);
            if (!news && stop.state != container::RunState::Budget) return;
        }
    }
};

} // namespace

Result<CallCost> measure_call(const CallWorkload& workload) {
    CallCost cost;
    const auto native = build_native();
    if (!native) cost.without = native.error();
    std::vector<double> own, peer, user_mode, ratios;
    for (int pair = 0; pair < kPairs; ++pair) {
        auto here = per_operation([&](u64 rounds) { return seconds_here(workload, rounds); }, workload.rounds);
        if (!here) return Error{here.error()};
        own.push_back(*here);
        if (native) {
            auto there = per_operation([&](u64 rounds) { return seconds_of_peer({native_program()}, workload, rounds); }, workload.peer_rounds);
            if (!there) cost.without = there.error();
            else if (*there > 0) peer.push_back(*there), ratios.push_back(*here / *there);
        }
        auto user = per_operation([&](u64 rounds) { return seconds_of_peer({"qemu-riscv64-static", riscv_program()}, workload, rounds); }, workload.peer_rounds);
        if (user) user_mode.push_back(*user);
    }
    cost.ns = spread_of(own);
    if (!peer.empty()) cost.native_ns = spread_of(peer), cost.over_native = spread_of(ratios);
    if (!user_mode.empty()) cost.qemu_ns = spread_of(user_mode);
    return cost;
}

Result<Spread> container_start() {
    constexpr int kStarts = 21;
    auto host = Host::create(u64{256} << 20);
    if (!host) return Error{host.error()};
    auto config = image_config("hello:latest", {});
    if (!config) return Error{config.error()};
    std::vector<double> taken;
    for (int i = 0; i < kStarts; ++i) {
        RunConfig one = config.value();
        one.remove = true;
        const double begin = thread_seconds();
        const auto id = host->engine.run(host->machine, host->kernel, one);
        if (!id) return Error{id.error()};
        host->go();
        if (i) taken.push_back((thread_seconds() - begin) * 1e3); // the first one mounts the image's layers
    }
    return spread_of(taken);
}

Result<ManyContainers> many_containers(std::size_t count) {
    auto host = Host::create(u64{2} << 30);
    if (!host) return Error{host.error()};
    auto config = image_config("tiny:latest", {"cat"});
    if (!config) return Error{config.error()};
    config->interactive = true;
    ManyContainers many;
    const std::size_t before = mallinfo2().uordblks + mallinfo2().hblkhd, sample = std::min<std::size_t>(100, count);
    for (std::size_t i = 0; i < count; ++i) {
        const double begin = thread_seconds();
        if (const auto id = host->engine.run(host->machine, host->kernel, *config); !id) return Error{fmt::format("container {}: {}", i + 1, id.error())};
        host->go();
        const double taken = thread_seconds() - begin;
        many.seconds += taken;
        if (i < sample) many.first_us += taken * 1e6 / static_cast<double>(sample);
        if (i >= count - sample) many.last_us += taken * 1e6 / static_cast<double>(sample);
    }
    many.bytes = mallinfo2().uordblks + mallinfo2().hblkhd - before;
    return many;
}

} // namespace trapeze::bench
