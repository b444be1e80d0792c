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

/// Written beside the file under another name, then renamed: whoever looks sees the old file or the new one, never a part.
Result<void> replace_file(const std::string& path, std::span<const u8> bytes) {
    const std::string beside = fmt::format("{}.part-{}", path, getpid());
    const auto failed = [&](const char* what) {
        const std::string why = std::strerror(errno);
        unlink(beside.c_str());
        return Error{fmt::format("{}: {} ({}); what it held before is still there, if there was anything", path, what, why)};
    };
    const int fd = open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return Error{fmt::format("{}: cannot be written ({}); give a place where you may write", path, std::strerror(errno))};
    bool whole = true;
    for (std::size_t done = 0; done < bytes.size() && whole;) {
        const ssize_t count = ::write(fd, bytes.data() + done, bytes.size() - done);
        if (count > 0) done += static_cast<std::size_t>(count);
        else whole = count < 0 && errno == EINTR;
    }
    whole = whole && fsync(fd) == 0;
    const int why = errno;
    if (close(fd) != 0 || !whole) return errno = whole ? errno : why, failed("could not be written whole; make room on the disk");
    if (rename(beside.c_str(), path.c_str()) != 0) return failed("could not be put in its place");
    return {};
}

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
