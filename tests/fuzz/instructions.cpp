// Fuzz target: decoding, disassembling and running arbitrary words in M-mode, with everything they can reach.
#include "emulator/machine.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using namespace trapeze;

void run(const std::vector<u8>& input) {
    Machine machine = std::move(Machine::create({.ram_bytes = 2 << 20})).value();
    machine.firmware.enabled = false;
    machine.firmware.status.fill(Firmware::HartStatus::Started);
    machine.ram.write(0x1000, input);
    Hart& hart = machine.hart();
    hart.reset(kRamBase + 0x1000);
    hart.state[Csr::mtvec] = kRamBase + 0x1000;
    hart.state[Csr::mstatus] = mstatus::FS;
    for (unsigned i = 1; i < 32; ++i) hart.state.x[i] = i % 2 ? kRamBase + i * 0x10000 : kUartBase + i;
    for (std::size_t i = 0; i + 4 <= input.size(); i += 4) {
        u32 word = 0;
        machine.ram.read(0x1000 + i, word);
        (void)disassemble(word, i);
    }
    machine.run(2000);
}

const fuzz::Registration registration({"instructions", run, [] { return std::vector<std::vector<u8>>(); }});

} // namespace
