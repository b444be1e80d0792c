// Where Trapeze's own files are: built guests, lessons, cost models.
#include "scenarios/files.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

namespace trapeze::scenarios {

namespace fs = std::filesystem;

namespace {

/// The folder of the running program; the build puts it into BUILD/bin.
fs::path program_folder() {
    std::error_code failed;
    const fs::path program = fs::read_symlink("/proc/self/exe", failed);
    return failed ? fs::path(".") : program.parent_path();
}

std::vector<fs::path> shipped_guests() {
    std::vector<fs::path> found;
    for (const char* folder : {"", "bare"}) {
        std::error_code failed;
        for (const auto& entry : fs::directory_iterator(fs::path(build_folder()) / "guests" / folder, failed))
            if (entry.path().extension() == ".elf") found.push_back(entry.path());
    }
    std::sort(found.begin(), found.end());
    return found;
}

} // namespace

std::string build_folder() {
    if (const char* set = std::getenv("TRAPEZE_BUILD_DIR")) return set;
    fs::path folder = program_folder().parent_path();
    if (folder.filename() == "sanitize" || folder.filename() == "debug") folder = folder.parent_path();
    return folder.string();
}

std::string root_folder() {
    if (const char* set = std::getenv("TRAPEZE_ROOT")) return set;
    return fs::path(build_folder()).parent_path().string();
}

Result<std::string> find_guest(const std::string& name) {
    std::error_code failed;
    if (fs::is_directory(name, failed)) return Error{fmt::format("{}: this is a folder; give a kernel or a program", name)};
    if (fs::exists(name, failed)) return name;
    std::string names;
    for (const fs::path& guest : shipped_guests()) {
        if (guest.stem() == name) return guest.string();
        names += (names.empty() ? "" : ", ") + guest.stem().string();
    }
    if (names.empty()) names = "none is built; ./trapeze build makes them";
    return Error{fmt::format("{}: there is no such file, nor a shipped guest of that name (shipped: {})", name, names)};
}

} // namespace trapeze::scenarios
