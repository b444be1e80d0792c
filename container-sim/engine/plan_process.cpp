// The last steps: terminal, limits, and giving up what the program is not to have.
#include "container-sim/engine/plan.hpp"

#include "container-sim/abi.hpp"
#include "container-sim/errno.hpp"
#include "container-sim/task.hpp"

#include <fmt/format.h>

namespace trapeze::container::planning {

namespace {

constexpr const char* kWithProcess = "goes with the process";

void add(Steps& steps, Step step) {
    if (step.undone_by.empty() && step.call != "close") step.undone_by = kWithProcess;
    steps.push_back(std::move(step));
}

/// prctl(2) by the names of its options.
Step process_control(u64 option, const char* name, std::vector<Argument> more, std::string why) {
    std::vector<Argument> arguments{number(option, name)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    while (arguments.size() < 5) arguments.push_back(number(0));
    return container_call("prctl", std::move(arguments), std::move(why));
}

std::string set_text(u64 set) {
    if (!set) return "0";
    if (set == kAllCapabilities) return "all";
    return fmt::format("0x{:x}", set);
}

void add_filter(Steps& steps, const std::vector<BpfInstruction>& code) {
    constexpr u64 kSetFilter = 1;
    // struct sock_fprog: the number of instructions, and where they are. They lie right behind it.
    std::vector<u8> program(16);
    const u16 length = static_cast<u16>(code.size());
    std::copy_n(reinterpret_cast<const u8*>(&length), 2, program.begin());
    const u8* first = reinterpret_cast<const u8*>(code.data());
    program.insert(program.end(), first, first + code.size() * sizeof(BpfInstruction));
    Argument argument = bytes(std::move(program), fmt::format("{} instructions of BPF", code.size()));
    argument.number = 8; // where the address of what follows at 16 goes
    add(steps, container_call("seccomp", {number(kSetFilter, "SECCOMP_SET_MODE_FILTER"), number(0), argument}, "the system calls that it may make"));
}

void add_capabilities(Steps& steps, const RuntimeSpec& spec) {
    constexpr u32 kVersion3 = 0x20080522;
    struct {
        u32 version;
        i32 pid;
    } const header{kVersion3, 0};
    u32 data[6];
    const u64 inheritable = spec.inheritable | spec.ambient;
    for (unsigned i = 0; i < 2; ++i) {
        const unsigned shift = 32 * i;
        data[3 * i] = static_cast<u32>(spec.effective >> shift), data[3 * i + 1] = static_cast<u32>(spec.permitted >> shift), data[3 * i + 2] = static_cast<u32>(inheritable >> shift);
    }
    add(steps, container_call("capset", {bytes(raw(header), "version 3, pid 0"),
                                         bytes(raw(data), fmt::format("effective={}, permitted={}, inheritable={}", set_text(spec.effective), set_text(spec.permitted), set_text(inheritable)))},
                              "the capabilities that it keeps"));
    constexpr u64 kAmbient = 47, kRaise = 2;
    for (unsigned i = 0; i < kCapabilities; ++i)
        if (spec.ambient >> i & 1)
            add(steps, process_control(kAmbient, "PR_CAP_AMBIENT", {number(kRaise, "PR_CAP_AMBIENT_RAISE"), number(i, capability_name(static_cast<Capability>(i)))}, "kept by programs of others than root"));
}

void add_ids(Steps& steps, const RuntimeSpec& spec) {
    constexpr u64 kKeepCaps = 8;
    std::vector<u8> groups;
    std::string shown;
    for (u32 group : spec.groups) {
        const auto one = raw(group);
        groups.insert(groups.end(), one.begin(), one.end());
        shown += (shown.empty() ? "" : ", ") + fmt::format("{}", group);
    }
    add(steps, process_control(kKeepCaps, "PR_SET_KEEPCAPS", {number(1)}, ""));
    Step set = container_call("setgroups", {number(spec.groups.size()), spec.groups.empty() ? null() : bytes(groups, shown)}, "who it is");
    if (spec.groups.empty()) set.fine = {kEPERM}; // a user namespace may have refused them
    add(steps, std::move(set));
    add(steps, container_call("setresgid", {number(spec.gid), number(spec.gid), number(spec.gid)}, ""));
    add(steps, container_call("setresuid", {number(spec.uid), number(spec.uid), number(spec.uid)}, ""));
}

constexpr const char* kLimitNames[] = {"RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS", "RLIMIT_NPROC", "RLIMIT_NOFILE",
                                       "RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME"};

void add_working_folder(Steps& steps, const RuntimeSpec& spec) {
    for (std::size_t end = spec.working_dir.find('/', 1); spec.working_dir.size() > 1; end = spec.working_dir.find('/', end + 1)) {
        Step make = container_call("mkdirat", {here(), text(spec.working_dir.substr(0, end)), octal(0755)}, "where it begins");
        make.fine = {kEEXIST, kEROFS}, make.undone_by = "goes with the container's files";
        add(steps, std::move(make));
        if (end == std::string::npos) break;
    }
}

} // namespace

/// `console_file`: /dev/console is made to be the terminal, too.
void add_terminal(Steps& steps, const RuntimeSpec& spec, bool console_file) {
    constexpr u64 kUnlock = 0x4004'5431, kNumber = 0x8004'5430, kSetSize = 0x5414;
    std::string path = "/dev/console";
    if (spec.terminal) {
        Step open = container_call("openat", {here(), text("/dev/ptmx"), number(kOpenReadWrite | kOpenNoTerminal | kOpenClose, "O_RDWR|O_NOCTTY|O_CLOEXEC"), number(0)}, "a terminal");
        open.keep = "terminal", open.special = Step::Special::Console;
        add(steps, std::move(open));
        add(steps, container_call("ioctl", {kept("terminal"), number(kUnlock, "TIOCSPTLCK"), bytes(raw(i32{0}), "0")}, ""));
        Step ask = container_call("ioctl", {kept("terminal"), number(kNumber, "TIOCGPTN"), room(4)}, "its number");
        ask.keep = "pty", ask.keep_from = {2, 0};
        add(steps, std::move(ask));
        const u16 size[4] = {spec.rows, spec.columns, 0, 0};
        add(steps, container_call("ioctl", {kept("terminal"), number(kSetSize, "TIOCSWINSZ"), bytes(raw(size), fmt::format("{} rows, {} columns", spec.rows, spec.columns))}, ""));
        path = "/dev/pts/{pty}";
        if (console_file) {
            Step make = container_call("mknodat", {here(), text("/dev/console"), number(mode::kFile | 0600, "S_IFREG|0600"), number(0)}, "the terminal is also the console");
            make.fine = {kEEXIST}, make.undone_by = "goes with the mnt namespace";
            add(steps, std::move(make));
            Step bind = container_call("mount", {text(path), text("/dev/console"), null(), number(4096, "MS_BIND"), null()}, "");
            bind.undone_by = "goes with the mnt namespace";
            add(steps, std::move(bind));
        }
    }
    add(steps, container_call("setsid", {}, "a session of its own"));
    Step open = container_call("openat", {here(), text(path), number(kOpenReadWrite, "O_RDWR"), number(0)}, spec.terminal ? "its controlling terminal" : "what it reads, and where its output goes");
    open.keep = "stdio";
    add(steps, std::move(open));
    for (u64 fd = 0; fd < 3; ++fd) add(steps, container_call("dup3", {kept("stdio"), number(fd), number(0)}, ""));
    add(steps, container_call("close", {kept("stdio")}, ""));
    if (spec.terminal) add(steps, container_call("close", {kept("terminal")}, ""));
}

Result<void> add_process(Steps& steps, const RuntimeSpec& spec) {
    constexpr u64 kDropBounding = 24, kNoNewPrivileges = 38;
    std::vector<BpfInstruction> filter;
    if (spec.seccomp) {
        auto compiled = compile_profile(*spec.seccomp);
        if (!compiled) return Error{compiled.error()};
        filter = std::move(*compiled);
    }
    for (const SpecLimit& limit : spec.limits) {
        const u64 values[2] = {limit.soft, limit.hard};
        if (limit.kind >= kLimits) return Error{"process.rlimits: there is no limit of that number"};
        add(steps, container_call("prlimit64", {number(0), number(limit.kind, kLimitNames[limit.kind]), bytes(raw(values), fmt::format("{}, {}", limit.soft, limit.hard)), null()}, "what one process may use"));
    }
    if (spec.oom_score_adjust) write_file(steps, Step::By::Container, "/proc/self/oom_score_adj", fmt::format("{}", *spec.oom_score_adjust), "how likely it is ended when memory is full");
    add_working_folder(steps, spec);
    for (unsigned i = 0; i < kCapabilities; ++i)
        if (!(spec.bounding >> i & 1))
            add(steps, process_control(kDropBounding, "PR_CAPBSET_DROP", {number(i, capability_name(static_cast<Capability>(i)))}, "no program of its will ever have it"));
    if (!filter.empty() && !spec.no_new_privileges) add_filter(steps, filter); // while CAP_SYS_ADMIN allows it
    add_ids(steps, spec);
    add_capabilities(steps, spec);
    if (spec.no_new_privileges) add(steps, process_control(kNoNewPrivileges, "PR_SET_NO_NEW_PRIVS", {number(1)}, "set-user-ID programs change nothing"));
    if (!filter.empty() && spec.no_new_privileges) add_filter(steps, filter);
    add(steps, container_call("chdir", {text(spec.working_dir)}, ""));
    if (spec.arguments.empty()) return Error{"there is no program to run; name one"};
    Step run = container_call("execve", {text(spec.arguments[0]), texts(spec.arguments), texts(spec.environment)}, "its program takes the place of the runtime's");
    run.special = Step::Special::Program, run.undone_by = kWithProcess;
    add(steps, std::move(run));
    return {};
}

} // namespace trapeze::container::planning
