// What the tests of sessions share: opening them, and running them to a place.
#pragma once

#include "scenarios/session.hpp"
#include "tests/hypervisor-sim/guest_program.hpp"
#include "tests/scenarios/child_process.hpp"

#include <doctest/doctest.h>

namespace trapeze::test {

using scenarios::Breakpoint;
using scenarios::RunEnd;
using scenarios::Session;
using scenarios::SessionConfig;
using vmm::ExitReason;
using vmm::Mode;

inline constexpr Mode kModesThatWriteSatp[] = {Mode::Bare, Mode::Interpret, Mode::Translate, Mode::TrapAndEmulate, Mode::HardwareAssisted}; // a paravirtual kernel asks for it
inline constexpr Mode kModes[] = {Mode::Bare, Mode::Interpret, Mode::Translate, Mode::TrapAndEmulate, Mode::Paravirtual, Mode::HardwareAssisted};

inline SessionConfig tiny_os(Mode mode, u64 checkpoint_every = 100'000, const std::string& append = "") {
    SessionConfig config;
    config.guest = "tiny-os";
    config.mode = mode;
    config.memory_bytes = u64{32} << 20;
    config.checkpoint_every = checkpoint_every;
    config.append = append;
    return config;
}

inline Session open(const SessionConfig& config) {
    auto session = Session::create(config);
    if (!session) FAIL(session.error());
    return std::move(*session);
}

/// A bare-metal program in a file of its own.
inline Session open(const Program& program, const Folder& folder, Mode mode = Mode::Bare) {
    const std::vector<u8> bytes = program.bytes();
    SessionConfig config;
    config.guest = folder.write("guest.bin", std::string(bytes.begin(), bytes.end()));
    config.mode = mode;
    config.firmware = false;
    config.memory_bytes = kGuestBytes;
    config.checkpoint_every = 10'000;
    return open(config);
}

/// Runs until the guest waits for input or has ended.
inline RunEnd run_until_idle(Session& session) {
    RunEnd why = RunEnd::Budget;
    while (why == RunEnd::Budget && session.position() < 100'000'000) why = session.run(1'000'000);
    return why;
}

inline u64 resolved(const Session& session, const std::string& place) {
    const auto address = session.resolve(place);
    if (!address) FAIL(address.error());
    return address.value();
}

} // namespace trapeze::test
