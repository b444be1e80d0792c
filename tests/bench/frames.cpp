#include "tests/bench/frames.hpp"

#include "scenarios/files.hpp"
#include "ui/panels.hpp"

#include <fmt/format.h>

#include <ctime>
#include <filesystem>

#include <unistd.h>

namespace trapeze::bench {

namespace {

double processor_ms() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

/// The events of a short run, again and again.
Trace long_trace(const Trace& run, u64 events) {
    Trace trace(events);
    trace.record(kAllClasses);
    for (u64 i = 0; i < events; ++i) {
        Event event = run.at(run.first() + i % (run.total() - run.first()));
        event.time = i, event.detail = 0;
        trace.add(event);
    }
    return trace;
}

/// Dear ImGui without a window.
class Screen {
  public:
    Screen() {
        ImGui::CreateContext();
        ImGui::GetIO().IniFilename = nullptr;
        ImGui::GetIO().DisplaySize = {1920, 1080};
        ui::apply_theme(false, 1);
        theme_ = ui::dark_theme();
        theme_.fonts = ui::load_fonts(15);
        unsigned char* pixels = nullptr;
        int width = 0, height = 0;
        ImGui::GetIO().Fonts->GetTexDataAsRGBA32(&pixels, &width, &height);
    }
    ~Screen() { ImGui::DestroyContext(); }
    Screen(const Screen&) = delete;
    Screen& operator=(const Screen&) = delete;

    double frame(const ui::Debugger& debugger) {
        const double before = processor_ms();
        ImGui::GetIO().DeltaTime = 1.0f / 60;
        ImGui::NewFrame();
        ui::Commands commands;
        ui::draw_window(debugger, theme_, state_, commands);
        ImGui::Render();
        return processor_ms() - before;
    }
    ui::PanelState& state() { return state_; }

  private:
    ui::Theme theme_;
    ui::PanelState state_;
};

} // namespace

Result<Spread> panel_frame(u64 events, bool log) {
    constexpr int kFrames = 200;
    auto session = ui::Session::create({.guest = "tiny-os", .mode = vmm::Mode::TrapAndEmulate, .checkpoint_every = 0});
    if (!session) return Error{session.error()};
    session->run(2'000'000);
    session->machine().trace = long_trace(session->trace(), events);
    ui::Debugger debugger(std::move(*session), std::nullopt);
    if (log) debugger.apply({ui::Action::ShowPanel, static_cast<u64>(ui::PanelId::Events)});
    Screen screen;
    if (log) screen.state().events.classes = class_bit(EventClass::Exit);
    std::vector<double> frames;
    for (int i = 0; i < kFrames; ++i) frames.push_back(screen.frame(debugger));
    frames.erase(frames.begin()); // the first makes what stays
    return spread_of(frames);
}

Result<Spread> drawn_frame() {
    constexpr unsigned kFew = 4, kMany = 204;
    const std::string picture = (std::filesystem::temp_directory_path() / fmt::format("trapeze-frames-{}.png", getpid())).string();
    std::vector<double> milliseconds;
    for (int i = 0; i < kPairs; ++i) {
        double seconds[2] = {};
        for (const bool many : {false, true}) {
            auto sample = run_command({scenarios::build_folder() + "/bin/trapeze", "debug", "tiny-os", "--mode", "trap-and-emulate", "--keys", "F5", "--size-x", "1920", "--size-y", "1080", "--frames",
                                       std::to_string(many ? kMany : kFew), "--screenshot", picture}, "");
            if (!sample) return Error{sample.error()};
            seconds[many] = sample->cpu_seconds;
        }
        milliseconds.push_back((seconds[1] - seconds[0]) * 1e3 / (kMany - kFew));
    }
    std::error_code ignored;
    std::filesystem::remove(picture, ignored);
    return spread_of(milliseconds);
}

} // namespace trapeze::bench
