// The panels of containers: processes, mounts, overlay, cgroups, network; drawn without a window, and as text.
#include "container-sim/engine/run_config.hpp"
#include "scenarios/shipped_images.hpp"
#include "ui/panels.hpp"

#include <doctest/doctest.h>

#include <cstdio>

using namespace trapeze;
using namespace trapeze::ui;

namespace {

/// Two containers of an image that wait; the second has changed its files.
Debugger image_containers() {
    auto image = scenarios::shipped_image("tiny:latest");
    REQUIRE_MESSAGE(image, (image ? "" : image.error()));
    scenarios::SessionConfig config;
    for (const char* name : {"db", "web"}) {
        container::RunConfig run;
        run.image = "tiny", run.image_id = image->id(), run.defaults = image->config, run.layers = container::layers_of(*image, {}).value();
        run.name = run.hostname = name, run.command = {"sh", "-c", "echo more >> /etc/passwd; rm /etc/group; cat"}, run.interactive = true, run.pids_limit = 4;
        container::ContainerSpec spec;
        spec.hostname = name;
        config.containers.push_back(spec), config.runs.push_back(std::make_shared<const container::RunConfig>(std::move(run)));
    }
    auto session = Session::create(config);
    REQUIRE_MESSAGE(session, (session ? "" : session.error()));
    session->run(2'000'000);
    return Debugger(std::move(*session), std::nullopt);
}

/// Draws the window; how many vertices it took.
int drawn(const Debugger& debugger, PanelState& state) {
    ImGui::CreateContext();
    ImGui::GetIO().IniFilename = nullptr, ImGui::GetIO().DisplaySize = {1280, 800};
    apply_theme(false, 1);
    Theme theme = dark_theme();
    theme.fonts = load_fonts(15);
    unsigned char* pixels = nullptr;
    int columns = 0, rows = 0, vertices = 0;
    ImGui::GetIO().Fonts->GetTexDataAsRGBA32(&pixels, &columns, &rows);
    for (int i = 0; i < 3; ++i) {
        ImGui::GetIO().DeltaTime = 1.0f / 60;
        ImGui::NewFrame();
        Commands commands;
        draw_window(debugger, theme, state, commands);
        ImGui::Render();
        CHECK(commands.empty());
        vertices = ImGui::GetDrawData()->TotalVtxCount;
    }
    ImGui::DestroyContext();
    return vertices;
}

} // namespace

TEST_CASE("The panels of containers draw, and say as text what they show") {
    Debugger debugger = image_containers();
    PanelState state;
    std::snprintf(state.packet_text, sizeof state.packet_text, "172.17.0.2:80");
    const auto said = [&](PanelId id) { return panel_row(id).sheet(debugger, state).text(); };
    for (const PanelId id : {PanelId::Containers, PanelId::Mounts, PanelId::Overlay, PanelId::Cgroups, PanelId::Network}) {
        debugger.apply({Action::ShowPanel, static_cast<u64>(id)});
        CHECK(drawn(debugger, state) > 300);
    }
    CHECK(said(PanelId::Containers).find("outside") != std::string::npos);
    CHECK(said(PanelId::Mounts).find("overlay") != std::string::npos);
    CHECK(said(PanelId::Overlay).find("copied up") != std::string::npos);
    CHECK(said(PanelId::Overlay).find("whiteout") != std::string::npos);
    CHECK(said(PanelId::Cgroups).find("of 4 tasks") != std::string::npos);
    CHECK(said(PanelId::Network).find("docker0") != std::string::npos);
    CHECK(said(PanelId::Network).find("nobody listens there") != std::string::npos);
}
