#include "scenarios/syscall_tables.hpp"

#include "container-sim/syscalls.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace trapeze::scenarios {

namespace {

const char* argument_name(char format) {
    switch (format) {
    case 's': return "string";
    case 'f': return "descriptor";
    case 'g': return "signal";
    case 'd': case 'c': case 'h': case 'k': case 'i': case 'q': case 'e': case 'H': case 'X': case 'K': case 'F': case 'j': case 't': case 'a': return "number";
    case 'p': case 'v': case 'b': case 'S': case 'D': case 'B': case 'z': case 'I': case 'U': case 'V': case 'W': case 'R': case '2': case '3': return "pointer";
    default: return "bits";
    }
}

std::vector<std::string> argument_names(const container::SyscallRow& row) {
    std::vector<std::string> names;
    for (const char* format = row.format; *format; ++format) names.emplace_back(argument_name(*format));
    return names;
}

std::size_t complete_rows() {
    const auto& rows = container::syscall_rows();
    return static_cast<std::size_t>(std::count_if(rows.begin(), rows.end(), [](const container::SyscallRow& row) { return !*row.gap; }));
}

} // namespace

std::string syscalls_text() {
    std::string text;
    for (const container::SyscallRow& row : container::syscall_rows())
        text += fmt::format("{:>4} {:<22} {:<56} {}\n", row.number, row.name, fmt::format("({})", fmt::join(argument_names(row), ", ")), row.gap);
    return text + fmt::format("{} system calls; of {} no gap against Linux is known. A call that is not there answers ENOSYS.\n", container::syscall_rows().size(), complete_rows());
}

std::string syscalls_markdown() {
    std::string text = fmt::format("# System calls of the container kernel\n\n"
                                   "This file is what `./trapeze isa --syscalls --format markdown` prints, from the table that the kernel runs on\n"
                                   "(`container-sim/syscalls.def`); a test compares the two. {} system calls of riscv64 Linux are there, and of {} no gap is known.\n"
                                   "A call that is not there answers ENOSYS, and an event says so.\n\n"
                                   "| number | name | arguments | missing against Linux |\n|---|---|---|---|\n",
                                   container::syscall_rows().size(), complete_rows());
    for (const container::SyscallRow& row : container::syscall_rows())
        text += fmt::format("| {} | `{}` | {} | {} |\n", row.number, row.name, fmt::join(argument_names(row), ", "), row.gap);
    return text;
}

std::string syscalls_json() {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const container::SyscallRow& row : container::syscall_rows())
        list.push_back({{"number", row.number}, {"name", row.name}, {"arguments", argument_names(row)}, {"gap", row.gap}});
    return list.dump(2) + "\n";
}

} // namespace trapeze::scenarios
