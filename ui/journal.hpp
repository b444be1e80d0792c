// Crash recovery: every few seconds the debugger notes in a file of its own, in the user's state folder, how its session can be played again.
// The file goes when the debugger ends; one that is left behind by a process that is no more is offered at the next start.
#pragma once

#include "ui/debugger.hpp"

#include <chrono>

namespace trapeze::ui {

/// $XDG_STATE_HOME/trapeze, or ~/.local/state/trapeze; empty: there is no such place.
std::string state_folder();

class Journal {
  public:
    /// Of this process, in a folder that is made when it is not there. An empty one: nothing is kept.
    explicit Journal(std::string folder);
    ~Journal();
    Journal(const Journal&) = delete;
    Journal& operator=(const Journal&) = delete;

    /// Writes when the session has moved and some seconds have passed; at once when `now`. What cannot be written is not: a full disk must
    /// not stop anybody's work.
    void keep(const Debugger& debugger, bool now = false);
    /// The newest file that a process left behind which is no more; empty: none.
    std::string left_behind() const;

  private:
    std::string folder_, file_;
    std::chrono::steady_clock::time_point next_;
    std::pair<u64, u64> kept_{~u64{0}, 0}; ///< position and input of what the file says
};

} // namespace trapeze::ui
