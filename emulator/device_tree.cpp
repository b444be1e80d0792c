// The flattened device tree (Devicetree specification 0.4, chapter 5), made and read with libfdt.
#include "emulator/loader.hpp"

#include <fmt/format.h>

extern "C" {
#include <libfdt.h>
}

#include <algorithm>
#include <cstring>

namespace trapeze {

namespace {

/// What harts have beyond rv64i, in the order of the ISA manual's naming chapter.
constexpr const char* kExtensions[] = {
    "m", "a", "f", "d", "c", "h", "zicbom", "zicbop", "zicboz", "zicntr", "zicond", "zicsr", "zifencei", "zihintpause", "zihpm",
    "zawrs", "zfhmin", "zba", "zbb", "zbc", "zbs", "smstateen", "sstc", "svadu", "svinval", "svnapot", "svpbmt",
};
constexpr u32 kCacheBlockBytes = 64; // Exec::kCacheBlock
/// Entropy that kernels mix into their random numbers: the same in every run, as everything is.
constexpr u32 kRngSeed[] = {0x7472'6170, 0x657a'6521, 0x9e37'79b9, 0x7f4a'7c15, 0xf39c'c060, 0x5ced'c834, 0x1082'276b, 0xf3a2'7251};
constexpr int kMaxDepth = 32;
constexpr std::size_t kMaxBootargs = 64 << 10;
constexpr u32 kIrqSoftM = 3, kIrqTimerM = 7, kIrqExternalM = 11, kIrqExternalS = 9; // bits of mip

/// libfdt's sequential writer. The first error stays; the blob is empty then.
class TreeWriter {
  public:
    explicit TreeWriter(std::size_t bytes) : blob_(bytes) {
        keep(fdt_create(blob_.data(), static_cast<int>(bytes)));
        keep(fdt_finish_reservemap(blob_.data()));
    }
    void begin(const std::string& name) { keep(fdt_begin_node(blob_.data(), name.c_str())); }
    void end() { keep(fdt_end_node(blob_.data())); }
    void flag(const char* name) { keep(fdt_property(blob_.data(), name, nullptr, 0)); }
    void text(const char* name, const std::vector<std::string>& strings) {
        std::string joined;
        for (const auto& s : strings) joined.append(s).push_back('\0');
        keep(fdt_property(blob_.data(), name, joined.data(), static_cast<int>(joined.size())));
    }
    void cells(const char* name, const std::vector<u32>& values) {
        std::vector<fdt32_t> big;
        for (u32 v : values) big.push_back(cpu_to_fdt32(v));
        keep(fdt_property(blob_.data(), name, big.data(), static_cast<int>(big.size() * 4)));
    }
    void reg(u64 base, u64 size) { cells("reg", {static_cast<u32>(base >> 32), static_cast<u32>(base), static_cast<u32>(size >> 32), static_cast<u32>(size)}); }
    std::vector<u8> finish() {
        keep(fdt_finish(blob_.data()));
        if (error_) return {};
        blob_.resize(fdt_totalsize(blob_.data()));
        return std::move(blob_);
    }

  private:
    void keep(int result) {
        if (!error_) error_ = result;
    }
    std::vector<u8> blob_;
    int error_ = 0;
};

/// phandles: harts' interrupt controllers are 1.., then the PLIC and the finisher.
struct Handles {
    unsigned harts;
    u32 hart(unsigned index) const { return 1 + index; }
    u32 plic() const { return 1 + harts; }
    u32 finisher() const { return 2 + harts; }
};

/// The extensions in both forms that kernels read: one string, and (Linux since 6.7) a list.
void write_isa(TreeWriter& tree, const HartFeatures& features) {
    std::string isa = "rv64i";
    std::vector<std::string> list = {"i"};
    for (const std::string extension : kExtensions) {
        if (extension == "h" && !features.hypervisor) continue;
        isa += extension.size() > 1 ? "_" + extension : extension;
        list.push_back(extension);
    }
    tree.text("riscv,isa", {isa});
    tree.text("riscv,isa-base", {"rv64i"});
    tree.text("riscv,isa-extensions", list);
    for (const char* size : {"riscv,cbom-block-size", "riscv,cbop-block-size", "riscv,cboz-block-size"}) tree.cells(size, {kCacheBlockBytes});
}

void write_cpus(TreeWriter& tree, Handles handles, const HartFeatures& features) {
    tree.begin("cpus");
    tree.cells("#address-cells", {1});
    tree.cells("#size-cells", {0});
    tree.cells("timebase-frequency", {static_cast<u32>(kTimebaseHz)});
    for (unsigned i = 0; i < handles.harts; ++i) {
        tree.begin(fmt::format("cpu@{:x}", i));
        tree.text("device_type", {"cpu"});
        tree.cells("reg", {i});
        tree.text("status", {"okay"});
        tree.text("compatible", {"riscv"});
        write_isa(tree, features);
        tree.text("mmu-type", {fmt::format("riscv,sv{}", 12 + 9 * features.paging_levels)});
        tree.begin("interrupt-controller");
        tree.cells("#interrupt-cells", {1});
        tree.flag("interrupt-controller");
        tree.text("compatible", {"riscv,cpu-intc"});
        tree.cells("phandle", {handles.hart(i)});
        tree.end();
        tree.end();
    }
    tree.end();
}

void write_interrupt_controllers(TreeWriter& tree, Handles handles) {
    std::vector<u32> clint, plic;
    for (unsigned i = 0; i < handles.harts; ++i) {
        clint.insert(clint.end(), {handles.hart(i), kIrqSoftM, handles.hart(i), kIrqTimerM});
        plic.insert(plic.end(), {handles.hart(i), kIrqExternalM, handles.hart(i), kIrqExternalS});
    }
    tree.begin(fmt::format("clint@{:x}", kClintBase));
    tree.text("compatible", {"sifive,clint0", "riscv,clint0"});
    tree.reg(kClintBase, Clint::kSize);
    tree.cells("interrupts-extended", clint);
    tree.end();
    tree.begin(fmt::format("plic@{:x}", kPlicBase));
    tree.text("compatible", {"sifive,plic-1.0.0", "riscv,plic0"});
    tree.reg(kPlicBase, Plic::kSize);
    tree.cells("interrupts-extended", plic);
    tree.cells("riscv,ndev", {Plic::kSources - 1});
    tree.cells("#interrupt-cells", {1});
    tree.cells("#address-cells", {0});
    tree.flag("interrupt-controller");
    tree.cells("phandle", {handles.plic()});
    tree.end();
}

/// /chosen (Devicetree specification, section 3.6, and Linux's own properties).
void write_chosen(TreeWriter& tree, const std::string& bootargs, InitrdRange initrd) {
    const auto address = [&](const char* name, u64 value) { tree.cells(name, {static_cast<u32>(value >> 32), static_cast<u32>(value)}); };
    tree.begin("chosen");
    if (!bootargs.empty()) tree.text("bootargs", {bootargs});
    if (initrd.end > initrd.begin) address("linux,initrd-start", initrd.begin), address("linux,initrd-end", initrd.end);
    tree.text("stdout-path", {fmt::format("/soc/serial@{:x}", kUartBase)});
    tree.cells("rng-seed", {std::begin(kRngSeed), std::end(kRngSeed)});
    tree.end();
}

void write_devices(TreeWriter& tree, const Board& board, Handles handles) {
    for (const auto& d : board.devices()) {
        if (d.device->device_tree().empty()) continue; // the reset ROM: found by address alone
        tree.begin(fmt::format("{}@{:x}", d.device->node_name(), d.base));
        for (const auto& p : d.device->device_tree()) {
            if (!p.strings.empty()) tree.text(p.name.c_str(), p.strings);
            else if (!p.cells.empty()) tree.cells(p.name.c_str(), p.cells);
            else tree.flag(p.name.c_str());
        }
        tree.reg(d.base, d.size);
        if (d.irq) {
            tree.cells("interrupt-parent", {handles.plic()});
            tree.cells("interrupts", {d.irq});
        }
        if (d.base == kFinisherBase) tree.cells("phandle", {handles.finisher()});
        tree.end();
    }
}

/// How a kernel switches the machine off and restarts it: by writing `value` to the finisher.
void write_syscon(TreeWriter& tree, const char* name, u32 value, Handles handles) {
    tree.begin(name);
    tree.text("compatible", {fmt::format("syscon-{}", name)});
    tree.cells("regmap", {handles.finisher()});
    tree.cells("offset", {0});
    tree.cells("value", {value});
    tree.end();
}

bool is_text(const char* data, int length) {
    if (length < 2 || data[length - 1] != '\0' || data[0] == '\0') return false;
    for (int i = 0; i < length; ++i) {
        if (data[i] == '\0' && data[i - 1] == '\0') return false;
        if (data[i] != '\0' && (data[i] < 0x20 || data[i] > 0x7e)) return false;
    }
    return true;
}

std::string quoted(const char* data, int length) {
    std::string out = "\"";
    for (int i = 0; i < length - 1; ++i) {
        if (data[i] == '\0') out += "\", \"";
        else if (data[i] == '"' || data[i] == '\\') out += '\\', out += data[i];
        else out += data[i];
    }
    return out + '"';
}

std::string property_text(const char* data, int length) {
    if (length == 0) return "";
    if (is_text(data, length)) return " = " + quoted(data, length);
    std::string out;
    const bool cells = length % 4 == 0;
    for (int i = 0; i < length; i += cells ? 4 : 1) {
        fdt32_t cell;
        if (cells) std::memcpy(&cell, data + i, 4);
        out += cells ? fmt::format("{}{:#x}", i ? " " : "", fdt32_to_cpu(cell)) : fmt::format("{}{:02x}", i ? " " : "", static_cast<u8>(data[i]));
    }
    return cells ? fmt::format(" = <{}>", out) : fmt::format(" = [{}]", out);
}

/// Names in a blob may hold anything: what is not printable is shown as '?'.
std::string printable(const char* name) {
    std::string out = name ? name : "?";
    std::replace_if(out.begin(), out.end(), [](char c) { return c < 0x21 || c > 0x7e; }, '?');
    return out;
}

void append_properties(const void* fdt, int node, const std::string& indent, std::string& out) {
    int offset = 0;
    fdt_for_each_property_offset(offset, fdt, node) {
        const char* name = nullptr;
        int length = 0;
        const auto* data = static_cast<const char*>(fdt_getprop_by_offset(fdt, offset, &name, &length));
        if (data) out += fmt::format("{}{}{};\n", indent, printable(name), property_text(data, length));
    }
}

Error tree_error(int code) {
    const char* what = code == -FDT_ERR_BADMAGIC ? "it does not begin with 0xd00dfeed, as a flattened one does" : code == -FDT_ERR_TRUNCATED ? "it is cut short" : "it is damaged";
    return Error{fmt::format("the device tree does not parse: {} ({})", what, fdt_strerror(code))};
}

} // namespace

std::vector<u8> make_device_tree(const Board& board, unsigned harts, u64 ram_base, u64 ram_bytes, const std::string& bootargs,
                                 const HartFeatures& features, InitrdRange initrd) {
    if (bootargs.size() > kMaxBootargs || bootargs.find('\0') != std::string::npos) return {};
    const Handles handles{std::clamp(harts, 1u, kMaxHarts)};
    TreeWriter tree((32 << 10) + bootargs.size() + board.devices().size() * 1024);
    tree.begin("");
    tree.cells("#address-cells", {2});
    tree.cells("#size-cells", {2});
    tree.text("compatible", {"riscv-virtio"});
    tree.text("model", {"riscv-virtio,trapeze"});
    write_chosen(tree, bootargs, initrd);
    tree.begin("aliases");
    tree.text("serial0", {fmt::format("/soc/serial@{:x}", kUartBase)});
    tree.end();
    tree.begin(fmt::format("memory@{:x}", ram_base));
    tree.text("device_type", {"memory"});
    tree.reg(ram_base, ram_bytes);
    tree.end();
    write_cpus(tree, handles, features);
    tree.begin("soc");
    tree.cells("#address-cells", {2});
    tree.cells("#size-cells", {2});
    tree.text("compatible", {"simple-bus"});
    tree.flag("ranges");
    write_interrupt_controllers(tree, handles);
    write_devices(tree, board, handles);
    tree.end();
    if (board.find("finisher")) {
        write_syscon(tree, "poweroff", 0x5555, handles);
        write_syscon(tree, "reboot", 0x7777, handles);
    }
    tree.end();
    return tree.finish();
}

Result<std::vector<u8>> complete_device_tree(std::span<const u8> blob, const std::string& bootargs, InitrdRange initrd) {
    if (const auto text = device_tree_text(blob); !text) return Error{text.error()};
    if (bootargs.size() > kMaxBootargs) return Error{fmt::format("the kernel's command line of {} bytes is too long; shorten it", bootargs.size())};
    std::vector<u8> out(blob.size() + bootargs.size() + 1024); // room for /chosen and its properties
    void* const fdt = out.data();
    if (const int error = fdt_open_into(std::vector<u8>(blob.begin(), blob.end()).data(), fdt, static_cast<int>(out.size()))) return tree_error(error);
    int chosen = fdt_path_offset(fdt, "/chosen");
    if (chosen == -FDT_ERR_NOTFOUND) chosen = fdt_add_subnode(fdt, 0, "chosen");
    int error = std::min(chosen, 0);
    if (!error && !bootargs.empty()) error = fdt_setprop_string(fdt, chosen, "bootargs", bootargs.c_str());
    if (!error && initrd.end > initrd.begin) error = fdt_setprop_u64(fdt, chosen, "linux,initrd-start", initrd.begin);
    if (!error && initrd.end > initrd.begin) error = fdt_setprop_u64(fdt, chosen, "linux,initrd-end", initrd.end);
    if (error) return tree_error(error);
    fdt_pack(fdt);
    out.resize(fdt_totalsize(fdt));
    return out;
}

Result<std::string> device_tree_text(std::span<const u8> blob) {
    if (blob.size() < sizeof(fdt_header)) return Error{fmt::format("the device tree has only {} bytes, less than its header", blob.size())};
    std::vector<u64> aligned((blob.size() + 7) / 8); // libfdt reads words in place
    std::memcpy(aligned.data(), blob.data(), blob.size());
    const void* fdt = aligned.data();
    if (const int error = fdt_check_full(fdt, blob.size())) return tree_error(error);
    std::string out = "/dts-v1/;\n\n";
    int depth = -1, previous = -1;
    for (int node = fdt_next_node(fdt, -1, &depth); node >= 0 && depth >= 0; node = fdt_next_node(fdt, node, &depth)) {
        if (depth > kMaxDepth) return Error{fmt::format("the device tree nests nodes deeper than {} levels", kMaxDepth)};
        for (; previous >= depth; --previous) out += std::string(static_cast<std::size_t>(previous), '\t') + "};\n";
        const std::string indent(static_cast<std::size_t>(depth), '\t');
        const std::string name = printable(fdt_get_name(fdt, node, nullptr));
        out += fmt::format("{}{} {{\n", indent, name.empty() ? "/" : name);
        append_properties(fdt, node, indent + '\t', out);
        previous = depth;
    }
    for (; previous >= 0; --previous) out += std::string(static_cast<std::size_t>(previous), '\t') + "};\n";
    return out;
}

} // namespace trapeze
