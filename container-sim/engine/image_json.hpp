// JSON that comes from outside: bounded in size and depth, and read by members whose type is checked.
#pragma once

#include "container-sim/engine/digest.hpp"
#include "emulator/base/result.hpp"

#include <nlohmann/json.hpp>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace trapeze::container {

using Json = nlohmann::ordered_json;

inline constexpr std::size_t kMaxJsonBytes = 4 << 20; ///< what registries take for a manifest
inline constexpr unsigned kMaxJsonDepth = 64;

/// Parses a text; `name` is for the sentence.
Result<Json> parse_json(std::string_view text, const std::string& name);

/// The members of an object. What has the wrong type is noted, once, and reads as empty: ask problem() at the end.
class Fields {
  public:
    Fields(const Json& object, std::string where) : object_(object.is_object() ? object : empty()), where_(std::move(where)) {
        if (!object.is_object()) problem_ = where_ + ": no JSON object";
    }
    std::string text(const char* key, bool required = false);
    std::vector<std::string> texts(const char* key);
    std::map<std::string, std::string> pairs(const char* key);
    std::vector<std::string> keys(const char* key); ///< the names in an object that stands for a set
    std::optional<i64> number(const char* key);
    bool flag(const char* key);
    const Json* object(const char* key) { return member(key, &Json::is_object, "an object"); }
    const Json* array(const char* key) { return member(key, &Json::is_array, "an array"); }
    void note(const std::string& what) {
        if (!problem_) problem_ = where_ + ": " + what;
    }
    const std::string& where() const { return where_; }
    /// The first thing that was wrong.
    const std::optional<std::string>& problem() const { return problem_; }

  private:
    static const Json& empty() {
        static const Json object = Json::object();
        return object;
    }
    const Json* member(const char* key, bool (Json::*is)() const noexcept, const char* what);

    const Json& object_;
    std::string where_;
    std::optional<std::string> problem_;
};

/// As it is written into images: without spaces, with what is no UTF-8 replaced.
std::string json_text(const Json& json);

} // namespace trapeze::container
