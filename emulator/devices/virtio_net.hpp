// The virtio network card (virtio 1.2, section 5.1), plugged into the board's network: queue 0 receives, queue 1 transmits.
// Known inaccuracies: no offloads, no merged buffers, no control queue. A frame over 1518 bytes, or for a buffer that is too small,
// is dropped, and so is what arrives while 256 frames wait for buffers.
#pragma once

#include "emulator/devices/network.hpp"
#include "emulator/devices/virtio_mmio.hpp"

namespace trapeze {

class VirtioNet final : public VirtioMmio, public NetworkPort {
  public:
    static constexpr std::size_t kMaxWaiting = 256;

    explicit VirtioNet(const MacAddress& mac) : mac_(mac) {}
    const char* name() const override { return "virtio-net"; }
    std::unique_ptr<Device> clone() const override { return std::make_unique<VirtioNet>(*this); }
    void reset() override; ///< what waits to be received is lost
    NetworkPort* network_port() override { return this; }
    std::vector<Frame> take_sent() override { return std::exchange(sent_, {}); }
    void receive(Frame frame) override;
    void state(StateArchive& archive) override;

    u64 dropped() const { return dropped_; }

  protected:
    u32 device_id() const override { return 1; }
    u64 features() const override;
    unsigned queues() const override { return 2; }
    u8 config_byte(u64 offset) const override;
    bool ready(unsigned queue) const override { return queue == kTransmit || !waiting_.empty(); }
    bool serve(unsigned queue, VirtioChain& chain) override;

  private:
    static constexpr unsigned kTransmit = 1;
    u64 header_bytes() const; ///< of struct virtio_net_hdr
    bool transmit(VirtioChain& chain);
    bool give(VirtioChain& chain);

    MacAddress mac_;
    std::deque<Frame> waiting_; ///< received, for buffers that the driver gives
    std::vector<Frame> sent_;   ///< until the board takes them, at the end of the register access
    u64 dropped_ = 0;
};

} // namespace trapeze
