// Objects behind small numbers, in chunks that copies share until one of them writes: copying a pool copies a table of chunks.
#pragma once

#include "emulator/base/types.hpp"

#include <memory>
#include <utility>
#include <vector>

namespace trapeze::container {

/// Number 0 is nobody's. A reference from get() is not valid any more after edit() or add(): the chunk may have been copied.
template <class T> class ChunkPool {
  public:
    ChunkPool() { add({}); }
    const T& get(u32 index) const { return (*chunks_[index / kChunk])[index % kChunk]; }
    T& edit(u32 index) {
        auto& chunk = chunks_[index / kChunk];
        if (chunk.use_count() > 1) chunk = std::make_shared<Chunk>(*chunk);
        return (*chunk)[index % kChunk];
    }
    u32 add(T value) {
        if (!free_.empty()) {
            const u32 index = free_.back();
            free_.pop_back();
            edit(index) = std::move(value);
            return index;
        }
        if (end_ % kChunk == 0) chunks_.push_back(std::make_shared<Chunk>(kChunk));
        edit(end_) = std::move(value);
        return end_++;
    }
    void remove(u32 index) {
        edit(index) = T{};
        free_.push_back(index);
    }
    /// Numbers below it have been given out at some time.
    u32 end() const { return end_; }
    u32 live() const { return end_ - static_cast<u32>(free_.size()); }

  private:
    static constexpr u32 kChunk = 32;
    using Chunk = std::vector<T>;
    std::vector<std::shared_ptr<Chunk>> chunks_;
    std::vector<u32> free_;
    u32 end_ = 0;
};

} // namespace trapeze::container
