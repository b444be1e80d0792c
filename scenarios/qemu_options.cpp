#include "scenarios/qemu_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace trapeze::scenarios {

namespace {

/// What becomes of an option of QEMU's.
enum class Becomes {
    Option,  ///< another spelling: `trapeze`, with its value
    Flag,    ///< the same without a value
    Nothing, ///< what this machine does anyway
    Checked, ///< nothing, when its value is one of `accepted`
};
struct Row {
    const char* qemu; ///< without its dashes; QEMU takes one or two
    Becomes becomes;
    const char* trapeze;  ///< the option of `trapeze boot`
    const char* accepted; ///< values whose meaning is kept, by the part before the first comma: " virt virt,aclint=off "
};
constexpr Row kRows[] = {
    {"kernel", Becomes::Option, "--kernel", ""},
    {"initrd", Becomes::Option, "--initrd", ""},
    {"append", Becomes::Option, "--append", ""},
    {"bios", Becomes::Option, "--bios", ""},
    {"drive", Becomes::Option, "--drive", ""},
    {"dtb", Becomes::Option, "--dtb", ""},
    {"smp", Becomes::Option, "--smp", ""},
    {"m", Becomes::Option, "--memory", ""},
    {"no-reboot", Becomes::Flag, "--no-reboot", ""},
    {"nographic", Becomes::Nothing, "", ""},
    {"nodefaults", Becomes::Nothing, "", ""},
    {"machine", Becomes::Checked, "", "virt"},
    {"M", Becomes::Checked, "", "virt"},
    {"cpu", Becomes::Checked, "", "rv64 max"},
    {"serial", Becomes::Checked, "", "mon:stdio stdio"},
    {"monitor", Becomes::Checked, "", "none stdio"},
    {"display", Becomes::Checked, "", "none"},
    {"device", Becomes::Option, "--device", ""},
    {"netdev", Becomes::Option, "--netdev", ""},
    {"object", Becomes::Option, "--object", ""},
    {"global", Becomes::Checked, "", "virtio-mmio.force-legacy=false"},
};

const Row* row_of(std::string_view argument) {
    if (argument.size() < 2 || argument[0] != '-') return nullptr;
    argument.remove_prefix(argument[1] == '-' ? 2 : 1);
    const auto* found = std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& r) { return argument == r.qemu; });
    return found != std::end(kRows) ? found : nullptr;
}

bool is_number(std::string_view text) { return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos; }
std::string before_comma(const std::string& text) { return text.substr(0, text.find(',')); }

bool accepts(const Row& row, const std::string& value) {
    const std::string_view words = row.accepted;
    const std::string word = before_comma(value);
    for (std::size_t begin = 0; begin < words.size();) {
        const std::size_t end = std::min(words.find(' ', begin), words.size());
        if (words.substr(begin, end - begin) == word) return true;
        begin = end + 1;
    }
    return false;
}

/// A value in Trapeze's terms: QEMU's -m counts MiB when it has no unit; -m and -smp may name their first part.
std::string translate_value(const Row& row, std::string value) {
    const std::string_view option = row.qemu;
    if (option != "m" && option != "smp") return value;
    value = before_comma(value);
    for (const std::string_view key : {"size=", "cpus="})
        if (value.starts_with(key)) value.erase(0, key.size());
    return option == "m" && is_number(value) ? value + "M" : value;
}

} // namespace

Result<std::vector<std::string>> translate_qemu_options(const std::vector<std::string>& arguments) {
    if (arguments.empty() || arguments[0] != "boot") return arguments;
    std::vector<std::string> out{arguments[0]};
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        const Row* row = row_of(arguments[i]);
        if (!row || arguments[i] == row->trapeze) {
            out.push_back(arguments[i]);
            // The value of an option of Trapeze's own may look like anything, so it is not looked at.
            if (row && row->becomes == Becomes::Option && i + 1 < arguments.size()) out.push_back(arguments[++i]);
            continue;
        }
        if (row->becomes == Becomes::Nothing) continue;
        if (row->becomes == Becomes::Flag) {
            out.push_back(row->trapeze);
            continue;
        }
        if (i + 1 >= arguments.size()) return Error{fmt::format("{} needs a value", arguments[i])};
        const std::string& value = arguments[++i];
        if (row->becomes == Becomes::Option) out.push_back(row->trapeze), out.push_back(translate_value(*row, value));
        else if (!accepts(*row, value))
            return Error{fmt::format("-{} {}: this machine is always QEMU's virt board with its console on this terminal; what it takes here is: {}",
                                     row->qemu, value, row->accepted)};
    }
    return out;
}

} // namespace trapeze::scenarios
