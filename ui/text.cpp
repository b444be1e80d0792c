#include "ui/text.hpp"

#include <cstdlib>
#include <string_view>
#include <unordered_map>

namespace trapeze::ui {

namespace {

Language chosen = Language::English;

using Entries = std::unordered_map<std::string_view, const char*>;

const Entries& entries(Language language) {
    static const Entries korean = [] {
        Entries all;
        for (const auto& [english, text] : catalogue(Language::Korean)) all.emplace(english, text);
        return all;
    }();
    static const Entries none;
    return language == Language::Korean ? korean : none;
}

} // namespace

const std::vector<std::pair<const char*, const char*>>& catalogue(Language language) {
    static const std::vector<std::pair<const char*, const char*>> korean = {
#define TEXT(english, text) {english, text},
#include "ui/text/ko.def"
    };
    static const std::vector<std::pair<const char*, const char*>> none;
    return language == Language::Korean ? korean : none;
}

const char* language_code(Language language) { return language == Language::Korean ? "ko" : "en"; }
const char* language_name(Language language) { return language == Language::Korean ? "\ud55c\uad6d\uc5b4" : "English"; }

std::optional<Language> language_by_code(const std::string& code) {
    for (const Language language : {Language::English, Language::Korean}) {
        const std::string own = language_code(language);
        if (code == own || code.starts_with(own + "_") || code.starts_with(own + ".")) return language;
    }
    return std::nullopt;
}

Language language_of_environment() {
    for (const char* name : {"LC_ALL", "LC_MESSAGES", "LANG"})
        if (const char* value = std::getenv(name); value && *value) return language_by_code(value).value_or(Language::English);
    return Language::English;
}

Language language() { return chosen; }
void set_language(Language language) { chosen = language; }

const char* tr(const char* english) {
    if (chosen == Language::English) return english;
    const auto& known = entries(chosen);
    const auto found = known.find(english);
    return found == known.end() ? english : found->second;
}

std::string tr(const std::string& english) { return tr(english.c_str()); }

} // namespace trapeze::ui
