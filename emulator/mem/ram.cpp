#include "emulator/mem/ram.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <numeric>

namespace trapeze {

namespace {
/// Generations are unique in the process, so that a cache filled from one RAM can never match another. They are never visible
/// to a guest and are not part of any comparison.
u64 next_generation() {
    static std::atomic<u64> counter{1};
    return counter.fetch_add(1, std::memory_order_relaxed);
}

/// The bits of a page's code-line word that [from, from + bytes) touches. Range: inside one page, bytes >= 1.
u64 line_mask(u64 from, u64 bytes) {
    const unsigned first = static_cast<unsigned>(from / 64);
    const unsigned last = static_cast<unsigned>((from + bytes - 1) / 64);
    return (~u64{0} >> (63 - (last - first))) << first;
}
} // namespace

Ram::Group::Group() { pages.fill(page_store::zero_page()); }

Ram::Group::Group(const Group& other) : pages(other.pages) {
    for (u8* page : pages) page_store::refer(page);
}

Ram::Group::~Group() {
    for (u8* page : pages) page_store::release(page);
}

const std::shared_ptr<Ram::Group>& Ram::zero_group() {
    static const std::shared_ptr<Group> group = std::make_shared<Group>();
    return group;
}

Ram::Ram(u64 size_bytes)
    : size_(size_bytes), groups_((size_bytes / kPageSize + kGroupPages - 1) / kGroupPages, zero_group()), code_(groups_.size()),
      exposed_(size_bytes / kPageSize), map_generation_(next_generation()), code_generation_(next_generation()),
      mark_generation_(next_generation()) {}

Ram::Ram(const Ram& other)
    : size_(other.size_), groups_(other.groups_), code_(other.code_), exposed_(other.exposed_.size()),
      untouched_version_(other.untouched_version_), newest_version_(other.newest_version_), map_generation_(next_generation()),
      code_generation_(next_generation()), mark_generation_(next_generation()) {
    other.map_generation_ = next_generation(); // its write pointers lead to pages that are shared from now on
}

Ram& Ram::operator=(const Ram& other) {
    if (this == &other) return *this;
    // Code decoded from the old contents must not match: every page gets a version that neither side has had.
    newest_version_ = untouched_version_ = std::max(newest_version_, other.newest_version_) + 1;
    size_ = other.size_;
    groups_ = other.groups_;
    code_.assign(groups_.size(), nullptr);
    exposed_.assign(other.exposed_.size(), false);
    map_generation_ = next_generation();
    code_generation_ = next_generation();
    mark_generation_ = next_generation();
    other.map_generation_ = next_generation();
    return *this;
}

u8* Ram::page_for_write(u64 page) {
    std::shared_ptr<Group>& group = groups_[page / kGroupPages];
    if (group.use_count() != 1) group = std::make_shared<Group>(*group);
    u8*& own = group->pages[page % kGroupPages];
    if (page_store::sole(own)) return own;
    u8* const copy = page_store::copy_of(own);
    page_store::release(own);
    own = copy;
    if (exposed_[page]) {
        exposed_[page] = false;
        map_generation_ = next_generation();
    }
    return own;
}

Ram::CodeGroup& Ram::own_code(u64 page) {
    std::shared_ptr<CodeGroup>& code = code_[page / kGroupPages];
    if (!code) {
        code = std::make_shared<CodeGroup>();
        code->versions.fill(untouched_version_);
    } else if (code.use_count() != 1) {
        code = std::make_shared<CodeGroup>(*code);
    }
    return *code;
}

bool Ram::read(u64 offset, std::span<u8> out) const {
    if (!contains(offset, out.size())) return false;
    std::size_t done = 0;
    while (done < out.size()) {
        const u64 at = offset + done;
        const std::size_t chunk = std::min<u64>(out.size() - done, kPageSize - (at & kPageMask));
        std::memcpy(out.data() + done, bytes_of(at >> kPageShift) + (at & kPageMask), chunk);
        done += chunk;
    }
    return true;
}

bool Ram::write(u64 offset, std::span<const u8> in) {
    if (!contains(offset, in.size())) return false;
    if (in.empty()) return true;
    wrote_code(offset, in.size());
    std::size_t done = 0;
    while (done < in.size()) {
        const u64 at = offset + done;
        const std::size_t chunk = std::min<u64>(in.size() - done, kPageSize - (at & kPageMask));
        std::memcpy(page_for_write(at >> kPageShift) + (at & kPageMask), in.data() + done, chunk);
        done += chunk;
    }
    return true;
}

bool Ram::fill(u64 offset, u64 bytes, u8 value) {
    if (!contains(offset, bytes)) return false;
    if (bytes == 0) return true;
    wrote_code(offset, bytes);
    for (u64 done = 0; done < bytes;) {
        const u64 at = offset + done;
        const u64 chunk = std::min(bytes - done, kPageSize - (at & kPageMask));
        const u64 page = at >> kPageShift;
        const bool already_zero = value == 0 && !touched(page);
        if (!already_zero) std::memset(page_for_write(page) + (at & kPageMask), value, chunk);
        done += chunk;
    }
    return true;
}

void Ram::mark_code(u64 offset, u64 bytes) {
    if (bytes == 0 || !contains(offset, bytes)) return;
    for (u64 done = 0; done < bytes;) {
        const u64 at = offset + done;
        const u64 chunk = std::min(bytes - done, kPageSize - (at & kPageMask));
        const u64 page = at >> kPageShift;
        if (!has_code(page)) mark_generation_ = next_generation();
        own_code(page).lines[page % kGroupPages] |= line_mask(at & kPageMask, chunk);
        done += chunk;
    }
}

void Ram::wrote_code(u64 offset, u64 bytes) {
    if (bytes == 0 || !contains(offset, bytes)) return;
    for (u64 done = 0; done < bytes;) {
        const u64 at = offset + done;
        const u64 chunk = std::min(bytes - done, kPageSize - (at & kPageMask));
        const u64 page = at >> kPageShift;
        if (code_lines(page) & line_mask(at & kPageMask, chunk)) {
            // The new version voids all code decoded from this page, so no line of it is marked any longer.
            CodeGroup& code = own_code(page);
            code.lines[page % kGroupPages] = 0;
            newest_version_ = std::max(newest_version_, ++code.versions[page % kGroupPages]);
            code_generation_ = next_generation();
        }
        done += chunk;
    }
}

u64 Ram::touched_pages() const {
    const auto in_group = [](const std::shared_ptr<Group>& group) {
        if (group == zero_group()) return u64{0};
        return kGroupPages - static_cast<u64>(std::count(group->pages.begin(), group->pages.end(), page_store::zero_page()));
    };
    return std::transform_reduce(groups_.begin(), groups_.end(), u64{0}, std::plus(), in_group);
}

void Ram::state(StateArchive& archive) {
    using Bytes = std::array<u8, kPageSize>;
    u64 pages = size_ / kPageSize, stored = 0;
    const auto holds_something = [this](u64 number) { return touched(number) && std::memcmp(bytes_of(number), page_store::zero_page(), kPageSize) != 0; };
    if (!archive.loading())
        for (u64 number = 0; number < pages; ++number) stored += holds_something(number);
    archive(pages), archive(stored);
    if (!archive.loading()) {
        for (u64 number = 0; number < pages; ++number) {
            if (!holds_something(number)) continue;
            u64 stored_number = number;
            archive(stored_number), archive(reinterpret_cast<Bytes&>(*bytes_of(number)));
        }
        return;
    }
    if (pages != size_ / kPageSize || stored > pages) return archive.fail();
    *this = Ram(size());
    Bytes bytes;
    u64 number = 0;
    for (u64 i = 0; i < stored && !archive.failed(); ++i) {
        archive.at_most(number, pages - 1), archive(bytes);
        if (!archive.failed()) write(number * kPageSize, bytes);
    }
}

bool Ram::operator==(const Ram& other) const {
    const auto same_page = [](const u8* a, const u8* b) { return a == b || std::memcmp(a, b, kPageSize) == 0; };
    return size_ == other.size_ && std::equal(groups_.begin(), groups_.end(), other.groups_.begin(), [&](const auto& a, const auto& b) {
        return a == b || std::equal(a->pages.begin(), a->pages.end(), b->pages.begin(), same_page);
    });
}

} // namespace trapeze
