#include "scenarios/explain.hpp"

#include "emulator/isa/csr_fields.hpp"
#include "hypervisor-sim/vmm.hpp"
#include "scenarios/isa_tables.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <iterator>
#include <sstream>
#include <tuple>

namespace trapeze::scenarios {

namespace {

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

std::string head_of(ExplainKind kind, const std::string& key) {
    if (kind == ExplainKind::Csr) {
        const CsrRow* row = csr_by_name(key.c_str());
        return row ? row->sentence : "";
    }
    if (kind == ExplainKind::Exit)
        for (std::size_t i = 0; i < static_cast<std::size_t>(vmm::ExitReason::Count); ++i)
            if (const auto& row = vmm::exit_reason_row(static_cast<vmm::ExitReason>(i)); key == row.name) return row.sentence;
    return {};
}

/// Exit reasons have their section in their own table.
std::string section_of(ExplainKind kind, const std::string& key, const char* given) {
    if (kind != ExplainKind::Exit || *given) return given;
    for (std::size_t i = 0; i < static_cast<std::size_t>(vmm::ExitReason::Count); ++i)
        if (const auto& row = vmm::exit_reason_row(static_cast<vmm::ExitReason>(i)); key == row.name) return row.section;
    return {};
}

struct Row {
    ExplainKind kind;
    const char *key, *section, *x86, *arm, *lesson, *text;
};
constexpr Row kRows[] = {
#define EXPLAIN(kind, key, section, x86, arm, lesson, text) {ExplainKind::kind, key, section, x86, arm, lesson, text},
#include "scenarios/explain/instructions.def"
#define EXPLAIN(kind, key, section, x86, arm, lesson, text) {ExplainKind::kind, key, section, x86, arm, lesson, text},
#include "scenarios/explain/csrs.def"
#define EXPLAIN(kind, key, section, x86, arm, lesson, text) {ExplainKind::kind, key, section, x86, arm, lesson, text},
#include "scenarios/explain/exits.def"
#define EXPLAIN(kind, key, section, x86, arm, lesson, text) {ExplainKind::kind, key, section, x86, arm, lesson, text},
#include "scenarios/explain/causes.def"
#define EXPLAIN(kind, key, section, x86, arm, lesson, text) {ExplainKind::kind, key, section, x86, arm, lesson, text},
#include "scenarios/explain/tables.def"
#define EXPLAIN(kind, key, section, x86, arm, lesson, text) {ExplainKind::kind, key, section, x86, arm, lesson, text},
#include "scenarios/explain/containers.def"
};

struct FieldRow {
    const char *csrs, *names, *x86, *arm, *lesson, *text;
};
constexpr FieldRow kFields[] = {
#define FIELD(csrs, names, x86, arm, lesson, text) {csrs, names, x86, arm, lesson, text},
#include "scenarios/explain/fields.def"
};

/// Whether one of the words of a list that spaces separate is this one.
bool has_word(const char* list, const std::string& word) {
    std::istringstream words(list);
    return std::find(std::istream_iterator<std::string>(words), {}, word) != std::istream_iterator<std::string>();
}

/// Whether a key of the catalogue stands for a name.
bool stands_for(const Explanation& entry, const std::string& name) {
    if (entry.key.ends_with('*')) return name.starts_with(entry.key.substr(0, entry.key.size() - 1));
    return entry.key == name;
}

/// The entry of a kind for a name: the one that has it itself, else the first pattern that fits.
const Explanation* entry_of(ExplainKind kind, const std::string& name) {
    const Explanation* found = nullptr;
    for (const Explanation& entry : explanations()) {
        if (entry.kind != kind || !stands_for(entry, name)) continue;
        if (entry.key == name) return &entry;
        if (!found) found = &entry;
    }
    return found;
}

/// Every field of every register: where it lies and a sentence from the register's table, the paragraph from the catalogue.
void add_fields(std::vector<Explanation>& all) {
    std::vector<Explanation> fields;
    for (std::size_t i = 0; i < kCsrCount; ++i) {
        const CsrRow& csr = csr_row_at(i);
        const auto whole = std::find_if(all.begin(), all.end(), [&](const Explanation& e) { return e.kind == ExplainKind::Csr && stands_for(e, csr.name); });
        for (const CsrField& field : csr_fields(csr.csr)) {
            Explanation one{ExplainKind::Field, std::string(csr.name) + "." + field.name, "", field.sentence, whole == all.end() ? "" : whole->section, "", "", "", field.high, field.low};
            one.head = field.high == field.low ? fmt::format("Bit {} of {}.", field.low, csr.name) : fmt::format("Bits {} to {} of {}.", field.high, field.low, csr.name);
            for (const FieldRow& row : kFields)
                if (has_word(row.csrs, csr.name) && has_word(row.names, field.name)) one.text = row.text, one.x86 = row.x86, one.arm = row.arm, one.lesson = row.lesson;
            fields.push_back(std::move(one));
        }
    }
    all.insert(all.end(), fields.begin(), fields.end());
}

Explanation named(Explanation entry, const std::string& name) {
    entry.key = name;
    if (entry.head.empty()) entry.head = head_of(entry.kind, name);
    return entry;
}

/// An instruction of the table by its mnemonic: its own entry, or its extension's.
void add_instruction(std::vector<Explanation>& found, const std::string& mnemonic) {
    for (std::size_t i = 0; i < kOpCount; ++i) {
        const InstructionRow& r = row(static_cast<Op>(i));
        if (mnemonic != r.mnemonic) continue;
        const Explanation* entry = entry_of(ExplainKind::Instruction, mnemonic);
        if (!entry) entry = entry_of(ExplainKind::Extension, extension_name(r.extension));
        if (!entry) return;
        Explanation own = named(*entry, mnemonic);
        own.kind = ExplainKind::Instruction;
        own.head = fmt::format("Extension {}; lowest privilege {}; {}.", extension_name(r.extension), r.lowest == Priv::Hs ? "HS" : std::string(1, priv_letter(r.lowest)),
                               r.sensitivity == Sensitivity::Innocuous ? "innocuous" : r.sensitivity == Sensitivity::ByCsr ? "as sensitive as its CSR" : "sensitive");
        found.push_back(std::move(own));
        return;
    }
    // Short names of instructions, and hints.
    for (const Explanation& entry : explanations())
        if (entry.kind == ExplainKind::Instruction && stands_for(entry, mnemonic) && (entry.key == mnemonic || mnemonic.size() < entry.key.size() + 3))
            return found.push_back(named(entry, mnemonic));
}

void add_system_call(std::vector<Explanation>& found, const std::string& name) {
#define SYSCALL(number, id, formats, gap) \
    if (name == #id) \
        found.push_back({ExplainKind::SystemCall, name, fmt::format("System call {} of riscv64 Linux.", number), \
                         "A program asks its kernel for it with an ecall: the number in a7, arguments in a0 to a5, the answer, or an error as a negative number, in a0. To a container this is what an " \
                         "exit is to a virtual machine: the one way out." + (*gap ? fmt::format(" This kernel differs from Linux: {}.", gap) : std::string()), \
                         "man 2 " + name, "SYSCALL", "SVC", "", 0, 0});
#include "container-sim/syscalls.def"
#undef SYSCALL
}

/// What a thing is, taken as one name.
void add_named(std::vector<Explanation>& found, const std::string& name) {
    add_instruction(found, name);
    if (csr_by_name(name.c_str()))
        if (const Explanation* entry = entry_of(ExplainKind::Csr, name)) found.push_back(named(*entry, name));
    for (const Explanation& entry : explanations())
        if (entry.kind >= ExplainKind::Field && entry.key == name) found.push_back(entry);
    if (std::none_of(found.begin(), found.end(), [](const Explanation& e) { return e.kind == ExplainKind::Lookup; })) add_system_call(found, name);
}

/// Every name that explain() knows by itself, for suggestions.
std::vector<std::string> known_names() {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < kOpCount; ++i) names.push_back(row(static_cast<Op>(i)).mnemonic);
    for (std::size_t i = 0; i < kCsrCount; ++i) names.push_back(csr_row_at(i).name);
    for (const Explanation& entry : explanations())
        if (entry.kind >= ExplainKind::Field) names.push_back(entry.key);
#define SYSCALL(number, id, formats, gap) names.push_back(#id);
#include "container-sim/syscalls.def"
#undef SYSCALL
    return names;
}

/// Levenshtein's distance.
std::size_t distance(const std::string& a, const std::string& b) {
    std::vector<std::size_t> line(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) line[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = line[0];
        line[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t here = std::min({line[j] + 1, line[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
            diagonal = line[j], line[j] = here;
        }
    }
    return line[b.size()];
}

constexpr std::size_t kLongest = 200; // characters of a thing that are looked at

} // namespace

const char* explain_kind_name(ExplainKind kind) {
    static constexpr const char* kNames[] = {"instruction", "extension", "control and status register", "field", "exit reason", "trap cause", "bit of a page-table entry", "mode",
                                             "hypercall", "virtio", "namespace", "answer of a namespace", "system call"};
    return kNames[static_cast<std::size_t>(kind)];
}

const std::vector<Explanation>& explanations() {
    static const std::vector<Explanation> all = [] {
        std::vector<Explanation> list;
        for (const Row& row : kRows) list.push_back({row.kind, row.key, head_of(row.kind, row.key), row.text, section_of(row.kind, row.key, row.section), row.x86, row.arm, row.lesson, 0, 0});
        add_fields(list);
        return list;
    }();
    return all;
}

std::vector<Explanation> explain(const std::string& thing) {
    std::vector<Explanation> found;
    std::string name = thing.substr(0, kLongest);
    name.erase(0, name.find_first_not_of(' ') == std::string::npos ? name.size() : name.find_first_not_of(' '));
    name.erase(name.find_last_not_of(' ') + 1);
    if (name.empty()) return found;
    add_named(found, name);
    if (found.empty()) { // any case
        for (const Explanation& entry : explanations())
            if (lower(entry.key) == lower(name)) found.push_back(entry);
        if (found.empty() && lower(name) != name) add_named(found, lower(name));
    }
    if (!found.empty()) return found;
    // The text of an instruction: the instruction, then the CSR that it names.
    std::string words = name;
    std::replace(words.begin(), words.end(), ',', ' ');
    std::istringstream parts(words);
    std::string word;
    if (!(parts >> word)) return found;
    add_instruction(found, word);
    if (found.empty()) return found;
    while (parts >> word)
        if (csr_by_name(word.c_str()))
            if (const Explanation* entry = entry_of(ExplainKind::Csr, word)) found.push_back(named(*entry, word));
    return found;
}

std::vector<std::string> near_things(const std::string& thing, std::size_t most) {
    const std::string wanted = lower(thing.substr(0, kLongest));
    std::vector<std::tuple<std::size_t, std::size_t, std::string>> rated; // the distance, then the length
    for (const std::string& name : known_names()) {
        const std::string known = lower(name);
        const bool part = wanted.size() > 2 && known.find(wanted) != std::string::npos;
        const std::size_t far = part ? 1 : distance(wanted, known);
        if (part || far <= std::max<std::size_t>(2, wanted.size() / 3)) rated.emplace_back(far, name.size(), name);
    }
    std::sort(rated.begin(), rated.end());
    std::vector<std::string> names;
    for (const auto& [far, length, name] : rated)
        if (names.size() < most && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    return names;
}

std::vector<const Explanation*> fields_of(const std::string& csr) {
    std::vector<const Explanation*> fields;
    for (const Explanation& entry : explanations())
        if (entry.kind == ExplainKind::Field && entry.key.starts_with(csr + ".")) fields.push_back(&entry);
    std::sort(fields.begin(), fields.end(), [](const Explanation* a, const Explanation* b) { return a->high > b->high; });
    return fields;
}

std::string explanation_text(const Explanation& e) {
    std::string text = fmt::format("{} ({})\n", e.key, explain_kind_name(e.kind));
    if (!e.head.empty()) text += e.head + "\n";
    text += e.text + "\n";
    const auto line = [&](const char* what, const std::string& value) {
        if (!value.empty()) text += fmt::format("  {:<9}{}\n", what, value);
    };
    line("section", e.section), line("x86", e.x86), line("Arm", e.arm), line("lesson", e.lesson);
    if (e.kind == ExplainKind::Csr)
        for (const Explanation* field : fields_of(e.key))
            line("field", fmt::format("{} ({}): {}", field->key.substr(e.key.size() + 1), field->high == field->low ? fmt::format("{}", field->low) : fmt::format("{}:{}", field->high, field->low), field->text));
    return text;
}

std::string explanations_json(const std::vector<Explanation>& list) {
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const Explanation& e : list) {
        nlohmann::ordered_json one{{"thing", e.key}, {"kind", explain_kind_name(e.kind)}, {"head", e.head}, {"text", e.text},
                                   {"section", e.section}, {"x86", e.x86}, {"arm", e.arm}, {"lesson", e.lesson}};
        if (e.kind == ExplainKind::Field) one["high"] = e.high, one["low"] = e.low;
        all.push_back(std::move(one));
    }
    return all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

} // namespace trapeze::scenarios
