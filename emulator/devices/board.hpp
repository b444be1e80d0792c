// The board: QEMU virt's addresses and interrupt numbers. Holds every device; a VM's virtual board is the same type.
#pragma once

#include "emulator/cpu/trap.hpp"
#include "emulator/devices/board_config.hpp"
#include "emulator/devices/clint.hpp"
#include "emulator/devices/device.hpp"
#include "emulator/devices/network.hpp"
#include "emulator/devices/plic.hpp"

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace trapeze {

inline constexpr u64 kRamBase = 0x8000'0000;
inline constexpr u64 kTimebaseHz = 10'000'000;  ///< frequency of mtime, as QEMU virt's
inline constexpr u64 kCyclesPerTick = 10;       ///< cycles of a hart per tick of mtime: a 100 MHz machine
inline constexpr unsigned kMaxHarts = 8;
constexpr u64 ticks_of(u64 cycles) { return cycles / kCyclesPerTick; }

/// QEMU virt's memory map (hw/riscv/virt.c).
inline constexpr u64 kFinisherBase = 0x10'0000, kClintBase = 0x200'0000, kPlicBase = 0xc00'0000, kUartBase = 0x1000'0000,
                     kRtcBase = 0x10'1000, kVirtioBase = 0x1000'1000, kVirtioStride = 0x1000;
inline constexpr unsigned kUartIrq = 10, kRtcIrq = 11, kVirtioIrq = 1, kVirtioSlots = 8;

class Board {
  public:
    /// A board with the test finisher, the RTC, the UART and virtio slots that hold what the configuration names.
    /// Pre: check_board(config).
    explicit Board(unsigned harts, const BoardConfig& config = {});
    Board(const Board& other);
    Board& operator=(const Board& other);
    Board(Board&&) noexcept = default;
    Board& operator=(Board&&) noexcept = default;

    /// Adds a device: window [base, base + size), interrupt `irq` of the PLIC (0: none). It replaces a device that
    /// was attached at the same base (an empty virtio slot).
    Device& attach(std::unique_ptr<Device> device, u64 base, u64 size, unsigned irq);
    /// The device with this name, or null. Names: "uart", "finisher", "rtc", "virtio-blk", "virtio-net",
    /// "virtio-rng", "virtio-console".
    Device* find(const std::string& name);
    const Device* find(const std::string& name) const;

    /// Register access at a bus address outside RAM. False: nothing is there (an access fault).
    bool read(u64 address, unsigned size, u64& value, DeviceContext& context);
    bool write(u64 address, unsigned size, u64 value, DeviceContext& context);

    /// Lets the devices act that are due at the context's time. Whoever looks at `lines` calls it first.
    void poll(DeviceContext& context);
    /// Interrupt lines of a hart at a time, as bits of mip: MSIP, MTIP, MEIP, SEIP.
    u64 lines(unsigned hart, u64 ticks);
    /// Tick at which the next timer line of this hart rises; ~0: never.
    u64 next_tick(unsigned hart) const;
    /// First tick after `ticks` at which a device acts by itself and may so raise its line; ~0: none does.
    u64 next_event(u64 ticks) const { return next_due_ > ticks ? next_due_ : ~u64{0}; }

    /// Console: typed bytes go to the virtio console once the guest drives it, else to the UART; printed bytes of both come out, each once.
    void type(std::string_view text);
    std::string take_output();
    /// The firmware's side of the console, the UART: prints, and takes at most `most` typed bytes.
    void print(std::string_view text);
    std::string take_typed(std::size_t most);

    void reset();
    void state(StateArchive& archive);

    Clint clint;
    Plic plic;
    Network network; ///< its port 1 is the first network card's
    std::optional<Halt> halt;
    std::optional<u64> tohost; ///< bus address of HTIF's tohost, when the loaded ELF has one

    /// For the device tree and for people: where everything is.
    struct Window {
        std::string name;
        u64 base, size;
        unsigned irq;
    };
    std::vector<Window> windows() const;
    struct Attached {
        std::unique_ptr<Device> device;
        u64 base, size;
        unsigned irq;
        unsigned port = 0; ///< of the network; 0: not plugged in
    };
    const std::vector<Attached>& devices() const { return devices_; }

  private:
    Attached* at(u64 address, unsigned size);
    void refresh_due();
    void look_at_lines();
    void may_have_changed() { next_due_ = 0, lines_known_ = false; }
    void deliver(const Network::Delivery& delivery);

    unsigned harts_;
    std::vector<Attached> devices_;
    std::array<u64, kMaxHarts> external_{}; ///< MEIP and SEIP of each hart, while lines_known_
    bool lines_known_ = false; ///< no device and no register of the PLIC has changed since the lines were looked at
    u64 next_due_ = 0; ///< no device is due before; too small where one may have changed
};

} // namespace trapeze
