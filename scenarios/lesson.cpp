#include "scenarios/lesson.hpp"

#include "scenarios/lesson_lua.hpp"

#include <fmt/format.h>
#include <md4c.h>

#include <algorithm>
#include <filesystem>

namespace trapeze::scenarios {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kNoRightAnswer = ~std::size_t{0};

/// Collects a lesson from md4c's callbacks.
class Parser {
  public:
    Parser(const std::string& text, Lesson& lesson) : text_(text), lesson_(lesson) {}

    std::string parse() {
        MD_PARSER callbacks{};
        callbacks.flags = MD_FLAG_TASKLISTS | MD_FLAG_NOHTML;
        callbacks.enter_block = [](MD_BLOCKTYPE type, void* detail, void* self) { return static_cast<Parser*>(self)->enter(type, detail); };
        callbacks.leave_block = [](MD_BLOCKTYPE type, void*, void* self) { return static_cast<Parser*>(self)->leave(type); };
        callbacks.enter_span = [](MD_SPANTYPE, void*, void*) { return 0; };
        callbacks.leave_span = [](MD_SPANTYPE, void*, void*) { return 0; };
        callbacks.text = [](MD_TEXTTYPE type, const MD_CHAR* chars, MD_SIZE size, void* self) { return static_cast<Parser*>(self)->add(type, chars, size); };
        if (md_parse(text_.data(), static_cast<MD_SIZE>(text_.size()), &callbacks, this) != 0 && error_.empty()) error_ = "this is not readable as Markdown";
        return error_;
    }

  private:
    int fail(unsigned line, const std::string& sentence) {
        error_ = fmt::format("{}:{}: {}", lesson_.file, line, sentence);
        return 1;
    }
    unsigned line_of(const MD_CHAR* at) const {
        const bool inside = at >= text_.data() && at <= text_.data() + text_.size();
        return inside ? 1 + static_cast<unsigned>(std::count(text_.data(), at, '\n')) : last_line_;
    }
    static std::string attribute(const MD_ATTRIBUTE& value) { return value.text ? std::string(value.text, value.size) : std::string(); }

    int enter(MD_BLOCKTYPE type, void* detail) {
        current_.clear();
        begin_ = 0;
        if (type == MD_BLOCK_LI) {
            const auto* item = static_cast<MD_BLOCK_LI_DETAIL*>(detail);
            in_item_ = true;
            is_task_ = item->is_task;
            is_right_ = item->is_task && item->task_mark != ' ';
        }
        if (type == MD_BLOCK_CODE) {
            const auto* code = static_cast<MD_BLOCK_CODE_DETAIL*>(detail);
            language_ = attribute(code->info);
        }
        if (type == MD_BLOCK_H) level_ = static_cast<MD_BLOCK_H_DETAIL*>(detail)->level;
        return 0;
    }

    int add(MD_TEXTTYPE type, const MD_CHAR* chars, MD_SIZE size) {
        if (!begin_ && size) begin_ = last_line_ = line_of(chars);
        if (type == MD_TEXT_SOFTBR || type == MD_TEXT_BR) current_ += ' ';
        else current_.append(chars, size);
        return 0;
    }

    int leave(MD_BLOCKTYPE type) {
        switch (type) {
        case MD_BLOCK_H:
            if (level_ == 1) lesson_.title = current_;
            else if (level_ == 2) lesson_.steps.push_back({.title = current_, .line = begin_ ? begin_ : last_line_, .paragraphs = {}, .answers = {}, .right = kNoRightAnswer, .setup = {}, .action = {}, .check = {}, .after = {}}), right_set_ = false;
            break;
        case MD_BLOCK_P:
            if (!in_item_) paragraphs().push_back(current_);
            break;
        case MD_BLOCK_LI: return leave_item();
        case MD_BLOCK_CODE: return leave_code();
        default: break;
        }
        if (type != MD_BLOCK_P || !in_item_) current_.clear();
        return 0;
    }

    std::vector<std::string>& paragraphs() { return lesson_.steps.empty() ? lesson_.introduction : lesson_.steps.back().paragraphs; }

    int leave_item() {
        in_item_ = false;
        if (!is_task_) return paragraphs().push_back("- " + current_), 0;
        if (lesson_.steps.empty()) return fail(begin_, "a question stands before the first step; put it below a ## heading");
        LessonStep& step = lesson_.steps.back();
        if (is_right_ && right_set_) return fail(begin_, "this question has two right answers; mark one with [x]");
        if (is_right_) step.right = step.answers.size(), right_set_ = true;
        step.answers.push_back(current_);
        return 0;
    }

    int leave_code() {
        if (language_.substr(0, 3) != "lua") return paragraphs().push_back(current_), 0;
        if (lesson_.steps.empty()) return fail(begin_, "a lua block stands before the first step; put it below a ## heading");
        LessonStep& step = lesson_.steps.back();
        const std::string kind = language_.size() > 4 ? language_.substr(4) : "";
        std::optional<LuaBlock>* place = kind == "setup" ? &step.setup : kind == "do" ? &step.action : kind == "check" ? &step.check : kind == "after" ? &step.after : nullptr;
        if (!place) return fail(begin_, fmt::format("\"{}\" is no kind of lua block; say lua setup, lua do, lua check or lua after", language_));
        if (*place) return fail(begin_, fmt::format("this step has two blocks \"{}\"; put them together", language_));
        *place = LuaBlock{current_, begin_};
        return 0;
    }

    const std::string& text_;
    Lesson& lesson_;
    std::string current_, language_, error_;
    unsigned begin_ = 0, last_line_ = 1, level_ = 0;
    bool in_item_ = false, is_task_ = false, is_right_ = false, right_set_ = false;
};

Result<void> check_whole(const Lesson& lesson) {
    if (lesson.title.empty()) return Error{lesson.file + ": the lesson has no title; begin it with a line \"# Title\""};
    if (lesson.steps.empty()) return Error{lesson.file + ": the lesson has no steps; begin each with a line \"## Step\""};
    for (const LessonStep& step : lesson.steps) {
        const auto refuse = [&](const char* what) { return Error{fmt::format("{}:{}: step \"{}\" {}", lesson.file, step.line, step.title, what)}; };
        if (step.title.empty()) return refuse("has no title; write one behind the ##");
        if (step.answers.size() == 1) return refuse("has a question with one answer only; give at least two");
        if (!step.answers.empty() && step.right == kNoRightAnswer) return refuse("has a question without a right answer; mark it with [x]");
        if (step.check && !step.action) return refuse("waits for something (lua check) but does not say how it is done; add a block \"lua do\"");
    }
    return {};
}

} // namespace

Result<Lesson> parse_lesson(const std::string& text, const std::string& file) {
    if (text.size() > 1 << 20) return Error{file + ": a lesson has at most 1 MiB"};
    Lesson lesson;
    lesson.file = file;
    if (const std::string error = Parser(text, lesson).parse(); !error.empty()) return Error{error};
    if (const auto whole = check_whole(lesson); !whole) return Error{whole.error()};
    return lesson;
}

std::vector<std::string> shipped_lessons() {
    std::vector<std::string> names;
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(root_folder() + "/scenarios/lessons", failed))
        if (fs::exists(entry.path() / "lesson.md", failed)) names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
}

std::string lesson_in(const std::string& name, const std::string& language) {
    std::error_code failed;
    if (language.empty() || language == "en") return name;
    if (name.ends_with(".md") && fs::is_regular_file(name, failed)) {
        const std::string other = name.substr(0, name.size() - 2) + language + ".md";
        return fs::is_regular_file(other, failed) ? other : name;
    }
    for (const std::string& shipped : shipped_lessons()) {
        const std::string path = root_folder() + "/scenarios/lessons/" + shipped + "/lesson." + language + ".md";
        if ((shipped == name || (shipped.size() > 3 && shipped.substr(3) == name)) && fs::is_regular_file(path, failed)) return path;
    }
    return name;
}

Result<Lesson> load_lesson(const std::string& name) {
    std::error_code failed;
    std::string path = name;
    if (!fs::is_regular_file(path, failed)) {
        path.clear();
        for (const std::string& shipped : shipped_lessons())
            if (shipped == name || (shipped.size() > 3 && shipped.substr(3) == name)) path = root_folder() + "/scenarios/lessons/" + shipped + "/lesson.md";
    }
    if (path.empty()) return Error{fmt::format("there is no lesson \"{}\"; give a Markdown file, or a name that `trapeze lesson --list` shows", name)};
    const auto bytes = read_file(path, 1 << 20);
    if (!bytes) return Error{bytes.error()};
    return parse_lesson(std::string(bytes.value().begin(), bytes.value().end()), path);
}

LessonRun::LessonRun(Lesson lesson) : lesson_(std::move(lesson)), lua_(std::make_unique<LessonLua>()) {}
LessonRun::LessonRun(LessonRun&&) noexcept = default;
LessonRun& LessonRun::operator=(LessonRun&&) noexcept = default;
LessonRun::~LessonRun() = default;

Result<bool> LessonRun::run(const std::optional<LuaBlock>& block, std::optional<Session>& session) {
    if (!block) return true;
    return lua_->run(*block, lesson_.file, session, said_);
}

Result<void> LessonRun::start(std::optional<Session>& session) {
    index_ = 0;
    finished_ = false;
    questions_ = right_ = 0;
    return begin_step(session);
}

Result<void> LessonRun::begin_step(std::optional<Session>& session) {
    complete_ = false;
    answer_.reset();
    said_.clear();
    if (const auto ran = run(step().setup, session); !ran) return Error{ran.error()};
    return update(session);
}

Result<void> LessonRun::act(std::optional<Session>& session) {
    if (const auto ran = run(step().action, session); !ran) return Error{ran.error()};
    return update(session);
}

Result<void> LessonRun::update(std::optional<Session>& session) {
    if (complete_ || finished_) return {};
    if (!step().answers.empty() && !answer_) return {};
    const auto happened = run(step().check, session);
    if (!happened) return Error{happened.error()};
    if (!happened.value()) return {};
    complete_ = true;
    if (!step().answers.empty()) {
        ++questions_;
        right_ += *answer_ == step().right;
    }
    if (const auto ran = run(step().after, session); !ran) return Error{ran.error()};
    return {};
}

Result<void> LessonRun::advance(std::optional<Session>& session) {
    if (!complete_ || finished_) return {};
    if (index_ + 1 == lesson_.steps.size()) {
        finished_ = true;
        return {};
    }
    ++index_;
    return begin_step(session);
}

} // namespace trapeze::scenarios
