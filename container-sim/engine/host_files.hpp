// Files of the host that the engine reads and locks, each by an explicit call: archives, the image store, build contexts.
#pragma once

#include "container-sim/engine/digest.hpp"
#include "emulator/base/result.hpp"

#include <string>
#include <vector>

namespace trapeze::container {

/// All bytes of a regular file of at most `most` bytes. Pipes and devices are refused, so nothing blocks.
Result<Bytes> read_host_file(const std::string& path, u64 most);
bool is_host_folder(const std::string& path);
bool host_file_exists(const std::string& path);
Result<void> make_host_folder(const std::string& path);
/// The names in a folder, sorted; empty when it cannot be read.
std::vector<std::string> names_in_host_folder(const std::string& path);

/// Holds flock(2) on a file while it lives.
class HostLock {
  public:
    /// Waits until nobody else holds it.
    static Result<HostLock> take(const std::string& path);
    HostLock(HostLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
    HostLock& operator=(HostLock&&) = delete;
    ~HostLock();

  private:
    explicit HostLock(int fd) : fd_(fd) {}
    int fd_;
};

} // namespace trapeze::container
