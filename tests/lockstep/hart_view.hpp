// What lock-step tests compare of a hart after each instruction, and the interface of the two sides that they compare.
#pragma once

#include "emulator/base/result.hpp"
#include "emulator/cpu/state.hpp"
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
    {Csr::mstatus}, {Csr::mepc}, {Csr::mcause}, {Csr::mtval}, {Csr::mscratch}, {Csr::mtvec}, {Csr::medeleg}, {Csr::mideleg, 0xfff}, {Csr::mie},
    {Csr::sstatus}, {Csr::sepc}, {Csr::scause}, {Csr::stval}, {Csr::sscratch}, {Csr::stvec}, {Csr::scounteren}, {Csr::satp},
    {Csr::fcsr}, {Csr::pmpcfg0}, {Csr::pmpaddr0},
    // From here on of the hypervisor extension.
    {Csr::mtval2}, {Csr::mtinst}, {Csr::hstatus}, {Csr::hedeleg}, {Csr::hideleg}, {Csr::hie}, {Csr::hvip}, {Csr::hip}, {Csr::htimedelta},
    {Csr::hcounteren}, {Csr::henvcfg, 1 | envcfg::CBIE | envcfg::CBCFE | envcfg::CBZE}, {Csr::htval}, {Csr::htinst}, {Csr::hgatp}, {Csr::vsie}, {Csr::vsip},
    // From here on those that stand for the supervisor's in a guest.
    {Csr::vsstatus, ~mstatus::SD}, {Csr::vstvec}, {Csr::vsscratch}, {Csr::vsepc}, {Csr::vscause}, {Csr::vstval}, {Csr::vsatp},
};
inline constexpr std::size_t kComparedCsrCount = std::size(kComparedCsrs);
/// Place of a CSR in kComparedCsrs. Pre: it is one of them.
constexpr std::size_t compared_index(Csr csr) {
    std::size_t i = 0;
    while (kComparedCsrs[i].csr != csr) ++i;
    return i;
}

/// How many of them a hart without the hypervisor extension has.
inline constexpr std::size_t kComparedWithoutHypervisor = compared_index(Csr::mtval2);
inline constexpr std::size_t kFirstOfGuest = compared_index(Csr::vsstatus);

/// How much of a hart is looked at: QEMU answers for general registers alone six times as fast.
enum class Detail { General, All };

struct HartView {
    Detail detail = Detail::All; ///< General: only x and pc count
    /// What cannot be compared: satp in S-mode while TVM is set, which QEMU's debugger cannot read; the vs registers in a guest.
    std::array<bool, kComparedCsrCount> hidden{};
    std::array<u64, 32> x{};
    std::array<u64, 32> f{};
    u64 pc = 0;
    u64 priv = 0;
    bool virt = false; ///< ours alone: QEMU's debugger does not say
    /// In the order of kComparedCsrs, as QEMU shows them: in a guest, the supervisor's are the guest's own, and so are these fields of mstatus.
    std::array<u64, kComparedCsrCount> csrs{};

    PrivMode mode() const { return {static_cast<Priv>(priv), virt}; }
    u64 operator[](Csr csr) const { return csrs[compared_index(csr)]; }
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
