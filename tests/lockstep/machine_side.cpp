#include "tests/lockstep/machine_side.hpp"

namespace trapeze::lockstep {

Result<Machine> machine_with(const Program& program) {
    MachineConfig config;
    config.features.hypervisor = program.options.guests; // as QemuOptions::cpu
    config.ram_bytes = u64{32} << 20;
    config.builtin_firmware = false;
    auto machine = Machine::create(config);
    if (!machine) return machine;
    for (const Segment& segment : program.segments)
        if (!machine->ram.write(segment.address - kRamBase, segment.bytes)) return Error{"the program does not fit the machine's RAM"};
    machine->hart().reset(program.entry);
    // The peer sets A and D bits itself, as Svadu does.
    machine->hart().state[Csr::menvcfg] = machine->hart().state[Csr::henvcfg] = menvcfg::ADUE;
    machine->hart().state[Csr::mstateen0] = stateen::ENVCFG; // QEMU 7.2 has no Smstateen, which would close henvcfg
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
    view.priv = static_cast<u64>(s.priv), view.virt = s.virt;
    Bus bus = machine_->bus();
    const Hart& hart = machine_->hart();
    for (std::size_t i = 0; i < kComparedCsrCount; ++i) {
        const u16 number = static_cast<u16>(kComparedCsrs[i].csr);
        view.csrs[i] = hart.read_csr(hart.csr_in_mode(number), bus);
        // In a guest the vs registers are in the supervisor's place, and QEMU shows old values in theirs.
        view.hidden[i] = (i >= kComparedWithoutHypervisor && !hart.features().hypervisor) || (s.virt && i >= kFirstOfGuest);
    }
    constexpr u64 kGuests = mstatus::SIE | mstatus::SPIE | mstatus::SPP | mstatus::FS | mstatus::SUM | mstatus::MXR | mstatus::UXL | mstatus::SD;
    u64& status = view.csrs[compared_index(Csr::mstatus)];
    if (s.virt) status = (status & ~kGuests) | (hart.read_csr(Csr::vsstatus, bus) & kGuests);
    return view;
}

Result<std::vector<u8>> MachineSide::read(u64 address, std::size_t bytes) {
    std::vector<u8> out(bytes);
    if (!machine_->ram.read(address - kRamBase, out)) return Error{"the machine has no RAM at the address that is compared"};
    return out;
}

} // namespace trapeze::lockstep
