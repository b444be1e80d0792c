#include "scenarios/guest_memory.hpp"

#include "scenarios/looking.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <vector>

namespace trapeze::scenarios {

namespace {

constexpr std::size_t kMostBytes = 64; // of a search or an edit

std::optional<u64> find_in(const Hart& view, Bus& bus, u64 address, AddressSpace space) {
    const auto in_ram = [&](u64 at) { return bus.in_ram(at, 1) ? std::optional(at) : std::nullopt; };
    if (space == AddressSpace::Physical) return in_ram(address);
    for (Access access : {Access::Load, Access::Fetch})
        if (const PageWalk walk = view.translate(address, access, bus); walk.outcome == PageWalk::Outcome::Ok) return in_ram(walk.physical);
    for (Priv priv : {Priv::S, Priv::U})
        for (Access access : {Access::Load, Access::Fetch})
            if (const PageWalk walk = view.translate_as({priv, view.state.virt}, address, access, bus); walk.outcome == PageWalk::Outcome::Ok) return in_ram(walk.physical);
    return std::nullopt;
}

Bus bus_of(const Session& session, AddressSpace space) { return space == AddressSpace::Physical ? look_at_guest(session) : look_as_walker(session); }

} // namespace

std::optional<u64> ram_address(const Session& session, unsigned hart, u64 address, AddressSpace space) {
    Bus bus = bus_of(session, space);
    return find_in(session.walk_view(hart), bus, address, space);
}

std::size_t read_guest_memory(const Session& session, unsigned hart, u64 address, AddressSpace space, std::span<u8> out) {
    const Hart view = session.walk_view(hart);
    Bus bus = bus_of(session, space);
    std::size_t done = 0;
    while (done < out.size()) {
        const auto at = find_in(view, bus, address + done, space);
        const std::size_t chunk = std::min<std::size_t>(out.size() - done, kPageSize - ((address + done) & kPageMask));
        if (!at || !bus.in_ram(*at, chunk)) break;
        bus.ram.read(bus.ram_offset(*at), out.subspan(done, chunk));
        done += chunk;
    }
    return done;
}

Result<void> write_guest_memory(Session& session, unsigned hart, u64 address, AddressSpace space, std::span<const u8> in) {
    const Hart view = session.walk_view(hart);
    Bus bus = bus_of(session, space);
    struct Piece {
        u64 physical;
        std::span<const u8> bytes;
    };
    std::vector<Piece> pieces;
    for (std::size_t done = 0; done < in.size(); done += pieces.back().bytes.size()) {
        const auto at = find_in(view, bus, address + done, space);
        const std::size_t chunk = std::min<std::size_t>(in.size() - done, kPageSize - ((address + done) & kPageMask));
        if (!at || !bus.in_ram(*at, chunk)) return Error{fmt::format("0x{:x}: no memory is mapped there, so nothing was written", address + done)};
        pieces.push_back({*at, in.subspan(done, chunk)});
    }
    for (const Piece& piece : pieces) bus.ram.write(bus.ram_offset(piece.physical), piece.bytes);
    session.note_edit();
    return {};
}

std::optional<u64> MemorySearch::go_on(const Session& session, unsigned pages) {
    std::vector<u8> page(kPageSize + kMostBytes);
    for (unsigned i = 0; i < pages && left; ++i) {
        const u64 in_page = std::min<u64>(kPageSize - (at & kPageMask), left);
        const std::size_t got = read_guest_memory(session, 0, at, space, std::span(page).first(in_page + bytes.size() - 1));
        const auto end = page.begin() + static_cast<std::ptrdiff_t>(got);
        const auto found = std::search(page.begin(), end, bytes.begin(), bytes.end(), [](u8 a, char b) { return a == static_cast<u8>(b); });
        if (found != end && got) {
            const u64 address = at + static_cast<u64>(found - page.begin());
            left -= std::min(left, address + 1 - at), at = address + 1;
            return address;
        }
        at += in_page, left -= in_page;
    }
    return std::nullopt;
}

Result<std::string> parse_bytes(const std::string& text) {
    const auto refuse = [&] { return Error{fmt::format("\"{}\" is no bytes; write them as de ad be ef, as a number such as 0xdeadbeef, or as \"text\"; at most {}", text, kMostBytes)}; };
    if (text.size() > 2 && text.front() == '"' && text.back() == '"') return text.size() - 2 <= kMostBytes ? Result<std::string>(text.substr(1, text.size() - 2)) : refuse();
    std::string digits;
    for (char c : text) {
        if (c == ' ') continue;
        digits += c;
    }
    const bool number = digits.starts_with("0x");
    if (number) digits.erase(0, 2);
    if (number && digits.size() % 2) digits.insert(digits.begin(), '0');
    if (digits.empty() || digits.size() % 2 || digits.size() / 2 > kMostBytes) return refuse();
    std::string bytes;
    for (std::size_t i = 0; i < digits.size(); i += 2) {
        if (!std::isxdigit(static_cast<unsigned char>(digits[i])) || !std::isxdigit(static_cast<unsigned char>(digits[i + 1]))) return refuse();
        bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
    }
    if (number) std::reverse(bytes.begin(), bytes.end());
    return bytes;
}

} // namespace trapeze::scenarios
