// Archives of layers and of images: tar (ustar, pax, GNU), plain, gzip or zstd. What comes in is hostile until it is read: every bound
// is in ArchiveLimits, and what is refused is refused with a sentence that names the archive, the entry and the mend.
//
// Decisions: an absolute name is refused (Docker would strip its slash; no tool that makes images writes one). The same folder twice is
// taken, the last one counts; any other name twice is refused. Devices are kept as nodes, for Docker allows them in layers: whether one
// may be opened is up to the kernel, which knows no device of the host. Names in UTF-8 are kept byte for byte.
#pragma once

#include "container-sim/engine/layer.hpp"

namespace trapeze::container {

struct ArchiveLimits {
    u64 bytes = u64{1} << 30;           ///< of an archive, and of all that is unpacked from it
    std::size_t entries = kMaxTreeEntries;
    u64 ratio = 400;                    ///< unpacked bytes to packed ones, beyond `ratio_from` bytes
    u64 ratio_from = u64{64} << 20;
};

enum class Compression : u8 { None, Gzip, Zstd };
/// Told from the first bytes.
Compression compression_of(const Bytes& bytes);
/// The bytes inside gzip or zstd, or the same bytes when they are neither. One level only. `name` is for the sentence.
Result<Bytes> decompress(const Bytes& bytes, const std::string& name, const ArchiveLimits& limits);

/// Reads a layer's archive that is not compressed (any more).
Result<Layer> read_layer(const Bytes& archive, const std::string& name, const ArchiveLimits& limits);
/// A layer as a pax archive: the same layer gives the same bytes.
Result<Bytes> write_layer(const Layer& layer);

/// The files of an archive by clean name; links to files of the archive stand for what they name.
Result<std::map<std::string, Bytes>> read_files(const Bytes& archive, const std::string& name, const ArchiveLimits& limits);
/// An archive of plain files.
Result<Bytes> write_files(const std::map<std::string, Bytes>& files);

} // namespace trapeze::container
