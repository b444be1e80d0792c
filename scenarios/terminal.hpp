// The terminal as a guest's console: raw while a guest has it, and itself again on every way out, signals included.
#pragma once

#include <string>
#include <utility>

namespace trapeze::scenarios {

/// The terminal without line editing while it exists, so that each key reaches the guest. At most one exists at a time.
class RawTerminal {
  public:
    RawTerminal();
    ~RawTerminal();
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;
    /// False when standard input is no terminal: then nothing is changed, but signals are still noticed.
    bool active() const;
    /// With line editing and echo, as before, or raw again.
    void pause();
    void resume();
    /// The signal that asked the program to end (SIGINT, SIGTERM, SIGHUP, SIGQUIT), or 0.
    static int signal();
};

/// Keys of the terminal. After Ctrl+A: x leaves, c asks for the debugger's prompt, a second Ctrl+A is typed itself.
class Keyboard {
  public:
    bool at_end() const { return at_end_; }
    bool leave() const { return leave_; }
    /// True once for each Ctrl+A c.
    bool take_prompt() { return std::exchange(prompt_, false); }
    /// What was typed up to the next command key; waits up to `milliseconds` for it (-1: until something comes, or a signal).
    std::string read(int milliseconds);
    /// A line for the prompt, without its end; false when there are no more.
    bool read_line(std::string& line);

  private:
    void fill(int milliseconds);

    std::string pending_; ///< read, but not given away
    bool at_end_ = false, leave_ = false, prompt_ = false, escaped_ = false;
};

} // namespace trapeze::scenarios
