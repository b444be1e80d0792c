// Kernel objects by number: a slot is in use as long as somebody counts as its user, and its number is given out again afterwards, the
// lowest first. A value: it copies with its kernel.
#pragma once

#include "emulator/base/types.hpp"

#include <set>
#include <utility>
#include <vector>

namespace trapeze::container {

template <class T> class Pool {
  public:
    /// A new object with one user.
    u32 add(T value) {
        if (free_.empty()) {
            slots_.push_back({std::move(value), 1});
            return static_cast<u32>(slots_.size() - 1);
        }
        const u32 id = *free_.begin();
        free_.erase(free_.begin());
        slots_[id] = {std::move(value), 1};
        return id;
    }
    void use(u32 id) { ++slots_[id].users; }
    /// True: that was the last user. The object is still there, so that the caller can take it down; then erase(id).
    bool release(u32 id) { return slots_[id].users && --slots_[id].users == 0; }
    void erase(u32 id) {
        slots_[id] = {};
        free_.insert(id);
    }
    bool contains(u32 id) const { return id < slots_.size() && slots_[id].users; }
    u32 users(u32 id) const { return slots_[id].users; }
    /// One more than the highest number in use ever; and how many are in use.
    u32 end() const { return static_cast<u32>(slots_.size()); }
    u32 size() const { return static_cast<u32>(slots_.size() - free_.size()); }
    T& operator[](u32 id) { return slots_[id].value; }
    const T& operator[](u32 id) const { return slots_[id].value; }

  private:
    struct Slot {
        T value{};
        u32 users = 0;
    };
    std::vector<Slot> slots_;
    std::set<u32> free_;
};

} // namespace trapeze::container
