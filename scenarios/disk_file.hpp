// The file behind a virtio disk. It is read whole; of a disk that is written through, the dirty sectors go back to it, in runs. A run
// that could not be written stays dirty and is tried again, so that a full or vanished file loses nothing while the session runs; what
// cannot be brought home at its end goes into a file of its own.
#pragma once

#include "emulator/devices/virtio_blk.hpp"
#include "scenarios/device_options.hpp"

namespace trapeze::scenarios {

class DiskFile {
  public:
    /// Opens and reads the image. One that is to be written through is locked against others that write it as well.
    static Result<DiskFile> open(const DriveSpec& spec);
    DiskFile(DiskFile&& other) noexcept;
    DiskFile& operator=(DiskFile&&) = delete;
    ~DiskFile();

    const DiskConfig& config() const { return config_; }
    /// Writes what is dirty; and waits for the medium when the guest has asked for it since the last time. The error names the file and
    /// what to do; what is not written stays dirty.
    /// The disk refuses what the guest writes from then on, until it has got through.
    Result<void> write_back(VirtioBlk& disk);
    /// For the end, when write_back fails: writes the whole disk into a new file beside the image, or in the folder for temporary
    /// files. Returns its name.
    Result<std::string> rescue(const VirtioBlk& disk) const;

  private:
    explicit DiskFile(const DriveSpec& spec) : path_(spec.file) {}
    Result<void> check_file() const;
    Result<void> write_dirty(VirtioBlk& disk);

    std::string path_;
    DiskConfig config_;
    int fd_ = -1; ///< -1: not written through
    u64 flushes_ = 0;
};


} // namespace trapeze::scenarios
