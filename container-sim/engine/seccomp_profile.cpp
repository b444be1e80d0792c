#include "container-sim/engine/seccomp_profile.hpp"

#include "container-sim/errno.hpp"
#include "container-sim/namespaces.hpp"
#include "container-sim/syscalls.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace trapeze::container {

namespace {

constexpr u32 errno_answer(u32 number) { return static_cast<u32>(SeccompAction::Errno) | number; }
constexpr u32 kAllow = static_cast<u32>(SeccompAction::Allow);

/// What goes with a capability (moby's profiles/seccomp/default.json), as far as there are such calls on riscv64.
struct Guarded {
    Capability capability;
    const char* name;
};
constexpr Guarded kGuarded[] = {
    {Capability::SysAdmin, "bpf"}, {Capability::SysAdmin, "fanotify_init"}, {Capability::SysAdmin, "fsconfig"}, {Capability::SysAdmin, "fsmount"}, {Capability::SysAdmin, "fsopen"},
    {Capability::SysAdmin, "fspick"}, {Capability::SysAdmin, "lookup_dcookie"}, {Capability::SysAdmin, "mount"}, {Capability::SysAdmin, "mount_setattr"}, {Capability::SysAdmin, "move_mount"},
    {Capability::SysAdmin, "open_tree"}, {Capability::SysAdmin, "perf_event_open"}, {Capability::SysAdmin, "pivot_root"}, {Capability::SysAdmin, "quotactl"},
    {Capability::SysAdmin, "quotactl_fd"}, {Capability::SysAdmin, "setdomainname"}, {Capability::SysAdmin, "sethostname"}, {Capability::SysAdmin, "setns"},
    {Capability::SysAdmin, "swapon"}, {Capability::SysAdmin, "swapoff"}, {Capability::SysAdmin, "umount2"}, {Capability::SysAdmin, "unshare"}, {Capability::SysBoot, "reboot"},
    {Capability::SysChroot, "chroot"}, {Capability::SysModule, "delete_module"}, {Capability::SysModule, "init_module"}, {Capability::SysModule, "finit_module"},
    {Capability::SysPacct, "acct"}, {Capability::SysPtrace, "kcmp"}, {Capability::SysPtrace, "pidfd_getfd"}, {Capability::SysPtrace, "process_madvise"},
    {Capability::SysTime, "settimeofday"}, {Capability::SysTime, "clock_settime"}, {Capability::SysTime, "clock_adjtime"}, {Capability::SysTime, "adjtimex"},
    {Capability::SysNice, "get_mempolicy"}, {Capability::SysNice, "mbind"}, {Capability::SysNice, "set_mempolicy"}, {Capability::SysNice, "migrate_pages"}, {Capability::SysNice, "move_pages"},
    {Capability::Syslog, "syslog"}};
/// Nobody's business, whatever it has.
constexpr const char* kNever[] = {"add_key", "request_key", "keyctl", "kexec_load", "kexec_file_load", "userfaultfd", "nfsservctl", "io_uring_setup", "io_uring_enter", "io_uring_register"};

std::optional<u16> number_of(const std::string& name) {
    for (const SyscallRow& row : syscall_rows())
        if (name == row.name) return row.number;
    return std::nullopt;
}

} // namespace

SeccompProfile default_profile(u64 capabilities) {
    SeccompProfile profile;
    profile.otherwise = errno_answer(kENOSYS);
    const auto has = [&](Capability capability) { return capabilities & bit(capability); };
    SeccompRule refused{std::vector<std::string>(std::begin(kNever), std::end(kNever)), errno_answer(kEPERM), {}};
    for (const Guarded& guarded : kGuarded)
        if (!has(guarded.capability)) refused.names.emplace_back(guarded.name);
    profile.rules.push_back(std::move(refused));
    if (!has(Capability::SysAdmin)) {
        u64 namespaces = 0; // clone makes threads and processes, but no namespaces; what clone3 makes a filter cannot see
        for (unsigned kind = 0; kind < static_cast<unsigned>(NamespaceKind::Count); ++kind) namespaces |= namespace_flag(static_cast<NamespaceKind>(kind));
        namespaces &= ~namespace_flag(NamespaceKind::Time); // its bit is part of clone's signal
        profile.rules.push_back({{"clone"}, kAllow, {{SeccompCondition::Compare::MaskedEqual, 0, namespaces, 0}}});
        profile.rules.push_back({{"clone"}, errno_answer(kEPERM), {}});
        profile.rules.push_back({{"clone3"}, errno_answer(kENOSYS), {}});
    }
    SeccompRule allowed{{}, kAllow, {}};
    for (const SyscallRow& row : syscall_rows()) allowed.names.emplace_back(row.name);
    profile.rules.push_back(std::move(allowed));
    return profile;
}

// --- The filter ---------------------------------------------------------------------------------------------------------------------

namespace {

// linux/bpf_common.h
constexpr u16 kLoad = 0x20, kAnd = 0x54, kJumpEqual = 0x15, kJumpGreater = 0x25, kJumpNotLess = 0x35, kReturn = 0x06;
constexpr u32 kNumberAt = 0, kArchAt = 4, kArgumentsAt = 16; // of struct seccomp_data

class Compiler {
  public:
    std::vector<BpfInstruction> code;

    void emit(u16 operation, u32 k, u8 if_true = 0, u8 if_false = 0) { code.push_back({operation, if_true, if_false, k}); }
    void answer(u32 action) { emit(kReturn, action); }
    /// The numbers from `low` to `high`; the accumulator holds the call's.
    void range(u32 low, u32 high, u32 action) {
        if (low == high) emit(kJumpEqual, low, 0, 1);
        else emit(kJumpNotLess, low, 0, 2), emit(kJumpGreater, high, 1, 0);
        answer(action);
    }
    void conditional(u32 number, const SeccompRule& rule) {
        const std::size_t head = code.size();
        emit(kJumpEqual, number);
        failures_.clear();
        for (const SeccompCondition& condition : rule.conditions) add(condition);
        answer(rule.action);
        const std::size_t again = code.size(); // a condition did not hold: on with the next rule
        emit(kLoad, kNumberAt);
        code[head].if_false = static_cast<u8>(code.size() - head - 1);
        for (const auto& [at, when_true] : failures_) (when_true ? code[at].if_true : code[at].if_false) = static_cast<u8>(again - at - 1);
    }

  private:
    /// Arguments have 64 bits and the accumulator 32: the upper half decides first.
    void add(const SeccompCondition& condition) {
        using Compare = SeccompCondition::Compare;
        const u32 low_at = kArgumentsAt + 8 * condition.index, high_at = low_at + 4;
        const u32 high = static_cast<u32>(condition.value >> 32), low = static_cast<u32>(condition.value);
        emit(kLoad, high_at);
        switch (condition.compare) {
        case Compare::Equal:
            fail_unless(kJumpEqual, high), emit(kLoad, low_at), fail_unless(kJumpEqual, low);
            return;
        case Compare::MaskedEqual:
            emit(kAnd, high), fail_unless(kJumpEqual, static_cast<u32>(condition.other >> 32));
            emit(kLoad, low_at), emit(kAnd, low), fail_unless(kJumpEqual, static_cast<u32>(condition.other));
            return;
        case Compare::NotEqual:
            emit(kJumpEqual, high, 0, 2), emit(kLoad, low_at), fail_if(kJumpEqual, low);
            return;
        case Compare::GreaterOrEqual: case Compare::Greater:
            emit(kJumpGreater, high, 3, 0), fail_unless(kJumpEqual, high), emit(kLoad, low_at);
            fail_unless(condition.compare == Compare::Greater ? kJumpGreater : kJumpNotLess, low);
            return;
        case Compare::Less: case Compare::LessOrEqual:
            fail_if(kJumpGreater, high), emit(kJumpEqual, high, 0, 2), emit(kLoad, low_at);
            fail_if(condition.compare == Compare::Less ? kJumpNotLess : kJumpGreater, low);
        }
    }
    void fail_unless(u16 operation, u32 k) { failures_.push_back({code.size(), false}), emit(operation, k); }
    void fail_if(u16 operation, u32 k) { failures_.push_back({code.size(), true}), emit(operation, k); }

    std::vector<std::pair<std::size_t, bool>> failures_; ///< jumps to where the rule does not fit; taken when true
};

} // namespace

Result<std::vector<BpfInstruction>> compile_profile(const SeccompProfile& profile) {
    Compiler compiler;
    compiler.emit(kLoad, kArchAt);
    compiler.emit(kJumpEqual, kAuditArchRiscv64, 1, 0);
    compiler.answer(static_cast<u32>(SeccompAction::KillProcess));
    compiler.emit(kLoad, kNumberAt);
    std::set<u32> decided; // by rules without conditions: what comes later about them does not count
    for (const SeccompRule& rule : profile.rules) {
        std::set<u32> numbers;
        for (const std::string& name : rule.names)
            if (const auto found = number_of(name); found && !decided.contains(*found)) numbers.insert(*found);
        if (!rule.conditions.empty()) {
            for (u32 one : numbers) compiler.conditional(one, rule);
        } else {
            for (auto at = numbers.begin(); at != numbers.end();) {
                u32 low = *at, high = low;
                for (++at; at != numbers.end() && *at == high + 1; ++at) high = *at;
                compiler.range(low, high, rule.action);
            }
            decided.insert(numbers.begin(), numbers.end());
        }
        if (compiler.code.size() >= kMaxBpf) return Error{fmt::format("the seccomp profile makes a filter of more than {} instructions; give it fewer rules", kMaxBpf)};
    }
    compiler.answer(profile.otherwise);
    return compiler.code;
}

// --- JSON ------------------------------------------------------------------------------------------------------------------------------

namespace {

constexpr std::pair<const char*, SeccompAction> kActions[] = {
    {"SCMP_ACT_ALLOW", SeccompAction::Allow}, {"SCMP_ACT_ERRNO", SeccompAction::Errno}, {"SCMP_ACT_KILL", SeccompAction::KillThread},
    {"SCMP_ACT_KILL_THREAD", SeccompAction::KillThread}, {"SCMP_ACT_KILL_PROCESS", SeccompAction::KillProcess}, {"SCMP_ACT_TRAP", SeccompAction::Trap},
    {"SCMP_ACT_LOG", SeccompAction::Log}, {"SCMP_ACT_TRACE", SeccompAction::Trace}};
constexpr const char* kCompares[] = {"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"};
constexpr std::size_t kMaxRules = 1000, kMaxConditions = 6;

u32 read_action(Fields& fields, const char* key, std::optional<i64> errno_value) {
    const std::string name = fields.text(key, true);
    for (const auto& [known, action] : kActions)
        if (name == known) return static_cast<u32>(action) | (action == SeccompAction::Errno ? static_cast<u32>(errno_value.value_or(kEPERM)) & kSeccompValue : 0);
    fields.note(fmt::format("\"{}\" is no action that is known: {}", key, name));
    return 0;
}

/// Docker's "includes" and "excludes": whether a rule is for a container with these capabilities.
bool is_wanted(Fields& fields, u64 capabilities) {
    const auto holds = [&](const char* key, bool& wanted) {
        const Json* object = fields.object(key);
        if (!object) return;
        Fields inner(*object, fields.where() + ": " + key);
        const bool includes = std::string_view(key) == "includes";
        const auto says = [&](bool fits) {
            if (fits != includes) wanted = false;
        };
        for (std::string name : inner.texts("caps")) {
            std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
            bool has = false;
            for (unsigned i = 0; i < kCapabilities; ++i) has |= capability_name(static_cast<Capability>(i)) == name && capabilities >> i & 1;
            says(has);
        }
        const auto machines = inner.texts("arches");
        if (!machines.empty()) says(std::find(machines.begin(), machines.end(), "riscv64") != machines.end());
        if (inner.problem()) fields.note(*inner.problem());
    };
    bool wanted = true;
    holds("includes", wanted), holds("excludes", wanted);
    return wanted;
}

void read_conditions(Fields& fields, SeccompRule& rule) {
    const Json* list = fields.array("args");
    if (!list) return;
    if (list->size() > kMaxConditions) return fields.note(fmt::format("\"args\" has more than {} conditions", kMaxConditions));
    for (const Json& one : *list) {
        Fields inner(one, fields.where() + ": args");
        SeccompCondition condition;
        const i64 index = inner.number("index").value_or(0);
        condition.value = static_cast<u64>(inner.number("value").value_or(0)), condition.other = static_cast<u64>(inner.number("valueTwo").value_or(0));
        const std::string name = inner.text("op", true);
        const auto found = std::find(std::begin(kCompares), std::end(kCompares), name);
        if (found == std::end(kCompares)) inner.note(fmt::format("\"op\" is no comparison that is known: {}", name));
        if (index < 0 || index > 5) inner.note("\"index\" should be 0 to 5");
        if (inner.problem()) return fields.note(*inner.problem());
        condition.index = static_cast<unsigned>(index), condition.compare = static_cast<SeccompCondition::Compare>(found - std::begin(kCompares));
        rule.conditions.push_back(condition);
    }
}

} // namespace

Result<SeccompProfile> parse_profile(const Json& json, const std::string& name, u64 capabilities) {
    Fields fields(json, name);
    SeccompProfile profile;
    profile.otherwise = read_action(fields, "defaultAction", fields.number("defaultErrnoRet"));
    const Json* list = fields.array("syscalls");
    if (list && list->size() > kMaxRules) fields.note(fmt::format("\"syscalls\" has more than {} rules", kMaxRules));
    if (fields.problem()) return Error{*fields.problem()};
    for (std::size_t i = 0; list && i < list->size(); ++i) {
        Fields inner((*list)[i], fmt::format("{}: syscalls[{}]", name, i));
        SeccompRule rule;
        rule.names = inner.texts("names");
        if (const std::string one = inner.text("name"); !one.empty()) rule.names.push_back(one);
        if (rule.names.empty()) inner.note("\"names\" is missing");
        rule.action = read_action(inner, "action", inner.number("errnoRet"));
        read_conditions(inner, rule);
        const bool wanted = is_wanted(inner, capabilities);
        if (inner.problem()) return Error{*inner.problem()};
        if (wanted) profile.rules.push_back(std::move(rule));
    }
    return profile;
}

Json profile_json(const SeccompProfile& profile) {
    const auto action = [](u32 value) {
        for (const auto& [name, known] : kActions)
            if ((value & kSeccompAction) == static_cast<u32>(known)) return name;
        return "SCMP_ACT_ERRNO";
    };
    const auto with_errno = [&](Json& json, const char* key, u32 value) {
        if ((value & kSeccompAction) == static_cast<u32>(SeccompAction::Errno)) json[key] = value & kSeccompValue;
    };
    Json json{{"defaultAction", action(profile.otherwise)}};
    with_errno(json, "defaultErrnoRet", profile.otherwise);
    json["architectures"] = {"SCMP_ARCH_RISCV64"};
    Json list = Json::array();
    for (const SeccompRule& rule : profile.rules) {
        Json one{{"names", rule.names}, {"action", action(rule.action)}};
        with_errno(one, "errnoRet", rule.action);
        for (const SeccompCondition& condition : rule.conditions)
            one["args"].push_back({{"index", condition.index}, {"value", condition.value}, {"valueTwo", condition.other}, {"op", kCompares[static_cast<unsigned>(condition.compare)]}});
        list.push_back(std::move(one));
    }
    json["syscalls"] = std::move(list);
    return json;
}

} // namespace trapeze::container
