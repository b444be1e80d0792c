// A console for scripts: what is typed is run line by line on the open session, in slices, so that a window that shows it goes on being drawn.
// What a line can call is what scripts can (docs/scripts.md); variables stay from line to line, also after an error.
#pragma once

#include "scenarios/lesson_lua.hpp"
#include "scenarios/lua_panels.hpp"

#include <ctime>
#include <deque>

namespace trapeze::scenarios {

class LuaConsole {
  public:
    static constexpr std::size_t kMostEntries = 500, kMostBytes = 1 << 20; ///< of the transcript; the oldest go
    static constexpr std::size_t kMostInput = 64 << 10;                    ///< of one input
    static constexpr LuaLimits kLimits{200'000'000, 200'000, 2'000'000'000, 30, 2000};

    /// One input and what came of it.
    struct Entry {
        std::string input;               ///< lines of Lua; of a file its name
        std::vector<std::string> output; ///< what it said, then its values
        std::string error;               ///< empty: none
        bool file = false;
    };

    explicit LuaConsole(const LuaLimits& limits = kLimits);
    ~LuaConsole();
    LuaConsole(const LuaConsole&) = delete;
    LuaConsole& operator=(const LuaConsole&) = delete;

    /// Begins a line: an expression, whose values are shown, or statements. Refused, with a sentence in the transcript, while one goes on.
    void enter(const std::string& code);
    /// Begins a file's text.
    void enter_file(const std::string& name, const std::string& code);
    /// The text is the beginning of a statement, or of more: it needs another line.
    bool incomplete(const std::string& code) const;
    /// Something was begun and has not ended.
    bool busy() const { return thread_; }
    /// Goes on for about so long. Pre: none.
    void go_on(std::optional<Session>& session, double milliseconds);
    /// Ends what goes on; its variables stay as they are.
    void stop(const std::string& why);
    const std::deque<Entry>& entries() const { return entries_; }
    void clear() { entries_.clear(), bytes_ = 0, ++changes_; }
    /// Counts the changes of the transcript; and the sessions that lines have opened.
    u64 changes() const { return changes_; }
    unsigned opened() const;

    /// The panels that lines have defined, with what their draw functions said when draw_panels was called last.
    const std::vector<LuaPanel>& panels() const;
    /// Has all say anew what they show; while a line goes on they stay as they are.
    void draw_panels(std::optional<Session>& session);

    struct Completion {
        std::size_t begin;              ///< where the word starts that is completed; it ends with the text
        std::vector<std::string> words; ///< in order; at most 100
    };
    /// What the word at the end of the text can become: names of Lua and of its tables, and in quotes registers, CSRs and symbols.
    Completion complete(const std::string& text, const Session& session) const;

  private:
    void begin(const std::string& code, const std::string& name);
    void end(int status, int results);
    void tell(std::string line);
    void fail(std::string sentence);
    void thin();

    LessonLua lua_;
    LuaLimits limits_;
    std::deque<Entry> entries_;
    std::vector<std::string> said_;
    std::size_t bytes_ = 0; ///< of the transcript
    std::string name_;      ///< of what goes on, for errors
    std::clock_t paused_at_ = 0;
    u64 changes_ = 0;
    bool thread_ = false;   ///< there is one, in the interpreter's registry
};

} // namespace trapeze::scenarios
