// The files of the controller memory (Documentation/admin-guide/cgroup-v2.rst, "Memory").
#include "container-sim/cgroups.hpp"
#include "container-sim/fs/types.hpp"
#include "container-sim/kernel.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

namespace {

constexpr u64 kMostPages = ~u64{0} >> 1 >> kPageShift; // PAGE_COUNTER_MAX

/// memparse: a number as strtoull takes it, in any base, and a letter; what follows stays in `text`.
u64 parse_bytes(std::string_view& text) {
    const bool hexadecimal = text.size() > 2 && text[0] == '0' && (text[1] | 0x20) == 'x';
    const u64 base = hexadecimal ? 16 : !text.empty() && text[0] == '0' ? 8 : 10;
    if (hexadecimal) text.remove_prefix(2);
    u64 value = 0;
    for (; !text.empty(); text.remove_prefix(1)) {
        const char c = text[0], lower = static_cast<char>(c | 0x20);
        const u64 digit = c >= '0' && c <= '9' ? static_cast<u64>(c - '0') : lower >= 'a' && lower <= 'f' ? static_cast<u64>(lower - 'a' + 10) : 99;
        if (digit >= base) break;
        if (__builtin_mul_overflow(value, base, &value) || __builtin_add_overflow(value, digit, &value)) value = ~u64{0};
    }
    constexpr std::string_view kLetters = "kmgtpe";
    const std::size_t letter = text.empty() ? std::string_view::npos : kLetters.find(static_cast<char>(text[0] | 0x20));
    if (letter == std::string_view::npos) return value;
    text.remove_prefix(1);
    const unsigned shift = 10 * (static_cast<unsigned>(letter) + 1);
    return value > ~u64{0} >> shift ? ~u64{0} : value << shift;
}

std::string pages_text(u64 pages) { return pages >= kMostPages ? "max\n" : fmt::format("{}\n", pages << kPageShift); }

i64 store_pages(u64& to, std::string_view text) {
    const auto pages = parse_pages(text);
    return pages ? (to = *pages, 0) : -kEINVAL;
}

} // namespace

std::optional<u64> parse_pages(std::string_view text) {
    if (text == "max") return kNoLimit;
    const u64 bytes = parse_bytes(text);
    if (!text.empty()) return std::nullopt;
    return bytes >> kPageShift >= kMostPages ? kNoLimit : bytes >> kPageShift;
}

namespace cgroup_file {

std::string show_memory_current(const CgroupAccess& access) { return fmt::format("{}\n", access.own().memory.pages << kPageShift); }
std::string show_memory_peak(const CgroupAccess& access) { return fmt::format("{}\n", access.own().memory.peak << kPageShift); }
std::string show_memory_min(const CgroupAccess& access) { return pages_text(access.own().memory.least); }
i64 store_memory_min(const CgroupAccess& access, std::string_view text) { return store_pages(access.own().memory.least, text); }
std::string show_memory_low(const CgroupAccess& access) { return pages_text(access.own().memory.low); }
i64 store_memory_low(const CgroupAccess& access, std::string_view text) { return store_pages(access.own().memory.low, text); }

/// A lower limit makes room at once, as far as that is possible without ending anybody.
std::string show_memory_high(const CgroupAccess& access) { return pages_text(access.own().memory.high); }
i64 store_memory_high(const CgroupAccess& access, std::string_view text) {
    MemoryGroup& memory = access.own().memory;
    if (const i64 error = store_pages(memory.high, text)) return error;
    while (memory.pages > memory.high && access.kernel.reclaim(access.machine, access.group, memory.pages - memory.high)) {}
    return 0;
}

/// A lower limit makes room at once, or ends those who hold the most.
std::string show_memory_max(const CgroupAccess& access) { return pages_text(access.own().memory.most); }
i64 store_memory_max(const CgroupAccess& access, std::string_view text) {
    MemoryGroup& memory = access.own().memory;
    if (const i64 error = store_pages(memory.most, text)) return error;
    while (memory.pages > memory.most && access.kernel.reclaim(access.machine, access.group, memory.pages - memory.most)) {}
    if (memory.pages > memory.most) access.kernel.out_of_memory(access.machine, access.group);
    return 0;
}

std::string show_memory_oom_group(const CgroupAccess& access) { return access.own().memory.oom_group ? "1\n" : "0\n"; }
i64 store_memory_oom_group(const CgroupAccess& access, std::string_view text) {
    const auto value = parse_integer(text);
    if (!value || *value < 0 || *value > 1) return -kEINVAL;
    return access.own().memory.oom_group = *value == 1, 0;
}

namespace {
std::string events_text(const std::array<u64, kMemoryEvents>& events) {
    static constexpr const char* kNames[] = {"low", "high", "max", "oom", "oom_kill", "oom_group_kill"};
    static_assert(std::size(kNames) == kMemoryEvents);
    std::string text;
    for (std::size_t i = 0; i < kMemoryEvents; ++i) text += fmt::format("{} {}\n", kNames[i], events[i]);
    return text + "sock_throttled 0\n";
}
} // namespace
std::string show_memory_events(const CgroupAccess& access) { return events_text(access.own().memory.events); }
std::string show_memory_events_local(const CgroupAccess& access) { return events_text(access.own().memory.local_events); }

namespace {
/// Pages of files and segments that a group and those below it have in address spaces, and those that are newer than their files.
struct FilePages {
    u64 mapped = 0, dirty = 0;
};
FilePages file_pages(const Kernel& kernel, u32 group) {
    FilePages count;
    const auto add = [&](u64 frame) {
        const u64 index = kernel.frame_index(frame);
        count.mapped += kernel.frame_users[index] > 1 && kernel.cgroup_within(kernel.frame_charges[index].group, group);
    };
    for (const auto& [page, cached] : kernel.page_cache) add(cached.frame);
    for (const auto& [serial, segment] : kernel.segments)
        for (const auto& [page, frame] : segment.frames) add(frame);
    for (const auto& page : kernel.stored_pages)
        if (const auto cached = kernel.page_cache.find(page); cached != kernel.page_cache.end() && cached->second.turn)
            count.dirty += kernel.cgroup_within(kernel.frame_charges[kernel.frame_index(cached->second.frame)].group, group);
    return count;
}
} // namespace

/// What this kernel can tell: of pages in bytes, of what has happened in times.
std::string show_memory_stat(const CgroupAccess& access) {
    const MemoryGroup& memory = access.own().memory;
    const auto bytes = [&](FrameKind kind) { return memory.kinds[static_cast<std::size_t>(kind)] << kPageShift; };
    const u64 anonymous = bytes(FrameKind::Anonymous), files = bytes(FrameKind::File), shared = bytes(FrameKind::Shared), tables = bytes(FrameKind::Table), stacks = bytes(FrameKind::Stack);
    const FilePages pages = file_pages(access.kernel, access.group);
    std::string text;
    const auto line = [&](const char* name, u64 value) { text += fmt::format("{} {}\n", name, value); };
    line("anon", anonymous), line("file", files + shared), line("kernel", tables + stacks + bytes(FrameKind::Kernel)), line("kernel_stack", stacks), line("pagetables", tables);
    line("shmem", shared), line("file_mapped", pages.mapped << kPageShift), line("file_dirty", pages.dirty << kPageShift), line("file_writeback", 0), line("swapcached", 0);
    line("inactive_anon", anonymous + shared), line("active_anon", 0), line("inactive_file", files), line("active_file", 0), line("unevictable", 0);
    line("pgscan", memory.scanned), line("pgsteal", memory.reclaimed), line("pgfault", memory.faults), line("pgmajfault", memory.major_faults);
    return text;
}

/// "BYTES" or "BYTES swappiness=N": as much as that goes, or -kEAGAIN.
i64 store_memory_reclaim(const CgroupAccess& access, std::string_view text) {
    const std::string_view bytes = text.substr(0, text.find(' ')), more = text.substr(bytes.size());
    const auto wanted = parse_pages(bytes);
    if (!wanted || bytes == "max" || !(more.empty() || more.starts_with(" swappiness="))) return -kEINVAL;
    for (u64 done = 0; done < *wanted;) {
        const u64 gone = access.kernel.reclaim(access.machine, access.group, *wanted - done);
        if (!gone) return -kEAGAIN;
        done += gone;
    }
    return 0;
}

// --- Swap, of which there is none ------------------------------------------------------------------------------------------------------------

std::string show_memory_swap_current(const CgroupAccess&) { return "0\n"; }
std::string show_memory_swap_peak(const CgroupAccess&) { return "0\n"; }
std::string show_memory_swap_events(const CgroupAccess&) { return "high 0\nmax 0\nfail 0\n"; }
std::string show_memory_swap_max(const CgroupAccess& access) { return pages_text(access.own().memory.most_swap); }
i64 store_memory_swap_max(const CgroupAccess& access, std::string_view text) { return store_pages(access.own().memory.most_swap, text); }
std::string show_memory_swap_high(const CgroupAccess& access) { return pages_text(access.own().memory.high_swap); }
i64 store_memory_swap_high(const CgroupAccess& access, std::string_view text) { return store_pages(access.own().memory.high_swap, text); }

} // namespace cgroup_file
} // namespace trapeze::container
