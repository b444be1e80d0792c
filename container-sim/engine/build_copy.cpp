// COPY: from a folder of the host into a layer.
#include "container-sim/engine/host_files.hpp"
#include "container-sim/engine/image_build.hpp"

#include <fmt/format.h>

#include <fnmatch.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace trapeze::container {

namespace {

struct Copier {
    const FileTree& tree;
    const std::string& context;
    const CopyRequest& request;
    ArchiveLimits left;
    Layer layer;

    Result<std::vector<std::string>> matches(const std::string& pattern) const;
    Result<void> take(const std::string& from, const std::string& to);
    Result<void> take_children(const std::string& from, const std::string& to);
};

bool is_pattern(const std::string& text) { return text.find_first_of("*?[") != std::string::npos; }

/// Part by part, so that no * crosses a slash.
Result<std::vector<std::string>> Copier::matches(const std::string& pattern) const {
    auto clean = clean_path(pattern.starts_with('/') ? pattern.substr(1) : pattern);
    if (!clean && pattern != "/") return Error{fmt::format("{}: {}; only what lies in the folder {} can be copied", pattern, clean.error(), context)};
    std::vector<std::string> found{""};
    std::string rest = clean ? *clean : "";
    while (!rest.empty()) {
        const std::size_t slash = rest.find('/');
        const std::string part = rest.substr(0, slash);
        rest = slash == std::string::npos ? "" : rest.substr(slash + 1);
        std::vector<std::string> next;
        for (const std::string& at : found) {
            const std::string prefix = at.empty() ? "" : at + "/";
            if (!is_pattern(part)) {
                struct stat info {};
                if (lstat((context + "/" + prefix + part).c_str(), &info) != 0) continue;
                if (!rest.empty() && !S_ISDIR(info.st_mode)) continue; // a link could lead out of the folder
                next.push_back(prefix + part);
                continue;
            }
            for (const std::string& name : names_in_host_folder(context + "/" + at))
                if (fnmatch(part.c_str(), name.c_str(), FNM_PERIOD) == 0) next.push_back(prefix + name);
        }
        found = std::move(next);
    }
    if (found.empty()) return Error{fmt::format("{}: there is no such file in {}", pattern, context)};
    return found;
}

Result<void> Copier::take(const std::string& from, const std::string& to) {
    const std::string path = context + "/" + from;
    if (left.entries-- == 0) return Error{fmt::format("{}: more than {} files; copy fewer", context, kMaxTreeEntries)};
    if (auto clean = clean_path(to.empty() ? "." : to); !clean) return Error{fmt::format("{}: {}", path, clean.error())};
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0) return Error{fmt::format("{}: cannot be read ({})", path, std::strerror(errno))};
    LayerEntry entry{to, {}};
    entry.node.mode = info.st_mode & 07777, entry.node.uid = request.uid, entry.node.gid = request.gid;
    if (S_ISDIR(info.st_mode)) {
        entry.node.type = EntryType::Directory;
        if (!to.empty()) layer.entries.push_back(std::move(entry));
        return take_children(from, to);
    }
    if (S_ISLNK(info.st_mode)) {
        std::vector<char> target(kMaxPath);
        const ssize_t size = readlink(path.c_str(), target.data(), target.size());
        if (size <= 0) return Error{fmt::format("{}: the link cannot be read ({})", path, std::strerror(errno))};
        entry.node.type = EntryType::Symlink, entry.node.mode = 0777, entry.node.target = std::string(target.data(), static_cast<std::size_t>(size));
    } else if (S_ISREG(info.st_mode)) {
        auto content = read_host_file(path, left.bytes);
        if (!content) return Error{content.error()};
        left.bytes -= (*content)->size();
        entry.node.content = *content;
        if (request.mode) entry.node.mode = *request.mode;
    } else {
        return Error{fmt::format("{}: neither a file, a folder nor a symbolic link; leave it out", path)};
    }
    layer.entries.push_back(std::move(entry));
    return {};
}

Result<void> Copier::take_children(const std::string& from, const std::string& to) {
    for (const std::string& name : names_in_host_folder(context + "/" + from))
        if (auto taken = take(from.empty() ? name : from + "/" + name, to.empty() ? name : to + "/" + name); !taken) return taken;
    return {};
}

} // namespace

void add_folders(Layer& layer, const FileTree& tree, const std::string& path, u32 uid, u32 gid) {
    if (path.empty() || is_directory(tree, path)) return;
    if (std::any_of(layer.entries.begin(), layer.entries.end(), [&](const LayerEntry& entry) { return entry.path == path; })) return;
    add_folders(layer, tree, parent_path(path), uid, gid);
    LayerEntry folder{path, FileTree::root_node()};
    folder.node.uid = uid, folder.node.gid = gid;
    layer.entries.push_back(std::move(folder));
}

/// A folder gives what is in it; a file goes into the destination when that is a folder, and else becomes it (Containerfile(5), COPY).
Result<Layer> copy_layer(const FileTree& tree, const std::string& context, const CopyRequest& request, const ArchiveLimits& limits) {
    Copier copier{tree, context, request, limits, {}};
    std::vector<std::string> sources;
    for (const std::string& pattern : request.sources) {
        auto found = copier.matches(pattern);
        if (!found) return Error{found.error()};
        sources.insert(sources.end(), found->begin(), found->end());
    }
    const auto clean = clean_path(request.destination == "/" ? "." : request.destination.substr(1));
    if (!clean) return Error{fmt::format("{}: {}", request.destination, clean.error())};
    const std::string& to = clean.value();
    const bool into_folder = request.destination.ends_with('/') || is_directory(tree, to);
    if (sources.size() > 1 && !into_folder) return Error{fmt::format("several files are copied to {}, which is no folder; end it with /", request.destination)};
    for (const std::string& source : sources) {
        if (is_host_folder(context + "/" + source) && access((context + "/" + source).c_str(), R_OK) != 0)
            return Error{fmt::format("{}/{}: the folder cannot be read ({})", context, source, std::strerror(errno))};
        struct stat info {};
        const bool folder = lstat((context + "/" + source).c_str(), &info) == 0 && S_ISDIR(info.st_mode);
        const std::string place = folder || !into_folder ? to : (to.empty() ? "" : to + "/") + base_name(source);
        add_folders(copier.layer, tree, folder ? place : parent_path(place), request.uid, request.gid);
        const auto taken = folder ? copier.take_children(source, place) : copier.take(source, place);
        if (!taken) return Error{taken.error()};
    }
    return std::move(copier.layer);
}

} // namespace trapeze::container
