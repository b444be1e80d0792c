// What the engine keeps below /var/lib/trapeze: layers as file systems, folders of the real host, volumes, and what containers have written.
#include "container-sim/engine/engine.hpp"

#include "container-sim/abi.hpp"
#include "container-sim/engine/layer_file_system.hpp"
#include "container-sim/errno.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

using namespace planning;

namespace {

/// Below everything: the places that are mounted on, for images that do not have them. Docker has such a layer, too.
Layer first_layer() {
    Layer layer;
    const auto add = [&](const char* path, EntryType type, u32 mode) {
        LayerEntry entry{path, {}};
        entry.node.type = type, entry.node.mode = mode;
        layer.entries.push_back(entry);
    };
    for (const char* folder : {"dev", "dev/pts", "dev/shm", "etc", "proc", "sys"}) add(folder, EntryType::Directory, 0755);
    for (const char* file : {"dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf"}) add(file, EntryType::File, 0644);
    return layer;
}

/// What a stack of directories shows under a path, as an overlay of them would: the inode, or 0. Links are not followed.
u32 look_up(const Vfs& vfs, std::vector<u32> stack, const std::string& path) {
    for (std::size_t at = 0; at <= path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        const std::string name = path.substr(at, end - at);
        std::vector<u32> next;
        for (u32 directory : stack) {
            const u32 found = vfs.inode_of(directory).is_directory() ? vfs.child(directory, name) : 0;
            if (!found) continue;
            const Inode& inode = vfs.inode_of(found);
            if (inode.is(mode::kCharacter) && inode.device == 0) break;
            next.push_back(found);
            if (!inode.is_directory() || inode.attributes.contains("trusted.overlay.opaque")) break;
        }
        if (next.empty()) return 0;
        stack = std::move(next);
        at = end + 1;
    }
    return vfs.dentries.get(stack[0]).inode;
}

} // namespace

Result<void> Engine::mount_at(Machine& machine, Kernel& kernel, u32 super, const std::string& path, const std::string& source) {
    Runtime runtime(machine, kernel, runtime_);
    (void)runtime.call(engine_call("mkdirat", {here(), text(path), octal(0755)}, ""));
    const Viewer viewer = kernel.viewer_of(machine, 0);
    const Found place = kernel.vfs.walk(viewer, viewer.root, path, kFollow);
    const i64 error = place.error ? place.error : kernel.vfs.mount_new(viewer, place.location, super, 0, source);
    return error ? Result<void>(Error{fmt::format("{}: it cannot be mounted on the machine's {} (error {})", source, path, -error)}) : Result<void>();
}

Result<std::string> Engine::mount_layer(Machine& machine, Kernel& kernel, const std::string& id, const Layer& layer) {
    if (const auto known = places_.find(id); known != places_.end()) return known->second;
    const auto super = import_layer(kernel.vfs, kernel.viewer_of(machine, 0), layer, id);
    if (!super) return Error{super.error()};
    const std::string path = fmt::format("/var/lib/trapeze/layers/{}", places_.size());
    if (auto mounted = mount_at(machine, kernel, super.value(), path, id); !mounted) return Error{mounted.error()};
    return places_[id] = path;
}

Result<std::string> Engine::mount_host_folder(Machine& machine, Kernel& kernel, const std::string& folder) {
    const std::string id = "folder:" + folder;
    if (const auto known = places_.find(id); known != places_.end()) return known->second;
    const auto super = import_folder(kernel.vfs, kernel.viewer_of(machine, 0), folder);
    if (!super) return Error{super.error()};
    const std::string path = fmt::format("/var/lib/trapeze/host/{}", places_.size());
    if (auto mounted = mount_at(machine, kernel, super.value(), path, folder); !mounted) return Error{mounted.error()};
    return places_[id] = path;
}

/// The lower directories of a container's overlay, the topmost first, with colons between.
Result<std::string> Engine::lower_folders(Machine& machine, Kernel& kernel, const RunConfig& config) {
    std::vector<std::string> folders;
    if (!config.folder.empty()) {
        auto folder = mount_host_folder(machine, kernel, config.folder);
        if (!folder) return folder;
        folders.push_back(*folder);
    }
    for (std::size_t i = config.layers.layers.size(); i-- > 0;) {
        auto layer = mount_layer(machine, kernel, config.layers.ids[i], *config.layers.layers[i]);
        if (!layer) return layer;
        folders.push_back(*layer);
    }
    auto first = mount_layer(machine, kernel, "first", first_layer());
    if (!first) return first;
    folders.push_back(*first);
    return fmt::format("{}", fmt::join(folders, ":"));
}

std::string Engine::lower_folders_of(const Container& container) const {
    std::vector<std::string> folders, ids = container.config.layers.ids;
    if (!container.config.folder.empty()) ids.push_back("folder:" + container.config.folder);
    ids.insert(ids.begin(), "first");
    for (auto id = ids.rbegin(); id != ids.rend(); ++id)
        if (const auto place = places_.find(*id); place != places_.end()) folders.push_back(place->second);
    return fmt::format("{}", fmt::join(folders, ":"));
}

/// The text of a small file of a root; empty when it has none. `folder`: of a container, whose changes count.
std::string Engine::file_of_root(Machine& machine, Kernel& kernel, const RunConfig& config, const std::string& folder, const std::string& path) const {
    constexpr u64 kMost = 1 << 20;
    std::vector<u32> stack;
    const Viewer viewer = kernel.viewer_of(machine, 0);
    const auto add = [&](const std::string& place) {
        const Found found = kernel.vfs.walk(viewer, viewer.root, place, kFollow);
        if (!found.error) stack.push_back(found.location.dentry);
    };
    if (!folder.empty()) add(folder + "/diff");
    if (const auto host = places_.find("folder:" + config.folder); host != places_.end()) add(host->second);
    for (std::size_t i = config.layers.ids.size(); i-- > 0;)
        if (const auto known = places_.find(config.layers.ids[i]); known != places_.end()) add(known->second);
    const u32 inode = look_up(kernel.vfs, stack, path);
    if (!inode || !kernel.vfs.inodes.get(inode).is_file() || kernel.vfs.inodes.get(inode).size() > kMost) return {};
    const Content content = kernel.vfs.content(inode);
    return content ? std::string(content->begin(), content->end()) : std::string();
}

Result<Layer> Engine::changes(Machine& machine, Kernel& kernel, const Container& container) const {
    const Viewer viewer = kernel.viewer_of(machine, 0);
    const Found upper = kernel.vfs.walk(viewer, viewer.root, container.folder() + "/diff", kFollow);
    if (upper.error) return Error{fmt::format("{}: its folder is not there", container.name)};
    return export_layer(kernel.vfs, upper.location.dentry);
}

Result<FileTree> Engine::tree(Machine& machine, Kernel& kernel, const Container& container) const {
    FileTree all;
    if (const auto host = places_.find("folder:" + container.config.folder); host != places_.end()) {
        const Viewer viewer = kernel.viewer_of(machine, 0);
        const Found root = kernel.vfs.walk(viewer, viewer.root, host->second, kFollow);
        auto layer = export_layer(kernel.vfs, root.location.dentry);
        if (!layer) return Error{layer.error()};
        if (auto applied = apply_layer(all, *layer); !applied) return Error{applied.error()};
    }
    for (const auto& layer : container.config.layers.layers)
        if (auto applied = apply_layer(all, *layer); !applied) return Error{applied.error()};
    auto own = changes(machine, kernel, container);
    if (!own) return Error{own.error()};
    if (auto applied = apply_layer(all, *own); !applied) return Error{applied.error()};
    return all;
}

// --- Volumes ----------------------------------------------------------------------------------------------------------------------------

Result<void> Engine::create_volume(Machine& machine, Kernel& kernel, const std::string& name) {
    const bool good = name.size() > 1 && name.size() <= 128 && std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '.' || c == '-'; }) && name[0] != '.';
    if (!good) return Error{fmt::format("volume {}: a name has two or more letters, digits, _ . and -", name)};
    if (std::find(volumes_.begin(), volumes_.end(), name) != volumes_.end()) return {};
    const std::string folder = "/var/lib/trapeze/volumes/" + name;
    if (auto made = perform(machine, kernel, "volume " + name, {make_folder(folder, 0755, "the volume's folder"), make_folder(folder + "/_data", 0755, "what containers see of it")}); !made) return made;
    volumes_.push_back(name);
    std::sort(volumes_.begin(), volumes_.end());
    return {};
}

Result<void> Engine::remove_volume(Machine& machine, Kernel& kernel, const std::string& name) {
    const auto found = std::find(volumes_.begin(), volumes_.end(), name);
    if (found == volumes_.end()) return Error{fmt::format("volume {}: there is no such volume; volume ls lists them", name)};
    for (const Container& container : containers_)
        for (const VolumeMount& volume : container.config.volumes)
            if (volume.source == name) return Error{fmt::format("volume {}: the container {} has it; remove that first", name, container.name)};
    remove_tree(machine, kernel, "/var/lib/trapeze/volumes/" + name);
    volumes_.erase(found);
    return {};
}

/// Volumes, and the files that the engine keeps for it, become mounts.
Result<void> Engine::add_volumes(Machine& machine, Kernel& kernel, Container& container, RuntimeSpec& spec) {
    const auto add = [&](const std::string& source, const std::string& target, bool file, bool read_only) {
        spec.mounts.push_back({target, file ? "bind-file" : "bind", source, {"rbind", read_only ? "ro" : "rw", "rprivate"}});
    };
    std::size_t unnamed = 0;
    std::vector<VolumeMount> wanted = container.config.volumes;
    for (const std::string& place : container.config.defaults.volumes) // the image's own, unless something else is mounted there
        if (std::none_of(wanted.begin(), wanted.end(), [&](const VolumeMount& one) { return one.target == place; })) wanted.push_back({"", place, false});
    for (VolumeMount volume : wanted) {
        if (volume.source.empty()) volume.source = hex_of(digest_of(fmt::format("volume {} of {}", unnamed++, container.id)));
        std::string source;
        if (volume.source[0] == '/') {
            auto folder = mount_host_folder(machine, kernel, volume.source);
            if (!folder) return Error{fmt::format("--volume {}", folder.error())};
            source = *folder;
        } else {
            if (auto made = create_volume(machine, kernel, volume.source); !made) return made;
            source = fmt::format("/var/lib/trapeze/volumes/{}/_data", volume.source);
            auto& own = container.anonymous_volumes;
            if (unnamed && volume.source.size() == 64 && std::find(own.begin(), own.end(), volume.source) == own.end()) own.push_back(volume.source);
        }
        add(source, volume.target, false, volume.read_only);
    }
    if (!container.config.bundle)
        for (const char* name : {"hosts", "hostname", "resolv.conf"}) add(container.folder() + "/" + name, std::string("/etc/") + name, true, false);
    return {};
}

/// A folder of the host with all that is in it, from the bottom up.
void Engine::remove_tree(Machine& machine, Kernel& kernel, const std::string& path) {
    Runtime runtime(machine, kernel, runtime_);
    const Viewer viewer = kernel.viewer_of(machine, 0);
    const Found found = kernel.vfs.walk(viewer, viewer.root, path, kFollow);
    if (found.error || !kernel.vfs.is_directory(found.location)) return;
    std::vector<std::pair<std::string, u32>> order{{path, found.location.dentry}};
    for (std::size_t i = 0; i < order.size(); ++i) {
        const auto [above, dentry] = order[i];
        for (const auto& [name, child] : kernel.vfs.inode_of(dentry).children) order.push_back({above + "/" + name, child});
    }
    for (auto at = order.rbegin(); at != order.rend(); ++at) {
        const bool directory = kernel.vfs.inode_of(at->second).is_directory();
        (void)runtime.call(engine_call("unlinkat", {here(), text(at->first), directory ? number(kRemoveDir, "AT_REMOVEDIR") : number(0)}, ""));
    }
    if (kernel.vfs.wants_sweep()) kernel.sweep_files();
}

} // namespace trapeze::container
