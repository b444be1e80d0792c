#include "ui/journal.hpp"

#include "emulator/replace_file.hpp"

#include <fmt/format.h>

#include <charconv>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <unistd.h>

namespace trapeze::ui {

namespace fs = std::filesystem;

namespace {

constexpr auto kInterval = std::chrono::seconds(2);
constexpr std::string_view kPrefix = "session-", kSuffix = ".journal";

/// The process that a journal's name tells; 0: it is no journal.
pid_t owner_of(const std::string& name) {
    if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return 0;
    pid_t pid = 0;
    const char* const end = name.data() + name.size() - kSuffix.size();
    const auto [at, error] = std::from_chars(name.data() + kPrefix.size(), end, pid);
    return error == std::errc() && at == end && pid > 0 ? pid : 0;
}

bool lives(pid_t pid) { return kill(pid, 0) == 0 || errno != ESRCH; }

} // namespace

std::string state_folder() {
    if (const char* state = std::getenv("XDG_STATE_HOME"); state && *state == '/') return std::string(state) + "/trapeze";
    const char* const home = std::getenv("HOME");
    return home && *home == '/' ? std::string(home) + "/.local/state/trapeze" : std::string();
}

Journal::Journal(std::string folder) : folder_(std::move(folder)), next_(std::chrono::steady_clock::now() + kInterval) {
    if (folder_.empty()) return;
    std::error_code failed;
    fs::create_directories(folder_, failed);
    file_ = fmt::format("{}/{}{}{}", folder_, kPrefix, getpid(), kSuffix);
}

Journal::~Journal() {
    std::error_code failed;
    if (!file_.empty()) fs::remove(file_, failed);
}

void Journal::keep(const Debugger& debugger, bool now) {
    if (file_.empty() || debugger.busy_travelling() || (!now && std::chrono::steady_clock::now() < next_)) return;
    next_ = std::chrono::steady_clock::now() + kInterval;
    const Session& session = debugger.session();
    const std::pair<u64, u64> state{session.position(), session.trace().count(EventKind::ConsoleInput)};
    if (state == kept_ || !session.config().checkpoint_every) return;
    const auto recording = session.record(session.config().files != nullptr);
    if (recording && replace_file(file_, recording.value())) kept_ = state;
}

std::string Journal::left_behind() const {
    std::error_code failed;
    std::string newest;
    fs::file_time_type when{};
    if (folder_.empty()) return {};
    for (const fs::directory_entry& entry : fs::directory_iterator(folder_, failed)) {
        const pid_t owner = owner_of(entry.path().filename().string());
        const auto written = entry.last_write_time(failed);
        if (!owner || lives(owner) || failed || (!newest.empty() && written <= when)) continue;
        newest = entry.path().string(), when = written;
    }
    return newest;
}

} // namespace trapeze::ui
