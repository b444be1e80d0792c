// The files of the controller io. There is one device, the machine's disk.
#include "container-sim/cgroups.hpp"
#include "container-sim/fs/types.hpp"
#include "container-sim/kernel.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace trapeze::container {

namespace {

constexpr i64 kDiskMajor = 254, kDiskMinor = 0; // as a virtio disk has it

/// Which device a word "MAJOR:MINOR" names. 0: the disk; -kENODEV, or -kEINVAL when it is no such word.
i64 find_device(std::string_view word) {
    const std::size_t colon = word.find(':');
    const auto major = parse_integer(word.substr(0, colon)), minor = colon == std::string_view::npos ? std::nullopt : parse_integer(word.substr(colon + 1));
    if (!major || !minor) return -kEINVAL;
    return *major == kDiskMajor && *minor == kDiskMinor ? 0 : -kENODEV;
}

constexpr std::array<const char*, 4> kNames = {"rbps", "wbps", "riops", "wiops"};
u64& limit_of(IoGroup& io, std::size_t index) { return index < 2 ? io.most_bytes[index] : io.most_operations[index - 2]; }

} // namespace

namespace cgroup_file {

std::string show_io_max(const CgroupAccess& access) {
    std::string text;
    bool any = false;
    for (std::size_t i = 0; i < kNames.size(); ++i) {
        const u64 limit = limit_of(access.own().io, i);
        any |= limit != kNoLimit;
        text += fmt::format(" {}={}", kNames[i], limit == kNoLimit ? "max" : fmt::format("{}", limit));
    }
    return any ? fmt::format("{}:{}{}\n", kDiskMajor, kDiskMinor, text) : "";
}

/// "254:0 rbps=1048576 wiops=max": what is not named stays.
i64 store_io_max(const CgroupAccess& access, std::string_view text) {
    const auto words = words_of(text);
    if (words.empty()) return -kEINVAL;
    if (const i64 error = find_device(words[0])) return error;
    IoGroup wanted = access.own().io;
    for (std::size_t i = 1; i < words.size(); ++i) {
        const std::size_t equals = std::min(words[i].find('='), words[i].size());
        const auto known = std::find(kNames.begin(), kNames.end(), words[i].substr(0, equals));
        const auto limit = equals < words[i].size() ? parse_limit(words[i].substr(equals + 1)) : std::nullopt;
        if (known == kNames.end() || !limit) return -kEINVAL;
        if (*limit == 0) return -kERANGE;
        limit_of(wanted, static_cast<std::size_t>(known - kNames.begin())) = *limit;
    }
    wanted.free_at = {};
    return access.own().io = wanted, 0;
}

std::string show_io_weight(const CgroupAccess& access) { return fmt::format("default {}\n", access.own().io_weight); }
i64 store_io_weight(const CgroupAccess& access, std::string_view text) {
    auto words = words_of(text);
    if (!words.empty() && words[0].find(':') != std::string_view::npos) return find_device(words[0]) ? -kENODEV : -kEOPNOTSUPP; // the disk has no weights
    if (!words.empty() && words[0] == "default") words.erase(words.begin());
    const auto value = words.size() == 1 ? parse_integer(words[0]) : std::nullopt;
    if (!value) return -kEINVAL;
    if (*value < 1 || *value > 10'000) return -kERANGE;
    return access.own().io_weight = static_cast<u32>(*value), 0;
}

std::string show_io_stat(const CgroupAccess& access) {
    const IoGroup& io = access.own().io;
    if (!io.operations[0] && !io.operations[1]) return "";
    return fmt::format("{}:{} rbytes={} wbytes={} rios={} wios={} dbytes=0 dios=0\n", kDiskMajor, kDiskMinor, io.bytes[0], io.bytes[1], io.operations[0], io.operations[1]);
}

} // namespace cgroup_file
} // namespace trapeze::container
