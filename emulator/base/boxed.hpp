// A value on the heap whose type may be incomplete where the box is held, so that a header does not have to include everything that its
// class is made of. It copies as the value does, and may be empty.
#pragma once

#include <utility>

namespace trapeze {

template <class T> class Boxed {
  public:
    Boxed() = default;
    /// Here T has to be complete.
    template <class U = T> Boxed(U value) : value_(new U(std::move(value))), copy_([](const T* from) { return static_cast<T*>(new U(*from)); }), destroy_([](T* old) { delete old; }) {}
    Boxed(const Boxed& from) : value_(from.value_ ? from.copy_(from.value_) : nullptr), copy_(from.copy_), destroy_(from.destroy_) {}
    Boxed(Boxed&& from) noexcept : value_(std::exchange(from.value_, nullptr)), copy_(from.copy_), destroy_(from.destroy_) {}
    Boxed& operator=(Boxed from) noexcept {
        std::swap(value_, from.value_), std::swap(copy_, from.copy_), std::swap(destroy_, from.destroy_);
        return *this;
    }
    ~Boxed() {
        if (value_) destroy_(value_);
    }

    explicit operator bool() const { return value_ != nullptr; }
    T* operator->() { return value_; }
    const T* operator->() const { return value_; }
    T& operator*() { return *value_; }
    const T& operator*() const { return *value_; }

  private:
    T* value_ = nullptr;
    T* (*copy_)(const T*) = nullptr;
    void (*destroy_)(T*) = nullptr;
};

} // namespace trapeze
