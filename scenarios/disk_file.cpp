#include "scenarios/disk_file.hpp"

#include "emulator/loader.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <utility>

namespace trapeze::scenarios {

namespace fs = std::filesystem;

namespace {
/// True when all was written; else errno says why.
bool write_all(int fd, std::span<const u8> bytes, u64 at) {
    while (!bytes.empty()) {
        const ssize_t written = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return errno = written ? errno : EIO, false;
        bytes = bytes.subspan(static_cast<std::size_t>(written)), at += static_cast<u64>(written);
    }
    return true;
}

/// A new file with these contents; false, and no file, when it cannot be had.
bool write_new(const std::string& path, std::span<const u8> bytes) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return false;
    const bool written = write_all(fd, bytes, 0) && fsync(fd) == 0;
    const int why = errno;
    close(fd);
    if (!written) unlink(path.c_str());
    return errno = why, written;
}
} // namespace

Result<DiskFile> DiskFile::open(const DriveSpec& spec) {
    DiskFile file(spec);
    if (spec.mode == DiskMode::WriteThrough) {
        file.fd_ = ::open(spec.file.c_str(), O_RDWR | O_CLOEXEC);
        if (file.fd_ < 0)
            return Error{fmt::format("{}: the disk's image cannot be opened for writing ({}); mend that, or give readonly=on or snapshot=on", spec.file,
                                     std::strerror(errno))};
        std::signal(SIGXFSZ, SIG_IGN); // beyond the limit of a file's size, a write is to fail like others
        if (flock(file.fd_, LOCK_EX | LOCK_NB) != 0)
            return Error{fmt::format("{}: another program writes this disk's image; end it, or give snapshot=on", spec.file)};
    }
    auto bytes = read_file(spec.file);
    if (!bytes) return Error{bytes.error()};
    if (bytes->empty() || bytes->size() % VirtioBlk::kSectorBytes)
        return Error{fmt::format("{}: a disk image has whole sectors of {} bytes, this one {} bytes; fill it up with truncate -s %{} {}", spec.file,
                                 VirtioBlk::kSectorBytes, bytes->size(), VirtioBlk::kSectorBytes, spec.file)};
    file.config_ = {disk_image(std::move(*bytes)), spec.mode, spec.serial};
    return file;
}

DiskFile::DiskFile(DiskFile&& other) noexcept
    : path_(std::move(other.path_)), config_(std::move(other.config_)), fd_(std::exchange(other.fd_, -1)), flushes_(other.flushes_) {}

DiskFile::~DiskFile() {
    if (fd_ >= 0) close(fd_);
}

/// The open file is still the one of that name, and as large as the disk.
Result<void> DiskFile::check_file() const {
    struct stat open {}, named {};
    if (stat(path_.c_str(), &named) != 0 || fstat(fd_, &open) != 0 || named.st_ino != open.st_ino || named.st_dev != open.st_dev)
        return Error{fmt::format("{}: the disk's image was removed or replaced while the guest runs; put the old file back, and its changes are "
                                 "written", path_)};
    if (S_ISREG(open.st_mode) && static_cast<u64>(open.st_size) < config_.image->size())
        return Error{fmt::format("{}: the disk's image has shrunk from {} bytes to {} while the guest runs; make it as large as it was, and its "
                                 "changes are written", path_, config_.image->size(), open.st_size)};
    return {};
}

Result<void> DiskFile::write_back(VirtioBlk& disk) {
    if (fd_ < 0) return {};
    Result<void> written = write_dirty(disk);
    disk.set_writable(static_cast<bool>(written));
    return written;
}

Result<void> DiskFile::write_dirty(VirtioBlk& disk) {
    if (disk.dirty())
        if (const auto checked = check_file(); !checked) return checked;
    while (const auto run = disk.dirty_run()) {
        if (!write_all(fd_, run->bytes, run->sector * VirtioBlk::kSectorBytes))
            return Error{fmt::format("{}: sectors {} to {} of the disk's image cannot be written ({}); make room, and they are", path_, run->sector,
                                     run->sector + run->count - 1, std::strerror(errno))};
        disk.clean(*run);
    }
    if (disk.flushes() == flushes_) return {};
    if (fdatasync(fd_) != 0) return Error{fmt::format("{}: the disk's image does not reach its medium ({})", path_, std::strerror(errno))};
    flushes_ = disk.flushes();
    return {};
}

Result<std::string> DiskFile::rescue(const VirtioBlk& disk) const {
    const std::vector<u8> image = disk.image();
    std::error_code failed;
    const fs::path name = fs::path(path_).filename(), temporary = fs::temp_directory_path(failed);
    for (const fs::path& folder : {fs::path(path_).parent_path(), temporary})
        for (int attempt = 0; attempt < 10; ++attempt) {
            const std::string path = (folder / fmt::format("{}.unsaved{}", name.string(), attempt ? fmt::format("-{}", attempt) : "")).string();
            if (write_new(path, image)) return path;
            if (errno != EEXIST) break;
        }
    return Error{fmt::format("{}: what the guest wrote is lost: neither the image nor a copy of it beside it or in {} can be written ({})", path_,
                             temporary.string(),
                             std::strerror(errno))};
}

} // namespace trapeze::scenarios
