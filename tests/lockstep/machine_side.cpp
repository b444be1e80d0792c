#include "tests/lockstep/machine_side.hpp"

namespace trapeze::lockstep {

Result<Machine> machine_with(const Program& program) {
    MachineConfig config;
    config.features.hypervisor = false; // as QemuOptions::cpu
    config.ram_bytes = u64{32} << 20;
    config.builtin_firmware = false;
    auto machine = Machine::create(config);
    if (!machine) return machine;
    for (const Segment& segment : program.segments)
        if (!machine->ram.write(segment.address - kRamBase, segment.bytes)) return Error{"the program does not fit the machine's RAM"};
    machine->hart().reset(program.entry);
    // The peer sets A and D bits itself, as Svadu does.
    machine->hart().state[Csr::menvcfg] = menvcfg::ADUE;
    return machine;
}

Result<void> MachineSide::reset(const Program& program) {
    auto machine = machine_with(program);
    if (!machine) return Error{machine.error()};
    machine_.emplace(std::move(machine).value());
    return {};
}

Result<void> MachineSide::step() {
    const Stop stop = machine_->step();
    if (stop.kind != StopKind::Budget) return Error{"the machine stopped by itself; a program of the generator never asks for that"};
    return {};
}

Result<void> MachineSide::write_csr(Csr csr, u64 value) {
    Bus bus = machine_->bus();
    machine_->hart().write_csr(csr, value, bus);
    return {};
}

Result<HartView> MachineSide::view(Detail) {
    const HartState& s = machine_->hart().state;
    HartView view;
    for (unsigned i = 0; i < 32; ++i) view.x[i] = s.x[i], view.f[i] = s.f[i];
    view.pc = s.pc;
    view.priv = static_cast<u64>(s.priv);
    Bus bus = machine_->bus();
    for (std::size_t i = 0; i < kComparedCsrCount; ++i) view.csrs[i] = machine_->hart().read_csr(kComparedCsrs[i].csr, bus);
    return view;
}

Result<std::vector<u8>> MachineSide::read(u64 address, std::size_t bytes) {
    std::vector<u8> out(bytes);
    if (!machine_->ram.read(address - kRamBase, out)) return Error{"the machine has no RAM at the address that is compared"};
    return out;
}

} // namespace trapeze::lockstep
