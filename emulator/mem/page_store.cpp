#include "emulator/mem/page_store.hpp"

#include "emulator/mem/page_use.hpp"

#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <new>

namespace trapeze::page_store {

namespace {

constexpr u64 kSlabBytes = 8 << 20;
constexpr std::size_t kSlabPages = 2040, kHeadPages = 2;

/// The head of a slab, which is aligned to its size; its pages follow. The host gives memory to what was used of it alone.
struct Slab {
    std::array<std::atomic<u32>, kSlabPages> references{};
    u16 fresh = 0;            ///< the first page that was never used; so are those behind it
    u16 returned = kNone;     ///< the page that was given back last; the first bytes of each such page name the next
    u16 used = 0;
    Slab* before = nullptr;   ///< in the list of slabs with a page to give
    Slab* after = nullptr;

    static constexpr u16 kNone = 0xffff;
    static Slab& of(const u8* page) { return *reinterpret_cast<Slab*>(reinterpret_cast<std::uintptr_t>(page) & ~(kSlabBytes - 1)); }
    u8* page(std::size_t index) { return reinterpret_cast<u8*>(this) + (kHeadPages + index) * kPageSize; }
    std::size_t index_of(const u8* page) const { return (page - reinterpret_cast<const u8*>(this)) / kPageSize - kHeadPages; }
    std::atomic<u32>& references_to(const u8* page) { return references[index_of(page)]; }
    bool full() const { return used == kSlabPages; }

    u8* take() {
        ++used;
        if (returned == kNone) return page(fresh++);
        u8* const taken = page(returned);
        std::memcpy(&returned, taken, sizeof returned);
        return taken;
    }
    void give_back(u8* page) {
        --used;
        std::memcpy(page, &returned, sizeof returned);
        returned = static_cast<u16>(index_of(page));
    }
};
static_assert(sizeof(Slab) <= kHeadPages * kPageSize && (kHeadPages + kSlabPages) * kPageSize <= kSlabBytes);

class Slabs {
  public:
    u8* take() {
        const std::lock_guard lock(mutex_);
        if (!open_) add(*new (::operator new(kSlabBytes, kAlignment)) Slab), ++count_;
        Slab& slab = *open_;
        u8* const page = slab.take();
        ++pages_;
        if (slab.full()) remove(slab);
        return page;
    }
    void give_back(u8* page) {
        const std::lock_guard lock(mutex_);
        Slab& slab = Slab::of(page);
        if (slab.full()) add(slab);
        slab.give_back(page);
        --pages_;
        if (slab.used || (&slab == open_ && !slab.after)) return; // the last open one stays: who frees a page may soon want one
        remove(slab);
        ::operator delete(&slab, kAlignment);
        --count_;
    }
    u64 bytes() {
        const std::lock_guard lock(mutex_);
        return count_ * kSlabBytes;
    }
    u64 pages() {
        const std::lock_guard lock(mutex_);
        return pages_;
    }

  private:
    static constexpr std::align_val_t kAlignment{kSlabBytes};

    void add(Slab& slab) {
        slab.before = nullptr, slab.after = open_;
        if (open_) open_->before = &slab;
        open_ = &slab;
    }
    void remove(Slab& slab) {
        (slab.before ? slab.before->after : open_) = slab.after;
        if (slab.after) slab.after->before = slab.before;
    }

    std::mutex mutex_;
    Slab* open_ = nullptr; ///< the first slab with a page to give
    u64 count_ = 0;
    u64 pages_ = 0;         ///< that somebody refers to
};

/// Never destroyed: RAMs may outlive any other static object.
Slabs& slabs() {
    static Slabs& all = *new Slabs;
    return all;
}

alignas(kPageSize) u8 zeros[kPageSize];

} // namespace

u8* zero_page() { return zeros; }

u8* copy_of(const u8* page) {
    u8* const copy = slabs().take();
    std::memcpy(copy, page, kPageSize);
    Slab::of(copy).references_to(copy).store(1, std::memory_order_relaxed);
    return copy;
}

void refer(u8* page) {
    if (page != zeros) Slab::of(page).references_to(page).fetch_add(1, std::memory_order_relaxed);
}

void release(u8* page) {
    if (page != zeros && Slab::of(page).references_to(page).fetch_sub(1, std::memory_order_acq_rel) == 1) slabs().give_back(page);
}

bool sole(const u8* page) { return page != zeros && Slab::of(page).references_to(page).load(std::memory_order_acquire) == 1; }

u64 held_bytes() { return slabs().bytes(); }
u64 pages_in_use() { return slabs().pages(); }

} // namespace trapeze::page_store
