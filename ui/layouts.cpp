#include "ui/layouts.hpp"

namespace trapeze::ui {

namespace {

constexpr float kThreeColumns = 74; // em: below it code and CSRs would not fit beside the lesson
constexpr float kCsrColumns = 27;   // em: name, real and virtual value
constexpr float kLanes = 7.6f;      // em: a title and four lanes

using P = PanelId;

SplitNode leaf(std::vector<P> tabs, float weight = 1) { return {.tabs = std::move(tabs), .weight = weight}; }
SplitNode fixed(P panel, float ems) { return {.tabs = {panel}, .ems = ems}; }
SplitNode row(std::vector<SplitNode> parts, float weight = 1, float least = 0) { return {.weight = weight, .least = least, .axis = Axis::Row, .parts = std::move(parts)}; }
SplitNode column(std::vector<SplitNode> parts, float weight = 1, float least = 0) { return {.weight = weight, .least = least, .axis = Axis::Column, .parts = std::move(parts)}; }

SplitNode trap_tree(bool wide) {
    if (!wide)
        return row({column({leaf({P::Code}, 8), leaf({P::Ledger}, 4), leaf({P::Dossier}, 7)}),
                    column({leaf({P::Lesson}, 10), fixed(P::Lanes, kLanes), leaf({P::Csrs}, 5), leaf({P::Registers, P::Console}, 4)})});
    return row({column({leaf({P::Code}, 60), leaf({P::Ledger}, 40)}, 0.357f),
                column({leaf({P::Lesson}, 49), fixed(P::Lanes, kLanes), leaf({P::Dossier}, 51)}, 0.343f),
                column({leaf({P::Csrs}, 41), leaf({P::Registers}, 33), leaf({P::Console}, 26)}, 0.30f, kCsrColumns)});
}

SplitNode memory_tree(bool wide) {
    if (!wide)
        return row({column({leaf({P::Code, P::Registers}, 6), leaf({P::GuestTable, P::MachineTable}, 7), leaf({P::Lesson, P::Ledger}, 5)}),
                    column({leaf({P::Walk, P::Dossier}, 9), leaf({P::Memory}, 9)})});
    return row({column({leaf({P::Code, P::Registers}, 55), leaf({P::Lesson, P::Ledger, P::Csrs}, 45)}, 0.30f),
                column({leaf({P::GuestTable}, 50), leaf({P::MachineTable}, 50)}, 0.32f),
                column({leaf({P::Walk, P::Dossier}, 52), leaf({P::Memory}, 48)}, 0.38f)});
}
SplitNode io_tree(bool wide) {
    if (!wide)
        return row({column({leaf({P::Code, P::Registers}, 6), leaf({P::Ledger}, 5), leaf({P::Lesson, P::Dossier}, 6)}),
                    column({leaf({P::Devices}, 6), leaf({P::Rings}, 8), leaf({P::Console, P::Memory}, 4)})});
    return row({column({leaf({P::Code, P::Registers}, 55), leaf({P::Ledger}, 45)}, 0.30f),
                column({leaf({P::Devices}, 40), leaf({P::Rings}, 60)}, 0.42f),
                column({leaf({P::Lesson, P::Dossier}, 55), leaf({P::Memory, P::Console}, 45)}, 0.28f)});
}
SplitNode containers_tree() {
    return column({leaf({P::Containers, P::Lesson}, 34), row({leaf({P::Mounts, P::Overlay, P::Cgroups, P::Network}, 55), column({leaf({P::Ledger}), leaf({P::Console})}, 45)}, 66)});
}
SplitNode compare_tree(bool wide) {
    if (!wide) return column({fixed(P::Lanes, kLanes), leaf({P::Flip}, 8), row({leaf({P::Code, P::Vms}), leaf({P::Exits, P::Lesson, P::Dossier})}, 6)});
    return column({fixed(P::Lanes, kLanes), leaf({P::Flip}, 56), row({leaf({P::Code}, 32), leaf({P::Exits}, 40), leaf({P::Lesson, P::Vms, P::Dossier}, 28)}, 44)});
}
SplitNode lecture_tree(bool wide) {
    if (!wide) return column({leaf({P::Lesson}, 4), leaf({P::Code}, 6), fixed(P::Lanes, kLanes), leaf({P::Dossier}, 5)});
    return row({column({leaf({P::Code}, 6), fixed(P::Lanes, kLanes)}), column({leaf({P::Lesson}, 5), leaf({P::Dossier}, 5)})});
}

} // namespace

const LayoutRow& layout_row(LayoutId id) {
    static constexpr LayoutRow kRows[] = {
#define LAYOUT(id, name, title, sentence) {name, title, sentence},
#include "ui/layouts.def"
    };
    return kRows[static_cast<std::size_t>(id)];
}

std::optional<LayoutId> layout_by_name(const std::string& name) {
    for (std::size_t i = 0; i < kLayouts; ++i)
        if (name == layout_row(static_cast<LayoutId>(i)).name) return static_cast<LayoutId>(i);
    return std::nullopt;
}

bool Frame::wide() const { return width >= kThreeColumns * em; }

SplitNode shipped_tree(LayoutId id, bool wide) {
    switch (id) {
    case LayoutId::Memory: return memory_tree(wide);
    case LayoutId::Io: return io_tree(wide);
    case LayoutId::Containers: return containers_tree();
    case LayoutId::Compare: return compare_tree(wide);
    case LayoutId::Lecture: return lecture_tree(wide);
    default: return trap_tree(wide);
    }
}

float layout_zoom(LayoutId id) { return id == LayoutId::Lecture ? 1.35f : 1.0f; }

} // namespace trapeze::ui
