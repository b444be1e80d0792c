// Fuzz target: seccomp filters of any bytes are checked, and those that are taken run over a call. A run that ends reads nothing outside,
// and says the same again. In every other input opcodes and constants are drawn from those that a filter may have, so that long ones are taken.
#include "container-sim/seccomp.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <cstdlib>
#include <cstring>

namespace {

using namespace trapeze;
using namespace trapeze::container;

constexpr u16 kCodes[] = {0x20, 0x80, 0x81, 0x00, 0x01, 0x60, 0x61, 0x02, 0x03, 0x07, 0x87, 0x06, 0x16, 0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c,
                          0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c, 0x74, 0x7c, 0x84, 0xa4, 0xac, 0x05, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d};

void run(const std::vector<u8>& input) {
    if (input.empty()) return;
    std::vector<BpfInstruction> code((input.size() - 1) / sizeof(BpfInstruction));
    if (!code.empty()) std::memcpy(code.data(), input.data() + 1, code.size() * sizeof(BpfInstruction));
    if (input[0] % 2) {
        for (std::size_t i = 0; i < 16; ++i) code.insert(code.begin(), {0x02, 0, 0, static_cast<u32>(i)}); // every slot is written
        for (BpfInstruction& instruction : code) {
            instruction.code = kCodes[instruction.code % std::size(kCodes)];
            instruction.k = instruction.code == 0x20 ? instruction.k % 16 * 4 : instruction.k % 15 + 1;
            instruction.if_true %= 8, instruction.if_false %= 8;
        }
        code.insert(code.end(), 17, {0x16, 0, 0, 0});
    }
    if (!valid_filter(code)) return;
    SeccompData data{static_cast<i32>(input.size()), kAuditArchRiscv64, 0x10000, {}};
    std::memcpy(data.arguments.data(), input.data(), std::min(input.size(), sizeof data.arguments));
    if (run_filter(code, data) != run_filter(code, data)) std::abort();
    code.pop_back(); // without its end, or what stands before that, it is taken only when it still returns
    if (valid_filter(code)) (void)run_filter(code, data);
}

std::vector<std::vector<u8>> seeds() {
    const BpfInstruction code[] = {{0x20, 0, 0, 4}, {0x15, 1, 0, kAuditArchRiscv64}, {0x06, 0, 0, 0x8000'0000}, {0x20, 0, 0, 16}, {0x02, 0, 0, 3},
                                   {0x61, 0, 0, 3}, {0x3c, 0, 0, 0}, {0x6c, 0, 0, 0}, {0x45, 0, 1, 1}, {0x87, 0, 0, 0}, {0x16, 0, 0, 0}};
    std::vector<std::vector<u8>> all;
    for (u8 kind : {u8{0}, u8{1}}) {
        std::vector<u8>& input = all.emplace_back(1 + sizeof code, kind);
        std::memcpy(input.data() + 1, code, sizeof code);
    }
    return all;
}

const fuzz::Registration registration({"bpf", run, seeds});

} // namespace
