// Fuzz target: loading snapshots. The input is the content of a snapshot, packed anew so that mutations get past the checksum; every
// fourth is the file itself. What is loaded must run without harm to the host.
#include "emulator/snapshot.hpp"
#include "scenarios/session.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <cstdlib>
#include <fstream>

namespace {

using namespace trapeze;
using namespace trapeze::scenarios;

constexpr char kProgram[] = "fuzz-snapshot-guest.bin";
constexpr Mode kModes[] = {Mode::Bare, Mode::Interpret, Mode::Translate, Mode::TrapAndEmulate, Mode::Paravirtual};

SessionConfig config_of(Mode mode) {
    SessionConfig config;
    config.guest = kProgram, config.mode = mode, config.firmware = false, config.memory_bytes = 4 << 20, config.checkpoint_every = 0;
    return config;
}

/// The guest's file, as long as the fuzzer runs.
struct Guest {
    Guest() {
        // auipc x6, 1; loop: addi x5, x5, 1; sd x5, 0(x6); csrr x7, mstatus; j loop
        const u32 words[] = {0x00001317, 0x00128293, 0x00533023, 0x300023f3, 0xff5ff06f};
        std::ofstream(kProgram, std::ios::binary).write(reinterpret_cast<const char*>(words), sizeof words);
    }
    ~Guest() { std::remove(kProgram); }
};

std::vector<std::vector<u8>> seeds() {
    static const Guest guest;
    std::vector<std::vector<u8>> all;
    for (Mode mode : kModes) {
        auto session = Session::create(config_of(mode));
        if (!session) std::abort();
        session->run(401);
        const auto file = session->save_bytes();
        auto content = unpack_snapshot(SnapshotKind::Session, file.value(), u64{1} << 30, "seed");
        if (!content) std::abort();
        content->push_back(static_cast<u8>(4 * all.size())); // the last byte chooses how it is loaded
        all.push_back(std::move(*content));
    }
    return all;
}

void run(const std::vector<u8>& input) {
    if (input.empty()) return;
    const u8 choice = input.back();
    const Mode mode = kModes[choice / 4 % std::size(kModes)];
    const std::vector<u8> bytes(input.begin(), input.end() - 1);
    auto session = choice % 4 == 3 ? Session::restore_bytes(config_of(mode), bytes, "fuzzed")
                                   : Session::restore_bytes(config_of(mode), pack_snapshot(SnapshotKind::Session, bytes), "fuzzed");
    if (session) (void)session->run(3000);
}

const fuzz::Registration registration({"snapshot", run, seeds});

} // namespace
