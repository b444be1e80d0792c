// The images that ship with Trapeze, made from its own programs when they are first needed: "tiny" (a shell and small tools in one
// program) and "hello" (one program and nothing else).
#pragma once

#include "container-sim/engine/image_store.hpp"

namespace trapeze::scenarios {

/// The names that shipped_image knows.
inline constexpr const char* kShippedImages[] = {"tiny:latest", "hello:latest"};
Result<container::Image> shipped_image(const std::string& name);
/// An image of the store; a shipped one is put into it when it is not there.
Result<container::Image> find_image(container::ImageStore& store, const std::string& name_or_id);
/// Puts the shipped images into a store that has never held any.
Result<void> prepare_store(container::ImageStore& store);

} // namespace trapeze::scenarios
