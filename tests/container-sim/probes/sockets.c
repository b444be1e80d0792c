// Unix sockets and what all sockets have in common.
#include "check.h"

#include <netinet/in.h>
#include <stddef.h>

static socklen_t address_of(struct sockaddr_un *at, const char *name) {
    memset(at, 0, sizeof *at);
    at->sun_family = AF_UNIX;
    strcpy(at->sun_path + (name[0] == '@'), name + (name[0] == '@'));
    return offsetof(struct sockaddr_un, sun_path) + strlen(name) + (name[0] != '@');
}
static int bound(int type, const char *name) {
    struct sockaddr_un at;
    socklen_t size = address_of(&at, name);
    int fd = socket(AF_UNIX, type, 0);
    must("socket", fd);
    int result = bind(fd, (struct sockaddr *)&at, size);
    return result < 0 ? -1 : fd;
}
static long connected(int fd, const char *name) {
    struct sockaddr_un at;
    socklen_t size = address_of(&at, name);
    return connect(fd, (struct sockaddr *)&at, size);
}
static int stream(void) { return socket(AF_UNIX, SOCK_STREAM, 0); }
static int events_of(int fd) {
    struct pollfd poller = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
    poll(&poller, 1, 0);
    return poller.revents;
}

CHECK(unix_stream) {
    char text[16] = "";
    int listener = bound(SOCK_STREAM, "@s"), client = stream();
    SHOW("early", connected(client, "@s"));
    SHOW("listen", listen(listener, 1));
    SHOW("connect", connected(client, "@s"));
    SHOW("write-before-accept", write(client, "hello", 5));
    int server;
    OK("accept", server = accept(listener, 0, 0));
    SHOW("read", read(server, text, 15));
    SHOW("again", connected(client, "@s"));
    SHOW("connect-connected", listen(client, 1));
    close(client);
    SHOW("end", read(server, text, 15));
    signal(SIGPIPE, SIG_IGN);
    SHOW("write", write(server, "x", 1));
    SHOW("no-signal", send(server, "x", 1, MSG_NOSIGNAL));
}

CHECK(unix_errors) {
    own_mounts();
    int fd = stream();
    SHOW("missing", connected(fd, "none"));
    touch("file", "");
    SHOW("file", connected(fd, "file"));
    SHOW("bound", bound(SOCK_STREAM, "s") < 0 ? -1 : 0);
    SHOW("again", bound(SOCK_STREAM, "s"));
    SHOW("wrong-type", connected(socket(AF_UNIX, SOCK_DGRAM, 0), "s"));
    SHOW("not-listening", connected(fd, "s"));
    SHOW("missing-folder", bound(SOCK_STREAM, "none/s"));
    SHOW("family", bind(fd, &(struct sockaddr){.sa_family = AF_INET}, sizeof(struct sockaddr)));
    SHOW("listen-unbound", listen(stream(), 1));
    SHOW("accept-not-listening", accept(fd, 0, 0));
    SHOW("protocol", socket(AF_UNIX, SOCK_STREAM, 99));
    SHOW("type", socket(AF_UNIX, 99, 0));
    SHOW("domain", socket(77, SOCK_STREAM, 0));
    SHOW("send-unconnected", send(fd, "x", 1, 0));
    SHOW("no-socket", send(0, "x", 1, 0));
    chmod("s", 0600);
    RUN({ become(1000); SHOW("permission", connected(stream(), "s")); });
    unlink("s");
    SHOW("unlinked", connected(fd, "s"));
}

CHECK(unix_datagrams) {
    char text[8] = "";
    struct sockaddr_un from = {0};
    socklen_t size = sizeof from;
    int a = bound(SOCK_DGRAM, "@a"), b = bound(SOCK_DGRAM, "@b");
    SHOW("connect", connected(a, "@b"));
    SHOW("send", send(a, "one", 3, 0));
    SHOW("send", send(a, "second", 6, 0));
    SHOW("cut", recvfrom(b, text, 2, 0, (struct sockaddr *)&from, &size));
    say("from=%d,%s", (int)size, from.sun_path + 1);
    SHOW("full-length", recv(b, text, 2, MSG_TRUNC));
    SHOW("empty", recv(b, text, 2, MSG_DONTWAIT));
    SHOW("zero", send(a, "", 0, 0));
    SHOW("zero", recv(b, text, 2, 0));
    close(b);
    SHOW("refused", send(a, "x", 1, 0));
    SHOW("unbound", send(socket(AF_UNIX, SOCK_DGRAM, 0), "x", 1, 0));
}

CHECK(unix_seqpacket) {
    int ends[2];
    char text[8];
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
    write(ends[0], "one", 3), write(ends[0], "three", 5);
    SHOW("first", read(ends[1], text, 8));
    SHOW("cut", read(ends[1], text, 2));
    close(ends[0]);
    SHOW("end", read(ends[1], text, 8));
}

CHECK(unix_backlog) {
    int listener = bound(SOCK_STREAM, "@s"), client;
    listen(listener, 1);
    int made = 0;
    for (; made < 9; made++) {
        client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connected(client, "@s") < 0) break;
    }
    say("made=%d %s", made, strerrorname_np(errno));
    close(listener);
    SHOW("after", connected(client, "@s"));
}

CHECK(unix_shutdown_and_poll) {
    int ends[2];
    char byte;
    signal(SIGPIPE, SIG_IGN);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    say("idle=%x", events_of(ends[1]));
    write(ends[0], "x", 1);
    say("data=%x", events_of(ends[1]));
    SHOW("shut-write", shutdown(ends[0], SHUT_WR));
    say("half=%x,%x", events_of(ends[0]), events_of(ends[1]));
    SHOW("write", write(ends[0], "y", 1));
    SHOW("rest", read(ends[1], &byte, 1));
    SHOW("end", read(ends[1], &byte, 1));
    SHOW("other-way", write(ends[1], "z", 1));
    SHOW("shut-read", shutdown(ends[0], SHUT_RD));
    say("shut=%x", events_of(ends[0]));
    SHOW("how", shutdown(ends[0], 9));
    SHOW("unconnected", shutdown(stream(), SHUT_RD));
}

CHECK(unix_buffers) {
    int ends[2], size = 0;
    socklen_t length = sizeof size;
    static char data[1 << 20];
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends));
    getsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, &length);
    say("sndbuf=%d", size);
    say("filled=%d", write(ends[0], data, sizeof data) > 0);
    while (write(ends[0], data, 4096) > 0) {}
    say("full=%s", strerrorname_np(errno));
    say("poll=%x", events_of(ends[0]));
    while (read(ends[1], data, sizeof data) > 0) {}
    say("drained=%s poll=%x", strerrorname_np(errno), events_of(ends[0]));
    size = 10000;
    SHOW("set", setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
    getsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, &length);
    say("doubled=%d", size);
    MUST(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends));
    SHOW("too-long", send(ends[0], data, sizeof data, 0));
}

CHECK(unix_names) {
    own_mounts();
    struct sockaddr_un at = {0};
    socklen_t size = sizeof at;
    int fd = bound(SOCK_STREAM, "path");
    getsockname(fd, (struct sockaddr *)&at, &size);
    say("size=%d name=%s", (int)size, at.sun_path);
    struct stat info;
    stat("path", &info);
    say("socket=%d mode=%o", S_ISSOCK(info.st_mode), info.st_mode & 0777);
    fd = stream();
    size = sizeof at;
    getsockname(fd, (struct sockaddr *)&at, &size);
    say("unnamed=%d", (int)size);
    at.sun_family = AF_UNIX;
    SHOW("autobind", bind(fd, (struct sockaddr *)&at, 2));
    size = sizeof at;
    getsockname(fd, (struct sockaddr *)&at, &size);
    say("size=%d abstract=%d", (int)size, at.sun_path[0] == 0);
    size = sizeof at;
    SHOW("peer", getpeername(fd, (struct sockaddr *)&at, &size));
    SHOW("rebind", bind(fd, (struct sockaddr *)&at, 2));
}

CHECK(unix_descriptors_in_messages) {
    int ends[2], inner[2];
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends)), MUST(pipe(inner));
    SHOW("send", send_fd(ends[0], inner[0]));
    SHOW("closed", send_fd(ends[0], 99));
    struct msghdr message = {0};
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec vector = {&byte, 1};
    message.msg_iov = &vector, message.msg_iovlen = 1, message.msg_control = control, message.msg_controllen = 4;
    SHOW("no-room", recvmsg(ends[1], &message, 0));
    say("truncated=%d", !!(message.msg_flags & MSG_CTRUNC));
    send_fd(ends[0], inner[0]);
    message.msg_controllen = sizeof control;
    SHOW("cloexec", recvmsg(ends[1], &message, MSG_CMSG_CLOEXEC));
    int fd = *(int *)CMSG_DATA(CMSG_FIRSTHDR(&message));
    SHOW("getfd", fcntl(fd, F_GETFD));
    send_fd(ends[0], ends[0]);
    close(ends[0]), close(ends[1]);
    say("cycle-closed");
}

CHECK(unix_credentials) {
    int ends[2];
    struct ucred peer;
    socklen_t size = sizeof peer;
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    getsockopt(ends[0], SOL_SOCKET, SO_PEERCRED, &peer, &size);
    say("pid=%d uid=%d gid=%d", peer.pid == getpid(), peer.uid, peer.gid);
    int listener = bound(SOCK_STREAM, "@s"), server;
    listen(listener, 5);
    pid_t pid = START({ become(1000); int fd = stream(); connected(fd, "@s"); set_flag(0); pause(); });
    await_flag(0);
    server = accept(listener, 0, 0);
    getsockopt(server, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    say("client=%d uid=%d", peer.pid == pid, peer.uid);
    SHOW("peerpidfd", ({ int fd = -1; size = sizeof fd; getsockopt(server, SOL_SOCKET, 77, &fd, &size); }));
    kill(pid, SIGKILL);
}

CHECK(unix_forged_credentials) {
    int ends[2], one = 1;
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
    setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one);
    for (int user = 0; user < 2; user++) RUN({
        char data = 'c', control[CMSG_SPACE(sizeof(struct ucred))] = "";
        if (user) become(1000);
        struct ucred forged = {1, 0, 0};
        struct iovec vector = {&data, 1};
        struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        *head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof forged), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS};
        memcpy(CMSG_DATA(head), &forged, sizeof forged);
        SHOW(user ? "user" : "root", sendmsg(ends[0], &message, 0));
        forged.pid = 4999;
        memcpy(CMSG_DATA(head), &forged, sizeof forged);
        SHOW("missing-pid", sendmsg(ends[0], &message, 0));
    });
}

CHECK(socket_options) {
    int fd = stream(), value = 0;
    socklen_t size = sizeof value;
    getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size);
    say("type=%d", value);
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &size);
    say("domain=%d", value);
    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size);
    say("acceptconn=%d", value);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &size);
    say("error=%d", value);
    SHOW("unknown", getsockopt(fd, SOL_SOCKET, 9999, &value, &size));
    SHOW("level", getsockopt(fd, 9999, 1, &value, &size));
    size = 1;
    SHOW("short", getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size));
    say("size=%d", (int)size);
    SHOW("set-short", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, 1));
    SHOW("read-only", setsockopt(fd, SOL_SOCKET, SO_TYPE, &value, sizeof value));
}

CHECK(socket_timeouts) {
    int ends[2];
    char byte;
    struct timeval time = {0, 3000};
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    SHOW("set", setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
    SHOW("read", read(ends[0], &byte, 1));
    time.tv_usec = 1000000;
    SHOW("range", setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
}

CHECK(socket_flags_and_messages) {
    int ends[2];
    char text[16] = "";
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    SHOW("cloexec", fcntl(ends[0], F_GETFD));
    write(ends[0], "peeked", 6);
    SHOW("peek", recv(ends[1], text, 3, MSG_PEEK));
    SHOW("still", recv(ends[1], text, 15, 0));
    SHOW("oob", recv(ends[1], text, 1, MSG_OOB));
    struct iovec vectors[2] = {{"ab", 2}, {"cd", 2}};
    struct msghdr message = {.msg_iov = vectors, .msg_iovlen = 2};
    SHOW("sendmsg", sendmsg(ends[0], &message, 0));
    SHOW("waitall", recv(ends[1], text, 4, MSG_WAITALL));
    struct mmsghdr several[2] = {{.msg_hdr = message}, {.msg_hdr = message}};
    SHOW("sendmmsg", sendmmsg(ends[0], several, 2, 0));
    int count = 0;
    ioctl(ends[1], FIONREAD, &count);
    say("fionread=%d", count);
    SHOW("seek", lseek(ends[0], 0, SEEK_SET));
    SHOW("pointer", recvmsg(ends[1], (void *)8, 0));
    SHOW("accept4-flags", accept4(ends[0], 0, 0, 99));
    SHOW("pair-inet", socketpair(AF_INET, SOCK_STREAM, 0, ends));
}
