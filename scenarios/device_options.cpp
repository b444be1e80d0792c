#include "scenarios/device_options.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace trapeze::scenarios {

namespace {

/// "a,key=value,..." as QEMU reads it: a comma in a value is doubled. The first part may be a value alone.
struct KeyValues {
    struct Pair {
        std::string key, value;
        bool alone = false; ///< no '=' was given
    };
    std::vector<Pair> pairs;

    explicit KeyValues(const std::string& text) {
        std::string part;
        for (std::size_t i = 0; i <= text.size(); ++i) {
            if (i + 1 < text.size() && text[i] == ',' && text[i + 1] == ',') part += ',', ++i;
            else if (i == text.size() || text[i] == ',') add(std::exchange(part, {}));
            else part += text[i];
        }
    }
    std::optional<std::string> get(const std::string& key) const {
        for (const Pair& pair : pairs)
            if (pair.key == key && !pair.alone) return pair.value;
        return std::nullopt;
    }
    const std::string& first() const { return pairs.front().key; }
    bool first_alone() const { return pairs.front().alone; }
    /// The first key behind the leading one that is not among these; empty: all are.
    std::string unknown(const std::vector<std::string>& keys, std::size_t from) const {
        for (std::size_t i = from; i < pairs.size(); ++i)
            if (pairs[i].alone || std::find(keys.begin(), keys.end(), pairs[i].key) == keys.end()) return pairs[i].key;
        return {};
    }

  private:
    void add(const std::string& part) {
        const std::size_t equals = part.find('=');
        if (equals == std::string::npos) pairs.push_back({part, "", true});
        else pairs.push_back({part.substr(0, equals), part.substr(equals + 1), false});
    }
};

struct Drive {
    DriveSpec spec;
    std::string id;
    bool waits = false; ///< if=none: attached by a --device
};

Result<bool> on_off(const std::string& option, const KeyValues& values, const char* key) {
    const auto text = values.get(key);
    if (!text || *text == "off" || *text == "false" || *text == "no") return false;
    if (*text == "on" || *text == "true" || *text == "yes") return true;
    return Error{fmt::format("--drive {}: {}={} is neither on nor off", option, key, *text)};
}

Result<Drive> parse_drive(const std::string& option) {
    static const std::vector<std::string> kKnown = {"file",     "format", "if",     "id",    "readonly", "read-only", "snapshot",
                                                   "cow",      "serial", "cache",  "media", "index",    "aio"};
    const KeyValues values(option);
    const bool plain = values.first_alone();
    if (const std::string key = values.unknown(kKnown, plain ? 1 : 0); !key.empty())
        return Error{fmt::format("--drive {}: \"{}\" is not known; give file, format, if, id, readonly, snapshot, cow or serial, each with a value",
                                 option, key)};
    Drive drive;
    drive.spec.file = plain ? values.first() : values.get("file").value_or("");
    if (drive.spec.file.empty()) return Error{fmt::format("--drive {}: no file is named; give file=IMAGE", option)};
    if (const auto format = values.get("format"); format && *format != "raw")
        return Error{fmt::format("--drive {}: only raw images can be used; convert it: qemu-img convert -O raw {} IMAGE", option,
                                 drive.spec.file)};
    const std::string bus = values.get("if").value_or("virtio");
    if (bus != "virtio" && bus != "none")
        return Error{fmt::format("--drive {}: if={} cannot be had; the board has virtio disks: give if=virtio or if=none", option, bus)};
    if (const auto media = values.get("media"); media && *media != "disk")
        return Error{fmt::format("--drive {}: only media=disk can be had", option)};
    auto read_only = on_off(option, values, values.get("read-only") ? "read-only" : "readonly");
    auto snapshot = on_off(option, values, "snapshot"), cow = on_off(option, values, "cow");
    for (const auto* flag : {&read_only, &snapshot, &cow})
        if (!*flag) return Error{flag->error()};
    const bool stays = plain ? values.get("cow") != "off" && values.get("snapshot") != "off" : *snapshot || *cow;
    drive.spec.mode = *read_only ? DiskMode::ReadOnly : stays ? DiskMode::CopyOnWrite : DiskMode::WriteThrough;
    if (const auto serial = values.get("serial")) drive.spec.serial = *serial;
    drive.id = values.get("id").value_or("");
    drive.waits = bus == "none";
    return drive;
}

/// Takes the drive that `--device virtio-blk-device,drive=ID` names.
Result<DriveSpec> take_drive(const std::string& option, const KeyValues& values, std::vector<Drive>& drives) {
    const std::string id = values.get("drive").value_or("");
    const auto named = std::find_if(drives.begin(), drives.end(), [&](const Drive& d) { return d.waits && !id.empty() && d.id == id; });
    if (named == drives.end())
        return Error{fmt::format("--device {}: there is no drive \"{}\"; give --drive file=IMAGE,if=none,id={} as well", option, id,
                                 id.empty() ? "x" : id)};
    DriveSpec spec = named->spec;
    if (const auto serial = values.get("serial")) spec.serial = *serial;
    drives.erase(named);
    return spec;
}

Result<void> add_device(const std::string& option, std::vector<Drive>& drives, const std::vector<std::string>& netdevs, DeviceSpec& spec) {
    const KeyValues values(option);
    const std::string& model = values.first();
    if (model == "virtio-blk-device") {
        auto drive = take_drive(option, values, drives);
        if (!drive) return Error{drive.error()};
        spec.drives.push_back(std::move(*drive));
    } else if (model == "virtio-net-device") {
        const auto netdev = values.get("netdev");
        if (netdev && std::find(netdevs.begin(), netdevs.end(), *netdev) == netdevs.end())
            return Error{fmt::format("--device {}: there is no network \"{}\"; give --netdev user,id={} as well", option, *netdev, *netdev)};
        ++spec.network_cards;
    } else if (model == "virtio-rng-device") {
        spec.rng = true;
    } else if (model == "virtconsole") {
        spec.console = true;
    } else if (model != "virtio-serial-device") { // the bus of virtconsole, which needs no device of its own
        return Error{fmt::format("--device {}: there is no device \"{}\"; there are virtio-blk-device, virtio-net-device, virtio-rng-device and "
                                 "virtconsole", option, model)};
    }
    return {};
}

} // namespace

void DeviceOptions::add_to(CLI::App& verb) {
    // One value each time: a guest's name may follow.
    verb.add_option("--drive", drives,
                    "a virtio disk: an image FILE, which is not written, or as QEMU has it: file=FILE[,format=raw][,if=none,id=ID]\n"
                    "[,readonly=on][,snapshot=on][,serial=TEXT], of which boot writes the changes to FILE unless readonly or snapshot is on;\n"
                    "verbs that can go back in time keep them to themselves")->expected(1);
    verb.add_option("--device", devices, "virtio-blk-device,drive=ID; virtio-net-device[,netdev=ID]; virtio-rng-device; virtconsole")->expected(1);
    verb.add_option("--netdev", netdevs, "user,id=ID: the built-in network, where 10.0.2.2 answers ARP and ping")->expected(1);
    verb.add_option("--object", objects, "rng-builtin,id=ID or rng-random,id=ID: accepted; the bytes follow from --rng-seed")->expected(1);
    verb.add_option("--rng-seed", rng_seed, "what the bytes of virtio-rng follow from")->capture_default_str();
    verb.add_option("--capture", capture, "write what passes the network to this pcapng file, for Wireshark");
}

Result<DeviceSpec> parse_devices(const DeviceOptions& options) {
    DeviceSpec spec;
    spec.rng_seed = options.rng_seed;
    spec.capture = !options.capture.empty();
    std::vector<Drive> waiting;
    for (const std::string& option : options.drives) {
        auto drive = parse_drive(option);
        if (!drive) return Error{drive.error()};
        if (drive->waits) waiting.push_back(std::move(*drive));
        else spec.drives.push_back(drive->spec);
    }
    std::vector<std::string> networks;
    for (const std::string& option : options.netdevs) {
        const KeyValues values(option);
        if (values.first() != "user" || !values.get("id"))
            return Error{fmt::format("--netdev {}: only the built-in network can be had; give user,id=ID", option)};
        networks.push_back(*values.get("id"));
    }
    for (const std::string& option : options.objects)
        if (const std::string kind = KeyValues(option).first(); kind != "rng-builtin" && kind != "rng-random")
            return Error{fmt::format("--object {}: only rng-builtin and rng-random are known", option)};
    for (const std::string& option : options.devices)
        if (const auto added = add_device(option, waiting, networks, spec); !added) return Error{added.error()};
    if (!waiting.empty())
        return Error{fmt::format("the drive {} has if=none and no --device; add --device virtio-blk-device,drive={}, or leave if=none out",
                                 waiting.front().spec.file,
                                 waiting.front().id.empty() ? "ID with id=ID in the drive" : waiting.front().id)};
    return spec;
}

} // namespace trapeze::scenarios
