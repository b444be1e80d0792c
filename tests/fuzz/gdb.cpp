// Fuzz target: the GDB protocol on a small real session. The input is what a GDB could send; checksums do not count, so that mutations
// get through. Whatever it is, the stub answers or ignores it, and its answers stay bounded.
#include "scenarios/gdb_target.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <cstdlib>
#include <fstream>

namespace {

using namespace trapeze;
using namespace trapeze::scenarios;

constexpr char kProgram[] = "fuzz-gdb-guest.bin";

Session make_session() {
    const u32 words[] = {0x00001317, 0x00128293, 0x00533023, 0xff9ff06f}; // auipc x6, 1; loop: addi x5, x5, 1; sd x5, 0(x6); j loop
    std::ofstream(kProgram, std::ios::binary).write(reinterpret_cast<const char*>(words), sizeof words);
    SessionConfig config;
    config.guest = kProgram, config.firmware = false, config.memory_bytes = 2 << 20, config.harts = 2, config.checkpoint_every = 5000;
    auto session = Session::create(config);
    std::remove(kProgram);
    if (!session) std::abort();
    return std::move(session).value();
}

std::vector<std::vector<u8>> seeds() {
    std::vector<std::vector<u8>> all;
    for (const char* packets : {"$qSupported:swbreak+#00$QStartNoAckMode#00$?#00$g#00$p1c1#00", "$Z0,80000004,2#00$c#00$z0,80000004,2#00$bs#00$bc#00",
                                "$Z2,80001000,8#00$vCont;s:1;c#00$P5=0100000000000000#00$m80000000,40#00", "$Hg2#00$qfThreadInfo#00$vCont;c#00\x03$qC#00",
                                "$M80000100,4:01020304#00$X80000100,2:ab#00$Qqemu.PhyMemMode:1#00$m80000000,10#00$D#00",
                                "$qRcmd,77616c6b2030783830303030303030#00$qRcmd,6576656e747320393939#00$qRcmd,676f2030#00",
                                "$qXfer:features:read:target.xml:0,fff#00$qThreadExtraInfo,1#00$s#00$C05#00\x03$k#00"})
        all.emplace_back(packets, packets + std::char_traits<char>::length(packets));
    return all;
}

void run(const std::vector<u8>& input) {
    static const Session fresh = make_session();
    Session session = fresh;
    GdbTarget target(session);
    debug::GdbStub stub(target);
    (void)stub.feed(debug::frame("QStartNoAckMode"));
    std::size_t answered = 0;
    for (u8 byte : input) {
        const char c = static_cast<char>(byte);
        answered += stub.feed({&c, 1}).size();
        for (int slices = 0; stub.running() && slices < 2; ++slices) answered += stub.run_slice().size();
    }
    if (answered > (input.size() + 1) * 4 * debug::kPacketBytes) std::abort();
}

const fuzz::Registration registration({"gdb", run, seeds});

} // namespace
