#include "scenarios/container_views.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace trapeze::scenarios {

namespace {

using namespace container;

std::string indented(unsigned depth, const std::string& text) { return std::string(std::min(depth, 40u) * 2, ' ') + text; }
std::string joined(const std::vector<std::string>& parts, const char* between = ", ") { return fmt::format("{}", fmt::join(parts, between)); }
/// Of the figures of one list, at most so many.
std::string pids_text(const std::vector<i32>& pids) {
    constexpr std::size_t kMost = 12;
    std::string text;
    for (std::size_t i = 0; i < std::min(pids.size(), kMost); ++i) text += fmt::format("{}{}", i ? " " : "", pids[i]);
    return pids.size() > kMost ? fmt::format("{} and {} more", text, pids.size() - kMost) : text;
}
/// Ids of 64 hexadecimal digits as Docker shows them: their first 12.
std::string short_ids(const std::string& text) {
    constexpr std::size_t kWhole = 64, kShown = 12;
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t end = std::min(text.find_first_not_of("0123456789abcdef", i), text.size());
        if (end == i) out += text[i++];
        else out += text.substr(i, end - i == kWhole ? kShown : end - i), i = end;
    }
    return out;
}
std::size_t width_of(const std::string& text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}
std::string mode_letters(u32 file_mode) {
    const u32 type = file_mode & mode::kType;
    return type == mode::kDirectory ? "folder" : type == mode::kSymlink ? "link" : type == mode::kFile ? "file" : type == mode::kCharacter || type == mode::kBlock ? "device" : "special";
}
std::string milliseconds(u64 microseconds) { return fmt::format("{}.{} ms", microseconds / 1000, microseconds / 100 % 10); }
std::string layer_text(const OverlaySeen& overlay, unsigned layer) { return layer == 0 ? "upper" : overlay.layers.size() == 2 ? "lower" : fmt::format("lower {}", layer); }
std::string kind_name(NamespaceKind kind) { return namespace_name(kind); }

constexpr NamespaceKind kColumns[] = {NamespaceKind::Pid, NamespaceKind::Mnt, NamespaceKind::Net, NamespaceKind::Uts, NamespaceKind::Ipc, NamespaceKind::User, NamespaceKind::Cgroup, NamespaceKind::Time};

} // namespace

std::string inside_outside(u64 inside, u64 outside) { return inside == outside ? std::to_string(inside) : fmt::format("{} (outside {})", inside, outside); }

std::string namespace_letter(u32 index) {
    if (index == 0) return "host";
    return std::string(1, static_cast<char>('A' + (index - 1) % 26)) + (index > 26 ? std::to_string((index - 1) / 26) : "");
}

std::string size_text(u64 bytes) {
    constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB"};
    std::size_t unit = 0;
    for (; unit < 3 && bytes >= u64{10} << 10; ++unit) bytes >>= 10;
    return fmt::format("{} {}", bytes, kUnits[unit]);
}

std::string quota_text(const CgroupSeen& group) {
    return group.quota == kNoLimit ? "max" : fmt::format("{} of {}", milliseconds(group.quota), milliseconds(group.period));
}

std::string figure_text(const CgroupFigure& figure) {
    const auto amount = [&](u64 value) { return figure.unit == "bytes" ? size_text(value) : figure.unit == "us" ? milliseconds(value) : std::to_string(value); };
    const std::string unit = figure.unit == "bytes" || figure.unit == "us" ? "" : " " + figure.unit;
    if (figure.limit == kNoLimit) return fmt::format("{}{}, no limit", amount(figure.used), unit);
    return fmt::format("{} of {}{}", amount(figure.used), amount(figure.limit), unit);
}

i32 default_process(const Kernel& kernel) {
    i32 best = 0;
    u32 newest = 0;
    for (const Process& process : kernel.processes)
        if (process.used && !process.zombie && !process.engine && process.container >= std::max(newest, 1u) && (process.container > newest || !best)) newest = process.container, best = process.pid;
    return best;
}

std::string ViewText::text() const {
    std::string out;
    for (const std::string& sentence : sentences) out += sentence + "\n";
    for (const ViewTable& table : tables) {
        if (!out.empty()) out += "\n";
        std::vector<std::size_t> widths;
        for (const std::string& column : table.columns) widths.push_back(width_of(column));
        for (const auto& row : table.rows)
            for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
        const auto line = [&](const std::vector<std::string>& cells) {
            std::string text;
            for (std::size_t i = 0; i < cells.size(); ++i) {
                text += cells[i];
                if (i + 1 < cells.size()) text += std::string(widths[i] + 2 - width_of(cells[i]), ' ');
            }
            out += text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
        };
        line(table.columns);
        for (const auto& row : table.rows) line(row);
    }
    return out;
}

ViewText processes_text(const ProcessMatrix& matrix) {
    ViewText view;
    view.sentences.push_back("The same letter in a column is the same namespace. Ids: inside, and outside where the host sees another.");
    ViewTable table{{"process", "pid", "uid", "host name", "state"}, {}};
    for (const NamespaceKind kind : kColumns) table.columns.push_back(kind_name(kind));
    table.columns.insert(table.columns.end(), {"cgroup", "devices", "root"});
    for (const ProcessSeen& seen : matrix.processes) {
        std::vector<std::string> row{indented(seen.depth, seen.name), inside_outside(static_cast<u64>(seen.pids.back()), static_cast<u64>(seen.pid)), inside_outside(seen.uid_inside, seen.uid),
                                     seen.hostname, seen.state};
        for (const NamespaceKind kind : kColumns) row.push_back(seen.state == "ended" ? "-" : namespace_letter(seen.namespaces[kind]));
        row.insert(row.end(), {seen.cgroup_inside == seen.cgroup ? seen.cgroup : fmt::format("{} (outside {})", seen.cgroup_inside, short_ids(seen.cgroup)), joined(seen.devices), seen.root});
        table.rows.push_back(std::move(row));
    }
    view.tables.push_back(std::move(table));
    return view;
}

ViewText namespaces_text(const ProcessMatrix& matrix) {
    ViewText view;
    ViewTable table{{"kind", "letter", "number", "owned by user namespace", "processes"}, {}};
    for (const NamespaceSeen& seen : matrix.namespaces)
        table.rows.push_back({kind_name(seen.kind), namespace_letter(seen.index), std::to_string(seen.inode), std::to_string(seen.owner), pids_text(seen.members)});
    view.tables.push_back(std::move(table));
    return view;
}

ViewText mounts_text(const MountTree& tree) {
    ViewText view;
    view.sentences.push_back(fmt::format("mnt namespace {}, owned by user namespace {}: {} mounts", tree.inode, tree.owner, tree.mounts.size()));
    ViewTable table{{"place", "type", "propagation", "source", "shows", "flags", "also turns up in"}, {}};
    for (const MountSeen& mount : tree.mounts) {
        const std::string marks = std::string(mount.hidden ? ", covered" : "") + (mount.locked ? ", locked" : "");
        table.rows.push_back({indented(mount.depth, mount.place), mount.type, propagation_text(mount), short_ids(mount.source), short_ids(mount.root), mount.flags + marks, joined(mount.receivers)});
    }
    view.tables.push_back(std::move(table));
    return view;
}

ViewText overlays_text(const std::vector<OverlaySeen>& overlays) {
    ViewText view;
    if (overlays.empty()) view.sentences.push_back("There is no overlay in this mnt namespace.");
    for (const OverlaySeen& overlay : overlays) {
        view.sentences.push_back(fmt::format("overlay on {}: {} names; {} copied up, {} only in the upper layer, {} whiteouts{}", overlay.place, overlay.entries.size(), overlay.copied_up,
                                             overlay.own, overlay.whiteouts, overlay.cut ? "; there are more than are shown" : ""));
        for (unsigned i = 0; i < overlay.layers.size(); ++i)
            view.sentences.push_back(fmt::format("  {}: {}", layer_text(overlay, i), overlay.layers[i].empty() ? "none, so it is read-only" : short_ids(overlay.layers[i])));
        ViewTable table{{"path", "kind", "size", "answer", "from", "in layers"}, {}};
        for (const OverlayEntry& entry : overlay.entries) {
            std::vector<std::string> in;
            for (unsigned layer : entry.layers) in.push_back(layer_text(overlay, layer));
            table.rows.push_back({entry.path, entry.answer == LayerAnswer::Whiteout ? "gone" : mode_letters(entry.mode), std::to_string(entry.size), answer_name(entry.answer),
                                  layer_text(overlay, entry.from), joined(in)});
        }
        view.tables.push_back(std::move(table));
    }
    return view;
}

ViewText cgroups_text(const std::vector<CgroupSeen>& tree) {
    ViewText view;
    ViewTable table{{"cgroup", "controllers", "processes", "cpu used", "weight", "cpu.max", "throttled", "use of limits", "counted", "cpu pressure", "state"}, {}};
    for (const CgroupSeen& group : tree) {
        std::vector<std::string> figures, counts;
        for (const CgroupFigure& figure : group.figures) figures.push_back(figure.controller + " " + figure_text(figure));
        for (const CgroupCount& count : group.counts)
            if (count.count) counts.push_back(fmt::format("{} {}", count.name, count.count));
        const std::string state = std::string(group.frozen ? "frozen" : group.throttled ? "throttled" : group.populated ? "populated" : "empty") + (group.removed ? ", removed" : "");
        table.rows.push_back({indented(group.depth, short_ids(group.name)), group.controllers, pids_text(group.processes), milliseconds(group.used_cpu), std::to_string(group.weight), quota_text(group),
                              milliseconds(group.throttled_cpu), joined(figures), joined(counts), fmt::format("some {}%, {}", group.pressure[0].some_average, milliseconds(group.pressure[0].some)), state});
    }
    view.tables.push_back(std::move(table));
    return view;
}

ViewText network_text(const NetworkSeen& network) {
    ViewText view;
    ViewTable devices{{"in", "device", "kind", "state", "addresses", "other end", "bridge", "received", "sent"}, {}}, rest{{"in", "what", "is"}, {}};
    for (const NetSpaceSeen& space : network.spaces) {
        view.sentences.push_back(fmt::format("net namespace {} ({}): {} {}{}", space.inode, space.who, space.members.size(), space.members.size() == 1 ? "process" : "processes", space.forwards ? ", forwards packets" : ""));
        for (const DeviceSeen& device : space.devices)
            devices.rows.push_back({space.who, device.name, device.kind, device.up ? device.carrier ? "up" : "up, no carrier" : "down", joined(device.addresses), device.peer,
                                    device.ports.empty() ? device.bridge : "ports " + joined(device.ports), fmt::format("{} packets", device.received.packets), fmt::format("{} packets", device.sent.packets)});
        const std::pair<const char*, const std::vector<std::string>*> lists[] = {{"route", &space.routes}, {"rule", &space.rules}, {"neighbour", &space.neighbours}, {"connection", &space.tracked}};
        for (const auto& [name, list] : lists)
            for (const std::string& text : *list) rest.rows.push_back({space.who, name, text});
        for (const SocketSeen& socket : space.sockets) rest.rows.push_back({space.who, "socket", fmt::format("{} {} {} {}", socket.protocol, socket.local, socket.remote, socket.state)});
    }
    view.tables = {std::move(devices), std::move(rest)};
    return view;
}

ViewText packet_text(const PacketPath& path) {
    ViewText view;
    view.sentences.push_back(path.question + (path.error.empty() ? path.arrived ? ": it arrives" : ": nobody receives it" : ": cannot be sent, " + path.error));
    ViewTable table{{"hop", "in", "what happens", "the packet then"}, {}};
    u64 packet = 0, number = 0;
    for (const HopSeen& hop : path.hops) {
        if (packet != 0 && hop.packet != packet) table.rows.push_back({"", "", "(another packet)", ""});
        packet = hop.packet;
        table.rows.push_back({std::to_string(++number), hop.where, hop.sentence, hop.flow.empty() ? "ARP" : hop.flow});
    }
    view.tables.push_back(std::move(table));
    return view;
}

std::string view_names() { return "processes, namespaces, mounts, overlay, cgroups, network, packet"; }
bool is_view(const std::string& name) { return !name.empty() && name.find(',') == std::string::npos && (", " + view_names() + ",").find(", " + name + ",") != std::string::npos; }

namespace {

/// "10.0.0.2:80", "10.0.0.2".
Result<PacketQuestion> parse_question(const ViewRequest& request, u32 net) {
    PacketQuestion question;
    const std::size_t colon = request.to.find(':');
    const auto ip = parse_ip(request.to.substr(0, colon));
    if (!ip) return Error{fmt::format("packet --to {}: give an address and a port, such as 172.17.0.2:80", request.to)};
    question.net = net, question.destination = *ip, question.protocol = request.tcp ? kIpTcp : kIpUdp, question.port = 80;
    if (colon == std::string::npos) return question;
    u64 port = 0;
    const std::string text = request.to.substr(colon + 1);
    for (char c : text) port = c < '0' || c > '9' || port > 65535 ? 1'000'000 : port * 10 + static_cast<u64>(c - '0');
    if (text.empty() || port == 0 || port > 65535) return Error{fmt::format("packet --to {}: a port is a number from 1 to 65535", request.to)};
    question.port = static_cast<u16>(port);
    return question;
}

template <class Value> std::string shown(bool json, const Value& value, ViewText (*text)(const Value&), nlohmann::ordered_json (*as_json)(const Value&)) {
    return json ? as_json(value).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n" : text(value).text();
}

} // namespace

void add_view_options(CLI::App& verb, ViewRequest& request) {
    verb.add_option("what", request.what, view_names())->required();
    verb.add_option("--of", request.pid, "whose mounts or network: a pid as the host sees it; the newest container's first process unless given");
    verb.add_option("--to", request.to, "packet: where it goes, such as 172.17.0.3:80");
    verb.add_flag("--tcp", request.tcp, "packet: the first segment of a connection instead of a datagram");
}

Result<std::string> container_view(const Kernel& kernel, u64 now, const ViewRequest& request) {
    if (!is_view(request.what)) return Error{fmt::format("there is no view \"{}\"; there are {}", request.what, view_names())};
    if (request.what == "processes") return shown(request.json, process_matrix(kernel), processes_text, processes_json);
    if (request.what == "namespaces") return shown(request.json, process_matrix(kernel), namespaces_text, processes_json);
    if (request.what == "cgroups") return shown(request.json, cgroup_tree(kernel, now), cgroups_text, cgroups_json);
    if (request.what == "network") return shown(request.json, network_seen(kernel), network_text, network_json);
    const i32 pid = request.pid ? request.pid : default_process(kernel);
    const NamespaceKind kind = request.what == "packet" ? NamespaceKind::Net : NamespaceKind::Mnt;
    const auto index = pid ? namespace_of_process(kernel, pid, kind) : std::optional<u32>(0);
    if (!index) return Error{fmt::format("no process {} runs; `view processes` lists them with their pids outside", pid)};
    if (request.what == "mounts") return shown(request.json, mount_tree(kernel, *index), mounts_text, mounts_json);
    if (request.what == "overlay") return shown(request.json, overlays_seen(kernel, *index), overlays_text, overlays_json);
    auto question = parse_question(request, *index);
    if (!question) return Error{question.error()};
    return shown(request.json, packet_path(kernel, *question), packet_text, packet_json);
}

} // namespace trapeze::scenarios
