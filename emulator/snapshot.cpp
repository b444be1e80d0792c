#include "emulator/snapshot.hpp"

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <array>
#include <cstring>

namespace trapeze {

namespace {

constexpr std::array<char, 8> kMagic = {'T', 'r', 'a', 'p', 'e', 'z', 'e', '\x1a'};
constexpr u32 kVersion = 3; ///< to be raised when what the visit functions write changes its meaning
constexpr int kLevel = 3;

struct Header {
    std::array<char, 8> magic = kMagic;
    u32 version = kVersion;
    SnapshotKind kind = SnapshotKind::Machine;
    u64 layout = 0;
    u64 content_bytes = 0;
    u32 checksum = 0; ///< CRC-32 of this header, with 0 here, and of the frame
    u32 spare = 0;
};
static_assert(sizeof(Header) == 40);

u32 checksum_of(Header header, std::span<const u8> frame) {
    header.checksum = 0;
    const auto first = crc32_z(0, reinterpret_cast<const u8*>(&header), sizeof header);
    return static_cast<u32>(crc32_z(first, frame.data(), frame.size()));
}

/// A number that changes with the tables that the content is laid out by: CSRs, events, the board's devices.
u64 layout_number() {
    u64 hash = 0xcbf2'9ce4'8422'2325; // FNV-1a
    const auto mix = [&](u64 value) { hash = (hash ^ value) * 0x100'0000'01b3; };
    for (std::size_t i = 0; i < kCsrCount; ++i) mix(static_cast<u64>(csr_row_at(i).csr));
    mix(sizeof(HartState)), mix(static_cast<u64>(EventKind::Count));
    for (const Board::Window& window : Board(1).windows()) mix(window.base), mix(window.size);
    return hash;
}

/// A bool that came with the bytes around it could hold anything.
void make_bool(bool& flag) {
    u8 byte = 0;
    std::memcpy(&byte, &flag, 1);
    flag = byte & 1;
}

bool is_privilege(Priv priv) { return priv == Priv::U || priv == Priv::S || priv == Priv::M; }

} // namespace

std::vector<u8> pack_snapshot(SnapshotKind kind, const std::vector<u8>& content) {
    Header header{kMagic, kVersion, kind, layout_number(), content.size(), 0, 0};
    std::vector<u8> file(sizeof header + ZSTD_compressBound(content.size()));
    const std::size_t bytes = ZSTD_compress(file.data() + sizeof header, file.size() - sizeof header, content.data(), content.size(), kLevel);
    file.resize(sizeof header + (ZSTD_isError(bytes) ? 0 : bytes)); // an error cannot be with room for the bound
    header.checksum = checksum_of(header, std::span(file).subspan(sizeof header));
    std::memcpy(file.data(), &header, sizeof header);
    return file;
}

Result<std::vector<u8>> unpack_snapshot(SnapshotKind kind, std::span<const u8> file, u64 limit, const std::string& name) {
    const auto refuse = [&](const std::string& why) { return Error{fmt::format("{}: {}", name, why)}; };
    Header header;
    const std::size_t present = std::min(file.size(), sizeof header.magic);
    if (present == 0 || std::memcmp(file.data(), kMagic.data(), present) != 0) return refuse("this is not a snapshot; give a file that was written by --save");
    if (file.size() < sizeof header) return refuse("this snapshot is cut off; save it again");
    std::memcpy(&header, file.data(), sizeof header);
    if (header.version > kVersion)
        return refuse(fmt::format("this snapshot is of format {}, and this Trapeze reads up to {}; use the newer one that saved it", header.version, kVersion));
    if (header.version != kVersion) return refuse(fmt::format("this snapshot is of format {}, which is not read any longer; save it again", header.version));
    if (header.layout != layout_number())
        return refuse("this snapshot was saved by a Trapeze whose machine has other registers or devices; restore it with that one, or save it again");
    if (header.kind != kind) return refuse("this snapshot holds something else than is asked for here");
    if (header.content_bytes > limit)
        return refuse(fmt::format("this snapshot holds {} bytes, more than the machine that is asked for can have; give it the memory that it was saved with", header.content_bytes));
    const auto frame = file.subspan(sizeof header);
    const char* const damaged = "this snapshot is damaged or cut off; save it again";
    if (header.checksum != checksum_of(header, frame)) return refuse(damaged);
    if (ZSTD_getFrameContentSize(frame.data(), frame.size()) != header.content_bytes) return refuse(damaged);
    std::vector<u8> content(header.content_bytes);
    if (ZSTD_decompress(content.data(), content.size(), frame.data(), frame.size()) != content.size()) return refuse(damaged);
    return content;
}

u64 largest_content(u64 ram_bytes, u64 disk_bytes) {
    constexpr u64 kRest = u64{64} << 20; // trace, texts, ledger, console, registers
    return ram_bytes + ram_bytes / kPageSize * sizeof(u64) + 2 * disk_bytes + kRest;
}

void hart_state(StateArchive& archive, HartState& state) {
    archive(state);
    if (!archive.loading()) return;
    for (bool* flag : {&state.virt, &state.waiting, &state.reserved}) make_bool(*flag);
    state.x[0] = state.x[32] = 0;
    state.pc &= ~u64{1};
    const auto translates = [&](Csr csr) { return get_field(state[csr], satp::MODE) == satp::kBare || satp::levels(state[csr]) != 0; };
    const bool possible = is_privilege(state.priv) && !(state.virt && state.priv == Priv::M) && get_field(state[Csr::mstatus], mstatus::MPP) != 2 &&
                          translates(Csr::satp) && translates(Csr::vsatp) && translates(Csr::hgatp);
    if (possible) return;
    archive.fail();
    state = HartState{};
}

void firmware_state(StateArchive& archive, Firmware& firmware) {
    using Status = Firmware::HartStatus;
    archive(firmware.enabled), archive(firmware.suspended_at), archive(firmware.steal_record);
    for (Status& status : firmware.status) {
        archive(status);
        const bool known = status == Status::Started || status == Status::Stopped || status == Status::StartPending || status == Status::Suspended;
        if (!known) archive.fail(), status = Status::Stopped;
    }
}

std::vector<u8> save_machine(const Machine& machine) {
    Machine copy = machine;
    StateArchive archive;
    copy.state(archive);
    return pack_snapshot(SnapshotKind::Machine, archive.bytes());
}

Result<Machine> load_machine(std::span<const u8> file, const MachineConfig& config, const std::string& name) {
    auto machine = Machine::create(config);
    if (!machine) return machine;
    auto content = unpack_snapshot(SnapshotKind::Machine, file, largest_content(config.ram_bytes, disk_bytes(config.board)), name);
    if (!content) return Error{content.error()};
    StateArchive archive(std::move(content).value());
    machine->state(archive);
    if (!archive.complete()) return Error{fmt::format("{}: this snapshot is of a machine with other memory, harts or devices, or is damaged; give the configuration that it was saved with", name)};
    return machine;
}

} // namespace trapeze
