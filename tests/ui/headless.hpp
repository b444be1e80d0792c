// The debugger's panels drawn without a window, and the sessions that their tests share.
#pragma once

#include "ui/panels.hpp"

#include <doctest/doctest.h>

namespace trapeze::test {

/// Dear ImGui without a backend.
class Headless {
  public:
    Headless(float width, float height, float scale, bool light) {
        ImGui::CreateContext();
        ImGui::GetIO().IniFilename = nullptr;
        ImGui::GetIO().DisplaySize = {width, height};
        ui::apply_theme(light, scale);
        theme_ = light ? ui::light_theme() : ui::dark_theme();
        theme_.fonts = ui::load_fonts(15 * scale);
        unsigned char* pixels = nullptr;
        int columns = 0, rows = 0;
        ImGui::GetIO().Fonts->GetTexDataAsRGBA32(&pixels, &columns, &rows);
    }
    ~Headless() { ImGui::DestroyContext(); }
    Headless(const Headless&) = delete;
    Headless& operator=(const Headless&) = delete;

    ui::Commands frame(const ui::Debugger& debugger) {
        ImGui::GetIO().DeltaTime = 1.0f / 60;
        ImGui::NewFrame();
        ui::Commands commands;
        ui::draw_window(debugger, theme_, state_, commands);
        ImGui::Render();
        return commands;
    }
    int vertices() const { return ImGui::GetDrawData()->TotalVtxCount; }
    /// Presses and lets go of the left button.
    ui::Commands click(const ui::Debugger& debugger, ImVec2 at) {
        ImGuiIO& io = ImGui::GetIO();
        ui::Commands all;
        for (const bool down : {false, true, false}) {
            io.MousePos = at, io.MouseDown[0] = down;
            for (const ui::Command& command : frame(debugger)) all.push_back(command);
        }
        return all;
    }

    /// Presses at `from`, moves in steps, and lets go at `to`; what is asked for on the way is done.
    ui::Commands drag(ui::Debugger& debugger, ImVec2 from, ImVec2 to) {
        ImGuiIO& io = ImGui::GetIO();
        io.MousePos = from, io.MouseDown[0] = false;
        frame(debugger);
        io.MouseDown[0] = true;
        frame(debugger);
        constexpr int kSteps = 4;
        for (int i = 1; i <= kSteps; ++i) {
            const float part = static_cast<float>(i) / kSteps;
            io.MousePos = {from.x + (to.x - from.x) * part, from.y + (to.y - from.y) * part};
            for (const ui::Command& command : frame(debugger)) debugger.apply(command);
        }
        io.MouseDown[0] = false;
        return frame(debugger);
    }

    ui::PanelState& state() { return state_; }

  private:
    ui::Theme theme_;
    ui::PanelState state_;
};

inline ui::Session guest(vmm::Mode mode) {
    scenarios::SessionConfig config;
    config.guest = "tiny-os", config.mode = mode;
    auto session = ui::Session::create(config);
    REQUIRE_MESSAGE(session, (session ? "" : session.error()));
    return std::move(*session);
}

inline ui::Debugger containers() {
    scenarios::SessionConfig config;
    container::ContainerSpec spec;
    spec.rootfs = scenarios::build_folder() + "/guests/linux", spec.arguments = {"/whoami"};
    for (const char* name : {"web", "db", "cache"}) spec.hostname = name, config.containers.push_back(spec);
    config.record = class_bit(EventClass::Syscall) | class_bit(EventClass::Namespace) | class_bit(EventClass::Process);
    auto session = ui::Session::create(config);
    REQUIRE_MESSAGE(session, (session ? "" : session.error()));
    return ui::Debugger(std::move(*session), std::nullopt);
}

inline ui::Debugger lesson() {
    auto loaded = scenarios::load_lesson("watch-a-trap");
    REQUIRE(loaded);
    std::optional<ui::Session> session;
    ui::LessonRun run(std::move(*loaded));
    REQUIRE(run.start(session));
    return ui::Debugger(std::move(*session), std::move(run));
}

} // namespace trapeze::test
