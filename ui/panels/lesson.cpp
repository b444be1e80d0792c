// The lesson: the step's text, its question, and what has happened.
#include "ui/panels.hpp"
#include "ui/text.hpp"

#include <fmt/format.h>

namespace trapeze::ui {

namespace {

struct AnswerLook {
    ImVec4 colour;
    std::string badge; ///< says the same as the colour
    const char* remark;
};

AnswerLook look_of(const LessonRun& lesson, const Theme& theme, std::size_t i) {
    const bool chosen = lesson.answered() == i, right = i == lesson.step().right;
    if (!lesson.answered()) return {theme.accent, std::to_string(i + 1), ""};
    if (!lesson.complete()) return {chosen ? theme.accent : theme.dim, chosen ? "\u25b6" : std::to_string(i + 1), chosen ? tr("  (your prediction)") : ""};
    if (right) return {theme.good, "\u2713", chosen ? tr("  (right: your prediction)") : tr("  (right)")};
    return {chosen ? theme.bad : theme.dim, chosen ? "\u2717" : std::to_string(i + 1), chosen ? tr("  (your prediction: wrong)") : ""};
}

/// One answer: a button as wide as the panel, with its number, and wrapped text. Returns whether it was pressed.
bool draw_answer(const Theme& theme, const AnswerLook& look, const std::string& answer, bool open) {
    const WithFont font(theme.fonts.prose);
    const std::string text = answer + look.remark;
    const float em = ImGui::GetFontSize(), badge = em * 1.7f, pad = em * 0.3f, width = ImGui::GetContentRegionAvail().x;
    const ImVec2 size = ImGui::CalcTextSize(text.c_str(), nullptr, false, std::max(em, width - badge - pad * 3));
    const ImVec2 low = ImGui::GetCursorScreenPos(), high{low.x + width, low.y + size.y + pad * 2};
    const bool pressed = open && ImGui::InvisibleButton("answer", {width, size.y + pad * 2});
    if (!open) ImGui::Dummy({width, size.y + pad * 2});
    ImDrawList* list = ImGui::GetWindowDrawList();
    const bool hovered = open && (ImGui::IsItemHovered() || ImGui::IsItemFocused());
    if (hovered) ImGui::SetMouseCursor(ImGuiMouseCursor_Hand);
    const ImU32 colour = ImGui::GetColorU32(look.colour);
    list->AddRectFilled(low, high, ImGui::GetColorU32(open ? hovered ? ImGuiCol_ButtonHovered : ImGuiCol_Button : ImGuiCol_FrameBg, open ? 1.0f : 0.5f), 4);
    if (open) list->AddRect(low, high, colour, 4);
    list->AddRectFilled(low, {low.x + badge, high.y}, ImGui::GetColorU32(ImVec4(look.colour.x, look.colour.y, look.colour.z, 0.28f)), 4);
    const ImVec2 letter = ImGui::CalcTextSize(look.badge.c_str());
    list->AddText({low.x + (badge - letter.x) / 2, (low.y + high.y - letter.y) / 2}, colour, look.badge.c_str());
    list->AddText(ImGui::GetFont(), em, {low.x + badge + pad, low.y + pad}, open ? ImGui::GetColorU32(ImGuiCol_Text) : colour, text.c_str(), nullptr, size.x + 1);
    return pressed;
}

void draw_question(const LessonRun& lesson, const Theme& theme, Commands& commands) {
    const auto& step = lesson.step();
    if (!step.answers.empty() && !lesson.answered()) prose(theme, theme.accent, trf("Your prediction? Click one, or press 1 to {}.", step.answers.size()));
    for (std::size_t i = 0; i < step.answers.size(); ++i) {
        ImGui::PushID(static_cast<int>(i));
        if (draw_answer(theme, look_of(lesson, theme, i), step.answers[i], !lesson.answered())) commands.push_back({Action::Answer, i});
        ImGui::PopID();
    }
}

bool big_button(const Theme& theme, const char* text) {
    const WithFont font(theme.fonts.bold);
    ImGui::Spacing();
    return ImGui::Button(text, {0, ImGui::GetFrameHeight() * 1.2f});
}

void draw_prompt(const LessonRun& lesson, const Theme& theme, Commands& commands) {
    if (!lesson.step().answers.empty() && !lesson.answered()) return;
    if (!lesson.complete()) {
        if (big_button(theme, tr("Let it happen  (Enter)"))) commands.push_back({Action::LessonAct});
        ImGui::SameLine();
        ImGui::AlignTextToFramePadding();
        prose(theme, theme.dim, tr("or F7 next trap, F11 step"));
    } else if (big_button(theme, lesson.index() + 1 == lesson.lesson().steps.size() ? tr("Finish  (Enter)") : tr("Next step  (Enter)"))) {
        commands.push_back({Action::LessonNext});
    }
}

void draw_step(const LessonRun& lesson, const Theme& theme, Commands& commands) {
    if (!lesson.complete())
        for (const std::string& text : lesson.step().paragraphs) {
            prose(theme, theme.text, text);
            ImGui::Spacing();
        }
    draw_question(lesson, theme, commands);
    if (lesson.complete()) {
        ImGui::Spacing();
        for (const std::string& text : lesson.said()) prose(theme, theme.text, text);
    }
    draw_prompt(lesson, theme, commands);
}

void draw_end(const LessonRun& lesson, const Theme& theme, Commands& commands) {
    ImGui::Spacing();
    prose(theme, theme.text, trf("Done: {} of {} predictions were right.", lesson.right(), lesson.questions()));
    prose(theme, theme.dim, tr("Everything here can still be stepped, back and forth."));
    if (big_button(theme, tr("What next?  (Ctrl+N)"))) commands.push_back({Action::ShowStart});
}

/// Digits answer, Enter goes on: the lesson can be played without the mouse.
void take_keys(const Debugger& debugger, const LessonRun& lesson, Commands& commands) {
    const ImGuiIO& io = ImGui::GetIO();
    if (lesson.finished() || io.WantTextInput || debugger.typing() || debugger.overlay() != Overlay::None) return;
    for (int i = 0; i < io.InputQueueCharacters.Size && !lesson.answered(); ++i) {
        const unsigned digit = static_cast<unsigned>(io.InputQueueCharacters[i]) - '1';
        if (digit < lesson.step().answers.size()) return commands.push_back({Action::Answer, digit});
    }
    const bool entered = ImGui::IsKeyPressed(ImGui::GetKeyIndex(ImGuiKey_Enter), false) || ImGui::IsKeyPressed(ImGui::GetKeyIndex(ImGuiKey_KeyPadEnter), false);
    // Enter on a button that has the keyboard's focus is the button's own.
    if (entered && commands.empty() && (lesson.step().answers.empty() || lesson.answered()))
        commands.push_back({lesson.complete() ? Action::LessonNext : Action::LessonAct});
}

} // namespace

void draw_lesson(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    if (!debugger.lesson()) return;
    const LessonRun& lesson = *debugger.lesson();
    ImGui::BeginChild("text");
    {
        const WithFont font(theme.fonts.bold);
        ImGui::PushTextWrapPos(0);
        const std::size_t steps = lesson.lesson().steps.size();
        ImGui::TextColored(theme.accent, "%s", lesson.finished() ? lesson.lesson().title.c_str() : trf("{} of {}  {}", lesson.index() + 1, steps, lesson.step().title).c_str());
        ImGui::PopTextWrapPos();
    }
    ImGui::Separator();
    if (lesson.finished()) draw_end(lesson, theme, commands);
    else draw_step(lesson, theme, commands);
    const std::size_t shown = lesson.index() * 2 + lesson.complete();
    if (state.lesson_seen != shown) ImGui::SetScrollY(0);
    state.lesson_seen = shown;
    ImGui::EndChild();
    take_keys(debugger, lesson, commands);
}

Sheet sheet_lesson(const Debugger& debugger, const PanelState&) {
    if (!debugger.lesson()) return Sheet().say(tr("There is no lesson in this session."));
    const LessonRun& lesson = *debugger.lesson();
    Sheet sheet;
    if (lesson.finished()) return sheet.say(trf("{}: done, {} of {} predictions were right.", lesson.lesson().title, lesson.right(), lesson.questions()));
    sheet.say(trf("{}, step {} of {}: {}", lesson.lesson().title, lesson.index() + 1, lesson.lesson().steps.size(), lesson.step().title));
    for (const std::string& text : lesson.step().paragraphs) sheet.say(text);
    for (std::size_t i = 0; i < lesson.step().answers.size(); ++i)
        sheet.say(fmt::format("{} {}. {}", lesson.answered() == i ? ">" : " ", i + 1, lesson.step().answers[i]));
    if (lesson.complete())
        for (const std::string& text : lesson.said()) sheet.say(text);
    return sheet;
}

} // namespace trapeze::ui
