// Colours and fonts. The palette is Okabe and Ito's (2008), which the common colour-vision deficiencies leave distinct; a letter or a mark
// always says the same as the colour.
#pragma once

#include "emulator/cpu/trap.hpp"
#include "scenarios/session.hpp"

#include <imgui.h>

#include <string>

namespace trapeze::ui {

/// Null where the font is not to be had: the default is used.
struct Fonts {
    ImFont* prose = nullptr; ///< for sentences; code and numbers are in the default, which is monospaced
    ImFont* bold = nullptr;  ///< for titles
};

struct Theme {
    Fonts fonts;
    ImVec4 text, dim, changed, current_line, good, bad, accent, sensitive;
    ImVec4 user, supervisor, machine, hypervisor, hardware;
    ImVec4 privilege(Priv priv) const;
    ImVec4 lane(scenarios::Lane lane) const;
};
Theme dark_theme();
Theme light_theme();
/// The colours to draw with. High contrast: black or white behind the text, and nothing paler than it must be to be told apart.
Theme theme_for(bool light, bool contrast);
/// Sets Dear ImGui's own colours and sizes to match.
void apply_theme(bool light, float scale, bool contrast = false);
/// Loads vector fonts of `pixels` height from the system: a monospaced one as default, or the built-in one where there is none.
Fonts load_fonts(float pixels);

/// The file of a font with Hangul; empty: none is installed.
std::string korean_font();

/// A font for as long as it lives.
class WithFont {
  public:
    explicit WithFont(ImFont* font) : pushed_(font != nullptr) {
        if (pushed_) ImGui::PushFont(font);
    }
    ~WithFont() {
        if (pushed_) ImGui::PopFont();
    }
    WithFont(const WithFont&) = delete;
    WithFont& operator=(const WithFont&) = delete;

  private:
    bool pushed_;
};
/// A sentence, wrapped at the panel's edge, in the font for prose.
void prose(const Theme& theme, const ImVec4& colour, const std::string& text);
/// A tooltip, wrapped, in the font for prose; for the item that was drawn last.
void tooltip(const Theme& theme, const std::string& text);

} // namespace trapeze::ui
