// What a regular file holds: pages of 4 KiB that copies share until one of them writes. A page that was never written is a hole and
// reads as zeros. A file of a host folder keeps its bytes as they were read, below the pages that were written since.
#pragma once

#include "emulator/base/types.hpp"

#include <array>
#include <map>
#include <memory>
#include <span>
#include <vector>

namespace trapeze::container {

using Content = std::shared_ptr<const std::vector<u8>>;

class FileData {
  public:
    FileData() = default;
    explicit FileData(Content base) : base_(std::move(base)), base_bytes_(base_ ? base_->size() : 0), size_(base_bytes_) {}

    u64 size() const { return size_; }
    /// Pages that take room: what a file system counts.
    u64 pages() const { return (base_bytes_ + kPageMask) / kPageSize + own_pages_; }
    /// Pages that a write of these bytes would add.
    u64 pages_for(u64 offset, u64 bytes) const;
    /// Bytes from `offset` on, as many as there are; the number read.
    u64 read(u64 offset, std::span<u8> out) const;
    void write(u64 offset, std::span<const u8> in);
    void resize(u64 size);
    /// Makes a hole: reads as zeros from now on, the size stays.
    void punch(u64 offset, u64 bytes);
    /// Takes room for the bytes, which read as before (fallocate); the size stays.
    void reserve(u64 offset, u64 bytes);
    /// Offset of the first byte at or behind `offset` that is data (or, hole: in none); the size when there is none.
    u64 seek(u64 offset, bool hole) const;
    /// All bytes in one piece; not copied when the file is as it was read.
    Content whole() const;

  private:
    using Page = std::array<u8, kPageSize>;
    bool in_base(u64 page) const { return page * kPageSize < base_bytes_; }
    bool present(u64 page) const { return in_base(page) || pages_.contains(page); }
    Page& own(u64 page);

    Content base_;
    u64 base_bytes_ = 0; ///< of base_ that still count
    u64 size_ = 0;
    u64 own_pages_ = 0;  ///< of pages_, those that base_ does not have
    std::map<u64, std::shared_ptr<Page>> pages_;
};

} // namespace trapeze::container
