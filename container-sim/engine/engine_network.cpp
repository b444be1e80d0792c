// The engine's networks: a bridge of the host for each, addresses for those who are plugged in, ports that the host passes on.
#include "container-sim/engine/engine.hpp"

#include "container-sim/errno.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::container {

using namespace planning;

namespace {

constexpr Ipv4 kFirstSubnet = 172u << 24 | 17u << 16; // 172.17.0.0/16, as Docker's
constexpr unsigned kPrefix = 16;
constexpr std::size_t kMostNetworks = 14;             // up to 172.31.0.0/16

Step rule_step(const NatRule& rule, const std::string& shown, bool removes) {
    Step step;
    step.special = Step::Special::Rule, step.call = "nft", step.rule = rule, step.removes_rule = removes;
    step.arguments = {text(shown)};
    return step;
}
Step add_rule(const NatRule& rule, const std::string& shown, const std::string& why) {
    Step step = rule_step(rule, "add rule nat " + shown, false);
    step.why = why, step.undo = {rule_step(rule, "delete rule nat " + shown, true)};
    return step;
}

NatRule masquerade(const BridgeNetwork& network) {
    NatRule rule;
    rule.hook = NatHook::PostRouting, rule.action = NatAction::Masquerade, rule.source = network.subnet, rule.source_prefix = static_cast<u8>(network.prefix);
    rule.out = network.device, rule.not_out = true;
    return rule;
}
/// The host itself talks to a published port from its own loopback address: the answer must come back.
NatRule masquerade_own(const BridgeNetwork& network) {
    NatRule rule;
    rule.hook = NatHook::PostRouting, rule.action = NatAction::Masquerade, rule.source = 127u << 24, rule.source_prefix = 8, rule.out = network.device;
    return rule;
}

NatRule published(const PortMap& port, Ipv4 address, NatHook hook) {
    NatRule rule;
    rule.hook = hook, rule.action = NatAction::Dnat, rule.protocol = port.protocol, rule.local_destination = true, rule.port = port.host, rule.to = address, rule.to_port = port.inside;
    return rule;
}
std::string published_text(const PortMap& port, Ipv4 address, NatHook hook) {
    return fmt::format("{} fib daddr type local {} dport {} dnat to {}:{}", hook == NatHook::PreRouting ? "prerouting" : "output", port.protocol == kIpUdp ? "udp" : "tcp", port.host,
                       ip_text(address), port.inside);
}

} // namespace

Result<std::string> Engine::create_network(Machine& machine, Kernel& kernel, const std::string& name) {
    const bool good = !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '.' || c == '-'; });
    if (!good || name == "host" || name == "none" || name == "container") return Error{fmt::format("network {}: choose another name, of letters, digits, _ . and -", name)};
    if (std::any_of(networks_.begin(), networks_.end(), [&](const BridgeNetwork& one) { return one.name == name; })) return Error{fmt::format("network {}: there is one of this name already", name)};
    BridgeNetwork network;
    network.name = name, network.id = hex_of(digest_of("network " + name + fmt::format(" {}", networks_.size()))), network.prefix = kPrefix;
    network.device = name == "bridge" ? "docker0" : "br-" + network.id.substr(0, 12);
    std::size_t free = 0;
    const auto taken = [&](std::size_t at) { return std::any_of(networks_.begin(), networks_.end(), [&](const BridgeNetwork& one) { return one.subnet == kFirstSubnet + (at << 16); }); };
    while (taken(free)) ++free;
    if (free >= kMostNetworks) return Error{fmt::format("network {}: there are {} already, and no addresses for more; remove one", name, networks_.size())};
    network.subnet = static_cast<Ipv4>(kFirstSubnet + (free << 16)), network.gateway = network.subnet + 1;
    Calls steps{make_bridge(network.device)};
    give_address(steps, Step::By::Engine, network.device, network.gateway, network.prefix, "engine_netlink");
    steps.push_back(add_rule(masquerade(network), fmt::format("postrouting ip saddr {}/{} oifname != \"{}\" masquerade", ip_text(network.subnet), network.prefix, network.device),
                             "what leaves the bridge's network carries the host's address"));
    steps.push_back(add_rule(masquerade_own(network), fmt::format("postrouting ip saddr 127.0.0.0/8 oifname \"{}\" masquerade", network.device), "so do the host's own calls of published ports"));
    if (auto made = perform(machine, kernel, "network " + name, steps); !made) return Error{made.error()};
    networks_.push_back(network);
    return network.id;
}

Result<void> Engine::remove_network(Machine& machine, Kernel& kernel, const std::string& name) {
    const auto found = std::find_if(networks_.begin(), networks_.end(), [&](const BridgeNetwork& one) { return one.name == name || (name.size() > 3 && one.id.starts_with(name)); });
    if (found == networks_.end()) return Error{fmt::format("network {}: there is no such network; network ls lists them", name)};
    if (found->name == "bridge") return Error{"network bridge: this one is the default for all containers and stays"};
    for (const Container& container : containers_)
        if (container.network == found->name) return Error{fmt::format("network {}: the container {} is plugged into it; stop it first", name, container.name)};
    Runtime runtime(machine, kernel, runtime_);
    (void)runtime.call(rule_step(masquerade(*found), "delete rule nat postrouting masquerade", true));
    (void)runtime.call(rule_step(masquerade_own(*found), "delete rule nat postrouting masquerade", true));
    (void)runtime.call(drop_link(found->device));
    networks_.erase(found);
    return {};
}

/// The lowest address that is free; none for a container without a network of this kind.
Result<void> Engine::plug(Container& container, NetworkPlan& plan) {
    const SpecNamespace* net = container.spec.find(NamespaceKind::Net);
    const std::string& wanted = container.config.network;
    plan.loopback = net && net->path.empty() && !wanted.starts_with("container:");
    if (!plan.loopback || wanted == "none" || container.config.bundle) return {};
    const auto found = std::find_if(networks_.begin(), networks_.end(), [&](const BridgeNetwork& one) { return one.name == wanted; });
    if (found == networks_.end()) return Error{fmt::format("--network {}: there is no such network; make it with network create, or give bridge, host, none or container:NAME", wanted)};
    std::vector<Ipv4> taken;
    for (const Container& other : containers_)
        if (other.network == found->name && other.address) taken.push_back(other.address);
    std::sort(taken.begin(), taken.end());
    Ipv4 address = found->gateway + 1;
    for (Ipv4 one : taken) address += one == address;
    if (address - found->subnet >= (u64{1} << (32 - found->prefix)) - 1) return Error{fmt::format("--network {}: all its addresses are given out; remove some containers", wanted)};
    plan.bridge = found->device, plan.veth = "veth" + container.id.substr(0, 7);
    plan.address = address, plan.gateway = found->gateway, plan.prefix = found->prefix;
    container.network = found->name, container.address = address;
    return {};
}

/// Before the program begins, so that it may be called at once.
void Engine::open_ports(Calls& steps, const Container& container) const {
    Calls rules;
    for (const PortMap& port : container.config.ports)
        for (NatHook hook : {NatHook::PreRouting, NatHook::Output})
            rules.push_back(add_rule(published(port, container.address, hook), published_text(port, container.address, hook), fmt::format("the host's port {} is the container's {}", port.host, port.inside)));
    steps.insert(steps.end() - 1, rules.begin(), rules.end());
}

void Engine::close_ports(Machine& machine, Kernel& kernel, const Container& container) {
    if (!container.pid || container.network.empty()) return;
    Runtime runtime(machine, kernel, runtime_);
    for (const PortMap& port : container.config.ports)
        for (NatHook hook : {NatHook::PreRouting, NatHook::Output})
            (void)runtime.call(rule_step(published(port, container.address, hook), "delete rule nat " + published_text(port, container.address, hook), true));
}

std::string Engine::hosts_text(const Container& container) const {
    std::string all = "127.0.0.1\tlocalhost\n";
    if (container.address) all += fmt::format("{}\t{}\n", ip_text(container.address), container.spec.hostname);
    for (const Container& other : containers_)
        if (other.id != container.id && other.address && other.network == container.network) all += fmt::format("{}\t{} {}\n", ip_text(other.address), other.name, other.id.substr(0, 12));
    return all;
}

/// Who is plugged into a network has all its members in /etc/hosts: in place of a name server.
void Engine::tell_hosts(Machine& machine, Kernel& kernel, const std::string& network) {
    constexpr std::size_t kMostTold = 64; // beyond it names would cost more than they are worth
    std::vector<const Container*> members;
    for (const Container& one : containers_)
        if (one.runs() && one.network == network && members.size() <= kMostTold) members.push_back(&one);
    if (members.size() > kMostTold) return;
    Calls steps;
    for (const Container* one : members) write_file(steps, Step::By::Engine, one->folder() + "/hosts", hosts_text(*one), "names of its network", true);
    for (Step& step : steps) step.undo.clear();
    (void)perform(machine, kernel, "network " + network, steps);
}

} // namespace trapeze::container
