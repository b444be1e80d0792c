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

namespace {

std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (char c : text) {
        if (c == '\n') out += "\\n";
        else if (c == '"' || c == '\\') out += std::string("\\") + c;
        else if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        else out += c;
    }
    return out + "\"";
}

constexpr std::size_t kShownBytes = 32;

} // namespace

std::string Call::text(const SyscallRow* row, u64 number) const {
    if (!row) return fmt::format("system call {} is not there (ENOSYS)", number);
    std::string out = std::string(row->name) + "(";
    const bool writes_text = std::string_view(row->name) == "write";
    for (std::size_t i = 0; row->format[i] && i < 6; ++i) {
        if (i) out += ", ";
        const u64 value = arg(static_cast<unsigned>(i));
        switch (row->format[i]) {
        case 's': {
            std::string string;
            const i64 length = kernel.copy_text(machine, task(), value, string, 256);
            out += length >= 0 ? quoted(string) : fmt::format("0x{:x}", value);
            break;
        }
        case 'p':
            if (writes_text) {
                std::vector<u8> bytes(std::min<u64>(arg(2), kShownBytes));
                if (kernel.copy_in(machine, task(), value, bytes)) {
                    out += quoted(std::string(bytes.begin(), bytes.end())) + (arg(2) > kShownBytes ? "..." : "");
                    break;
                }
            }
            out += value ? fmt::format("0x{:x}", value) : "NULL";
            break;
        case 'x': out += fmt::format("0x{:x}", value); break;
        case 'f': out += static_cast<i32>(value) == -100 ? "AT_FDCWD" : fmt::format("{}", static_cast<i32>(value)); break;
        default: out += fmt::format("{}", static_cast<i64>(value));
        }
    }
    return out + ")";
}

std::string Call::result_text(const SyscallRow* row, u64 number, i64 value) const {
    const std::string name = row ? row->name : fmt::format("call {}", number);
    if (value >= 0) return value > 0xffff ? fmt::format("{} = 0x{:x}", name, value) : fmt::format("{} = {}", name, value);
    const char* error = errno_name(-value);
    return error ? fmt::format("{} = -1 {}", name, error) : fmt::format("{} = {}", name, value);
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
