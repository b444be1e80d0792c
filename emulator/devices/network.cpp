#include "emulator/devices/network.hpp"

#include "emulator/devices/gateway.hpp"

#include <algorithm>

namespace trapeze {

namespace {
MacAddress address_at(const Frame& frame, std::size_t offset) {
    MacAddress address;
    std::copy_n(frame->begin() + static_cast<std::ptrdiff_t>(offset), address.size(), address.begin());
    return address;
}
MacAddress destination(const Frame& frame) { return address_at(frame, 0); }
MacAddress source(const Frame& frame) { return address_at(frame, 6); }
bool is_group(const MacAddress& address) { return address[0] & 1; } ///< multicast and broadcast
} // namespace

void Network::send(unsigned port, Frame frame, u64 ticks) {
    if (port >= ports_ || !frame || frame->size() < kMinFrame || frame->size() > kMaxFrame || flying_.size() >= kMaxInFlight) {
        ++dropped_;
        return;
    }
    // A hart whose clock is behind another's must not overtake what that one sent.
    const u64 arrives = std::max(ticks + std::min(kLatencyTicks, ~u64{0} - ticks), flying_.empty() ? 0 : flying_.back().arrives);
    flying_.push_back({arrives, port, std::move(frame)});
}

std::optional<Network::Delivery> Network::take(u64 ticks) {
    if (flying_.empty() || flying_.front().arrives > ticks) return std::nullopt;
    const Flying passing = std::move(flying_.front());
    flying_.pop_front();
    note(passing);
    const MacAddress from = source(passing.frame), to = destination(passing.frame);
    if (!is_group(from) && (addresses_.size() < kMaxAddresses || addresses_.count(from))) addresses_[from] = passing.port;
    Delivery delivery{passing.frame, {}};
    const auto known = is_group(to) ? addresses_.end() : addresses_.find(to);
    for (unsigned port = 0; port < ports_; ++port) {
        if (port == passing.port || (known != addresses_.end() && known->second != port)) continue;
        if (port == kGateway) ask_gateway(passing);
        else delivery.ports.push_back(port);
    }
    return delivery;
}

void Network::ask_gateway(const Flying& passing) {
    if (auto answer = gateway_answer(*passing.frame)) send(kGateway, std::make_shared<const std::vector<u8>>(std::move(*answer)), passing.arrives);
}

void Network::note(const Flying& passing) {
    if (!capturing_) return;
    if (captured_bytes_ + passing.frame->size() > kMaxCaptureBytes) {
        ++not_captured_;
        return;
    }
    captured_bytes_ += passing.frame->size();
    captured_.push_back({passing.arrives, passing.port, passing.frame});
}

void Network::reset() {
    flying_.clear();
    addresses_.clear();
}

void Network::state(StateArchive& archive) {
    u64 flying = flying_.size(), known = addresses_.size();
    archive(flying), archive(known), archive(dropped_);
    if (!archive.loading()) {
        for (Flying& f : flying_) {
            std::vector<u8> bytes = *f.frame;
            archive(f.arrives), archive(f.port), archive(bytes);
        }
        for (const auto& [known_address, known_port] : addresses_) {
            MacAddress address = known_address;
            unsigned port = known_port;
            archive(address), archive(port);
        }
        return;
    }
    reset();
    for (u64 i = 0; i < flying && !archive.failed(); ++i) {
        Flying f{};
        std::vector<u8> bytes;
        archive(f.arrives), archive(f.port), archive(bytes);
        if (archive.failed() || bytes.size() < kMinFrame || bytes.size() > kMaxFrame || flying_.size() >= kMaxInFlight || f.port >= ports_) continue;
        if (!flying_.empty()) f.arrives = std::max(f.arrives, flying_.back().arrives);
        f.frame = std::make_shared<const std::vector<u8>>(std::move(bytes));
        flying_.push_back(std::move(f));
    }
    for (u64 i = 0; i < known && !archive.failed(); ++i) {
        MacAddress address{};
        unsigned port = 0;
        archive(address), archive(port);
        if (!archive.failed() && port < ports_ && addresses_.size() < kMaxAddresses) addresses_[address] = port;
    }
}

} // namespace trapeze
