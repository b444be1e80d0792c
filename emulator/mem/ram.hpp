// RAM: copy-on-write pages in copy-on-write groups, so that copying a machine costs a pointer for each 2 MiB and checkpoints share what did
// not change. Of the host it takes the touched pages, and about 14 bytes for each (page_store.hpp, and a pointer in the page's group).
// All writes from anywhere (stores, DMA, loaders, VMMs) go through it, because it also knows which pages hold decoded code.
// Addresses here are offsets from the start of this RAM.
#pragma once

#include "emulator/base/archive.hpp"
#include "emulator/mem/page_store.hpp"

#include <array>
#include <cstring>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

namespace trapeze {

class Ram {
  public:
    /// Range: a multiple of 4096 bytes. Pages are allocated when first written.
    explicit Ram(u64 size_bytes);
    /// Copies share pages until one of them writes. Both sides' cached host pointers become invalid (see map_generation).
    Ram(const Ram& other);
    Ram& operator=(const Ram& other);
    Ram(Ram&&) noexcept = default;
    Ram& operator=(Ram&&) noexcept = default;

    u64 size() const { return size_; }
    bool contains(u64 offset, u64 bytes) const { return bytes <= size() && offset <= size() - bytes; }

    /// Copies out of / into RAM. Returns false, with nothing done, when the range is not inside RAM.
    bool read(u64 offset, std::span<u8> out) const;
    bool write(u64 offset, std::span<const u8> in);
    /// The same for one value; containers go through spans.
    template <class T> requires(std::is_trivially_copyable_v<T> && !std::is_convertible_v<T&, std::span<u8>>)
    bool read(u64 offset, T& out) const {
        const u64 in_page = offset & kPageMask;
        if (in_page + sizeof out > kPageSize || !contains(offset, sizeof out)) return read(offset, std::span(reinterpret_cast<u8*>(&out), sizeof out));
        std::memcpy(&out, bytes_of(offset >> kPageShift) + in_page, sizeof out);
        return true;
    }
    template <class T> requires(std::is_trivially_copyable_v<T> && !std::is_convertible_v<const T&, std::span<const u8>>)
    bool write_value(u64 offset, const T& in) {
        return write(offset, std::span(reinterpret_cast<const u8*>(&in), sizeof in));
    }
    bool fill(u64 offset, u64 bytes, u8 value);

    /// Host address of a page for reading. Pre: page < size() / 4096. Valid until map_generation() changes.
    const u8* page_for_read(u64 page) { exposed_[page] = true; return bytes_of(page); }
    /// Host address of a page for writing; makes the page private. Same validity. The caller must keep clear of code lines.
    u8* page_for_write(u64 page);

    /// Changes whenever a host pointer handed out earlier may be stale.
    u64 map_generation() const { return map_generation_; }

    /// Marks bytes [offset, offset + bytes) as decoded code; later writes to them change code_generation and the page's version.
    void mark_code(u64 offset, u64 bytes);
    bool has_code(u64 page) const { return code_lines(page) != 0; }
    u32 code_version(u64 page) const {
        const CodeGroup* const code = code_[page / kGroupPages].get();
        return code ? code->versions[page % kGroupPages] : untouched_version_;
    }
    /// Changes whenever marked code was overwritten.
    u64 code_generation() const { return code_generation_; }
    /// Changes whenever a page without code got some, so that cached write access to it must be dropped.
    u64 mark_generation() const { return mark_generation_; }
    /// To be called before a write through page_for_write to a page that has code.
    void wrote_code(u64 offset, u64 bytes);

    /// Pages that this RAM holds itself (not the shared zero page), for accounting.
    u64 touched_pages() const;
    bool touched(u64 page) const { return bytes_of(page) != page_store::zero_page(); }
    /// Saves or loads the contents: pages of zeros are not stored. Loading fails for another size.
    void state(StateArchive& archive);
    /// True when both have the same size and contents.
    bool operator==(const Ram& other) const;

  private:
    static constexpr u64 kGroupPages = 512;
    /// Pages that follow one another. A copy refers to the same pages.
    struct Group {
        std::array<u8*, kGroupPages> pages;
        Group();
        Group(const Group& other);
        Group& operator=(const Group&) = delete;
        ~Group();
    };
    /// What is known about code in as many pages; a group that never had any needs none.
    struct CodeGroup {
        std::array<u64, kGroupPages> lines{}; ///< one bit for each 64 bytes of a page
        std::array<u32, kGroupPages> versions;
    };
    static const std::shared_ptr<Group>& zero_group();

    u8* bytes_of(u64 page) const { return groups_[page / kGroupPages]->pages[page % kGroupPages]; }
    u64 code_lines(u64 page) const {
        const CodeGroup* const code = code_[page / kGroupPages].get();
        return code ? code->lines[page % kGroupPages] : 0;
    }
    CodeGroup& own_code(u64 page);

    u64 size_;
    std::vector<std::shared_ptr<Group>> groups_;   ///< shared with copies until one of them changes its own
    std::vector<std::shared_ptr<CodeGroup>> code_; ///< the same; null: no code yet
    std::vector<bool> exposed_;                    ///< a read pointer to the current page was handed out
    u32 untouched_version_ = 0;                    ///< of the pages of a group without code
    u32 newest_version_ = 0;                       ///< of any page
    mutable u64 map_generation_ = 0; ///< copying from this RAM changes it as well
    u64 code_generation_ = 0;
    u64 mark_generation_ = 0;
};

} // namespace trapeze
