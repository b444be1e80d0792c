#include "scenarios/nano.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::scenarios {

namespace {

constexpr NanoOperation kOperations[] = {
    {"syscall", "a system call of a user program, and the return from it", "242 / 2,308 / 242"},
    {"csr-write", "the kernel writes sscratch", ""},
    {"call-return", "a function is called, and returns", ""},
    {"page-fault", "a user program touches a page that is not there; its kernel goes on behind it", "1,093 / 3,927 / 11,242"},
    {"entry-write", "the kernel changes a page-table entry, and fences the page", "1 / 391 / 12,733"},
    {"remap", "the same, and touches the page", ""},
    {"device-read", "the kernel reads a register of the UART", "3,209 / 216 / 15,826"},
    {"hypercall", "an SBI call that does nothing", ""},
    {"context-switch", "the kernel saves registers, goes to another address space, and touches a page of it", ""},
    {"process", "tables are made, four pages copied, a process runs on them, and ends", "6.0 s / 36.9 s / 106.4 s for 40,000"},
};

constexpr u64 kGuestBytes = u64{16} << 20;
constexpr u64 kUnitsPerRound = 1'000'000; // far more than any operation takes

Result<ModeCost> run(const NanoOperation& operation, Mode mode, const vmm::CostModel& costs, u64 rounds) {
    SessionConfig config;
    config.guest = "nano";
    config.mode = mode;
    config.memory_bytes = kGuestBytes;
    config.costs = costs;
    config.append = fmt::format("{} {:09}", operation.name, rounds); // of one length, so that reading it costs the same
    config.record = 0, config.dossiers = false;
    config.checkpoint_every = 0;
    auto session = Session::create(config);
    if (!session) return Error{session.error()};
    CompareLimits limits;
    limits.units = rounds * kUnitsPerRound, limits.stop_when_stuck = false;
    ModeCost cost = measure_mode(*session, limits);
    if (cost.end != "halted" || session->exit_code() != 0)
        return Error{fmt::format("the guest nano did not finish the operation {} in mode {}: it ended with \"{}\", code {}, having printed \"{}\"", operation.name, cost.mode,
                                 cost.end, session->exit_code(), cost.console)};
    return cost;
}

/// What the second of two runs had more.
ModeCost difference(const ModeCost& once, const ModeCost& twice) {
    ModeCost more;
    more.mode = twice.mode;
    for (const ModeFigure& figure : mode_figures()) more.*figure.value = twice.*figure.value - once.*figure.value;
    for (const auto& [reason, count] : twice.exits_by_reason)
        if (count != once.exits_of(reason)) more.exits_by_reason.emplace_back(reason, count - once.exits_of(reason));
    return more;
}

} // namespace

const char* const kNanoSource =
    "Published: cycles on bare hardware, under binary translation, and hardware-assisted, on a Pentium 4 672: Adams and Agesen 2006 (their\n"
    "operations syscall, pgfault, ptemod, in, and the program forkwait). Set beside them the shape, not the number, and know that their\n"
    "hardware had no second stage of paging: it had exits for page faults and page-table writes, which hardware-assisted here has not.\n";

std::span<const NanoOperation> nano_operations() { return kOperations; }

Result<NanoOperation> nano_operation(const std::string& name) {
    std::string names;
    for (const NanoOperation& operation : kOperations) {
        if (name == operation.name) return operation;
        names += (names.empty() ? "" : ", ") + std::string(operation.name);
    }
    return Error{fmt::format("there is no operation \"{}\"; the operations are {}", name, names)};
}

Result<NanoCost> measure_nano(const NanoOperation& operation, Mode mode, const vmm::CostModel& costs, u64 rounds) {
    const auto once = run(operation, mode, costs, rounds);
    if (!once) return Error{once.error()};
    const auto twice = run(operation, mode, costs, 2 * rounds);
    if (!twice) return Error{twice.error()};
    return NanoCost{operation.name, rounds, difference(once.value(), twice.value())};
}

} // namespace trapeze::scenarios
