// The guest of one session goes on in another mode. What the guest can see is carried over: memory, devices, registers, privilege, CSRs, its
// instruction count and its time. What the mode itself gives (misa, what is delegated to the guest's kernel) is the new mode's, and so are
// shadow tables, translated code and counts of exits, which begin empty.
#include "scenarios/session.hpp"

#include <fmt/format.h>

#include <array>

namespace trapeze::scenarios {

namespace {

constexpr unsigned kSatpModeSv39 = 8, kLevelsSv39 = 3;

/// The guest's memory, page by page; of what neither has touched nothing is made.
void copy_memory(const Session& from, Session& to) {
    Bus source = const_cast<Session&>(from).guest_bus(), target = to.guest_bus(); // reading changes nothing
    std::array<u8, kPageSize> bytes;
    for (u64 at = kRamBase; at < kRamBase + from.config().memory_bytes; at += kPageSize) {
        const u64 source_at = source.ram_offset(at), target_at = target.ram_offset(at);
        if (source.ram.touched(source_at >> kPageShift)) source.ram.read(source_at, bytes), target.ram.write(target_at, bytes);
        else target.ram.fill(target_at, kPageSize, 0);
    }
}

} // namespace

Result<Session> Session::in_mode(Mode mode) const {
    const auto refuse = [&](const std::string& why) { return Error{fmt::format("this guest cannot go on in the mode {}: {}", vmm::mode_row(mode).name, why)}; };
    if (now_.kernel) return refuse("processes in containers have no machine of their own");
    if (config_.harts != 1) return refuse("it has several harts, and a VM has one");
    if (now_.vmm && now_.vmm->paravirt().started && mode != Mode::Paravirtual)
        return refuse("it has made itself paravirtual, and would call a hypervisor that is not there; flip before enable_paravirtual, or boot another mode");
    if (now_.vmm && now_.vmm->paravirt().started) return refuse("what its hypervisor knows of its tables cannot be moved; fork the session instead");
    if (now_.halted) return refuse("it has ended");
    const HartState state = guest_state();
    if (state.virt) return refuse("it runs a guest of its own on the hypervisor extension");
    SessionConfig config = config_;
    config.mode = mode;
    auto fresh = Session::create(config), own = Session::create(config_);
    if (!fresh) return fresh;
    if (!own) return own;
    Session& to = *fresh;
    const HartFeatures features = to.guest_view(0).features();
    const unsigned satp_mode = static_cast<unsigned>(state[Csr::satp] >> 60);
    if (satp_mode >= kSatpModeSv39 && satp_mode - kSatpModeSv39 + kLevelsSv39 > features.paging_levels)
        return refuse("its page tables are deeper than that mode can follow");

    // A CSR that differs at the start already is the mode's own, not the guest's.
    const HartState at_start = own->guest_state(), given = to.guest_state();
    HartState next = state;
    for (std::size_t i = 0; i < kCsrCount; ++i)
        if (at_start.csrs[i] != given.csrs[i]) next.csrs[i] = given.csrs[i];
    copy_memory(*this, to);
    to.board() = board();
    for (Hart& hart : to.now_.machine.harts) hart.state.cycles = state.cycles;
    if (to.now_.vmm) to.now_.vmm->set_guest_state(to.now_.machine, next);
    else to.now_.machine.hart().state = next;
    to.now_.console = now_.console, to.now_.printed = now_.printed;
    to.breakpoints_ = breakpoints_;
    to.now_.lanes.clear();
    to.note_edit(); // going back ends here
    return fresh;
}

} // namespace trapeze::scenarios
