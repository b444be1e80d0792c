// Root file systems and containers for tests: a folder of its own for each test, programs from the built guests, and running to the end.
#pragma once

#include "container-sim/kernel.hpp"
#include "emulator/machine.hpp"
#include "scenarios/files.hpp"

#include <doctest/doctest.h>

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace trapeze::test {

namespace fs = std::filesystem;
using container::ContainerSpec;
using container::Kernel;
using container::RunState;

inline std::string guest(const std::string& name) { return scenarios::build_folder() + "/guests/" + name; }

inline std::string file_text(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// A temporary folder, gone at the end of the test.
class RootFolder {
  public:
    RootFolder() {
        std::string pattern = (fs::temp_directory_path() / "trapeze-root-XXXXXX").string();
        REQUIRE(mkdtemp(pattern.data()));
        path_ = pattern;
    }
    RootFolder(const RootFolder&) = delete;
    ~RootFolder() {
        std::error_code failed;
        fs::remove_all(path_, failed);
    }
    std::string path() const { return path_.string(); }
    /// A built guest, such as "linux/whoami", as /NAME.
    RootFolder& program(const std::string& built, const std::string& name) {
        fs::create_directories((path_ / name).parent_path());
        REQUIRE_MESSAGE(fs::exists(guest(built)), guest(built), " is not built");
        fs::copy_file(guest(built), path_ / name);
        return *this;
    }
    RootFolder& file(const std::string& name, const std::string& text, bool executable = false) {
        fs::create_directories((path_ / name).parent_path());
        std::ofstream(path_ / name, std::ios::binary) << text;
        if (executable) fs::permissions(path_ / name, fs::perms::owner_all);
        return *this;
    }
    RootFolder& link(const std::string& target, const std::string& name) {
        fs::create_symlink(target, path_ / name);
        return *this;
    }
    /// Every name in it with its contents, to see that nothing has changed.
    std::string picture() const {
        std::vector<std::string> lines;
        for (const auto& entry : fs::recursive_directory_iterator(path_)) {
            const std::string content = entry.is_symlink() ? fs::read_symlink(entry.path()).string() : entry.is_regular_file() ? file_text(entry.path()) : "";
            lines.push_back(entry.path().string() + " " + content + "\n");
        }
        std::sort(lines.begin(), lines.end());
        std::string all;
        for (const std::string& line : lines) all += line;
        return all;
    }

  private:
    fs::path path_;
};

/// A machine with the kernel in its seat.
struct World {
    Machine machine;
    Kernel kernel;

    explicit World(u64 ram_bytes = u64{64} << 20, u32 record = 0) : World(make(ram_bytes)) { machine.trace.record(record); }
    /// Starts a container that must start.
    u32 start(const ContainerSpec& spec) {
        const auto pid = kernel.start_container(machine, spec);
        REQUIRE_MESSAGE(pid, (pid ? std::string() : pid.error()));
        return kernel.containers();
    }
    std::string start_error(const ContainerSpec& spec) {
        const auto pid = kernel.start_container(machine, spec);
        REQUIRE_FALSE(pid);
        return pid.error();
    }
    RunState run(u64 budget = 2'000'000'000) { return kernel.run(machine, budget).state; }
    /// Texts of all events of one kind.
    std::vector<std::string> events(EventKind kind) const {
        std::vector<std::string> texts;
        for (u64 i = machine.trace.first(); i < machine.trace.total(); ++i)
            if (machine.trace.at(i).kind == kind) texts.push_back(machine.trace.text_of(machine.trace.at(i).detail));
        return texts;
    }
    std::string trace_text() const {
        std::string text;
        for (u64 i = machine.trace.first(); i < machine.trace.total(); ++i) text += event_json(machine.trace, machine.trace.at(i)) + "\n";
        return text;
    }

  private:
    explicit World(std::pair<Machine, Kernel> both) : machine(std::move(both.first)), kernel(std::move(both.second)) {}
    static std::pair<Machine, Kernel> make(u64 ram_bytes) {
        MachineConfig config;
        config.ram_bytes = ram_bytes, config.builtin_firmware = false;
        auto machine = Machine::create(config);
        REQUIRE(machine);
        auto kernel = Kernel::boot(*machine);
        REQUIRE(kernel);
        return {std::move(*machine), std::move(*kernel)};
    }
};

struct Outcome {
    std::string output;
    int status = -1; ///< as wait4 reports it
    bool operator==(const Outcome&) const = default;
};
inline doctest::String toString(const Outcome& outcome) { return (outcome.output + "status " + std::to_string(outcome.status)).c_str(); }

/// Runs one program in a container of its own to its end.
inline Outcome run_in(const RootFolder& root, const std::vector<std::string>& arguments, const std::string& input = "", u64 ram_bytes = u64{64} << 20) {
    World world(ram_bytes);
    const u32 own = world.start({.hostname = "web", .rootfs = root.path(), .arguments = arguments});
    world.kernel.type(own, input);
    world.kernel.close_input(own);
    CHECK(world.run() == RunState::Finished);
    return {world.kernel.take_output(own), world.kernel.exit_status(own).value_or(-1)};
}

inline bool any_contains(const std::vector<std::string>& texts, const std::string& part) {
    return std::any_of(texts.begin(), texts.end(), [&](const std::string& text) { return text.find(part) != std::string::npos; });
}

} // namespace trapeze::test
