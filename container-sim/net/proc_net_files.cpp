// /proc/PID/net: the files of a process's network namespace; and what /proc/sys/net says of the reader's.
#include "container-sim/fs/proc.hpp"
#include "container-sim/net/net_proc.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdio>

namespace trapeze::container {

namespace {

constexpr std::size_t kNetFiles = 11; ///< of net_files()

template <std::size_t index> std::string show_file(const Reader& reader) {
    const Task* task = proc_task(reader);
    return task ? net_files()[index].text(reader.viewer.kernel->network, task->namespaces.net) : "";
}
template <std::size_t... index> std::vector<GeneratedFile> files(std::index_sequence<index...>) { return {{net_files()[index].name, 0444, show_file<index>, nullptr}...}; }

NetNamespace& own_space(const Reader& reader) { return reader.viewer.kernel->network.space(reader.viewer.net_namespace()); }
/// Settings belong to the namespace: whoever is root over it may change them.
i64 may_change(const Reader& reader) {
    const u32 owner = reader.viewer.kernel->namespace_head(NamespaceKind::Net, reader.viewer.net_namespace()).owner;
    return reader.viewer.capable(owner, Capability::NetAdmin) ? 0 : -kEPERM;
}

std::string show_forward(const Reader& reader) { return own_space(reader).forwards ? "1\n" : "0\n"; }
i64 store_forward(const Reader& reader, std::string_view text) {
    const auto value = parse_number(text);
    if (!value) return -kEINVAL;
    if (const i64 error = may_change(reader)) return error;
    own_space(reader).forwards = *value != 0;
    return static_cast<i64>(text.size());
}
std::string show_port_start(const Reader& reader) { return fmt::format("{}\n", own_space(reader).port_start); }
i64 store_port_start(const Reader& reader, std::string_view text) {
    const auto value = parse_number(text);
    if (!value || *value < 0 || *value > 65535) return -kEINVAL;
    if (const i64 error = may_change(reader)) return error;
    own_space(reader).port_start = static_cast<u32>(*value);
    return static_cast<i64>(text.size());
}
std::string show_ping_groups(const Reader& reader) { return fmt::format("{}\t{}\n", own_space(reader).ping_group_low, own_space(reader).ping_group_high); }
i64 store_ping_groups(const Reader& reader, std::string_view text) {
    unsigned low = 0, high = 0;
    if (std::sscanf(std::string(text).c_str(), "%u %u", &low, &high) != 2) return -kEINVAL;
    if (const i64 error = may_change(reader)) return error;
    own_space(reader).ping_group_low = low, own_space(reader).ping_group_high = high;
    return static_cast<i64>(text.size());
}

} // namespace

/// /proc/net is the reader's own: "net" is a link to self/net.
const std::vector<GeneratedFile> kProcNetFiles = files(std::make_index_sequence<kNetFiles>());

const std::vector<SystemControl> kNetControls = {
    {"sys/net/ipv4", {"ip_forward", 0644, show_forward, store_forward}},
    {"sys/net/ipv4", {"ip_unprivileged_port_start", 0644, show_port_start, store_port_start}},
    {"sys/net/ipv4", {"ping_group_range", 0644, show_ping_groups, store_ping_groups}},
};

} // namespace trapeze::container
