// virtio 1.2, section 5.4: the entropy device.
#include "emulator/devices/virtio_rng.hpp"
#include "tests/emulator/devices/virtio_driver.hpp"

using namespace trapeze;
using test::VirtioDriver;

TEST_CASE("5.4: buffers are filled with bytes that follow from the seed alone") {
    VirtioRng one(7), same(7), other(8);
    std::string bytes[3];
    VirtioRng* devices[] = {&one, &same, &other};
    for (int i = 0; i < 3; ++i) {
        VirtioDriver driver(*devices[i]);
        CHECK(driver.get(8) == 4);
        driver.start(1);
        driver.give(0, driver.buffer(0, 0), 61, VirtioDriver::kWrite);
        driver.give(0, driver.buffer(0, 1), 61, VirtioDriver::kWrite);
        CHECK(driver.used(0) == 2);
        CHECK(driver.used_bytes(0, 0) == 61);
        CHECK(devices[i]->irq());
        bytes[i] = driver.text(driver.buffer(0, 0), 61) + driver.text(driver.buffer(0, 1), 61);
        CHECK(driver.see<u8>(driver.buffer(0, 0) + 61) == 0); // not a byte more
        CHECK(bytes[i].substr(0, 61) != bytes[i].substr(61));
    }
    CHECK(bytes[0] == bytes[1]);
    CHECK(bytes[0] != bytes[2]);
}

TEST_CASE("5.4: the first bytes are SplitMix64's of its author's test, seed 1234567") {
    VirtioRng rng(1234567);
    VirtioDriver driver(rng);
    driver.start(1);
    driver.give(0, driver.buffer(0, 0), 24, VirtioDriver::kWrite);
    CHECK(driver.see<u64>(driver.buffer(0, 0)) == u64{6457827717110365317});
    CHECK(driver.see<u64>(driver.buffer(0, 0) + 8) == u64{3203168211198807973});
    CHECK(driver.see<u64>(driver.buffer(0, 0) + 16) == u64{9817491932198370423u});
}

TEST_CASE("5.4: a buffer to read is malformed, and a huge one gets a bounded part") {
    VirtioRng rng(1);
    VirtioDriver driver(rng);
    driver.start(1);
    driver.give(0, VirtioDriver::kBase, 64 * kPageSize, VirtioDriver::kWrite); // all memory, the ring included
    driver.start(1);
    driver.give(0, driver.buffer(0, 0), 100 << 10, VirtioDriver::kWrite);
    CHECK(driver.used_bytes(0, 0) == VirtioRng::kMaxRequestBytes);
    CHECK_FALSE(driver.needs_reset());
    driver.give(0, driver.buffer(0, 0), 8, 0);
    CHECK(driver.needs_reset());
}

TEST_CASE("5.4: its state goes through an archive, and a reset does not repeat its bytes") {
    VirtioRng rng(3), other(99);
    VirtioDriver driver(rng);
    driver.start(1);
    driver.give(0, driver.buffer(0, 0), 8, VirtioDriver::kWrite);
    const u64 first = driver.see<u64>(driver.buffer(0, 0));
    test::carry_over(rng, other);
    VirtioDriver second(other);
    second.start(1);
    second.give(0, second.buffer(0, 0), 8, VirtioDriver::kWrite);
    driver.start(1);
    driver.give(0, driver.buffer(0, 0), 8, VirtioDriver::kWrite);
    CHECK(driver.see<u64>(driver.buffer(0, 0)) != first);
    CHECK(second.see<u64>(second.buffer(0, 0)) == driver.see<u64>(driver.buffer(0, 0)));
}
