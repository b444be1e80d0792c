#include "emulator/devices/virtio_blk.hpp"

#include <algorithm>
#include <cstring>

namespace trapeze {

namespace {
constexpr u32 kIn = 0, kOut = 1, kFlush = 4, kGetId = 8; // request types
constexpr u64 kFeatureSegMax = 1 << 2, kFeatureReadOnly = 1 << 5, kFeatureBlockSize = 1 << 6, kFeatureFlush = 1 << 9;
constexpr u32 kSegmentsMax = VirtioMmio::kQueueSize - 2;
constexpr std::size_t kIdBytes = 20;

struct RequestHeader {
    u32 type;
    u32 reserved;
    u64 sector;
};
static_assert(sizeof(RequestHeader) == 16);
} // namespace

u64 VirtioBlk::features() const {
    return kFeatureSegMax | kFeatureBlockSize | kFeatureFlush | (mode_ == DiskMode::ReadOnly ? kFeatureReadOnly : 0);
}

u8 VirtioBlk::config_byte(u64 offset) const {
    // struct virtio_blk_config: capacity at 0 (sectors), size_max at 8, seg_max at 12, geometry at 16, blk_size at 20.
    u8 config[24] = {};
    const u64 capacity = sectors();
    const u32 segments = kSegmentsMax, block = kSectorBytes;
    std::memcpy(config, &capacity, 8);
    std::memcpy(config + 12, &segments, 4);
    std::memcpy(config + 20, &block, 4);
    return offset < sizeof config ? config[offset] : 0;
}

void VirtioBlk::read_disk(u64 at, std::span<u8> out) const {
    const auto piece = changed_.find(at / kPiece);
    const u8* from = piece != changed_.end() ? piece->second->data() + at % kPiece : base_->data() + at;
    std::memcpy(out.data(), from, out.size());
}

void VirtioBlk::write_disk(u64 at, std::span<const u8> in) {
    std::shared_ptr<Piece>& piece = changed_[at / kPiece];
    if (!piece) {
        piece = std::make_shared<Piece>();
        const u64 start = at / kPiece * kPiece;
        std::memcpy(piece->data(), base_->data() + start, std::min<u64>(kPiece, base_->size() - start));
    } else if (piece.use_count() != 1) {
        piece = std::make_shared<Piece>(*piece);
    }
    std::memcpy(piece->data() + at % kPiece, in.data(), in.size());
    if (mode_ != DiskMode::WriteThrough) return;
    for (u64 sector = at / kSectorBytes; sector * kSectorBytes < at + in.size(); ++sector) dirty_.insert(sector);
}

std::optional<VirtioBlk::DirtyRun> VirtioBlk::dirty_run(u64 sector) const {
    auto next = dirty_.lower_bound(sector);
    if (next == dirty_.end()) return std::nullopt;
    DirtyRun run{*next, 0, {}};
    while (next != dirty_.end() && *next == run.sector + run.count && run.count < kMaxRunSectors) ++next, ++run.count;
    run.bytes.resize(run.count * kSectorBytes);
    for (u64 i = 0; i < run.count; ++i) read_disk((run.sector + i) * kSectorBytes, std::span(run.bytes).subspan(i * kSectorBytes, kSectorBytes));
    return run;
}

void VirtioBlk::clean(const DirtyRun& run) { dirty_.erase(dirty_.lower_bound(run.sector), dirty_.lower_bound(run.sector + run.count)); }

bool VirtioBlk::transfer(u32 type, u64 sector, VirtioChain& chain, Status& status) {
    const u64 bytes = type == kIn ? chain.writable_left() - 1 : chain.readable_left();
    const bool in_range = sector <= sectors() && bytes <= (sectors() - sector) * kSectorBytes;
    const bool bounded = bytes <= kMaxRequestBytes && bytes <= kMaxNotificationBytes - notification_bytes_;
    if (bytes % kSectorBytes || !in_range || !bounded || (type == kOut && (mode_ == DiskMode::ReadOnly || !writable_))) {
        status = Status::IoError;
        return true;
    }
    notification_bytes_ += bytes;
    Piece buffer;
    for (u64 done = 0; done < bytes;) {
        const u64 at = sector * kSectorBytes + done;
        const auto part = std::span(buffer).first(std::min(bytes - done, kPiece - at % kPiece));
        if (type == kIn) {
            read_disk(at, part);
            if (!chain.write(part)) return false;
        } else {
            if (!chain.read(part)) return false;
            write_disk(at, part);
        }
        done += part.size();
    }
    return true;
}

bool VirtioBlk::serve(unsigned, VirtioChain& chain) {
    RequestHeader header{};
    if (!chain.read(std::span(reinterpret_cast<u8*>(&header), sizeof header)) || chain.writable_left() == 0) return false;
    Status status = Status::Ok;
    switch (header.type) {
    case kIn:
    case kOut:
        if (!transfer(header.type, header.sector, chain, status)) return false;
        break;
    case kFlush:
        ++flushes_;
        if (!writable_) status = Status::IoError;
        break;
    case kGetId: {
        u8 id_bytes[kIdBytes] = {};
        std::copy_n(serial_.begin(), std::min(serial_.size(), kIdBytes), id_bytes);
        const auto id = std::span<const u8>(id_bytes);
        if (!chain.write(id.first(std::min<u64>(id.size(), chain.writable_left() - 1)))) return false;
        break;
    }
    default: status = Status::Unsupported; break;
    }
    chain.skip_writable(chain.writable_left() - 1); // the status is the last byte
    const u8 byte = static_cast<u8>(status);
    return chain.write(std::span(&byte, 1));
}

std::vector<u8> VirtioBlk::image() const {
    std::vector<u8> bytes = *base_;
    for (const auto& [number, piece] : changed_)
        std::memcpy(bytes.data() + number * kPiece, piece->data(), std::min<u64>(kPiece, bytes.size() - number * kPiece));
    return bytes;
}

void VirtioBlk::state(StateArchive& archive) {
    VirtioMmio::state(archive);
    u64 count = changed_.size();
    archive(count);
    if (!archive.loading()) {
        for (auto& [number, piece] : changed_) {
            u64 n = number;
            archive(n), archive(*piece);
        }
        return;
    }
    changed_.clear();
    dirty_.clear();
    const u64 pieces = (base_->size() + kPiece - 1) / kPiece;
    for (u64 i = 0; i < count && !archive.failed(); ++i) {
        u64 number = 0;
        auto piece = std::make_shared<Piece>();
        archive(number), archive(*piece);
        if (archive.failed() || number >= pieces) continue;
        changed_[number] = std::move(piece);
        const u64 first = number * (kPiece / kSectorBytes);
        for (u64 s = first; mode_ == DiskMode::WriteThrough && s < std::min(first + kPiece / kSectorBytes, sectors()); ++s) dirty_.insert(s);
    }
}

} // namespace trapeze
