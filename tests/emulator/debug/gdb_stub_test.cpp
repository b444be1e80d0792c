// The GDB remote protocol against a target made for it: framing, acknowledgements, every packet, and packets that no GDB would send.
#include "emulator/debug/gdb_stub.hpp"
#include "emulator/isa/isa.hpp"

#include <doctest/doctest.h>

#include <map>

using namespace trapeze;
using namespace trapeze::debug;

namespace {

/// Two harts with 4 KiB of memory at 0x1000, and a log of what they were told.
struct TwoHarts final : Target {
    std::map<std::pair<unsigned, unsigned>, u64> registers;
    std::array<u8, 4096> memory{};
    std::vector<std::string> log;
    std::optional<StopReport> next;

    unsigned harts() const override { return 2; }
    std::string describe(unsigned hart) const override { return "hart " + std::to_string(hart); }
    std::optional<u64> read_register(unsigned hart, unsigned number) const override {
        if (number >= kRegisterCsr0 && number < kRegisterPriv && !csr_row(static_cast<u16>(number - kRegisterCsr0))) return std::nullopt;
        const auto known = registers.find({hart, number});
        return known == registers.end() ? 0 : known->second;
    }
    bool write_register(unsigned hart, unsigned number, u64 value) override { return registers[{hart, number}] = value, true; }
    std::size_t read_memory(unsigned, u64 address, bool, std::span<u8> out) override {
        std::size_t done = 0;
        for (; done < out.size() && address + done - 0x1000 < memory.size(); ++done) out[done] = memory[address + done - 0x1000];
        return done;
    }
    bool write_memory(unsigned, u64 address, bool physical, std::span<const u8> in) override {
        if (address - 0x1000 > memory.size() || in.size() > memory.size() - (address - 0x1000)) return false;
        log.push_back(physical ? "physical write" : "virtual write");
        std::copy(in.begin(), in.end(), memory.begin() + static_cast<std::ptrdiff_t>(address - 0x1000));
        return true;
    }
    bool insert_breakpoint(BreakKind kind, u64 address, u64 bytes) override { return log.push_back(entry("insert", kind, address, bytes)), true; }
    bool remove_breakpoint(BreakKind kind, u64 address, u64 bytes) override { return log.push_back(entry("remove", kind, address, bytes)), true; }
    void begin(Motion motion, unsigned hart) override { log.push_back("begin " + std::to_string(static_cast<int>(motion)) + " hart " + std::to_string(hart)); }
    std::optional<StopReport> run_slice() override { return next; }
    unsigned interrupt() override { return 1; }
    std::string monitor(const std::string& command, unsigned, bool&) override { return command; }

    static std::string entry(const char* what, BreakKind kind, u64 address, u64 bytes) {
        return std::string(what) + " " + std::to_string(static_cast<int>(kind)) + " " + std::to_string(address) + " " + std::to_string(bytes);
    }
};

/// A stub that has agreed to leave acknowledgements away, and what it answers, without the frame.
struct Conversation {
    TwoHarts target;
    GdbStub stub{target};
    Conversation() { REQUIRE(stub.feed(frame("QStartNoAckMode")) == "+" + frame("OK")); }
    std::string ask(std::string_view packet) { return content(stub.feed(frame(packet))); }
    static std::string content(const std::string& framed) {
        if (framed.empty()) return "(nothing)";
        REQUIRE(framed.size() >= 4);
        REQUIRE(framed == frame(framed.substr(1, framed.size() - 4)));
        return framed.substr(1, framed.size() - 4);
    }
};

} // namespace

TEST_CASE("A packet with the right checksum is acknowledged and answered, one with a wrong checksum is asked for again") {
    TwoHarts target;
    GdbStub stub(target);
    CHECK(frame("OK") == "$OK#9a"); // the GDB manual's own example
    CHECK(stub.feed("$qC#b4") == "+" + frame("QC1"));
    CHECK(stub.feed("$qC#b5") == "-");
    CHECK(stub.feed("-") == frame("QC1"));
    CHECK(stub.feed("+") == "");
}

TEST_CASE("A packet may come in any pieces") {
    TwoHarts target;
    GdbStub stub(target);
    std::string answer;
    for (char c : std::string("+$qC#b4")) answer += stub.feed(std::string(1, c));
    CHECK(answer == "+" + frame("QC1"));
}

TEST_CASE("A packet longer than was agreed is refused, and the next one is understood") {
    TwoHarts target;
    GdbStub stub(target);
    CHECK(stub.feed(frame(std::string(kPacketBytes + 1, 'x'))) == "-");
    CHECK(stub.feed("$qC#b4") == "+" + frame("QC1"));
}

TEST_CASE("What is supported is said, what is not is answered with an empty packet") {
    Conversation gdb;
    const std::string features = gdb.ask("qSupported:multiprocess+;swbreak+;hwbreak+");
    for (const char* feature : {"PacketSize=4000", "QStartNoAckMode+", "vContSupported+", "swbreak+", "hwbreak+", "qXfer:features:read+", "ReverseStep+",
                                "ReverseContinue+", "multiprocess-"}) {
        CAPTURE(feature);
        CHECK(features.find(feature) != std::string::npos);
    }
    for (const char* unknown : {"vMustReplyEmpty", "qTStatus", "qXfer:auxv:read::0,1000", "!", "i", "bx", "Z5,0,0", "QNonStop:1"}) {
        CAPTURE(unknown);
        CHECK(gdb.ask(unknown) == "");
    }
    CHECK(gdb.ask("qAttached") == "1");
    CHECK(gdb.ask("qSymbol::") == "OK");
    CHECK(gdb.ask("vCont?") == "vCont;c;C;s;S");
}

TEST_CASE("The target description has every CSR of the table under its number") {
    Conversation gdb;
    std::string xml;
    for (bool more = true; more;) {
        const std::string part = gdb.ask("qXfer:features:read:target.xml:" + to_hex(std::string()) + [&] {
            char text[32];
            std::snprintf(text, sizeof text, "%zx,800", xml.size());
            return std::string(text);
        }());
        REQUIRE((part[0] == 'm' || part[0] == 'l'));
        more = part[0] == 'm';
        xml += part.substr(1);
    }
    CHECK(xml == target_description()); // nothing in it needs an escape
    for (std::size_t i = 0; i < kCsrCount; ++i) {
        const std::string name = std::string("name=\"") + csr_row_at(i).name + "\" bitsize=\"64\" regnum=\"" +
                                 std::to_string(kRegisterCsr0 + static_cast<unsigned>(csr_row_at(i).csr)) + "\"";
        CAPTURE(name);
        CHECK(xml.find(name) != std::string::npos);
    }
    CHECK(gdb.ask("qXfer:features:read:other.xml:0,100") == "E00");
    CHECK(gdb.ask("qXfer:features:read:target.xml:ffffffff,100") == "l");
}

TEST_CASE("Registers travel lowest byte first, one by one and all together") {
    Conversation gdb;
    gdb.target.registers[{0, 1}] = 0x0123456789abcdef;
    CHECK(gdb.ask("p1") == "efcdab8967452301");
    CHECK(gdb.ask("g").substr(16, 16) == "efcdab8967452301");
    CHECK(gdb.ask("g").size() == 65 * 16);
    CHECK(gdb.ask("P20=0010000000000000") == "OK");
    CHECK(gdb.target.registers[{0, kRegisterPc}] == 0x1000);
    CHECK(gdb.ask("G00000000000000002a00000000000000") == "OK");
    CHECK(gdb.target.registers[{0, 1}] == 0x2a);
    CHECK(gdb.ask("p801") == "E01"); // CSR 0x7c0: there is none
    CHECK(gdb.ask("p99999") == "E01");
    CHECK(gdb.ask("P20=12") == "E01");
    CHECK(gdb.ask("G123") == "E01");
}

TEST_CASE("Memory is read as far as it is there, and written whole or not at all") {
    Conversation gdb;
    CHECK(gdb.ask("M1000,4:01020304") == "OK");
    CHECK(gdb.ask("m1000,4") == "01020304");
    CHECK(gdb.ask("m1ffe,8") == "0000");
    CHECK(gdb.ask("m2000,4") == "E14");
    CHECK(gdb.ask("M1ffe,4:01020304") == "E14");
    CHECK(gdb.ask("M1000,4:0102") == "E01");
    CHECK(gdb.ask("M1000,4:zz020304") == "E01");
    CHECK(gdb.ask(std::string("X1000,3:") + escape("}#$")) == "OK");
    CHECK(gdb.ask("m1000,3") == "7d2324");
    CHECK(gdb.ask("X1000,0:") == "OK");
    CHECK(gdb.ask("m1000,ffffffffffffffff").size() <= kPacketBytes);
    CHECK(gdb.ask("qqemu.PhyMemMode") == "0");
    CHECK(gdb.ask("Qqemu.PhyMemMode:1") == "OK");
    CHECK(gdb.ask("M1000,1:00") == "OK");
    CHECK(gdb.target.log.back() == "physical write");
}

TEST_CASE("Harts are threads from 1 on") {
    Conversation gdb;
    gdb.target.registers[{1, 2}] = 7;
    CHECK(gdb.ask("qfThreadInfo") == "m1,2");
    CHECK(gdb.ask("qsThreadInfo") == "l");
    CHECK(gdb.ask("qThreadExtraInfo,2") == to_hex(std::string("hart 1")));
    CHECK(gdb.ask("T2") == "OK");
    CHECK(gdb.ask("T3") == "E01");
    CHECK(gdb.ask("T0") == "OK");
    CHECK(gdb.ask("T00") == "E01");
    CHECK(gdb.ask("Hg2") == "OK");
    CHECK(gdb.ask("p2") == "0700000000000000");
    CHECK(gdb.ask("Hg9") == "E01");
    CHECK(gdb.ask("H") == "E01");
}

TEST_CASE("A motion is answered when it ends, and only Ctrl-C is heard meanwhile") {
    Conversation gdb;
    CHECK(gdb.ask("vCont;s:2;c") == "(nothing)");
    CHECK(gdb.target.log.back() == "begin 1 hart 1");
    CHECK(gdb.stub.running());
    CHECK(gdb.stub.run_slice() == "");
    CHECK(gdb.ask("g") == "E01");
    CHECK(gdb.ask("c") == "E01");
    gdb.target.next = StopReport{StopReport::Why::Stepped, 1, BreakKind::Software, 0, 0};
    CHECK(Conversation::content(gdb.stub.run_slice()) == "T05thread:2;");
    CHECK_FALSE(gdb.stub.running());

    CHECK(gdb.ask("vCont;c") == "(nothing)");
    CHECK(Conversation::content(gdb.stub.feed("\x03")) == "T02thread:2;");
    CHECK_FALSE(gdb.stub.running());
    CHECK(gdb.stub.feed("\x03") == "");
    CHECK(gdb.ask("?") == "T02thread:2;");
    CHECK(gdb.ask("vCont") == "");
    for (const char* wrong : {"vCont;x", "vCont;s:9", "vCont;"}) CHECK(gdb.ask(wrong) == "E01");
}

TEST_CASE("Each way to stop has its reply") {
    using Why = StopReport::Why;
    const std::pair<StopReport, const char*> replies[] = {
        {{Why::Breakpoint, 0, BreakKind::Software, 0, 0}, "T05thread:1;swbreak:;"},
        {{Why::Breakpoint, 0, BreakKind::Hardware, 0, 0}, "T05thread:1;hwbreak:;"},
        {{Why::Watchpoint, 1, BreakKind::Write, 0x1234, 0}, "T05thread:2;watch:1234;"},
        {{Why::Watchpoint, 0, BreakKind::Read, 0x1234, 0}, "T05thread:1;rwatch:1234;"},
        {{Why::Watchpoint, 0, BreakKind::Access, 0x1234, 0}, "T05thread:1;awatch:1234;"},
        {{Why::HistoryBegins, 0, BreakKind::Software, 0, 0}, "T05thread:1;replaylog:begin;"},
        {{Why::Exited, 0, BreakKind::Software, 0, 3}, "W03"},
        {{Why::Exited, 0, BreakKind::Software, 0, 12345}, "Wff"},
    };
    for (const auto& [stop, reply] : replies) {
        Conversation gdb;
        gdb.target.next = stop;
        CHECK(gdb.ask("bc") == "(nothing)");
        CHECK(Conversation::content(gdb.stub.run_slice()) == reply);
    }
}

TEST_CASE("Breakpoints of every kind reach the target with their address and length") {
    Conversation gdb;
    CHECK(gdb.ask("Z0,80200000,2") == "OK");
    CHECK(gdb.target.log.back() == "insert 0 2149580800 2");
    CHECK(gdb.ask("z4,10,8") == "OK");
    CHECK(gdb.target.log.back() == "remove 4 16 8");
    CHECK(gdb.ask("Z0,zz,2") == "E01");
    CHECK(gdb.ask("Z0,0") == "E01");
}

TEST_CASE("A monitor command's answer comes as console text before OK") {
    Conversation gdb;
    CHECK(gdb.stub.feed(frame("qRcmd," + to_hex(std::string("mode")))) == frame("O" + to_hex(std::string("mode"))) + frame("OK"));
    CHECK(gdb.ask("qRcmd,zz") == "E01");
}

TEST_CASE("Detaching is answered, killing is not, and nothing is heard after either") {
    Conversation detached, killed;
    CHECK(detached.ask("D") == "OK");
    CHECK(detached.stub.end() == GdbStub::End::Detached);
    CHECK(detached.ask("g") == "(nothing)");
    CHECK(killed.ask("k") == "(nothing)");
    CHECK(killed.stub.end() == GdbStub::End::Killed);
}
