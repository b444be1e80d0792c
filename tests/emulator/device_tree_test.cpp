// The device tree, checked by libfdt and, where it is installed, by dtc.
#include "emulator/loader.hpp"

#include <doctest/doctest.h>

extern "C" {
#include <libfdt.h>
}

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

using namespace trapeze;

namespace {
u32 cell(const void* fdt, const char* path, const char* property, unsigned index = 0) {
    int length = 0;
    const auto* data = static_cast<const u8*>(fdt_getprop(fdt, fdt_path_offset(fdt, path), property, &length));
    REQUIRE(data);
    REQUIRE(length >= static_cast<int>(4 * (index + 1)));
    return u32{data[4 * index]} << 24 | u32{data[4 * index + 1]} << 16 | u32{data[4 * index + 2]} << 8 | data[4 * index + 3];
}
std::string text(const void* fdt, const char* path, const char* property) {
    const auto* data = fdt_getprop(fdt, fdt_path_offset(fdt, path), property, nullptr);
    REQUIRE(data);
    return static_cast<const char*>(data);
}
} // namespace

TEST_CASE("The tree has the nodes and cells of QEMU's virt board") {
    const Board board(3);
    const auto blob = make_device_tree(board, 3, kRamBase, u64{5} << 30, "console=ttyS0 root=/dev/vda");
    const void* fdt = blob.data();
    REQUIRE(fdt_check_full(fdt, blob.size()) == 0);
    CHECK(cell(fdt, "/memory@80000000", "reg", 1) == 0x8000'0000);
    CHECK(cell(fdt, "/memory@80000000", "reg", 2) == 1); // 5 GiB
    CHECK(cell(fdt, "/memory@80000000", "reg", 3) == 0x4000'0000);
    CHECK(cell(fdt, "/cpus", "timebase-frequency") == kTimebaseHz);
    CHECK(text(fdt, "/cpus/cpu@2", "riscv,isa") ==
          "rv64imafdch_zicbom_zicbop_zicboz_zicntr_zicond_zicsr_zifencei_zihintpause_zihpm_zawrs_zfhmin_zba_zbb_zbc_zbs_smstateen_sstc_svadu_svinval_svnapot_svpbmt");
    CHECK(text(fdt, "/cpus/cpu@2", "riscv,isa-base") == "rv64i");
    CHECK(cell(fdt, "/cpus/cpu@2", "riscv,cboz-block-size") == 64);
    CHECK(text(fdt, "/cpus/cpu@0", "mmu-type") == "riscv,sv57");
    const auto plain = make_device_tree(board, 1, kRamBase, u64{1} << 20, "", {.hypervisor = false, .paging_levels = 3});
    CHECK(text(plain.data(), "/cpus/cpu@0", "riscv,isa").starts_with("rv64imafdc_zicbom_"));
    CHECK(text(plain.data(), "/cpus/cpu@0", "mmu-type") == "riscv,sv39");
    CHECK(text(fdt, "/cpus/cpu@2", "riscv,isa-base") == "rv64i");
    for (const char* extension : {"i", "h", "sstc"})
        CHECK(fdt_stringlist_search(fdt, fdt_path_offset(fdt, "/cpus/cpu@2"), "riscv,isa-extensions", extension) >= 0);
    CHECK(fdt_path_offset(fdt, "/cpus/cpu@3") < 0);
    CHECK(text(fdt, "/chosen", "bootargs") == "console=ttyS0 root=/dev/vda");
    CHECK(text(fdt, "/chosen", "stdout-path") == "/soc/serial@10000000");
    CHECK(text(fdt, "/soc/serial@10000000", "compatible") == "ns16550a");
    CHECK(cell(fdt, "/soc/serial@10000000", "interrupts") == kUartIrq);
    CHECK(cell(fdt, "/soc/virtio_mmio@10008000", "interrupts") == kVirtioIrq + 7);
    CHECK(cell(fdt, "/soc/plic@c000000", "riscv,ndev") == 95);
    CHECK(text(fdt, "/soc/rtc@101000", "compatible") == "google,goldfish-rtc");
    CHECK(cell(fdt, "/soc/rtc@101000", "interrupts") == kRtcIrq);

    // Phandles lead to what they mean: hart 2's controller, the PLIC, the finisher.
    const u32 intc = cell(fdt, "/cpus/cpu@2/interrupt-controller", "phandle");
    CHECK(cell(fdt, "/soc/plic@c000000", "interrupts-extended", 10) == intc);
    CHECK(cell(fdt, "/soc/plic@c000000", "interrupts-extended", 11) == 9);
    CHECK(cell(fdt, "/soc/clint@2000000", "interrupts-extended", 8) == intc);
    CHECK(cell(fdt, "/soc/serial@10000000", "interrupt-parent") == cell(fdt, "/soc/plic@c000000", "phandle"));
    CHECK(cell(fdt, "/poweroff", "regmap") == cell(fdt, "/soc/test@100000", "phandle"));
    CHECK(cell(fdt, "/reboot", "value") == 0x7777);
}

TEST_CASE("Command lines that do not fit are refused, not cut") {
    const Board board(1);
    CHECK(make_device_tree(board, 1, kRamBase, 1 << 20, std::string(1 << 20, 'x')).empty());
    CHECK(make_device_tree(board, 1, kRamBase, 1 << 20, std::string(3, '\0')).empty());
    CHECK_FALSE(make_device_tree(board, 8, kRamBase, 1 << 20, std::string(8000, 'x')).empty());
}

TEST_CASE("The initial RAM disk is named in /chosen, also in a tree of the user's, whose command line is replaced") {
    const Board board(1);
    const auto chosen = [](const std::vector<u8>& blob) {
        REQUIRE(fdt_check_full(blob.data(), blob.size()) == 0);
        const u64 begin = u64{cell(blob.data(), "/chosen", "linux,initrd-start")} << 32 | cell(blob.data(), "/chosen", "linux,initrd-start", 1);
        const u64 end = u64{cell(blob.data(), "/chosen", "linux,initrd-end")} << 32 | cell(blob.data(), "/chosen", "linux,initrd-end", 1);
        return std::pair(begin, end);
    };
    const auto own = make_device_tree(board, 1, kRamBase, 1 << 20, "first", {}, {0x1'8000'0000, 0x1'8000'1000});
    CHECK(chosen(own) == std::pair(u64{0x1'8000'0000}, u64{0x1'8000'1000}));

    const auto without = make_device_tree(board, 1, kRamBase, 1 << 20, "first");
    CHECK_FALSE(fdt_getprop(without.data(), fdt_path_offset(without.data(), "/chosen"), "linux,initrd-start", nullptr));
    const auto completed = complete_device_tree(without, "second, which is longer", {0x8100'0000, 0x8100'2000});
    REQUIRE(completed);
    CHECK(chosen(completed.value()) == std::pair(u64{0x8100'0000}, u64{0x8100'2000}));
    CHECK(text(completed.value().data(), "/chosen", "bootargs") == "second, which is longer");
    CHECK(text(complete_device_tree(without, "", {}).value().data(), "/chosen", "bootargs") == "first");
    CHECK(complete_device_tree(std::vector<u8>(100, 0x55), "", {}).error().find("does not parse") != std::string::npos);
}

TEST_CASE("Its text is what dtc compiles back to the same tree") {
    const Board board(2);
    const auto blob = make_device_tree(board, 2, kRamBase, 128 << 20, "quote \" and \\");
    const auto dts = device_tree_text(blob);
    REQUIRE(dts);
    CHECK(dts.value().find("riscv,isa = \"rv64imafdc") != std::string::npos);
    if (std::system("command -v dtc >/dev/null 2>&1") != 0) return;
    const auto folder = std::filesystem::temp_directory_path();
    const std::string in = (folder / "trapeze-test.dts").string(), out = (folder / "trapeze-test.dtb").string();
    std::ofstream(in) << dts.value();
    REQUIRE(std::system(("dtc -q -I dts -O dtb -o " + out + " " + in).c_str()) == 0);
    const auto compiled = read_file(out);
    REQUIRE(compiled);
    CHECK(device_tree_text(compiled.value()).value() == dts.value());
    std::filesystem::remove(in), std::filesystem::remove(out);
}

TEST_CASE("Damaged blobs are refused with a sentence and never read outside") {
    const Board board(1);
    const auto good = make_device_tree(board, 1, kRamBase, 1 << 20, "");
    CHECK(device_tree_text({}).error().find("header") != std::string::npos);
    for (std::size_t length = 1; length < good.size(); length += 13) {
        const std::vector<u8> cut(good.begin(), good.begin() + static_cast<long>(length));
        CHECK_FALSE(device_tree_text(cut));
    }
    for (std::size_t at = 0; at < good.size(); at += 3) { // either a text or a sentence
        auto spoiled = good;
        spoiled[at] ^= 0x81;
        const auto result = device_tree_text(spoiled);
        CHECK((result ? result.value() : result.error()).size() > 10);
    }
}
