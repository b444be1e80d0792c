// The benchmarks: every workload of workloads.hpp here and in qemu-system-riscv64, in the same run; each mode against bare (modes.hpp); frames (frames.hpp); going
// back (back.hpp); and the container kernel (containers.hpp).
//
// Usage: ./trapeze bench [--json] [FILTER]
#include "tests/bench/back.hpp"
#include "tests/bench/containers.hpp"
#include "tests/bench/frames.hpp"
#include "tests/bench/modes.hpp"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdlib>
#include <map>
#include <string_view>

namespace trapeze::bench {

namespace {

/// Why a benchmark has no result, by name.
std::map<std::string, std::string>& failures() {
    static std::map<std::string, std::string> all;
    return all;
}

void fail(benchmark::State& state, const std::string& name, const std::string& sentence) {
    failures()[name] = sentence;
    state.SkipWithError(sentence.c_str());
}

void measure_workload(benchmark::State& state, const Workload& workload) {
    for (auto _ : state) {
        auto result = compare(workload);
        if (!result) return fail(state, workload.name, result.error());
        state.SetIterationTime(result->trapeze_seconds);
        state.counters["speed"] = result->speed.median;
        state.counters["speed_min"] = result->speed.least;
        state.counters["speed_max"] = result->speed.most;
        state.counters["target"] = workload.target;
        state.counters["qemu_seconds"] = result->qemu_seconds;
        state.counters["trapeze_seconds"] = result->trapeze_seconds;
        state.counters["instructions"] = result->instructions;
        state.counters["trapeze_mips"] = result->trapeze_mips;
    }
    state.SetLabel(workload.what);
}

void measure_first_picture(benchmark::State& state) {
    for (auto _ : state) {
        auto result = first_picture();
        if (!result) return fail(state, "first_picture", result.error());
        state.SetIterationTime(result->median);
        state.counters["seconds_min"] = result->least;
        state.counters["seconds_max"] = result->most;
    }
    state.SetLabel("wall-clock time from start to the debugger's first picture; wanted: under 3 s");
}

/// Milliseconds of a frame.
void measure_frame(benchmark::State& state, const char* name, Result<Spread> (*measure)(), const char* what) {
    for (auto _ : state) {
        auto result = measure();
        if (!result) return fail(state, name, result.error());
        state.SetIterationTime(result->median / 1e3);
        state.counters["frame_ms"] = result->median;
        state.counters["frame_ms_min"] = result->least;
        state.counters["frame_ms_max"] = result->most;
    }
    state.SetLabel(what);
}

void measure_mode(benchmark::State& state, const ModeWorkload& workload, vmm::Mode mode) {
    const std::string name = fmt::format("mode_{}_{}", workload.name, vmm::mode_row(mode).name);
    for (auto _ : state) {
        auto result = mode_over_bare(workload, mode);
        if (!result) return fail(state, name, result.error());
        state.SetIterationTime(result->median);
        state.counters["over_bare"] = result->median;
        state.counters["over_bare_min"] = result->least;
        state.counters["over_bare_max"] = result->most;
        state.counters["target"] = mode == vmm::Mode::HardwareAssisted ? workload.assisted_target : mode == vmm::Mode::TrapAndEmulate ? workload.emulated_target : 0;
    }
    state.SetLabel(workload.what);
}

constexpr double kDossierTarget = 1.3;

void measure_dossiers(benchmark::State& state, const ModeWorkload& workload, vmm::Mode mode) {
    const std::string name = fmt::format("dossier_{}_{}", workload.name, vmm::mode_row(mode).name);
    for (auto _ : state) {
        auto result = dossiers_over_none(workload, mode);
        if (!result) return fail(state, name, result.error());
        state.SetIterationTime(result->median);
        state.counters["over_none"] = result->median;
        state.counters["over_none_min"] = result->least;
        state.counters["over_none_max"] = result->most;
        state.counters["target"] = kDossierTarget;
    }
    state.SetLabel(workload.what);
}

void measure_going_back(benchmark::State& state, const BackWorkload& workload) {
    const std::string name = fmt::format("back_{}", workload.name);
    for (auto _ : state) {
        auto result = measure_back(workload);
        if (!result) return fail(state, name, result.error());
        state.SetIterationTime(result->jump.median / 1e3);
        state.counters["recording"] = result->recording.median;
        state.counters["recording_min"] = result->recording.least;
        state.counters["recording_max"] = result->recording.most;
        state.counters["jump_ms"] = result->jump.median;
        state.counters["jump_ms_max"] = result->jump.most;
        state.counters["step_back_ms"] = result->step.median;
        state.counters["step_back_ms_max"] = result->step.most;
        state.counters["MiB"] = result->mebibytes;
    }
    state.SetLabel(workload.what);
}

void measure_call_cost(benchmark::State& state, const CallWorkload& workload) {
    for (auto _ : state) {
        auto result = measure_call(workload);
        if (!result) return fail(state, fmt::format("container_{}", workload.name), result.error());
        state.SetIterationTime(result->ns.median * 1e-9);
        const std::pair<const char*, double> counters[] = {{"ns", result->ns.median}, {"ns_min", result->ns.least}, {"ns_max", result->ns.most}, {"native_ns", result->native_ns.median},
                                                           {"qemu_ns", result->qemu_ns.median}, {"over_native", result->over_native.median}, {"over_native_min", result->over_native.least},
                                                           {"over_native_max", result->over_native.most}, {"target", workload.target_ns}};
        for (const auto& [name, value] : counters) state.counters[name] = value;
    }
    state.SetLabel(workload.what);
}

void measure_start(benchmark::State& state) {
    for (auto _ : state) {
        auto result = container_start();
        if (!result) return fail(state, "container_start", result.error());
        state.SetIterationTime(result->median / 1e3);
        state.counters["start_ms"] = result->median, state.counters["start_ms_min"] = result->least, state.counters["start_ms_max"] = result->most;
    }
    state.SetLabel("`run` of the image hello to its output and its end; wanted: under 5 ms (crun 10 ms, runc 29 ms on a real kernel)");
}

void measure_many(benchmark::State& state) {
    constexpr std::size_t kMany = 10'000;
    for (auto _ : state) {
        auto result = many_containers(kMany);
        if (!result) return fail(state, "containers_10000", result.error());
        state.SetIterationTime(result->seconds);
        state.counters["many_seconds"] = result->seconds, state.counters["many_bytes"] = static_cast<double>(result->bytes);
        state.counters["first_us"] = result->first_us, state.counters["last_us"] = result->last_us;
    }
    state.SetLabel("10,000 containers of one image that wait; wanted: under 60 s and 1 GiB");
}

/// One line for each benchmark.
class Table final : public benchmark::BenchmarkReporter {
  public:
    bool ReportContext(const Context&) override {
        fmt::print("CPU time, {} interleaved pairs, start-up subtracted. Speed: Trapeze's as a multiple of QEMU's, median (least .. most).\n\n", kPairs);
        fmt::print("{:<26} {:>9} {:>12} {:>12}   {:>7} {:<18} {:>6}  {}\n", "workload", "M insn/s", "Trapeze", "QEMU", "speed", "", "wanted", "one round is");
        return true;
    }
    void ReportRuns(const std::vector<Run>& runs) override {
        for (const Run& run : runs) print(run);
        std::fflush(stdout);
    }

  private:
    static std::string time(double seconds) { return seconds < 1e-3 ? fmt::format("{:.2f} us", seconds * 1e6) : fmt::format("{:.3f} ms", seconds * 1e3); }
    static void print(const Run& run) {
        const std::string& name = run.run_name.function_name;
        const auto counter = [&run](const char* which) {
            const auto found = run.counters.find(which);
            return found == run.counters.end() ? 0.0 : static_cast<double>(found->second);
        };
        if (const auto failed = failures().find(name); failed != failures().end()) {
            fmt::print("{:<26} not measured: {}\n", name, failed->second);
        } else if (run.counters.count("speed")) {
            const double target = counter("target");
            fmt::print("{:<26} {:>9.1f} {:>12} {:>12}   {:>7.3f} {:<18} {:>6}  {}\n", name, counter("trapeze_mips"), time(counter("trapeze_seconds")),
                       time(counter("qemu_seconds")), counter("speed"), fmt::format("({:.3f} .. {:.3f})", counter("speed_min"), counter("speed_max")),
                       target ? fmt::format("{:g}", target) : "", run.report_label);
        } else if (run.counters.count("over_bare")) {
            const double target = counter("target");
            fmt::print("{:<40} {:>7.2f} times bare ({:.2f} .. {:.2f}){}: {}\n", name, counter("over_bare"), counter("over_bare_min"), counter("over_bare_max"),
                       target ? fmt::format(", wanted at most {:g}", target) : "", run.report_label);
        } else if (run.counters.count("frame_ms")) {
            fmt::print("{:<26} {:>7.2f} ms of CPU ({:.2f} .. {:.2f}): {}\n", name, counter("frame_ms"), counter("frame_ms_min"), counter("frame_ms_max"), run.report_label);
        } else if (run.counters.count("recording")) {
            fmt::print("{:<26} recording {:.2f} times without ({:.2f} .. {:.2f}), wanted under 1.1; {:.0f} MiB; to any place {:.1f} ms, worst {:.1f}; a step back {:.1f}, worst {:.1f}; "
                       "wanted 50, worst 250: {}\n",
                       name, counter("recording"), counter("recording_min"), counter("recording_max"), counter("MiB"), counter("jump_ms"), counter("jump_ms_max"),
                       counter("step_back_ms"), counter("step_back_ms_max"), run.report_label);
        } else if (run.counters.count("ns")) {
            const double target = counter("target");
            const auto peer = [&](const char* which) { return counter(which) > 0 ? fmt::format("{:.0f} ns", counter(which)) : std::string("-"); };
            fmt::print("{:<26} {:>9.0f} ns ({:.0f} .. {:.0f}){}; this machine's Linux {}, which is {:.1f} times faster ({:.1f} .. {:.1f}); qemu-riscv64 {}: {}\n", name, counter("ns"), counter("ns_min"),
                       counter("ns_max"), target ? fmt::format(", wanted at most {:g}", target) : "", peer("native_ns"), counter("over_native"), counter("over_native_min"), counter("over_native_max"),
                       peer("qemu_ns"), run.report_label);
        } else if (run.counters.count("start_ms")) {
            fmt::print("{:<26} {:>9.2f} ms of CPU ({:.2f} .. {:.2f}): {}\n", name, counter("start_ms"), counter("start_ms_min"), counter("start_ms_max"), run.report_label);
        } else if (run.counters.count("many_seconds")) {
            fmt::print("{:<26} {:>9.1f} s of CPU, {:.0f} MiB; a start takes {:.0f} us at the beginning, {:.0f} us at the end: {}\n", name, counter("many_seconds"), counter("many_bytes") / (1 << 20),
                       counter("first_us"), counter("last_us"), run.report_label);
        } else if (run.counters.count("over_none")) {
            fmt::print("{:<40} {:>7.2f} times without dossiers ({:.2f} .. {:.2f}), wanted at most {:g}: {}\n", name, counter("over_none"), counter("over_none_min"),
                       counter("over_none_max"), counter("target"), run.report_label);
        } else {
            fmt::print("{:<26} {:.2f} s ({:.2f} .. {:.2f}): {}\n", name, run.real_accumulated_time, counter("seconds_min"), counter("seconds_max"), run.report_label);
        }
    }
};

void add_benchmarks() {
    for (const Workload& workload : kWorkloads) {
        if (*workload.folder_variable && !std::getenv(workload.folder_variable)) continue;
        benchmark::RegisterBenchmark(workload.name, [&workload](benchmark::State& state) { measure_workload(state, workload); })->Iterations(1)->UseManualTime();
    }
    for (const ModeWorkload& workload : kModeWorkloads)
        for (unsigned i = 1; i < static_cast<unsigned>(vmm::Mode::Count); ++i) {
            const auto mode = static_cast<vmm::Mode>(i);
            if (mode == vmm::Mode::Paravirtual) continue; // nano does not know the hypervisor: it would be trap-and-emulate again
            benchmark::RegisterBenchmark(fmt::format("mode_{}_{}", workload.name, vmm::mode_row(mode).name).c_str(), [&workload, mode](benchmark::State& state) {
                measure_mode(state, workload, mode);
            })->Iterations(1)->UseManualTime();
        }
    for (const ModeWorkload& workload : kModeWorkloads)
        for (vmm::Mode mode : {vmm::Mode::Translate, vmm::Mode::TrapAndEmulate, vmm::Mode::HardwareAssisted})
            benchmark::RegisterBenchmark(fmt::format("dossier_{}_{}", workload.name, vmm::mode_row(mode).name).c_str(), [&workload, mode](benchmark::State& state) {
                measure_dossiers(state, workload, mode);
            })->Iterations(1)->UseManualTime();
    for (const BackWorkload& workload : kBackWorkloads)
        benchmark::RegisterBenchmark(fmt::format("back_{}", workload.name).c_str(), [&workload](benchmark::State& state) {
            measure_going_back(state, workload);
        })->Iterations(1)->UseManualTime();
    constexpr u64 kEvents = 10'000'000;
    const auto frame = [](const char* name, Result<Spread> (*measure)(), const char* what) {
        benchmark::RegisterBenchmark(name, [=](benchmark::State& state) { measure_frame(state, name, measure, what); })->Iterations(1)->UseManualTime();
    };
    frame("frame_panels", [] { return panel_frame(kEvents, false); }, "the trap layout's panels at 1920 x 1080, ten million events on the trace, without pixels; wanted: under 8 ms");
    frame("frame_event_log", [] { return panel_frame(kEvents, true); }, "the same with the event log, which filters meanwhile; wanted: under 8 ms");
    frame("frame_software_gl", [] { return drawn_frame(); }, "the trap layout at 1920 x 1080 with software OpenGL; wanted: under 16 ms");
    for (const CallWorkload& workload : kCallWorkloads)
        benchmark::RegisterBenchmark(fmt::format("container_{}", workload.name).c_str(), [&workload](benchmark::State& state) { measure_call_cost(state, workload); })->Iterations(1)->UseManualTime();
    benchmark::RegisterBenchmark("container_start", measure_start)->Iterations(1)->UseManualTime();
    benchmark::RegisterBenchmark("containers_10000", measure_many)->Iterations(1)->UseManualTime();
    benchmark::RegisterBenchmark("first_picture", measure_first_picture)->Iterations(1)->UseManualTime();
}

bool wants_table(int argc, char** argv) {
    for (int i = 1; i < argc; ++i)
        if (std::string_view(argv[i]).starts_with("--benchmark_format=")) return false;
    return true;
}

} // namespace

} // namespace trapeze::bench

int main(int argc, char** argv) {
    using namespace trapeze::bench;
    Table table;
    const bool with_table = wants_table(argc, argv);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    add_benchmarks();
    const std::size_t matched = with_table ? benchmark::RunSpecifiedBenchmarks(&table) : benchmark::RunSpecifiedBenchmarks();
    return failures().empty() && matched ? 0 : 1;
}
