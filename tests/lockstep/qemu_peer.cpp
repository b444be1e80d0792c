#include "tests/lockstep/qemu_peer.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <span>
#include <string_view>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include <fmt/format.h>

namespace trapeze::lockstep {

namespace {

constexpr unsigned kPcRegister = 32, kFirstFloat = 33;
constexpr std::size_t kFirstQuestionOfCsr = 34; ///< after all general registers in one, 32 of floating point, and the privilege
constexpr std::size_t kBytesInPacket = 1024; ///< of memory; QEMU's limit is 4096 characters
constexpr std::size_t kPacketsAtOnce = 16;

std::string packet(std::string_view body) {
    unsigned sum = 0;
    for (char c : body) sum += static_cast<u8>(c);
    return fmt::format("${}#{:02x}", body, sum & 0xff);
}

int digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

/// Bytes of a hexadecimal text; empty when it is none.
std::vector<u8> bytes_of(std::string_view hex) {
    std::vector<u8> bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
        if (digit(hex[i]) < 0 || digit(hex[i + 1]) < 0) return {};
        bytes.push_back(static_cast<u8>(digit(hex[i]) * 16 + digit(hex[i + 1])));
    }
    return bytes;
}

u64 little_endian(std::span<const u8> bytes) {
    u64 value = 0;
    for (std::size_t i = 0; i < 8 && i < bytes.size(); ++i) value |= u64{bytes[i]} << (8 * i);
    return value;
}

std::string hex_of(std::span<const u8> bytes) {
    std::string hex;
    for (u8 byte : bytes) fmt::format_to(std::back_inserter(hex), "{:02x}", byte);
    return hex;
}

std::string write_register(unsigned number, u64 value) {
    std::string text = fmt::format("P{:x}=", number);
    for (unsigned i = 0; i < 8; ++i) fmt::format_to(std::back_inserter(text), "{:02x}", value >> (8 * i) & 0xff);
    return text;
}

using Clock = std::chrono::steady_clock;

} // namespace

/// The process and its socket.
struct QemuPeer::Child {
    QemuOptions options;
    pid_t pid = -1;
    int socket = -1;
    std::FILE* errors = nullptr; ///< what QEMU wrote to its standard error
    std::string received;

    ~Child() {
        if (pid > 0) {
            kill(pid, SIGKILL);
            waitpid(pid, nullptr, 0);
        }
        if (socket >= 0) close(socket);
        if (errors) std::fclose(errors);
    }

    /// The sentence for a peer that does not answer, with what it said itself.
    Error failure(std::string_view what) const {
        char said[400] = {};
        if (errors) {
            std::rewind(errors);
            said[std::fread(said, 1, sizeof said - 1, errors)] = 0;
        }
        return Error{fmt::format("{} (-cpu {}) {}{}{}", options.program, options.cpu, what, said[0] ? "; it says: " : "", said)};
    }

    Result<void> wait(short events, Clock::time_point deadline) {
        for (;;) {
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
            if (left <= 0) return failure(fmt::format("did not answer within {} ms", options.timeout_ms));
            pollfd poll_socket{socket, events, 0};
            const int ready = poll(&poll_socket, 1, static_cast<int>(left));
            if (ready > 0) return {};
            if (ready < 0 && errno != EINTR) return failure(std::strerror(errno));
        }
    }

    Result<void> send_all(std::string_view text) {
        const auto deadline = Clock::now() + std::chrono::milliseconds(options.timeout_ms);
        while (!text.empty()) {
            if (auto ready = wait(POLLOUT, deadline); !ready) return ready;
            const ssize_t sent = send(socket, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            if (sent < 0 && errno != EAGAIN && errno != EINTR) return failure("ended the connection");
            if (sent > 0) text.remove_prefix(static_cast<std::size_t>(sent));
        }
        return {};
    }

    /// The body of the next packet.
    Result<std::string> receive() {
        const auto deadline = Clock::now() + std::chrono::milliseconds(options.timeout_ms);
        for (;;) {
            const std::size_t begin = received.find('$');
            const std::size_t end = begin == std::string::npos ? begin : received.find('#', begin);
            if (end != std::string::npos && received.size() >= end + 3) {
                std::string body = received.substr(begin + 1, end - begin - 1);
                received.erase(0, end + 3);
                return body;
            }
            if (auto ready = wait(POLLIN, deadline); !ready) return Error{ready.error()};
            char buffer[16384];
            const ssize_t got = recv(socket, buffer, sizeof buffer, MSG_DONTWAIT);
            if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return failure("ended");
            if (got > 0) received.append(buffer, static_cast<std::size_t>(got));
        }
    }

    /// Asks all questions in one go, acknowledging each answer in advance; only for a stopped hart.
    Result<std::vector<std::string>> ask(std::span<const std::string> questions) {
        std::string text;
        for (const std::string& question : questions) text += packet(question) + '+';
        if (auto sent = send_all(text); !sent) return Error{sent.error()};
        std::vector<std::string> answers;
        while (answers.size() < questions.size()) {
            auto answer = receive();
            if (!answer) return Error{answer.error()};
            answers.push_back(std::move(answer).value());
        }
        return answers;
    }
    Result<std::string> ask(const std::string& question) {
        auto answers = ask(std::span(&question, 1));
        if (!answers) return Error{answers.error()};
        return std::move(answers.value()[0]);
    }
    /// Asks; each answer must be OK.
    Result<void> command(std::span<const std::string> questions) {
        while (!questions.empty()) {
            const auto some = questions.first(std::min(questions.size(), kPacketsAtOnce));
            auto answers = ask(some);
            if (!answers) return Error{answers.error()};
            for (std::size_t i = 0; i < some.size(); ++i)
                if (answers.value()[i] != "OK") return failure(fmt::format("refused the packet {:.40} with \"{}\"", some[i], answers.value()[i]));
            questions = questions.subspan(some.size());
        }
        return {};
    }
    /// A whole file of its register descriptions.
    Result<std::string> feature(const std::string& name) {
        std::string text;
        for (unsigned part = 0; part < 64; ++part) {
            auto answer = ask(fmt::format("qXfer:features:read:{}:{:x},400", name, text.size()));
            if (!answer) return answer;
            if (answer->empty() || (answer.value()[0] != 'm' && answer.value()[0] != 'l')) break;
            text += answer->substr(1);
            if (answer.value()[0] == 'l') return text;
        }
        return failure("does not describe its registers (" + name + ")");
    }

    Result<void> launch() {
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return Error{fmt::format("no socket pair: {}", std::strerror(errno))};
        socket = ends[0];
        fcntl(socket, F_SETFD, FD_CLOEXEC);
        errors = std::tmpfile();
        const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        const std::string chardev = fmt::format("socket,id=gdb,fd={}", ends[1]);
        const char* const arguments[] = {options.program.c_str(), "-machine", "virt", "-cpu", options.cpu.c_str(), "-smp", "1", "-m", "32M",
            "-bios", "none", "-display", "none", "-monitor", "none", "-serial", "none", "-nodefaults", "-S", "-chardev", chardev.c_str(),
            "-gdb", "chardev:gdb", nullptr};
        pid = fork();
        if (pid == 0) {
#ifdef __linux__
            prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
            dup2(null, 0), dup2(null, 1), dup2(errors ? fileno(errors) : null, 2);
            execvp(arguments[0], const_cast<char* const*>(arguments));
            _exit(127);
        }
        close(ends[1]);
        if (null >= 0) close(null);
        if (pid < 0) return Error{fmt::format("{} cannot be started: {}", options.program, std::strerror(errno))};
        return {};
    }
};

bool QemuPeer::available(const QemuOptions& options) {
    if (options.program.find('/') != std::string::npos) return access(options.program.c_str(), X_OK) == 0;
    const char* const path = std::getenv("PATH");
    for (std::string_view rest = path ? path : ""; !rest.empty();) {
        const std::size_t colon = std::min(rest.find(':'), rest.size());
        if (access(fmt::format("{}/{}", rest.substr(0, colon), options.program).c_str(), X_OK) == 0) return true;
        rest.remove_prefix(std::min(colon + 1, rest.size()));
    }
    return false;
}

QemuPeer::QemuPeer(std::unique_ptr<Child> child) : child_(std::move(child)) {}
QemuPeer::QemuPeer(QemuPeer&&) noexcept = default;
QemuPeer& QemuPeer::operator=(QemuPeer&&) noexcept = default;
QemuPeer::~QemuPeer() = default;

Result<QemuPeer> QemuPeer::start(const QemuOptions& options) {
    QemuPeer peer(std::make_unique<Child>());
    Child& child = *peer.child_;
    child.options = options;
    if (auto launched = child.launch(); !launched) return Error{launched.error()};
    if (auto supported = child.ask("qSupported:xmlRegisters=riscv"); !supported) return Error{supported.error()};
    if (auto target = child.feature("target.xml"); !target) return Error{target.error()};
    auto csrs = child.feature("riscv-csr.xml");
    if (!csrs) return Error{csrs.error()};
    const std::string wanted = "name=\"sstatus\" bitsize=\"64\" regnum=\"";
    const std::size_t at = csrs->find(wanted);
    if (at == std::string::npos) return child.failure("does not name the number of sstatus");
    peer.first_csr_ = static_cast<unsigned>(std::strtoul(csrs->c_str() + at + wanted.size(), nullptr, 10)) - static_cast<unsigned>(Csr::sstatus);
    const std::string physical[] = {"Qqemu.PhyMemMode:1"};
    if (auto set = child.command(physical); !set) return Error{set.error()};

    peer.view_questions_.push_back("g");
    for (unsigned i = 0; i < 32; ++i) peer.view_questions_.push_back(fmt::format("p{:x}", kFirstFloat + i));
    peer.view_questions_.push_back(fmt::format("p{:x}", peer.first_csr_ - 1)); // the privilege
    const std::size_t compared = options.hypervisor ? kComparedCsrCount : kComparedWithoutHypervisor;
    for (const ComparedCsr& csr : std::span(kComparedCsrs).first(compared))
        peer.view_questions_.push_back(fmt::format("p{:x}", peer.first_csr_ + static_cast<unsigned>(csr.csr)));
    return peer;
}

Result<void> QemuPeer::reset(const Program& program) {
    std::vector<std::string> commands;
    for (const Segment& segment : program.segments)
        for (std::size_t at = 0; at < segment.bytes.size(); at += kBytesInPacket) {
            const auto bytes = std::span(segment.bytes).subspan(at, std::min(kBytesInPacket, segment.bytes.size() - at));
            commands.push_back(fmt::format("M{:x},{:x}:{}", segment.address + at, bytes.size(), hex_of(bytes)));
        }
    commands.push_back(write_register(first_csr_ - 1, 3));
    commands.push_back(write_register(kPcRegister, program.entry));
    return child_->command(commands);
}

Result<void> QemuPeer::step() {
    if (auto sent = child_->send_all(packet("s")); !sent) return sent;
    auto stopped = child_->receive();
    if (!stopped) return Error{stopped.error()};
    if (stopped->empty() || (stopped.value()[0] != 'T' && stopped.value()[0] != 'S'))
        return child_->failure("answered a step with \"" + stopped.value() + "\"");
    return child_->send_all("+");
}

Result<void> QemuPeer::write_csr(Csr csr, u64 value) {
    const std::string commands[] = {write_register(first_csr_ + static_cast<unsigned>(csr), value)};
    return child_->command(commands);
}

Result<HartView> QemuPeer::view(Detail detail) {
    auto answers = child_->ask(std::span(view_questions_).first(detail == Detail::All ? view_questions_.size() : 1));
    if (!answers) return Error{answers.error()};
    const std::vector<u8> general = bytes_of(answers.value()[0]);
    if (general.size() < 33 * 8) return child_->failure("did not give its registers");
    HartView view;
    view.detail = detail;
    std::fill(view.hidden.begin() + (static_cast<std::ptrdiff_t>(view_questions_.size()) - kFirstQuestionOfCsr), view.hidden.end(), true);
    for (unsigned i = 0; i < 32; ++i) view.x[i] = little_endian(std::span(general).subspan(8 * i, 8));
    view.pc = little_endian(std::span(general).subspan(8 * kPcRegister, 8));
    for (std::size_t i = 1; i < answers->size(); ++i) {
        if (i >= kFirstQuestionOfCsr && answers.value()[i].starts_with('E')) {
            view.hidden[i - kFirstQuestionOfCsr] = true;
            continue;
        }
        const std::vector<u8> bytes = bytes_of(answers.value()[i]);
        if (bytes.size() < 4) return child_->failure("did not give the register of packet " + view_questions_[i]);
        const u64 value = little_endian(bytes);
        if (i <= 32) view.f[i - 1] = value;
        else if (i + 1 == kFirstQuestionOfCsr) view.priv = value;
        else view.csrs[i - kFirstQuestionOfCsr] = value;
    }
    return view;
}

Result<std::vector<u8>> QemuPeer::read(u64 address, std::size_t bytes) {
    std::vector<u8> all;
    while (all.size() < bytes) {
        const std::size_t part = std::min(kBytesInPacket, bytes - all.size());
        auto answer = child_->ask(fmt::format("m{:x},{:x}", address + all.size(), part));
        if (!answer) return Error{answer.error()};
        const std::vector<u8> got = bytes_of(answer.value());
        if (got.size() != part) return child_->failure(fmt::format("cannot read its memory at {:#x}", address + all.size()));
        all.insert(all.end(), got.begin(), got.end());
    }
    return all;
}

} // namespace trapeze::lockstep
