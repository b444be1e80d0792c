// The program: the command line, with the debugger window behind it.
#include "scenarios/cli.hpp"

#include <fmt/format.h>

namespace {
int no_window(trapeze::scenarios::Session, std::optional<trapeze::scenarios::LessonRun>, const trapeze::scenarios::DebuggerOptions&) {
    fmt::print(stderr, "trapeze: this build has no window; build it with ./trapeze build\n");
    return 1;
}
} // namespace

int main(int argc, char** argv) { return trapeze::scenarios::run_command_line(argc, argv, no_window); }
