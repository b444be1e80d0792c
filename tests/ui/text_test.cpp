// The catalogues: every text that the window says has an entry, and each entry has the placeholders of its English.
#include "ui/keys.hpp"
#include "ui/layouts.hpp"
#include "ui/panel_id.hpp"
#include "ui/text.hpp"
#include "ui/things.hpp"

#include "hypervisor-sim/exits.hpp"
#include "scenarios/files.hpp"
#include "scenarios/lesson.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

using namespace trapeze;
using namespace trapeze::ui;

namespace {

/// Sets the language for as long as it lives.
class InLanguage {
  public:
    explicit InLanguage(Language chosen) { set_language(chosen); }
    ~InLanguage() { set_language(Language::English); }
    InLanguage(const InLanguage&) = delete;
    InLanguage& operator=(const InLanguage&) = delete;
};

/// A C++ string literal's text, from behind its opening quote on; `end` is behind its closing one.
std::string literal(const std::string& source, std::size_t begin, std::size_t& end) {
    std::string text;
    for (end = begin; end < source.size() && source[end] != '"'; ++end) {
        if (source[end] != '\\') {
            text += source[end];
            continue;
        }
        ++end;
        if (source[end] == 'n') text += '\n';
        else if (source[end] == 'u') {
            const unsigned code = static_cast<unsigned>(std::strtoul(source.substr(end + 1, 4).c_str(), nullptr, 16));
            end += 4;
            if (code < 0x80) text += static_cast<char>(code);
            else if (code < 0x800) text += {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 63))};
            else text += {static_cast<char>(0xe0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 63)), static_cast<char>(0x80 | (code & 63))};
        } else text += source[end];
    }
    ++end;
    return text;
}

/// The texts in tr("..."), trf("...") and later("...") of the sources in ui/, by the file in which they stand.
std::map<std::string, std::string> texts_of_sources() {
    std::map<std::string, std::string> texts;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(scenarios::root_folder() + "/ui")) {
        if (entry.path().extension() != ".cpp" && entry.path().extension() != ".hpp") continue;
        std::ifstream file(entry.path());
        const std::string source{std::istreambuf_iterator<char>(file), {}};
        for (const std::string call : {"tr(\"", "trf(\"", "later(\""})
            for (std::size_t at = source.find(call); at != std::string::npos; at = source.find(call, at + 1)) {
                if (at > 0 && (std::isalnum(static_cast<unsigned char>(source[at - 1])) || source[at - 1] == '_')) continue;
                const std::size_t line = source.rfind('\n', at) + 1;
                if (source.find("//", line) < at) continue;
                std::size_t end = 0;
                texts.emplace(literal(source, at + call.size(), end), entry.path().filename().string());
            }
    }
    return texts;
}

std::map<std::string, std::string> texts_of_tables() {
    std::map<std::string, std::string> texts;
    for (const KeyRow& row : key_rows()) texts.emplace(row.name, "keys.def"), texts.emplace(row.sentence, "keys.def");
    for (std::size_t i = 0; i < kPanels; ++i) texts.emplace(panel_names(static_cast<PanelId>(i)).title, "panels.def"), texts.emplace(panel_names(static_cast<PanelId>(i)).sentence, "panels.def");
    for (std::size_t i = 0; i < kLayouts; ++i) texts.emplace(layout_row(static_cast<LayoutId>(i)).title, "layouts.def"), texts.emplace(layout_row(static_cast<LayoutId>(i)).sentence, "layouts.def");
    for (std::size_t i = 0; i < static_cast<std::size_t>(Offer::Count); ++i) texts.emplace(offer_row(static_cast<Offer>(i)).name, "offers.def"), texts.emplace(offer_row(static_cast<Offer>(i)).sentence, "offers.def");
    for (std::size_t i = 0; i < static_cast<std::size_t>(vmm::ExitReason::Count); ++i) texts.emplace(vmm::exit_reason_row(static_cast<vmm::ExitReason>(i)).sentence, "exit_reasons.def");
    for (std::size_t i = 0; i < static_cast<std::size_t>(vmm::Mode::Count); ++i) texts.emplace(vmm::mode_row(static_cast<vmm::Mode>(i)).sentence, "modes.def");
    return texts;
}

/// What stands in braces, in the order of the arguments: "{}" counts on, "{1:x}" says which.
std::map<std::size_t, std::string> placeholders(const std::string& text) {
    std::map<std::size_t, std::string> found;
    std::size_t next = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] != '{' || text.compare(at, 2, "{{") == 0) {
            at += text.compare(at, 2, "{{") == 0;
            continue;
        }
        const std::size_t end = text.find('}', at), colon = std::min(text.find(':', at), end);
        const std::string number = text.substr(at + 1, colon - at - 1);
        found[number.empty() ? next++ : std::strtoul(number.c_str(), nullptr, 10)] = text.substr(colon, end - colon);
        at = end;
    }
    return found;
}

/// Texts that come from below ui/, which knows no languages, stand there between quotes.
std::string sources_below() {
    std::string all;
    for (const auto& entry : std::filesystem::directory_iterator(scenarios::root_folder() + "/scenarios")) {
        if (entry.path().extension() != ".cpp") continue;
        std::ifstream file(entry.path());
        all.append(std::istreambuf_iterator<char>(file), {});
    }
    return all;
}

bool has_hangul(const std::string& text) {
    for (std::size_t i = 0; i + 2 < text.size(); ++i)
        if (const auto lead = static_cast<unsigned char>(text[i]); lead >= 0xea && lead <= 0xed) return true;
    return false;
}

} // namespace

TEST_CASE("Every text that the window says has a Korean entry") {
    std::set<std::string> known;
    for (const auto& [english, text] : catalogue(Language::Korean)) known.insert(english);
    auto texts = texts_of_sources();
    CHECK(texts.size() > 300); // the sources were found
    for (auto& [text, where] : texts_of_tables()) texts.emplace(text, where);
    for (const auto& [text, where] : texts) {
        CAPTURE(where);
        CAPTURE(text);
        CHECK(known.count(text) == 1);
    }
}

TEST_CASE("No entry of the Korean catalogue is empty, stands twice, or is for a text that nobody says") {
    auto used = texts_of_sources();
    for (auto& [text, where] : texts_of_tables()) used.emplace(text, where);
    const std::string below = sources_below();
    std::set<std::string> seen;
    for (const auto& [english, text] : catalogue(Language::Korean)) {
        CAPTURE(english);
        CHECK(*text);
        CHECK(seen.insert(english).second);
        CHECK((used.count(english) == 1 || below.find('"' + std::string(english) + '"') != std::string::npos));
    }
}

TEST_CASE("An entry of the Korean catalogue has the placeholders of its English, and is Korean where that has words") {
    std::size_t korean = 0;
    for (const auto& [english, text] : catalogue(Language::Korean)) {
        CAPTURE(english);
        CHECK(placeholders(english) == placeholders(text));
        korean += has_hangul(text);
    }
    CHECK(korean * 10 > catalogue(Language::Korean).size() * 9); // the others are terms that stay
}

TEST_CASE("Text is looked up in the language that was chosen; what is not there stays English") {
    CHECK(std::string(tr("Step back")) == "Step back");
    const InLanguage korean(Language::Korean);
    CHECK(std::string(tr("Step back")) == "\ud55c \ub2e8\uacc4 \ub4a4\ub85c");
    CHECK(std::string(tr("no such text")) == "no such text");
    CHECK(trf("Done: {} of {} predictions were right.", 2, 3) == "\ub05d: 3\uac1c\uc758 \uc608\uce21 \uac00\uc6b4\ub370 2\uac1c\uac00 \ub9de\uc558\uc2b5\ub2c8\ub2e4.");
}

TEST_CASE("The language is that of the environment, as POSIX orders its variables") {
    const auto with = [](const char* all, const char* messages, const char* lang) {
        for (const auto& [name, value] : {std::pair{"LC_ALL", all}, {"LC_MESSAGES", messages}, {"LANG", lang}}) value ? setenv(name, value, 1) : unsetenv(name);
        return language_of_environment();
    };
    const char* const before = std::getenv("LANG");
    const std::string kept = before ? before : "";
    CHECK(with(nullptr, nullptr, "ko_KR.UTF-8") == Language::Korean);
    CHECK(with(nullptr, "en_US.UTF-8", "ko_KR.UTF-8") == Language::English);
    CHECK(with("ko", "en_US", "C") == Language::Korean);
    CHECK(with("C.UTF-8", nullptr, "ko_KR.UTF-8") == Language::English);
    CHECK(with(nullptr, nullptr, nullptr) == Language::English);
    CHECK(with(nullptr, nullptr, "kok_IN") == Language::English); // Konkani is not Korean
    if (before) setenv("LANG", kept.c_str(), 1);
}

TEST_CASE("A lesson that is told in Korean as well asks the same questions, with the same right answers and checks") {
    unsigned told = 0;
    for (const std::string& name : scenarios::shipped_lessons()) {
        const std::string korean = scenarios::lesson_in(name, "ko");
        if (korean == name) continue;
        CAPTURE(name);
        ++told;
        const auto own = scenarios::load_lesson(name), other = scenarios::load_lesson(korean);
        REQUIRE_MESSAGE(other, (other ? "" : other.error()));
        REQUIRE(own.value().steps.size() == other.value().steps.size());
        for (std::size_t i = 0; i < own.value().steps.size(); ++i) {
            const auto &a = own.value().steps[i], &b = other.value().steps[i];
            CHECK(a.answers.size() == b.answers.size());
            CHECK(a.right == b.right);
            CHECK(a.setup.has_value() == b.setup.has_value());
            if (a.check && b.check) CHECK(a.check->code == b.check->code);
            if (a.action && b.action) CHECK(a.action->code == b.action->code);
        }
        CHECK(scenarios::lesson_in(own.value().file, "ko") == korean);
        CHECK(scenarios::lesson_in(name, "en") == name);
    }
    CHECK(told > 0);
    CHECK(scenarios::lesson_in("no-such-lesson", "ko") == "no-such-lesson");
}
