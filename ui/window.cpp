#include "ui/window.hpp"

#include "ui/debugger.hpp"
#include "ui/focused.hpp"
#include "ui/journal.hpp"
#include "ui/panels.hpp"
#include "ui/settings.hpp"
#include "ui/svg.hpp"
#include "ui/text.hpp"

#include <SDL.h>
#include <GL/gl.h>
#include <backends/imgui_impl_opengl3.h>
#if __has_include(<backends/imgui_impl_sdl2.h>)
#include <backends/imgui_impl_sdl2.h>
#else
#include <backends/imgui_impl_sdl.h>
#endif
#include <fmt/format.h>
#include <stb/stb_image_write.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

namespace trapeze::ui {

namespace {

constexpr float kFontPixels = 15;
constexpr double kRunMilliseconds = 10;
constexpr int kWaitMilliseconds = 500; // for events; nothing is drawn until one comes
constexpr int kSettle = 3;             // frames drawn after an event: Dear ImGui needs some to settle

/// SDL, the window and its context, for as long as it lives.
class Window {
  public:
    static Result<std::unique_ptr<Window>> open(unsigned width, unsigned height, bool hidden) {
        const auto has_display = [](const char* name) { return std::getenv(name) && *std::getenv(name); };
        if (!has_display("DISPLAY") && !has_display("WAYLAND_DISPLAY")) SDL_SetHint(SDL_HINT_VIDEODRIVER, "offscreen");
        SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
        if (SDL_Init(SDL_INIT_VIDEO) != 0) return failure("SDL cannot open a display");
        const std::string driver = SDL_GetCurrentVideoDriver();
        if (!hidden && (driver == "offscreen" || driver == "dummy")) { // what SDL takes when the display that is named does not answer
            SDL_Quit();
            return Error{"no display answers, so nobody could see the window; set DISPLAY to one that does, or use --headless (a verb's own: --screenshot FILE)"};
        }
        SDL_GL_SetAttribute(SDL_GL_CONTEXT_PROFILE_MASK, SDL_GL_CONTEXT_PROFILE_CORE);
        SDL_GL_SetAttribute(SDL_GL_CONTEXT_MAJOR_VERSION, 3);
        SDL_GL_SetAttribute(SDL_GL_CONTEXT_MINOR_VERSION, 2);
        auto window = std::unique_ptr<Window>(new Window);
        const Uint32 flags = Uint32{SDL_WINDOW_OPENGL} | SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI | (hidden ? Uint32{SDL_WINDOW_HIDDEN} : 0u);
        window->window_ = SDL_CreateWindow("Trapeze", SDL_WINDOWPOS_CENTERED, SDL_WINDOWPOS_CENTERED, static_cast<int>(width), static_cast<int>(height), flags);
        if (!window->window_) return failure("SDL cannot open a window");
        window->context_ = SDL_GL_CreateContext(window->window_);
        if (!window->context_) return failure("OpenGL 3.2 is not to be had");
        SDL_GL_SetSwapInterval(hidden ? 0 : 1);
        SDL_SetWindowMinimumSize(window->window_, 800, 600);
        IMGUI_CHECKVERSION();
        ImGui::CreateContext();
        ImGui::GetIO().IniFilename = nullptr;
        ImGui_ImplSDL2_InitForOpenGL(window->window_, window->context_);
        ImGui_ImplOpenGL3_Init("#version 150");
        window->ready_ = true;
        return window;
    }
    ~Window() {
        if (ready_) {
            ImGui_ImplOpenGL3_Shutdown();
            ImGui_ImplSDL2_Shutdown();
            ImGui::DestroyContext();
        }
        if (context_) SDL_GL_DeleteContext(context_);
        if (window_) SDL_DestroyWindow(window_);
        SDL_Quit();
    }
    Window(const Window&) = delete;
    Window& operator=(const Window&) = delete;
    SDL_Window* handle() const { return window_; }

  private:
    Window() = default;
    static Error failure(const std::string& what) {
        return {fmt::format("{} ({}); install libgl1-mesa-dri, or use --headless", what, SDL_GetError())};
    }
    SDL_Window* window_ = nullptr;
    SDL_GLContext context_ = nullptr;
    bool ready_ = false;
};

/// A file in the current folder that is not there yet: "memory-1.csv".
std::string free_name(const std::string& name, const std::string& ending) {
    for (unsigned i = 1;; ++i) {
        std::string file = fmt::format("{}-{}.{}", name, i, ending);
        std::error_code failed;
        if (!std::filesystem::exists(file, failed)) return file;
    }
}

Result<std::string> write_text(const std::string& text, const std::string& name, const std::string& ending) {
    const std::string file = free_name(name, ending);
    if (std::ofstream out(file, std::ios::binary); !(out << text) || !out.flush()) return Error{trf("{}: that cannot be written there; check the current folder and its permissions", file)};
    return trf("It is in {}.", file);
}

/// By its code; empty: the environment's.
void choose_language(const std::string& code) { set_language(language_by_code(code).value_or(language_of_environment())); }

/// A lesson that nobody has begun is told in the window's language, where it stands in that.
void tell_in_language(scenarios::Session& session, std::optional<scenarios::LessonRun>& lesson) {
    if (!lesson || lesson->index() || lesson->answered() || lesson->complete()) return;
    const std::string file = scenarios::lesson_in(lesson->lesson().file, language_code(language()));
    auto loaded = file == lesson->lesson().file ? Result<scenarios::Lesson>(Error{""}) : scenarios::load_lesson(file);
    std::optional<scenarios::Session> begun;
    if (!loaded) return;
    scenarios::LessonRun run(std::move(*loaded));
    if (!run.start(begun) || !begun) return; // it stays English
    session = std::move(*begun), lesson = std::move(run);
}

/// For want of letters.
void speak_english(Debugger& debugger) {
    debugger.say(tr("There is no Korean font, so the window stays English; install fonts-nanum."));
    set_language(Language::English);
}

class App {
  public:
    App(Window& window, Debugger& debugger) : window_(window), debugger_(debugger) {}

    void frame() {
        const double before = processor_ms();
        prepare_style();
        // While keys go to the guest they do not move the focus.
        ImGuiConfigFlags& flags = ImGui::GetIO().ConfigFlags;
        flags = debugger_.typing() ? flags & ~ImGuiConfigFlags_NavEnableKeyboard : flags | ImGuiConfigFlags_NavEnableKeyboard;
        ImGui_ImplOpenGL3_NewFrame();
#if IMGUI_VERSION_NUM >= 18500
        ImGui_ImplSDL2_NewFrame();
#else
        ImGui_ImplSDL2_NewFrame(window_.handle());
#endif
        ImGui::NewFrame();
        Commands commands;
        state_.moving = false;
        Theme theme = theme_for(debugger_.light(), debugger_.contrast());
        theme.fonts = fonts_;
        draw_window(debugger_, theme, state_, commands);
        ImGui::Render();
        const ImVec2 size = ImGui::GetIO().DisplaySize, pixel = ImGui::GetIO().DisplayFramebufferScale;
        glViewport(0, 0, static_cast<int>(size.x * pixel.x), static_cast<int>(size.y * pixel.y));
        const ImVec4 background = ImGui::GetStyle().Colors[ImGuiCol_WindowBg];
        glClearColor(background.x, background.y, background.z, 1);
        glClear(GL_COLOR_BUFFER_BIT);
        ImGui_ImplOpenGL3_RenderDrawData(ImGui::GetDrawData());
        for (Command& command : commands) act(std::move(command));
        measure(before);
    }

    /// Does one thing: the window's own, or the debugger's.
    void act(Command command) {
        if (concerns_panel(command.action)) command.number = static_cast<u64>(state_.focus);
        const auto said = [&](Result<std::string> result) { debugger_.say(result ? *result : result.error()); };
        switch (command.action) {
        case Action::CopyPanel:
            ImGui::SetClipboardText(panel_row(state_.focus).sheet(debugger_, state_).text().c_str());
            debugger_.say(trf("{}: the text is on the clipboard.", panel_title(state_.focus, debugger_)));
            break;
        case Action::Explain: command.text = focused_things(debugger_, state_), debugger_.apply(command); break;
        case Action::SaveTable: said(write_text(panel_row(state_.focus).sheet(debugger_, state_).csv(), panel_names(state_.focus).name, "csv")); break;
        case Action::SaveDrawing: said(save_drawing()); break;
        case Action::SavePicture: said(save_picture()); break;
        case Action::ShowMenu:
            state_.thing = focused_thing(debugger_, state_), state_.thing_panel = state_.focus;
            state_.menu_wanted = state_.thing.has_value();
            break;
        case Action::TakeOffer: take_offer(command.number); break;
        case Action::NextLanguage:
            debugger_.apply(command);
            if (language() == Language::Korean && korean_font().empty()) speak_english(debugger_);
            break;
        default: debugger_.apply(command);
        }
    }

    /// What the palette offers for the thing that has the focus.
    void take_offer(u64 number) {
        const auto thing = focused_thing(debugger_, state_);
        if (!thing || number >= static_cast<u64>(Offer::Count)) return;
        Commands commands;
        ui::take_offer(static_cast<Offer>(number), *thing, debugger_, state_, commands);
        for (Command& command : commands) act(std::move(command));
    }

    /// Returns whether there were any. A key that goes down and up again is seen down for a frame: Dear ImGui before 1.87 looks at keys
    /// once in a frame, and would miss it.
    bool handle_events(bool wait) {
        SDL_Event event;
        bool any = kept_up_.has_value();
        if (any) handle(*kept_up_);
        kept_up_.reset();
        if (!any && wait) SDL_WaitEventTimeout(nullptr, kWaitMilliseconds);
        std::vector<SDL_Keycode> down;
        for (; SDL_PollEvent(&event); any = true) {
            if (event.type == SDL_KEYUP && std::find(down.begin(), down.end(), event.key.keysym.sym) != down.end()) {
                kept_up_ = event;
                return true;
            }
            if (event.type == SDL_KEYDOWN) down.push_back(event.key.keysym.sym);
            handle(event);
        }
        return any;
    }

    bool moving() const { return state_.moving; }

    Result<void> write_picture(const std::string& file) const {
        const ImVec2 size = ImGui::GetIO().DisplaySize, pixel = ImGui::GetIO().DisplayFramebufferScale;
        const int width = static_cast<int>(size.x * pixel.x), height = static_cast<int>(size.y * pixel.y);
        std::vector<u8> pixels(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
        glPixelStorei(GL_PACK_ALIGNMENT, 1);
        glReadPixels(0, 0, width, height, GL_RGB, GL_UNSIGNED_BYTE, pixels.data());
        stbi_flip_vertically_on_write(1);
        stbi_write_force_png_filter = 0; // flat colours: unfiltered lines compress best
        stbi_write_png_compression_level = 20;
        if (!stbi_write_png(file.c_str(), width, height, 3, pixels.data(), width * 3))
            return Error{trf("{}: the picture cannot be written there; check the folder and its permissions", file)};
        return {};
    }

  private:
    static double processor_ms() { return static_cast<double>(std::clock()) * 1000 / CLOCKS_PER_SEC; }

    void measure(double before) {
        HostFigures& host = state_.host;
        host.add(processor_ms() - before);
        if (host.start_ms == 0) host.start_ms = processor_ms();
        if (host.next % 60 != 1) return;
        u64 pages = 0, resident = 0; // of proc(5)'s statm; elsewhere it stays unknown
        if (std::ifstream file("/proc/self/statm"); file >> pages >> resident) host.resident_bytes = resident << kPageShift;
    }

    void prepare_style() {
        if (scale_ == debugger_.scale() && light_ == debugger_.light() && contrast_ == debugger_.contrast() && language_ == language()) return;
        const bool new_size = scale_ != debugger_.scale() || language_ != language();
        language_ = language();
        scale_ = debugger_.scale(), light_ = debugger_.light(), contrast_ = debugger_.contrast();
        apply_theme(light_, scale_, contrast_);
        if (!new_size) return;
        fonts_ = load_fonts(std::round(kFontPixels * scale_));
#if IMGUI_VERSION_NUM < 19200
        ImGui_ImplOpenGL3_DestroyFontsTexture();
        ImGui_ImplOpenGL3_CreateFontsTexture();
#endif
    }

    void handle(const SDL_Event& event) {
        ImGui_ImplSDL2_ProcessEvent(&event);
        if (event.type == SDL_QUIT) debugger_.apply({Action::Quit});
        if (event.type != SDL_KEYDOWN) return;
        const SDL_Keymod held = static_cast<SDL_Keymod>(event.key.keysym.mod);
        const Chord chord{event.key.keysym.sym, (held & KMOD_CTRL) != 0, (held & KMOD_SHIFT) != 0};
        if (const auto action = action_for(chord)) act({*action});
    }

    Result<std::string> save_picture() const {
        const std::string file = free_name("trapeze", "png");
        if (const auto written = write_picture(file); !written) return Error{written.error()};
        return trf("The picture is in {}.", file);
    }

    /// The panel with the focus, as it was drawn last.
    Result<std::string> save_drawing() const {
        const ImDrawData* const drawing = ImGui::GetDrawData();
        if (!drawing) return Error{tr("Nothing is drawn yet.")};
        const std::string owner = fmt::format("{}###{}", panel_title(state_.focus, debugger_), panel_names(state_.focus).name);
        const std::string svg = svg_of(*drawing, owner, window_layout(debugger_, ImGui::GetFrameHeight())[state_.focus]);
        return write_text(svg, panel_names(state_.focus).name, "svg");
    }

    Window& window_;
    Debugger& debugger_;
    PanelState state_;
    std::optional<SDL_Event> kept_up_; ///< of a key; handled after the next frame
    Fonts fonts_;
    float scale_ = 0;
    bool light_ = false, contrast_ = false;
    Language language_ = Language::English; ///< whose letters the fonts have
};

/// What a key of --keys does now; the answer of a lesson and Enter depend on where it is.
Result<Command> command_of_key(const std::string& name, const Debugger& debugger) {
    const auto chord = parse_chord(name);
    if (const auto action = chord ? action_for(*chord) : std::nullopt) return Command{*action};
    if (name == "Enter") return Command{debugger.lesson() && debugger.lesson()->complete() ? Action::LessonNext : Action::LessonAct};
    if (name.size() == 1 && name[0] >= '1' && name[0] <= '9') return Command{Action::Answer, static_cast<u64>(name[0] - '1')};
    if (name == "Esc") return Command{Action::HideOverlay};
    return Error{fmt::format("--keys: \"{}\" is no key of the debugger; Shift+F1 in the window lists them", name)};
}

/// Does what the keys say, one after the other.
template <class Act> Result<void> press_keys(const std::string& keys, const Debugger& debugger, Act act) {
    for (std::size_t at = 0; at < keys.size();) {
        const std::size_t comma = std::min(keys.find(',', at), keys.size());
        const std::string name = keys.substr(at, comma - at);
        at = comma + 1;
        if (name.empty()) continue;
        auto command = command_of_key(name, debugger);
        if (!command) return Error{command.error()};
        act(std::move(*command));
    }
    return {};
}

/// The file that always holds the session's state as text, for scripts and tests: replaced as a whole, so that it is never read half.
class StateFile {
  public:
    explicit StateFile(std::string file) : file_(std::move(file)) {}

    Result<void> keep(const Debugger& debugger) {
        if (file_.empty()) return {};
        std::string now = debugger.state_json();
        if (now == written_) return {};
        const std::string fresh = file_ + ".new";
        std::error_code failed;
        if (std::ofstream out(fresh); !(out << now) || !out.flush()) return refused();
        std::filesystem::rename(fresh, file_, failed);
        if (failed) return refused();
        written_ = std::move(now);
        return {};
    }

  private:
    Error refused() const { return {file_ + ": the state cannot be written there; check the folder and its permissions"}; }
    std::string file_, written_;
};

/// Until the guest stops by itself, so that pictures and texts are the same on every host; or for so long that it never will.
void run_on(Debugger& debugger) {
    debugger.hurry();
    const u64 end = debugger.session().position() + Session::kSearchBudget;
    while ((debugger.running() && debugger.session().position() < end) || debugger.searching() || debugger.lua_busy() || debugger.busy_travelling()) debugger.tick(kRunMilliseconds);
    if (debugger.running()) debugger.apply({Action::Pause});
    debugger.tick(0); // what scripts show is as the session is now
}

Result<void> draw_picture(App& app, Debugger& debugger, const scenarios::DebuggerOptions& options) {
    app.handle_events(false);
    app.frame();
    const auto pressed = press_keys(options.keys, debugger, [&](Command command) { app.act(std::move(command)), run_on(debugger), app.frame(); });
    if (!pressed) return pressed;
    for (unsigned i = 0; i < options.frames; ++i) app.frame();
    return app.write_picture(options.screenshot);
}

/// Keeps the user's layouts in their file, and says once when that does not work.
class LayoutKeeper {
  public:
    explicit LayoutKeeper(Debugger& debugger) : debugger_(debugger), file_(layouts_file()) {
        if (const auto loaded = load_layouts(debugger.workspace(), file_); !loaded) debugger.say(loaded.error());
        seen_ = debugger.workspace().changes();
    }
    void keep() {
        if (seen_ == debugger_.workspace().changes() || ImGui::IsAnyMouseDown()) return;
        seen_ = debugger_.workspace().changes();
        if (const auto saved = save_layouts(debugger_.workspace(), file_); !saved && !std::exchange(failed_, true)) debugger_.say(saved.error());
    }

  private:
    Debugger& debugger_;
    std::string file_;
    u64 seen_ = 0;
    bool failed_ = false;
};

Settings settings_of(const Debugger& debugger, const std::string& language_chosen) {
    return {debugger.light(), debugger.contrast(), debugger.reduced_motion(), debugger.own_scale(), language_chosen};
}

/// Keeps what the user has chosen in its file, and says once when that does not work. A language that was not chosen stays the environment's.
class SettingsKeeper {
  public:
    SettingsKeeper(Debugger& debugger, const Settings& loaded) : debugger_(debugger), file_(settings_file()), seen_(settings_of(debugger, loaded.language)), language_(language()) {}
    void keep() {
        std::string chosen = seen_.language;
        if (language_ != language()) language_ = language(), chosen = language_code(language_);
        const Settings now = settings_of(debugger_, chosen);
        if (now == seen_) return;
        seen_ = now;
        if (const auto saved = save_settings(now, file_); !saved && !std::exchange(failed_, true)) debugger_.say(saved.error());
    }

  private:
    Debugger& debugger_;
    std::string file_;
    Settings seen_;
    Language language_;
    bool failed_ = false;
};

/// Draws when something has happened, and sleeps until then.
Result<void> show(App& app, Debugger& debugger, SDL_Window* window, StateFile& state, const Settings& settings) {
    int due = kSettle;
    LayoutKeeper layouts(debugger);
    SettingsKeeper keeper(debugger, settings);
    Journal journal(state_folder());
    if (const std::string left = journal.left_behind(); !left.empty()) debugger.offer(left);
    while (!debugger.quit()) {
        const bool busy = debugger.moving() || due > 0;
        if (app.handle_events(!busy) || debugger.moving() || app.moving()) due = kSettle;
        debugger.tick(kRunMilliseconds);
        journal.keep(debugger);
        if (due == 0 && debugger.overlay() != Overlay::Palette) continue; // the palette's cursor blinks
        app.frame();
        SDL_GL_SwapWindow(window);
        layouts.keep();
        keeper.keep();
        if (auto kept = state.keep(debugger); !kept) return kept;
        due = std::max(0, due - 1);
    }
    return {};
}

/// The text twin: what a panel says, after the keys, without a window.
int print_panel(Debugger& debugger, const scenarios::DebuggerOptions& options) {
    const auto panel = panel_by_name(options.text);
    if (!panel) return scenarios::complain(fmt::format("--text {}: there is no such panel; the panels are {}", options.text, all_panel_names()), scenarios::kUsage);
    const auto pressed = press_keys(options.keys, debugger, [&](const Command& command) {
        debugger.apply(command);
        run_on(debugger);
    });
    if (!pressed) return scenarios::complain(pressed.error(), scenarios::kUsage);
    fmt::print("{}", panel_row(*panel).sheet(debugger, PanelState()).text());
    return 0;
}

/// Begins the script that is asked for, and without a window waits until it has ended.
Result<void> begin_script(Debugger& debugger, const scenarios::DebuggerOptions& options) {
    if (options.script.empty()) return {};
    if (auto begun = debugger.run_script(options.script); !begun) return begun;
    if (!options.needs_display()) run_on(debugger);
    return {};
}

/// What --open and --save name.
Result<void> open_session_file(Debugger& debugger, const scenarios::DebuggerOptions& options) {
    debugger.set_session_file(options.save);
    if (!options.go_to) return {};
    debugger.apply({Action::GoTo, *options.go_to});
    while (debugger.busy() && (!options.text.empty() || !options.screenshot.empty())) debugger.tick(kRunMilliseconds);
    return {};
}

int complain(const std::string& sentence) { return scenarios::complain(sentence, scenarios::kFailed); }

} // namespace

int run_debugger(scenarios::Session session, std::optional<scenarios::LessonRun> lesson, const scenarios::DebuggerOptions& options) {
    if (const auto keys = check_keys(key_rows()); !keys) return complain(keys.error());
    if (!options.text.empty()) {
        choose_language(options.language);
        tell_in_language(session, lesson);
        Debugger debugger(std::move(session), std::move(lesson));
        if (const auto begun = begin_script(debugger, options); !begun) return complain(begun.error());
        if (auto opened = open_session_file(debugger, options); !opened) return complain(opened.error());
        return print_panel(debugger, options);
    }
    const bool picture = !options.screenshot.empty();
    auto window = Window::open(options.width, options.height, picture);
    if (!window) return complain(window.error());
    // Pictures are the same for everybody; only the window is as its user has it.
    const auto loaded = picture ? Result<Settings>(Settings{}) : load_settings(settings_file());
    const Settings settings = loaded ? loaded.value() : Settings{};
    choose_language(options.language.empty() ? settings.language : options.language);
    const bool wanting = language() == Language::Korean && korean_font().empty();
    if (wanting) set_language(Language::English);
    tell_in_language(session, lesson);
    Debugger debugger(std::move(session), std::move(lesson));
    debugger.set_light(options.light || settings.light);
    debugger.set_contrast(options.high_contrast || settings.contrast);
    debugger.set_reduced_motion(options.reduced_motion || settings.reduced_motion);
    debugger.set_first_scale(options.scale);
    if (options.scale == 1) debugger.set_own_scale(settings.scale);
    if (!loaded) debugger.say(loaded.error());
    if (wanting) speak_english(debugger);
    if (const auto begun = begin_script(debugger, options); !begun) return complain(begun.error());
    if (auto opened = open_session_file(debugger, options); !opened) return complain(opened.error());
    App app(*window.value(), debugger);
    StateFile state(options.state_file);
    const auto shown = picture ? draw_picture(app, debugger, options) : show(app, debugger, window.value()->handle(), state, settings);
    if (!shown) return complain(shown.error());
    if (const auto kept = state.keep(debugger); !kept) return complain(kept.error());
    return 0;
}

} // namespace trapeze::ui
