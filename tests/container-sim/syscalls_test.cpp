// The table of system calls: names and numbers are Linux's, and bad pointers are EFAULT.
#include "tests/container-sim/container.hpp"
#include "tests/container-sim/random_calls.hpp"

#include <map>
#include <random>
#include <regex>
#include <set>

using namespace trapeze;
using namespace trapeze::test;
using container::syscall_rows;

namespace {

/// Names and numbers of Linux's header; __NR3264_* are the 64-bit forms under their generic names.
std::map<std::string, unsigned> linux_numbers() {
    const std::string header = file_text("/usr/riscv64-linux-gnu/include/asm-generic/unistd.h") + file_text("/usr/riscv64-linux-gnu/include/asm/unistd.h");
    const std::regex line(R"(#define __NR(?:3264)?_(\w+)\s+\(?(?:__NR_arch_specific_syscall \+ )?(\d+)\)?)");
    std::map<std::string, unsigned> numbers;
    for (auto at = std::sregex_iterator(header.begin(), header.end(), line); at != std::sregex_iterator(); ++at) {
        const bool arch_specific = at->str().find("arch_specific") != std::string::npos;
        numbers[(*at)[1]] = static_cast<unsigned>(std::stoul((*at)[2])) + (arch_specific ? 244 : 0);
    }
    numbers.emplace("newfstatat", numbers["fstatat"]);
    numbers.emplace("fchmodat2", 452); // since Linux 6.6
    numbers.emplace("riscv_hwprobe", 244 + 14); // since Linux 6.4, newer than some headers: __NR_arch_specific_syscall + 14
    return numbers;
}

/// Makes each call in a child of its own; the results in order.
std::vector<i64> results_of(const std::vector<std::array<u64, 7>>& calls) {
    RootFolder root;
    root.program("probes/replay", "replay");
    std::vector<i64> results;
    for (std::size_t begin = 0; begin < calls.size(); begin += 100) {
        std::string input;
        const std::size_t end = std::min(calls.size(), begin + 100);
        for (std::size_t i = begin; i < end; ++i) input += batch({calls[i]});
        const std::string output = run_in(root, {"/replay"}, input).output;
        REQUIRE(output.size() == (end - begin) * 8);
        for (std::size_t i = 0; i < output.size(); i += 8) std::memcpy(&results.emplace_back(), output.data() + i, 8);
    }
    return results;
}

const container::SyscallRow& row_of(const std::string& name) {
    const auto& rows = syscall_rows();
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.name == name; });
    REQUIRE_MESSAGE(row != rows.end(), name);
    return *row;
}

// A bad pointer in these arguments (0: the first) is EFAULT, when the others are these. Descriptors: 3 a file, 4 a folder, 7 a socket, 0 a terminal.
constexpr u64 kNone = ~u64{0}, kBad = 8, kPath = kReplayArea, kFilePath = kReplayArea + 64, kZeros = kReplayArea + 4096, kHere = static_cast<u64>(-100);
struct Pointers {
    const char* name;
    std::array<u64, 6> arguments;
    std::vector<unsigned> bad;
};
const std::vector<Pointers> kPointers = {
    {"setxattr", {kFilePath, kPath, kZeros, 1, 0}, {0, 1, 2}}, {"lsetxattr", {kFilePath, kPath, kZeros, 1, 0}, {0, 1, 2}},
    {"fsetxattr", {3, kPath, kZeros, 1, 0}, {1, 2}}, {"getxattr", {kFilePath, kPath, kZeros, 1}, {0, 1}}, {"lgetxattr", {kFilePath, kPath, kZeros, 1}, {0, 1}},
    {"fgetxattr", {3, kPath, kZeros, 1}, {1}}, {"listxattr", {0, kZeros, 1}, {0}}, {"llistxattr", {0, kZeros, 1}, {0}}, {"removexattr", {kFilePath, 0}, {0, 1}},
    {"lremovexattr", {kFilePath, 0}, {0, 1}}, {"fremovexattr", {3, 0}, {1}}, {"mknodat", {kHere, 0, 0100600, 0}, {1}}, {"linkat", {kHere, kFilePath, kHere, kPath, 0}, {1, 3}},
    {"umount2", {0, 0}, {0}}, {"mount", {kPath, kPath, kPath, 0, kZeros}, {0, 1, 2, 4}}, {"pivot_root", {kPath, kPath}, {0}}, {"statfs", {kFilePath, kZeros}, {0, 1}},
    {"fstatfs", {3, 0}, {1}}, {"fchownat", {kHere, 0, 0, 0, 0}, {1}}, {"memfd_create", {0, 0}, {0}},
    {"statx", {kHere, kFilePath, 0, 0x7ff, kZeros}, {1, 4}}, {"open_tree", {kHere, 0, 0}, {1}}, {"move_mount", {kHere, kFilePath, kHere, kFilePath, 0}, {1, 3}}, {"fsopen", {0, 0}, {0}},
    {"openat2", {kHere, kFilePath, kZeros, 24}, {1, 2}}, {"faccessat2", {kHere, 0, 0, 0}, {1}}, {"mount_setattr", {kHere, kPath, 0, 0, 32}, {3}}, {"fchmodat2", {kHere, 0, 0700, 0}, {1}},
    {"getcwd", {0, 64}, {0}}, {"ioctl", {0, 0x5421, 0}, {2}}, {"symlinkat", {kPath, kHere, kPath}, {0, 2}}, {"mkdirat", {kHere, 0, 0700}, {1}},
    {"unlinkat", {kHere, 0, 0}, {1}}, {"truncate", {0, 0}, {0}}, {"faccessat", {kHere, 0, 0}, {1}}, {"chdir", {0}, {0}}, {"chroot", {0}, {0}},
    {"fchmodat", {kHere, 0, 0700}, {1}}, {"openat", {kHere, 0, 0}, {1}}, {"pipe2", {0, 0}, {0}}, {"getdents64", {4, 0, 4096}, {1}}, {"read", {3, 0, 4}, {1}},
    {"write", {3, 0, 4}, {1}}, {"readv", {3, 0, 1}, {1}}, {"writev", {3, 0, 1}, {1}}, {"pread64", {3, 0, 4, 0}, {1}}, {"pwrite64", {3, 0, 4, 0}, {1}},
    {"ppoll", {kZeros, 1, kZeros, 0, 0}, {0, 2}}, {"readlinkat", {kHere, kPath, kZeros, 10}, {1, 2}}, {"newfstatat", {kHere, kFilePath, kZeros, 0}, {1, 2}},
    {"fstat", {3, 0}, {1}}, {"utimensat", {kHere, kFilePath, kZeros, 0}, {1, 2}}, {"futex", {0, 0, 0, 0, 0, 0}, {0}}, {"nanosleep", {0, 0}, {0}},
    {"clock_gettime", {1, 0}, {1}}, {"clock_nanosleep", {1, 0, 0, 0}, {2}}, {"sched_setaffinity", {0, 8, 0}, {2}}, {"sched_getaffinity", {0, 8, 0}, {2}},
    {"sigaltstack", {0, 0}, {0, 1}}, {"rt_sigaction", {10, kZeros, kZeros, 8}, {1, 2}}, {"rt_sigprocmask", {0, kZeros, kZeros, 8}, {1, 2}}, {"times", {0}, {0}},
    {"uname", {0}, {0}}, {"sethostname", {0, 4}, {0}}, {"gettimeofday", {kZeros, kZeros}, {0, 1}}, {"sysinfo", {0}, {0}}, {"execve", {kFilePath, kZeros, kZeros}, {0, 1, 2}},
    {"riscv_hwprobe", {0, 1, 0, 0, 0}, {0}}, {"prlimit64", {0, 3, kZeros, kZeros}, {2, 3}}, {"renameat2", {kHere, kFilePath, kHere, kFilePath, 0}, {1, 3}}, {"getrandom", {0, 4, 0}, {0}},
    {"rt_sigpending", {0, 8}, {0}}, {"rt_sigsuspend", {0, 8}, {0}}, {"rt_sigtimedwait", {0, 0, 0, 8}, {0}}, {"rt_sigqueueinfo", {1, 10, 0}, {2}}, {"rt_tgsigqueueinfo", {1, 1, 10, 0}, {3}},
    {"pselect6", {1, 0, 0, 0, 0, 0}, {1, 2, 3, 4, 5}}, {"get_robust_list", {0, kZeros, kZeros}, {1, 2}}, {"setitimer", {0, kZeros, kZeros}, {1, 2}}, {"getitimer", {0, 0}, {1}},
    {"clock_getres", {1, 0}, {1}}, {"getresuid", {kZeros, kZeros, kZeros}, {0, 1, 2}}, {"getresgid", {kZeros, kZeros, kZeros}, {0, 1, 2}}, {"setgroups", {1, 0}, {1}},
    {"setdomainname", {0, 4}, {0}}, {"getrusage", {0, 0}, {1}}, {"getcpu", {kZeros, kZeros, 0}, {0, 1}}, {"capget", {0, 0}, {0}}, {"capset", {0, 0}, {0}}, {"clone3", {0, 88}, {0}},
    {"sched_getparam", {0, 0}, {1}}, {"signalfd4", {kNone, 0, 8, 0}, {1}}, {"timerfd_settime", {9, 0, 0, 0}, {2}}, {"socketpair", {1, 1, 0, 0}, {3}}, {"bind", {7, 0, 16}, {1}}, {"connect", {7, 0, 16}, {1}}, {"getsockname", {7, kZeros, 0}, {2}},
    {"getpeername", {7, kZeros, 0}, {2}}, {"sendto", {7, 0, 4, 0, 0, 0}, {1}}, {"setsockopt", {7, 1, 9, 0, 4}, {3}}, {"getsockopt", {7, 1, 3, kZeros, 0}, {4}},
    {"seccomp", {2, 0, 0}, {2}},
    {"mq_open", {0, 0, 0, kZeros}, {0, 3}}, {"mq_unlink", {0}, {0}}, {"mq_timedsend", {3, kZeros, 1, 0, 0}, {4}}, {"mq_timedreceive", {3, kZeros, 1, kZeros, 0}, {4}},
    {"mq_notify", {3, 0}, {1}}, {"mq_getsetattr", {3, 0, 0}, {1}}, {"msgctl", {0, 3, 0}, {2}}, {"msgsnd", {0, 0, 1, 0}, {1}}, {"semop", {0, 0, 1}, {1}}, {"semtimedop", {0, kZeros, 1, 0}, {1, 3}},
    {"shmctl", {0, 3, 0}, {2}},
    {"timer_create", {0, 0, 0}, {1, 2}}, {"timer_settime", {0, 0, 0, 0}, {2}}, {"sched_setscheduler", {0, 0, 0}, {2}}, {"sched_setparam", {0, 0}, {1}}, {"sched_setattr", {0, 0, 0}, {1}},
    {"sched_getattr", {0, 0, 48, 0}, {1}}, {"sched_rr_get_interval", {0, 0}, {1}}, {"adjtimex", {0}, {0}}, {"clock_adjtime", {0, 0}, {1}}, {"settimeofday", {0, 0}, {0}},
    {"execveat", {kHere, kFilePath, kZeros, kZeros, 0}, {1, 2, 3}}, {"add_key", {0, kPath, 0, 0, 0}, {0, 1}},
    {"preadv", {3, 0, 1, 0}, {1}}, {"pwritev", {3, 0, 1, 0}, {1}}, {"preadv2", {3, 0, 1, 0, 0, 0}, {1}}, {"pwritev2", {3, 0, 1, 0, 0, 0}, {1}},
    {"sendmsg", {7, 0, 0}, {1}}, {"recvmsg", {7, 0, 0}, {1}}, {"sendmmsg", {7, 0, 1, 0}, {1}}, {"recvmmsg", {7, 0, 1, 0, 0}, {1}},
};
// Pointers that are addresses to work on, are only kept, are not used yet, or need a situation that other tests make (wait4).
const std::set<std::string> kNoFault = {"copy_file_range", "set_tid_address", "set_robust_list", "munmap", "mmap", "mprotect", "madvise", "mremap", "msync", "mlock", "mlock2", "munlock", "mincore", "process_vm_readv", "process_vm_writev", "clone", "getgroups", "sendfile", "wait4",
                                        "waitid", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "timerfd_gettime", "clock_settime", "riscv_flush_icache", "pidfd_send_signal", "reboot", "flistxattr", "fsconfig", "name_to_handle_at",
                                        "accept", "accept4", "recvfrom", "msgrcv", "splice", "vmsplice", "timer_gettime", "rseq", "acct", "syslog", "init_module", "finit_module", "delete_module", "swapon", "swapoff", "request_key", "inotify_add_watch"};

} // namespace

TEST_CASE("system calls: names and numbers are Linux's, each once, with a format for every argument") {
    const auto numbers = linux_numbers();
    REQUIRE(numbers.size() > 250);
    std::set<unsigned> seen;
    constexpr std::string_view kPlain = "dxospfgvbSDBzIUVWR23"; // as syscalls.def has them at its head
    const std::set<char> flag_letters{
#define FLAG(letter, mask, value, name) letter,
#include "container-sim/syscall_flags.def"
    };
    for (const auto& row : syscall_rows()) {
        CAPTURE(std::string(row.name));
        const auto found = numbers.find(row.name);
        REQUIRE(found != numbers.end());
        CHECK(found->second == row.number);
        CHECK(seen.insert(row.number).second);
        CHECK(container::syscall_row(row.number) == &row);
        for (const char letter : std::string_view(row.format)) CHECK_MESSAGE((kPlain.find(letter) != std::string_view::npos || flag_letters.contains(letter)), letter);
        CHECK(std::string(row.format).size() <= 6);
    }
    CHECK(container::syscall_row(500) == nullptr);
    CHECK(container::syscall_row(~u64{0}) == nullptr);
}

TEST_CASE("system calls: a bad pointer is EFAULT in every call that takes one") {
    std::set<std::string> known = kNoFault;
    std::vector<std::array<u64, 7>> calls;
    std::vector<std::string> names;
    for (const Pointers& pointers : kPointers) {
        known.insert(pointers.name);
        for (unsigned argument : pointers.bad)
            for (u64 bad : {kBad, kReplayArea + kReplayBytes, u64{1} << 38, ~u64{0} - 7, u64{0x7fff'ffff'ffff'0000}}) {
                std::array<u64, 7> call{row_of(pointers.name).number};
                std::copy(pointers.arguments.begin(), pointers.arguments.end(), call.begin() + 1);
                call[argument + 1] = bad;
                calls.push_back(call);
                names.push_back(std::string(pointers.name) + " argument " + std::to_string(argument) + " = " + std::to_string(bad));
            }
    }
    for (const auto& row : syscall_rows())
        if (std::string(row.format).find_first_of("ps") != std::string::npos) CHECK_MESSAGE(known.count(row.name), row.name, " takes a pointer and is not tried");
    const auto results = results_of(calls);
    for (std::size_t i = 0; i < results.size(); ++i) CHECK_MESSAGE(results[i] == -container::kEFAULT, names[i], " gives ", results[i]);
}

TEST_CASE("system calls: what is not in the table is ENOSYS") {
    const auto results = results_of({{500, 0, 0, 0, 0, 0, 0}, {~u64{0}, 0, 0, 0, 0, 0, 0}, {499, 0, 0, 0, 0, 0, 0}});
    for (i64 result : results) CHECK(result == -container::kENOSYS);
}

TEST_CASE("system calls: random calls with random arguments and pointers leave the host and the next container alone") {
    RootFolder root;
    root.program("probes/replay", "replay").program("linux/whoami", "whoami");
    const std::string before = root.picture();
    std::mt19937_64 random(7);
    for (unsigned i = 0; i < 25; ++i) {
        std::vector<u8> bytes(800);
        for (u8& byte : bytes) byte = static_cast<u8>(random());
        CAPTURE(i);
        World world(u64{32} << 20, i % 2 ? kAllClasses : 0);
        const u32 own = world.start({.rootfs = root.path(), .arguments = {"/replay"}});
        world.kernel.type(own, random_batches(bytes));
        world.kernel.close_input(own);
        world.run(30'000'000);
        CHECK(world.kernel.processes_seen().size() <= Kernel::kMaxTasks);
        CHECK(world.kernel.frames_used() <= world.machine.ram.size() >> kPageShift);
        const u32 next = world.start({.hostname = "next", .rootfs = root.path(), .arguments = {"/whoami"}});
        world.run(30'000'000);
        CHECK(world.kernel.take_output(next).find("pid 1, parent 0, host next, in /\n") == 0);
    }
    CHECK(root.picture() == before);
}
