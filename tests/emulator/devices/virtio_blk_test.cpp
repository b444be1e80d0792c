// virtio 1.2: the mmio transport (4.2), split virtqueues (2.7) and the block device (5.2), driven as a driver would.
#include "emulator/devices/virtio_blk.hpp"
#include "emulator/mem/ram.hpp"

#include <doctest/doctest.h>

#include <numeric>

using namespace trapeze;

namespace {

constexpr u64 kBase = 0x8000'0000, kDescriptors = kBase + 0x1000, kAvailable = kBase + 0x2000, kUsed = kBase + 0x3000,
              kHeader = kBase + 0x4000, kStatus = kBase + 0x4100, kData = kBase + 0x5000, kTable = kBase + 0x4200;
constexpr u16 kNext = 1, kWrite = 2, kIndirect = 4;
constexpr u32 kQueue = 8;

std::vector<u8> numbered_disk(std::size_t sectors) {
    std::vector<u8> bytes(sectors * 512);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<u8>(i / 512 + i % 7);
    return bytes;
}

/// A driver of one queue with eight descriptors.
struct Driver {
    Ram ram{64 * kPageSize};
    DeviceContext context{{ram, kBase, 0, ram.size()}, 0};
    VirtioBlk disk{numbered_disk(16)};
    u16 available = 0;

    u32 get(u64 reg) { return static_cast<u32>(disk.read(reg, 4, context)); }
    void set(u64 reg, u64 value) { disk.write(reg, 4, value, context); }
    template <class T> void put(u64 address, T value) { REQUIRE(ram.write_value(address - kBase, value)); }
    template <class T> T see(u64 address) {
        T value{};
        REQUIRE(ram.read(address - kBase, value));
        return value;
    }
    void start(u64 descriptors = kDescriptors) {
        set(0x70, 0), set(0x70, 3);
        set(0x24, 1), set(0x20, 1); // VERSION_1
        set(0x24, 0), set(0x20, 1 << 28);
        set(0x70, 11);
        REQUIRE(get(0x70) == 11);
        set(0x30, 0), set(0x38, kQueue);
        set(0x80, descriptors), set(0x84, descriptors >> 32), set(0x90, kAvailable), set(0xa0, kUsed);
        set(0x44, 1), set(0x70, 15);
    }
    void descriptor(u64 table, unsigned index, u64 address, u32 bytes, u16 flags, u16 next = 0) {
        put(table + 16 * index, address), put(table + 16 * index + 8, bytes), put(table + 16 * index + 12, flags), put(table + 16 * index + 14, next);
    }
    void header(u32 type, u64 sector) { put(kHeader, type), put(kHeader + 4, u32{0}), put(kHeader + 8, sector), put(kStatus, u8{0xee}); }
    void submit(u16 head) {
        put(kAvailable + 4 + 2 * (available % kQueue), head);
        put(kAvailable + 2, ++available);
        set(0x50, 0);
    }
    /// Header, data and status, each in a descriptor of its own.
    void request(u32 type, u64 sector, u32 bytes) {
        header(type, sector);
        descriptor(kDescriptors, 0, kHeader, 16, kNext, 1);
        descriptor(kDescriptors, 1, kData, bytes, static_cast<u16>(kNext | (type == 1 ? 0 : kWrite)), 2);
        descriptor(kDescriptors, 2, kStatus, 1, kWrite);
        submit(0);
    }
    bool needs_reset() { return get(0x70) & 0x40; }
};
} // namespace

TEST_CASE("4.2.2: an empty slot answers with the magic value, version 2 and device 0") {
    Ram ram(kPageSize);
    DeviceContext context{{ram, kBase, 0, kPageSize}, 0};
    VirtioEmpty slot;
    CHECK(slot.read(0, 4, context) == 0x74726976);
    CHECK(slot.read(4, 4, context) == 2);
    CHECK(slot.read(8, 4, context) == 0);
    slot.write(0x70, 4, 1, context);
    CHECK(slot.read(0x70, 4, context) == 0);
}

TEST_CASE_FIXTURE(Driver, "4.2.2, 5.2.4: identity, capacity and features") {
    CHECK(get(8) == 2);
    CHECK(disk.read(0x100, 8, context) == 16);
    CHECK(disk.read(0x100, 1, context) == 16);
    CHECK(disk.read(0x114, 4, context) == 512);
    CHECK(disk.read(0xffc, 8, context) == 0);
    set(0x14, 1);
    CHECK((get(0x10) & 1) == 1); // VERSION_1
    set(0x14, 7);
    CHECK(get(0x10) == 0);
    CHECK(get(0x34) == VirtioMmio::kQueueSize);
    set(0x30, 1);
    CHECK(get(0x34) == 0); // no such queue
}

TEST_CASE_FIXTURE(Driver, "3.1.1: FEATURES_OK stays clear when the driver accepts what was not offered") {
    set(0x70, 3), set(0x24, 0), set(0x20, 0x8000'0000);
    set(0x70, 11);
    CHECK((get(0x70) & 8) == 0);
}

TEST_CASE_FIXTURE(Driver, "5.2.6: sectors are read") {
    start();
    request(0, 3, 1024);
    CHECK(see<u8>(kStatus) == 0);
    CHECK(see<u8>(kData) == numbered_disk(16)[3 * 512]);
    CHECK(see<u8>(kData + 1023) == numbered_disk(16)[5 * 512 - 1]);
    CHECK(see<u16>(kUsed + 2) == 1);
    CHECK(see<u32>(kUsed + 4) == 0);        // the head
    CHECK(see<u32>(kUsed + 8) == 1025);     // bytes written
    CHECK(disk.irq());
    CHECK(get(0x60) == 1);
    set(0x64, 1);
    CHECK_FALSE(disk.irq());
}

TEST_CASE_FIXTURE(Driver, "5.2.6: sectors are written, and a copy of the device keeps its own") {
    start();
    const auto before = disk.clone();
    for (u32 i = 0; i < 512; ++i) put(kData + i, static_cast<u8>(0xa0 + i));
    request(1, 9, 512);
    CHECK(see<u8>(kStatus) == 0);
    CHECK(see<u32>(kUsed + 8) == 1);
    CHECK(disk.image()[9 * 512] == 0xa0);
    CHECK(disk.image()[10 * 512] == numbered_disk(16)[10 * 512]);
    CHECK(disk.changed_pieces() == 1);
    CHECK(static_cast<VirtioBlk&>(*before).image() == numbered_disk(16));
    request(0, 9, 512);
    CHECK(see<u8>(kData + 1) == 0xa1);
}

TEST_CASE_FIXTURE(Driver, "5.2.6: requests outside the disk and odd lengths are I/O errors, unknown ones unsupported") {
    start();
    for (auto [type, sector, bytes] : {std::tuple{0u, u64{16}, 512u}, {1u, u64{15}, 1024u}, {0u, ~u64{0}, 512u}, {0u, u64{0}, 100u}}) {
        request(type, sector, bytes);
        CHECK(see<u8>(kStatus) == 1);
    }
    request(77, 0, 512);
    CHECK(see<u8>(kStatus) == 2);
    request(4, 0, 0);
    CHECK(see<u8>(kStatus) == 0); // flush
    request(8, 0, 20);
    CHECK(see<u8>(kStatus) == 0);
    CHECK(see<u8>(kData) == 't'); // its id
    CHECK_FALSE(needs_reset());
    CHECK(disk.image() == numbered_disk(16));
}

TEST_CASE_FIXTURE(Driver, "2.7.4: any split of a request into descriptors means the same") {
    start();
    header(0, 2);
    descriptor(kDescriptors, 5, kHeader, 3, kNext, 1);
    descriptor(kDescriptors, 1, kHeader + 3, 13, kNext, 4);
    descriptor(kDescriptors, 4, kData, 500, kNext | kWrite, 0);
    descriptor(kDescriptors, 0, kData + 500, 13, kWrite); // the last 12 bytes and the status
    submit(5);
    CHECK(see<u8>(kData + 511) == numbered_disk(16)[3 * 512 - 1]);
    CHECK(see<u8>(kData + 512) == 0);
    CHECK(see<u32>(kUsed + 4) == 5);
}

TEST_CASE_FIXTURE(Driver, "2.7.5.3: an indirect table holds a whole request") {
    start();
    header(0, 1);
    descriptor(kTable, 0, kHeader, 16, kNext, 2);
    descriptor(kTable, 2, kData, 512, kNext | kWrite, 1);
    descriptor(kTable, 1, kStatus, 1, kWrite);
    descriptor(kDescriptors, 6, kTable, 48, kIndirect);
    submit(6);
    CHECK(see<u8>(kStatus) == 0);
    CHECK(see<u8>(kData) == numbered_disk(16)[512]);
}

TEST_CASE_FIXTURE(Driver, "2.7.7: a driver that wants no interrupts gets none") {
    start();
    put(kAvailable, u16{1});
    request(0, 0, 512);
    CHECK(see<u16>(kUsed + 2) == 1);
    CHECK_FALSE(disk.irq());
}

TEST_CASE_FIXTURE(Driver, "2.1.2: what is malformed sets DEVICE_NEEDS_RESET, and the device rests until it is reset") {
    start();
    header(0, 0);
    SUBCASE("a cyclic chain") {
        descriptor(kDescriptors, 0, kHeader, 16, kNext, 1);
        descriptor(kDescriptors, 1, kHeader, 16, kNext, 0);
        submit(0);
    }
    SUBCASE("a head beyond the queue") { submit(kQueue); }
    SUBCASE("a next beyond the queue") {
        descriptor(kDescriptors, 0, kHeader, 16, kNext, 500);
        submit(0);
    }
    SUBCASE("a header outside memory") {
        descriptor(kDescriptors, 0, ~u64{0} - 4, 16, kNext, 1);
        descriptor(kDescriptors, 1, kStatus, 1, kWrite);
        submit(0);
    }
    SUBCASE("data outside memory") {
        descriptor(kDescriptors, 0, kHeader, 16, kNext, 1);
        descriptor(kDescriptors, 1, kBase + ram.size() - 256, 512, kNext | kWrite, 2);
        descriptor(kDescriptors, 2, kStatus, 1, kWrite);
        submit(0);
    }
    SUBCASE("nothing to write the status to") {
        descriptor(kDescriptors, 0, kHeader, 16, 0);
        submit(0);
    }
    SUBCASE("a buffer to read after one to write") {
        descriptor(kDescriptors, 0, kStatus, 1, kWrite | kNext, 1);
        descriptor(kDescriptors, 1, kHeader, 16, 0);
        submit(0);
    }
    SUBCASE("an indirect table in an indirect table") {
        descriptor(kTable, 0, kTable, 16, kIndirect);
        descriptor(kDescriptors, 0, kTable, 16, kIndirect);
        submit(0);
    }
    SUBCASE("an indirect table of odd length") {
        descriptor(kDescriptors, 0, kTable, 17, kIndirect);
        submit(0);
    }
    SUBCASE("an index that runs ahead") {
        put(kAvailable + 2, u16{kQueue + 1});
        set(0x50, 0);
    }
    SUBCASE("rings outside memory") {
        start(~u64{0xfff});
        submit(0);
    }
    CHECK(needs_reset());
    CHECK((get(0x60) & 2) == 2); // a configuration change tells the driver
    const u16 used = see<u16>(kUsed + 2);
    request(0, 0, 512);
    CHECK(see<u16>(kUsed + 2) == used);

    available = 0;
    put(kAvailable + 2, u16{0});
    start();
    CHECK_FALSE(needs_reset());
    put(kUsed + 2, u16{0});
    request(0, 0, 512);
    CHECK(see<u16>(kUsed + 2) == 1);
}

TEST_CASE_FIXTURE(Driver, "Lengths near 4 GiB cost nothing") {
    start();
    header(1, 0);
    descriptor(kDescriptors, 0, kHeader, 16, kNext, 1);
    for (u16 i = 1; i < 6; ++i) descriptor(kDescriptors, i, kData, 0xffff'fe00, kNext, static_cast<u16>(i + 1));
    descriptor(kDescriptors, 6, kStatus, 1, kWrite);
    submit(0);
    CHECK(see<u8>(kStatus) == 1);
    CHECK(disk.changed_pieces() == 0);
}

TEST_CASE_FIXTURE(Driver, "Its state goes through an archive, what was written included") {
    start();
    put(kData, u8{0x77});
    request(1, 0, 512);
    StateArchive saved;
    disk.state(saved);
    VirtioBlk other(numbered_disk(16));
    StateArchive load(saved.bytes());
    other.state(load);
    CHECK_FALSE(load.failed());
    CHECK(other.image() == disk.image());
    CHECK(other.irq());
    StateArchive cut(std::vector<u8>(saved.bytes().begin(), saved.bytes().end() - 1));
    other.state(cut);
    CHECK(cut.failed());
}

TEST_CASE("5.2.3, 5.2.6: a read-only disk says so and refuses to be written") {
    Driver d;
    d.disk = VirtioBlk(DiskConfig{disk_image(numbered_disk(16)), DiskMode::ReadOnly});
    d.set(0x14, 0);
    CHECK((d.get(0x10) & 1 << 5) != 0);
    d.start();
    d.request(1, 0, 512);
    CHECK(d.see<u8>(kStatus) == 1);
    CHECK(d.disk.image() == numbered_disk(16));
    d.request(0, 0, 512);
    CHECK(d.see<u8>(kStatus) == 0);
}

TEST_CASE("A disk that is written through lists its dirty sectors in runs until the host has taken them") {
    Driver d;
    d.disk = VirtioBlk(DiskConfig{disk_image(numbered_disk(16)), DiskMode::WriteThrough});
    d.start();
    CHECK_FALSE(d.disk.dirty());
    d.put(kData, u64{0x1122'3344});
    d.request(1, 7, 1024), d.request(1, 9, 512), d.request(1, 2, 512); // 7 and 8 lie in two pieces
    const auto first = d.disk.dirty_run();
    REQUIRE(first);
    CHECK(first->sector == 2);
    CHECK(first->count == 1);
    const auto second = d.disk.dirty_run(first->sector + first->count);
    REQUIRE(second);
    CHECK(second->sector == 7);
    CHECK(second->count == 3);
    CHECK(second->bytes.size() == 3 * 512);
    CHECK(second->bytes[0] == 0x44);
    CHECK(std::equal(second->bytes.begin(), second->bytes.end(), d.disk.image().begin() + 7 * 512));
    d.disk.clean(*second);
    CHECK(d.disk.dirty_run()->sector == 2);
    CHECK_FALSE(d.disk.dirty_run(3));
    d.disk.clean(*d.disk.dirty_run());
    CHECK_FALSE(d.disk.dirty());
    CHECK(d.disk.flushes() == 0);
    d.request(4, 0, 0);
    CHECK(d.disk.flushes() == 1);
    CHECK(d.disk.image()[2 * 512] == 0x44); // taken, not forgotten
}

TEST_CASE("A disk that is copied on write has nothing for the host") {
    Driver d;
    d.start();
    d.request(1, 0, 512);
    CHECK(d.disk.changed_pieces() == 1);
    CHECK_FALSE(d.disk.dirty());
}

TEST_CASE("What a snapshot brings into a disk that is written through is dirty") {
    Driver d;
    d.disk = VirtioBlk(DiskConfig{disk_image(numbered_disk(10)), DiskMode::WriteThrough});
    d.start();
    d.request(1, 9, 512);
    StateArchive saved;
    d.disk.state(saved);
    VirtioBlk other(DiskConfig{disk_image(numbered_disk(10)), DiskMode::WriteThrough});
    StateArchive load(saved.bytes());
    other.state(load);
    const auto run = other.dirty_run();
    REQUIRE(run);
    CHECK(run->sector == 8); // the whole piece of 4 KiB, which ends with the disk
    CHECK(run->count == 2);
}

TEST_CASE("5.2.6: a disk is called by its serial number, which is cut to 20 bytes") {
    Driver d;
    d.disk = VirtioBlk(DiskConfig{disk_image(numbered_disk(1)), DiskMode::CopyOnWrite, "0123456789abcdefghijklmn"});
    d.start();
    d.request(8, 0, 20);
    CHECK(d.see<u8>(kData + 19) == 'j');
    CHECK(d.see<u8>(kData + 20) == 0);
}
