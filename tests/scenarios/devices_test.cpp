// Devices as they are typed, and the files of disks: what is written, what is not, and what happens when that fails.
#include "emulator/replace_file.hpp"
#include "scenarios/disk_file.hpp"
#include "scenarios/session.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sys/resource.h>
#include <unistd.h>

using namespace trapeze;
using namespace trapeze::scenarios;
namespace fs = std::filesystem;

namespace {

DeviceSpec parsed(DeviceOptions options) {
    auto spec = parse_devices(options);
    REQUIRE_MESSAGE(spec, spec.error());
    return *spec;
}
std::string refused(DeviceOptions options) {
    const auto spec = parse_devices(options);
    REQUIRE_FALSE(spec);
    return spec.error();
}
DeviceOptions drive(const std::string& text) {
    DeviceOptions options;
    options.drives = {text};
    return options;
}
DeviceOptions device(const std::string& text) {
    DeviceOptions options;
    options.devices = {text};
    return options;
}

/// A folder of its own for a test, and a disk of eight sectors in it.
struct Folder {
    fs::path path = fs::temp_directory_path() / ("trapeze-disk-test-" + std::to_string(getpid()));
    Folder() {
        fs::remove_all(path);
        fs::create_directories(path);
        std::ofstream(image()) << std::string(4096, 'o');
    }
    ~Folder() { fs::remove_all(path); }
    std::string image() const { return (path / "disk.img").string(); }
    static std::string contents(const fs::path& file) {
        std::ifstream in(file, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
};

/// A disk that the guest has written sectors 1 and 2 and 5 of.
struct Written {
    Ram ram{16 * kPageSize};
    DeviceContext context{{ram, 0, 0, ram.size()}, 0};
    VirtioBlk disk;
    u16 available = 0;

    explicit Written(const DiskConfig& config) : disk(config) {
        for (const auto& [reg, value] : {std::pair<u64, u64>{0x70, 11}, {0x38, 8}, {0x80, 0}, {0x90, 0x1000}, {0xa0, 0x2000}, {0x44, 1}, {0x70, 15}})
            disk.write(reg, 4, value, context);
        ram.fill(0x4000, 1024, 'n');
        request(1, 1, 1024), request(1, 5, 512);
    }
    void request(u32 type, u64 sector, u32 bytes) { REQUIRE(answer(type, sector, bytes) == 0); }
    /// The device's status for a request; `flags` of its data's descriptor: 2 where the device writes it.
    u8 answer(u32 type, u64 sector, u32 bytes, u16 flags = 0) {
        ram.write_value(0x3000, type), ram.write_value(0x3008, sector);
        descriptor(0, 0x3000, 16, 1), descriptor(1, 0x4000, bytes, 1 | flags), descriptor(2, 0x5000, 1, 2);
        ram.write_value(0x1004 + 2 * (available % 8), u16{0});
        ram.write_value(0x1002, ++available);
        disk.write(0x50, 4, 0, context);
        u8 status = 9;
        ram.read(0x5000, status);
        return status;
    }
    void descriptor(u64 index, u64 address, u32 bytes, u16 flags) {
        ram.write_value(16 * index, address), ram.write_value(16 * index + 8, bytes), ram.write_value(16 * index + 12, flags);
        ram.write_value(16 * index + 14, static_cast<u16>(index + 1));
    }
};

const std::string kAfter = std::string(512, 'o') + std::string(1024, 'n') + std::string(1024, 'o') + std::string(512, 'n') + std::string(1024, 'o');

DiskFile opened(const Folder& folder, DiskMode mode = DiskMode::WriteThrough) {
    auto file = DiskFile::open({folder.image(), mode});
    REQUIRE_MESSAGE(file, file.error());
    return std::move(*file);
}
} // namespace

TEST_CASE("--drive: a file alone stays as it is, QEMU's form is written unless it says otherwise") {
    CHECK(parsed(drive("a.img")).drives[0].file == "a.img");
    CHECK(parsed(drive("a.img")).drives[0].mode == DiskMode::CopyOnWrite);
    CHECK(parsed(drive("a.img,readonly=on")).drives[0].mode == DiskMode::ReadOnly);
    CHECK(parsed(drive("a.img,format=raw,cow=off")).drives[0].mode == DiskMode::WriteThrough);
    CHECK(parsed(drive("file=a.img,format=raw")).drives[0].mode == DiskMode::WriteThrough);
    CHECK(parsed(drive("file=a.img,cow=on")).drives[0].mode == DiskMode::CopyOnWrite);
    CHECK(parsed(drive("file=a.img,snapshot=on,if=virtio,cache=none")).drives[0].mode == DiskMode::CopyOnWrite);
    CHECK(parsed(drive("file=a.img,readonly=on")).drives[0].mode == DiskMode::ReadOnly);
    CHECK(parsed(drive("file=a,,b=c.img,serial=s1")).drives[0].file == "a,b=c.img");
    CHECK(parsed(drive("file=a,,b=c.img,serial=s1")).drives[0].serial == "s1");
}

TEST_CASE("--drive with --device: drives stand in the order in which they are attached") {
    DeviceOptions options;
    options.drives = {"file=late.img,format=raw,if=none,id=x", "first.img", "file=later.img,if=none,id=y"};
    options.devices = {"virtio-blk-device,drive=y", "virtio-net-device,netdev=n", "virtio-blk-device,drive=x,bus=virtio-mmio-bus.0", "virtio-rng-device",
                       "virtio-serial-device", "virtconsole"};
    options.netdevs = {"user,id=n"};
    options.objects = {"rng-random,filename=/dev/urandom,id=r"};
    const DeviceSpec spec = parsed(options);
    REQUIRE(spec.drives.size() == 3);
    CHECK(spec.drives[0].file == "first.img");
    CHECK(spec.drives[1].file == "later.img");
    CHECK(spec.drives[2].file == "late.img");
    CHECK(spec.network_cards == 1);
    CHECK(spec.rng);
    CHECK(spec.console);
}

TEST_CASE("--drive, --device, --netdev: what cannot be had is refused with what can") {
    CHECK(refused(drive("a.qcow2,format=qcow2")).find("qemu-img convert -O raw a.qcow2") != std::string::npos);
    CHECK(refused(drive("a.img,if=ide")).find("if=virtio") != std::string::npos);
    CHECK(refused(drive("a.img,colour=red")).find("\"colour\"") != std::string::npos);
    CHECK(refused(drive("a.img,readonly")).find("readonly") != std::string::npos);
    CHECK(refused(drive("a.img,readonly=maybe")).find("neither on nor off") != std::string::npos);
    CHECK(refused(drive("")).find("no file") != std::string::npos);
    CHECK(refused(drive("format=raw")).find("file=IMAGE") != std::string::npos);
    CHECK(refused(drive("file=a.img,if=none,id=x")).find("--device virtio-blk-device,drive=x") != std::string::npos);
    CHECK(refused(device("virtio-blk-device,drive=z")).find("no drive \"z\"") != std::string::npos);
    CHECK(refused(device("virtio-net-device,netdev=q")).find("no network \"q\"") != std::string::npos);
    CHECK(refused(device("e1000")).find("virtio-net-device") != std::string::npos);
    DeviceOptions options;
    options.netdevs = {"tap,id=t"};
    CHECK(refused(options).find("user,id=ID") != std::string::npos);
}

TEST_CASE("A disk that is written through brings its sectors into the file, and only those") {
    Folder folder;
    DiskFile file = opened(folder);
    Written guest(file.config());
    CHECK(Folder::contents(folder.image()) == std::string(4096, 'o'));
    std::fstream other(folder.image(), std::ios::in | std::ios::out); // a sector that the guest did not write
    other.seekp(7 * 512).put('!').flush();
    REQUIRE(file.write_back(guest.disk));
    CHECK_FALSE(guest.disk.dirty());
    std::string expected = kAfter;
    expected[7 * 512] = '!';
    CHECK(Folder::contents(folder.image()) == expected);
    guest.request(4, 0, 0); // a flush
    CHECK(file.write_back(guest.disk));
}

TEST_CASE("Disks that are copied on write or read-only leave their files alone") {
    Folder folder;
    DiskFile file = opened(folder, DiskMode::CopyOnWrite);
    Written guest(file.config());
    CHECK(file.write_back(guest.disk));
    CHECK(Folder::contents(folder.image()) == std::string(4096, 'o'));
    fs::permissions(folder.image(), fs::perms::owner_read);
    CHECK(DiskFile::open({folder.image(), DiskMode::ReadOnly}));
}

TEST_CASE("An image that vanished or shrank is not written to; what the guest wrote is tried again, or rescued") {
    Folder folder;
    DiskFile file = opened(folder);
    Written guest(file.config());
    SUBCASE("removed, then put back") {
        const fs::path kept = folder.path / "kept.img";
        fs::rename(folder.image(), kept);
        CHECK(file.write_back(guest.disk).error().find("removed or replaced") != std::string::npos);
        CHECK(guest.disk.dirty());
        CHECK(Folder::contents(kept) == std::string(4096, 'o'));
        fs::rename(kept, folder.image());
        CHECK(file.write_back(guest.disk));
        CHECK(Folder::contents(folder.image()) == kAfter);
    }
    SUBCASE("replaced") {
        fs::rename(folder.image(), folder.path / "old.img");
        std::ofstream(folder.image()) << std::string(4096, 'x');
        CHECK(file.write_back(guest.disk).error().find("replaced") != std::string::npos);
        CHECK(Folder::contents(folder.image()) == std::string(4096, 'x'));
    }
    SUBCASE("shrunk, then rescued beside what is there already") {
        fs::resize_file(folder.image(), 1024);
        std::ofstream(folder.image() + ".unsaved") << "mine";
        CHECK(file.write_back(guest.disk).error().find("shrunk from 4096 bytes to 1024") != std::string::npos);
        CHECK(fs::file_size(folder.image()) == 1024);
        const auto rescued = file.rescue(guest.disk);
        REQUIRE(rescued);
        CHECK(rescued.value() == folder.image() + ".unsaved-1");
        CHECK(Folder::contents(rescued.value()) == kAfter);
        CHECK(Folder::contents(folder.image() + ".unsaved") == "mine");
    }
}

TEST_CASE("A file that is always full is no image, and is not written to") {
    if (!fs::exists("/dev/full")) return;
    Folder folder;
    const std::string original = folder.image();
    fs::remove(original);
    fs::create_symlink("/dev/full", original); // reads as zeros without end
    CHECK_FALSE(DiskFile::open({original, DiskMode::CopyOnWrite}));
    fs::remove(original);
    CHECK(replace_file("/dev/full/x", {}).error().find("/dev/full/x") != std::string::npos);
}

TEST_CASE("A disk full on write-back: the sentence names the file and the mend, the guest gets I/O errors, and nothing is forgotten") {
    /// Files of this process may have so many bytes; the write beyond is refused, as on a full disk.
    struct FileSizeLimit {
        rlimit before{};
        explicit FileSizeLimit(u64 bytes) {
            getrlimit(RLIMIT_FSIZE, &before);
            set(bytes);
        }
        void set(u64 bytes) const {
            const rlimit now{static_cast<rlim_t>(bytes), before.rlim_max};
            REQUIRE(setrlimit(RLIMIT_FSIZE, &now) == 0);
        }
        ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &before); }
    };
    constexpr u8 kOk = 0, kIoError = 1;
    Folder folder;
    DiskFile file = opened(folder);
    Written guest(file.config()); // has written sectors 1, 2 and 5
    const FileSizeLimit limit(5 * 512);
    const auto full = file.write_back(guest.disk);
    REQUIRE_FALSE(full);
    CHECK(full.error().find(folder.image()) == 0);
    CHECK(full.error().find("sectors 5 to 5") != std::string::npos);
    CHECK(full.error().find("make room") != std::string::npos);
    std::string expected = kAfter;
    expected.replace(5 * 512, 512, 512, 'o');
    CHECK(Folder::contents(folder.image()) == expected); // what found room, and nothing of what did not

    CHECK(guest.answer(1, 6, 512) == kIoError); // a write
    CHECK(guest.answer(4, 0, 0) == kIoError);   // a flush
    CHECK(guest.answer(0, 5, 512, 2) == kOk);   // a read, of what it wrote
    CHECK(file.write_back(guest.disk).error() == full.error());
    CHECK(Folder::contents(folder.image()) == expected);

    limit.set(limit.before.rlim_cur);
    CHECK(file.write_back(guest.disk));
    CHECK(Folder::contents(folder.image()) == kAfter); // the refused write is not among it
    CHECK(guest.answer(1, 6, 512) == kOk);
    CHECK(guest.answer(4, 0, 0) == kOk);
}

TEST_CASE("One image is not written by two at a time") {
    Folder folder;
    DiskFile first = opened(folder);
    const auto second = DiskFile::open({folder.image(), DiskMode::WriteThrough});
    REQUIRE_FALSE(second);
    CHECK(second.error().find("another program") != std::string::npos);
    CHECK(DiskFile::open({folder.image(), DiskMode::CopyOnWrite}));
}

TEST_CASE("An image that is absent or not for writing is refused by name") {
    CHECK(DiskFile::open({"/nowhere/disk.img", DiskMode::CopyOnWrite}).error().find("/nowhere/disk.img") != std::string::npos);
    CHECK(DiskFile::open({"/nowhere/disk.img", DiskMode::WriteThrough}).error().find("/nowhere/disk.img") != std::string::npos);
}

TEST_CASE("A session that can go back treats disks that are written through as copied on write") {
    Folder folder;
    SessionConfig config;
    config.devices.drives = {{folder.image(), DiskMode::WriteThrough}};
    for (bool writes : {false, true})
        for (u64 every : {u64{0}, u64{1000}}) {
            config.write_disks = writes, config.checkpoint_every = every;
            std::vector<std::shared_ptr<DiskFile>> files;
            const auto board = open_devices(config, files);
            REQUIRE(board);
            CHECK((board.value().disks[0].mode == DiskMode::WriteThrough) == (writes && every == 0));
        }
}

TEST_CASE("Files are written whole or not at all") {
    Folder folder;
    const u8 bytes[] = {1, 2, 3};
    REQUIRE(replace_file((folder.path / "new").string(), bytes));
    REQUIRE(replace_file((folder.path / "new").string(), std::span(bytes).first(2)));
    CHECK(fs::file_size(folder.path / "new") == 2);
    const auto failed = replace_file((folder.path / "absent" / "new").string(), bytes);
    REQUIRE_FALSE(failed);
    CHECK(failed.error().find("cannot be written (No such file or directory)") != std::string::npos);
    CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 2); // no leftovers
    fs::create_symlink("new", folder.path / "link");
    REQUIRE(replace_file((folder.path / "link").string(), bytes));
    CHECK(fs::is_symlink(folder.path / "link"));
    CHECK(fs::file_size(folder.path / "new") == std::size(bytes));
    for (const char* special : {"/dev/zero", "/dev"}) CHECK(replace_file(special, bytes).error().find("not replaced") != std::string::npos);
    CHECK(fs::is_character_file("/dev/zero"));
}
