#include "ui/workspace.hpp"
#include "emulator/replace_file.hpp"
#include "ui/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

namespace trapeze::ui {

namespace {

using Json = nlohmann::ordered_json;

constexpr unsigned kDeepest = 12;           // splits inside each other
constexpr float kMostWeight = 1e6f;
constexpr std::uintmax_t kMostBytes = 1 << 20; // of the file

Json node_json(const SplitNode& node) {
    Json json;
    if (node.is_leaf()) {
        json["tabs"] = Json::array();
        for (PanelId panel : node.tabs) json["tabs"].push_back(panel_names(panel).name);
    } else {
        Json& parts = json[node.axis == Axis::Row ? "row" : "column"] = Json::array();
        for (const SplitNode& part : node.parts) parts.push_back(node_json(part));
    }
    if (node.weight != 1) json["weight"] = node.weight;
    if (node.ems != 0) json["ems"] = node.ems;
    if (node.least != 0) json["least"] = node.least;
    return json;
}

/// Reads trees; what is wrong is in `wrong`.
struct TreeReader {
    std::string wrong;
    std::set<PanelId> seen{};

    bool refuse(std::string why) {
        wrong = std::move(why);
        return false;
    }
    bool number(const Json& json, const char* name, float& value, float low) {
        if (!json.contains(name)) return true;
        if (!json[name].is_number()) return refuse(fmt::format("{} is no number", name));
        value = json[name].get<float>();
        return (value >= low && value <= kMostWeight) || refuse(fmt::format("{} is {}, which is no size", name, json[name].dump()));
    }
    bool panels(const Json& json, std::vector<PanelId>& panels) {
        if (!json.is_array()) return refuse("tabs is no list");
        for (const Json& name : json) {
            const auto panel = name.is_string() ? panel_by_name(name.get<std::string>()) : std::nullopt;
            if (!panel) return refuse(fmt::format("there is no panel {}; the panels are {}", name.dump(), all_panel_names()));
            if (!seen.insert(*panel).second) return refuse(fmt::format("the panel {} stands twice in a layout", name.dump()));
            panels.push_back(*panel);
        }
        return true;
    }
    bool read(const Json& json, SplitNode& node, unsigned depth) {
        if (depth > kDeepest) return refuse("its splits are nested too deep");
        if (!json.is_object()) return refuse("a part of a layout is no object");
        if (!number(json, "weight", node.weight, 1e-6f) || !number(json, "ems", node.ems, 0) || !number(json, "least", node.least, 0)) return false;
        if (json.contains("tabs")) return panels(json["tabs"], node.tabs);
        node.axis = json.contains("row") ? Axis::Row : Axis::Column;
        const char* name = node.axis == Axis::Row ? "row" : "column";
        if (!json.contains(name) || !json[name].is_array() || json[name].size() < 2) return refuse("a part of a layout has neither tabs, nor a row or column of two parts");
        for (const Json& part : json[name]) {
            SplitNode child;
            if (!read(part, child, depth + 1)) return false;
            if (child.is_leaf() && child.tabs.empty()) return refuse("a part of a layout is empty");
            node.parts.push_back(std::move(child));
        }
        return true;
    }
};

} // namespace

std::array<Workspace::Arrangement, kLayouts> Workspace::all_shipped() {
    std::array<Arrangement, kLayouts> all;
    for (std::size_t i = 0; i < kLayouts; ++i) all[i] = shipped(static_cast<LayoutId>(i));
    return all;
}

Division Workspace::divide(const Frame& frame, const std::function<bool(PanelId)>& shown) const {
    wide_ = frame.wide();
    return ui::divide(tree(wide_), frame.area(), {frame.em, shown, here().front});
}

void Workspace::to_front(PanelId panel) {
    std::erase(here().front, panel);
    here().front.insert(here().front.begin(), panel);
}

void Workspace::show(PanelId panel, PanelId beside) {
    if (!contains(now(), panel)) insert_panel(now(), panel, beside, Side::Tab), ++changes_;
    to_front(panel);
}

Result<void> Workspace::close(PanelId panel) {
    if (locked_ && contains(shipped_tree(layout_, wide_), panel))
        return Error{trf("The layout is locked, so {} stays; Ctrl+Shift+U unlocks it.", tr(panel_names(panel).title))};
    remove_panel(now(), panel);
    ++changes_;
    return {};
}

void Workspace::move(PanelId panel, PanelId target, Side side) {
    if (locked_ || panel == target || !contains(now(), target)) return;
    remove_panel(now(), panel);
    insert_panel(now(), panel, target, side);
    to_front(panel);
    ++changes_;
}

void Workspace::split_off(PanelId panel) {
    for (PanelId other : panels_sharing(now(), panel))
        if (other != panel) return move(panel, other, Side::Below);
}

void Workspace::resize(unsigned split, std::span<const float> sizes) {
    if (!locked_) set_sizes(now(), split, sizes), ++changes_;
}

void Workspace::grow(PanelId panel, float factor) {
    if (!locked_) grow_panel(now(), panel, factor), ++changes_;
}

PanelId Workspace::next(PanelId from, int step, const std::function<bool(PanelId)>& shown) {
    auto panels = panels_of(now());
    std::erase_if(panels, [&](PanelId panel) { return !shown(panel); });
    if (panels.empty()) return from;
    const auto at = std::find(panels.begin(), panels.end(), from);
    const auto count = static_cast<std::ptrdiff_t>(panels.size());
    const std::ptrdiff_t index = at == panels.end() ? 0 : (at - panels.begin() + step + count) % count;
    to_front(panels[static_cast<std::size_t>(index)]);
    return panels[static_cast<std::size_t>(index)];
}

void Workspace::reset() { here() = shipped(layout_), ++changes_; }

std::string Workspace::json() const {
    Json layouts = Json::object();
    for (std::size_t i = 0; i < kLayouts; ++i) {
        const auto id = static_cast<LayoutId>(i);
        if (layouts_[i] == shipped(id)) continue;
        layouts[layout_row(id).name] = {{"wide", node_json(layouts_[i].wide)}, {"narrow", node_json(layouts_[i].narrow)}};
    }
    return Json{{"version", 1}, {"layouts", layouts}}.dump(1) + "\n";
}

Result<void> Workspace::load(const std::string& text, const std::string& file) {
    const auto refuse = [&](const std::string& why) { return Error{fmt::format("{}: {}. The shipped layouts are used; delete or mend the file.", file, why)}; };
    const Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded() || !json.is_object() || !json.contains("layouts") || !json["layouts"].is_object()) return refuse("this is no file of layouts");
    if (json.value("version", Json()) != 1) return refuse("it was written by another version");
    auto layouts = all_shipped();
    for (const auto& [name, value] : json["layouts"].items()) {
        const auto id = layout_by_name(name);
        if (!id) return refuse(fmt::format("there is no layout \"{}\"", name));
        for (const bool wide : {true, false}) {
            TreeReader reader;
            SplitNode tree;
            const char* form = wide ? "wide" : "narrow";
            if (!value.is_object() || !value.contains(form)) return refuse(fmt::format("layout \"{}\" has no form \"{}\"", name, form));
            if (!reader.read(value[form], tree, 0)) return refuse(fmt::format("layout \"{}\": {}", name, reader.wrong));
            (wide ? layouts[static_cast<std::size_t>(*id)].wide : layouts[static_cast<std::size_t>(*id)].narrow) = std::move(tree);
        }
    }
    layouts_ = std::move(layouts);
    return {};
}

std::string layouts_file() {
    const auto variable = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value ? value : "");
    };
    const std::string config = variable("XDG_CONFIG_HOME"), home = variable("HOME");
    if (!config.empty()) return config + "/trapeze/layouts.json";
    return home.empty() ? "" : home + "/.config/trapeze/layouts.json";
}

Result<void> load_layouts(Workspace& workspace, const std::string& file) {
    std::error_code failed;
    if (file.empty() || !std::filesystem::is_regular_file(file, failed)) return {};
    if (std::filesystem::file_size(file, failed) > kMostBytes) return Error{file + ": this is too large for a file of layouts. The shipped layouts are used; delete the file."};
    std::ifstream in(file, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    return workspace.load(text, file);
}

Result<void> save_layouts(const Workspace& workspace, const std::string& file) {
    const auto refused = [&] { return Error{file + ": the layouts cannot be kept there; check the folder and its permissions"}; };
    if (file.empty()) return Error{"there is no home folder to keep the layouts in; set HOME or XDG_CONFIG_HOME"};
    std::error_code failed;
    std::filesystem::create_directories(std::filesystem::path(file).parent_path(), failed);
    const std::string text = workspace.json();
    if (!replace_file(file, {reinterpret_cast<const u8*>(text.data()), text.size()})) return refused();
    return {};
}

} // namespace trapeze::ui
