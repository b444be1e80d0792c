// Fuzz target: messages of rtnetlink(7), as a privileged process sends them. Whatever they are, what comes back and what is made stays
// bounded.
#include "container-sim/net/network.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <cstdlib>

namespace {

using namespace trapeze;
using namespace trapeze::container;

Network make_network() {
    Network network;
    (void)network.add_namespace();
    const auto veth = network.add_veth(0, "v0", 1, "eth0");
    (void)network.add_address(veth->first, {ipv4(10, 0, 0, 1), 24, 0, ""});
    for (u32 device : {veth->first, veth->second}) (void)network.set_up(device, true);
    return network;
}

std::vector<std::vector<u8>> seeds() {
    std::vector<std::vector<u8>> all;
    for (u16 type : {u16{kNewLink}, u16{kSetLink}, u16{kDelLink}, u16{kGetLink}}) {
        NetlinkWriter out(type, kNlRequest | kNlAck | kNlCreate, 1, 0, LinkMessage{0, 0, 0, type == kSetLink ? 2u : 0u, 1, 1});
        out.text(kIflaName, type == kDelLink ? "v0" : "v7");
        out.number(kIflaMtu, u32{1400}), out.number(kIflaMaster, u32{3}), out.number(kIflaNetPid, u32{1});
        const std::size_t info = out.begin(kIflaLinkInfo);
        out.text(kInfoKind, "veth");
        const std::size_t data = out.begin(kInfoData), peer = out.begin(1);
        out.append(LinkMessage{});
        out.text(kIflaName, "v8");
        out.end(peer), out.end(data), out.end(info);
        all.push_back(out.take());
    }
    for (u16 type : {u16{kNewAddr}, u16{kDelAddr}}) {
        NetlinkWriter out(type, kNlRequest | kNlAck, 1, 0, AddressMessage{kAfInet, 24, 0, 0, 2});
        out.ip(kIfaLocal, ipv4(10, 1, 0, 1)), out.ip(kIfaBroadcast, ipv4(10, 1, 0, 255));
        all.push_back(out.take());
    }
    for (u16 type : {u16{kNewRoute}, u16{kDelRoute}, u16{kGetRoute}}) {
        NetlinkWriter out(type, kNlRequest | kNlAck, 1, 0, RouteMessage{kAfInet, 24, 0, 0, 254, 3, 0, 1, 0});
        out.ip(kRtaDst, ipv4(10, 2, 0, 0)), out.ip(kRtaGateway, ipv4(10, 0, 0, 2)), out.number(kRtaOif, u32{2});
        all.push_back(out.take());
    }
    NetlinkWriter neighbour(kNewNeigh, kNlRequest | kNlAck | kNlCreate, 1, 0, NeighbourMessage{kAfInet, 0, 0, 2, 0x80, 0, 0});
    neighbour.ip(kNdaDst, ipv4(10, 0, 0, 7)), neighbour.bytes(kNdaLlAddr, MacAddress{2, 1, 2, 3, 4, 5});
    all.push_back(neighbour.take());
    for (u16 type : {u16{kGetLink}, u16{kGetAddr}, u16{kGetRoute}, u16{kGetNeigh}}) all.push_back(NetlinkWriter(type, kNlRequest | kNlDump, 1, 0, LinkMessage{}).take());
    return all;
}

void run(const std::vector<u8>& input) {
    static const Network fresh = make_network();
    Network network = fresh;
    const u32 id = static_cast<u32>(network.open(0, kAfNetlink, kSockRaw, 0, {}));
    (void)network.join(id, 1, true);
    std::map<NamespaceRequest, i64> resolved;
    for (const NamespaceRequest& named : namespaces_named(input)) resolved[named] = named.value % 3 ? i64{1} : -3;
    for (int i = 0; i < 20; ++i) (void)network.send(id, input, {.to = nullptr, .privileged = true, .resolved = resolved});
    if (network.socket(id).queued > (4u << 20)) std::abort();
    while (network.receive(id, 65536).result > 0) {}
    network.close(id);
    network.remove_namespace(1);
}

const fuzz::Registration registration({"container-netlink", run, seeds});

} // namespace
