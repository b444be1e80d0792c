// Known inaccuracy: of HTIF only "exit" and the console's "write a character" exist; the proxied system calls do not.
#include "emulator/mem/bus.hpp"

namespace trapeze {

namespace {
/// A store to HTIF's tohost. Odd values switch the machine off; 0x0101 in the top half-word prints a character.
void htif_store(Bus& bus, unsigned bytes, u64 value) {
    if (bytes == 8 && value >> 48 == 0x0101) {
        const char c = static_cast<char>(value);
        bus.board.print({&c, 1});
        bus.ram.write_value(bus.ram_offset(*bus.board.tohost), u64{0}); // consumed
        return;
    }
    const u32 low = static_cast<u32>(value);
    if ((low & 1) && !bus.board.halt) bus.board.halt = Halt{low >> 1, false};
}
} // namespace

bool Bus::read(u64 address, unsigned bytes, u64& value, u64 cycles) {
    if (in_ram(address, bytes)) {
        value = 0;
        return ram.read(ram_offset(address), std::span(reinterpret_cast<u8*>(&value), bytes));
    }
    DeviceContext context = device_context(cycles);
    return board.read(address, bytes, value, context);
}

bool Bus::write(u64 address, unsigned bytes, u64 value, u64 cycles) {
    if (in_ram(address, bytes)) {
        const bool ok = ram.write(ram_offset(address), std::span(reinterpret_cast<const u8*>(&value), bytes));
        if (ok && board.tohost == address && bytes >= 4) htif_store(*this, bytes, value);
        return ok;
    }
    DeviceContext context = device_context(cycles);
    return board.write(address, bytes, value, context);
}

} // namespace trapeze
