// What a container is asked to be, and how the kernel deals with an idle machine: what a session's configuration holds of container-sim.
#pragma once

#include "emulator/base/types.hpp"

#include <string>
#include <vector>

namespace trapeze::container {

struct ContainerSpec {
    std::string hostname = "container";
    std::string rootfs;                  ///< host folder
    std::vector<std::string> arguments;  ///< program (a path inside, or a name to look for in PATH) and its arguments
    std::vector<std::string> environment{"PATH=/bin:/usr/bin:/sbin:/usr/sbin", "HOME=/root", "TERM=linux"};
    bool terminal = false;               ///< a terminal of its own; else its input and output are like pipes
    u16 rows = 24, columns = 80;         ///< of the terminal
};

enum class WhenIdle : u8 { PassTime, Return };

} // namespace trapeze::container
