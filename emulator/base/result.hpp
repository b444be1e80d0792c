// Host errors are values: a sentence that names the object and the mend. Guest faults are never host errors.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace trapeze {

/// What went wrong, for a person to read: the object, the place in it, and how to mend it.
struct Error {
    std::string message;
    int status = 0; ///< with which a command that fails by it should end; 0: as usual
};

/// A value, or the sentence that says why there is none.
template <class T> class [[nodiscard]] Result {
  public:
    Result(T value) : content_(std::move(value)) {}
    Result(Error error) : content_(std::move(error)) {}

    explicit operator bool() const { return content_.index() == 0; }
    /// Pre: holds a value.
    T& value() & { return std::get<0>(content_); }
    const T& value() const& { return std::get<0>(content_); }
    T&& value() && { return std::get<0>(std::move(content_)); }
    T* operator->() { return &value(); }
    T& operator*() & { return value(); }
    /// Pre: holds an error.
    const std::string& error() const { return std::get<1>(content_).message; }
    int status() const { return std::get<1>(content_).status; }

  private:
    std::variant<T, Error> content_;
};

/// Success, or the sentence that says what failed.
template <> class [[nodiscard]] Result<void> {
  public:
    Result() = default;
    Result(Error error) : error_(std::move(error)) {}
    explicit operator bool() const { return !error_; }
    const std::string& error() const { return error_->message; }
    int status() const { return error_->status; }

  private:
    std::optional<Error> error_;
};

} // namespace trapeze
