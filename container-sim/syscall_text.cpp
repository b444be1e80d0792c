// A system call as text, as strace(1) writes it: strings and buffers quoted, flags by name, what the call has written once it is over.
#include "container-sim/abi.hpp"
#include "container-sim/syscalls.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>

namespace trapeze::container {

namespace {

constexpr u64 kShownBytes = 48;
constexpr std::size_t kShownStrings = 16, kShownPath = 256;
constexpr char kOutputs[] = "BIUVWRz23"; // formats of what the call writes

struct FlagName {
    char set;
    u64 mask, value;
    const char* name;
};
constexpr FlagName kFlags[] = {
#define FLAG(set, mask, value, name) {set, static_cast<u32>(mask), static_cast<u32>(value), name},
#include "container-sim/syscall_flags.def"
};

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (char c : text) {
        if (c == '\n') out += "\\n";
        else if (c == '"' || c == '\\') out += std::string("\\") + c;
        else if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        else out += c;
    }
    return out + "\"";
}

std::string pointer_text(u64 value) { return value ? fmt::format("0x{:x}", value) : "NULL"; }

/// What the names of a set cover, then the rest; null when the set has no names: it is not a set.
std::optional<std::string> flags_text(char set, u64 value) {
    std::vector<std::string> names;
    u64 rest = value & 0xffff'ffff;
    bool known = false;
    u64 told = 0;
    for (const FlagName& flag : kFlags) {
        if (flag.set != set) continue;
        known = true;
        if ((value & flag.mask) != flag.value || flag.mask & told) continue;
        names.push_back(flag.name);
        rest &= ~flag.mask, told |= flag.mask;
    }
    if (!known) return std::nullopt;
    if (set == 'C') { // below the flags: the signal that tells the parent of the end
        if (const u64 signal = rest & 0xff; signal && signal <= kSignals) names.push_back(signal_name(static_cast<int>(signal))), rest &= ~u64{0xff};
    }
    if (rest || names.empty()) names.push_back(rest ? fmt::format("0x{:x}", rest) : "0");
    return fmt::format("{}", fmt::join(names, "|"));
}

/// Writes the arguments of one call.
struct Writer {
    const Call& call;
    const i64* result; ///< null: it has only begun

    u64 arg(unsigned i) const { return call.arg(i); }
    bool wrote() const { return result && *result >= 0; }

    std::string path(u64 at) const {
        std::string text;
        const i64 length = call.kernel.copy_text(call.machine, call.task(), at, text, kShownPath);
        return length >= 0 ? quoted(text) : pointer_text(at);
    }
    std::string bytes(u64 at, u64 count) const {
        std::vector<u8> copy(std::min(count, kShownBytes));
        if (!at || !call.kernel.copy_in(call.machine, call.task(), at, copy)) return pointer_text(at);
        return quoted({reinterpret_cast<const char*>(copy.data()), copy.size()}) + (count > kShownBytes ? "..." : "");
    }
    std::string vector(u64 at) const {
        std::vector<std::string> texts;
        for (std::size_t i = 0; at; ++i) {
            u64 pointer = 0;
            if (!call.read_user(at + i * 8, pointer)) return pointer_text(at);
            if (!pointer) break;
            if (i == kShownStrings) return fmt::format("[{}, ...]", fmt::join(texts, ", "));
            texts.push_back(path(pointer));
        }
        return fmt::format("[{}]", fmt::join(texts, ", "));
    }
    template <class T> std::string numbers(u64 at, unsigned count) const {
        std::vector<T> values(count);
        for (unsigned i = 0; i < count; ++i)
            if (!call.read_user(at + i * sizeof(T), values[i])) return pointer_text(at);
        return count == 1 ? fmt::format("[{}]", values[0]) : fmt::format("[{}]", fmt::join(values, ", "));
    }
    std::string time(u64 at) const {
        std::array<i64, 2> value{};
        return at && call.read_user(at, value) ? fmt::format("{{{}.{:09}}}", value[0], value[1]) : pointer_text(at);
    }
    std::string address(u64 at, u64 bytes) const {
        std::array<u8, 128> raw{};
        const u64 size = std::min<u64>(bytes, 110);
        if (!at || size < 2 || !call.kernel.copy_in(call.machine, call.task(), at, std::span(raw).first(size))) return pointer_text(at);
        const unsigned family = raw[0] | raw[1] << 8;
        if (family == 2 && size >= 8) return fmt::format("{{AF_INET, {}.{}.{}.{}:{}}}", raw[4], raw[5], raw[6], raw[7], raw[2] << 8 | raw[3]);
        if (family != 1) return fmt::format("{{{}, ...}}", *flags_text('F', family));
        const std::string_view name(reinterpret_cast<const char*>(raw.data()) + 2, size - 2);
        if (!name.empty() && name[0] == 0) return fmt::format("{{AF_UNIX, @{}}}", quoted(name.substr(1)));
        return fmt::format("{{AF_UNIX, {}}}", quoted(name.substr(0, name.find('\0'))));
    }
    std::string names_of_system(u64 at) const { // struct utsname: six names of 65 bytes
        std::array<char, 130> names{};
        if (!call.read_user(at, names)) return pointer_text(at);
        names[64] = names[129] = 0;
        return fmt::format("{{sysname={}, nodename={}, ...}}", quoted(names.data()), quoted(names.data() + 65));
    }
    std::string status(u64 at) const { // struct stat of riscv64
        std::array<u8, 128> raw{};
        if (!call.read_user(at, raw)) return pointer_text(at);
        u32 mode = 0;
        u64 inode = 0, size = 0;
        std::memcpy(&inode, &raw[8], 8), std::memcpy(&mode, &raw[16], 4), std::memcpy(&size, &raw[48], 8);
        return fmt::format("{{st_mode=0{:o}, st_size={}, st_ino={}, ...}}", mode, size, inode);
    }
    std::string wait_status(u64 at) const {
        i32 value = 0;
        if (!at || !call.read_user(at, value)) return pointer_text(at);
        if (!result || *result <= 0) return pointer_text(at);
        if ((value & 0x7f) == 0) return fmt::format("[WIFEXITED && WEXITSTATUS == {}]", value >> 8 & 0xff);
        if ((value & 0xff) == 0x7f) return fmt::format("[WIFSTOPPED && WSTOPSIG == {}]", signal_name(value >> 8 & 0xff));
        return fmt::format("[WIFSIGNALED && WTERMSIG == {}]", signal_name(value & 0x7f));
    }
    /// What a call has written, by the argument's format.
    std::string output(char format, unsigned i) const {
        switch (format) {
        case 'B': case 'z': return bytes(arg(i), static_cast<u64>(*result));
        case 'I': return status(arg(i));
        case 'U': return names_of_system(arg(i));
        case 'V': return time(arg(i));
        case 'W': return wait_status(arg(i));
        case '2': return numbers<i32>(arg(i), 2);
        case '3': return numbers<u32>(arg(i), 1);
        default: { // R: a socket's address, its length behind the next argument
            u32 length = 0;
            return arg(i + 1) && call.read_user(arg(i + 1), length) ? address(arg(i), length) : pointer_text(arg(i));
        }
        }
    }
    std::string argument(char format, unsigned i) const {
        const u64 value = arg(i);
        if (std::strchr(kOutputs, format)) return wrote() ? output(format, i) : pointer_text(value);
        switch (format) {
        case 's': return path(value);
        case 'v': return vector(value);
        case 'b': return bytes(value, arg(i + 1));
        case 'S': return address(value, arg(i + 1));
        case 'D': return time(value);
        case 'p': return pointer_text(value);
        case 'x': return fmt::format("0x{:x}", value);
        case 'o': return fmt::format("0{:o}", value);
        case 'f': return static_cast<i32>(value) == kAtCwd ? "AT_FDCWD" : fmt::format("{}", static_cast<i32>(value));
        case 'g': return value >= 1 && value <= kSignals ? signal_name(static_cast<int>(value)) : fmt::format("{}", static_cast<i32>(value));
        default: return flags_text(format, value).value_or(fmt::format("{}", static_cast<i64>(value)));
        }
    }
};

} // namespace

std::string Call::text(const SyscallRow* row, u64 number, const i64* result) const {
    if (!row) return fmt::format("syscall_{}(0x{:x}, 0x{:x}, 0x{:x})", number, arg(0), arg(1), arg(2));
    const Writer writer{*this, result};
    std::string out = std::string(row->name) + "(";
    for (unsigned i = 0; row->format[i] && i < 6; ++i) out += (i ? ", " : "") + writer.argument(row->format[i], i);
    return out + ")";
}

/// "name = result", or, where the call has written something that is shown, "name(arguments) = result".
std::string Call::result_text(const SyscallRow* row, u64 number, i64 value) const {
    std::string name = row ? row->name : fmt::format("syscall_{}", number);
    if (row && value >= 0 && std::strpbrk(row->format, kOutputs)) name = text(row, number, &value);
    if (value >= 0) return value > 0xffff ? fmt::format("{} = 0x{:x}", name, value) : fmt::format("{} = {}", name, value);
    const char* error = errno_name(-value);
    return error ? fmt::format("{} = -1 {} ({})", name, error, errno_text(-value)) : fmt::format("{} = {}", name, value);
}

} // namespace trapeze::container
