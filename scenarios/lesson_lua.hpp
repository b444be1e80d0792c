// The interpreter behind lessons: Lua 5.4 without files, processes, loading of code, patterns, metatables and coroutines; with limits on
// instructions, memory and work asked of the machine. What a lesson can call is in docs/lessons.md.
#pragma once

#include "scenarios/lesson.hpp"

namespace trapeze::scenarios {

class LessonLua {
  public:
    static constexpr int kInstructions = 10'000'000;        ///< Lua instructions a block
    static constexpr int kHookStep = 16;                    ///< Lua instructions between two looks at the limits
    static constexpr std::size_t kMemoryBytes = 32u << 20;  ///< of the whole interpreter
    static constexpr std::size_t kObjectBytes = 2u << 20;   ///< of one text or table, so that no single operation takes long
    static constexpr u64 kBlockBytes = u64{1} << 30;        ///< that a block may ask for, freed or not
    static constexpr int kSeconds = 3;                      ///< of processor time a block, without the machine's; the others are met long before
    static constexpr std::size_t kErrorBytes = 1000;        ///< of an error's text
    static constexpr unsigned kCalls = 2000;                ///< calls to the machine a block
    static constexpr u64 kUnits = 300'000'000;              ///< of machine progress a block

    LessonLua();
    ~LessonLua();
    LessonLua(const LessonLua&) = delete;
    LessonLua& operator=(const LessonLua&) = delete;

    /// Runs a block. The result is what it returned, as a truth value. The error names file and line.
    Result<bool> run(const LuaBlock& block, const std::string& file, std::optional<Session>& session, std::vector<std::string>& said);

    struct State; ///< what the offered functions work on (lesson_lua_state.hpp)

  private:
    std::unique_ptr<State> state_;
};

} // namespace trapeze::scenarios
