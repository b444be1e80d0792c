// A display of its own for a window under test: Xvfb, a program in it, keys and mouse by xdotool, and what is on the screen.
#pragma once

#include "emulator/base/result.hpp"
#include "emulator/base/types.hpp"

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace trapeze::test {

/// A program that ends with its owner.
class ScreenProgram {
  public:
    /// `display`: its DISPLAY, such as ":7"; `output`: a descriptor that it gets as number 3, or -1.
    ScreenProgram(const std::vector<std::string>& words, const std::string& display, int output = -1);
    ~ScreenProgram();
    ScreenProgram(const ScreenProgram&) = delete;
    ScreenProgram& operator=(const ScreenProgram&) = delete;
    bool alive();
    /// Waits until it has ended. Returns its exit status: -1 when it was killed, -2 when it goes on after `seconds`.
    int wait(double seconds);
    int pid() const { return pid_; }

  private:
    int pid_ = -1;
    int status_ = 0;
    bool ended_ = false;
};

/// Looks again and again until it holds, for at most `seconds`. Returns whether it does.
bool wait_for(const std::function<bool()>& holds, double seconds);

/// A picture of the screen: 24 bits a pixel, in rows.
struct Picture {
    unsigned width = 0, height = 0;
    std::vector<u32> pixels;
    u32 at(unsigned x, unsigned y) const { return pixels[std::size_t{y} * width + x]; }
    std::size_t colours() const;
    bool operator==(const Picture&) const = default;
};

class Screen {
  public:
    /// Starts Xvfb on a display that is free. The error is a sentence.
    static Result<std::unique_ptr<Screen>> open(unsigned width, unsigned height);
    ~Screen();
    const std::string& display() const { return display_; }
    const std::filesystem::path& folder() const { return folder_; } ///< of its own, removed with it
    /// Has xdotool do something, such as {"key", "F7"}. Returns whether it did.
    bool drive(std::vector<std::string> words) const;
    /// What is on the screen now, as the X server has it.
    Picture picture() const;

  private:
    Screen() = default;
    std::filesystem::path folder_;
    std::string display_;
    std::unique_ptr<ScreenProgram> server_;
};

} // namespace trapeze::test
