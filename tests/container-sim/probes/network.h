// Devices, addresses and routes through rtnetlink, and inet sockets, for the checks of the network.
#ifndef NETWORK_H
#define NETWORK_H

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
static inline void begin(int type, int flags, const void *data, int size) {
    memset(&request, 0, sizeof request);
    request.head = (struct nlmsghdr){.nlmsg_len = NLMSG_LENGTH(size), .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags, .nlmsg_seq = 1};
    memcpy(NLMSG_DATA(&request.head), data, size);
}
static inline struct rtattr *add(int type, const void *data, int size) {
    struct rtattr *attribute = (struct rtattr *)((char *)&request + NLMSG_ALIGN(request.head.nlmsg_len));
    attribute->rta_type = type, attribute->rta_len = RTA_LENGTH(size);
    if (size) memcpy(RTA_DATA(attribute), data, size);
    request.head.nlmsg_len = NLMSG_ALIGN(request.head.nlmsg_len) + RTA_ALIGN(attribute->rta_len);
    return attribute;
}
static inline void end(struct rtattr *nest) { nest->rta_len = (char *)&request + request.head.nlmsg_len - (char *)nest; }
static inline long ask(void) {
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
static inline long make_veth(const char *name, const char *peer) {
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
static inline long make_link(const char *name, const char *kind) {
    struct ifinfomsg link = {0};
    begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof link);
    add(IFLA_IFNAME, name, strlen(name) + 1);
    struct rtattr *info = add(IFLA_LINKINFO, 0, 0);
    add(IFLA_INFO_KIND, kind, strlen(kind));
    end(info);
    return ask();
}
static inline long set_link(const char *name, int attribute, int value) {
    struct ifinfomsg link = {.ifi_index = if_nametoindex(name)};
    begin(RTM_NEWLINK, 0, &link, sizeof link);
    if (attribute) add(attribute, &value, sizeof value);
    return ask();
}
static inline long up(const char *name, bool on) {
    struct ifinfomsg link = {.ifi_index = if_nametoindex(name), .ifi_flags = on ? IFF_UP : 0, .ifi_change = IFF_UP};
    begin(RTM_NEWLINK, 0, &link, sizeof link);
    return ask();
}
static inline long delete_link(const char *name) {
    struct ifinfomsg link = {.ifi_index = if_nametoindex(name)};
    begin(RTM_DELLINK, 0, &link, sizeof link);
    return ask();
}
static inline long address(const char *name, const char *text, int length) {
    struct ifaddrmsg message = {.ifa_family = AF_INET, .ifa_prefixlen = length, .ifa_index = if_nametoindex(name)};
    struct in_addr number;
    inet_aton(text, &number);
    begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &message, sizeof message);
    add(IFA_LOCAL, &number, 4), add(IFA_ADDRESS, &number, 4);
    return ask();
}
static inline long route(int type, const char *to, int length, const char *gateway) {
    struct rtmsg message = {.rtm_family = AF_INET, .rtm_dst_len = length, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT, .rtm_type = RTN_UNICAST};
    struct in_addr number;
    begin(type, type == RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_EXCL : 0, &message, sizeof message);
    inet_aton(to, &number), add(RTA_DST, &number, 4);
    inet_aton(gateway, &number), add(RTA_GATEWAY, &number, 4);
    return ask();
}

// --- sockets
static inline struct sockaddr_in at(const char *text, int port) {
    struct sockaddr_in result = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_aton(text, &result.sin_addr);
    return result;
}
static inline int bound(int type, const char *text, int port) {
    struct sockaddr_in here = at(text, port);
    int fd = socket(AF_INET, type, 0);
    must("socket", fd);
    return bind(fd, (struct sockaddr *)&here, sizeof here) < 0 ? -1 : fd;
}
static inline int listening(const char *text, int port) {
    int fd = bound(SOCK_STREAM, text, port);
    return fd < 0 || listen(fd, 5) < 0 ? -1 : fd;
}
static inline long connected(int fd, const char *text, int port) {
    struct sockaddr_in there = at(text, port);
    return connect(fd, (struct sockaddr *)&there, sizeof there);
}
static inline int tcp(void) { return socket(AF_INET, SOCK_STREAM, 0); }
static inline long port_of(int fd) {
    struct sockaddr_in here;
    socklen_t size = sizeof here;
    return getsockname(fd, (struct sockaddr *)&here, &size) < 0 ? -1 : ntohs(here.sin_port);
}
// A connection over lo: ends[0] the client's, ends[1] the server's
static inline void tcp_pair(int ends[2]) {
    int listener = listening("127.0.0.1", 5000);
    must("listen", listener);
    ends[0] = tcp();
    MUST(connected(ends[0], "127.0.0.1", 5000));
    must("accept", ends[1] = accept(listener, 0, 0));
    close(listener);
}
// Another net namespace held by a sleeping child, with a veth pair v0 (here, 10.1.0.1/24) and v1 (there, 10.1.0.2/24), all up
static inline pid_t neighbour(void) {
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
static inline void enter(pid_t pid) { MUST(setns(ns_open(pid, "net"), CLONE_NEWNET)); }
static inline int events_of(int fd) {
    struct pollfd poller = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
    poll(&poller, 1, 0);
    return poller.revents;
}

#endif
