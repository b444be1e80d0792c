// The network: devices, addresses and routes through netlink, veth pairs and bridges, UDP, TCP, ICMP, packet sockets.
#include "check.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <linux/sockios.h>

// --- requests of rtnetlink, with their answers as errno
static struct { struct nlmsghdr head; char body[1024]; } request;
static void begin(int type, int flags, const void *data, int size) {
    memset(&request, 0, sizeof request);
    request.head = (struct nlmsghdr){.nlmsg_len = NLMSG_LENGTH(size), .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags, .nlmsg_seq = 1};
    memcpy(NLMSG_DATA(&request.head), data, size);
}
static struct rtattr *add(int type, const void *data, int size) {
    struct rtattr *attribute = (struct rtattr *)((char *)&request + NLMSG_ALIGN(request.head.nlmsg_len));
    attribute->rta_type = type, attribute->rta_len = RTA_LENGTH(size);
    if (size) memcpy(RTA_DATA(attribute), data, size);
    request.head.nlmsg_len = NLMSG_ALIGN(request.head.nlmsg_len) + RTA_ALIGN(attribute->rta_len);
    return attribute;
}
static void end(struct rtattr *nest) { nest->rta_len = (char *)&request + request.head.nlmsg_len - (char *)nest; }
static long ask(void) {
    char answer[4096];
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
    must("netlink", fd);
    must("send", send(fd, &request, request.head.nlmsg_len, 0));
    must("recv", recv(fd, answer, sizeof answer, 0));
    close(fd);
    struct nlmsghdr *head = (struct nlmsghdr *)answer;
    if (head->nlmsg_type != NLMSG_ERROR) return errno = ENOMSG, -1;
    errno = -((struct nlmsgerr *)NLMSG_DATA(head))->error;
    return errno ? -1 : 0;
}
static long make_veth(const char *name, const char *peer) {
    struct ifinfomsg link = {0};
    begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof link);
    add(IFLA_IFNAME, name, strlen(name) + 1);
    struct rtattr *info = add(IFLA_LINKINFO, 0, 0);
    add(IFLA_INFO_KIND, "veth", 4);
    struct rtattr *data = add(IFLA_INFO_DATA, 0, 0), *other = add(VETH_INFO_PEER, &link, sizeof link);
    add(IFLA_IFNAME, peer, strlen(peer) + 1);
    end(other), end(data), end(info);
    return ask();
}
static long make_link(const char *name, const char *kind) {
    struct ifinfomsg link = {0};
    begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof link);
    add(IFLA_IFNAME, name, strlen(name) + 1);
    struct rtattr *info = add(IFLA_LINKINFO, 0, 0);
    add(IFLA_INFO_KIND, kind, strlen(kind));
    end(info);
    return ask();
}
static long set_link(const char *name, int attribute, int value) {
    struct ifinfomsg link = {.ifi_index = if_nametoindex(name)};
    begin(RTM_NEWLINK, 0, &link, sizeof link);
    if (attribute) add(attribute, &value, sizeof value);
    return ask();
}
static long up(const char *name, bool on) {
    struct ifinfomsg link = {.ifi_index = if_nametoindex(name), .ifi_flags = on ? IFF_UP : 0, .ifi_change = IFF_UP};
    begin(RTM_NEWLINK, 0, &link, sizeof link);
    return ask();
}
static long delete_link(const char *name) {
    struct ifinfomsg link = {.ifi_index = if_nametoindex(name)};
    begin(RTM_DELLINK, 0, &link, sizeof link);
    return ask();
}
static long address(const char *name, const char *text, int length) {
    struct ifaddrmsg message = {.ifa_family = AF_INET, .ifa_prefixlen = length, .ifa_index = if_nametoindex(name)};
    struct in_addr number;
    inet_aton(text, &number);
    begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &message, sizeof message);
    add(IFA_LOCAL, &number, 4), add(IFA_ADDRESS, &number, 4);
    return ask();
}
static long route(int type, const char *to, int length, const char *gateway) {
    struct rtmsg message = {.rtm_family = AF_INET, .rtm_dst_len = length, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT, .rtm_type = RTN_UNICAST};
    struct in_addr number;
    begin(type, type == RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_EXCL : 0, &message, sizeof message);
    inet_aton(to, &number), add(RTA_DST, &number, 4);
    inet_aton(gateway, &number), add(RTA_GATEWAY, &number, 4);
    return ask();
}

// --- sockets
static struct sockaddr_in at(const char *text, int port) {
    struct sockaddr_in result = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_aton(text, &result.sin_addr);
    return result;
}
static int bound(int type, const char *text, int port) {
    struct sockaddr_in here = at(text, port);
    int fd = socket(AF_INET, type, 0);
    must("socket", fd);
    return bind(fd, (struct sockaddr *)&here, sizeof here) < 0 ? -1 : fd;
}
static int listening(const char *text, int port) {
    int fd = bound(SOCK_STREAM, text, port);
    return fd < 0 || listen(fd, 5) < 0 ? -1 : fd;
}
static long connected(int fd, const char *text, int port) {
    struct sockaddr_in there = at(text, port);
    return connect(fd, (struct sockaddr *)&there, sizeof there);
}
static int tcp(void) { return socket(AF_INET, SOCK_STREAM, 0); }
static long port_of(int fd) {
    struct sockaddr_in here;
    socklen_t size = sizeof here;
    return getsockname(fd, (struct sockaddr *)&here, &size) < 0 ? -1 : ntohs(here.sin_port);
}
// A connection over lo: ends[0] the client's, ends[1] the server's
static void tcp_pair(int ends[2]) {
    int listener = listening("127.0.0.1", 5000);
    must("listen", listener);
    ends[0] = tcp();
    MUST(connected(ends[0], "127.0.0.1", 5000));
    must("accept", ends[1] = accept(listener, 0, 0));
    close(listener);
}
// Another net namespace held by a sleeping child, with a veth pair v0 (here, 10.1.0.1/24) and v1 (there, 10.1.0.2/24), all up
static pid_t neighbour(void) {
    own_network();
    pid_t pid = START({ own_network(); set_flag(15); pause(); });
    await_flag(15);
    must("veth", make_veth("v0", "v1"));
    must("move", set_link("v1", IFLA_NET_NS_PID, pid));
    MUST(address("v0", "10.1.0.1", 24));
    MUST(up("v0", true));
    RUN({ MUST(setns(ns_open(pid, "net"), CLONE_NEWNET)); MUST(address("v1", "10.1.0.2", 24)); MUST(up("v1", true)); });
    return pid;
}
static void enter(pid_t pid) { MUST(setns(ns_open(pid, "net"), CLONE_NEWNET)); }
static int events_of(int fd) {
    struct pollfd poller = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
    poll(&poller, 1, 0);
    return poller.revents;
}

CHECK(link_veth_pairs) {
    own_network();
    SHOW("make", make_veth("v0", "v1"));
    SHOW("again", make_veth("v0", "v2"));
    say("indices=%d,%d", if_nametoindex("v0") != 0, if_nametoindex("v1") != 0);
    SHOW("delete", delete_link("v0"));
    say("peer-gone=%d", if_nametoindex("v1") == 0);
    SHOW("missing", delete_link("v0"));
    SHOW("unknown-kind", make_link("x", "nosuchkind"));
    SHOW("long-name", make_veth("a-name-of-sixteen", "v1"));
    SHOW("slash", make_link("a/b", "bridge"));
    SHOW("delete-lo", delete_link("lo"));
    RUN({ become(1000); SHOW("user", make_veth("u0", "u1")); });
}

// A device's flags, once it runs or does not: that is noticed a little later
static void show_flags(const char *label, const char *name, bool running) {
    struct ifreq query = {0};
    strcpy(query.ifr_name, name);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    for (int i = 0; i < 2000; i++, nap(2)) {
        MUST(ioctl(fd, SIOCGIFFLAGS, &query));
        if (!!(query.ifr_flags & IFF_RUNNING) == running) break;
    }
    close(fd);
    say("%s=%x", label, query.ifr_flags & 0xffff);
}
CHECK(link_flags_and_carrier) {
    own_network();
    make_veth("v0", "v1");
    struct ifreq query = {.ifr_name = "v0"};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    show_flags("new", "v0", false);
    up("v0", true);
    show_flags("up-alone", "v0", false);
    up("v1", true);
    show_flags("both-up", "v0", true);
    up("v1", false);
    show_flags("peer-down", "v0", false);
    SHOW("mtu", ioctl(fd, SIOCGIFMTU, &query));
    say("mtu=%d", query.ifr_mtu);
    SHOW("set-mtu", set_link("v0", IFLA_MTU, 1400));
    SHOW("small-mtu", set_link("v0", IFLA_MTU, 10));
    SHOW("hwaddr", ioctl(fd, SIOCGIFHWADDR, &query));
    say("type=%d local=%d", query.ifr_hwaddr.sa_family, query.ifr_hwaddr.sa_data[0] & 2);
    strcpy(query.ifr_name, "none");
    SHOW("missing", ioctl(fd, SIOCGIFFLAGS, &query));
    strcpy(query.ifr_name, "lo");
    ioctl(fd, SIOCGIFMTU, &query);
    say("lo-mtu=%d", query.ifr_mtu);
}

CHECK(link_moves_between_namespaces) {
    pid_t pid = neighbour();
    say("here=%d,%d", if_nametoindex("v0") != 0, if_nametoindex("v1") != 0);
    RUN({ enter(pid); say("there=%d,%d", if_nametoindex("v0") != 0, if_nametoindex("v1") != 0); });
    SHOW("lo-stays", set_link("lo", IFLA_NET_NS_PID, pid));
    SHOW("missing-pid", set_link("v0", IFLA_NET_NS_PID, 4999));
    RUN({ make_veth("w0", "w1"); address("w0", "10.9.0.1", 24); SHOW("move", set_link("w0", IFLA_NET_NS_PID, pid)); });
    RUN({
        enter(pid);
        struct ifreq query = {.ifr_name = "w0"};
        SHOW("address-is-lost", ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCGIFADDR, &query));
    });
    kill(pid, SIGKILL);
}

CHECK(net_26_a_veth_dies_with_its_peer) {
    pid_t pid = neighbour();
    say("before=%d", if_nametoindex("v0") != 0);
    kill(pid, SIGKILL);
    wait_for(pid);
    for (int i = 0; i < 1000 && if_nametoindex("v0"); i++) nap(2);
    say("after=%d", if_nametoindex("v0") != 0);
}

CHECK(link_rename) {
    own_network();
    make_veth("v0", "v1");
    struct ifinfomsg link = {.ifi_index = if_nametoindex("v0")};
    begin(RTM_NEWLINK, 0, &link, sizeof link);
    add(IFLA_IFNAME, "eth0", 5);
    SHOW("rename", ask());
    say("eth0=%d v0=%d", if_nametoindex("eth0") == (unsigned)link.ifi_index, if_nametoindex("v0") != 0);
    link.ifi_index = if_nametoindex("v1");
    begin(RTM_NEWLINK, 0, &link, sizeof link);
    add(IFLA_IFNAME, "eth0", 5);
    SHOW("taken", ask());
}

CHECK(link_dump) {
    own_network();
    make_veth("v0", "v1");
    char answer[16384];
    struct { struct nlmsghdr head; struct ifinfomsg link; } dump = {{sizeof dump, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 7, 0}, {0}};
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), done = 0;
    send(fd, &dump, sizeof dump, 0);
    while (!done) {
        long length = recv(fd, answer, sizeof answer, 0);
        if (length <= 0) break;
        for (struct nlmsghdr *head = (void *)answer; NLMSG_OK(head, length); head = NLMSG_NEXT(head, length)) {
            if ((done = head->nlmsg_type == NLMSG_DONE)) break;
            struct ifinfomsg *link = NLMSG_DATA(head);
            int rest = IFLA_PAYLOAD(head);
            for (struct rtattr *attribute = IFLA_RTA(link); RTA_OK(attribute, rest); attribute = RTA_NEXT(attribute, rest))
                if (attribute->rta_type == IFLA_IFNAME) say("%s type=%d multi=%d seq=%d", (char *)RTA_DATA(attribute), link->ifi_type, !!(head->nlmsg_flags & NLM_F_MULTI), head->nlmsg_seq);
        }
    }
    say("done=%d", done);
}

CHECK(netlink_sockets) {
    struct sockaddr_nl here = {.nl_family = AF_NETLINK};
    socklen_t size = sizeof here;
    int fd;
    OK("socket", fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
    SHOW("bind", bind(fd, (struct sockaddr *)&here, sizeof here));
    getsockname(fd, (struct sockaddr *)&here, &size);
    say("size=%d port-is-pid=%d groups=%x", (int)size, here.nl_pid == (unsigned)getpid(), here.nl_groups);
    SHOW("protocol", socket(AF_NETLINK, SOCK_RAW, 99));
    SHOW("type", socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE));
    struct ifinfomsg link = {0};
    begin(999, 0, &link, sizeof link);
    SHOW("unknown", ask());
    begin(RTM_NEWADDR, 0, &link, 4);
    SHOW("short", ask());
    int group = 1; // RTNLGRP_LINK
    SHOW("join", setsockopt(fd, SOL_NETLINK, 1, &group, sizeof group));
    own_network();
    char answer[4096];
    SHOW("other-namespace-is-silent", recv(fd, answer, sizeof answer, MSG_DONTWAIT));
}

CHECK(netlink_events) {
    own_network();
    struct sockaddr_nl here = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR};
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    bind(fd, (struct sockaddr *)&here, sizeof here);
    make_link("br0", "bridge");
    address("br0", "10.2.0.1", 24);
    delete_link("br0");
    char answer[8192];
    int seen[100] = {0};
    for (long length; (length = recv(fd, answer, sizeof answer, MSG_DONTWAIT)) > 0;)
        for (struct nlmsghdr *head = (void *)answer; NLMSG_OK(head, length); head = NLMSG_NEXT(head, length)) if (head->nlmsg_type < 100) seen[head->nlmsg_type]++;
    say("newlink=%d newaddr=%d deladdr=%d dellink=%d", seen[RTM_NEWLINK] > 0, seen[RTM_NEWADDR], seen[RTM_DELADDR], seen[RTM_DELLINK] > 0);
}

CHECK(address_and_routes) {
    own_network();
    make_veth("v0", "v1");
    SHOW("address", address("v0", "10.1.0.1", 24));
    SHOW("again", address("v0", "10.1.0.1", 24));
    SHOW("second", address("v0", "10.1.0.7", 24));
    SHOW("down-gateway", route(RTM_NEWROUTE, "0.0.0.0", 0, "10.1.0.9"));
    up("v0", true), up("v1", true);
    SHOW("unreachable-gateway", route(RTM_NEWROUTE, "0.0.0.0", 0, "10.77.0.9"));
    SHOW("route", route(RTM_NEWROUTE, "0.0.0.0", 0, "10.1.0.9"));
    SHOW("again", route(RTM_NEWROUTE, "0.0.0.0", 0, "10.1.0.9"));
    SHOW("bits", route(RTM_NEWROUTE, "10.5.0.1", 24, "10.1.0.9"));
    FILE *file = fopen("/proc/net/route", "r");
    char line[256], name[16];
    unsigned to, via, flags, mask;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "%15s %x %x %x %*d %*d %*d %x", name, &to, &via, &flags, &mask) == 5) say("%s %08x %08x %x %08x", name, to, via, flags, mask);
    SHOW("delete", route(RTM_DELROUTE, "0.0.0.0", 0, "10.1.0.9"));
    SHOW("again", route(RTM_DELROUTE, "0.0.0.0", 0, "10.1.0.9"));
}

CHECK(address_local_routes) {
    own_network();
    make_veth("v0", "v1");
    address("v0", "10.1.0.1", 24);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    SHOW("down", connected(fd, "10.1.0.2", 9));
    SHOW("own-address-of-a-device-that-is-down", connected(fd, "10.1.0.1", 9));
    SHOW("all-of-127", connected(fd, "127.9.9.9", 9));
    SHOW("broadcast", connected(fd, "255.255.255.255", 9));
    OK("bind-own", bound(SOCK_DGRAM, "10.1.0.1", 9));
    SHOW("bind-stranger", bound(SOCK_DGRAM, "10.1.0.2", 9));
    SHOW("no-route", connected(fd, "8.8.8.8", 9));
}

CHECK(udp_over_veth) {
    pid_t pid = neighbour();
    int fd = bound(SOCK_DGRAM, "10.1.0.1", 4000);
    pid_t other = START({
        char text[16] = "";
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        enter(pid);
        int there = bound(SOCK_DGRAM, "0.0.0.0", 4001);
        set_flag(0);
        SHOW("received", recvfrom(there, text, 15, 0, (struct sockaddr *)&from, &size));
        say("%s from %s:%d", text, inet_ntoa(from.sin_addr), ntohs(from.sin_port));
        sendto(there, "answer", 6, 0, (struct sockaddr *)&from, size);
    });
    await_flag(0);
    char text[16] = "";
    connected(fd, "10.1.0.2", 4001);
    send(fd, "ask", 3, 0);
    long length = recv(fd, text, 15, 0);
    wait_for(other);
    SHOW("answer", length);
    SHOW("text", strcmp(text, "answer"));
    SHOW("closed-port", (send(fd, "x", 1, 0), nap(20), recv(fd, text, 15, MSG_DONTWAIT)));
    kill(pid, SIGKILL);
}

CHECK(udp_sockets) {
    own_network();
    char text[16];
    static char large[70000];
    int a = bound(SOCK_DGRAM, "127.0.0.1", 4000), b = socket(AF_INET, SOCK_DGRAM, 0);
    SHOW("again", bound(SOCK_DGRAM, "127.0.0.1", 4000));
    SHOW("any", bound(SOCK_DGRAM, "0.0.0.0", 4000));
    SHOW("unconnected", send(b, "x", 1, 0));
    SHOW("connect", connected(b, "127.0.0.1", 4000));
    say("given-port=%d", port_of(b) > 0);
    SHOW("send", send(b, "12345", 5, 0));
    SHOW("cut", recv(a, text, 3, 0));
    SHOW("empty", recv(a, text, 3, MSG_DONTWAIT));
    SHOW("zero", send(b, "", 0, 0));
    SHOW("zero", recv(a, text, 3, 0));
    SHOW("large", send(b, large, 65508, 0));
    SHOW("largest", send(b, large, 65507, 0));
    SHOW("unconnect", connect(b, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof(struct sockaddr)));
    SHOW("send", send(b, "x", 1, 0));
    struct sockaddr_in to = at("127.0.0.1", 4999), zero_port = at("127.0.0.1", 0);
    SHOW("closed-port", sendto(b, "x", 1, 0, (struct sockaddr *)&to, sizeof to));
    SHOW("no-error-when-unconnected", recv(b, text, 1, MSG_DONTWAIT));
    SHOW("port-0", sendto(b, "x", 1, 0, (struct sockaddr *)&zero_port, sizeof zero_port));
    connected(b, "127.0.0.1", 4999);
    send(b, "x", 1, 0);
    SHOW("refused", recv(b, text, 1, MSG_DONTWAIT));
    SHOW("listen", listen(b, 1));
    SHOW("broadcast", (to = at("255.255.255.255", 9), sendto(a, "x", 1, 0, (struct sockaddr *)&to, sizeof to)));
}

CHECK(tcp_connection) {
    own_network();
    int listener = listening("127.0.0.1", 5000), client = tcp(), server;
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    char text[16] = "";
    SHOW("refused", connected(client, "127.0.0.1", 5001));
    SHOW("connect", connected(client, "127.0.0.1", 5000));
    SHOW("write-before-accept", write(client, "hello", 5));
    OK("accept", server = accept(listener, (struct sockaddr *)&peer, &size));
    say("peer=%s port=%d", inet_ntoa(peer.sin_addr), ntohs(peer.sin_port) == port_of(client));
    SHOW("read", read(server, text, 15));
    SHOW("again", connected(client, "127.0.0.1", 5000));
    SHOW("shutdown", shutdown(client, SHUT_WR));
    SHOW("end", read(server, text, 15));
    SHOW("half-open", write(server, "back", 4));
    SHOW("read", read(client, text, 15));
    close(server);
    SHOW("end", read(client, text, 15));
    signal(SIGPIPE, SIG_IGN);
    SHOW("write-after-shutdown", write(client, "x", 1));
    SHOW("accept-nonblocking", (fcntl(listener, F_SETFL, O_NONBLOCK), accept(listener, 0, 0)));
}

CHECK(tcp_reset) {
    own_network();
    int ends[2];
    char byte;
    tcp_pair(ends);
    write(ends[0], "unread", 6);
    nap(5);
    close(ends[1]); // with data unread: a reset
    nap(5);
    say("poll=%x", events_of(ends[0]));
    SHOW("read", read(ends[0], &byte, 1));
    SHOW("then", read(ends[0], &byte, 1));
    signal(SIGPIPE, SIG_IGN);
    SHOW("write", write(ends[0], "x", 1));
    tcp_pair(ends);
    struct linger linger = {1, 0};
    setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(ends[1]);
    nap(5);
    SHOW("linger-0", read(ends[0], &byte, 1));
}

CHECK(tcp_write_to_a_closed_peer) {
    own_network();
    int ends[2];
    tcp_pair(ends);
    close(ends[1]);
    nap(5);
    signal(SIGPIPE, SIG_IGN);
    SHOW("first", write(ends[0], "x", 1));
    nap(5);
    SHOW("second", write(ends[0], "x", 1));
    int error = -1;
    socklen_t size = sizeof error;
    getsockopt(ends[0], SOL_SOCKET, SO_ERROR, &error, &size);
    say("so_error=%d", error);
}

CHECK(tcp_nonblocking_connect) {
    own_network();
    int listener = listening("127.0.0.1", 5000), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error = -1;
    socklen_t size = sizeof error;
    say("new=%x", events_of(fd));
    long result = connected(fd, "127.0.0.1", 5000);
    say("connect=%s", result == 0 || errno == EINPROGRESS ? "in-progress-or-done" : strerrorname_np(errno));
    struct pollfd poller = {fd, POLLOUT, 0};
    SHOW("poll", poll(&poller, 1, 1000));
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    say("error=%d", error);
    SHOW("again", connected(fd, "127.0.0.1", 5000));
    say("listener=%x", events_of(listener));
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connected(fd, "127.0.0.1", 5009);
    poller.fd = fd;
    poll(&poller, 1, 1000);
    say("refused=%x", poller.revents);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    say("error=%s", strerrorname_np(error));
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    say("cleared=%d", error);
}

CHECK(tcp_ports_and_reuse) {
    own_network();
    int listener = listening("127.0.0.1", 5000), one = 1;
    SHOW("taken", bound(SOCK_STREAM, "127.0.0.1", 5000));
    SHOW("taken-by-any", bound(SOCK_STREAM, "0.0.0.0", 5000));
    OK("other-address", bound(SOCK_STREAM, "127.0.0.2", 5000));
    int ends[2] = {tcp(), -1};
    connected(ends[0], "127.0.0.1", 5000);
    ends[1] = accept(listener, 0, 0);
    close(listener), close(ends[1]), nap(5), close(ends[0]), nap(5);
    SHOW("time-wait", bound(SOCK_STREAM, "127.0.0.1", 5000));
    int fd = tcp();
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in here = at("127.0.0.1", 5000);
    SHOW("reuse", bind(fd, (struct sockaddr *)&here, sizeof here));
    int unbound = tcp();
    SHOW("listen-unbound", listen(unbound, 1));
    say("given-port=%d", port_of(unbound) > 0);
    RUN({ become(1000); SHOW("low-port", bound(SOCK_STREAM, "127.0.0.1", 80)); });
    SHOW("rebind", bind(fd, (struct sockaddr *)&here, sizeof here));
    int a = tcp(), b = tcp();
    setsockopt(a, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one), setsockopt(b, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    here = at("127.0.0.1", 5003);
    SHOW("reuseport", bind(a, (struct sockaddr *)&here, sizeof here) + bind(b, (struct sockaddr *)&here, sizeof here));
}

CHECK(tcp_bulk_transfer) {
    pid_t pid = neighbour();
    enum { kBytes = 300000 };
    pid_t server = START({
        enter(pid);
        int listener = listening("0.0.0.0", 5000);
        set_flag(0);
        int fd = accept(listener, 0, 0);
        unsigned sum = 0;
        long total = 0;
        static unsigned char data[8192];
        for (long part; (part = read(fd, data, sizeof data)) > 0; total += part)
            for (long i = 0; i < part; i++) sum = sum * 31 + data[i];
        say("received=%ld sum=%u", total, sum);
    });
    await_flag(0);
    int fd = tcp();
    SHOW("connect", connected(fd, "10.1.0.2", 5000));
    static unsigned char data[kBytes];
    unsigned sum = 0;
    for (int i = 0; i < kBytes; i++) data[i] = i * 7 + i / 256, sum = sum * 31 + data[i];
    long sent = 0;
    for (long part; sent < kBytes && (part = write(fd, data + sent, kBytes - sent)) > 0;) sent += part;
    close(fd);
    wait_for(server);
    say("sent=%ld sum=%u", sent, sum);
    kill(pid, SIGKILL);
}

CHECK(tcp_window_fills) {
    own_network();
    int ends[2];
    static char data[65536];
    tcp_pair(ends);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    long total = 0;
    for (int i = 0; i < 200; i++) {
        long part = write(ends[0], data, sizeof data);
        if (part < 0) nap(2);
        else total += part;
    }
    SHOW("full", write(ends[0], data, sizeof data));
    say("poll=%x", events_of(ends[0]));
    long got = 0;
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 5000 && got < total; i++) {
        long part = read(ends[1], data, sizeof data);
        if (part < 0) nap(2);
        else got += part;
    }
    say("all=%d writable=%x", got == total, events_of(ends[0]) & POLLOUT);
}

CHECK(tcp_options_and_info) {
    own_network();
    int ends[2], value = 1;
    socklen_t size = sizeof value;
    tcp_pair(ends);
    SHOW("nodelay", setsockopt(ends[0], IPPROTO_TCP, TCP_NODELAY, &value, sizeof value));
    getsockopt(ends[0], IPPROTO_TCP, TCP_NODELAY, &value, &size);
    say("is=%d", value);
    struct tcp_info info;
    size = sizeof info;
    SHOW("info", getsockopt(ends[0], IPPROTO_TCP, TCP_INFO, &info, &size));
    say("state=%d", info.tcpi_state);
    shutdown(ends[0], SHUT_WR);
    nap(5);
    size = sizeof info;
    getsockopt(ends[0], IPPROTO_TCP, TCP_INFO, &info, &size);
    say("state=%d", info.tcpi_state);
    size = sizeof info;
    getsockopt(ends[1], IPPROTO_TCP, TCP_INFO, &info, &size);
    say("other=%d", info.tcpi_state);
    SHOW("unknown", setsockopt(ends[0], IPPROTO_TCP, 999, &value, sizeof value));
    SHOW("oob", send(ends[1], "!", 1, MSG_OOB));
    int count = -1;
    ioctl(ends[0], SIOCOUTQ, &count);
    say("outq=%d", count);
}

CHECK(tcp_backlog_and_listener_close) {
    own_network();
    int listener = listening("127.0.0.1", 5000), client = tcp();
    char byte;
    connected(client, "127.0.0.1", 5000);
    nap(5);
    close(listener); // with a connection that was never accepted
    nap(5);
    SHOW("read", read(client, &byte, 1));
    SHOW("connect", connected(tcp(), "127.0.0.1", 5000));
}

CHECK(tcp_interrupted_accept) {
    own_network();
    int listener = listening("127.0.0.1", 5000);
    pid_t pid = START({ SHOW("shut", accept(listener, 0, 0)); });
    await_sleep(pid);
    shutdown(listener, SHUT_RD);
    wait_for(pid);
}

CHECK(icmp_echo) {
    pid_t pid = neighbour();
    struct { struct icmphdr head; char data[8]; } packet = {.head = {.type = ICMP_ECHO, .un.echo = {htons(7), htons(1)}}, .data = "payload"};
    uint32_t sum = 0;
    for (unsigned i = 0; i < sizeof packet / 2; i++) sum += ((uint16_t *)&packet)[i];
    sum = (sum & 0xffff) + (sum >> 16);
    packet.head.checksum = ~(sum + (sum >> 16));
    int fd;
    OK("raw", fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    struct sockaddr_in to = at("10.1.0.2", 0);
    SHOW("send", sendto(fd, &packet, sizeof packet, 0, (struct sockaddr *)&to, sizeof to));
    unsigned char answer[128];
    SHOW("recv", recv(fd, answer, sizeof answer, 0));
    say("type=%d id=%d data=%s ttl=%d", answer[20], answer[24] << 8 | answer[25], (char *)answer + 28, answer[8]);
    RUN({ become(1000); SHOW("user", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)); });
    kill(pid, SIGKILL);
}

CHECK(icmp_host_unreachable) {
    pid_t pid = neighbour();
    int fd = tcp();
    SHOW("nobody-answers-arp", connected(fd, "10.1.0.99", 5000));
    kill(pid, SIGKILL);
}

CHECK(arp_table) {
    pid_t pid = neighbour();
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    connected(fd, "10.1.0.2", 9);
    send(fd, "x", 1, 0);
    nap(20);
    FILE *file = fopen("/proc/net/arp", "r");
    char line[256], ip[32], type[16], flags[16], mac[32], mask[8], device[16];
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "%31s %15s %15s %31s %7s %15s", ip, type, flags, mac, mask, device) == 6 && ip[0] == '1') say("%s %s %s mac=%d %s", ip, type, flags, strlen(mac) == 17, device);
    RUN({ enter(pid); get("/proc/net/arp", line, sizeof line); say("there=%d", strstr(line, "10.1.0.1") != 0); });
    kill(pid, SIGKILL);
}

CHECK(packet_sockets_see_frames) {
    pid_t pid = neighbour();
    int sniffer;
    OK("packet", sniffer = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP)));
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    connected(fd, "10.1.0.2", 9);
    send(fd, "seen", 4, 0);
    unsigned char frame[256];
    struct sockaddr_ll from;
    socklen_t size = sizeof from;
    long length = recvfrom(sniffer, frame, sizeof frame, 0, (struct sockaddr *)&from, &size);
    say("length=%ld protocol=%04x type=%d text=%.4s", length, frame[12] << 8 | frame[13], from.sll_pkttype, frame + 42);
    RUN({ become(1000); SHOW("user", socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL))); });
    kill(pid, SIGKILL);
}

CHECK(bridge_forwards) {
    own_network();
    MUST(make_link("br0", "bridge"));
    MUST(address("br0", "10.3.0.1", 24));
    MUST(up("br0", true));
    pid_t pids[2];
    for (int i = 0; i < 2; i++) {
        char name[8], inner[8], text[16];
        pids[i] = START({ own_network(); set_flag(i); pause(); });
        await_flag(i);
        snprintf(name, sizeof name, "p%d", i), snprintf(inner, sizeof inner, "c%d", i), snprintf(text, sizeof text, "10.3.0.%d", i + 2);
        MUST(make_veth(name, inner));
        MUST(set_link(name, IFLA_MASTER, if_nametoindex("br0")));
        MUST(up(name, true));
        MUST(set_link(inner, IFLA_NET_NS_PID, pids[i]));
        RUN({ enter(pids[i]); MUST(address(inner, text, 24)); MUST(up(inner, true)); });
    }
    pid_t server = START({ char text[16] = ""; enter(pids[1]); int fd = bound(SOCK_DGRAM, "0.0.0.0", 7); set_flag(5); SHOW("received", recv(fd, text, 15, 0)); });
    await_flag(5);
    RUN({ enter(pids[0]); int fd = socket(AF_INET, SOCK_DGRAM, 0); MUST(connected(fd, "10.3.0.3", 7)); MUST(send(fd, "across", 6, 0)); });
    wait_for(server);
    RUN({ enter(pids[0]); OK("host-side", connected(socket(AF_INET, SOCK_DGRAM, 0), "10.3.0.1", 7)); SHOW("tcp", connected(tcp(), "10.3.0.1", 5000)); });
    SHOW("free", set_link("p0", IFLA_MASTER, 0));
    SHOW("own-master", set_link("br0", IFLA_MASTER, if_nametoindex("br0")));
    SHOW("delete", delete_link("br0"));
    kill(pids[0], SIGKILL), kill(pids[1], SIGKILL);
}

CHECK(forwarding_needs_ip_forward) {
    own_network();
    pid_t pids[2];
    for (int i = 0; i < 2; i++) {
        char name[8], inner[8], text[16], gateway[16];
        pids[i] = START({ own_network(); set_flag(i); pause(); });
        await_flag(i);
        snprintf(name, sizeof name, "p%d", i), snprintf(inner, sizeof inner, "c%d", i);
        snprintf(text, sizeof text, "10.%d.0.2", i + 4), snprintf(gateway, sizeof gateway, "10.%d.0.1", i + 4);
        MUST(make_veth(name, inner));
        MUST(set_link(inner, IFLA_NET_NS_PID, pids[i]));
        MUST(address(name, gateway, 24)), MUST(up(name, true));
        RUN({ enter(pids[i]); MUST(address(inner, text, 24)); MUST(up(inner, true)); MUST(route(RTM_NEWROUTE, "0.0.0.0", 0, gateway)); });
    }
    show_file("ip_forward", "/proc/sys/net/ipv4/ip_forward");
    for (int on = 0; on < 2; on++) {
        if (on) SHOW("write", put("/proc/sys/net/ipv4/ip_forward", "1"));
        pid_t server = START({ char text[16]; enter(pids[1]); int fd = bound(SOCK_DGRAM, "0.0.0.0", 7); set_flag(5 + on); struct pollfd poller = {fd, POLLIN, 0}; SHOW(on ? "forwarded" : "dropped", poll(&poller, 1, 300)); (void)text; });
        await_flag(5 + on);
        RUN({ enter(pids[0]); int fd = socket(AF_INET, SOCK_DGRAM, 0); connected(fd, "10.5.0.2", 7); send(fd, "x", 1, 0); });
        wait_for(server);
    }
    kill(pids[0], SIGKILL), kill(pids[1], SIGKILL);
}

CHECK(inet_errors) {
    own_network();
    int fd = tcp();
    struct sockaddr_in here = at("127.0.0.1", 5000);
    SHOW("short", bind(fd, (struct sockaddr *)&here, 4));
    here.sin_family = AF_UNIX;
    SHOW("family", bind(fd, (struct sockaddr *)&here, sizeof here));
    SHOW("protocol", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    SHOW("unknown-protocol", socket(AF_INET, SOCK_DGRAM, 254));
    SHOW("not-connected", getpeername(fd, (struct sockaddr *)&here, &(socklen_t){sizeof here}));
    SHOW("send", send(fd, "x", 1, MSG_NOSIGNAL));
    SHOW("recv", recv(fd, &here, 1, 0));
    SHOW("accept", accept(fd, 0, 0));
    SHOW("poll", events_of(fd));
    SHOW("shutdown", shutdown(fd, SHUT_RD));
    SHOW("multicast", connected(fd, "224.0.0.1", 5000));
    SHOW("zero-is-self", connected(fd, "0.0.0.0", 5000));
}

CHECK(proc_net_texts) {
    own_network();
    make_veth("v0", "v1");
    char text[4096], *line;
    get("/proc/net/dev", text, sizeof text);
    for (line = strtok(text, "\n"); line; line = strtok(0, "\n")) {
        char name[16];
        if (sscanf(line, " %15[^:]:", name) == 1 && strchr(line, ':')) say("%s", name);
    }
    int fd = listening("127.0.0.1", 5000);
    (void)fd;
    get("/proc/net/tcp", text, sizeof text);
    line = strchr(text, '\n');
    if (line) line[1 + 34] = 0, show_text("tcp", line + 1);
    SHOW("unix", get("/proc/net/unix", text, sizeof text) > 0 ? 0 : -1);
    SHOW("sysfs", access("/sys/class/net/lo", F_OK));
    DIR *folder = opendir("/sys/class/net"); // shows the namespace of whoever mounted sysfs
    int count = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));) count += entry->d_name[0] != '.';
    say("sysfs-devices=%d", count);
}

CHECK(lo_counts_packets) {
    own_network();
    SHOW("refused", connected(tcp(), "127.0.0.1", 5000));
    char text[2048];
    get("/proc/net/dev", text, sizeof text);
    char *line = strstr(text, "lo:");
    long bytes = 0, packets = 0;
    if (line) sscanf(line + 3, "%ld %ld", &bytes, &packets);
    say("packets=%ld", packets); // a SYN and its RST
    SHOW("down", up("lo", false));
    SHOW("udp-when-down", connected(socket(AF_INET, SOCK_DGRAM, 0), "127.0.0.1", 9));
}
