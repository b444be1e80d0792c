#include "ui/settings.hpp"

#include "emulator/replace_file.hpp"

#include "ui/text.hpp"
#include "ui/workspace.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

namespace trapeze::ui {

namespace {

using Json = nlohmann::ordered_json;
constexpr float kLeastScale = 0.5f, kMostScale = 4;
constexpr std::uintmax_t kMostBytes = 64 << 10; // of the file

} // namespace

std::string settings_file() {
    const std::string layouts = layouts_file();
    return layouts.empty() ? "" : (std::filesystem::path(layouts).parent_path() / "settings.json").string();
}

std::string settings_json(const Settings& settings) {
    return Json{{"version", 1}, {"light", settings.light}, {"high contrast", settings.contrast}, {"reduced motion", settings.reduced_motion}, {"scale", settings.scale}, {"language", settings.language}}
               .dump(1) + "\n";
}

Result<Settings> parse_settings(const std::string& text, const std::string& file) {
    const auto refuse = [&](const std::string& why) { return Error{fmt::format("{}: {}. The usual settings are used; delete or mend the file.", file, why)}; };
    const Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded() || !json.is_object()) return refuse("this is no file of settings");
    if (json.value("version", Json()) != 1) return refuse("it was written by another version");
    Settings settings;
    for (const auto& [name, flag] : {std::pair{"light", &settings.light}, {"high contrast", &settings.contrast}, {"reduced motion", &settings.reduced_motion}}) {
        if (!json.contains(name)) continue;
        if (!json[name].is_boolean()) return refuse(fmt::format("\"{}\" is neither true nor false", name));
        *flag = json[name].get<bool>();
    }
    if (json.contains("scale")) {
        if (!json["scale"].is_number()) return refuse("\"scale\" is no number");
        settings.scale = json["scale"].get<float>();
        if (!(settings.scale >= kLeastScale && settings.scale <= kMostScale)) return refuse(fmt::format("\"scale\" is {}, and can be {} to {}", json["scale"].dump(), kLeastScale, kMostScale));
    }
    if (json.contains("language")) {
        if (!json["language"].is_string()) return refuse("\"language\" is no text");
        settings.language = json["language"].get<std::string>();
        if (!settings.language.empty() && !language_by_code(settings.language)) return refuse(fmt::format("there is no language \"{}\"; there are en and ko", settings.language));
    }
    return settings;
}

Result<Settings> load_settings(const std::string& file) {
    std::error_code failed;
    if (file.empty() || !std::filesystem::is_regular_file(file, failed)) return Settings{};
    if (std::filesystem::file_size(file, failed) > kMostBytes) return Error{file + ": this is too large for a file of settings. The usual settings are used; delete the file."};
    std::ifstream in(file, std::ios::binary);
    return parse_settings({std::istreambuf_iterator<char>(in), {}}, file);
}

Result<void> save_settings(const Settings& settings, const std::string& file) {
    const auto refused = [&] { return Error{file + ": the settings cannot be kept there; check the folder and its permissions"}; };
    if (file.empty()) return Error{"there is no home folder to keep the settings in; set HOME or XDG_CONFIG_HOME"};
    std::error_code failed;
    std::filesystem::create_directories(std::filesystem::path(file).parent_path(), failed);
    const std::string text = settings_json(settings);
    if (!replace_file(file, {reinterpret_cast<const u8*>(text.data()), text.size()})) return refused();
    return {};
}

} // namespace trapeze::ui
