// Digests of the OCI image specification (descriptor.md, "Digests"): "sha256:" and 64 hexadecimal digits.
#pragma once

#include "emulator/base/types.hpp"

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trapeze::container {

/// The bytes of a file, a layer or a blob: shared by all who hold them, never changed.
using Bytes = std::shared_ptr<const std::vector<u8>>;
inline Bytes make_bytes(std::vector<u8> bytes) { return std::make_shared<const std::vector<u8>>(std::move(bytes)); }
inline Bytes make_bytes(std::string_view text) { return make_bytes(std::vector<u8>(text.begin(), text.end())); }
inline std::string_view text_of(const Bytes& bytes) { return {reinterpret_cast<const char*>(bytes->data()), bytes->size()}; }

/// SHA-256 (FIPS 180-4) of bytes, as a digest.
std::string digest_of(std::span<const u8> bytes);
inline std::string digest_of(std::string_view text) { return digest_of(std::span(reinterpret_cast<const u8*>(text.data()), text.size())); }
/// "sha256:" and 64 lower-case hexadecimal digits; nothing else is taken.
bool is_digest(std::string_view text);
/// The 64 digits of a digest. Pre: is_digest.
inline std::string hex_of(const std::string& digest) { return digest.substr(7); }

} // namespace trapeze::container
