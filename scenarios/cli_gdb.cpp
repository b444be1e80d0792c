// trapeze gdb: a guest that waits for GDB, on a TCP port or on standard input and output.
#include "scenarios/cli.hpp"
#include "scenarios/gdb_target.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

namespace trapeze::scenarios {

namespace {

struct GdbOptions {
    GuestOptions guest;
    u16 port = 1234;
    std::string address = "127.0.0.1";
    bool pipe = false, keep = false;
};

/// A file descriptor that is closed at the end.
class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() {
        if (fd_ >= 0) close(fd_);
    }
    Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return fd_; }

  private:
    int fd_;
};

bool write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t count = ::write(fd, bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

/// The guest's console goes to a stream that the protocol does not use.
class Console {
  public:
    Console(const Session& session, std::FILE* to) : session_(session), to_(to), shown_(session.printed()) {}
    void show() {
        const std::string& all = session_.console();
        const u64 printed = session_.printed();
        if (printed > shown_) std::fwrite(all.data() + all.size() - std::min<u64>(all.size(), printed - shown_), 1, std::min<u64>(all.size(), printed - shown_), to_);
        shown_ = std::max(shown_, printed); // after going back, what is printed again was shown already
        std::fflush(to_);
    }

  private:
    const Session& session_;
    std::FILE* to_;
    u64 shown_;
};

void talk(int in, int out, debug::GdbStub& stub, const GdbTarget& target, Console& console) {
    while (stub.end() == debug::GdbStub::End::No) {
        const bool busy = stub.running() && !target.idle();
        pollfd ready{in, POLLIN, 0};
        const int events = poll(&ready, 1, busy ? 0 : -1);
        if (events < 0 && errno != EINTR) return;
        if (events > 0) {
            char buffer[4096];
            const ssize_t count = read(in, buffer, sizeof buffer);
            if (count < 0 && errno == EINTR) continue;
            if (count <= 0) return;
            if (!write_all(out, stub.feed({buffer, static_cast<std::size_t>(count)}))) return;
        }
        if (stub.running() && !write_all(out, stub.run_slice())) return;
        console.show();
    }
}

/// Serves one GDB until it detaches, kills, or is gone; its breakpoints go with it.
debug::GdbStub::End serve(int in, int out, Session& session, Console& console) {
    GdbTarget target(session);
    debug::GdbStub stub(target);
    talk(in, out, stub, target, console);
    session.breakpoints().clear();
    return stub.end();
}

Result<Descriptor> listen_on(const GdbOptions& options) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(options.port);
    if (inet_pton(AF_INET, options.address.c_str(), &address.sin_addr) != 1)
        return Error{fmt::format("\"{}\" is no IPv4 address; give one of this machine's, such as 127.0.0.1", options.address)};
    Descriptor listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    if (listener.get() >= 0) setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (listener.get() < 0 || bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) || listen(listener.get(), 1))
        return Error{fmt::format("port {} of {} cannot be had: {}; give another, or --port 0 for any that is free", options.port, options.address, std::strerror(errno))};
    return listener;
}

int serve_port(const GdbOptions& options, Session& session) {
    const auto listener = listen_on(options);
    if (!listener) return complain(listener.error(), kFailed);
    sockaddr_in bound{};
    socklen_t size = sizeof bound;
    getsockname(listener.value().get(), reinterpret_cast<sockaddr*>(&bound), &size);
    fmt::print(stderr, "trapeze: {} waits for GDB; there, type: target remote {}:{}\n", options.guest.guest, options.address, ntohs(bound.sin_port));
    Console console(session, stdout);
    while (true) {
        Descriptor peer(accept4(listener.value().get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (peer.get() < 0 && errno == EINTR) continue;
        if (peer.get() < 0) return complain(fmt::format("no connection can be accepted: {}", std::strerror(errno)), kFailed);
        const int on = 1;
        setsockopt(peer.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        const debug::GdbStub::End end = serve(peer.get(), peer.get(), session, console);
        if (end == debug::GdbStub::End::Killed || !options.keep) return 0;
    }
}

int gdb(const GdbOptions& options) {
    auto config = options.guest.config();
    if (!config) return complain(config.error(), kUsage);
    auto session = Session::create(*config);
    if (!session) return complain(session.error(), kFailed);
    std::signal(SIGPIPE, SIG_IGN); // a GDB that is gone is noticed by the write
    if (!options.pipe) return serve_port(options, *session);
    Console console(*session, stderr);
    (void)serve(STDIN_FILENO, STDOUT_FILENO, *session, console);
    return 0;
}

} // namespace

void add_gdb(Verbs verbs) {
    auto* verb = verbs.app.add_subcommand("gdb", "let GDB debug a guest: breakpoints, CSRs, memory, harts as threads, and going back");
    auto options = std::make_shared<GdbOptions>();
    options->guest.add_to(*verb, true);
    auto* port = verb->add_option("--port", options->port, "TCP port to listen on; 0: any that is free, which is printed")->capture_default_str();
    auto* address = verb->add_option("--address", options->address, "IPv4 address to listen on")->capture_default_str();
    verb->add_flag("--pipe", options->pipe, "speak on standard input and output, for GDB's: target remote | trapeze gdb GUEST --pipe")->excludes(port)->excludes(address);
    verb->add_flag("--keep", options->keep, "when GDB detaches, wait for the next one");
    verb->footer("In gdb-multiarch:  file build/guests/tiny-os.elf\n"
                 "                   target remote :1234\n"
                 "                   break kernel_main\n"
                 "                   continue, stepi, reverse-stepi, reverse-continue, info registers satp scause, watch, info threads\n"
                 "`monitor help` lists what else there is. Registers are the guest's, also under a hypervisor.");
    verb->callback([=, status = &verbs.status] { *status = gdb(*options); });
}

} // namespace trapeze::scenarios
