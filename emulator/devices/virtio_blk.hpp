// The virtio block device (virtio 1.2, section 5.2): sectors of 512 bytes, read, write, flush and get-id.
// The image in memory is never written: changed pieces of 4 KiB are kept beside it, shared between copies until written, so that
// copying a machine costs no copy of its disk. `image` gives the contents as they are now. A disk that is written through lists its
// dirty sectors besides; the host takes them and writes them to the image's file, which no device opens.
// Known inaccuracies: a request over 64 MiB, or beyond 256 MiB in one notification, is answered with an I/O error. A flush
// is answered at once: what was written before it is in the host's hands, and reaches the file when the host comes to it. A file that
// cannot be written (a full disk) therefore shows in the requests that follow: they are I/O errors until what is dirty has got through.
#pragma once

#include "emulator/devices/board_config.hpp"
#include "emulator/devices/virtio_mmio.hpp"

#include <map>
#include <set>

namespace trapeze {

class VirtioBlk final : public VirtioMmio {
  public:
    static constexpr u64 kSectorBytes = 512;
    static constexpr u64 kMaxRequestBytes = u64{64} << 20, kMaxNotificationBytes = u64{256} << 20;

    /// Range: images of a multiple of 512 bytes; a rest is not reachable. Pre: there is an image.
    explicit VirtioBlk(DiskConfig config) : base_(std::move(config.image)), mode_(config.mode), serial_(std::move(config.serial)) {}
    explicit VirtioBlk(std::vector<u8> image) : VirtioBlk(DiskConfig{disk_image(std::move(image))}) {}

    const char* name() const override { return "virtio-blk"; }
    std::unique_ptr<Device> clone() const override { return std::make_unique<VirtioBlk>(*this); }
    void state(StateArchive& archive) override;

    u64 sectors() const { return base_->size() / kSectorBytes; }
    std::vector<u8> image() const;
    /// Bytes that differ from the image it was made with are in this many pieces of 4 KiB.
    std::size_t changed_pieces() const { return changed_.size(); }

    /// Sectors next to each other that were written, and that the host has not taken.
    struct DirtyRun {
        u64 sector, count;
        std::vector<u8> bytes; ///< as they are now
    };
    static constexpr u64 kMaxRunSectors = 2048; ///< 1 MiB
    bool dirty() const { return !dirty_.empty(); }
    /// The run with the lowest sector from `sector` on; nothing when there is none. It stays dirty until `clean`.
    std::optional<DirtyRun> dirty_run(u64 sector = 0) const;
    void clean(const DirtyRun& run);
    /// How often the guest asked that everything be on the medium.
    u64 flushes() const { return flushes_; }
    /// The host says whether what it took last got into the file. While it did not, writes and flushes are I/O errors.
    void set_writable(bool writable) { writable_ = writable; }
    DiskMode mode() const { return mode_; }

  protected:
    u32 device_id() const override { return 2; }
    u64 features() const override;
    u8 config_byte(u64 offset) const override;
    void begin_notification() override { notification_bytes_ = 0; }
    bool serve(unsigned queue, VirtioChain& chain) override;

  private:
    static constexpr u64 kPiece = 4096;
    using Piece = std::array<u8, kPiece>;

    enum class Status : u8 { Ok = 0, IoError = 1, Unsupported = 2 };
    bool transfer(u32 type, u64 sector, VirtioChain& chain, Status& status); ///< false: malformed
    void read_disk(u64 at, std::span<u8> out) const;  ///< Pre: in the image, inside one piece
    void write_disk(u64 at, std::span<const u8> in);  ///< Pre: as for read_disk

    std::shared_ptr<const std::vector<u8>> base_;
    std::map<u64, std::shared_ptr<Piece>> changed_; ///< by number of the piece
    u64 notification_bytes_ = 0;
    DiskMode mode_;
    std::string serial_;
    std::set<u64> dirty_; ///< sectors, of a disk that is written through
    u64 flushes_ = 0;
    bool writable_ = true; ///< the host's, no part of the guest's machine: it is not saved
};

} // namespace trapeze
