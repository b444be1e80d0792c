// StateArchive: one visit function per type serves saving, loading and comparing state.
// Usage: `void state(StateArchive& a) { a(x_); a(y_); }`. Loading never trusts the bytes: a short or oversized input
// sets `failed()` and leaves zeros, so the caller can refuse it with a sentence.
#pragma once

#include "emulator/base/types.hpp"

#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

namespace trapeze {

class StateArchive {
  public:
    StateArchive() = default; ///< writes
    explicit StateArchive(std::vector<u8> bytes) : bytes_(std::move(bytes)), loading_(true) {}

    bool loading() const { return loading_; }
    bool failed() const { return failed_; }
    /// What was read cannot be: the caller refuses it, as it does a short input.
    void fail() { failed_ = true; }
    /// Everything has been read, and nothing is left.
    bool complete() const { return !failed_ && cursor_ == bytes_.size(); }
    const std::vector<u8>& bytes() const { return bytes_; }

    template <class T> requires std::is_trivially_copyable_v<T> void operator()(T& value) { raw(&value, sizeof value); }
    template <class T> requires std::is_trivially_copyable_v<T> void operator()(std::vector<T>& values) {
        u64 count = values.size();
        (*this)(count);
        if (loading_) {
            if (count > (bytes_.size() - cursor_) / sizeof(T)) failed_ = true, count = 0;
            values.resize(count);
        }
        if (count) raw(values.data(), count * sizeof(T));
    }
    void operator()(bool& flag) {
        u8 byte = flag; // a bool read from a file could hold anything
        (*this)(byte);
        flag = byte & 1;
    }
    /// An enumeration with the values 0 .. count - 1.
    template <class E> requires std::is_enum_v<E> void limited(E& value, E count) {
        (*this)(value);
        if (loading_ && value >= count) failed_ = true, value = E{};
    }
    /// A number that may be at most `most`.
    void at_most(u64& value, u64 most) {
        (*this)(value);
        if (loading_ && value > most) failed_ = true, value = 0;
    }
    void operator()(std::string& text) {
        std::vector<char> chars(text.begin(), text.end());
        (*this)(chars);
        if (loading_) text.assign(chars.begin(), chars.end());
    }

  private:
    void raw(void* data, std::size_t size) {
        auto* p = static_cast<u8*>(data);
        if (!loading_) {
            bytes_.insert(bytes_.end(), p, p + size);
        } else if (failed_ || size > bytes_.size() - cursor_) {
            failed_ = true;
            std::memset(p, 0, size);
        } else {
            std::memcpy(p, bytes_.data() + cursor_, size);
            cursor_ += size;
        }
    }

    std::vector<u8> bytes_;
    std::size_t cursor_ = 0;
    bool loading_ = false;
    bool failed_ = false;
};

} // namespace trapeze
