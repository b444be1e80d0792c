// The interpreter behind lessons: Lua 5.4 without files, processes, loading of code, patterns, metatables and coroutines; with limits on
// instructions, memory and work asked of the machine. What a lesson can call is in docs/lessons.md.
#pragma once

#include "scenarios/lesson.hpp"

namespace trapeze::scenarios {

/// What one block, or one script, may take.
struct LuaLimits {
    int instructions;  ///< of Lua
    unsigned calls;    ///< to the machine
    u64 units;         ///< of machine progress
    int seconds;       ///< of processor time, without the machine's; the others are met long before
    std::size_t lines; ///< that it may say
};
inline constexpr LuaLimits kLessonLimits{10'000'000, 2000, 300'000'000, 3, 100};
inline constexpr LuaLimits kScriptLimits{200'000'000, 200'000, 2'000'000'000, 30, 10'000};

class LessonLua {
  public:
    /// Lesson: what docs/lessons.md lists. Script: also what docs/scripts.md lists, which changes the guest.
    enum class Offer : u8 { Lesson, Script };
    static constexpr int kHookStep = 16;                    ///< Lua instructions between two looks at the limits
    static constexpr std::size_t kMemoryBytes = 32u << 20;  ///< of the whole interpreter
    static constexpr std::size_t kObjectBytes = 2u << 20;   ///< of one text or table, so that no single operation takes long
    static constexpr u64 kBlockBytes = u64{1} << 30;        ///< that a block may ask for, freed or not
    static constexpr std::size_t kErrorBytes = 1000;        ///< of an error's text

    explicit LessonLua(Offer offer = Offer::Lesson);
    ~LessonLua();
    LessonLua(const LessonLua&) = delete;
    LessonLua& operator=(const LessonLua&) = delete;

    /// Runs a block. The result is what it returned, as a truth value; a script that returns nothing is true. The error names file and line.
    Result<bool> run(const LuaBlock& block, const std::string& file, std::optional<Session>& session, std::vector<std::string>& said);

    struct State; ///< what the offered functions work on (lesson_lua_state.hpp)

  private:
    friend class LuaConsole;
    std::unique_ptr<State> state_;
};

} // namespace trapeze::scenarios
