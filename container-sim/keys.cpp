// add_key(2), keyctl(2): a session's keyring and what hangs on it.
#include "container-sim/keys.hpp"

#include "container-sim/abi.hpp"
#include "container-sim/syscalls.hpp"

#include <algorithm>
#include <set>

namespace trapeze::container {

namespace {
constexpr i32 kLowestSpecial = -8, kSessionRing = -3;
constexpr std::size_t kMostText = 4096, kMostPayload = 32'767;
constexpr std::size_t kMostKeysOfAll = 4096;
constexpr unsigned kMostDepth = 6; // KEYRING_SEARCH_MAX_DEPTH
} // namespace

/// What hangs on nobody's keyring any more goes.
void Kernel::sweep_keys() {
    std::set<i32> reached;
    std::vector<i32> pending;
    for (const Task& task : tasks)
        if (task.state != TaskState::Free && task.session_keyring) pending.push_back(task.session_keyring);
    while (!pending.empty()) {
        const i32 serial = pending.back();
        pending.pop_back();
        const auto key = keys.find(serial);
        if (key == keys.end() || !reached.insert(serial).second) continue;
        pending.insert(pending.end(), key->second.links.begin(), key->second.links.end());
    }
    std::erase_if(keys, [&](const auto& entry) { return !reached.contains(entry.first); });
}

/// A new key of the caller's; its serial number, or EDQUOT.
i64 Call::make_key(Key key) const {
    const u32 uid = task().credentials.euid;
    const auto within = [&] {
        std::size_t count = 0, bytes = 0;
        for (const auto& [serial, other] : kernel.keys)
            if (other.uid == uid) ++count, bytes += other.description.size() + other.payload.size();
        return kernel.keys.size() < kMostKeysOfAll && count < kMaxKeys * (uid ? 1 : 10) && bytes + key.description.size() + key.payload.size() <= kMaxKeyBytes * (uid ? 1 : 10);
    };
    if (!within()) kernel.sweep_keys();
    if (!within()) return -kEDQUOT;
    key.uid = uid, key.gid = task().credentials.egid;
    const i32 serial = kernel.next_key++;
    kernel.keys[serial] = std::move(key);
    return serial;
}

/// The key that a number means: itself, or the session's keyring. Every special ring but that of a session is ENOKEY.
Key* Call::key_of(i32 number, i32& serial) const {
    serial = number == kSessionRing ? task().session_keyring : number;
    const auto found = kernel.keys.find(serial);
    return found == kernel.keys.end() ? nullptr : &found->second;
}

/// Whether it hangs on the caller's session, so that the caller possesses it.
bool Call::possesses(i32 serial) const {
    std::vector<std::pair<i32, unsigned>> pending{{task().session_keyring, 0}};
    std::set<i32> seen;
    while (!pending.empty()) {
        const auto [at, depth] = pending.back();
        pending.pop_back();
        if (at == serial) return serial != 0;
        const auto key = kernel.keys.find(at);
        if (key == kernel.keys.end() || depth > kMostDepth || !seen.insert(at).second) continue;
        for (i32 link : key->second.links) pending.push_back({link, depth + 1});
    }
    return false;
}

Attempt Call::add_key() const {
    Key key;
    i32 serial = 0;
    if (const i64 length = kernel.copy_text(machine, task(), arg(0), key.type, 32); length < 0) return length == -kENAMETOOLONG ? -kEINVAL : length;
    if (const i64 length = arg(1) ? kernel.copy_text(machine, task(), arg(1), key.description, kMostText) : 0; length < 0) return length == -kENAMETOOLONG ? -kEINVAL : length;
    if (arg(3) > kMostPayload) return -kEINVAL;
    key.payload.resize(arg(3));
    if (!kernel.copy_in(machine, task(), arg(2), std::span(reinterpret_cast<u8*>(key.payload.data()), key.payload.size()))) return -kEFAULT;
    if (!key.type.empty() && key.type[0] == '.') return -kEPERM;
    Key* ring = key_of(int_arg(4), serial);
    if (!ring) return -kENOKEY;
    if (key.type != "user" && key.type != "logon" && key.type != "keyring") return -kENODEV;
    if (ring->type != "keyring") return -kENOTDIR;
    if (key.type == "keyring" ? !key.payload.empty() : key.payload.empty()) return -kEINVAL;
    if (!possesses(serial) && ring->uid != task().credentials.fsuid) return -kEACCES;
    for (i32 link : ring->links) { // one of this name is updated
        const auto there = kernel.keys.find(link);
        if (there == kernel.keys.end() || there->second.type != key.type || there->second.description != key.description || key.type == "keyring") continue;
        there->second.payload = key.payload;
        return link;
    }
    const i64 made = make_key(std::move(key));
    if (made > 0) kernel.keys.at(serial).links.push_back(static_cast<i32>(made));
    return made;
}

Attempt Call::request_key() const { return -kENOKEY; }

/// KEYCTL_JOIN_SESSION_KEYRING: a new keyring for the caller and its children.
i64 Call::join_session() const {
    Key ring;
    ring.type = "keyring", ring.description = "_ses";
    if (arg(1))
        if (const i64 length = kernel.copy_text(machine, task(), arg(1), ring.description, kMostText); length < 0) return length;
    const i64 made = make_key(std::move(ring));
    if (made > 0) task().session_keyring = static_cast<i32>(made);
    return made;
}

Attempt Call::keyctl() const {
    enum : i32 { kGetId = 0, kJoin = 1, kUpdate = 2, kRevoke = 3, kSetPermissions = 5, kDescribe = 6, kClear = 7, kLink = 8, kUnlink = 9, kRead = 11 };
    const i32 operation = int_arg(0);
    if (operation == kJoin) return join_session();
    if (operation < 0 || operation > kRead || operation == 4 || operation == 10) return -kEOPNOTSUPP;
    i32 serial = 0;
    Key* key = key_of(int_arg(1), serial);
    if (!key) return int_arg(1) < kLowestSpecial || !int_arg(1) ? -kEINVAL : -kENOKEY;
    if (operation == kGetId) return serial;
    if (!possesses(serial) && key->uid != task().credentials.fsuid) return -kEACCES;
    const auto give = [&](const std::string& text) -> i64 {
        const u64 count = std::min<u64>(arg(3), text.size());
        if (arg(2) && count && !kernel.copy_out(machine, task(), arg(2), std::span(reinterpret_cast<const u8*>(text.data()), count))) return -kEFAULT;
        return static_cast<i64>(text.size());
    };
    switch (operation) {
    case kRead: {
        if (key->type == "logon") return -kEOPNOTSUPP;
        if (key->type == "user") return give(key->payload);
        return give(std::string(reinterpret_cast<const char*>(key->links.data()), key->links.size() * sizeof(i32)));
    }
    case kDescribe: return give(fmt::format("{};{};{};{:08x};{}", key->type, kernel.uid_in(task(), key->uid), kernel.gid_in(task(), key->gid), key->permissions, key->description) + '\0');
    case kSetPermissions: return key->permissions = static_cast<u32>(arg(2)), 0;
    case kClear: return key->type == "keyring" ? (key->links.clear(), 0) : -kENOTDIR;
    case kUpdate: {
        if (key->type == "keyring") return -kEOPNOTSUPP;
        std::string payload(std::min<u64>(arg(3), kMostPayload), '\0');
        if (!kernel.copy_in(machine, task(), arg(2), std::span(reinterpret_cast<u8*>(payload.data()), payload.size()))) return -kEFAULT;
        return key->payload = payload, 0;
    }
    case kRevoke: return kernel.keys.erase(serial), 0;
    default: { // linked to, or taken from, the keyring that is named second
        i32 ring_serial = 0;
        Key* ring = key_of(int_arg(2), ring_serial);
        if (!ring) return -kENOKEY;
        if (ring->type != "keyring") return -kENOTDIR;
        const bool gone = std::erase(ring->links, serial);
        if (operation == kUnlink) return gone ? 0 : -kENOENT;
        if (ring->links.size() >= kMaxKeys) return -kEDQUOT;
        ring->links.push_back(serial);
        return 0;
    }
    }
}

} // namespace trapeze::container
