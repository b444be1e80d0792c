// The table of system calls, and what all handlers share: arguments, text, events.
#include "container-sim/syscalls.hpp"

#include <fmt/format.h>

namespace trapeze::container {

const std::vector<SyscallRow>& syscall_rows() {
    static const std::vector<SyscallRow> rows = {
#define SYSCALL(number, name, format, gap) {number, #name, format, [](const Call& call) { return call.name(); }, gap},
#include "container-sim/syscalls.def"
    };
    return rows;
}

const SyscallRow* syscall_row(u64 number) {
    static const std::vector<const SyscallRow*> by_number = [] {
        std::vector<const SyscallRow*> rows(512, nullptr);
        for (const SyscallRow& row : syscall_rows()) rows[row.number] = &row;
        return rows;
    }();
    return number < by_number.size() ? by_number[number] : nullptr;
}

i64 Call::strings(u64 array, std::vector<std::string>& out) const {
    std::size_t bytes = 0;
    for (std::size_t i = 0; array; ++i) {
        if (i >= Kernel::kMaxTexts) return -kE2BIG;
        u64 pointer = 0;
        if (!read_user(array + i * 8, pointer)) return -kEFAULT;
        if (!pointer) break;
        std::string text;
        if (const i64 length = kernel.copy_text(machine, task(), pointer, text, Kernel::kMaxStrings - bytes); length < 0) return length == -kENAMETOOLONG ? -kE2BIG : length;
        bytes += text.size();
        out.push_back(std::move(text));
    }
    return 0;
}

} // namespace trapeze::container
