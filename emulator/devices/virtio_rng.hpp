// The virtio entropy device (virtio 1.2, section 5.4): fills buffers with pseudo-random bytes.
// Known inaccuracies: the bytes follow from the seed, so that every run of a guest gets the same; they are no secret. A buffer gets at
// most 64 KiB, of which the used ring tells the driver.
#pragma once

#include "emulator/devices/virtio_mmio.hpp"

namespace trapeze {

class VirtioRng final : public VirtioMmio {
  public:
    static constexpr u64 kMaxRequestBytes = 64 << 10;

    explicit VirtioRng(u64 seed) : generator_(seed) {}
    const char* name() const override { return "virtio-rng"; }
    std::unique_ptr<Device> clone() const override { return std::make_unique<VirtioRng>(*this); }
    void state(StateArchive& archive) override;

  protected:
    u32 device_id() const override { return 4; }
    bool serve(unsigned queue, VirtioChain& chain) override;

  private:
    u64 next();

    u64 generator_; ///< goes on over a reset
};

} // namespace trapeze
