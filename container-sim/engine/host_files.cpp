#include "container-sim/engine/host_files.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace trapeze::container {

namespace fs = std::filesystem;

Result<Bytes> read_host_file(const std::string& path, u64 most) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return Error{fmt::format("{}: cannot be read ({})", path, std::strerror(errno))};
    struct stat info {};
    std::vector<u8> bytes;
    std::string problem;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) problem = "it is no regular file; give one";
    else if (static_cast<u64>(info.st_size) > most) problem = fmt::format("it has {} bytes (at most {}); give a smaller one", info.st_size, most);
    else bytes.resize(static_cast<std::size_t>(info.st_size));
    std::size_t done = 0;
    while (problem.empty() && done < bytes.size()) {
        const ssize_t count = read(fd, bytes.data() + done, bytes.size() - done);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) problem = std::strerror(errno);
        if (count <= 0) break;
        done += static_cast<std::size_t>(count);
    }
    close(fd);
    if (!problem.empty()) return Error{fmt::format("{}: {}", path, problem)};
    bytes.resize(done); // the file may have shrunk meanwhile
    return make_bytes(std::move(bytes));
}

bool is_host_folder(const std::string& path) {
    std::error_code failed;
    return fs::is_directory(path, failed);
}
bool host_file_exists(const std::string& path) {
    std::error_code failed;
    return fs::exists(path, failed);
}
Result<void> make_host_folder(const std::string& path) {
    std::error_code failed;
    fs::create_directories(path, failed);
    if (failed) return Error{fmt::format("{}: the folder cannot be made ({}); give a place where you may write", path, failed.message())};
    return {};
}
std::vector<std::string> names_in_host_folder(const std::string& path) {
    std::vector<std::string> names;
    std::error_code failed;
    for (auto at = fs::directory_iterator(path, failed); !failed && at != fs::directory_iterator(); at.increment(failed)) names.push_back(at->path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
}

Result<HostLock> HostLock::take(const std::string& path) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return Error{fmt::format("{}: cannot be locked ({}); give a place where you may write", path, std::strerror(errno))};
    while (flock(fd, LOCK_EX) != 0)
        if (errno != EINTR) {
            close(fd);
            return Error{fmt::format("{}: cannot be locked ({})", path, std::strerror(errno))};
        }
    return HostLock(fd);
}
HostLock::~HostLock() {
    if (fd_ >= 0) close(fd_);
}

} // namespace trapeze::container
