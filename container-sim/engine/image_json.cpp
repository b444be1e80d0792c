#include "container-sim/engine/image_json.hpp"

#include <fmt/format.h>

namespace trapeze::container {

namespace {
/// How deep brackets nest outside strings: known before anything is built, so that nothing recurses over it.
unsigned depth_of(std::string_view text) {
    unsigned depth = 0, deepest = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\') ++i;
            else if (c == '"') in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            deepest = std::max(deepest, ++depth);
        } else if ((c == '}' || c == ']') && depth) {
            --depth;
        }
    }
    return deepest;
}
} // namespace

Result<Json> parse_json(std::string_view text, const std::string& name) {
    if (text.size() > kMaxJsonBytes) return Error{fmt::format("{}: {} bytes of JSON (at most {}); make it smaller", name, text.size(), kMaxJsonBytes)};
    if (depth_of(text) > kMaxJsonDepth) return Error{fmt::format("{}: JSON that nests more than {} deep; make it flatter", name, kMaxJsonDepth)};
    try {
        return Json::parse(text);
    } catch (const nlohmann::json::exception& failed) { // the library has no other way to tell where it stopped
        return Error{fmt::format("{}: no JSON ({})", name, failed.what())};
    }
}

const Json* Fields::member(const char* key, bool (Json::*is)() const noexcept, const char* what) {
    const auto found = object_.find(key);
    if (found == object_.end() || found->is_null()) return nullptr;
    if (((*found).*is)()) return &*found;
    note(fmt::format("\"{}\" should be {}", key, what));
    return nullptr;
}

std::string Fields::text(const char* key, bool required) {
    const Json* found = member(key, &Json::is_string, "a string");
    if (!found && required) note(fmt::format("\"{}\" is missing", key));
    return found ? found->get<std::string>() : "";
}

std::vector<std::string> Fields::texts(const char* key) {
    std::vector<std::string> all;
    if (const Json* found = array(key))
        for (const Json& each : *found) {
            if (each.is_string()) all.push_back(each.get<std::string>());
            else note(fmt::format("\"{}\" should hold strings", key));
        }
    return all;
}

std::map<std::string, std::string> Fields::pairs(const char* key) {
    std::map<std::string, std::string> all;
    if (const Json* found = object(key))
        for (const auto& [name, each] : found->items()) {
            if (each.is_string()) all[name] = each.get<std::string>();
            else note(fmt::format("\"{}\" should hold strings", key));
        }
    return all;
}

std::vector<std::string> Fields::keys(const char* key) {
    std::vector<std::string> all;
    if (const Json* found = object(key))
        for (const auto& item : found->items()) all.push_back(item.key());
    return all;
}

std::optional<i64> Fields::number(const char* key) {
    const Json* found = member(key, &Json::is_number_integer, "a whole number");
    if (!found) return std::nullopt;
    if (found->is_number_unsigned() && found->get<u64>() > u64{INT64_MAX}) {
        note(fmt::format("\"{}\" is too large", key));
        return std::nullopt;
    }
    return found->get<i64>();
}

bool Fields::flag(const char* key) {
    const Json* found = member(key, &Json::is_boolean, "true or false");
    return found && found->get<bool>();
}

std::string json_text(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

} // namespace trapeze::container
