// Views of the container kernel for readers: the values of container-sim/seen as sentences and tables (the command line and the debugger's
// sheets print them) and as JSON.
//
// Usage:
//   const auto text = container_view(kernel, machine.cycles(), {.what = "mounts", .pid = 12});
#pragma once

#include "container-sim/seen/seen.hpp"
#include "emulator/base/result.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace trapeze::scenarios {

/// What is asked for on the command line.
struct ViewRequest {
    std::string what = "processes";    ///< a name of view_names()
    i32 pid = 0;                       ///< whose namespaces (outside); 0: those of the newest container's first process, else the host's
    std::string to{};                  ///< packet: "10.0.0.2:80"
    bool tcp = false;                  ///< packet: a connection instead of a datagram
    bool json = false;
};
/// What is shown, of whom, and where a packet goes, as arguments of a verb.
void add_view_options(CLI::App& verb, ViewRequest& request);
/// "processes, namespaces, mounts, ...".
std::string view_names();
bool is_view(const std::string& name);
/// The view as text or JSON. The error names what cannot be shown, and the mend.
Result<std::string> container_view(const container::Kernel& kernel, u64 now, const ViewRequest& request);

struct ViewTable {
    std::vector<std::string> columns;
    std::vector<std::vector<std::string>> rows;
};
/// Sentences, then tables.
struct ViewText {
    std::vector<std::string> sentences;
    std::vector<ViewTable> tables;
    std::string text() const;
};
ViewText processes_text(const container::ProcessMatrix& matrix);
ViewText namespaces_text(const container::ProcessMatrix& matrix);
ViewText mounts_text(const container::MountTree& tree);
ViewText overlays_text(const std::vector<container::OverlaySeen>& overlays);
ViewText cgroups_text(const std::vector<container::CgroupSeen>& tree);
ViewText network_text(const container::NetworkSeen& network);
ViewText packet_text(const container::PacketPath& path);

nlohmann::ordered_json processes_json(const container::ProcessMatrix& matrix);
nlohmann::ordered_json mounts_json(const container::MountTree& tree);
nlohmann::ordered_json overlays_json(const std::vector<container::OverlaySeen>& overlays);
nlohmann::ordered_json cgroups_json(const std::vector<container::CgroupSeen>& tree);
nlohmann::ordered_json network_json(const container::NetworkSeen& network);
nlohmann::ordered_json packet_json(const container::PacketPath& path);

/// "12/14" and the like: an id inside, and the one outside where it is another.
std::string inside_outside(u64 inside, u64 outside);
/// A letter for a namespace, the same wherever it is shown: "host", "A", "B", ...
std::string namespace_letter(u32 index);
/// "30.0 ms of 100 ms", "max".
std::string quota_text(const container::CgroupSeen& group);
/// "4 of 10 tasks", "12 MiB, no limit".
std::string figure_text(const container::CgroupFigure& figure);
std::string size_text(u64 bytes);
/// Which process a view without --pid is about: the first one of the newest container; 0: nobody lives but the host's.
i32 default_process(const container::Kernel& kernel);

} // namespace trapeze::scenarios
