// How the user has arranged the window: which layout is shown, what was changed about each, and which panel of several on tabs is in
// front. Locked until the user unlocks it, so that nothing is lost by accident; what is shipped can always be had back. No drawing.
#pragma once

#include "emulator/base/result.hpp"
#include "ui/layouts.hpp"

#include <array>
#include <optional>

namespace trapeze::ui {

class Workspace {
  public:
    LayoutId layout() const { return layout_; }
    void choose(LayoutId layout) { layout_ = layout; }
    bool locked() const { return locked_; }
    void set_locked(bool locked) { locked_ = locked; }
    /// The tree of the layout that is shown: of its wide or of its narrow form.
    const SplitNode& tree(bool wide) const { return tree_of(layout_, wide); }
    const SplitNode& tree() const { return tree(wide_); } ///< in the form that was shown last
    Division divide(const Frame& frame, const std::function<bool(PanelId)>& shown) const;
    /// True when the layout differs from the one that is shipped.
    bool changed() const { return !(here() == shipped(layout_)); }

    // Each in the form, wide or narrow, that the window had last; `divide` notes it.
    /// Brings the panel to the front; one that is not in the layout comes on a tab with `beside`.
    void show(PanelId panel, PanelId beside);
    /// Takes a panel out. The error says why not: locked, and it is part of the shipped layout.
    Result<void> close(PanelId panel);
    /// Pre: not locked; else nothing happens.
    void move(PanelId panel, PanelId target, Side side);
    void split_off(PanelId panel); ///< from the tabs that it shares, to a place below them
    void resize(unsigned split, std::span<const float> sizes);
    void grow(PanelId panel, float factor);
    /// The panel that follows `from`, in the order of the tree; backward for step -1. It comes to the front.
    PanelId next(PanelId from, int step, const std::function<bool(PanelId)>& shown);
    /// The layout as it was shipped.
    void reset();

    /// What was changed, as JSON. Empty object: nothing.
    std::string json() const;
    /// Takes over what `json` gave. With an error, which names `file` and what is wrong in it, nothing has changed.
    Result<void> load(const std::string& text, const std::string& file);
    /// Counts changes, so that one who keeps them in a file knows when.
    u64 changes() const { return changes_; }

  private:
    struct Arrangement {
        SplitNode wide, narrow;
        std::vector<PanelId> front; ///< the newest first
        bool operator==(const Arrangement& other) const { return wide == other.wide && narrow == other.narrow; }
    };
    static Arrangement shipped(LayoutId layout) { return {shipped_tree(layout, true), shipped_tree(layout, false), {}}; }
    static std::array<Arrangement, kLayouts> all_shipped();
    Arrangement& here() { return layouts_[static_cast<std::size_t>(layout_)]; }
    const Arrangement& here() const { return layouts_[static_cast<std::size_t>(layout_)]; }
    SplitNode& now() { return wide_ ? here().wide : here().narrow; }
    const SplitNode& tree_of(LayoutId layout, bool wide) const { return wide ? layouts_[static_cast<std::size_t>(layout)].wide : layouts_[static_cast<std::size_t>(layout)].narrow; }
    void to_front(PanelId panel);

    LayoutId layout_ = LayoutId::Trap;
    bool locked_ = true;
    mutable bool wide_ = true;
    std::array<Arrangement, kLayouts> layouts_ = all_shipped();
    u64 changes_ = 0;
};

/// The file in which a user's layouts are kept: $XDG_CONFIG_HOME/trapeze/layouts.json, or below ~/.config; empty without a home.
std::string layouts_file();
/// Reads them, when there is such a file. The error is a sentence; the layouts are then the shipped ones.
Result<void> load_layouts(Workspace& workspace, const std::string& file);
/// Writes them: whole, or not at all.
Result<void> save_layouts(const Workspace& workspace, const std::string& file);

} // namespace trapeze::ui
