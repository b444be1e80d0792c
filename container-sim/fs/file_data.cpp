#include "container-sim/fs/file_data.hpp"

#include <algorithm>

namespace trapeze::container {

u64 FileData::pages_for(u64 offset, u64 bytes) const {
    u64 missing = 0;
    for (u64 page = offset / kPageSize; bytes && page <= (offset + bytes - 1) / kPageSize; ++page) missing += !present(page);
    return missing;
}

u64 FileData::read(u64 offset, std::span<u8> out) const {
    if (offset >= size_) return 0;
    const u64 count = std::min<u64>(out.size(), size_ - offset);
    for (u64 done = 0; done < count;) {
        const u64 at = offset + done, page = at / kPageSize, chunk = std::min(count - done, kPageSize - (at & kPageMask));
        u8* to = out.data() + done;
        if (const auto own = pages_.find(page); own != pages_.end()) {
            std::copy_n(own->second->data() + (at & kPageMask), chunk, to);
        } else {
            const u64 from_base = at < base_bytes_ ? std::min(chunk, base_bytes_ - at) : 0;
            if (from_base) std::copy_n(base_->data() + at, from_base, to);
            std::fill_n(to + from_base, chunk - from_base, u8{0});
        }
        done += chunk;
    }
    return count;
}

/// The page, this file's own to write in.
FileData::Page& FileData::own(u64 page) {
    std::shared_ptr<Page>& slot = pages_[page];
    if (slot && slot.use_count() > 1) slot = std::make_shared<Page>(*slot);
    if (!slot) {
        slot = std::make_shared<Page>();
        const u64 begin = page * kPageSize, from_base = begin < base_bytes_ ? std::min(kPageSize, base_bytes_ - begin) : 0;
        if (from_base) std::copy_n(base_->data() + begin, from_base, slot->data());
        own_pages_ += from_base == 0;
    }
    return *slot;
}

void FileData::write(u64 offset, std::span<const u8> in) {
    for (u64 done = 0; done < in.size();) {
        const u64 at = offset + done, chunk = std::min<u64>(in.size() - done, kPageSize - (at & kPageMask));
        std::copy_n(in.data() + done, chunk, own(at / kPageSize).data() + (at & kPageMask));
        done += chunk;
    }
    if (!in.empty()) size_ = std::max(size_, offset + in.size());
}

void FileData::resize(u64 size) {
    if (size < size_) {
        if (size & kPageMask && present(size / kPageSize)) { // what is behind the end must read as zeros when the file grows again
            Page& last = own(size / kPageSize);
            std::fill(last.begin() + static_cast<std::ptrdiff_t>(size & kPageMask), last.end(), u8{0});
        }
        for (auto at = pages_.lower_bound((size + kPageMask) / kPageSize); at != pages_.end(); at = pages_.erase(at)) own_pages_ -= !in_base(at->first);
        base_bytes_ = std::min(base_bytes_, size);
        if (!base_bytes_) base_ = nullptr;
    }
    size_ = size;
}

void FileData::punch(u64 offset, u64 bytes) {
    const u64 end = std::min(size_, offset + bytes);
    for (u64 at = offset; at < end;) {
        const u64 page = at / kPageSize, chunk = std::min(end - at, kPageSize - (at & kPageMask));
        if (chunk == kPageSize && !in_base(page)) {
            // Whole pages of its own go away; jump over what is a hole already.
            const auto next = pages_.lower_bound(page);
            if (next == pages_.end() || next->first > page) {
                const u64 to = next == pages_.end() ? end : std::min(end, next->first * kPageSize);
                at = std::max(at + chunk, to & ~kPageMask);
                continue;
            }
            pages_.erase(next), --own_pages_;
        } else if (present(page)) {
            std::fill_n(own(page).data() + (at & kPageMask), chunk, u8{0});
        }
        at += chunk;
    }
}

void FileData::reserve(u64 offset, u64 bytes) {
    for (u64 page = offset / kPageSize; bytes && page <= (offset + bytes - 1) / kPageSize; ++page)
        if (!present(page)) own(page);
}

u64 FileData::seek(u64 offset, bool hole) const {
    for (u64 at = offset; at < size_;) {
        const u64 page = at / kPageSize;
        if (present(page) != hole) return at;
        if (hole) {
            at = (page + 1) * kPageSize;
        } else {
            const auto next = pages_.lower_bound(page);
            at = next == pages_.end() ? size_ : next->first * kPageSize;
        }
    }
    return size_;
}

Content FileData::whole() const {
    if (base_ && base_bytes_ == base_->size() && size_ == base_bytes_ && pages_.empty()) return base_;
    auto bytes = std::make_shared<std::vector<u8>>(size_);
    read(0, *bytes);
    return bytes;
}

} // namespace trapeze::container
