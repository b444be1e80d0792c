// trapeze script: runs a Lua script on a session, without a window.
#include "scenarios/cli_script.hpp"
#include "scenarios/lesson_lua.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace trapeze::scenarios {

namespace {

constexpr std::size_t kLargestScript = 1 << 20;

int script(const std::string& file, const GuestOptions& options) {
    auto bytes = read_file(file, kLargestScript);
    if (!bytes) return complain(bytes.error(), kFailed);
    std::optional<Session> session;
    if (!options.guest.empty()) { // else the script opens one
        auto config = options.config();
        if (!config) return complain(config.error(), kUsage);
        auto created = Session::create(*config);
        if (!created) return complain(created.error(), kFailed);
        session = std::move(*created);
    }
    LessonLua lua(LessonLua::Offer::Script);
    std::vector<std::string> said;
    const auto result = lua.run({std::string(bytes->begin(), bytes->end()), 1}, file, session, said);
    for (const std::string& line : said) fmt::print("{}\n", line);
    if (!result) return complain(result.error(), kFailed);
    return result.value() ? 0 : kFailed;
}

} // namespace

void add_script(Verbs verbs) {
    auto* verb = verbs.app.add_subcommand("script", "run a Lua script on a guest: read and change its registers and memory, set breakpoints, run, go back");
    auto file = std::make_shared<std::string>();
    auto options = std::make_shared<GuestOptions>();
    verb->add_option("file", *file, "the script; docs/scripts.md lists what it can call")->required();
    options->add_to(*verb, true);
    verb->footer("Without a guest the script opens one with session.open. Exit status: 1 when the script fails or returns false.");
    verb->callback([=, status = &verbs.status] { *status = script(*file, *options); });
}

} // namespace trapeze::scenarios
