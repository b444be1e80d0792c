// Fuzz target: the container kernel's system calls. A program makes the calls that the input stands for, some of them traced.
#include "container-sim/kernel.hpp"
#include "emulator/machine.hpp"
#include "scenarios/session.hpp"
#include "tests/container-sim/random_calls.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <fmt/format.h>

#include <stdlib.h>

#include <filesystem>

namespace {

using namespace trapeze;
namespace fs = std::filesystem;

/// A root file system with the program that makes calls; empty when that is not built.
struct Root {
    fs::path path;
    Root() {
        const fs::path program = fs::path(scenarios::build_folder()) / "guests/probes/replay";
        std::string pattern = (fs::temp_directory_path() / "trapeze-fuzz-XXXXXX").string();
        if (!fs::exists(program) || !mkdtemp(pattern.data())) {
            fmt::print(stderr, "fuzz syscalls: {} is not there (./trapeze build makes it); nothing is tried\n", program.string());
            return;
        }
        path = pattern;
        fs::copy_file(program, path / "replay");
    }
    ~Root() {
        std::error_code failed;
        if (!path.empty()) fs::remove_all(path, failed);
    }
};

std::vector<std::vector<u8>> seeds() { return {}; }

void run(const std::vector<u8>& input) {
    static const Root root;
    if (root.path.empty()) return;
    MachineConfig config;
    config.ram_bytes = u64{8} << 20, config.builtin_firmware = false;
    Machine machine = std::move(Machine::create(config)).value();
    machine.trace.record(input.size() % 2 ? kAllClasses : 0);
    container::Kernel kernel = std::move(container::Kernel::boot(machine)).value();
    if (!kernel.start_container(machine, {.rootfs = root.path.string(), .arguments = {"/replay"}})) abort();
    kernel.type(1, test::random_batches(input));
    kernel.close_input(1);
    kernel.run(machine, 20'000'000);
}

const fuzz::Registration registration({"syscalls", run, seeds});

} // namespace
