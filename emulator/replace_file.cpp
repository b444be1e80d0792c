#include "emulator/replace_file.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace trapeze {

namespace fs = std::filesystem;

namespace {

/// Errno is set when it is not whole.
bool write_whole(int fd, std::span<const u8> bytes) {
    for (std::size_t done = 0; done < bytes.size();) {
        const ssize_t count = write(fd, bytes.data() + done, bytes.size() - done);
        if (count < 0 && errno != EINTR) return false;
        if (count > 0) done += static_cast<std::size_t>(count);
    }
    return fsync(fd) == 0;
}

} // namespace

Result<void> replace_file(const std::string& path, std::span<const u8> bytes) {
    std::error_code unknown;
    const fs::path target = fs::weakly_canonical(path, unknown);
    if (unknown || target.empty()) return Error{fmt::format("{}: cannot be written ({}); give the name of a file", path, unknown ? unknown.message() : "the name is empty")};
    if (fs::exists(target, unknown) && !fs::is_regular_file(target, unknown)) return Error{fmt::format("{}: is a folder or a device, which is not replaced; give the name of a file", path)};
    const fs::path folder = target.parent_path();
    const fs::path beside = folder / fmt::format(".part-{}-{}", getpid(), target.filename().string());
    const auto failed = [&](const char* what, int why) {
        unlink(beside.c_str());
        return Error{fmt::format("{}: {} ({}); what it held before is still there, if there was anything", path, what, std::strerror(why))};
    };
    const int fd = open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return Error{fmt::format("{}: cannot be written ({}); give a place where you may write", path, std::strerror(errno))};
    const int why = write_whole(fd, bytes) ? 0 : errno;
    if (close(fd) != 0 || why != 0) return failed("could not be written whole; make room on the disk", why ? why : errno);
    if (rename(beside.c_str(), target.c_str()) != 0) return failed("could not be put in its place", errno);
    const int directory = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); // the new name, too, must survive a power cut
    if (directory >= 0) fsync(directory), close(directory);
    return {};
}

} // namespace trapeze
