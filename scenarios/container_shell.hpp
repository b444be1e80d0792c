// `trapeze container shell`: Docker's command lines against one machine that lives as long as the prompt does. Time passes while somebody
// waits for a container, and by `sleep`; else only as far as programs have something to do.
#pragma once

#include "container-sim/engine/engine.hpp"
#include "scenarios/cli_container.hpp"

#include <CLI/CLI.hpp>

#include <iosfwd>

namespace trapeze::scenarios {

class ContainerShell {
  public:
    struct Config {
        u64 memory_bytes = u64{256} << 20;
        bool interactive = false;        ///< a person types: there is a prompt, and containers read what is typed
    };
    static Result<ContainerShell> start(const Config& config, std::istream& input);

    /// Reads command lines to the end, or to `exit`. The status of the last one that failed.
    int run();
    /// One command, in words, "docker" in front or not.
    int execute(std::vector<std::string> words, const std::optional<std::string>& typed);
    bool left() const { return left_; }

    // What commands use.
    Machine machine;
    container::Kernel kernel;
    container::Engine engine;
    Config config;

    u64 now() const { return kernel.wall_clock(machine); }
    /// Waits for a container's first program, or a further one, showing what it prints. Its status.
    int follow(u32 console, bool with_input, bool terminal);
    /// Lets programs run as long as they have something to do, without letting time pass, up to a limit.
    void go_on();
    /// Lets time pass until `done` or for at most so many seconds. False: the time is over.
    bool wait_for(double seconds, const std::function<bool()>& done);

  private:
    ContainerShell(Machine m, container::Kernel k, container::Engine e, const Config& c, std::istream& input)
        : machine(std::move(m)), kernel(std::move(k)), engine(std::move(e)), config(c), input_(&input) {}
    Result<std::string> here_document(std::vector<std::string>& words);
    bool read_line(std::string& line);
    void step(u64 budget, container::WhenIdle when_idle, bool& idle);

    std::istream* input_;
    std::optional<std::string> typed_;   ///< what a here-document has for the container
    bool left_ = false;
};

/// The commands on containers, as subcommands of `app`; each sets `status`. (container_shell_commands.cpp, container_shell_views.cpp,
/// container_inspect.cpp)
void add_container_commands(CLI::App& app, ContainerShell& shell, int& status);
void add_view_commands(CLI::App& app, ContainerShell& shell, int& status);
/// `type`: empty, or of what alone.
void add_inspect_command(CLI::App& app, ContainerShell& shell, int& status, const std::string& type);

} // namespace trapeze::scenarios
