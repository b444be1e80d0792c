#include "emulator/mem/ram.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

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

const Ram::PageRef& Ram::zero_page() {
    static const PageRef page = std::make_shared<Page>();
    return page;
}

Ram::Ram(u64 size_bytes)
    : pages_(size_bytes / kPageSize, zero_page()), exposed_(pages_.size()), code_lines_(pages_.size()),
      code_versions_(pages_.size()), map_generation_(next_generation()), code_generation_(next_generation()),
      mark_generation_(next_generation()) {}

Ram::Ram(const Ram& other)
    : pages_(other.pages_), exposed_(pages_.size()), code_lines_(other.code_lines_), code_versions_(other.code_versions_),
      map_generation_(next_generation()), code_generation_(next_generation()), mark_generation_(next_generation()) {
    other.map_generation_ = next_generation(); // its write pointers lead to pages that are shared from now on
}

Ram& Ram::operator=(const Ram& other) {
    if (this == &other) return *this;
    // Code decoded from the old contents must not match: every page gets a version that neither side has had.
    const auto newest = [](const std::vector<u32>& v) { return v.empty() ? 0u : *std::max_element(v.begin(), v.end()); };
    const u32 version = std::max(newest(code_versions_), newest(other.code_versions_)) + 1;
    pages_ = other.pages_;
    exposed_.assign(pages_.size(), false);
    code_lines_.assign(pages_.size(), 0);
    code_versions_.assign(pages_.size(), version);
    map_generation_ = next_generation();
    code_generation_ = next_generation();
    mark_generation_ = next_generation();
    other.map_generation_ = next_generation();
    return *this;
}

u8* Ram::page_for_write(u64 page) {
    PageRef& ref = pages_[page];
    if (ref.use_count() != 1) {
        ref = std::make_shared<Page>(*ref);
        if (exposed_[page]) {
            exposed_[page] = false;
            map_generation_ = next_generation();
        }
    }
    return ref->bytes;
}

bool Ram::read(u64 offset, std::span<u8> out) const {
    if (!contains(offset, out.size())) return false;
    std::size_t done = 0;
    while (done < out.size()) {
        const u64 at = offset + done;
        const std::size_t chunk = std::min<u64>(out.size() - done, kPageSize - (at & kPageMask));
        std::memcpy(out.data() + done, pages_[at >> kPageShift]->bytes + (at & kPageMask), chunk);
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
        const bool already_zero = value == 0 && pages_[page] == zero_page();
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
        u64& lines = code_lines_[at >> kPageShift];
        if (lines == 0) mark_generation_ = next_generation();
        lines |= line_mask(at & kPageMask, chunk);
        done += chunk;
    }
}

void Ram::wrote_code(u64 offset, u64 bytes) {
    if (bytes == 0 || !contains(offset, bytes)) return;
    for (u64 done = 0; done < bytes;) {
        const u64 at = offset + done;
        const u64 chunk = std::min(bytes - done, kPageSize - (at & kPageMask));
        const u64 page = at >> kPageShift;
        if (code_lines_[page] & line_mask(at & kPageMask, chunk)) {
            // The new version voids all code decoded from this page, so no line of it is marked any longer.
            code_lines_[page] = 0;
            ++code_versions_[page];
            code_generation_ = next_generation();
        }
        done += chunk;
    }
}

u64 Ram::touched_pages() const {
    return static_cast<u64>(std::count_if(pages_.begin(), pages_.end(), [](const PageRef& p) { return p != zero_page(); }));
}

void Ram::state(StateArchive& archive) {
    using Bytes = std::array<u8, kPageSize>;
    u64 pages = pages_.size(), stored = 0;
    const auto holds_something = [&](u64 page) { return touched(page) && std::memcmp(pages_[page]->bytes, zero_page()->bytes, kPageSize) != 0; };
    if (!archive.loading())
        for (u64 page = 0; page < pages; ++page) stored += holds_something(page);
    archive(pages), archive(stored);
    if (!archive.loading()) {
        for (u64 page = 0; page < pages; ++page) {
            if (!holds_something(page)) continue;
            u64 number = page;
            archive(number), archive(reinterpret_cast<Bytes&>(pages_[page]->bytes));
        }
        return;
    }
    if (pages != pages_.size() || stored > pages) return archive.fail();
    *this = Ram(size());
    Bytes bytes;
    u64 number = 0;
    for (u64 i = 0; i < stored && !archive.failed(); ++i) {
        archive.at_most(number, pages - 1), archive(bytes);
        if (!archive.failed()) write(number * kPageSize, bytes);
    }
}

bool Ram::operator==(const Ram& other) const {
    return std::equal(pages_.begin(), pages_.end(), other.pages_.begin(), other.pages_.end(),
                      [](const PageRef& a, const PageRef& b) {
                          return a == b || std::memcmp(a->bytes, b->bytes, kPageSize) == 0;
                      });
}

} // namespace trapeze
