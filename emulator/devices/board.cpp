#include "emulator/devices/board.hpp"

#include "emulator/devices/finisher.hpp"
#include "emulator/devices/uart.hpp"
#include "emulator/devices/virtio_block.hpp"
#include "emulator/mem/ram.hpp"

namespace trapeze {

bool DmaMemory::read(u64 address, std::span<u8> out) const {
    return address >= base && out.size() <= size && address - base <= size - out.size() && ram.read(address - base + offset, out);
}
bool DmaMemory::write(u64 address, std::span<const u8> in) const {
    return address >= base && in.size() <= size && address - base <= size - in.size() && ram.write(address - base + offset, in);
}

Board::Board(unsigned harts) : clint(harts), plic(harts), harts_(harts) {
    attach(std::make_unique<Finisher>(), kFinisherBase, Finisher::kSize, 0);
    attach(std::make_unique<Uart>(), kUartBase, Uart::kSize, kUartIrq);
    for (unsigned i = 0; i < kVirtioSlots; ++i)
        attach(std::make_unique<VirtioBlock>(), kVirtioBase + i * kVirtioStride, VirtioBlock::kSize, kVirtioIrq + i);
}
Board::Board(const Board& other)
    : clint(other.clint), plic(other.plic), halt(other.halt), tohost(other.tohost), harts_(other.harts_) {
    for (const Attached& a : other.devices_) devices_.push_back({a.device->clone(), a.base, a.size, a.irq});
}
Board& Board::operator=(const Board& other) {
    if (this != &other) *this = Board(other);
    return *this;
}

Device& Board::attach(std::unique_ptr<Device> device, u64 base, u64 size, unsigned irq) {
    for (Attached& a : devices_)
        if (a.base == base) return *(a = {std::move(device), base, size, irq}).device;
    devices_.push_back({std::move(device), base, size, irq});
    return *devices_.back().device;
}

Device* Board::find(const std::string& name) {
    for (Attached& a : devices_)
        if (name == a.device->name()) return a.device.get();
    return nullptr;
}
const Device* Board::find(const std::string& name) const { return const_cast<Board*>(this)->find(name); }

Board::Attached* Board::at(u64 address, unsigned size) {
    for (Attached& a : devices_)
        if (address - a.base < a.size && size <= a.size - (address - a.base)) return &a;
    return nullptr;
}

bool Board::read(u64 address, unsigned size, u64& value, DeviceContext& context) {
    if (address - kClintBase < Clint::kSize) return value = clint.read(address - kClintBase, size, context.ticks), true;
    if (address - kPlicBase < Plic::kSize) {
        lines(0, context.ticks); // levels first: a claim must see what is asserted now
        return value = plic.read(address - kPlicBase, size), true;
    }
    Attached* a = at(address, size);
    if (a) value = a->device->read(address - a->base, size, context);
    return a != nullptr;
}

bool Board::write(u64 address, unsigned size, u64 value, DeviceContext& context) {
    if (address - kClintBase < Clint::kSize) return clint.write(address - kClintBase, size, value), true;
    if (address - kPlicBase < Plic::kSize) return plic.write(address - kPlicBase, size, value), true;
    Attached* a = at(address, size);
    if (!a) return false;
    a->device->write(address - a->base, size, value, context);
    if (const auto request = a->device->halt_request(); request && !halt) halt = request;
    return true;
}

u64 Board::lines(unsigned hart, u64 ticks) {
    for (const Attached& a : devices_)
        if (a.irq) plic.set_level(a.irq, a.device->irq(), a.device->irq_raises());
    u64 lines = 0;
    if (clint.msip(hart)) lines |= irq_bit(Irq::Msi);
    if (ticks >= clint.mtimecmp(hart)) lines |= irq_bit(Irq::Mti);
    if (plic.asserted(2 * hart)) lines |= irq_bit(Irq::Mei);
    if (plic.asserted(2 * hart + 1)) lines |= irq_bit(Irq::Sei);
    return lines;
}

u64 Board::next_tick(unsigned hart) const { return clint.mtimecmp(hart); }

void Board::type(std::string_view text) {
    if (Device* uart = find("uart")) uart->type(text);
}

std::string Board::take_output() {
    std::string all;
    for (Attached& a : devices_) all += a.device->take_output();
    return all;
}

void Board::print(std::string_view text) {
    if (Device* uart = find("uart")) uart->print(text);
}

std::string Board::take_typed(std::size_t most) {
    Device* uart = find("uart");
    return uart ? uart->take_typed(most) : std::string();
}

void Board::reset() {
    clint.reset();
    plic.reset();
    for (Attached& a : devices_) a.device->reset();
    halt.reset();
}

void Board::state(StateArchive& a) {
    clint.state(a);
    plic.state(a);
    for (Attached& attached : devices_) attached.device->state(a);
    Halt h = halt.value_or(Halt{});
    bool halted = halt.has_value();
    a(halted), a(h.code), a(h.reset);
    if (a.loading()) halt = halted ? std::optional(h) : std::nullopt;
}

std::vector<Board::Window> Board::windows() const {
    std::vector<Window> all{{"clint", kClintBase, Clint::kSize, 0}, {"plic", kPlicBase, Plic::kSize, 0}};
    for (const Attached& a : devices_) all.push_back({a.device->name(), a.base, a.size, a.irq});
    return all;
}

} // namespace trapeze
