#include "container-sim/engine/layer_archive.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace trapeze::container {

namespace {

struct Reader {
    archive* handle = archive_read_new();
    Reader() = default;
    Reader(const Reader&) = delete;
    ~Reader() { archive_read_free(handle); }
    std::string why() const {
        const char* text = archive_error_string(handle);
        return text ? text : "it is damaged";
    }
};

const char* in_words(Compression compression) { return compression == Compression::Gzip ? "gzip" : "zstd"; }

/// The name of an entry for a sentence: hostile bytes would disturb a terminal.
std::string shown(std::string_view name) {
    std::string text;
    for (char c : name.substr(0, 120)) text += static_cast<unsigned char>(c) < 32 || c == 127 ? '?' : c;
    return name.size() > 120 ? text + "..." : text;
}

/// The unpacked bytes of the entry that was read last.
Result<Bytes> read_content(Reader& reader, u64 most) {
    std::vector<u8> content;
    std::vector<u8> buffer(64 << 10);
    while (true) {
        const la_ssize_t count = archive_read_data(reader.handle, buffer.data(), buffer.size());
        if (count == 0) return make_bytes(std::move(content));
        if (count < 0) return Error{fmt::format("its content cannot be read ({}); get the archive again, whole", reader.why())};
        if (content.size() + static_cast<u64>(count) > most) return Error{"the unpacked files are too large"};
        content.insert(content.end(), buffer.begin(), buffer.begin() + count);
    }
}

/// Calls visit(entry, clean name, reader, bytes left) for each entry; its errors get the names of archive and entry.
template <class Visit> Result<void> walk(const Bytes& bytes, const std::string& name, const ArchiveLimits& limits, Visit visit) {
    if (bytes->empty()) return {};
    Reader reader;
    archive_read_support_format_tar(reader.handle);
    archive_read_append_filter(reader.handle, ARCHIVE_FILTER_NONE);
    if (archive_read_open_memory(reader.handle, bytes->data(), bytes->size()) != ARCHIVE_OK)
        return Error{fmt::format("{}: no tar archive ({}); give one, as it is or in gzip or zstd", name, reader.why())};
    std::size_t entries = 0;
    u64 left = limits.bytes;
    archive_entry* entry = nullptr;
    while (true) {
        const int result = archive_read_next_header(reader.handle, &entry);
        if (result == ARCHIVE_EOF) return {};
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN) return Error{fmt::format("{}: the archive cannot be read further ({}); get it again, whole", name, reader.why())};
        if (++entries > limits.entries) return Error{fmt::format("{}: more than {} entries; give a smaller one", name, limits.entries)};
        const char* raw = archive_entry_pathname(entry);
        const std::string given = raw ? raw : "";
        auto clean = clean_path(given);
        if (!clean) return Error{fmt::format("{}: {}: {}", name, given.empty() ? "entry " + std::to_string(entries) : shown(given), clean.error())};
        const auto fail = [&](const std::string& why) { return Error{fmt::format("{}: {}: {}", name, shown(given), why)}; };
        if (archive_entry_size_is_set(entry) && static_cast<u64>(archive_entry_size(entry)) > left)
            return fail(fmt::format("the unpacked files would be larger than {} MiB; give a smaller image", limits.bytes >> 20));
        if (const auto visited = visit(entry, *clean, reader, left); !visited) return fail(visited.error());
    }
}

EntryType type_of(archive_entry* entry) {
    switch (archive_entry_filetype(entry)) {
    case AE_IFDIR: return EntryType::Directory;
    case AE_IFLNK: return EntryType::Symlink;
    case AE_IFCHR: return EntryType::Character;
    case AE_IFBLK: return EntryType::Block;
    case AE_IFIFO: return EntryType::Fifo;
    default: return EntryType::File;
    }
}

void read_xattrs(archive_entry* entry, FileNode& node) {
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    for (archive_entry_xattr_reset(entry); archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK;)
        if (name) node.xattrs[name] = std::string(static_cast<const char*>(value), size);
}

/// Everything but the content.
Result<FileNode> read_node(archive_entry* entry) {
    FileNode node;
    node.type = type_of(entry);
    node.mode = archive_entry_perm(entry) & 07777;
    for (const la_int64_t id : {archive_entry_uid(entry), archive_entry_gid(entry)})
        if (id < 0 || id > 0xffff'fffe) return Error{fmt::format("the owner {} is no user id; pack it with --numeric-owner and small ids", id)};
    node.uid = static_cast<u32>(archive_entry_uid(entry)), node.gid = static_cast<u32>(archive_entry_gid(entry));
    node.mtime = archive_entry_mtime(entry), node.mtime_nanoseconds = static_cast<u32>(archive_entry_mtime_nsec(entry));
    read_xattrs(entry, node);
    if (const char* link = archive_entry_hardlink(entry)) {
        auto target = clean_path(link);
        if (!target) return Error{fmt::format("a hard link to {}: {}", shown(link), target.error())};
        node.type = EntryType::HardLink, node.target = *target;
    } else if (node.type == EntryType::Symlink) {
        const char* target = archive_entry_symlink(entry);
        node.target = target ? target : "";
        if (node.target.empty() || node.target.size() >= kMaxPath) return Error{"a symbolic link without a target, or with one that is too long; make it again"};
    } else if (node.type == EntryType::Character || node.type == EntryType::Block) {
        node.major = static_cast<u32>(archive_entry_rdevmajor(entry)), node.minor = static_cast<u32>(archive_entry_rdevminor(entry));
    }
    return node;
}

LayerEntry marker(const std::string& path, EntryType type) {
    LayerEntry entry{path, {}};
    entry.node.type = type;
    return entry;
}

/// What a name that begins with .wh. means (layer.md, "Whiteouts"): the path it hides, an opaque directory, or aufs's own bookkeeping,
/// which is left out.
Result<void> add_whiteout(Layer& layer, const std::string& path) {
    const std::string directory = parent_path(path), name = base_name(path).substr(4);
    if (name == ".wh..opq") layer.entries.push_back(marker(directory, EntryType::Opaque));
    else if (name.empty() || name == "." || name == "..") return Error{"a whiteout of nothing; a whiteout is .wh. and the name of a file"};
    else if (!name.starts_with(".wh.")) layer.entries.push_back(marker(directory.empty() ? name : directory + "/" + name, EntryType::Whiteout));
    return {};
}

/// overlayfs's own marks are taken as well: a character device 0:0, and the attribute of an opaque directory.
void add_entry(Layer& layer, const std::string& path, FileNode node) {
    if (node.type == EntryType::Character && node.major == 0 && node.minor == 0) return layer.entries.push_back(marker(path, EntryType::Whiteout));
    for (const char* name : {"trusted.overlay.opaque", "user.overlay.opaque"}) {
        const auto found = node.xattrs.find(name);
        if (found == node.xattrs.end()) continue;
        if (node.type == EntryType::Directory && found->second == "y") layer.entries.push_back(marker(path, EntryType::Opaque));
        node.xattrs.erase(found);
    }
    layer.entries.push_back({path, std::move(node)});
}

struct Writer {
    archive* handle = archive_write_new();
    archive_entry* entry = archive_entry_new();
    std::vector<u8> bytes;

    Writer() {
        archive_write_set_format_pax_restricted(handle);
        archive_write_set_format_option(handle, "pax", "xattrheader", "SCHILY");
        archive_write_set_bytes_per_block(handle, 0);
        archive_write_open(handle, &bytes, nullptr, append, nullptr);
    }
    Writer(const Writer&) = delete;
    ~Writer() {
        archive_entry_free(entry);
        archive_write_free(handle);
    }
    static la_ssize_t append(archive*, void* to, const void* data, size_t size) {
        auto& bytes = *static_cast<std::vector<u8>*>(to);
        bytes.insert(bytes.end(), static_cast<const u8*>(data), static_cast<const u8*>(data) + size);
        return static_cast<la_ssize_t>(size);
    }
    Result<void> put(const std::string& name, const FileNode& node) {
        if (archive_write_header(handle, entry) < ARCHIVE_WARN) return Error{fmt::format("{}: cannot be put into an archive ({})", name, archive_error_string(handle))};
        if (node.size()) archive_write_data(handle, node.content->data(), node.content->size());
        return {};
    }
    Bytes finish() {
        archive_write_close(handle);
        return make_bytes(std::move(bytes));
    }
};

unsigned filetype(EntryType type) {
    switch (type) {
    case EntryType::Directory: return AE_IFDIR;
    case EntryType::Symlink: return AE_IFLNK;
    case EntryType::Character: return AE_IFCHR;
    case EntryType::Block: return AE_IFBLK;
    case EntryType::Fifo: return AE_IFIFO;
    default: return AE_IFREG;
    }
}

Result<void> write_node(Writer& writer, const std::string& path, const FileNode& node) {
    archive_entry_clear(writer.entry);
    std::string name = path.empty() ? "." : path;
    if (node.type == EntryType::Directory) name += "/";
    archive_entry_set_pathname(writer.entry, name.c_str());
    archive_entry_set_filetype(writer.entry, filetype(node.type));
    archive_entry_set_perm(writer.entry, node.mode);
    archive_entry_set_uid(writer.entry, node.uid);
    archive_entry_set_gid(writer.entry, node.gid);
    archive_entry_set_mtime(writer.entry, node.mtime, node.mtime_nanoseconds);
    archive_entry_set_size(writer.entry, static_cast<la_int64_t>(node.size()));
    if (node.type == EntryType::HardLink) archive_entry_set_hardlink(writer.entry, node.target.c_str());
    if (node.type == EntryType::Symlink) archive_entry_set_symlink(writer.entry, node.target.c_str());
    if (node.type == EntryType::Character || node.type == EntryType::Block) archive_entry_set_rdevmajor(writer.entry, node.major), archive_entry_set_rdevminor(writer.entry, node.minor);
    for (const auto& [key, value] : node.xattrs) archive_entry_xattr_add_entry(writer.entry, key.c_str(), value.data(), value.size());
    return writer.put(path, node);
}

} // namespace

Compression compression_of(const Bytes& bytes) {
    const auto& b = *bytes;
    if (b.size() > 2 && b[0] == 0x1f && b[1] == 0x8b) return Compression::Gzip;
    if (b.size() > 3 && b[0] == 0x28 && b[1] == 0xb5 && b[2] == 0x2f && b[3] == 0xfd) return Compression::Zstd;
    return Compression::None;
}

Result<Bytes> decompress(const Bytes& bytes, const std::string& name, const ArchiveLimits& limits) {
    const Compression compression = compression_of(bytes);
    if (compression == Compression::None) return bytes;
    Reader reader;
    archive_read_support_format_raw(reader.handle);
    archive_read_append_filter(reader.handle, compression == Compression::Gzip ? ARCHIVE_FILTER_GZIP : ARCHIVE_FILTER_ZSTD);
    archive_entry* entry = nullptr;
    const auto damaged = [&] { return Error{fmt::format("{}: the {} data is damaged ({}); get it again, whole", name, in_words(compression), reader.why())}; };
    if (archive_read_open_memory(reader.handle, bytes->data(), bytes->size()) != ARCHIVE_OK) return damaged();
    const int begun = archive_read_next_header(reader.handle, &entry);
    if (begun == ARCHIVE_EOF) return make_bytes(std::vector<u8>{});
    if (begun != ARCHIVE_OK) return damaged();
    const u64 by_ratio = std::max(limits.ratio_from, bytes->size() * limits.ratio);
    auto content = read_content(reader, std::min(limits.bytes, by_ratio));
    if (content) return content;
    if (content.error() != "the unpacked files are too large") return damaged();
    if (by_ratio < limits.bytes) return Error{fmt::format("{}: it would unpack to more than {} times its size, as nothing but a bomb does; pack real files", name, limits.ratio)};
    return Error{fmt::format("{}: it would unpack to more than {} MiB; give a smaller one", name, limits.bytes >> 20)};
}

Result<Layer> read_layer(const Bytes& archive, const std::string& name, const ArchiveLimits& limits) {
    Layer layer;
    std::set<std::string> files, folders;
    const auto walked = walk(archive, name, limits, [&](archive_entry* entry, const std::string& path, Reader& reader, u64& left) -> Result<void> {
        auto node = read_node(entry);
        if (!node) return Error{node.error()};
        for (std::string part = path; !part.empty(); part = parent_path(part))
            if (part != path && base_name(part).starts_with(".wh.")) return Error{"a folder whose name begins with .wh., which marks whiteouts; rename it"};
        const bool folder = node->type == EntryType::Directory;
        if (path.empty() && !folder) return Error{"the root is given as something else than a folder; make the layer again"};
        if (files.contains(path) || (!folder && folders.contains(path))) return Error{"the name is there twice; make the layer again with each name once"};
        (folder ? folders : files).insert(path);
        if (base_name(path).starts_with(".wh.")) return add_whiteout(layer, path);
        if (node->type == EntryType::File && archive_entry_size(entry) > 0) {
            auto content = read_content(reader, left);
            if (!content) return Error{content.error()};
            left -= (*content)->size();
            node->content = *content;
        }
        add_entry(layer, path, std::move(*node));
        return {};
    });
    if (!walked) return Error{walked.error()};
    return layer;
}

Result<Bytes> write_layer(const Layer& layer) {
    Writer writer;
    for (const LayerEntry& entry : layer.entries) {
        FileNode node = entry.node;
        std::string path = entry.path;
        if (node.type == EntryType::Whiteout || node.type == EntryType::Opaque) {
            const std::string directory = node.type == EntryType::Opaque ? path : parent_path(path);
            path = (directory.empty() ? "" : directory + "/") + (node.type == EntryType::Opaque ? ".wh..wh..opq" : ".wh." + base_name(path));
            node = {};
        }
        if (const auto written = write_node(writer, path, node); !written) return Error{written.error()};
    }
    return writer.finish();
}

/// Old `docker save` archives name a layer that two images share once, and link to it.
Result<std::map<std::string, Bytes>> read_files(const Bytes& archive, const std::string& name, const ArchiveLimits& limits) {
    std::map<std::string, Bytes> files;
    std::map<std::string, std::string> links;
    const auto walked = walk(archive, name, limits, [&](archive_entry* entry, const std::string& path, Reader& reader, u64& left) -> Result<void> {
        auto node = read_node(entry);
        if (!node) return Error{node.error()};
        if (node->type == EntryType::Directory) return {};
        if (files.contains(path) || links.contains(path)) return Error{"the name is there twice; save the image again"};
        if (node->type == EntryType::HardLink) {
            links[path] = node->target;
        } else if (node->type == EntryType::Symlink) {
            std::string from = parent_path(path), target = node->target;
            for (; target.starts_with("../") && !from.empty(); target = target.substr(3)) from = parent_path(from);
            auto clean = clean_path(from.empty() ? target : from + "/" + target);
            if (!clean) return Error{fmt::format("a link to {}: {}", shown(node->target), clean.error())};
            links[path] = *clean;
        } else if (node->type == EntryType::File) {
            auto content = read_content(reader, left);
            if (!content) return Error{content.error()};
            left -= (*content)->size();
            files[path] = *content;
        } else {
            return Error{"a device has no place in an image's archive; save the image again"};
        }
        return {};
    });
    if (!walked) return Error{walked.error()};
    for (const auto& [from, to] : links) {
        const auto found = files.find(to);
        if (found == files.end()) return Error{fmt::format("{}: {}: a link to {}, which is no file of the archive; save the image again", name, shown(from), shown(to))};
        files[from] = found->second;
    }
    return files;
}

Result<Bytes> write_files(const std::map<std::string, Bytes>& files) {
    Writer writer;
    for (const auto& [path, content] : files) {
        FileNode node;
        node.content = content;
        if (const auto written = write_node(writer, path, node); !written) return Error{written.error()};
    }
    return writer.finish();
}

} // namespace trapeze::container
