// What the container panels share: values of the kernel that are made once for each place of the session, and the choice of a process.
#pragma once

#include "container-sim/seen/seen.hpp"
#include "ui/panels.hpp"
#include "ui/text.hpp"

#include <functional>
#include <map>
#include <optional>

namespace trapeze::ui {

/// Made when a panel first asks for them; void when the session has moved.
struct SeenViews {
    u64 cycles = ~u64{0}, session = 0;
    std::optional<container::ProcessMatrix> processes;
    std::optional<std::vector<container::CgroupSeen>> cgroups;
    std::optional<container::NetworkSeen> network;
    std::map<u32, container::MountTree> mounts;                     ///< by mnt namespace
    std::map<u32, std::vector<container::OverlaySeen>> overlays;    ///< by the same
    std::optional<container::PacketPath> packet;
    std::string packet_question;                                    ///< what `packet` answers
};
/// Pre: the session has a kernel.
SeenViews& seen_views(const Debugger& debugger, PanelState& state);
const container::ProcessMatrix& seen_processes(const Debugger& debugger, PanelState& state);

inline constexpr const char* kNoContainers = later("This session has no containers: a guest owns the machine. `trapeze container debug` opens one with them.");
inline constexpr const char* kAllEnded = later("Every process has ended. Shift+F10 goes back a step, Ctrl+Shift+F5 to the start.");

/// The process whose mounts or network are shown: the chosen one while it lives, else the newest container's first. 0: there is none.
i32 chosen_process(const container::Kernel& kernel, const PanelState& state);
/// A box to choose it from. Null: nobody lives, which is said.
const container::ProcessSeen* choose_process(const Debugger& debugger, const Theme& theme, PanelState& state);
/// The colour of a namespace: the same number has the same one.
ImVec4 namespace_colour(const Theme& theme, u32 index);
/// A label with its colour behind it.
void chip(const ImVec4& colour, const std::string& text);
/// A part of a whole, with a text over it; as wide as the cell.
void bar(const Theme& theme, const ImVec4& colour, float part, const std::string& text);

} // namespace trapeze::ui
