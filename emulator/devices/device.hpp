// What a device is: it knows offsets, not addresses; Board::attach gives it its place, its interrupt and its device-tree node.
#pragma once

#include "emulator/base/archive.hpp"
#include "emulator/base/types.hpp"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trapeze {

class NetworkPort;
class Ram;

/// A device's window on guest memory for DMA: bus addresses, checked on each access.
struct DmaMemory {
    static constexpr u8 kReadOnly = 0x80;
    Ram& ram;
    u64 base;   ///< bus address of the first byte
    u64 offset; ///< its offset in `ram`
    u64 size;   ///< bytes
    u64 guard = 0; ///< RAM offset of a byte for each page; one with kReadOnly may not be written. 0: all may
    /// False, with nothing done, when the range is not all inside the memory.
    bool read(u64 address, std::span<u8> out) const;
    bool write(u64 address, std::span<const u8> in) const;
};

/// What a register access may use besides the device's own state.
struct DeviceContext {
    DmaMemory memory;
    u64 ticks; ///< mtime: ticks of kTimebaseHz
};

/// A property of a device-tree node: cells (32-bit big-endian words), or strings.
struct DeviceTreeProperty {
    std::string name;
    std::vector<u32> cells;
    std::vector<std::string> strings;
};

/// The machine was asked to switch off (test finisher, HTIF tohost or SBI SRST).
struct Halt {
    u32 code = 0;       ///< 0 for success; the program's own code otherwise
    bool reset = false; ///< a reboot was asked for
    bool operator==(const Halt&) const = default;
};

/// How the PLIC's gateway of a source sees its line (PLIC specification 1.0, chapter 3).
enum class IrqTrigger : u8 { Level, Edge };

class Device {
  public:
    virtual ~Device() = default;
    virtual const char* name() const = 0;
    /// Generic name of its device-tree node: the part before the @.
    virtual const char* node_name() const = 0;
    virtual std::unique_ptr<Device> clone() const = 0;
    virtual void reset() = 0;
    /// Register access. Range: offset + size within the device's window, size 1, 2, 4 or 8. Total: a wrong access reads 0 or is ignored.
    virtual u64 read(u64 offset, unsigned size, DeviceContext& context) = 0;
    virtual void write(u64 offset, unsigned size, u64 value, DeviceContext& context) = 0;
    /// Level of the interrupt line.
    virtual bool irq() const { return false; }
    /// How often the device has raised its line, also while it was high already.
    virtual u32 irq_raises() const { return 0; }
    /// What its source's gateway in the PLIC makes a request of: the line's level, or each raise.
    virtual IrqTrigger irq_trigger() const { return IrqTrigger::Level; }
    /// Tick of mtime at which it acts by itself; ~0: never. The board calls `advance` then, and again while the answer lies in the past.
    virtual u64 due() const { return ~u64{0}; }
    virtual void advance(DeviceContext&) {}
    /// Set once a register write has asked to switch the machine off.
    virtual std::optional<Halt> halt_request() const { return std::nullopt; }
    /// For network cards: the plug; null for others.
    virtual NetworkPort* network_port() { return nullptr; }
    /// True for a console that the guest reads; of several the board's last one gets what is typed.
    virtual bool listens() const { return false; }
    /// For console devices: bytes typed by the user go in; printed bytes come out, each once. Both are bounded.
    virtual void type(std::string_view) {}
    virtual std::string take_output() { return {}; }
    /// The other side of a console, for firmware: prints as if the guest had, and takes at most `most` typed bytes.
    virtual void print(std::string_view) {}
    virtual std::string take_typed([[maybe_unused]] std::size_t most) { return {}; }
    virtual void state(StateArchive& archive) = 0;
    /// `compatible` and further properties of its device-tree node; reg and interrupts are the board's.
    virtual std::vector<DeviceTreeProperty> device_tree() const = 0;
};

} // namespace trapeze
