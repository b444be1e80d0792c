#include "ui/theme.hpp"

#include "scenarios/lesson.hpp"
#include "ui/text.hpp"

#include <filesystem>
#include <fstream>

namespace trapeze::ui {

namespace {

ImVec4 rgb(unsigned hex, float alpha = 1.0f) {
    return {static_cast<float>(hex >> 16 & 255) / 255, static_cast<float>(hex >> 8 & 255) / 255, static_cast<float>(hex & 255) / 255, alpha};
}
// Okabe and Ito's names.
constexpr unsigned kOrange = 0xe69f00, kSky = 0x56b4e9, kGreen = 0x009e73, kYellow = 0xf0e442, kBlue = 0x0072b2, kVermillion = 0xd55e00, kPurple = 0xcc79a7;

} // namespace

ImVec4 Theme::privilege(Priv priv) const { return priv == Priv::U ? user : priv == Priv::S ? supervisor : machine; }

ImVec4 Theme::lane(scenarios::Lane lane) const {
    switch (lane) {
    case scenarios::Lane::GuestUser: return user;
    case scenarios::Lane::GuestKernel: return supervisor;
    case scenarios::Lane::Hypervisor: return hypervisor;
    default: return hardware;
    }
}

Theme dark_theme() {
    Theme theme;
    theme.text = rgb(0xe8e6e1), theme.dim = rgb(0x9a9a96), theme.changed = rgb(kYellow), theme.current_line = rgb(kSky, 0.22f);
    theme.good = rgb(0x35c49a), theme.bad = rgb(0xff8a4c), theme.accent = rgb(kSky), theme.sensitive = rgb(kOrange);
    theme.user = rgb(kSky), theme.supervisor = rgb(kOrange), theme.machine = rgb(kPurple), theme.hypervisor = rgb(kVermillion), theme.hardware = rgb(0x35c49a);
    return theme;
}

Theme light_theme() {
    Theme theme;
    theme.text = rgb(0x1e1e1e), theme.dim = rgb(0x63635f), theme.changed = rgb(0xa83c00), theme.current_line = rgb(kSky, 0.35f);
    theme.good = rgb(0x00704f), theme.bad = rgb(0xb04a00), theme.accent = rgb(kBlue), theme.sensitive = rgb(0x9a5b00);
    theme.user = rgb(kBlue), theme.supervisor = rgb(0x9a5b00), theme.machine = rgb(0x9c3f74), theme.hypervisor = rgb(0xb84a00), theme.hardware = rgb(kGreen);
    return theme;
}

Theme theme_for(bool light, bool contrast) {
    Theme theme = light ? light_theme() : dark_theme();
    if (!contrast) return theme;
    theme.text = light ? rgb(0x000000) : rgb(0xffffff), theme.dim = light ? rgb(0x333333) : rgb(0xd8d8d8);
    theme.current_line = light ? rgb(kYellow, 0.55f) : rgb(kBlue, 0.75f);
    if (light) {
        theme.accent = rgb(0x004a80), theme.good = rgb(0x004d36), theme.bad = rgb(0x7a2d00), theme.changed = rgb(0x7a2d00), theme.sensitive = rgb(0x6b3e00);
        theme.user = rgb(0x004a80), theme.supervisor = rgb(0x6b3e00), theme.machine = rgb(0x6f1d4b), theme.hypervisor = rgb(0x7a2d00), theme.hardware = rgb(0x004d36);
    } else {
        theme.accent = rgb(0x8fd3ff), theme.good = rgb(0x5ff0c4), theme.bad = rgb(0xffa873), theme.changed = rgb(0xfff36b), theme.sensitive = rgb(0xffc04d);
        theme.user = rgb(0x8fd3ff), theme.supervisor = rgb(0xffc04d), theme.machine = rgb(0xf3a6cd), theme.hypervisor = rgb(0xff9a5c), theme.hardware = rgb(0x5ff0c4);
    }
    return theme;
}

namespace {

/// Black or white, with lines around everything.
void raise_contrast(ImGuiStyle& style, bool light) {
    const ImVec4 back = light ? rgb(0xffffff) : rgb(0x000000), front = light ? rgb(0x000000) : rgb(0xffffff);
    for (ImGuiCol slot : {ImGuiCol_WindowBg, ImGuiCol_MenuBarBg, ImGuiCol_PopupBg, ImGuiCol_FrameBg, ImGuiCol_TableHeaderBg, ImGuiCol_ScrollbarBg, ImGuiCol_TableRowBgAlt}) style.Colors[slot] = back;
    for (ImGuiCol slot : {ImGuiCol_Text, ImGuiCol_Border, ImGuiCol_Separator, ImGuiCol_TableBorderLight, ImGuiCol_TableBorderStrong, ImGuiCol_ScrollbarGrab}) style.Colors[slot] = front;
    style.Colors[ImGuiCol_TextDisabled] = light ? rgb(0x333333) : rgb(0xd8d8d8);
    for (ImGuiCol slot : {ImGuiCol_Button, ImGuiCol_Header, ImGuiCol_TitleBg}) style.Colors[slot] = light ? rgb(0xdcdcdc) : rgb(0x202020);
    for (ImGuiCol slot : {ImGuiCol_ButtonHovered, ImGuiCol_HeaderHovered, ImGuiCol_TitleBgActive, ImGuiCol_ButtonActive, ImGuiCol_HeaderActive}) style.Colors[slot] = light ? rgb(0x9ccdf0) : rgb(kBlue);
    style.FrameBorderSize = style.WindowBorderSize = 1;
}

} // namespace

void apply_theme(bool light, float scale, bool contrast) {
    ImGuiStyle style;
    if (light) ImGui::StyleColorsLight(&style);
    else ImGui::StyleColorsDark(&style);
    const auto set = [&](ImGuiCol slot, const ImVec4& colour) { style.Colors[slot] = colour; };
    set(ImGuiCol_WindowBg, light ? rgb(0xfbfaf7) : rgb(0x17191c));
    set(ImGuiCol_MenuBarBg, light ? rgb(0xecebe6) : rgb(0x22252a));
    set(ImGuiCol_PopupBg, light ? rgb(0xffffff) : rgb(0x22252a));
    set(ImGuiCol_TitleBg, light ? rgb(0xe3e2dc) : rgb(0x22252a));
    set(ImGuiCol_TitleBgActive, light ? rgb(0xd5dfe8) : rgb(0x2b3644));
    set(ImGuiCol_Border, light ? rgb(0xcfcdc6) : rgb(0x34383f));
    set(ImGuiCol_Text, light ? light_theme().text : dark_theme().text);
    set(ImGuiCol_Button, light ? rgb(0xd9e6f0) : rgb(0x2c4a63));
    set(ImGuiCol_ButtonHovered, light ? rgb(0xbcd8ee) : rgb(0x3a6588));
    set(ImGuiCol_Header, light ? rgb(0xd3e4f2) : rgb(0x2b4258));
    set(ImGuiCol_HeaderHovered, light ? rgb(0xbcd8ee) : rgb(0x355470));
    set(ImGuiCol_FrameBg, light ? rgb(0xe4e8ec) : rgb(0x262d36));
    set(ImGuiCol_SliderGrab, light ? rgb(kBlue) : rgb(kSky));
    set(ImGuiCol_SliderGrabActive, light ? rgb(kBlue) : rgb(kSky));
    set(ImGuiCol_TableHeaderBg, light ? rgb(0xe9e8e2) : rgb(0x24282d));
    style.WindowRounding = 0, style.FrameRounding = 3, style.WindowBorderSize = 1;
    style.WindowPadding = {10, 8}, style.ItemSpacing = {8, 4}, style.CellPadding = {6, 2};
    style.WindowMenuButtonPosition = ImGuiDir_None;
    if (contrast) raise_contrast(style, light);
    style.ScaleAllSizes(scale);
    ImGui::GetStyle() = style;
}

namespace {

std::string first_file(std::initializer_list<const char*> files) {
    std::error_code failed;
    for (const char* file : files)
        if (std::filesystem::exists(file, failed)) return file;
    return {};
}

/// The letters that the Korean catalogue and lessons use: all 11,172 syllables would make the start slow.
const ImWchar* korean_letters() {
    static ImVector<ImWchar> letters; // Dear ImGui reads it when it draws the fonts, later than here
    if (!letters.empty()) return letters.Data;
    ImFontGlyphRangesBuilder builder;
    for (const auto& [english, text] : catalogue(Language::Korean)) builder.AddText(text);
    for (const std::string& lesson : scenarios::shipped_lessons()) {
        std::ifstream file(scenarios::lesson_in(lesson, language_code(Language::Korean)));
        const std::string text{std::istreambuf_iterator<char>(file), {}};
        builder.AddText(text.data(), text.data() + text.size());
    }
    builder.BuildRanges(&letters);
    return letters.Data;
}

} // namespace

std::string korean_font() {
    return first_file({"/usr/share/fonts/truetype/nanum/NanumGothic.ttf", "/usr/share/fonts/truetype/nanum/NanumBarunGothic.ttf", "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"});
}

/// Adds the letters of another language to the font that was loaded last.
static void add_letters(float pixels, const std::string& file) {
    if (language() != Language::Korean || file.empty()) return;
    ImFontConfig config;
    config.MergeMode = true;
    config.PixelSnapH = true;
    config.OversampleH = 1;
    ImGui::GetIO().Fonts->AddFontFromFileTTF(file.c_str(), pixels, &config, korean_letters());
}

Fonts load_fonts(float pixels) {
    using Files = std::initializer_list<const char*>;
    ImGuiIO& io = ImGui::GetIO();
    io.Fonts->Clear();
    // Latin, punctuation, arrows, blocks and shapes, check marks.
    static const ImWchar kRanges[] = {0x20, 0xff, 0x2010, 0x2027, 0x2190, 0x21ff, 0x2260, 0x2260, 0x2500, 0x25ff, 0x2713, 0x2717, 0};
    ImFontConfig config; // whole pixels: the same letter looks the same wherever it stands
    config.PixelSnapH = true;
    config.OversampleH = 1;
    const auto load = [&](Files files) -> ImFont* {
        std::error_code failed;
        for (const char* file : files)
            if (std::filesystem::exists(file, failed))
                if (ImFont* font = io.Fonts->AddFontFromFileTTF(file, pixels, &config, kRanges)) return font;
        return nullptr;
    };
    if (!load({"/usr/share/fonts/truetype/jetbrains-mono/JetBrainsMono-Regular.ttf", "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf",
               "/usr/share/fonts/TTF/DejaVuSansMono.ttf"}))
        io.Fonts->AddFontDefault();
    add_letters(pixels, korean_font());
    Fonts fonts;
    fonts.prose = load({"/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "/usr/share/fonts/TTF/DejaVuSans.ttf"});
    if (fonts.prose) add_letters(pixels, korean_font());
    fonts.bold = load({"/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf", "/usr/share/fonts/TTF/DejaVuSans-Bold.ttf"});
    const std::string bold = first_file({"/usr/share/fonts/truetype/nanum/NanumGothicBold.ttf", "/usr/share/fonts/opentype/noto/NotoSansCJK-Bold.ttc"});
    if (fonts.bold) add_letters(pixels, bold.empty() ? korean_font() : bold);
    return fonts;
}

void prose(const Theme& theme, const ImVec4& colour, const std::string& text) {
    const WithFont font(theme.fonts.prose);
    ImGui::PushTextWrapPos(0);
    ImGui::PushStyleColor(ImGuiCol_Text, colour);
    ImGui::TextUnformatted(text.c_str());
    ImGui::PopStyleColor();
    ImGui::PopTextWrapPos();
}

void tooltip(const Theme& theme, const std::string& text) {
    if (!ImGui::IsItemHovered()) return;
    const WithFont font(theme.fonts.prose);
    ImGui::BeginTooltip();
    ImGui::PushTextWrapPos(ImGui::GetFontSize() * 30);
    ImGui::TextUnformatted(text.c_str());
    ImGui::PopTextWrapPos();
    ImGui::EndTooltip();
}

} // namespace trapeze::ui
