// Devices, addresses, routes and neighbours: netlink, veth pairs, bridges, forwarding, and the texts about them.
#include "network.h"

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
        pid_t server = START({
            enter(pids[1]);
            struct pollfd poller = {bound(SOCK_DGRAM, "0.0.0.0", 7), POLLIN, 0};
            set_flag(5 + on);
            SHOW(on ? "forwarded" : "dropped", poll(&poller, 1, 300));
        });
        await_flag(5 + on);
        RUN({ enter(pids[0]); int fd = socket(AF_INET, SOCK_DGRAM, 0); connected(fd, "10.5.0.2", 7); send(fd, "x", 1, 0); });
        wait_for(server);
    }
    kill(pids[0], SIGKILL), kill(pids[1], SIGKILL);
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
