#include "tests/bench/peers.hpp"

#include "emulator/loader.hpp"
#include "scenarios/session.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace trapeze::bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr u64 kRoundsAddress = 0x80ff'0000; ///< ROUNDS of scenarios/guests/bench/bench.h
constexpr u64 kMemory = u64{128} << 20;     ///< bytes, for both
constexpr u64 kSlice = 200'000;             ///< instructions between two looks at the console
constexpr u64 kMostInstructions = 20'000'000'000;
constexpr auto kPatience = std::chrono::minutes(2);

double seconds_of(const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6; }
double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

double thread_seconds() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

Result<Machine> load(const Workload& workload, u64 rounds) {
    const auto guest = path_of(workload, workload.guest);
    if (!guest) return Error{guest.error()};
    MachineConfig config{.ram_bytes = kMemory, .builtin_firmware = workload.firmware};
    if (*workload.disk) {
        const auto path = path_of(workload, workload.disk);
        if (!path) return Error{path.error()};
        auto image = read_file(path.value());
        if (!image) return Error{image.error()};
        config.board.disks = {{disk_image(std::move(image).value())}};
    }
    auto machine = Machine::create(config);
    if (!machine) return machine;
    const auto loaded = load_guest(*machine, guest.value());
    if (!loaded) return Error{loaded.error()};
    if (in_rounds(workload)) machine->ram.write_value(kRoundsAddress - kRamBase, rounds);
    return machine;
}

/// A child process whose standard output is read here; killed, if it still runs, when this goes.
class Child {
  public:
    explicit Child(const std::vector<std::string>& command) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) return;
        std::vector<char*> arguments;
        for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
        arguments.push_back(nullptr);
        pid_ = fork();
        if (pid_ == 0) {
            const int nothing = open("/dev/null", O_RDWR);
            dup2(nothing, STDIN_FILENO);
            dup2(ends[1], STDOUT_FILENO);
            dup2(nothing, STDERR_FILENO);
            execvp(arguments[0], arguments.data());
            _exit(127);
        }
        close(ends[1]);
        output_ = ends[0];
    }
    ~Child() {
        if (pid_ > 0) end(true);
        if (output_ >= 0) close(output_);
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    bool started() const { return pid_ > 0; }
    /// Appends what it prints to `text`. False at its end, or when the deadline has passed.
    bool read_some(std::string& text, Clock::time_point deadline) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
        pollfd ready{output_, POLLIN, 0};
        if (left <= 0 || poll(&ready, 1, static_cast<int>(left)) <= 0) return false;
        char buffer[4096];
        const ssize_t count = read(output_, buffer, sizeof buffer);
        if (count > 0) text.append(buffer, static_cast<std::size_t>(count));
        return count > 0;
    }
    struct Ended {
        int status;
        double cpu_seconds;
    };
    /// Waits for its end, killing it first when asked to.
    Ended end(bool kill_it) {
        if (kill_it) kill(pid_, SIGKILL);
        rusage used{};
        int status = 0;
        while (wait4(pid_, &status, 0, &used) < 0 && errno == EINTR) {}
        pid_ = -1;
        return {status, seconds_of(used.ru_utime) + seconds_of(used.ru_stime)};
    }

  private:
    pid_t pid_ = -1;
    int output_ = -1;
};

} // namespace

Result<std::string> path_of(const Workload& workload, const char* file) {
    std::string folder = scenarios::build_folder() + "/guests";
    if (*workload.folder_variable) {
        const char* set = std::getenv(workload.folder_variable);
        if (!set) return Error{fmt::format("{}: set {} to the folder that has {}", workload.name, workload.folder_variable, file)};
        folder = set;
    }
    const std::string path = folder + "/" + file;
    std::error_code failed;
    if (!std::filesystem::exists(path, failed)) return Error{fmt::format("{}: {} is not there; build it first", workload.name, path)};
    return path;
}

Result<Sample> run_trapeze(const Workload& workload, u64 rounds) {
    Sample sample;
    const auto wall = Clock::now();
    const double begin = thread_seconds();
    auto machine = load(workload, rounds);
    if (!machine) return Error{machine.error()};
    Stop stop;
    do {
        stop = machine->run(kSlice);
        sample.instructions += stop.executed;
        sample.console += machine->board.take_output();
        if (!in_rounds(workload) && sample.console.find(workload.until) != std::string::npos) break;
    } while (stop.kind == StopKind::Budget && sample.instructions < kMostInstructions);
    sample.cpu_seconds = thread_seconds() - begin;
    sample.wall_seconds = seconds_since(wall);
    if (stop.kind != StopKind::Halted && in_rounds(workload)) return Error{fmt::format("{} does not end in Trapeze", workload.name)};
    if (machine->board.halt && machine->board.halt->code != 0)
        return Error{fmt::format("{} ended in Trapeze with code {}: {}", workload.name, machine->board.halt->code, sample.console)};
    if (!in_rounds(workload) && sample.console.find(workload.until) == std::string::npos)
        return Error{fmt::format("{} did not print \"{}\" in Trapeze", workload.name, workload.until)};
    return sample;
}

Result<Sample> run_command(const std::vector<std::string>& command, const std::string& until) {
    Sample sample;
    const auto wall = Clock::now();
    Child child(command);
    if (!child.started()) return Error{fmt::format("{} could not be started: {}", command[0], std::strerror(errno))};
    bool found = false;
    while (!found && child.read_some(sample.console, wall + kPatience)) found = !until.empty() && sample.console.find(until) != std::string::npos;
    const bool late = seconds_since(wall) >= std::chrono::duration<double>(kPatience).count();
    const Child::Ended ended = child.end(found || late);
    sample.cpu_seconds = ended.cpu_seconds;
    sample.wall_seconds = seconds_since(wall);
    if (late) return Error{fmt::format("{} did not end within two minutes", command[0])};
    if (!until.empty() && !found) return Error{fmt::format("{} ended without printing \"{}\"", command[0], until)};
    if (until.empty() && ended.status != 0)
        return Error{fmt::format("{} failed with status {}; it may not be installed, and printed: {}", command[0], WEXITSTATUS(ended.status), sample.console)};
    return sample;
}

Result<Sample> run_qemu(const Workload& workload, u64 rounds) {
    const auto guest = path_of(workload, workload.guest);
    if (!guest) return Error{guest.error()};
    std::vector<std::string> command{"qemu-system-riscv64", "-M", "virt", "-m", fmt::format("{}M", kMemory >> 20), "-display", "none", "-monitor", "none",
                                     "-serial", "stdio", "-bios", workload.firmware ? "default" : "none", "-kernel", guest.value()};
    if (in_rounds(workload)) {
        command.push_back("-device");
        command.push_back(fmt::format("loader,addr=0x{:x},data={},data-len=8", kRoundsAddress, rounds));
    }
    if (*workload.disk) {
        const auto path = path_of(workload, workload.disk);
        if (!path) return Error{path.error()};
        for (const std::string& word : {std::string("-global"), std::string("virtio-mmio.force-legacy=false"), std::string("-snapshot"), std::string("-drive"),
                                        fmt::format("file={},if=none,format=raw,id=x0", path.value()), std::string("-device"),
                                        std::string("virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0")})
            command.push_back(word);
    }
    return run_command(command, workload.until);
}

} // namespace trapeze::bench
