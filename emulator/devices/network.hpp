// The network: a switch with ports, in this process and in the machine's time. A frame that is sent arrives after kLatencyTicks, in the
// order of sending; the switch learns which address is behind which port, and floods what it does not know. Port 0 is the gateway, a
// host that answers (gateway.hpp); the board's network cards are plugged into the others. Everything that passes can be captured.
// A value: frames are shared between copies, never changed.
// Known inaccuracies: no bandwidth, no collisions, no spanning tree; learnt addresses do not age.
#pragma once

#include "emulator/base/archive.hpp"

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace trapeze {

using Frame = std::shared_ptr<const std::vector<u8>>; ///< an Ethernet frame without its checksum
using MacAddress = std::array<u8, 6>;

/// What a device shows to have its board plug it into the network.
class NetworkPort {
  public:
    virtual ~NetworkPort() = default;
    /// Frames sent since the last call, in order.
    virtual std::vector<Frame> take_sent() = 0;
    /// A frame arrived. It may be dropped, as a card without buffers does.
    virtual void receive(Frame frame) = 0;
};

class Network {
  public:
    static constexpr u64 kLatencyTicks = 100; ///< of mtime: 10 microseconds
    static constexpr unsigned kGateway = 0, kMaxPorts = 9;
    static constexpr std::size_t kMinFrame = 14, kMaxFrame = 1518, kMaxInFlight = 1024, kMaxAddresses = 1024;
    static constexpr std::size_t kMaxCaptureBytes = 64 << 20;

    /// Takes the next port; which. 0: there is none left.
    unsigned plug() { return ports_ < kMaxPorts ? ports_++ : 0; }
    /// A frame enters the switch's cable at a port. What is no frame, or too much, is dropped and counted.
    void send(unsigned port, Frame frame, u64 ticks);
    /// Tick at which the next frame arrives; ~0: none is on its way.
    u64 due() const { return flying_.empty() ? ~u64{0} : flying_.front().arrives; }
    /// The next frame that has arrived by `ticks`, with the ports it leaves through; the gateway's answer is on its way then.
    struct Delivery {
        Frame frame;
        std::vector<unsigned> ports;
    };
    std::optional<Delivery> take(u64 ticks);

    /// What passed, oldest first, while capturing. Beyond kMaxCaptureBytes nothing more is kept, only counted.
    struct Captured {
        u64 ticks; ///< when it arrived
        unsigned port; ///< where it came from
        Frame frame;
    };
    void capture(bool on) { capturing_ = on; }
    const std::vector<Captured>& captured() const { return captured_; }
    u64 not_captured() const { return not_captured_; }
    unsigned ports() const { return ports_; }
    u64 dropped() const { return dropped_; }

    /// Nothing flies and no address is known. The capture stays.
    void reset();
    /// All but the capture, which is an observer's.
    void state(StateArchive& archive);

  private:
    struct Flying {
        u64 arrives;
        unsigned port;
        Frame frame;
    };
    void note(const Flying& passing);
    void ask_gateway(const Flying& passing);

    unsigned ports_ = 1;
    std::deque<Flying> flying_; ///< in order of arrival
    std::map<MacAddress, unsigned> addresses_;
    u64 dropped_ = 0;
    bool capturing_ = false;
    std::vector<Captured> captured_;
    std::size_t captured_bytes_ = 0;
    u64 not_captured_ = 0;
};

} // namespace trapeze
