// What lock-step tests compare of a hart after each instruction, and the interface of the two sides that they compare.
#pragma once

#include "emulator/base/result.hpp"
#include "emulator/isa/isa.hpp"
#include "tests/lockstep/random_program.hpp"

#include <array>
#include <concepts>
#include <vector>

namespace trapeze::lockstep {

/// CSRs compared, and the bits of each that are.
struct ComparedCsr {
    Csr csr;
    u64 mask = ~u64{0};
};
inline constexpr ComparedCsr kComparedCsrs[] = {
    {Csr::mstatus}, {Csr::mepc}, {Csr::mcause}, {Csr::mtval}, {Csr::mscratch}, {Csr::mtvec}, {Csr::medeleg}, {Csr::mideleg}, {Csr::mie},
    {Csr::sstatus}, {Csr::sepc}, {Csr::scause}, {Csr::stval}, {Csr::sscratch}, {Csr::stvec}, {Csr::scounteren}, {Csr::satp},
    {Csr::fcsr}, {Csr::pmpcfg0}, {Csr::pmpaddr0},
};
inline constexpr std::size_t kComparedCsrCount = std::size(kComparedCsrs);
/// Place of a CSR in kComparedCsrs. Pre: it is one of them.
constexpr std::size_t compared_index(Csr csr) {
    std::size_t i = 0;
    while (kComparedCsrs[i].csr != csr) ++i;
    return i;
}

/// How much of a hart is looked at: QEMU answers for general registers alone six times as fast.
enum class Detail { General, All };

struct HartView {
    Detail detail = Detail::All; ///< General: only x and pc count
    bool satp_hidden = false;    ///< QEMU's debugger cannot read satp in S-mode while TVM is set
    std::array<u64, 32> x{};
    std::array<u64, 32> f{};
    u64 pc = 0;
    u64 priv = 0;
    std::array<u64, kComparedCsrCount> csrs{}; ///< in the order of kComparedCsrs
};

/// One side of a comparison. Errors are of the host (a peer that died), never of the program.
template <class T>
concept Side = requires(T side, const Program& program, u64 address, std::size_t bytes) {
    { side.reset(program) } -> std::same_as<Result<void>>; ///< loads it; M-mode at its entry
    { side.step() } -> std::same_as<Result<void>>;         ///< one instruction, or one trap
    { side.view(Detail::All) } -> std::same_as<Result<HartView>>;
    { side.read(address, bytes) } -> std::same_as<Result<std::vector<u8>>>; ///< physical memory
};

} // namespace trapeze::lockstep
