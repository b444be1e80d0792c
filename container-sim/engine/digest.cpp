#include "container-sim/engine/digest.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <array>

namespace trapeze::container {

std::string digest_of(std::span<const u8> bytes) {
    std::array<u8, SHA256_DIGEST_LENGTH> hash{};
    SHA256(bytes.data(), bytes.size(), hash.data());
    std::string text = "sha256:";
    for (u8 byte : hash) text += "0123456789abcdef"[byte >> 4], text += "0123456789abcdef"[byte & 15];
    return text;
}

bool is_digest(std::string_view text) {
    return text.size() == 71 && text.starts_with("sha256:") &&
           std::all_of(text.begin() + 7, text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

} // namespace trapeze::container
