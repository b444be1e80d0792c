// The mount tree of a process's mnt namespace, and the merge of its overlays: which layer gives each name.
#include "scenarios/container_views.hpp"
#include "ui/panels/seen_views.hpp"
#include "ui/table_view.hpp"

#include <fmt/format.h>

namespace trapeze::ui {

namespace {

using container::LayerAnswer;
using container::NamespaceKind;
using container::OverlaySeen;

constexpr std::size_t kMostLayerColumns = 12; ///< beyond them the layers are told in one column

ImVec4 answer_colour(const Theme& theme, LayerAnswer answer) {
    switch (answer) {
    case LayerAnswer::CopiedUp: return theme.changed;
    case LayerAnswer::Upper: return theme.good;
    case LayerAnswer::Whiteout: case LayerAnswer::Opaque: return theme.bad;
    case LayerAnswer::Merged: return theme.accent;
    default: return theme.dim;
    }
}

ImVec4 propagation_colour(const Theme& theme, const container::MountSeen& mount) {
    if (mount.unbindable) return theme.bad;
    return mount.group ? theme.user : mount.master ? theme.machine : theme.dim;
}

/// Rows of one overlay; the layers as columns when they are few.
Table overlay_table(const OverlaySeen& overlay, bool only_changes, std::vector<LayerAnswer>& answers) {
    const bool columns = overlay.layers.size() <= kMostLayerColumns;
    Table table{{"name", "what", "size"}};
    for (std::size_t i = 0; columns && i < overlay.layers.size(); ++i) table.columns.push_back(i == 0 ? "upper" : overlay.layers.size() == 2 ? "lower" : fmt::format("lower {}", i));
    if (!columns) table.columns.push_back("from layer");
    for (const container::OverlayEntry& entry : overlay.entries) {
        if (only_changes && entry.answer == LayerAnswer::Lower) continue;
        std::vector<std::string> row{entry.path, container::answer_name(entry.answer), entry.answer == LayerAnswer::Whiteout ? "-" : scenarios::size_text(entry.size)};
        for (unsigned i = 0; columns && i < overlay.layers.size(); ++i) {
            const bool has = std::find(entry.layers.begin(), entry.layers.end(), i) != entry.layers.end();
            row.push_back(!has ? "" : i == entry.from ? entry.answer == LayerAnswer::Whiteout ? "hides" : "gives" : entry.answer == LayerAnswer::Merged ? "adds" : "hidden");
        }
        if (!columns) row.push_back(std::to_string(entry.from));
        table.rows.push_back(std::move(row));
        answers.push_back(entry.answer);
    }
    return table;
}

void draw_overlay_of(const Theme& theme, PanelState& state, const OverlaySeen& overlay) {
    prose(theme, theme.text, fmt::format("{} on {}: {} copied up, {} only in the upper layer, {} whiteouts{}", "overlay", overlay.place, overlay.copied_up, overlay.own, overlay.whiteouts,
                                         overlay.cut ? "; there are more names than are shown" : ""));
    for (std::size_t i = 0; i < std::min(overlay.layers.size(), kMostLayerColumns); ++i) {
        chip(i == 0 ? theme.good : theme.dim, i == 0 ? "upper" : overlay.layers.size() == 2 ? "lower" : fmt::format("lower {}", i));
        ImGui::SameLine();
        ImGui::TextColored(theme.dim, "%s", overlay.layers[i].empty() ? "none: read-only" : overlay.layers[i].c_str());
    }
    ImGui::Checkbox("only what differs from one lower layer", &state.overlay_changes);
    std::vector<LayerAnswer> answers;
    const Table table = overlay_table(overlay, state.overlay_changes, answers);
    TableLook look;
    look.colour = [&](std::size_t row, std::size_t column) -> std::optional<ImVec4> {
        if (column == 0) return std::nullopt;
        if (column == 2) return theme.dim;
        const std::string& cell = table.rows[row][column];
        return cell == "hidden" ? theme.dim : answer_colour(theme, answers[row]);
    };
    draw_table(theme, "overlay", table, look);
}

/// The mount namespace of the process that is chosen, below the choice. None: there is nothing to show, and the panel says why.
std::optional<u32> choose_mounts(const Debugger& debugger, const Theme& theme, PanelState& state) {
    if (!debugger.session().kernel()) {
        prose(theme, theme.text, tr(kNoContainers));
        return std::nullopt;
    }
    const container::ProcessSeen* own = choose_process(debugger, theme, state);
    return own ? std::optional(own->namespaces[NamespaceKind::Mnt]) : std::nullopt;
}

} // namespace

void draw_mounts(const Debugger& debugger, const Theme& theme, PanelState& state, Commands&) {
    const auto chosen = choose_mounts(debugger, theme, state);
    if (!chosen) return;
    const container::Kernel* kernel = debugger.session().kernel();
    SeenViews& views = seen_views(debugger, state);
    const u32 mnt = *chosen;
    if (!views.mounts.contains(mnt)) views.mounts[mnt] = container::mount_tree(*kernel, mnt);
    const container::MountTree& tree = views.mounts[mnt];
    ImGui::SameLine();
    chip(namespace_colour(theme, mnt), fmt::format("mnt {}", tree.inode));
    const scenarios::ViewTable text = scenarios::mounts_text(tree).tables[0];
    TableLook look;
    look.colour = [&](std::size_t row, std::size_t column) -> std::optional<ImVec4> {
        if (tree.mounts[row].hidden) return theme.dim;
        if (column == 2) return propagation_colour(theme, tree.mounts[row]);
        return column == 0 ? std::nullopt : column == 1 ? std::optional(theme.accent) : std::optional(theme.dim);
    };
    draw_table(theme, "mounts", {text.columns, text.rows}, look);
}

Sheet sheet_mounts(const Debugger& debugger, const PanelState& state) {
    const container::Kernel* kernel = debugger.session().kernel();
    if (!kernel) return Sheet().say(tr(kNoContainers));
    const auto mnt = container::namespace_of_process(*kernel, chosen_process(*kernel, state), NamespaceKind::Mnt);
    if (!mnt) return Sheet().say(tr(kAllEnded));
    const scenarios::ViewText text = scenarios::mounts_text(container::mount_tree(*kernel, *mnt));
    return Sheet().say(text.sentences[0]).add({text.tables[0].columns, text.tables[0].rows});
}

void draw_overlay(const Debugger& debugger, const Theme& theme, PanelState& state, Commands&) {
    const auto chosen = choose_mounts(debugger, theme, state);
    if (!chosen) return;
    const container::Kernel* kernel = debugger.session().kernel();
    SeenViews& views = seen_views(debugger, state);
    const u32 mnt = *chosen;
    if (!views.overlays.contains(mnt)) views.overlays[mnt] = container::overlays_seen(*kernel, mnt);
    const auto& overlays = views.overlays[mnt];
    if (overlays.empty()) return prose(theme, theme.text, "No overlay is mounted for this process: its root is a folder of the host, which is never written. Containers of images have one.");
    draw_overlay_of(theme, state, overlays[0]);
}

Sheet sheet_overlay(const Debugger& debugger, const PanelState& state) {
    const container::Kernel* kernel = debugger.session().kernel();
    if (!kernel) return Sheet().say(tr(kNoContainers));
    const auto mnt = container::namespace_of_process(*kernel, chosen_process(*kernel, state), NamespaceKind::Mnt);
    if (!mnt) return Sheet().say(tr(kAllEnded));
    const scenarios::ViewText text = scenarios::overlays_text(container::overlays_seen(*kernel, *mnt));
    Sheet sheet;
    for (const std::string& sentence : text.sentences) sheet.say(sentence);
    for (const auto& table : text.tables) sheet.add({table.columns, table.rows});
    return sheet;
}

} // namespace trapeze::ui
