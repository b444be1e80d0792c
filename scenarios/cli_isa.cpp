// trapeze isa: the tables of instructions and CSRs, with Popek and Goldberg's classification.
#include "scenarios/cli.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace trapeze::scenarios {

namespace {

const char* extension_name(Extension extension) {
    static constexpr const char* kNames[] = {"I", "M", "A", "F", "D", "Zicsr", "Zifencei", "H", "Svinval", "Zihintpause", "Zawrs", "Zicond", "Zicbom",
                                             "Zicbop", "Zicboz", "Zfhmin", "Zba", "Zbb", "Zbc", "Zbs"};
    return kNames[static_cast<std::size_t>(extension)];
}
const char* sensitivity_name(Sensitivity sensitivity) {
    static constexpr const char* kNames[] = {"innocuous", "control-sensitive", "behaviour-sensitive", "as its CSR"};
    return kNames[static_cast<std::size_t>(sensitivity)];
}

void print_text() {
    fmt::print("{:<14}{:<10}{:<8}{}\n", "instruction", "extension", "lowest", "Popek and Goldberg");
    for (std::size_t i = 0; i < kOpCount; ++i) {
        const InstructionRow& r = row(static_cast<Op>(i));
        fmt::print("{:<14}{:<10}{:<8}{}\n", r.mnemonic, extension_name(r.extension), priv_letter(r.lowest), sensitivity_name(r.sensitivity));
    }
    fmt::print("\n{:<8}{:<16}{:<8}{:<22}{}\n", "number", "CSR", "lowest", "Popek and Goldberg", "what it is");
    for (std::size_t i = 0; i < kCsrCount; ++i) {
        const CsrRow& r = csr_row_at(i);
        const auto number = static_cast<u16>(r.csr);
        fmt::print("0x{:03x}   {:<16}{:<8}{:<22}{}\n", number, r.name, priv_letter(csr_lowest_priv(number)), sensitivity_name(r.sensitivity), r.sentence);
    }
}

void print_json() {
    nlohmann::ordered_json instructions = nlohmann::ordered_json::array(), csrs = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < kOpCount; ++i) {
        const InstructionRow& r = row(static_cast<Op>(i));
        instructions.push_back({{"mnemonic", r.mnemonic}, {"match", r.match}, {"mask", r.mask}, {"extension", extension_name(r.extension)},
                                {"lowest", std::string(1, priv_letter(r.lowest))}, {"sensitivity", sensitivity_name(r.sensitivity)}});
    }
    for (std::size_t i = 0; i < kCsrCount; ++i) {
        const CsrRow& r = csr_row_at(i);
        const auto number = static_cast<u16>(r.csr);
        csrs.push_back({{"number", number}, {"name", r.name}, {"lowest", std::string(1, priv_letter(csr_lowest_priv(number)))},
                        {"read_only", csr_read_only(number)}, {"sensitivity", sensitivity_name(r.sensitivity)}, {"sentence", r.sentence}});
    }
    fmt::print("{}\n", nlohmann::ordered_json{{"instructions", instructions}, {"csrs", csrs}}.dump(2));
}

int symbols(const std::string& guest, bool json) {
    const auto path = find_guest(guest);
    if (!path) return complain(path.error(), kFailed);
    auto bytes = read_file(path.value());
    if (!bytes) return complain(bytes.error(), kFailed);
    if (!looks_like_elf(bytes.value())) return complain(fmt::format("{}: this is not an ELF file, so it has no symbols; give the ELF file that it was made from", path.value()), kFailed);
    const auto elf = parse_elf(std::move(*bytes), path.value());
    if (!elf) return complain(elf.error(), kFailed);
    std::vector<std::pair<u64, std::string>> rows;
    for (const auto& [name, address] : elf.value().symbols) rows.emplace_back(address, name);
    std::sort(rows.begin(), rows.end());
    if (rows.empty()) return complain(fmt::format("{}: it names no symbols; link it without -s", path.value()), kFailed);
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const auto& [address, name] : rows) {
        if (json) list.push_back({{"address", fmt::format("{:#x}", address)}, {"name", name}});
        else fmt::print("0x{:016x} {}\n", address, name);
    }
    if (json) fmt::print("{}\n", list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return 0;
}

} // namespace

void add_isa(Verbs verbs) {
    auto* verb = verbs.app.add_subcommand("isa", "print the tables of instructions and CSRs: who may use them, and how sensitive they are");
    auto json = std::make_shared<bool>(false);
    verb->add_flag("--json", *json, "as one JSON object");
    verb->callback([=] { *json ? print_json() : print_text(); });
    auto* names = verbs.app.add_subcommand("symbols", "list the symbols of a guest, for breakpoints and lessons");
    auto guest = std::make_shared<std::string>();
    names->add_option("guest", *guest, "an ELF file, or the name of a shipped guest")->required();
    auto names_json = std::make_shared<bool>(false);
    names->add_flag("--json", *names_json, "as a list of objects: address, name");
    names->callback([=, status = &verbs.status] { *status = symbols(*guest, *names_json); });
}

} // namespace trapeze::scenarios
