// trapeze isa: the tables of instructions and CSRs, with Popek and Goldberg's classification, and of system calls.
#include "scenarios/cli.hpp"
#include "scenarios/isa_tables.hpp"
#include "scenarios/syscall_tables.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace trapeze::scenarios {

namespace {

int isa(const std::string& format, bool syscalls) {
    if (format != "text" && format != "markdown" && format != "json") return complain(fmt::format("--format {}: give text, markdown or json", format), kUsage);
    if (syscalls) return fmt::print("{}", format == "json" ? syscalls_json() : format == "markdown" ? syscalls_markdown() : syscalls_text()), 0;
    fmt::print("{}", format == "json" ? isa_json() : format == "markdown" ? isa_markdown() : isa_text());
    return 0;
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
    auto format = std::make_shared<std::string>("text");
    auto json = std::make_shared<bool>(false);
    verb->add_option("--format", *format, "text, markdown (which is docs/isa.md), or json for one JSON object")->capture_default_str();
    verb->add_flag("--json", *json, "the same as --format json");
    auto syscalls = std::make_shared<bool>(false);
    verb->add_flag("--syscalls", *syscalls, "the table of the container kernel's system calls instead, with what each lacks against Linux (as markdown: docs/syscalls.md)");
    verb->callback([=, status = &verbs.status] { *status = isa(*json ? "json" : *format, *syscalls); });
    auto* names = verbs.app.add_subcommand("symbols", "list the symbols of a guest, for breakpoints and lessons");
    auto guest = std::make_shared<std::string>();
    names->add_option("guest", *guest, "an ELF file, or the name of a shipped guest")->required();
    auto names_json = std::make_shared<bool>(false);
    names->add_flag("--json", *names_json, "as a list of objects: address, name");
    names->callback([=, status = &verbs.status] { *status = symbols(*guest, *names_json); });
}

} // namespace trapeze::scenarios
