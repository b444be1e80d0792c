// The user's own layouts: locked, unlocked, changed, kept in a file, and had back as they were shipped.
#include "ui/workspace.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include <unistd.h>

using namespace trapeze;
using namespace trapeze::ui;

namespace {

const Frame kWide{1280, 800, 21, 37, 15};

bool all(PanelId) { return true; }

/// A folder that goes with it.
struct Folder {
    Folder() { std::filesystem::create_directories(path); }
    ~Folder() { std::filesystem::remove_all(path); }
    std::filesystem::path path = std::filesystem::temp_directory_path() / ("trapeze-layouts-" + std::to_string(getpid()));
};

void write(const std::filesystem::path& file, const std::string& text) {
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
}

} // namespace

TEST_CASE("A locked layout keeps its panels; unlocked they move and close; reset brings them back") {
    Workspace workspace;
    workspace.divide(kWide, all);
    const SplitNode shipped = workspace.tree();
    CHECK_FALSE(workspace.close(PanelId::Code));
    workspace.move(PanelId::Code, PanelId::Csrs, Side::Tab);
    workspace.grow(PanelId::Code, 2);
    CHECK(workspace.tree() == shipped);
    CHECK_FALSE(workspace.changed());

    workspace.set_locked(false);
    workspace.move(PanelId::Code, PanelId::Csrs, Side::Below);
    const Division division = workspace.divide(kWide, all);
    CHECK(division[PanelId::Code].y == division[PanelId::Csrs].bottom());
    CHECK(workspace.close(PanelId::Ledger));
    CHECK_FALSE(contains(workspace.tree(), PanelId::Ledger));
    CHECK(workspace.changed());
    workspace.reset();
    CHECK(workspace.tree() == shipped);
}

TEST_CASE("A panel that was added to a locked layout can be closed again") {
    Workspace workspace;
    workspace.divide(kWide, all);
    workspace.show(PanelId::Containers, PanelId::Console);
    const Division division = workspace.divide(kWide, all);
    CHECK(division.leaf_of(PanelId::Containers) == division.leaf_of(PanelId::Console));
    CHECK(division[PanelId::Containers].width > 0); // in front
    CHECK(workspace.close(PanelId::Containers));
    CHECK_FALSE(workspace.changed());
}

TEST_CASE("The next panel is each of them in turn, and the one before leads back") {
    Workspace workspace;
    workspace.divide(kWide, all);
    const auto panels = panels_of(workspace.tree());
    PanelId at = panels.front();
    for (std::size_t i = 0; i < panels.size(); ++i) {
        CHECK(at == panels[i]);
        CHECK(workspace.next(workspace.next(at, 1, all), -1, all) == at);
        at = workspace.next(at, 1, all);
    }
    CHECK(at == panels.front());
    CHECK(workspace.next(PanelId::Csrs, 1, [](PanelId panel) { return panel == PanelId::Code; }) == PanelId::Code);
}

TEST_CASE("What was changed comes back from the file, and nothing else is in it") {
    const Folder folder;
    const std::string file = (folder.path / "deep" / "layouts.json").string();
    Workspace before, after;
    before.divide(kWide, all);
    before.set_locked(false);
    before.choose(LayoutId::Custom2);
    before.move(PanelId::Code, PanelId::Csrs, Side::Left);
    REQUIRE(before.divide(kWide, all).borders.size() > 1);
    before.resize(0, std::vector<float>{100, 700, 480});
    REQUIRE(save_layouts(before, file));
    REQUIRE(load_layouts(after, file));
    CHECK_FALSE(after.changed()); // the trap layout
    after.choose(LayoutId::Custom2);
    CHECK(after.tree(true) == before.tree(true));
    CHECK(after.tree(false) == before.tree(false));
    CHECK(after.locked());
    CHECK(before.json().find("\"trap\"") == std::string::npos);
}

TEST_CASE("No file is no error; a damaged one is told by name, and the layouts are the shipped ones") {
    const Folder folder;
    const std::filesystem::path file = folder.path / "layouts.json";
    Workspace workspace;
    CHECK(load_layouts(workspace, file.string()));
    CHECK(load_layouts(workspace, ""));
    std::string deep = R"({"tabs":["code"]})";
    for (int i = 0; i < 40; ++i) deep = R"({"row":[{"tabs":["console"]},)" + deep + "]}";
    const auto trap = [](const std::string& wide) { return R"({"version":1,"layouts":{"trap":{"wide":)" + wide + R"(,"narrow":{"tabs":["code"]}}}})"; };
    for (const std::string& text : {std::string(), std::string("{"), std::string("[]"), std::string("\xff\xfe"), std::string(R"({"version":2,"layouts":{}})"),
                                    std::string(R"({"version":1,"layouts":{"sideways":{}}})"), std::string(R"({"version":1,"layouts":{"trap":{"wide":{"tabs":["code"]}}}})"),
                                    trap(R"({"tabs":["kitchen"]})"), trap(R"({"tabs":["code","code"]})"), trap(R"({"tabs":7})"), trap(R"({"row":[{"tabs":["code"]}]})"),
                                    trap(R"({"tabs":["code"],"weight":-1})"), trap(R"({"tabs":["code"],"weight":"wide"})"), trap(R"({"tabs":["code"],"weight":1e300})"),
                                    trap(R"({"row":[{"tabs":["code"]},{"tabs":[]}]})"), trap("17"), trap(deep)}) {
        CAPTURE(text.substr(0, 90));
        write(file, text);
        const auto loaded = load_layouts(workspace, file.string());
        REQUIRE_FALSE(loaded);
        CHECK(loaded.error().find(file.string()) == 0);
        CHECK_FALSE(workspace.changed());
    }
    write(file, trap(R"({"tabs":["code"]})"));
    CHECK(load_layouts(workspace, file.string()));
    CHECK(panels_of(workspace.tree(true)) == std::vector{PanelId::Code});
}

TEST_CASE("Layouts that cannot be kept are told") {
    Workspace workspace;
    const auto nowhere = save_layouts(workspace, "/proc/nowhere/layouts.json");
    REQUIRE_FALSE(nowhere);
    CHECK(nowhere.error().find("/proc/nowhere/layouts.json") == 0);
    CHECK_FALSE(save_layouts(workspace, ""));
}
