// Command lines for qemu-system-riscv64, given to `trapeze boot`.
#include "scenarios/qemu_options.hpp"

#include <doctest/doctest.h>

#include <sstream>

using namespace trapeze::scenarios;

namespace {
std::vector<std::string> words(const std::string& line) {
    std::istringstream in(line);
    std::vector<std::string> out;
    for (std::string word; in >> word;) out.push_back(word);
    return out;
}
std::string translated(const std::string& line) {
    const auto result = translate_qemu_options(words(line));
    if (!result) return "refused: " + result.error();
    std::string out;
    for (const std::string& word : result.value()) out += (out.empty() ? "" : " ") + word;
    return out;
}
bool refused(const std::string& line, const char* because) {
    const std::string text = translated(line);
    const bool found = text.starts_with("refused: ") && text.find(because) != std::string::npos;
    if (!found) MESSAGE(text);
    return found;
}
} // namespace

TEST_CASE("xv6's own command line for QEMU is understood") {
    CHECK(translated("boot -machine virt -bios none -kernel kernel/kernel -m 128M -smp 3 -nographic -global virtio-mmio.force-legacy=false "
                     "-drive file=fs.img,if=none,format=raw,id=x0 -device virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0") ==
          "boot --bios none --kernel kernel/kernel --memory 128M --smp 3 --drive file=fs.img,if=none,format=raw,id=x0 --device virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0");
}

TEST_CASE("QEMU's options mean what they mean there, with one dash or two") {
    CHECK(translated("boot -m 512 --smp 4 -no-reboot --kernel k") == "boot --memory 512M --smp 4 --no-reboot --kernel k");
    CHECK(translated("boot -m size=2G,slots=1 -smp cpus=2,sockets=1") == "boot --memory 2G --smp 2");
    CHECK(translated("boot -M virt,aclint=off -cpu rv64,h=true -serial mon:stdio -display none -monitor none k") == "boot k");
    CHECK(translated("boot -append -kernel -initrd -bios k") == "boot --append -kernel --initrd -bios k"); // values that look like options
    CHECK(translated("boot --append -m k") == "boot --append -m k");
}

TEST_CASE("What this machine cannot be is refused with what it can be") {
    CHECK(refused("boot -machine spike k", "virt"));
    CHECK(refused("boot -cpu sifive-u54 k", "rv64"));
    CHECK(refused("boot -serial pty k", "mon:stdio"));
    CHECK(refused("boot k -kernel", "needs a value"));
}

TEST_CASE("Other verbs and Trapeze's own spellings stay as they are") {
    CHECK(translated("trace -m 64 guest") == "trace -m 64 guest");
    CHECK(translated("boot --memory 65536 --json --max-instructions 5 tiny-os") == "boot --memory 65536 --json --max-instructions 5 tiny-os");
    CHECK(translated("") == "");
    CHECK(translated("--help") == "--help");
}
