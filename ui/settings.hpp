// What a user has chosen about the window, besides its layouts: colours, size, language. Kept beside layouts.json.
#pragma once

#include "emulator/base/result.hpp"

#include <string>

namespace trapeze::ui {

struct Settings {
    bool light = false, contrast = false, reduced_motion = false;
    float scale = 1;
    std::string language; ///< its code; empty: the environment's
    bool operator==(const Settings&) const = default;
};

/// $XDG_CONFIG_HOME/trapeze/settings.json, or below ~/.config; empty without a home.
std::string settings_file();
std::string settings_json(const Settings& settings);
/// Reads what settings_json wrote. With an error, which names `file` and what is wrong in it, the settings are to be the shipped ones.
Result<Settings> parse_settings(const std::string& text, const std::string& file);
/// Those of the file; the shipped ones when there is none.
Result<Settings> load_settings(const std::string& file);
/// Writes them: whole, or not at all.
Result<void> save_settings(const Settings& settings, const std::string& file);

} // namespace trapeze::ui
