// The files of /proc/net, as text for a network namespace.
#pragma once

#include "container-sim/net/network.hpp"

namespace trapeze::container {

/// A file of /proc/net and what makes its text.
struct NetFile {
    const char* name;
    std::string (*text)(const Network& network, u32 net);
};
/// All of them, by name.
const std::vector<NetFile>& net_files();

} // namespace trapeze::container
