// System calls on who a process is: ids, groups, capabilities, prctl (credentials(7), capabilities(7)).
#include "container-sim/abi.hpp"
#include "container-sim/lookups.hpp"
#include "container-sim/syscalls.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

namespace {

/// capabilities(7), "Effect of user ID changes on capabilities".
void fix_capabilities(Credentials& now, const Credentials& before, u32 root) {
    if (now.securebits & secbit::kNoSetuidFixup || root == kNoId) return;
    const bool had = before.uid == root || before.euid == root || before.suid == root, has = now.uid == root || now.euid == root || now.suid == root;
    if (had && !has) {
        if (!(now.securebits & secbit::kKeepCaps)) now.permitted = now.effective = 0;
        now.ambient = 0;
    }
    if (before.euid == root && now.euid != root) now.effective = 0;
    if (before.euid != root && now.euid == root) now.effective = now.permitted;
}
constexpr u64 kFileCapabilities = bit(Capability::Chown) | bit(Capability::DacOverride) | bit(Capability::DacReadSearch) | bit(Capability::Fowner) | bit(Capability::Fsetid) |
                                  bit(Capability::LinuxImmutable) | bit(Capability::Mknod) | bit(Capability::MacOverride);

} // namespace

// Ids as arguments are those of the caller's user namespace; -1 leaves one as it is.
u32 Call::kernel_uid(u32 inside) const { return note_named(*this, "uid", inside, map_into_kernel(kernel.user_namespaces[task().credentials.user_namespace].uids, inside)); }
u32 Call::kernel_gid(u32 inside) const { return note_named(*this, "gid", inside, map_into_kernel(kernel.user_namespaces[task().credentials.user_namespace].gids, inside)); }
bool Call::has(Capability capability) const { return asks_capable(*this, task().credentials.user_namespace, capability); }

i64 Call::note_id(const char* call, u32 kernel_id, u32 seen) const {
    if (task().credentials.user_namespace)
        lookup("{}: {} in user namespace {}; outside it is {}", call, seen, kernel.namespace_inode(NamespaceKind::User, task().credentials.user_namespace), kernel_id);
    return seen;
}
Attempt Call::getuid() const { return note_id("getuid", task().credentials.uid, kernel.uid_in(task(), task().credentials.uid)); }
Attempt Call::geteuid() const { return note_id("geteuid", task().credentials.euid, kernel.uid_in(task(), task().credentials.euid)); }
Attempt Call::getgid() const { return note_id("getgid", task().credentials.gid, kernel.gid_in(task(), task().credentials.gid)); }
Attempt Call::getegid() const { return note_id("getegid", task().credentials.egid, kernel.gid_in(task(), task().credentials.egid)); }

Attempt Call::getresuid() const {
    const Credentials& own = task().credentials;
    note_id("getresuid", own.euid, kernel.uid_in(task(), own.euid));
    for (unsigned i = 0; i < 3; ++i)
        if (!write_user(arg(i), kernel.uid_in(task(), i == 0 ? own.uid : i == 1 ? own.euid : own.suid))) return -kEFAULT;
    return 0;
}
Attempt Call::getresgid() const {
    const Credentials& own = task().credentials;
    note_id("getresgid", own.egid, kernel.gid_in(task(), own.egid));
    for (unsigned i = 0; i < 3; ++i)
        if (!write_user(arg(i), kernel.gid_in(task(), i == 0 ? own.gid : i == 1 ? own.egid : own.sgid))) return -kEFAULT;
    return 0;
}

/// What the three user ids become; kNoId leaves one as it is.
i64 Call::change_uids(u32 uid, u32 euid, u32 suid) const {
    Credentials now = task().credentials;
    if (uid != kNoId) now.uid = uid;
    if (euid != kNoId) now.euid = euid;
    if (suid != kNoId) now.suid = suid;
    now.fsuid = now.euid;
    fix_capabilities(now, task().credentials, map_into_kernel(kernel.user_namespaces[now.user_namespace].uids, 0));
    if (now.euid != task().credentials.euid) kernel.process_of(task()).dumpable = false, kernel.process_of(task()).parent_death_signal = 0;
    task().credentials = std::move(now);
    return 0;
}

Attempt Call::setuid() const {
    const u32 wanted = kernel_uid(static_cast<u32>(arg(0)));
    const Credentials& own = task().credentials;
    if (wanted == kNoId) return -kEINVAL;
    if (has(Capability::Setuid)) return change_uids(wanted, wanted, wanted);
    return wanted == own.uid || wanted == own.suid ? Attempt(change_uids(kNoId, wanted, kNoId)) : Attempt(-kEPERM);
}

Attempt Call::setresuid() const {
    const Credentials& own = task().credentials;
    std::array<u32, 3> ids{};
    for (unsigned i = 0; i < 3; ++i) {
        ids[i] = kernel_uid(static_cast<u32>(arg(i)));
        if (static_cast<u32>(arg(i)) == kNoId) continue;
        if (ids[i] == kNoId) return -kEINVAL;
        if (!has(Capability::Setuid) && ids[i] != own.uid && ids[i] != own.euid && ids[i] != own.suid) return -kEPERM;
    }
    return change_uids(ids[0], ids[1], ids[2]);
}

Attempt Call::setreuid() const {
    const Credentials own = task().credentials;
    const u32 uid = kernel_uid(static_cast<u32>(arg(0))), euid = kernel_uid(static_cast<u32>(arg(1)));
    if ((static_cast<u32>(arg(0)) != kNoId && uid == kNoId) || (static_cast<u32>(arg(1)) != kNoId && euid == kNoId)) return -kEINVAL;
    const bool privileged = has(Capability::Setuid);
    if (!privileged && uid != kNoId && uid != own.uid && uid != own.euid) return -kEPERM;
    if (!privileged && euid != kNoId && euid != own.uid && euid != own.euid && euid != own.suid) return -kEPERM;
    const bool saves = uid != kNoId || (euid != kNoId && euid != own.uid);
    return change_uids(uid, euid, saves ? (euid != kNoId ? euid : own.euid) : kNoId);
}

i64 Call::change_gids(u32 gid, u32 egid, u32 sgid) const {
    Credentials& own = task().credentials;
    if (gid != kNoId) own.gid = gid;
    if (egid != kNoId) own.egid = own.fsgid = egid;
    if (sgid != kNoId) own.sgid = sgid;
    return 0;
}

Attempt Call::setgid() const {
    const u32 wanted = kernel_gid(static_cast<u32>(arg(0)));
    const Credentials& own = task().credentials;
    if (wanted == kNoId) return -kEINVAL;
    if (has(Capability::Setgid)) return change_gids(wanted, wanted, wanted);
    return wanted == own.gid || wanted == own.sgid ? Attempt(change_gids(kNoId, wanted, kNoId)) : Attempt(-kEPERM);
}

Attempt Call::setresgid() const {
    const Credentials& own = task().credentials;
    std::array<u32, 3> ids{};
    for (unsigned i = 0; i < 3; ++i) {
        ids[i] = kernel_gid(static_cast<u32>(arg(i)));
        if (static_cast<u32>(arg(i)) == kNoId) continue;
        if (ids[i] == kNoId) return -kEINVAL;
        if (!has(Capability::Setgid) && ids[i] != own.gid && ids[i] != own.egid && ids[i] != own.sgid) return -kEPERM;
    }
    return change_gids(ids[0], ids[1], ids[2]);
}

Attempt Call::setregid() const {
    const Credentials own = task().credentials;
    const u32 gid = kernel_gid(static_cast<u32>(arg(0))), egid = kernel_gid(static_cast<u32>(arg(1)));
    if ((static_cast<u32>(arg(0)) != kNoId && gid == kNoId) || (static_cast<u32>(arg(1)) != kNoId && egid == kNoId)) return -kEINVAL;
    const bool privileged = has(Capability::Setgid);
    if (!privileged && gid != kNoId && gid != own.gid && gid != own.egid) return -kEPERM;
    if (!privileged && egid != kNoId && egid != own.gid && egid != own.egid && egid != own.sgid) return -kEPERM;
    const bool saves = gid != kNoId || (egid != kNoId && egid != own.gid);
    return change_gids(gid, egid, saves ? (egid != kNoId ? egid : own.egid) : kNoId);
}

/// setfsuid(2) tells the old one, and fails without saying so.
Attempt Call::setfsuid() const {
    Credentials& own = task().credentials;
    const i64 old = kernel.uid_in(task(), own.fsuid);
    const u32 wanted = kernel_uid(static_cast<u32>(arg(0)));
    if (wanted == kNoId || (!has(Capability::Setuid) && wanted != own.uid && wanted != own.euid && wanted != own.suid && wanted != own.fsuid)) return old;
    const u32 root = map_into_kernel(kernel.user_namespaces[own.user_namespace].uids, 0);
    if (own.fsuid == root && wanted != root) own.effective &= ~kFileCapabilities;
    if (own.fsuid != root && wanted == root) own.effective |= own.permitted & kFileCapabilities;
    own.fsuid = wanted;
    return old;
}
Attempt Call::setfsgid() const {
    Credentials& own = task().credentials;
    const i64 old = kernel.gid_in(task(), own.fsgid);
    const u32 wanted = kernel_gid(static_cast<u32>(arg(0)));
    if (wanted != kNoId && (has(Capability::Setgid) || wanted == own.gid || wanted == own.egid || wanted == own.sgid)) own.fsgid = wanted;
    return old;
}

Attempt Call::getgroups() const {
    const auto& groups = task().credentials.groups;
    if (int_arg(0) < 0) return -kEINVAL;
    if (int_arg(0) == 0) return static_cast<i64>(groups.size());
    if (static_cast<std::size_t>(int_arg(0)) < groups.size()) return -kEINVAL;
    for (std::size_t i = 0; i < groups.size(); ++i) {
        const u32 seen = kernel.gid_in(task(), groups[i]);
        if (seen != groups[i]) note_id("getgroups", groups[i], seen);
        if (!write_user(arg(1) + i * 4, seen)) return -kEFAULT;
    }
    return static_cast<i64>(groups.size());
}

Attempt Call::setgroups() const {
    constexpr u64 kMost = 65536;
    const UserNamespace& own = kernel.user_namespaces[task().credentials.user_namespace];
    if (!has(Capability::Setgid) || !own.setgroups_allowed || own.gids.empty()) return -kEPERM;
    if (arg(0) > kMost) return -kEINVAL;
    std::vector<u32> groups(arg(0));
    for (std::size_t i = 0; i < groups.size(); ++i) {
        if (!read_user(arg(1) + i * 4, groups[i])) return -kEFAULT;
        groups[i] = kernel_gid(groups[i]);
        if (groups[i] == kNoId) return -kEINVAL;
    }
    std::sort(groups.begin(), groups.end());
    task().credentials.groups = std::move(groups);
    return 0;
}

// --- Capabilities ---------------------------------------------------------------------------------------------------------------

namespace {
constexpr u32 kVersion1 = 0x19980330, kVersion2 = 0x20071026, kVersion3 = 0x20080522;
struct CapHeader {
    u32 version;
    i32 pid;
};
struct CapData {
    u32 effective, permitted, inheritable;
};
} // namespace

Attempt Call::capget() const {
    CapHeader header{};
    if (!read_user(arg(0), header)) return -kEFAULT;
    const unsigned words = header.version == kVersion1 ? 1 : header.version == kVersion2 || header.version == kVersion3 ? 2 : 0;
    if (!words) {
        if (!write_user(arg(0), kVersion3)) return -kEFAULT;
        return arg(1) ? Attempt(-kEINVAL) : Attempt(0);
    }
    if (header.pid < 0) return -kEINVAL;
    const auto who = header.pid ? kernel.task_by_pid(header.pid, task().namespaces.pid) : std::optional(index);
    if (!who) return -kESRCH;
    const Credentials& shown = kernel.tasks[*who].credentials;
    for (unsigned i = 0; arg(1) && i < words; ++i) {
        const unsigned shift = 32 * i;
        if (!write_user(arg(1) + i * sizeof(CapData), CapData{static_cast<u32>(shown.effective >> shift), static_cast<u32>(shown.permitted >> shift), static_cast<u32>(shown.inheritable >> shift)})) return -kEFAULT;
    }
    return 0;
}

Attempt Call::capset() const {
    CapHeader header{};
    if (!read_user(arg(0), header)) return -kEFAULT;
    const unsigned words = header.version == kVersion1 ? 1 : header.version == kVersion2 || header.version == kVersion3 ? 2 : 0;
    if (!words) return write_user(arg(0), kVersion3) ? Attempt(-kEINVAL) : Attempt(-kEFAULT);
    if (header.pid && header.pid != kernel.pid_in(task(), task().namespaces.pid)) return -kEPERM;
    u64 effective = 0, permitted = 0, inheritable = 0;
    for (unsigned i = 0; i < words; ++i) {
        CapData data{};
        if (!read_user(arg(1) + i * sizeof data, data)) return -kEFAULT;
        effective |= u64{data.effective} << 32 * i, permitted |= u64{data.permitted} << 32 * i, inheritable |= u64{data.inheritable} << 32 * i;
    }
    Credentials& own = task().credentials;
    effective &= kAllCapabilities, permitted &= kAllCapabilities, inheritable &= kAllCapabilities;
    if (permitted & ~own.permitted || effective & ~permitted) return -kEPERM;
    if (!has(Capability::Setpcap) && inheritable & ~(own.inheritable | own.permitted)) return -kEPERM;
    if (inheritable & ~(own.inheritable | own.bounding)) return -kEPERM;
    own.effective = effective, own.permitted = permitted, own.inheritable = inheritable;
    own.ambient &= permitted & inheritable;
    return 0;
}

Attempt Call::change_ambient() const {
    enum : u64 { kIsSet = 1, kRaise = 2, kLower = 3, kClearAll = 4 };
    Credentials& own = task().credentials;
    if (arg(1) == kClearAll) return arg(2) || arg(3) || arg(4) ? Attempt(-kEINVAL) : Attempt((own.ambient = 0, 0));
    if (arg(2) >= kCapabilities || arg(3) || arg(4)) return -kEINVAL;
    const u64 wanted = u64{1} << arg(2);
    switch (arg(1)) {
    case kIsSet: return (own.ambient & wanted) != 0;
    case kRaise:
        if (!(own.permitted & own.inheritable & wanted) || own.securebits & secbit::kNoAmbientRaise) return -kEPERM;
        return own.ambient |= wanted, 0;
    case kLower: return own.ambient &= ~wanted, 0;
    default: return -kEINVAL;
    }
}

Attempt Call::prctl() const {
    enum : u64 { kSetDeathSignal = 1, kGetDeathSignal = 2, kGetDumpable = 3, kSetDumpable = 4, kGetKeepCaps = 7, kSetKeepCaps = 8, kSetName = 15, kGetName = 16,
                 kGetSeccomp = 21, kSetSeccomp = 22, kReadBounding = 23, kDropBounding = 24, kGetSecurebits = 27, kSetSecurebits = 28, kSetTimerSlack = 29, kGetTimerSlack = 30, kSetSubreaper = 36,
                 kGetSubreaper = 37, kSetNoNewPrivileges = 38, kGetNoNewPrivileges = 39, kAmbient = 47 };
    Process& process = kernel.process_of(task());
    Credentials& own = task().credentials;
    const auto tell = [&](i32 value) { return write_user(arg(1), value) ? Attempt(0) : Attempt(-kEFAULT); };
    switch (arg(0)) {
    case kSetDeathSignal: return arg(1) > kSignals ? Attempt(-kEINVAL) : Attempt((process.parent_death_signal = static_cast<i32>(arg(1)), 0));
    case kGetDeathSignal: return tell(process.parent_death_signal);
    case kGetDumpable: return process.dumpable;
    case kSetDumpable: return arg(1) > 1 ? Attempt(-kEINVAL) : Attempt((process.dumpable = arg(1), 0));
    case kGetKeepCaps: return (own.securebits & secbit::kKeepCaps) != 0;
    case kSetKeepCaps:
        if (arg(1) > 1) return -kEINVAL;
        if (own.securebits & secbit::kKeepCapsLocked) return -kEPERM;
        return own.securebits = arg(1) ? own.securebits | secbit::kKeepCaps : own.securebits & ~secbit::kKeepCaps, 0;
    case kSetName: {
        std::string name;
        if (const i64 length = kernel.copy_text(machine, task(), arg(1), name, 16); length < 0 && length != -kENAMETOOLONG) return length;
        return task().name = name.substr(0, 15), 0;
    }
    case kGetName: {
        std::array<char, 16> name{};
        std::copy_n(task().name.begin(), std::min<std::size_t>(15, task().name.size()), name.begin());
        return write_user(arg(1), name) ? Attempt(0) : Attempt(-kEFAULT);
    }
    case kReadBounding: return arg(1) >= kCapabilities ? Attempt(-kEINVAL) : Attempt(own.bounding >> arg(1) & 1);
    case kDropBounding:
        if (!has(Capability::Setpcap)) return -kEPERM;
        return arg(1) >= kCapabilities ? Attempt(-kEINVAL) : Attempt((own.bounding &= ~(u64{1} << arg(1)), 0));
    case kGetSecurebits: return own.securebits;
    case kSetSecurebits: return !has(Capability::Setpcap) ? Attempt(-kEPERM) : arg(1) > 0xff ? Attempt(-kEPERM) : Attempt((own.securebits = static_cast<u32>(arg(1)), 0));
    case kSetTimerSlack: return 0;
    case kGetTimerSlack: return 50'000;
    case kSetSubreaper: return process.subreaper = arg(1) != 0, 0;
    case kGetSubreaper: return tell(process.subreaper);
    case kSetNoNewPrivileges: return arg(1) != 1 || arg(2) || arg(3) || arg(4) ? Attempt(-kEINVAL) : Attempt((own.no_new_privileges = true, 0));
    case kGetNoNewPrivileges: return arg(1) || arg(2) || arg(3) || arg(4) ? Attempt(-kEINVAL) : Attempt(own.no_new_privileges);
    case kAmbient: return change_ambient();
    case kGetSeccomp: return static_cast<i64>(task().seccomp_mode);
    case kSetSeccomp: return arg(1) == static_cast<u64>(SeccompMode::Strict) ? set_strict() : arg(1) == static_cast<u64>(SeccompMode::Filter) ? set_filter(0, arg(2)) : -kEINVAL;
    default: return -kEINVAL;
    }
}

} // namespace trapeze::container
