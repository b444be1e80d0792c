// Traffic: UDP, TCP, ICMP and packet sockets over lo and veth pairs.
#include "network.h"

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
