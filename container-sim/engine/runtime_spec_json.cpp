// config.json of the OCI runtime specification 1.0: config.md, config-linux.md.
#include "container-sim/engine/runtime_spec.hpp"

#include "container-sim/engine/image_json.hpp"
#include "container-sim/task.hpp"

#include <fmt/format.h>

namespace trapeze::container {

namespace {

constexpr std::pair<const char*, NamespaceKind> kNamespaces[] = {{"pid", NamespaceKind::Pid}, {"network", NamespaceKind::Net}, {"ipc", NamespaceKind::Ipc}, {"uts", NamespaceKind::Uts},
                                                                 {"mount", NamespaceKind::Mnt}, {"user", NamespaceKind::User}, {"cgroup", NamespaceKind::Cgroup}, {"time", NamespaceKind::Time}};
constexpr const char* kLimitNames[] = {"RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS", "RLIMIT_NPROC", "RLIMIT_NOFILE",
                                       "RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME"};
constexpr std::size_t kMaxItems = 1000;

Json capability_list(u64 set) {
    Json list = Json::array();
    for (unsigned i = 0; i < kCapabilities; ++i)
        if (set >> i & 1) list.push_back(capability_name(static_cast<Capability>(i)));
    return list;
}

Json map_json(const std::vector<IdRange>& ranges) {
    Json list = Json::array();
    for (const IdRange& range : ranges) list.push_back({{"containerID", range.inside}, {"hostID", range.outside}, {"size", range.count}});
    return list;
}

Json linux_json(const RuntimeSpec& spec) {
    Json json = Json::object();
    if (!spec.uids.empty()) json["uidMappings"] = map_json(spec.uids), json["gidMappings"] = map_json(spec.gids);
    if (!spec.cgroup.empty()) json["cgroupsPath"] = spec.cgroup;
    if (!spec.resources.empty()) {
        Json unified = Json::object();
        for (const auto& [file, value] : spec.resources) unified[file] = value;
        json["resources"] = {{"unified", unified}};
    }
    if (!spec.sysctls.empty())
        for (const auto& [name, value] : spec.sysctls) json["sysctl"][name] = value;
    json["namespaces"] = Json::array();
    for (const SpecNamespace& one : spec.namespaces)
        for (const auto& [name, kind] : kNamespaces)
            if (kind == one.kind) {
                Json entry{{"type", name}};
                if (!one.path.empty()) entry["path"] = one.path;
                json["namespaces"].push_back(entry);
            }
    if (spec.seccomp) json["seccomp"] = profile_json(*spec.seccomp);
    if (!spec.propagation.empty()) json["rootfsPropagation"] = spec.propagation;
    json["maskedPaths"] = spec.masked, json["readonlyPaths"] = spec.read_only_paths;
    return json;
}

} // namespace

std::string spec_json(const RuntimeSpec& spec) {
    Json user{{"uid", spec.uid}, {"gid", spec.gid}};
    if (!spec.groups.empty()) user["additionalGids"] = spec.groups;
    Json limits = Json::array(), mounts = Json::array();
    for (const SpecLimit& limit : spec.limits) limits.push_back({{"type", kLimitNames[limit.kind]}, {"hard", limit.hard}, {"soft", limit.soft}});
    for (const SpecMount& mount : spec.mounts) mounts.push_back({{"destination", mount.destination}, {"type", mount.type == "bind-file" ? "bind" : mount.type}, {"source", mount.source}, {"options", mount.options}});
    Json process{{"terminal", spec.terminal}, {"user", user}, {"args", spec.arguments}, {"env", spec.environment}, {"cwd", spec.working_dir}};
    process["capabilities"] = {{"bounding", capability_list(spec.bounding)}, {"effective", capability_list(spec.effective)}, {"permitted", capability_list(spec.permitted)}};
    if (spec.inheritable) process["capabilities"]["inheritable"] = capability_list(spec.inheritable);
    if (spec.ambient) process["capabilities"]["ambient"] = capability_list(spec.ambient);
    if (!spec.limits.empty()) process["rlimits"] = limits;
    if (spec.oom_score_adjust) process["oomScoreAdj"] = *spec.oom_score_adjust;
    process["noNewPrivileges"] = spec.no_new_privileges;
    Json json{{"ociVersion", "1.0.2"}, {"process", process}, {"root", {{"path", spec.root}, {"readonly", spec.read_only}}}};
    if (!spec.hostname.empty()) json["hostname"] = spec.hostname;
    if (!spec.domainname.empty()) json["domainname"] = spec.domainname;
    json["mounts"] = mounts, json["linux"] = linux_json(spec);
    return json.dump(1, '\t', false, Json::error_handler_t::replace) + "\n";
}

// --- Reading --------------------------------------------------------------------------------------------------------------------------

namespace {

/// Numbers of 32 bits that a member must be in.
u32 small_number(Fields& fields, const char* key) {
    const auto value = fields.number(key);
    if (!value) return 0;
    if (*value < 0 || *value > 0xffff'fffe) return fields.note(fmt::format("\"{}\" should be a number from 0 to 4294967294", key)), 0;
    return static_cast<u32>(*value);
}

u64 read_capabilities(Fields& fields, const char* key) {
    u64 set = 0;
    for (const std::string& name : fields.texts(key)) {
        const auto found = capability_named(name);
        if (!found) return fields.note(fmt::format("\"{}\" names {}, which is no capability", key, name)), 0;
        set |= bit(*found);
    }
    return set;
}

/// Calls `read` for each object of an array, with its place for sentences; what it finds wrong is the parent's problem.
template <class Read> void each(Fields& fields, const char* key, Read read) {
    const Json* list = fields.array(key);
    if (!list) return;
    if (list->size() > kMaxItems) return fields.note(fmt::format("\"{}\" has more than {} entries", key, kMaxItems));
    for (std::size_t i = 0; i < list->size(); ++i) {
        Fields inner((*list)[i], fmt::format("{}[{}]", key, i));
        read(inner);
        if (inner.problem()) return fields.note(*inner.problem());
    }
}
/// The same for one object.
template <class Read> void inside(Fields& fields, const char* key, bool required, Read read) {
    const Json* object = fields.object(key);
    if (!object) {
        if (required) fields.note(fmt::format("\"{}\" is missing", key));
        return;
    }
    Fields inner(*object, key);
    read(inner);
    if (inner.problem()) fields.note(*inner.problem());
}

void read_process(Fields& process, RuntimeSpec& spec) {
    spec.terminal = process.flag("terminal"), spec.no_new_privileges = process.flag("noNewPrivileges");
    inside(process, "consoleSize", false, [&](Fields& size) {
        spec.rows = static_cast<u16>(std::min<u32>(small_number(size, "height"), 1000)), spec.columns = static_cast<u16>(std::min<u32>(small_number(size, "width"), 1000));
    });
    spec.arguments = process.texts("args"), spec.environment = process.texts("env"), spec.working_dir = process.text("cwd", true);
    if (spec.arguments.empty()) process.note("\"args\" is missing: it names the program");
    if (!spec.working_dir.starts_with('/')) process.note("\"cwd\" should be an absolute path");
    inside(process, "user", false, [&](Fields& user) {
        spec.uid = small_number(user, "uid"), spec.gid = small_number(user, "gid");
        if (user.number("umask")) spec.umask = small_number(user, "umask") & 0777;
        if (const Json* list = user.array("additionalGids"))
            for (const Json& one : *list)
                if (one.is_number_unsigned() && one.get<u64>() < kNoId && spec.groups.size() < kMaxItems) spec.groups.push_back(one.get<u32>());
                else user.note("\"additionalGids\" should be numbers");
    });
    spec.bounding = spec.effective = spec.permitted = 0;
    inside(process, "capabilities", false, [&](Fields& sets) {
        spec.bounding = read_capabilities(sets, "bounding"), spec.effective = read_capabilities(sets, "effective"), spec.permitted = read_capabilities(sets, "permitted");
        spec.inheritable = read_capabilities(sets, "inheritable"), spec.ambient = read_capabilities(sets, "ambient");
    });
    each(process, "rlimits", [&](Fields& limit) {
        const std::string name = limit.text("type", true);
        const auto found = std::find(std::begin(kLimitNames), std::end(kLimitNames), name);
        if (found == std::end(kLimitNames)) return limit.note(fmt::format("\"type\" is {}, which is no limit that is known", name));
        spec.limits.push_back({static_cast<unsigned>(found - std::begin(kLimitNames)), static_cast<u64>(limit.number("soft").value_or(0)), static_cast<u64>(limit.number("hard").value_or(0))});
        if (spec.limits.back().soft > spec.limits.back().hard) limit.note("\"soft\" is more than \"hard\"");
    });
    if (const auto adjust = process.number("oomScoreAdj")) {
        spec.oom_score_adjust = static_cast<i32>(std::clamp<i64>(*adjust, -1000, 1000));
        if (*adjust < -1000 || *adjust > 1000) process.note("\"oomScoreAdj\" should be from -1000 to 1000");
    }
    if (!process.text("apparmorProfile").empty()) process.note("\"apparmorProfile\": this kernel has no AppArmor; leave it out");
    if (!process.text("selinuxLabel").empty()) process.note("\"selinuxLabel\": this kernel has no SELinux; leave it out");
}

std::vector<IdRange> read_map(Fields& fields, const char* key) {
    std::vector<IdRange> ranges;
    each(fields, key, [&](Fields& range) { ranges.push_back({small_number(range, "containerID"), small_number(range, "hostID"), small_number(range, "size")}); });
    return ranges;
}

/// Limits of cgroup version 1's names become version 2's files, as runc does it.
void read_resources(Fields& resources, RuntimeSpec& spec) {
    const auto add = [&](const char* file, std::string value) { spec.resources.push_back({file, std::move(value)}); };
    const auto limit = [&](Fields& fields, const char* key, const char* file) {
        if (const auto value = fields.number(key); value && *value) add(file, *value < 0 ? "max" : fmt::format("{}", *value));
    };
    inside(resources, "memory", false, [&](Fields& memory) { limit(memory, "limit", "memory.max"), limit(memory, "reservation", "memory.low"); });
    inside(resources, "pids", false, [&](Fields& pids) { limit(pids, "limit", "pids.max"); });
    inside(resources, "cpu", false, [&](Fields& cpu) {
        if (const auto shares = cpu.number("shares"); shares && *shares) add("cpu.weight", fmt::format("{}", 1 + (std::clamp<i64>(*shares, 2, 262144) - 2) * 9999 / 262142));
        if (const auto quota = cpu.number("quota"); quota && *quota) add("cpu.max", fmt::format("{} {}", *quota < 0 ? "max" : fmt::format("{}", *quota), cpu.number("period").value_or(100'000)));
        if (const std::string cpus = cpu.text("cpus"); !cpus.empty()) add("cpuset.cpus", cpus);
    });
    for (const auto& [file, value] : resources.pairs("unified")) {
        if (file.find('/') != std::string::npos || file.starts_with("cgroup.")) return resources.note(fmt::format("\"unified\" names {}, which is no file of a controller", file));
        add(file.c_str(), value);
    }
}

void read_linux(Fields& fields, RuntimeSpec& spec) {
    each(fields, "namespaces", [&](Fields& one) {
        const std::string type = one.text("type", true);
        for (const auto& [name, kind] : kNamespaces)
            if (type == name) {
                if (spec.has(kind)) one.note(fmt::format("\"type\": {} is there twice", type));
                return spec.namespaces.push_back({kind, one.text("path")});
            }
        one.note(fmt::format("\"type\" is {}, which is no kind of namespace", type));
    });
    spec.uids = read_map(fields, "uidMappings"), spec.gids = read_map(fields, "gidMappings");
    spec.cgroup = fields.text("cgroupsPath");
    if (!spec.cgroup.empty() && (!spec.cgroup.starts_with('/') || spec.cgroup.find("..") != std::string::npos || spec.cgroup.find(':') != std::string::npos))
        fields.note("\"cgroupsPath\" should be a path from the root of the hierarchy, as in /docker/web");
    inside(fields, "resources", false, [&](Fields& resources) { read_resources(resources, spec); });
    for (const auto& [name, value] : fields.pairs("sysctl")) {
        if (name.find("..") != std::string::npos || name.find('/') != std::string::npos) fields.note(fmt::format("\"sysctl\" names {}; give it with dots, as in net.ipv4.ip_forward", name));
        spec.sysctls.push_back({name, value});
    }
    spec.masked = fields.texts("maskedPaths"), spec.read_only_paths = fields.texts("readonlyPaths"), spec.propagation = fields.text("rootfsPropagation");
    if (const Json* list = fields.array("devices"); list && !list->empty()) fields.note("\"devices\": this machine has none beyond those that every container gets; leave it out");
    if (const Json* seccomp = fields.object("seccomp")) {
        auto profile = parse_profile(*seccomp, "seccomp", spec.effective);
        if (!profile) return fields.note(profile.error());
        spec.seccomp = std::move(*profile);
    }
}

} // namespace

Result<RuntimeSpec> parse_spec(std::string_view text, const std::string& name) {
    auto json = parse_json(text, name);
    if (!json) return Error{json.error()};
    Fields fields(*json, name);
    RuntimeSpec spec;
    const std::string version = fields.text("ociVersion", true);
    if (!version.empty() && !version.starts_with("1.")) fields.note(fmt::format("\"ociVersion\" is {}; 1.x is understood", version));
    inside(fields, "process", true, [&](Fields& process) { read_process(process, spec); });
    inside(fields, "root", true, [&](Fields& root) { spec.root = root.text("path", true), spec.read_only = root.flag("readonly"); });
    spec.hostname = fields.text("hostname"), spec.domainname = fields.text("domainname");
    if (spec.hostname.size() > 64) fields.note("\"hostname\" has more than 64 characters");
    each(fields, "mounts", [&](Fields& mount) {
        SpecMount one{mount.text("destination", true), mount.text("type"), mount.text("source"), mount.texts("options")};
        if (!one.destination.starts_with('/')) mount.note("\"destination\" should be an absolute path");
        if (one.type == "bind" || std::find(one.options.begin(), one.options.end(), "bind") != one.options.end() || std::find(one.options.begin(), one.options.end(), "rbind") != one.options.end()) one.type = "bind";
        else if (one.type.empty()) mount.note("\"type\" is missing");
        if (one.source.empty()) one.source = one.type;
        spec.mounts.push_back(std::move(one));
    });
    inside(fields, "linux", true, [&](Fields& linux) { read_linux(linux, spec); });
    if (const Json* hooks = fields.object("hooks"); hooks && !hooks->empty()) fields.note("\"hooks\": programs of the host are not run; leave it out");
    if (fields.problem()) return Error{*fields.problem()};
    return spec;
}

} // namespace trapeze::container
