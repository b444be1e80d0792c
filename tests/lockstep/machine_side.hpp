// Our side of a lock step: a machine without firmware, stepped one instruction at a time.
#pragma once

#include "emulator/machine.hpp"
#include "tests/lockstep/hart_view.hpp"

namespace trapeze::lockstep {

class MachineSide {
  public:
    Result<void> reset(const Program& program);
    Result<void> step();
    Result<HartView> view(Detail detail);
    Result<void> write_csr(Csr csr, u64 value);
    Result<std::vector<u8>> read(u64 address, std::size_t bytes);

    /// The machine as it is now; what another way of running the same program is compared with.
    const Machine& machine() const { return *machine_; }

  private:
    std::optional<Machine> machine_;
};

/// A machine with the program loaded, about to run it.
Result<Machine> machine_with(const Program& program);

static_assert(Side<MachineSide>);

} // namespace trapeze::lockstep
