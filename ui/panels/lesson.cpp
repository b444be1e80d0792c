// The lesson: the step's text, its question, and what has happened.
#include "ui/panels.hpp"

namespace trapeze::ui {

namespace {

void draw_question(const LessonRun& lesson, const Theme& theme, Commands& commands) {
    const auto& step = lesson.step();
    for (std::size_t i = 0; i < step.answers.size(); ++i) {
        const bool chosen = lesson.answered() == i;
        const char* mark = lesson.complete() ? (i == step.right ? " (right)" : chosen ? " (wrong)" : "") : chosen ? " (your prediction)" : "";
        ImGui::PushID(static_cast<int>(i));
        if (!lesson.answered()) {
            if (ImGui::Button(std::to_string(i + 1).c_str())) commands.push_back({Action::Answer, i});
        } else {
            const ImVec4 colour = !lesson.complete() ? (chosen ? theme.accent : theme.dim) : i == step.right ? theme.good : chosen ? theme.bad : theme.dim;
            ImGui::TextColored(colour, "%s", i == step.right && lesson.complete() ? "\u2713" : chosen && lesson.complete() ? "\u2717" : chosen ? ">" : " ");
        }
        ImGui::PopID();
        ImGui::SameLine();
        ImGui::PushTextWrapPos(0);
        ImGui::TextUnformatted((step.answers[i] + mark).c_str());
        ImGui::PopTextWrapPos();
    }
}

void draw_prompt(const LessonRun& lesson, const Theme& theme, Commands& commands) {
    const auto& step = lesson.step();
    ImGui::Spacing();
    if (!step.answers.empty() && !lesson.answered()) {
        ImGui::TextColored(theme.accent, "Your prediction? Press 1 to %d.", static_cast<int>(step.answers.size()));
    } else if (!lesson.complete()) {
        if (ImGui::Button("Let it happen (Enter)")) commands.push_back({Action::LessonAct});
        ImGui::SameLine();
        ImGui::TextColored(theme.dim, "or step yourself: F7 next trap, F11 step");
    } else if (ImGui::Button(lesson.index() + 1 == lesson.lesson().steps.size() ? "Finish (Enter)" : "Next step (Enter)")) {
        commands.push_back({Action::LessonNext});
    }
}

} // namespace

void draw_lesson(const Debugger& debugger, const Theme& theme, PanelState&, Commands& commands) {
    const LessonRun& lesson = *debugger.lesson();
    ImGui::BeginChild("text");
    ImGui::PushTextWrapPos(0);
    ImGui::TextColored(theme.accent, "%s", lesson.lesson().title.c_str());
    ImGui::SameLine();
    ImGui::TextColored(theme.dim, "step %d of %d", static_cast<int>(lesson.index() + 1), static_cast<int>(lesson.lesson().steps.size()));
    if (lesson.finished()) {
        ImGui::Spacing();
        ImGui::Text("Done: %u of %u predictions were right.", lesson.right(), lesson.questions());
        ImGui::TextColored(theme.dim, "The menu Start has more; everything here can still be stepped.");
    } else {
        ImGui::TextUnformatted(lesson.step().title.c_str());
        ImGui::Separator();
        if (!lesson.complete())
            for (const std::string& text : lesson.step().paragraphs) {
                ImGui::TextUnformatted(text.c_str());
                ImGui::Spacing();
            }
        draw_question(lesson, theme, commands);
        if (lesson.complete()) {
            ImGui::Spacing();
            for (const std::string& text : lesson.said()) ImGui::TextUnformatted(text.c_str());
        }
        draw_prompt(lesson, theme, commands);
    }
    ImGui::PopTextWrapPos();
    ImGui::EndChild();
    if (lesson.finished() || ImGui::GetIO().WantTextInput) return;
    // Digits answer, Enter goes on: the lesson can be played without the mouse.
    const auto& io = ImGui::GetIO();
    for (int i = 0; i < io.InputQueueCharacters.Size && !lesson.answered(); ++i) {
        const unsigned digit = static_cast<unsigned>(io.InputQueueCharacters[i]) - '1';
        if (digit < lesson.step().answers.size()) commands.push_back({Action::Answer, digit});
    }
    if (ImGui::IsKeyPressed(ImGui::GetKeyIndex(ImGuiKey_Enter), false) && (lesson.step().answers.empty() || lesson.answered()))
        commands.push_back({lesson.complete() ? Action::LessonNext : Action::LessonAct});
}

} // namespace trapeze::ui
