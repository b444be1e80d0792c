#include "scenarios/source_lines.hpp"

#include "emulator/loader.hpp"
#include "scenarios/files.hpp"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <libelf.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <memory>

namespace trapeze::scenarios {

namespace {

constexpr std::size_t kMostRows = 4'000'000, kMostSourceBytes = 8 << 20, kMostPath = 4096;
constexpr u64 kMostElfBytes = u64{256} << 20; // larger ones, such as a Linux with all of its lines, would hold up the start

std::string trimmed(const std::string& line) {
    const std::size_t first = line.find_first_not_of(" \t\r"), last = line.find_last_not_of(" \t\r");
    return first == std::string::npos ? std::string() : line.substr(first, last - first + 1);
}

/// Where the compiler ran.
std::string folder_of(Dwarf_Die& unit) {
    Dwarf_Attribute attribute;
    const char* const folder = dwarf_formstring(dwarf_attr(&unit, DW_AT_comp_dir, &attribute));
    return folder && strnlen(folder, kMostPath) < kMostPath ? folder : "";
}

std::string in_folder(const std::string& folder, const std::string& source) {
    return source.empty() || source[0] == '/' || folder.empty() || source.starts_with(folder + "/") ? source : folder + "/" + source;
}

/// Every line table of the file: `take(address, name of the source file, line)`, where line 0 ends what went before.
template <class Take> void for_rows(Dwarf* dwarf, Take take) {
    Dwarf_Off offset = 0, next = 0;
    std::size_t header = 0;
    for (; dwarf_nextcu(dwarf, offset, &next, &header, nullptr, nullptr, nullptr) == 0 && next > offset; offset = next) {
        Dwarf_Die unit;
        Dwarf_Lines* lines = nullptr;
        std::size_t count = 0;
        if (!dwarf_offdie(dwarf, offset + header, &unit) || dwarf_getsrclines(&unit, &lines, &count) != 0) continue;
        const std::string folder = folder_of(unit);
        for (std::size_t i = 0; i < count; ++i) {
            Dwarf_Line* const line = dwarf_onesrcline(lines, i);
            Dwarf_Addr address = 0;
            int number = 0;
            bool ends = false;
            if (!line || dwarf_lineaddr(line, &address) != 0 || dwarf_lineno(line, &number) != 0) continue;
            (void)dwarf_lineendsequence(line, &ends);
            const char* const source = dwarf_linesrc(line, nullptr, nullptr);
            if (!take(address, source && strnlen(source, kMostPath) < kMostPath ? in_folder(folder, source) : "", ends || number < 0 ? 0u : static_cast<unsigned>(number))) return;
        }
    }
}

} // namespace

SourceLines SourceLines::read(std::span<const u8> elf) {
    SourceLines out;
    if (elf.size() < EI_NIDENT || std::memcmp(elf.data(), ELFMAG, SELFMAG) != 0 || elf_version(EV_CURRENT) == EV_NONE) return out;
    std::vector<u8> bytes(elf.begin(), elf.end()); // libelf may write into what it is given
    const std::unique_ptr<Elf, decltype(&elf_end)> file(elf_memory(reinterpret_cast<char*>(bytes.data()), bytes.size()), elf_end);
    if (!file) return out;
    const std::unique_ptr<Dwarf, decltype(&dwarf_end)> dwarf(dwarf_begin_elf(file.get(), DWARF_C_READ, nullptr), dwarf_end);
    if (!dwarf) return out;
    std::map<std::string, u32> numbers;
    for_rows(dwarf.get(), [&](u64 address, const std::string& source, unsigned line) {
        const auto [at, fresh] = numbers.emplace(source, static_cast<u32>(out.files_.size()));
        if (fresh) out.files_.push_back(source);
        out.rows_.push_back({address, at->second, line});
        return out.rows_.size() < kMostRows;
    });
    // Where one unit ends and another begins at the same address, the beginning counts.
    std::stable_sort(out.rows_.begin(), out.rows_.end(), [](const Row& a, const Row& b) { return a.address != b.address ? a.address < b.address : (a.line == 0) > (b.line == 0); });
    return out;
}

SourceLines SourceLines::of(const Session& session) {
    const SessionConfig& config = session.config();
    if (session.kernel() || config.guest.empty()) return {};
    if (config.files) {
        const auto held = config.files->find(config.guest);
        return held == config.files->end() ? SourceLines() : read(held->second);
    }
    const auto path = find_guest(config.guest);
    const auto bytes = path ? read_file(path.value(), kMostElfBytes) : Result<std::vector<u8>>(Error{""});
    return bytes ? read(bytes.value()) : SourceLines();
}

std::optional<SourceLines::Place> SourceLines::at(u64 address) const {
    const auto above = std::upper_bound(rows_.begin(), rows_.end(), address, [](u64 wanted, const Row& row) { return wanted < row.address; });
    if (above == rows_.begin()) return std::nullopt;
    const Row& row = *(above - 1);
    if (row.line == 0 || files_[row.file].empty()) return std::nullopt;
    return Place{files_[row.file], row.line};
}

std::optional<std::string> SourceLines::text(const Place& place) const {
    auto found = sources_.find(place.file);
    if (found == sources_.end()) {
        std::vector<std::string> lines;
        // The shipped guests name theirs from the root on. What is no file, such as a pipe, is not waited for.
        const std::string path = place.file[0] == '/' ? place.file : root_folder() + "/" + place.file;
        std::error_code failed;
        const auto bytes = std::filesystem::is_regular_file(path, failed) ? read_file(path, kMostSourceBytes) : Result<std::vector<u8>>(Error{""});
        if (bytes) {
            std::string line;
            for (const u8 byte : bytes.value())
                if (byte == '\n') lines.push_back(trimmed(line)), line.clear();
                else line += static_cast<char>(byte);
            lines.push_back(trimmed(line));
        }
        found = sources_.emplace(place.file, std::move(lines)).first;
    }
    if (place.line == 0 || place.line > found->second.size()) return std::nullopt;
    return found->second[place.line - 1];
}

} // namespace trapeze::scenarios
