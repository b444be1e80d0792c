// What a hart sees of the physical world: RAM and the board's devices, assembled anew for each run (it holds only references).
// A VM's bus is the same type: its RAM is a window of the machine's RAM, its board the VM's virtual devices.
#pragma once

#include "emulator/devices/board.hpp"
#include "emulator/mem/ram.hpp"
#include "emulator/trace/trace.hpp"

namespace trapeze {

struct Bus {
    Ram& ram;
    Board& board;
    Trace& trace;
    u64 base = kRamBase;  ///< bus address of the first byte of RAM
    u64 offset = 0;       ///< its offset in `ram`
    u64 size = 0;         ///< bytes of RAM on this bus
    u8 trace_tag = 0;     ///< Event::tag of what happens on this bus
    u64 dma_guard = 0;    ///< DmaMemory::guard

    bool in_ram(u64 address, u64 bytes) const { return address - base < size && bytes <= size - (address - base); }
    u64 ram_offset(u64 address) const { return address - base + offset; }
    DeviceContext device_context(u64 cycles) { return {{ram, base, offset, size, dma_guard}, ticks_of(cycles)}; }
    /// One access of 1, 2, 4 or 8 bytes, anywhere. False: an access fault. `cycles` is the time of the access.
    bool read(u64 address, unsigned bytes, u64& value, u64 cycles);
    bool write(u64 address, unsigned bytes, u64 value, u64 cycles);
    /// Interrupt lines of a hart at its time, as bits of mip, after what the devices do by themselves until then.
    u64 lines(unsigned hart, u64 cycles) {
        DeviceContext context = device_context(cycles);
        board.poll(context);
        return board.lines(hart, context.ticks);
    }
    /// The page of this address holds HTIF's tohost: stores to it must come through `write`.
    bool watched_page(u64 address) const {
        return board.tohost && (address >> kPageShift) - (*board.tohost >> kPageShift) <= 1 &&
               (address >> kPageShift) <= ((*board.tohost + 7) >> kPageShift);
    }
};

} // namespace trapeze
