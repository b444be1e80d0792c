#include "tests/ui/screen.hpp"

#include <fmt/format.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace trapeze::test {

ScreenProgram::ScreenProgram(const std::vector<std::string>& words, const std::string& display, int output) {
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    pid_ = fork();
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (output >= 0) dup2(output, 3);
    const int null = open("/dev/null", O_RDWR);
    dup2(null, 0), dup2(null, 1);
    if (display.empty()) dup2(null, 2); // the server's complaints about keyboards
    unsetenv("WAYLAND_DISPLAY");
    setenv("DISPLAY", display.c_str(), 1);
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1); // graphics drivers leak, and are unloaded before the leaks can be told apart
    execvp(arguments[0], arguments.data());
    _exit(127);
}

ScreenProgram::~ScreenProgram() {
    if (!alive()) return;
    kill(pid_, SIGTERM);
    if (wait(2) != -2) return;
    kill(pid_, SIGKILL);
    wait(2);
}

bool ScreenProgram::alive() {
    if (pid_ > 0 && !ended_ && waitpid(pid_, &status_, WNOHANG) == pid_) ended_ = true;
    return pid_ > 0 && !ended_;
}

int ScreenProgram::wait(double seconds) {
    if (!wait_for([&] { return !alive(); }, seconds)) return -2;
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;
}

bool wait_for(const std::function<bool()>& holds, double seconds) {
    using Clock = std::chrono::steady_clock;
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    while (!holds()) {
        if (Clock::now() > end) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
}

std::size_t Picture::colours() const { return std::set<u32>(pixels.begin(), pixels.end()).size(); }

Result<std::unique_ptr<Screen>> Screen::open(unsigned width, unsigned height) {
    auto screen = std::unique_ptr<Screen>(new Screen);
    std::string folder = (std::filesystem::temp_directory_path() / "trapeze-screen-XXXXXX").string();
    if (!mkdtemp(folder.data())) return Error{folder + ": no temporary folder can be made there"};
    screen->folder_ = folder;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return Error{"there is no pipe for Xvfb's answer"};
    screen->server_ = std::make_unique<ScreenProgram>(std::vector<std::string>{"Xvfb", "-displayfd", "3", "-screen", "0", fmt::format("{}x{}x24", width, height), "-fbdir", folder,
                                                                       "-nolisten", "tcp", "-noreset"}, "", ends[1]);
    close(ends[1]);
    // It writes the display's number once it accepts connections; the end of the pipe means that it has ended.
    std::string number;
    constexpr int kMilliseconds = 15000;
    pollfd ready{ends[0], POLLIN, 0};
    for (char c = 0; number.size() < 8 && poll(&ready, 1, kMilliseconds) > 0 && read(ends[0], &c, 1) == 1 && c != '\n';) number += c;
    close(ends[0]);
    if (number.empty()) return Error{"Xvfb does not start, so the window cannot be tested; install xvfb (./trapeze test does), and see what `Xvfb -displayfd 1` says"};
    screen->display_ = ":" + number;
    return screen;
}

Screen::~Screen() {
    server_.reset();
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

bool Screen::drive(std::vector<std::string> words) const {
    words.insert(words.begin(), "xdotool");
    return ScreenProgram(words, display_).wait(10) == 0;
}

/// Xvfb keeps its framebuffer in a file in the format of xwd: big-endian header, colour map, rows.
Picture Screen::picture() const {
    std::ifstream file(folder_ / "Xvfb_screen0", std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    const auto field = [&](std::size_t index) {
        u32 value = 0;
        for (std::size_t i = 0; i < 4 && index * 4 + i < bytes.size(); ++i) value = value << 8 | static_cast<unsigned char>(bytes[index * 4 + i]);
        return value;
    };
    constexpr std::size_t kColourBytes = 12, kWidth = 4, kHeight = 5, kBitsPerPixel = 11, kBytesPerLine = 12, kColours = 19;
    Picture picture;
    const std::size_t begin = field(0) + field(kColours) * kColourBytes, line = field(kBytesPerLine);
    if (field(kBitsPerPixel) != 32 || begin + line * field(kHeight) > bytes.size()) return picture;
    picture.width = field(kWidth), picture.height = field(kHeight);
    for (std::size_t y = 0; y < picture.height; ++y)
        for (std::size_t x = 0; x < picture.width; ++x) {
            u32 pixel = 0;
            std::memcpy(&pixel, bytes.data() + begin + y * line + x * 4, 4);
            picture.pixels.push_back(pixel & 0xffffff);
        }
    return picture;
}

} // namespace trapeze::test
