#include "emulator/trace/pcapng.hpp"

#include <cstring>
#include <string_view>

namespace trapeze {

namespace {
constexpr u32 kSectionHeader = 0x0a0d'0d0a, kByteOrder = 0x1a2b'3c4d, kInterface = 1, kEnhancedPacket = 6; // block types
constexpr u16 kMajor = 1, kMinor = 0, kEthernet = 1;
constexpr u32 kSnapLength = 65535;
constexpr u16 kOptionEnd = 0, kOptionName = 2, kOptionResolution = 9, kOptionApplication = 4;
constexpr u8 kNanoseconds = 9; // 10^-9 s

/// Blocks of little-endian words. Each begins and ends with its length, and everything in it is padded to words.
class Writer {
  public:
    template <class T> void put(T value) { append(std::span(reinterpret_cast<const u8*>(&value), sizeof value)); }
    void padded(std::span<const u8> bytes) {
        append(bytes);
        out_.resize((out_.size() + 3) & ~std::size_t{3});
    }
    void option(u16 code, std::string_view value) {
        put(code), put(static_cast<u16>(value.size()));
        padded(std::span(reinterpret_cast<const u8*>(value.data()), value.size()));
    }
    void begin(u32 type) {
        start_ = out_.size();
        put(type), put(u32{0});
    }
    void end() {
        const u32 length = static_cast<u32>(out_.size() - start_ + 4);
        put(length);
        std::memcpy(out_.data() + start_ + 4, &length, sizeof length);
    }
    std::vector<u8> take() { return std::move(out_); }

  private:
    void append(std::span<const u8> bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
    std::vector<u8> out_;
    std::size_t start_ = 0;
};
} // namespace

std::vector<u8> pcapng(std::span<const CapturedFrame> frames, const std::vector<std::string>& interfaces) {
    Writer out;
    out.begin(kSectionHeader);
    out.put(kByteOrder), out.put(kMajor), out.put(kMinor), out.put(~u64{0}); // of unknown length
    out.option(kOptionApplication, "trapeze");
    out.option(kOptionEnd, "");
    out.end();
    for (const std::string& name : interfaces) {
        out.begin(kInterface);
        out.put(kEthernet), out.put(u16{0}), out.put(kSnapLength);
        out.option(kOptionName, name);
        const char resolution = kNanoseconds;
        out.option(kOptionResolution, {&resolution, 1});
        out.option(kOptionEnd, "");
        out.end();
    }
    for (const CapturedFrame& frame : frames) {
        out.begin(kEnhancedPacket);
        out.put(frame.interface), out.put(static_cast<u32>(frame.time_ns >> 32)), out.put(static_cast<u32>(frame.time_ns));
        out.put(static_cast<u32>(frame.bytes.size())), out.put(static_cast<u32>(frame.bytes.size()));
        out.padded(frame.bytes);
        out.end();
    }
    return out.take();
}

} // namespace trapeze
