// Windows of the CLINT and the PLIC are tried first; everything else is attached.
#include "emulator/devices/board.hpp"
#include "emulator/devices/finisher.hpp"
#include "emulator/devices/rtc.hpp"
#include "emulator/devices/uart.hpp"
#include "emulator/devices/virtio_blk.hpp"
#include "emulator/devices/virtio_console.hpp"
#include "emulator/devices/virtio_net.hpp"
#include "emulator/devices/virtio_rng.hpp"
#include "emulator/mem/ram.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace trapeze {

namespace {
bool inside(u64 address, unsigned size, u64 base, u64 bytes) { return address - base < bytes && size <= bytes - (address - base); }

/// As QEMU numbers them.
MacAddress card_address(unsigned index) { return {0x52, 0x54, 0x00, 0x12, 0x34, static_cast<u8>(0x56 + index)}; }

std::vector<Board::Attached> clone_devices(const std::vector<Board::Attached>& devices) {
    std::vector<Board::Attached> copies;
    copies.reserve(devices.size());
    for (const auto& d : devices) copies.push_back({d.device->clone(), d.base, d.size, d.irq, d.port});
    return copies;
}
} // namespace

u64 disk_bytes(const BoardConfig& config) {
    u64 bytes = 0;
    for (const DiskConfig& disk : config.disks) bytes += disk.image ? disk.image->size() : 0;
    return bytes;
}

Result<void> check_board(const BoardConfig& config) {
    for (const DiskConfig& disk : config.disks)
        if (!disk.image || disk.image->empty() || disk.image->size() % VirtioBlk::kSectorBytes)
            return Error{fmt::format("a disk of {} bytes cannot be had; fill its image up to a multiple of {} bytes", disk.image ? disk.image->size() : 0,
                                     VirtioBlk::kSectorBytes)};
    if (config.network_cards > kVirtioSlots)
        return Error{fmt::format("{} network cards do not fit the board; it has {} slots", config.network_cards, kVirtioSlots)};
    const std::size_t devices = config.disks.size() + config.network_cards + config.rng + config.console;
    if (devices > kVirtioSlots) return Error{fmt::format("{} virtio devices do not fit the board; it has {} slots", devices, kVirtioSlots)};
    return {};
}

bool DmaMemory::read(u64 address, std::span<u8> out) const {
    if (address < base || address - base > size || out.size() > size - (address - base)) return false;
    return ram.read(address - base + offset, out);
}

bool DmaMemory::write(u64 address, std::span<const u8> in) const {
    if (address < base || address - base > size || in.size() > size - (address - base)) return false;
    for (u64 at = address - base; guard && !in.empty() && at >> kPageShift <= (address - base + in.size() - 1) >> kPageShift; at += kPageSize) {
        u8 kind = 0;
        if (!ram.read(guard + (at >> kPageShift), kind) || kind & kReadOnly) return false;
    }
    return ram.write(address - base + offset, in);
}

Board::Board(unsigned harts, const BoardConfig& config)
    : clint(std::min(harts, kMaxHarts)), plic(std::min(harts, kMaxHarts)), harts_(std::min(harts, kMaxHarts)) {
    attach(std::make_unique<Finisher>(), kFinisherBase, Finisher::kSize, 0);
    attach(std::make_unique<Rtc>(), kRtcBase, Rtc::kSize, kRtcIrq);
    attach(std::make_unique<Uart>(), kUartBase, Uart::kSize, kUartIrq);
    unsigned slot = 0;
    const auto plug = [&](std::unique_ptr<Device> device) {
        attach(std::move(device), kVirtioBase + slot * kVirtioStride, VirtioMmio::kSize, kVirtioIrq + slot);
        ++slot;
    };
    for (const DiskConfig& disk : config.disks) plug(std::make_unique<VirtioBlk>(disk));
    for (unsigned i = 0; i < config.network_cards; ++i) plug(std::make_unique<VirtioNet>(card_address(i)));
    if (config.rng) plug(std::make_unique<VirtioRng>(config.rng_seed));
    if (config.console) plug(std::make_unique<VirtioConsole>());
    network.capture(config.capture);
    while (slot < kVirtioSlots) plug(std::make_unique<VirtioEmpty>());
}

Board::Board(const Board& other)
    : clint(other.clint), plic(other.plic), network(other.network), halt(other.halt), tohost(other.tohost), harts_(other.harts_),
      devices_(clone_devices(other.devices_)), next_due_(other.next_due_) {}

Board& Board::operator=(const Board& other) {
    if (this != &other) *this = Board(other);
    return *this;
}

Device& Board::attach(std::unique_ptr<Device> device, u64 base, u64 size, unsigned irq) {
    may_have_changed();
    const unsigned port = device->network_port() ? network.plug() : 0;
    const auto same = std::find_if(devices_.begin(), devices_.end(), [&](const Attached& d) { return d.base == base; });
    if (same != devices_.end()) {
        *same = {std::move(device), base, size, irq, port};
        return *same->device;
    }
    devices_.push_back({std::move(device), base, size, irq, port});
    return *devices_.back().device;
}

const Device* Board::find(const std::string& name) const {
    for (const auto& d : devices_)
        if (name == d.device->name()) return d.device.get();
    return nullptr;
}

Device* Board::find(const std::string& name) {
    may_have_changed(); // by whoever asks
    return const_cast<Device*>(std::as_const(*this).find(name));
}

Board::Attached* Board::at(u64 address, unsigned size) {
    for (auto& d : devices_)
        if (inside(address, size, d.base, d.size)) return &d;
    return nullptr;
}

bool Board::read(u64 address, unsigned size, u64& value, DeviceContext& context) {
    if (inside(address, size, kClintBase, Clint::kSize)) {
        value = clint.read(address - kClintBase, size, context.ticks);
    } else if (inside(address, size, kPlicBase, Plic::kSize)) {
        poll(context);
        lines(0, context.ticks); // the PLIC sees its sources as they are now
        value = plic.read(address - kPlicBase, size);
        lines_known_ = false; // it may have been a claim
    } else if (Attached* d = at(address, size)) {
        value = d->device->read(address - d->base, size, context);
        lines_known_ = false;
    } else {
        return false;
    }
    return true;
}

bool Board::write(u64 address, unsigned size, u64 value, DeviceContext& context) {
    if (inside(address, size, kClintBase, Clint::kSize)) {
        clint.write(address - kClintBase, size, value);
    } else if (inside(address, size, kPlicBase, Plic::kSize)) {
        plic.write(address - kPlicBase, size, value);
        lines_known_ = false;
    } else if (Attached* d = at(address, size)) {
        d->device->write(address - d->base, size, value, context);
        lines_known_ = false;
        if (!halt) halt = d->device->halt_request();
        if (d->port)
            for (Frame& frame : d->device->network_port()->take_sent()) network.send(d->port, std::move(frame), context.ticks);
        next_due_ = std::min({next_due_, d->device->due(), network.due()});
    } else {
        return false;
    }
    return true;
}

void Board::poll(DeviceContext& context) {
    if (context.ticks < next_due_) return;
    lines_known_ = false;
    while (const auto delivery = network.take(context.ticks)) deliver(*delivery);
    for (auto& d : devices_)
        if (d.device->due() <= context.ticks) d.device->advance(context);
    refresh_due();
}

void Board::deliver(const Network::Delivery& delivery) {
    for (auto& d : devices_)
        if (d.port && std::count(delivery.ports.begin(), delivery.ports.end(), d.port)) d.device->network_port()->receive(delivery.frame);
}

void Board::refresh_due() {
    next_due_ = network.due();
    for (const auto& d : devices_) next_due_ = std::min(next_due_, d.device->due());
}

void Board::look_at_lines() {
    for (const auto& d : devices_)
        if (d.irq) plic.set_line(d.irq, d.device->irq(), d.device->irq_raises(), d.device->irq_trigger());
    for (unsigned hart = 0; hart < harts_; ++hart)
        external_[hart] = (plic.asserted(2 * hart) ? irq_bit(Irq::Mei) : 0) | (plic.asserted(2 * hart + 1) ? irq_bit(Irq::Sei) : 0);
    lines_known_ = true;
}

u64 Board::lines(unsigned hart, u64 ticks) {
    if (hart >= harts_) return 0;
    if (!lines_known_) look_at_lines();
    u64 pending = external_[hart];
    if (clint.msip(hart)) pending |= irq_bit(Irq::Msi);
    if (ticks >= clint.mtimecmp(hart)) pending |= irq_bit(Irq::Mti);
    return pending;
}

u64 Board::next_tick(unsigned hart) const { return hart < harts_ ? clint.mtimecmp(hart) : ~u64{0}; }

void Board::type(std::string_view text) {
    may_have_changed();
    for (auto d = devices_.rbegin(); d != devices_.rend(); ++d)
        if (d->device->listens()) return d->device->type(text);
}

std::string Board::take_output() {
    std::string text;
    for (auto& d : devices_) text += d.device->take_output();
    return text;
}

void Board::print(std::string_view text) {
    if (Device* console = find("uart")) console->print(text);
}

std::string Board::take_typed(std::size_t most) {
    Device* console = find("uart");
    return console ? console->take_typed(most) : std::string();
}

void Board::reset() {
    clint.reset();
    plic.reset();
    network.reset();
    for (auto& d : devices_) d.device->reset();
    halt.reset();
    may_have_changed();
}

void Board::state(StateArchive& archive) {
    clint.state(archive);
    plic.state(archive);
    network.state(archive);
    u8 flags = static_cast<u8>((halt ? 1 : 0) | (halt && halt->reset ? 2 : 0) | (tohost ? 4 : 0));
    u32 code = halt ? halt->code : 0;
    u64 address = tohost.value_or(0);
    archive(flags), archive(code), archive(address);
    if (archive.loading()) {
        halt = flags & 1 ? std::optional(Halt{code, (flags & 2) != 0}) : std::nullopt;
        tohost = flags & 4 ? std::optional(address) : std::nullopt;
    }
    for (auto& d : devices_) d.device->state(archive);
    may_have_changed();
}

std::vector<Board::Window> Board::windows() const {
    std::vector<Window> all = {{"clint", kClintBase, Clint::kSize, 0}, {"plic", kPlicBase, Plic::kSize, 0}};
    for (const auto& d : devices_) all.push_back({d.device->name(), d.base, d.size, d.irq});
    return all;
}

} // namespace trapeze
