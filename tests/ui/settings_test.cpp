// What a user has chosen about the window, kept in a file.
#include "ui/settings.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include <unistd.h>

using namespace trapeze;
using namespace trapeze::ui;

TEST_CASE("Settings are kept in a file and come back; without one they are the usual ones") {
    const std::string folder = (std::filesystem::temp_directory_path() / ("trapeze-settings-" + std::to_string(getpid()))).string(), file = folder + "/deep/settings.json";
    CHECK(load_settings(file).value() == Settings{});
    const Settings settings{true, false, true, 1.5f, "ko"};
    REQUIRE(save_settings(settings, file));
    CHECK(load_settings(file).value() == settings);
    std::ofstream(file) << std::string(100'000, ' ');
    CHECK(load_settings(file).error().find("too large") != std::string::npos);
    std::filesystem::remove_all(folder);
}

TEST_CASE("A damaged file of settings is named, with what is wrong in it") {
    for (const auto& [text, wrong] : {std::pair{"", "no file of settings"}, {"[]", "no file of settings"}, {"{\"version\": 2}", "another version"}, {"{\"version\": 1, \"light\": 3}", "light"},
                                      {"{\"version\": 1, \"scale\": \"x\"}", "scale"}, {"{\"version\": 1, \"scale\": 99}", "99"}, {"{\"version\": 1, \"scale\": -1e300}", "scale"},
                                      {"{\"version\": 1, \"language\": 1}", "language"}, {"{\"version\": 1, \"language\": \"xx\"}", "xx"}}) {
        CAPTURE(text);
        const auto parsed = parse_settings(text, "FILE");
        REQUIRE_FALSE(parsed);
        CHECK(parsed.error().find("FILE") == 0);
        CHECK(parsed.error().find(wrong) != std::string::npos);
    }
    CHECK(parse_settings("{\"version\": 1, \"unknown\": [], \"light\": true}", "FILE").value().light);
}
