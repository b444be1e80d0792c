// What the shipped layouts look like: drawn by the program with software OpenGL, made smaller, and compared with pictures that people have looked at.
// The tolerance leaves room for another version of the renderer and of the fonts' hinting; a panel that is gone, moved or without its colours is far
// beyond it. tests/golden/ui/README.md says how the pictures are made.
#include "scenarios/files.hpp"
#include "tests/ui/screen.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>

#include <cstdlib>
#include <memory>

using namespace trapeze;
using namespace trapeze::test;

namespace {

constexpr unsigned kShrink = 8;            // 1280 x 800 to 160 x 100
constexpr double kMostMean = 2.5;          // of 255, over all pixels
constexpr unsigned kFar = 40;              // of 255: a pixel that is so different counts as another one
constexpr double kMostFar = 0.02;          // of all pixels
constexpr const char* kLayouts[] = {"trap", "memory", "io", "containers", "compare", "lecture"};

struct Small {
    int width = 0, height = 0;
    std::vector<u8> bytes; ///< three a pixel
};

Small load(const std::string& file) {
    Small picture;
    int channels = 0;
    const std::unique_ptr<u8, decltype(&std::free)> bytes(stbi_load(file.c_str(), &picture.width, &picture.height, &channels, 3), std::free);
    if (bytes) picture.bytes.assign(bytes.get(), bytes.get() + static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.height) * 3);
    return picture;
}

/// Each pixel is the mean of a square.
Small smaller(const Small& whole) {
    Small small{whole.width / int{kShrink}, whole.height / int{kShrink}, {}};
    for (int y = 0; y < small.height; ++y)
        for (int x = 0; x < small.width; ++x)
            for (int channel = 0; channel < 3; ++channel) {
                unsigned sum = 0;
                for (unsigned i = 0; i < kShrink * kShrink; ++i)
                    sum += whole.bytes[((static_cast<std::size_t>(y) * kShrink + i / kShrink) * static_cast<std::size_t>(whole.width) + static_cast<std::size_t>(x) * kShrink + i % kShrink) * 3 + static_cast<std::size_t>(channel)];
                small.bytes.push_back(static_cast<u8>(sum / (kShrink * kShrink)));
            }
    return small;
}

struct Difference {
    double mean = 0, far = 0;
};
Difference difference(const Small& a, const Small& b) {
    Difference found;
    for (std::size_t i = 0; i < a.bytes.size(); ++i) {
        const auto by = static_cast<unsigned>(std::abs(int{a.bytes[i]} - int{b.bytes[i]}));
        found.mean += by, found.far += by > kFar;
    }
    found.mean /= static_cast<double>(a.bytes.size()), found.far /= static_cast<double>(a.bytes.size());
    return found;
}

/// Each layout on a picture of its own, "trapeze-1.png" and so on, in the folder.
void take_pictures(const Screen& screen) {
    std::string keys;
    for (int i = 0; i < 24; ++i) keys += "F7,";
    for (std::size_t i = 0; i < std::size(kLayouts); ++i) keys += fmt::format("Ctrl+{},Esc,Esc,Esc,Ctrl+Shift+G,", i + 1);
    const std::string program = std::string(std::getenv("TRAPEZE_BIN")) + "/trapeze";
    ScreenProgram run({"sh", "-c", fmt::format("cd '{}' && exec '{}' lesson watch-a-trap --keys '{}' --screenshot last.png", screen.folder().string(), program, keys)}, screen.display());
    REQUIRE(run.wait(60) == 0);
}

} // namespace

TEST_CASE("The shipped layouts look as they did when people looked at them") {
    auto screen = Screen::open(1280, 800);
    REQUIRE_MESSAGE(screen, (screen ? "" : screen.error()));
    setenv("XDG_CONFIG_HOME", (*screen)->folder().c_str(), 1);
    take_pictures(**screen);
    const std::filesystem::path made = std::filesystem::path(scenarios::build_folder()) / "golden-ui", golden = std::filesystem::path(scenarios::root_folder()) / "tests/golden/ui";
    std::filesystem::create_directories(made);
    for (std::size_t i = 0; i < std::size(kLayouts); ++i) {
        CAPTURE(kLayouts[i]);
        const Small now = smaller(load(((*screen)->folder() / fmt::format("trapeze-{}.png", i + 1)).string()));
        REQUIRE(now.width == 160);
        const std::string file = (made / (std::string(kLayouts[i]) + ".png")).string();
        stbi_write_png(file.c_str(), now.width, now.height, 3, now.bytes.data(), now.width * 3);
        const Small looked_at = load((golden / (std::string(kLayouts[i]) + ".png")).string());
        CHECK_MESSAGE(looked_at.bytes.size() == now.bytes.size(), "there is no picture to compare with; look at " << file << ", and copy it to tests/golden/ui");
        if (looked_at.bytes.size() != now.bytes.size()) continue;
        const Difference found = difference(now, looked_at);
        CAPTURE(file);
        CHECK(found.mean < kMostMean);
        CHECK(found.far < kMostFar);
    }
}
