// The other side of a lock step: QEMU's hart, driven through its GDB stub over a socket pair. QEMU need not be installed; callers
// ask available() and skip. One process serves many programs: each program sets all state that it depends on.
//
// Known inaccuracies: interrupts are masked while stepping, so programs must not rely on them. QEMU 7.2 is the oldest version tried.
#pragma once

#include "tests/lockstep/hart_view.hpp"

#include <memory>
#include <string>

namespace trapeze::lockstep {

struct QemuOptions {
    std::string program = "qemu-system-riscv64";
    /// QEMU's rv64 without what the emulator does not have, and with what it has.
    std::string cpu = "rv64,h=false,Zfhmin=true,svinval=true";
    bool hypervisor = false; ///< the hart has the extension; `cpu` says h=true then
    int timeout_ms = 5000; ///< for each answer
};

class QemuPeer {
  public:
    /// True when QEMU can be started by name.
    static bool available(const QemuOptions& options = {});
    static Result<QemuPeer> start(const QemuOptions& options = {});
    QemuPeer(QemuPeer&&) noexcept;
    QemuPeer& operator=(QemuPeer&&) noexcept;
    ~QemuPeer(); ///< ends the process

    Result<void> reset(const Program& program);
    Result<void> step();
    Result<HartView> view(Detail detail);
    Result<void> write_csr(Csr csr, u64 value);
    Result<std::vector<u8>> read(u64 address, std::size_t bytes);

  private:
    struct Child;
    explicit QemuPeer(std::unique_ptr<Child> child);
    std::unique_ptr<Child> child_;
    std::vector<std::string> view_questions_;
    unsigned first_csr_ = 0; ///< register number of CSR 0 in QEMU's numbering
};

static_assert(Side<QemuPeer>);

} // namespace trapeze::lockstep
