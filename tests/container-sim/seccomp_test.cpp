// seccomp(2): which filters are taken, what they compute, and what is seen of a decision. What filters do to calls is compared with two real
// kernels: programs/seccomp.c (oracle_test.cpp) and probes/seccomp.c (probes_test.cpp).
#include "container-sim/seccomp.hpp"
#include "tests/container-sim/container.hpp"

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <random>

using namespace trapeze;
using namespace trapeze::test;
using namespace trapeze::container;

namespace {

BpfInstruction statement(unsigned code, u32 k = 0) { return {static_cast<u16>(code), 0, 0, k}; }
BpfInstruction jump(unsigned code, u32 k, u8 if_true, u8 if_false) { return {static_cast<u16>(code), if_true, if_false, k}; }
const BpfInstruction kReturnA = statement(BPF_RET | BPF_A), kReturn = statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

bool valid(const std::vector<BpfInstruction>& code) { return valid_filter(code); }
u32 result_of(const std::vector<BpfInstruction>& code, const SeccompData& data = {}) {
    REQUIRE(valid_filter(code));
    return run_filter(code, data);
}

} // namespace

TEST_CASE("seccomp: every opcode that Linux allows in a filter is taken, and no other") {
    std::vector<unsigned> allowed = {BPF_LD | BPF_W | BPF_ABS, BPF_LD | BPF_W | BPF_LEN, BPF_LDX | BPF_W | BPF_LEN, BPF_LD | BPF_IMM, BPF_LDX | BPF_IMM, BPF_LD | BPF_MEM, BPF_LDX | BPF_MEM,
                                     BPF_ST, BPF_STX, BPF_MISC | BPF_TAX, BPF_MISC | BPF_TXA, BPF_RET | BPF_K, BPF_RET | BPF_A, BPF_ALU | BPF_NEG, BPF_JMP | BPF_JA};
    for (unsigned operation : {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_AND, BPF_OR, BPF_XOR, BPF_LSH, BPF_RSH}) allowed.insert(allowed.end(), {BPF_ALU | operation | BPF_K, BPF_ALU | operation | BPF_X});
    for (unsigned operation : {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET}) allowed.insert(allowed.end(), {BPF_JMP | operation | BPF_K, BPF_JMP | operation | BPF_X});
    for (unsigned code = 0; code < 0x10000; ++code) {
        const u32 k = code == (BPF_JMP | BPF_JA) ? 0 : 4; // a slot, an offset and a constant that all of them can have
        const bool taken = valid({statement(BPF_ST, 4), statement(code, k), kReturn});
        const bool expected = std::find(allowed.begin(), allowed.end(), code) != allowed.end();
        CHECK_MESSAGE(taken == expected, "opcode ", code);
    }
}

TEST_CASE("seccomp: constants, jumps and lengths outside their range are refused") {
    CHECK(valid({statement(BPF_LD | BPF_W | BPF_ABS, 60), kReturn}));
    for (u32 offset : {1u, 2u, 61u, 64u, 0xffff'fffcu}) CHECK_FALSE(valid({statement(BPF_LD | BPF_W | BPF_ABS, offset), kReturn}));
    CHECK_FALSE(valid({statement(BPF_ALU | BPF_DIV | BPF_K, 0), kReturn}));
    CHECK(valid({statement(BPF_ALU | BPF_LSH | BPF_K, 31), kReturn}));
    CHECK_FALSE(valid({statement(BPF_ALU | BPF_LSH | BPF_K, 32), kReturn}));
    CHECK_FALSE(valid({statement(BPF_ALU | BPF_RSH | BPF_K, 32), kReturn}));
    CHECK_FALSE(valid({statement(BPF_ST, 16), kReturn}));
    CHECK_FALSE(valid({statement(BPF_JMP | BPF_JA, 1), kReturn}));
    CHECK_FALSE(valid({statement(BPF_JMP | BPF_JA, 0xffff'ffff), kReturn}));
    CHECK_FALSE(valid({jump(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), kReturn}));
    CHECK_FALSE(valid({jump(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), kReturn}));
    CHECK(valid({jump(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), kReturn, kReturn}));
    CHECK_FALSE(valid({kReturn, statement(BPF_LD | BPF_IMM, 1)}));
    CHECK_FALSE(valid({}));
    CHECK(valid(std::vector<BpfInstruction>(4096, kReturn)));
    CHECK_FALSE(valid(std::vector<BpfInstruction>(4097, kReturn)));
}

TEST_CASE("seccomp: a memory slot is read only where every way has written it") {
    const BpfInstruction write = statement(BPF_ST, 3), read = statement(BPF_LD | BPF_MEM, 3), branch = jump(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
    CHECK(valid({write, read, kReturnA}));
    CHECK_FALSE(valid({read, kReturnA}));
    CHECK_FALSE(valid({statement(BPF_ST, 2), read, kReturnA}));
    CHECK_FALSE(valid({branch, write, read, kReturnA}));                                                      // one way passes the write
    CHECK(valid({write, branch, statement(BPF_LD | BPF_IMM, 1), read, kReturnA}));
    CHECK(valid({branch, jump(BPF_JMP | BPF_JA, 1, 0, 0), statement(BPF_JMP | BPF_JA, 1), write, read, kReturnA}) == false); // one of two jumps comes without it
    CHECK(valid({jump(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2), write, statement(BPF_JMP | BPF_JA, 1), statement(BPF_STX, 3), read, kReturnA}));
}

TEST_CASE("seccomp: filters see the call's number, machine, address and arguments") {
    const SeccompData data{64, kAuditArchRiscv64, 0x1122'3344'5566'7788, {1, 2, 3, 4, 5, 0xaaaa'bbbb'cccc'dddd}};
    const auto at = [&](u32 offset) { return result_of({statement(BPF_LD | BPF_W | BPF_ABS, offset), kReturnA}, data); };
    CHECK(at(0) == 64);
    CHECK(at(4) == 0xc000'00f3);
    CHECK(at(8) == 0x5566'7788);
    CHECK(at(12) == 0x1122'3344);
    CHECK(at(16) == 1);
    CHECK(at(56) == 0xcccc'dddd);
    CHECK(at(60) == 0xaaaa'bbbb);
}

TEST_CASE("seccomp: arithmetic is that of 32 bits without sign, and division by an X of 0 answers 0") {
    const auto with = [&](unsigned operation, u32 a, u32 x) {
        return result_of({statement(BPF_LDX | BPF_IMM, x), statement(BPF_LD | BPF_IMM, a), statement(BPF_ALU | operation | BPF_X), kReturnA});
    };
    std::mt19937 random(3);
    for (unsigned i = 0; i < 200; ++i) {
        const u32 a = static_cast<u32>(random()), x = i % 2 ? static_cast<u32>(random()) : static_cast<u32>(random() % 40);
        CHECK(with(BPF_ADD, a, x) == a + x);
        CHECK(with(BPF_SUB, a, x) == a - x);
        CHECK(with(BPF_MUL, a, x) == a * x);
        CHECK(with(BPF_DIV, a, x) == (x ? a / x : 0));
        CHECK(with(BPF_XOR, a, x) == (a ^ x));
        CHECK(with(BPF_LSH, a, x) == a << (x & 31));
        CHECK(with(BPF_RSH, a, x) == a >> (x & 31));
    }
}

TEST_CASE("seccomp: the strictest action is the first of kill_process, kill_thread, trap, errno, user_notif, trace, log, allow") {
    const std::vector<u32> order = {SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP, SECCOMP_RET_ERRNO, SECCOMP_RET_USER_NOTIF, SECCOMP_RET_TRACE, SECCOMP_RET_LOG, SECCOMP_RET_ALLOW};
    for (std::size_t i = 0; i < order.size(); ++i)
        for (std::size_t j = 0; j < order.size(); ++j) CHECK(is_stricter(order[i] | 5, order[j] | 9) == (i < j)); // the data does not count
    CHECK(is_stricter(SECCOMP_RET_KILL_PROCESS, 0x1234'0000));
    CHECK(seccomp_action_name(0x1234'0000) == nullptr);
}

TEST_CASE("seccomp: what a filter decided is an event with the call, the filter's number and the action") {
    RootFolder root;
    root.program("probes/seccomp", "seccomp");
    World world(u64{64} << 20, kAllClasses);
    world.start({.rootfs = root.path(), .arguments = {"/seccomp"}});
    CHECK(world.run() == RunState::Finished);
    const auto events = world.events(EventKind::Seccomp);
    CHECK(any_contains(events, "dup3: filter 1 of 1 answers errno 28"));
    CHECK(any_contains(events, "dup3: filter 2 of 2 answers errno 25")); // with TSYNC
    CHECK(any_contains(events, "dup3: filter 1 of 1 answers trap 1"));
    CHECK(any_contains(events, "dup3: filter 1 of 1 answers kill_thread 0"));
    CHECK(any_contains(events, "dup3: filter 1 of 1 answers kill_process 0"));
    CHECK_FALSE(any_contains(events, "allow"));
}

TEST_CASE("seccomp: when all tasks have ended, no filter is kept") {
    RootFolder root;
    root.program("probes/seccomp", "seccomp").program("oracle/seccomp", "oracle");
    World world;
    world.start({.rootfs = root.path(), .arguments = {"/seccomp"}});
    world.start({.rootfs = root.path(), .arguments = {"/oracle"}});
    CHECK(world.run() == RunState::Finished);
    CHECK(world.kernel.seccomp_filters.end() > 1); // there were some
    CHECK(world.kernel.seccomp_filters.size() == 1);
    CHECK(world.kernel.seccomp_instructions == 0);
}

TEST_CASE("seccomp: filters of all tasks together have a share of the memory, and nothing is left of one that is refused") {
    World world(u64{16} << 20);
    Kernel& kernel = world.kernel;
    const std::vector<BpfInstruction> longest(kMaxBpf, kReturn);
    std::vector<Task> tasks(200);
    std::size_t taken = 0;
    for (Task& task : tasks)
        while (kernel.add_filter(task, longest) == 0) ++taken;
    CHECK(taken * kMaxBpf * sizeof(BpfInstruction) == world.machine.ram.size() / 8);
    CHECK(kernel.seccomp_filters.size() == taken + 1);
    CHECK(tasks.back().seccomp_mode == SeccompMode::Off);
    for (Task& task : tasks) kernel.release_filter(task.seccomp);
    CHECK(kernel.seccomp_instructions == 0);
}
