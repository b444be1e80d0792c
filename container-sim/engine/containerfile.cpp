#include "container-sim/engine/containerfile.hpp"

#include "container-sim/engine/image_json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace trapeze::container {

namespace {

constexpr std::size_t kMaxText = 1 << 20;

struct KeywordRow {
    Keyword keyword;
    const char* name;
    const char* flags;        ///< that it knows, each followed by a space
    bool json_form;           ///< may be written as ["a", "b"]
    unsigned least, most;     ///< words
    const char* form;
};
constexpr KeywordRow kKeywords[] = {
    {Keyword::From, "FROM", "platform ", false, 1, 3, "FROM scratch, or FROM IMAGE"},
    {Keyword::Copy, "COPY", "chown chmod ", true, 2, 10'000, "COPY [--chown=USER:GROUP] [--chmod=MODE] SOURCE... DESTINATION"},
    {Keyword::Run, "RUN", "", true, 1, 10'000, "RUN COMMAND, or RUN [\"PROGRAM\", \"ARGUMENT\"]"},
    {Keyword::Env, "ENV", "", false, 1, 10'000, "ENV KEY=VALUE..."},
    {Keyword::Entrypoint, "ENTRYPOINT", "", true, 0, 10'000, "ENTRYPOINT [\"PROGRAM\", \"ARGUMENT\"], or ENTRYPOINT COMMAND"},
    {Keyword::Cmd, "CMD", "", true, 0, 10'000, "CMD [\"PROGRAM\", \"ARGUMENT\"], or CMD COMMAND"},
    {Keyword::Workdir, "WORKDIR", "", false, 1, 1, "WORKDIR FOLDER"},
    {Keyword::User, "USER", "", false, 1, 1, "USER NAME, or USER UID:GID"},
    {Keyword::Label, "LABEL", "", false, 1, 10'000, "LABEL KEY=VALUE..."},
    {Keyword::Expose, "EXPOSE", "", false, 1, 10'000, "EXPOSE PORT..."},
};

std::string_view trim(std::string_view text) {
    const std::size_t from = text.find_first_not_of(" \t\r\v\f"), to = text.find_last_not_of(" \t\r\v\f");
    return from == std::string_view::npos ? std::string_view{} : text.substr(from, to - from + 1);
}

struct Logical {
    unsigned line;
    std::string text;
};
/// Lines with their continuations; comments and empty lines inside them are left out.
std::vector<Logical> join_lines(std::string_view text) {
    std::vector<Logical> all;
    bool open = false;
    unsigned line = 0;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view part = trim(text.substr(0, end));
        text = text.substr(std::min(end + 1, text.size()));
        ++line;
        if (part.empty() || part.front() == '#') continue;
        const bool continues = part.back() == '\\';
        if (continues) part.remove_suffix(1);
        if (open) all.back().text += (all.back().text.ends_with(' ') ? "" : " ") + std::string(part);
        else all.push_back({line, std::string(part)});
        open = continues;
    }
    return all;
}

/// Splits at spaces outside quotes; quotes stay.
Result<std::vector<std::string>> split_words(std::string_view text) {
    std::vector<std::string> words;
    std::string word;
    char quote = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
            word += c, word += text[++i];
        } else if (quote) {
            word += c;
            if (c == quote) quote = 0;
        } else if (c == ' ' || c == '\t') {
            if (!word.empty()) words.push_back(std::move(word)), word.clear();
        } else {
            word += c;
            if (c == '"' || c == '\'') quote = c;
        }
    }
    if (quote) return Error{fmt::format("a quote ({}) is not closed", quote)};
    if (!word.empty()) words.push_back(word);
    return words;
}

std::optional<std::vector<std::string>> json_words(std::string_view text) {
    if (!text.starts_with('[')) return std::nullopt;
    const auto json = parse_json(text, "");
    if (!json || !json.value().is_array()) return std::nullopt;
    std::vector<std::string> words;
    for (const Json& each : json.value()) {
        if (!each.is_string()) return std::nullopt;
        words.push_back(each.get<std::string>());
    }
    return words;
}

Result<void> take_flags(std::string_view& rest, const KeywordRow& row, Instruction& out) {
    while (rest.starts_with("--")) {
        const std::string_view flag = rest.substr(2, rest.find_first_of(" \t") == std::string_view::npos ? rest.size() - 2 : rest.find_first_of(" \t") - 2);
        const std::size_t equals = flag.find('=');
        const std::string name(flag.substr(0, equals));
        if (equals == std::string_view::npos || std::string_view(row.flags).find(name + " ") == std::string_view::npos)
            return Error{fmt::format("{} does not know --{}; write {}", row.name, flag.substr(0, 60), row.form)};
        out.flags[name] = flag.substr(equals + 1);
        rest = trim(rest.substr(2 + flag.size()));
    }
    return {};
}

/// "KEY=VALUE ..." as it is; the old form "KEY VALUE WITH SPACES" as one.
Result<std::vector<std::string>> pair_words(std::string_view rest, const KeywordRow& row) {
    auto words = split_words(rest);
    if (!words) return words;
    if (words->size() > 1 && words->front().find('=') == std::string::npos) {
        const std::size_t space = rest.find_first_of(" \t");
        return std::vector<std::string>{fmt::format("{}={}", rest.substr(0, space), trim(rest.substr(space)))};
    }
    for (const std::string& word : *words)
        if (const std::size_t equals = word.find('='); equals == 0 || equals == std::string::npos) return Error{fmt::format("\"{}\" has no =; write {}", word.substr(0, 60), row.form)};
    return words;
}

Result<Instruction> parse_instruction(const Logical& logical) {
    const std::string_view text = trim(logical.text);
    const std::size_t space = std::min(text.find_first_of(" \t"), text.size());
    std::string keyword(text.substr(0, space));
    for (char& c : keyword) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    const auto row = std::find_if(std::begin(kKeywords), std::end(kKeywords), [&](const KeywordRow& each) { return keyword == each.name; });
    if (row == std::end(kKeywords)) {
        std::string known;
        for (const KeywordRow& each : kKeywords) known += (known.empty() ? "" : ", ") + std::string(each.name);
        return Error{fmt::format("{} is not known here; what is: {}", keyword.substr(0, 40), known)};
    }
    Instruction out;
    out.keyword = row->keyword, out.line = logical.line, out.text = text;
    std::string_view rest = trim(text.substr(space));
    if (auto taken = take_flags(rest, *row, out); !taken) return Error{taken.error()};
    if (rest.find("<<") != std::string_view::npos && (row->keyword == Keyword::Run || row->keyword == Keyword::Copy))
        return Error{fmt::format("here-documents (<<) are not known here; write {}", row->form)};
    const auto json = row->json_form ? json_words(rest) : std::nullopt;
    if (json) out.words = *json;
    else if (row->json_form && rest.starts_with('[') && row->keyword != Keyword::Run)
        return Error{fmt::format("this begins as JSON and is none; strings need double quotes: {}", row->form)};
    else if (row->json_form && row->keyword != Keyword::Copy) {
        if (!rest.empty()) out.words = {"/bin/sh", "-c", std::string(rest)};
    } else {
        auto words = row->keyword == Keyword::Env || row->keyword == Keyword::Label ? pair_words(rest, *row) : split_words(rest);
        if (!words) return Error{words.error()};
        out.words = std::move(*words);
    }
    if (out.words.size() < row->least || out.words.size() > row->most) return Error{fmt::format("{} has {} words; write {}", row->name, out.words.size(), row->form)};
    if (row->keyword == Keyword::From && out.words.size() != 1) return Error{"a second stage (AS ...) is not known here; write FROM scratch, or FROM IMAGE"};
    return out;
}

std::string variable(const std::vector<std::string>& environment, const std::string& name) {
    for (const std::string& each : environment)
        if (each.starts_with(name + "=")) return each.substr(name.size() + 1);
    return "";
}
bool is_name_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

/// The value of what follows a $ at `at`, which is moved behind it.
Result<std::string> expand_variable(std::string_view word, std::size_t& at, const std::vector<std::string>& environment) {
    const bool braces = at < word.size() && word[at] == '{';
    if (braces) ++at;
    std::string name;
    while (at < word.size() && is_name_character(word[at])) name += word[at++];
    if (!braces) return name.empty() ? "$" : variable(environment, name);
    const std::size_t close = word.find('}', at);
    if (name.empty() || close == std::string_view::npos) return Error{"${ needs a name and a closing }"};
    const std::string_view rest = word.substr(at, close - at);
    at = close + 1;
    const std::string value = variable(environment, name);
    if (rest.empty()) return value;
    if (rest.starts_with(":-")) return value.empty() ? std::string(rest.substr(2)) : value;
    if (rest.starts_with(":+")) return value.empty() ? std::string() : std::string(rest.substr(2));
    return Error{fmt::format("${{{}{}}} is not known here; write ${{NAME}}, ${{NAME:-WORD}} or ${{NAME:+WORD}}", name.substr(0, 40), rest.substr(0, 40))};
}

} // namespace

Result<std::vector<Instruction>> parse_containerfile(std::string_view text, const std::string& name) {
    if (text.size() > kMaxText) return Error{fmt::format("{}: {} bytes (at most {}); make it shorter", name, text.size(), kMaxText)};
    if (text.find('\0') != std::string_view::npos) return Error{fmt::format("{}: a zero byte is in it; give a text file", name)};
    std::vector<Instruction> all;
    for (const Logical& logical : join_lines(text)) {
        auto instruction = parse_instruction(logical);
        const auto fail = [&](const std::string& why) { return Error{fmt::format("{}:{}: {}", name, logical.line, why)}; };
        if (!instruction) return fail(instruction.error());
        if (all.empty() && instruction->keyword != Keyword::From) return fail("the first instruction must be FROM scratch, or FROM IMAGE");
        if (!all.empty() && instruction->keyword == Keyword::From) return fail("a second FROM begins a second stage, which is not known here; build two images");
        all.push_back(std::move(*instruction));
    }
    if (all.empty()) return Error{fmt::format("{}: nothing is in it; begin with FROM scratch, or FROM IMAGE", name)};
    return all;
}

Result<std::string> expand_word(std::string_view word, const std::vector<std::string>& environment) {
    std::string out;
    char quote = 0;
    for (std::size_t i = 0; i < word.size();) {
        const char c = word[i++];
        if (c == '\\' && quote != '\'' && i < word.size()) {
            if (quote == '"' && word[i] != '"' && word[i] != '$' && word[i] != '\\') out += '\\';
            out += word[i++];
        } else if (quote && c == quote) {
            quote = 0;
        } else if (!quote && (c == '"' || c == '\'')) {
            quote = c;
        } else if (c == '$' && quote != '\'') {
            auto value = expand_variable(word, i, environment);
            if (!value) return value;
            out += *value;
        } else {
            out += c;
        }
        if (out.size() > kMaxText) return Error{"a word becomes too long when its variables are replaced"};
    }
    return out;
}

void set_variable(std::vector<std::string>& environment, const std::string& name, const std::string& value) {
    const auto old = std::find_if(environment.begin(), environment.end(), [&](const std::string& each) { return each.starts_with(name + "="); });
    if (old != environment.end()) *old = name + "=" + value;
    else environment.push_back(name + "=" + value);
}

} // namespace trapeze::container
