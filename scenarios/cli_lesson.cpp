// trapeze lesson: plays a lesson in the terminal, or opens the debugger on it. Also what happens without a verb.
#include "scenarios/cli.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <cstdlib>
#include <iostream>

namespace trapeze::scenarios {

namespace {

constexpr std::size_t kWidth = 92;

/// Fills lines with words. A line that begins with a space is part of a table and stays as it is.
void print_wrapped(const std::string& text, const std::string& indent) {
    std::size_t column = 0;
    std::string word;
    const auto flush = [&] {
        if (word.empty()) return;
        if (column && column + 1 + word.size() > kWidth) fmt::print("\n"), column = 0;
        fmt::print("{}{}", column ? " " : indent, word);
        column += (column ? 1 : indent.size()) + word.size();
        word.clear();
    };
    bool begins = true, table = false;
    for (char c : text) {
        if (begins) table = c == ' ';
        begins = c == '\n';
        if (c == '\n') flush(), fmt::print("\n"), column = 0;
        else if (c == ' ' && !table) flush();
        else word += c;
    }
    flush();
    fmt::print("\n");
}

struct LessonOptions {
    std::string name = "watch-a-trap", picture;
    std::vector<unsigned> answers; ///< predictions, from 1, question by question; further ones are asked for
    bool list = false, headless = false, json = false;
    DebuggerOptions window;
};

/// The error of a run whose step does not come to its end although everything was done for it.
Error incomplete(const LessonRun& run) {
    return {fmt::format("{}:{}: after its \"lua do\" the step \"{}\" is not complete; mend its \"lua check\", which does not hold", run.lesson().file, run.step().line,
                        run.step().title)};
}

/// The predictions that the command line gives; the others are right.
class Predictions {
  public:
    explicit Predictions(std::vector<unsigned> given) : given_(std::move(given)) {}
    /// The next one, from 0; nothing when none was given for this question.
    Result<std::optional<std::size_t>> next(const LessonRun& run) {
        if (next_ == given_.size()) return std::optional<std::size_t>();
        const unsigned number = given_[next_++];
        if (number >= 1 && number <= run.step().answers.size()) return std::optional<std::size_t>(number - 1);
        return Error{fmt::format("--answers: {} is no answer to \"{}\"; give 1 to {}", number, run.step().title, run.step().answers.size())};
    }
    Result<void> at_end() const {
        if (next_ == given_.size()) return {};
        return Error{fmt::format("--answers gives {} predictions, and the lesson asks for {}; leave the others out", given_.size(), next_)};
    }

  private:
    std::vector<unsigned> given_;
    std::size_t next_ = 0;
};

/// Plays in the terminal. Without someone to ask it takes the right answers, and says so.
class Player {
  public:
    Player(LessonRun& run, std::optional<Session>& session, const std::vector<unsigned>& answers)
        : run_(run), session_(session), predictions_(answers), interactive_(isatty(STDIN_FILENO)) {}

    Result<void> play() {
        fmt::print("{}\n{}\n", run_.lesson().title, std::string(run_.lesson().title.size(), '='));
        for (const std::string& text : run_.lesson().introduction) print_wrapped(text, "");
        if (!interactive_) fmt::print("(Nobody is at the keyboard: unless --answers gives others, the right answers are taken.)\n");
        if (const auto started = run_.start(session_); !started) return started;
        while (!run_.finished()) {
            if (const auto played = play_step(); !played) return played;
            if (const auto advanced = run_.advance(session_); !advanced) return advanced;
        }
        if (const auto used = predictions_.at_end(); !used) return used;
        fmt::print("\nDone: {} of {} predictions were right.\n", run_.right(), run_.questions());
        return {};
    }

  private:
    std::string ask(const std::string& prompt) {
        fmt::print("{}", prompt);
        std::fflush(stdout);
        std::string line;
        if (!std::getline(std::cin, line)) interactive_ = false;
        return line;
    }

    void show_place() const {
        if (!session_) return;
        fmt::print("\n");
        for (const Session::CodeLine& line : session_->code(2, 2))
            fmt::print("  {} {}({}) {:>10x}  {}{}\n", line.current ? ">" : " ", priv_letter(line.believed), mode_text(line.real), line.pc, line.text,
                       line.symbol.empty() ? "" : "    <" + line.symbol + ">");
        fmt::print("  (first the privilege that the guest believes it has, then the one it has)\n");
    }

    Result<void> ask_question() {
        const LessonStep& step = run_.step();
        for (std::size_t i = 0; i < step.answers.size(); ++i) fmt::print("  {}. {}\n", i + 1, step.answers[i]);
        const auto given = predictions_.next(run_);
        if (!given) return Error{given.error()};
        while (!given.value() && interactive_) {
            const std::string line = ask(fmt::format("Your prediction (1-{}): ", step.answers.size()));
            const long number = std::strtol(line.c_str(), nullptr, 10);
            if (number >= 1 && static_cast<std::size_t>(number) <= step.answers.size()) return run_.answer(static_cast<std::size_t>(number) - 1), Result<void>();
        }
        run_.answer(given.value().value_or(step.right));
        fmt::print("Prediction: {}\n", *run_.answered() + 1);
        return {};
    }

    Result<void> play_step() {
        const LessonStep& step = run_.step();
        fmt::print("\n{}. {}\n", run_.index() + 1, step.title);
        show_place();
        fmt::print("\n");
        for (const std::string& text : step.paragraphs) print_wrapped(text, ""), fmt::print("\n");
        if (!step.answers.empty())
            if (const auto asked = ask_question(); !asked) return asked;
        if (interactive_ && step.action) ask("Press Enter, and it happens. ");
        if (const auto acted = run_.act(session_); !acted) return acted;
        if (!run_.complete()) return incomplete(run_);
        fmt::print("\n");
        for (const std::string& text : run_.said()) print_wrapped(text, "");
        if (!step.answers.empty()) {
            const bool right = *run_.answered() == step.right;
            fmt::print("{}\n", right ? "Your prediction was right." : fmt::format("Your prediction was wrong; right is {}.", step.right + 1));
        }
        return {};
    }

    LessonRun& run_;
    std::optional<Session>& session_;
    Predictions predictions_;
    bool interactive_;
};

/// Plays without a word; the result is one object for a program to read.
Result<nlohmann::ordered_json> play_silently(LessonRun& run, std::optional<Session>& session, const std::vector<unsigned>& answers) {
    Predictions predictions(answers);
    nlohmann::ordered_json steps = nlohmann::ordered_json::array();
    if (const auto started = run.start(session); !started) return Error{started.error()};
    while (!run.finished()) {
        const LessonStep& step = run.step();
        nlohmann::ordered_json json{{"title", step.title}};
        if (!step.answers.empty()) {
            const auto given = predictions.next(run);
            if (!given) return Error{given.error()};
            run.answer(given.value().value_or(step.right));
            json["answers"] = step.answers, json["right"] = step.right + 1, json["answered"] = *run.answered() + 1;
        }
        if (const auto acted = run.act(session); !acted) return Error{acted.error()};
        if (!run.complete()) return incomplete(run);
        json["said"] = run.said();
        if (session) json["mode"] = vmm::mode_row(session->config().mode).name, json["position"] = session->position();
        steps.push_back(std::move(json));
        if (const auto advanced = run.advance(session); !advanced) return Error{advanced.error()};
    }
    if (const auto used = predictions.at_end(); !used) return Error{used.error()};
    return nlohmann::ordered_json{{"lesson", run.lesson().title}, {"file", run.lesson().file}, {"steps", steps}, {"questions", run.questions()}, {"right", run.right()}};
}

Result<void> play_once(LessonRun& run, std::optional<Session>& session, const LessonOptions& options) {
    if (!options.json) return Player(run, session, options.answers).play();
    const auto json = play_silently(run, session, options.answers);
    if (!json) return Error{json.error()};
    fmt::print("{}\n", json.value().dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return {};
}

int play(const LessonOptions& lesson_options, DebuggerEntry debugger, DebuggerOptions options) {
    auto lesson = load_lesson(lesson_in(lesson_options.name, options.language));
    if (!lesson) return complain(lesson.error(), kFailed);
    std::optional<Session> session;
    LessonRun run(*lesson);
    if (const auto played = play_once(run, session, lesson_options); !played) return complain(played.error(), kFailed);
    const std::string& picture = lesson_options.picture;
    if (picture.empty()) return 0;
    // The picture shows what the window would: the lesson, after its first trap.
    LessonRun again(*lesson);
    session.reset();
    if (const auto started = again.start(session); !started) return complain(started.error(), kFailed);
    if (!again.step().answers.empty()) again.answer(again.step().right);
    if (const auto acted = again.act(session); !acted) return complain(acted.error(), kFailed);
    if (!session) return complain(fmt::format("{}:{}: the first step opens no session to draw; give it a block \"lua setup\"", lesson->file, lesson->steps[0].line), kFailed);
    options.screenshot = picture;
    const int status = debugger(std::move(*session), std::move(again), options);
    if (status == 0 && !lesson_options.json) fmt::print("The debugger's picture is in {}.\n", picture);
    return status;
}

int open_window(const std::string& name, DebuggerEntry debugger, const DebuggerOptions& options) {
    auto lesson = load_lesson(lesson_in(name, options.language));
    if (!lesson) return complain(lesson.error(), kFailed);
    std::optional<Session> session;
    LessonRun run(std::move(*lesson));
    if (const auto started = run.start(session); !started) return complain(started.error(), kFailed);
    if (!session) return complain(run.lesson().file + ": the first step opens no session; give it a \"lua setup\" block", kFailed);
    return debugger(std::move(*session), std::move(run), options);
}

} // namespace

int run_default(const std::string& picture, bool headless, DebuggerEntry debugger, DebuggerOptions options) {
    if (!options.needs_display()) return open_window("watch-a-trap", debugger, options);
    if (headless || !has_display()) return play({.name = "watch-a-trap", .picture = picture, .answers = {}, .window = {}}, debugger, options);
    return open_window("watch-a-trap", debugger, options);
}

static void list_lessons(bool json) {
    if (json) return fmt::print("{}\n", nlohmann::json(shipped_lessons()).dump(2));
    for (const std::string& name : shipped_lessons()) fmt::print("{}\n", name);
}

void add_lesson(Verbs verbs) {
    auto* verb = verbs.app.add_subcommand("lesson", "play a lesson: in the window, or with --headless (or without a display) in the terminal");
    auto options = std::make_shared<LessonOptions>();
    verb->add_option("lesson", options->name, "a Markdown file, or a name that --list shows")->capture_default_str();
    verb->add_flag("--list", options->list, "list the shipped lessons");
    verb->add_flag("--headless", options->headless, "play it in the terminal");
    verb->add_flag("--json", options->json, "play it without a word, and print what happened as one JSON object; with --list: print a list");
    verb->add_option("--answers", options->answers, "predictions to give, question by question, such as 2,1,3")->delimiter(',');
    verb->add_option("--picture", options->picture, "with --headless: write the debugger's picture to this PNG file");
    options->window.add_to(*verb);
    verb->callback([=, debugger = verbs.debugger, status = &verbs.status] {
        if (options->list) list_lessons(options->json);
        else if (options->headless || options->json || (!has_display() && options->window.needs_display())) *status = play(*options, debugger, options->window);
        else *status = open_window(options->name, debugger, options->window);
    });
}

static int open_recording(const std::string& file, DebuggerEntry debugger, DebuggerOptions options) {
    const auto bytes = read_file(file);
    if (!bytes) return complain(bytes.error(), kFailed);
    auto replay = Session::replay(bytes.value(), file, false);
    const std::string missing = missing_display(options);
    if (!replay || !missing.empty()) return complain(replay ? missing : replay.error(), kFailed);
    options.go_to = replay->position;
    return debugger(std::move(replay->session), std::nullopt, options);
}

void add_debug(Verbs verbs) {
    auto* verb = verbs.app.add_subcommand("debug", "open the debugger on a guest");
    auto guest = std::make_shared<GuestOptions>();
    auto options = std::make_shared<DebuggerOptions>();
    guest->add_to(*verb, true);
    options->add_to(*verb);
    auto recording = std::make_shared<std::string>();
    verb->add_option("--open", *recording, "open a session that was saved in one file, instead of a guest");
    verb->add_option("--save", options->save, "the file that Ctrl+S saves the session to")->default_str("session.trapeze");
    verb->callback([=, debugger = verbs.debugger, status = &verbs.status] {
        if (!recording->empty()) {
            *status = open_recording(*recording, debugger, *options);
            return;
        }
        auto config = guest->config();
        if (!config) {
            *status = complain(config.error(), kUsage);
            return;
        }
        auto session = Session::create(*config);
        const std::string missing = missing_display(*options);
        if (!session || !missing.empty()) *status = complain(session ? missing : session.error(), kFailed);
        else *status = debugger(std::move(*session), std::nullopt, *options);
    });
}

} // namespace trapeze::scenarios
