// The verbs of `trapeze container` that know images: the same whether they are typed to a shell of the host or to the prompt of a world.
#pragma once

#include "container-sim/engine/image_store.hpp"
#include "scenarios/cli.hpp"

#include <nlohmann/json.hpp>

namespace trapeze::scenarios {

/// Splits "[--hostname H] [--env K=V] ROOTFS CMD ARGS --and [...]" into containers.
Result<std::vector<container::ContainerSpec>> parse_specs(const std::vector<std::string>& words);
/// load, save, images, history, tag, rmi, build.
void add_image_verbs(CLI::App& parent, int& status);
/// `image inspect`, and `inspect` where no container has the name.
Result<nlohmann::ordered_json> inspect_image(const container::Image& image);
/// --store FOLDER, or what the environment says.
void add_store_option(CLI::App& verb, std::string& folder);
/// "2 hours ago", from an RFC 3339 time; "N/A" without one.
std::string time_ago(const std::string& time);
/// "2 hours".
std::string duration_text(i64 seconds);
/// RFC 3339; $SOURCE_DATE_EPOCH in place of the host's clock where it is set.
std::string time_now();

} // namespace trapeze::scenarios
