// The flattened device tree (Devicetree specification 0.4, chapter 5), written and checked with libfdt. Nodes and names are those of
// QEMU's virt board, so that kernels find what they look for.
#include "emulator/loader.hpp"

#include <fmt/format.h>
#include <libfdt.h>

#include <cstring>

namespace trapeze {

namespace {

constexpr u32 kPlicPhandle = 0x100, kFinisherPhandle = 0x101, kIntcPhandle = 1; // + hart

/// Writes one tree, sequentially. The buffer is ours and large enough; libfdt's errors cannot come from a guest.
class Writer {
  public:
    Writer() : blob_(64 << 10) {
        fdt_create(blob_.data(), static_cast<int>(blob_.size()));
        fdt_finish_reservemap(blob_.data());
    }
    void begin(const std::string& name) { fdt_begin_node(blob_.data(), name.c_str()); }
    void end() { fdt_end_node(blob_.data()); }
    void cells(const char* name, std::initializer_list<u32> values) { cells(name, std::vector<u32>(values)); }
    void cells(const char* name, const std::vector<u32>& values) {
        std::vector<fdt32_t> big;
        for (u32 value : values) big.push_back(cpu_to_fdt32(value));
        fdt_property(blob_.data(), name, big.data(), static_cast<int>(big.size() * sizeof(fdt32_t)));
    }
    void strings(const char* name, const std::vector<std::string>& values) {
        std::string joined;
        for (const std::string& value : values) joined += value + '\0';
        fdt_property(blob_.data(), name, joined.data(), static_cast<int>(joined.size()));
    }
    void string(const char* name, const std::string& value) { strings(name, {value}); }
    void empty(const char* name) { fdt_property(blob_.data(), name, nullptr, 0); }
    void reg(u64 base, u64 size) {
        cells("reg", {static_cast<u32>(base >> 32), static_cast<u32>(base), static_cast<u32>(size >> 32), static_cast<u32>(size)});
    }
    std::vector<u8> finish() {
        fdt_finish(blob_.data());
        blob_.resize(fdt_totalsize(blob_.data()));
        return std::move(blob_);
    }

  private:
    std::vector<u8> blob_;
};

void write_cpus(Writer& w, unsigned harts) {
    w.begin("cpus");
    w.cells("#address-cells", {1});
    w.cells("#size-cells", {0});
    w.cells("timebase-frequency", {static_cast<u32>(kTimebaseHz)});
    for (unsigned hart = 0; hart < harts; ++hart) {
        w.begin(fmt::format("cpu@{:x}", hart));
        w.string("device_type", "cpu");
        w.cells("reg", {hart});
        w.string("status", "okay");
        w.string("compatible", "riscv");
        w.string("riscv,isa", "rv64imafdc_zicsr_zifencei_sstc");
        w.string("mmu-type", "riscv,sv39");
        w.begin("interrupt-controller");
        w.cells("#interrupt-cells", {1});
        w.empty("interrupt-controller");
        w.string("compatible", "riscv,cpu-intc");
        w.cells("phandle", {kIntcPhandle + hart});
        w.end();
        w.end();
    }
    w.end();
}

void write_interrupt_controllers(Writer& w, unsigned harts) {
    std::vector<u32> clint_lines, plic_lines;
    for (unsigned hart = 0; hart < harts; ++hart) {
        const u32 intc = kIntcPhandle + hart;
        clint_lines.insert(clint_lines.end(), {intc, static_cast<u32>(Irq::Msi), intc, static_cast<u32>(Irq::Mti)});
        plic_lines.insert(plic_lines.end(), {intc, static_cast<u32>(Irq::Mei), intc, static_cast<u32>(Irq::Sei)});
    }
    w.begin(fmt::format("clint@{:x}", kClintBase));
    w.strings("compatible", {"sifive,clint0", "riscv,clint0"});
    w.reg(kClintBase, Clint::kSize);
    w.cells("interrupts-extended", clint_lines);
    w.end();
    w.begin(fmt::format("plic@{:x}", kPlicBase));
    w.strings("compatible", {"sifive,plic-1.0.0", "riscv,plic0"});
    w.reg(kPlicBase, Plic::kSize);
    w.cells("#interrupt-cells", {1});
    w.cells("#address-cells", {0});
    w.empty("interrupt-controller");
    w.cells("interrupts-extended", plic_lines);
    w.cells("riscv,ndev", {Plic::kSources - 1});
    w.cells("phandle", {kPlicPhandle});
    w.end();
}

void write_device(Writer& w, const Board::Attached& attached) {
    const std::string name = attached.device->name();
    w.begin(fmt::format("{}@{:x}", attached.device->node_name(), attached.base));
    for (const DeviceTreeProperty& property : attached.device->device_tree()) {
        if (!property.strings.empty()) w.strings(property.name.c_str(), property.strings);
        else w.cells(property.name.c_str(), property.cells);
    }
    w.reg(attached.base, attached.size);
    if (attached.irq) {
        w.cells("interrupts", {attached.irq});
        w.cells("interrupt-parent", {kPlicPhandle});
    }
    if (name == "finisher") w.cells("phandle", {kFinisherPhandle});
    w.end();
}

void write_power(Writer& w, const char* name, u32 value) {
    w.begin(name);
    w.string("compatible", std::string("syscon-") + name);
    w.cells("regmap", {kFinisherPhandle});
    w.cells("offset", {0});
    w.cells("value", {value});
    w.end();
}

} // namespace

std::vector<u8> make_device_tree(const Board& board, unsigned harts, u64 ram_base, u64 ram_bytes, const std::string& bootargs) {
    Writer w;
    w.begin("");
    w.cells("#address-cells", {2});
    w.cells("#size-cells", {2});
    w.string("compatible", "riscv-virtio");
    w.string("model", "riscv-virtio,trapeze");
    w.begin("chosen");
    w.string("bootargs", bootargs.substr(0, 4096));
    w.string("stdout-path", fmt::format("/soc/serial@{:x}", kUartBase));
    w.end();
    w.begin(fmt::format("memory@{:x}", ram_base));
    w.string("device_type", "memory");
    w.reg(ram_base, ram_bytes);
    w.end();
    write_cpus(w, harts);
    w.begin("soc");
    w.cells("#address-cells", {2});
    w.cells("#size-cells", {2});
    w.string("compatible", "simple-bus");
    w.empty("ranges");
    write_interrupt_controllers(w, harts);
    for (const Board::Attached& attached : board.devices()) write_device(w, attached);
    w.end();
    write_power(w, "poweroff", 0x5555);
    write_power(w, "reboot", 0x7777);
    w.end();
    return w.finish();
}

Result<std::string> device_tree_text(std::span<const u8> blob) {
    const auto wrong = [](int code, int offset) {
        return Error{fmt::format("device tree: {} (at offset {}); make it again with dtc", fdt_strerror(code), offset)};
    };
    if (blob.size() < sizeof(fdt_header)) return Error{"device tree: shorter than its header; make it again with dtc"};
    if (const int code = fdt_check_full(blob.data(), blob.size()); code != 0) return wrong(code, 0);
    std::string text = "/dts-v1/;\n";
    int depth = -1, node = -1;
    std::vector<int> open;
    while ((node = fdt_next_node(blob.data(), node, &depth)) >= 0) {
        while (static_cast<int>(open.size()) > depth) text += std::string(open.size() - 1, '\t') + "};\n", open.pop_back();
        const std::string indent(static_cast<std::size_t>(depth), '\t');
        const char* name = fdt_get_name(blob.data(), node, nullptr);
        text += indent + (name && *name ? name : "/") + " {\n";
        open.push_back(node);
        int property = 0;
        fdt_for_each_property_offset(property, blob.data(), node) {
            int length = 0;
            const char* key = nullptr;
            const auto* value = static_cast<const u8*>(fdt_getprop_by_offset(blob.data(), property, &key, &length));
            text += indent + "\t" + (key ? key : "?") + " = [";
            for (int i = 0; value && i < length; ++i) text += fmt::format("{}{:02x}", i ? " " : "", value[i]);
            text += "];\n";
        }
    }
    while (!open.empty()) text += std::string(open.size() - 1, '\t') + "};\n", open.pop_back();
    if (node != -FDT_ERR_NOTFOUND) return wrong(node, 0);
    return text;
}

} // namespace trapeze
