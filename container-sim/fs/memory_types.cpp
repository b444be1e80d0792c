// File systems that live in memory alone: tmpfs(5), the root of all, mqueue and devpts; and the table of all types.
#include "container-sim/fs/options.hpp"
#include "container-sim/fs/types.hpp"

#include <fmt/format.h>

namespace trapeze::container {

// --- Options -----------------------------------------------------------------------------------------------------------------------

std::vector<MountOption> split_options(std::string_view text) {
    std::vector<MountOption> options;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(','), text.size());
        const std::string_view one = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (one.empty()) continue;
        const std::size_t equals = one.find('=');
        options.push_back({std::string(one.substr(0, equals)), equals == std::string_view::npos ? std::nullopt : std::optional(std::string(one.substr(equals + 1)))});
    }
    return options;
}

std::optional<u64> MountOption::number(int base) const {
    if (!value || value->empty() || value->size() > 20) return std::nullopt;
    u64 result = 0;
    for (char c : *value) {
        const u64 digit = static_cast<u64>(c - '0');
        if (c < '0' || digit >= static_cast<u64>(base)) return std::nullopt;
        if (__builtin_mul_overflow(result, static_cast<u64>(base), &result) || __builtin_add_overflow(result, digit, &result)) return std::nullopt;
    }
    return result;
}

/// Bytes, with k, m or g behind the number, or a percentage of `whole`.
std::optional<u64> MountOption::bytes(u64 whole) const {
    if (!value || value->empty()) return std::nullopt;
    MountOption digits = *this;
    unsigned shift = 0;
    const char last = static_cast<char>(value->back() | 0x20);
    if (value->back() == '%' || last == 'k' || last == 'm' || last == 'g') digits.value->pop_back();
    if (last == 'k') shift = 10;
    if (last == 'm') shift = 20;
    if (last == 'g') shift = 30;
    const auto count = digits.number(10);
    if (!count || *count > ~u64{0} >> (shift + 7)) return std::nullopt;
    return value->back() == '%' ? whole / 100 * *count : *count << shift;
}

// --- The root directory of a file system in memory ------------------------------------------------------------------------------------

i64 make_root(Vfs& vfs, const Viewer& viewer, u32 super, u32 permissions, u32 uid, u32 gid) {
    const i64 inode = vfs.new_inode(super, mode::kDirectory | permissions, uid, gid, viewer.now);
    if (inode < 0) return inode;
    const u32 root = vfs.new_dentry(0, "/", static_cast<u32>(inode));
    vfs.supers.edit(super).root = root;
    return 0;
}

// --- tmpfs ---------------------------------------------------------------------------------------------------------------------------

namespace {

constexpr u64 kDefaultPages = u64{1} << 15; // 128 MiB, where the size of memory is not known

struct TmpfsOptions {
    u64 pages = 0, inodes = 0;
    u32 mode = 01777, uid = 0, gid = 0;
};

i64 read_tmpfs_options(const Viewer& viewer, std::string_view text, TmpfsOptions& out) {
    for (const MountOption& option : split_options(text)) {
        const auto set_id = [&](u32& to) -> i64 {
            const auto given = option.number(10);
            const u32 id = given && *given < kNoId ? viewer.kernel_id(static_cast<u32>(*given), option.name == "gid") : kNoId;
            return id == kNoId ? -kEINVAL : (to = id, 0);
        };
        if (option.name == "size" || option.name == "nr_blocks") {
            const auto bytes = option.bytes(viewer.memory_bytes());
            if (!bytes) return -kEINVAL;
            out.pages = option.name == "size" ? (*bytes + kPageMask) / kPageSize : *bytes;
            if (!out.pages) out.pages = ~u64{0}; // no limit
        } else if (option.name == "nr_inodes") {
            const auto count = option.bytes(0);
            if (!count) return -kEINVAL;
            out.inodes = *count ? *count : ~u64{0};
        } else if (option.name == "mode") {
            const auto mode = option.number(8);
            if (!mode) return -kEINVAL;
            out.mode = static_cast<u32>(*mode) & mode::kPermissions;
        } else if (option.name == "uid") {
            if (const i64 error = set_id(out.uid)) return error;
        } else if (option.name == "gid") {
            if (const i64 error = set_id(out.gid)) return error;
        } else if (option.name != "inode64" && option.name != "noswap" && option.name != "huge" && option.name != "mpol") {
            return -kEINVAL;
        }
    }
    return 0;
}

i64 fill_tmpfs(Vfs& vfs, const Viewer& viewer, u32 super, const MountRequest& request) {
    TmpfsOptions options;
    options.uid = viewer.credentials->fsuid, options.gid = viewer.credentials->fsgid;
    if (const i64 error = read_tmpfs_options(viewer, request.options, options)) return error;
    const u64 memory = viewer.memory_bytes();
    Superblock& block = vfs.supers.edit(super);
    block.most_pages = options.pages ? options.pages : memory ? memory / kPageSize / 2 : kDefaultPages;
    block.most_inodes = options.inodes ? options.inodes : memory ? memory / kPageSize / 2 : kMaxInodes;
    if (options.pages && options.pages != ~u64{0}) block.shown += fmt::format(",size={}k", options.pages * 4);
    if (options.inodes && options.inodes != ~u64{0}) block.shown += fmt::format(",nr_inodes={}", options.inodes);
    if (options.mode != 01777) block.shown += fmt::format(",mode={:03o}", options.mode);
    if (options.uid) block.shown += fmt::format(",uid={}", viewer.seen_id(options.uid, false));
    if (options.gid) block.shown += fmt::format(",gid={}", viewer.seen_id(options.gid, true));
    return make_root(vfs, viewer, super, options.mode, options.uid, options.gid);
}

i64 check_tmpfs(const Viewer& viewer, const std::string& option) {
    TmpfsOptions ignored;
    return read_tmpfs_options(viewer, option, ignored);
}

/// A remount may change the limits, not below what is in use.
i64 change_tmpfs(Vfs& vfs, const Viewer& viewer, u32 super, const std::string& text) {
    TmpfsOptions options;
    if (const i64 error = read_tmpfs_options(viewer, text, options)) return error;
    Superblock& block = vfs.supers.edit(super);
    if (options.pages) {
        if (options.pages < block.pages) return -kEINVAL;
        block.most_pages = options.pages;
        const std::size_t old = block.shown.find(",size=");
        if (old != std::string::npos) block.shown.erase(old, block.shown.find(',', old + 1) - old);
        if (options.pages != ~u64{0}) block.shown.insert(0, fmt::format(",size={}k", options.pages * 4));
    }
    if (options.inodes) {
        if (options.inodes < block.inodes) return -kEINVAL;
        block.most_inodes = options.inodes;
    }
    return 0;
}

std::string shown_options(const Vfs&, const Superblock& super) { return super.shown; }

i64 fill_root(Vfs& vfs, const Viewer& viewer, u32 super, const MountRequest&) { return make_root(vfs, viewer, super, 0755, 0, 0); }

i64 fill_mqueue(Vfs& vfs, const Viewer& viewer, u32 super, const MountRequest& request) {
    if (!request.options.empty()) return -kEINVAL;
    return make_root(vfs, viewer, super, 01777, 0, 0);
}

// --- devpts: the nodes; terminals themselves are elsewhere ----------------------------------------------------------------------------

i64 fill_devpts(Vfs& vfs, const Viewer& viewer, u32 super, const MountRequest& request) {
    u32 ptmx_mode = 0, node_mode = 0600;
    std::optional<u32> uid, gid;
    for (const MountOption& option : split_options(request.options)) {
        const auto number = option.number(option.name == "mode" || option.name == "ptmxmode" ? 8 : 10);
        if (option.name == "newinstance") continue;
        if (!number || *number >= kNoId) return -kEINVAL;
        const u32 value = static_cast<u32>(*number);
        if (option.name == "mode") node_mode = value & 0777;
        else if (option.name == "ptmxmode") ptmx_mode = value & 0777;
        else if (option.name == "uid" || option.name == "gid") {
            const u32 id = viewer.kernel_id(value, option.name == "gid");
            if (id == kNoId) return -kEINVAL;
            (option.name == "uid" ? uid : gid) = id;
        } else if (option.name != "max") return -kEINVAL;
    }
    if (const i64 error = make_root(vfs, viewer, super, 0755, viewer.credentials->fsuid, viewer.credentials->fsgid)) return error;
    Superblock& block = vfs.supers.edit(super);
    block.no_devices = false; // its terminals may be opened wherever it is mounted
    if (uid) block.shown += fmt::format(",uid={}", viewer.seen_id(*uid, false));
    if (gid) block.shown += fmt::format(",gid={}", viewer.seen_id(*gid, true));
    block.shown += fmt::format(",mode={:03o},ptmxmode={:03o}", node_mode, ptmx_mode);
    block.node_uid = uid.value_or(kNoId), block.node_gid = gid.value_or(kNoId), block.node_mode = node_mode;
    const i64 made = vfs.add_node(block.root, "ptmx", {mode::kCharacter | ptmx_mode, make_device(5, 2), {}}, viewer.credentials->fsuid, viewer.credentials->fsgid, viewer.now);
    return std::min<i64>(made, 0);
}

i64 refuse_create(Vfs&, const Viewer&, u32, const std::string&, const NewNode& node) { return (node.mode & mode::kType) == mode::kFile ? -kEACCES : -kEPERM; }
i64 refuse_remove(Vfs&, const Viewer&, u32) { return -kEPERM; }

FileSystemType in_memory(const char* name, u32 magic, bool for_users, i64 (*fill)(Vfs&, const Viewer&, u32, const MountRequest&)) {
    FileSystemType type{};
    type.name = name, type.magic = magic, type.for_users = for_users, type.nodev = type.of_memory = true, type.fill = fill, type.options = shown_options;
    return type;
}

} // namespace

const FileSystemType kTmpfs = [] {
    FileSystemType type = in_memory("tmpfs", 0x01021994, true, fill_tmpfs);
    type.change = change_tmpfs, type.check = check_tmpfs;
    return type;
}();
const FileSystemType kRamfs = in_memory("ramfs", 0x858458f6, true, fill_root);
const FileSystemType kRootfs = in_memory("rootfs", 0x01021994, false, fill_root);
const FileSystemType kHostFolder = [] { // what the machine would have on a disk
    FileSystemType type = in_memory("host", 0x01021997, false, fill_root);
    type.of_memory = false;
    return type;
}();
const FileSystemType kMqueue = [] {
    FileSystemType type = in_memory("mqueue", 0x19800202, true, fill_mqueue);
    type.shared = [](Vfs& vfs, const Viewer& viewer, const MountRequest&) { return mountable_queue_super(vfs, viewer); }, type.create = create_queue_file;
    return type;
}();
const FileSystemType kDevpts = [] {
    FileSystemType type = in_memory("devpts", 0x1cd1, true, fill_devpts);
    type.create = refuse_create, type.remove = refuse_remove;
    return type;
}();

/// A terminal's node in a devpts, for whoever opened its ptmx. The dentry, or an errno.
i64 add_terminal_node(Vfs& vfs, const Viewer& viewer, u32 super, u32 number) {
    const Superblock& block = vfs.supers.get(super);
    const u32 uid = block.node_uid == kNoId ? viewer.credentials->fsuid : block.node_uid, gid = block.node_gid == kNoId ? viewer.credentials->fsgid : block.node_gid;
    return vfs.add_node(block.root, fmt::format("{}", number), {mode::kCharacter | block.node_mode, make_device(136, number), {}}, uid, gid, viewer.now);
}
void remove_terminal_node(Vfs& vfs, u32 super, u32 number) {
    if (const u32 node = vfs.supers.get(super).type == &kDevpts ? vfs.child(vfs.root_of(super), fmt::format("{}", number)) : 0) vfs.drop_tree(node);
}

const std::vector<const FileSystemType*>& file_system_types() {
    static const std::vector<const FileSystemType*> types = {&kSysfs, &kTmpfs, &kProc, &kCgroup2, &kDevpts, &kRamfs, &kMqueue, &kOverlay, &kRootfs, &kHostFolder};
    return types;
}

} // namespace trapeze::container
