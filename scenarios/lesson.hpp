// Lessons. A lesson is one Markdown file that reads well by itself (docs/lessons.md says how to write one):
//
//   # Title                 the lesson's name
//   ## A step               one for each step; its text is shown
//   - [ ] an answer         a task list is a question; the right answer is marked [x]
//   ```lua setup            runs when the step begins
//   ```lua do               what the learner is asked to do; "do it for me"
//   ```lua check            true once what the step waits for has happened in the machine
//   ```lua after            runs when it has; says what was measured
//
// A step is complete when its question is answered and its check holds: never by a click on "next".
#pragma once

#include "emulator/base/result.hpp"
#include "scenarios/session.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trapeze::scenarios {

struct LuaBlock {
    std::string code;
    unsigned line = 0; ///< of the lesson's file, where the code begins
};

struct LessonStep {
    std::string title;
    unsigned line = 0;                   ///< of the lesson's file
    std::vector<std::string> paragraphs; ///< plain text
    std::vector<std::string> answers;    ///< empty: no question
    std::size_t right = 0;               ///< index of the right answer
    std::optional<LuaBlock> setup, action, check, after;
};

struct Lesson {
    std::string file, title;
    std::vector<std::string> introduction;
    std::vector<LessonStep> steps;
};

/// Parses a lesson; the error names the file, the line and the mend.
Result<Lesson> parse_lesson(const std::string& text, const std::string& file);
/// Reads a lesson: a file, or the name of a shipped one (with or without its number).
Result<Lesson> load_lesson(const std::string& name);
/// Where the lesson stands in a language ("ko"), as load_lesson takes it: lesson.ko.md beside lesson.md; where it does not, its name.
std::string lesson_in(const std::string& name, const std::string& language);
/// Names of the shipped lessons, in order.
std::vector<std::string> shipped_lessons();

class LessonLua; // the sandboxed interpreter (lesson_lua.cpp)

/// One learner's way through a lesson.
class LessonRun {
  public:
    explicit LessonRun(Lesson lesson);
    LessonRun(LessonRun&&) noexcept;
    LessonRun& operator=(LessonRun&&) noexcept;
    ~LessonRun();

    const Lesson& lesson() const { return lesson_; }
    /// Begins the first step. `session` is where lessons open their sessions.
    Result<void> start(std::optional<Session>& session);
    std::size_t index() const { return index_; }
    const LessonStep& step() const { return lesson_.steps[index_]; }
    bool finished() const { return finished_; }
    /// The step is complete: its question answered, what it waits for has happened. The answer is marked from now on.
    bool complete() const { return complete_; }
    std::optional<std::size_t> answered() const { return answer_; }
    /// Pre: the step has a question that is not answered yet, and number < its answers.
    void answer(std::size_t number) { answer_ = number; }
    /// Does what the step asks for, in the learner's place.
    Result<void> act(std::optional<Session>& session);
    /// Looks whether what the step waits for has happened; to be called after the session has changed.
    Result<void> update(std::optional<Session>& session);
    /// Goes on to the next step. Pre: complete().
    Result<void> advance(std::optional<Session>& session);
    /// What the step's blocks have said so far.
    const std::vector<std::string>& said() const { return said_; }
    unsigned questions() const { return questions_; }
    unsigned right() const { return right_; }

  private:
    Result<void> begin_step(std::optional<Session>& session);
    Result<bool> run(const std::optional<LuaBlock>& block, std::optional<Session>& session);

    Lesson lesson_;
    std::unique_ptr<LessonLua> lua_;
    std::size_t index_ = 0;
    bool complete_ = false, finished_ = false;
    std::optional<std::size_t> answer_;
    std::vector<std::string> said_;
    unsigned questions_ = 0, right_ = 0;
};

} // namespace trapeze::scenarios
