// trapeze container view: runs containers for a while, then shows the kernel as the host sees it.
#include "container-sim/kernel.hpp"
#include "scenarios/cli_container.hpp"
#include "scenarios/container_views.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace trapeze::scenarios {

namespace {

struct ViewOptions {
    ViewRequest request;
    std::vector<std::string> words;
    std::string memory = "128M";
    u64 max_instructions = 2'000'000;
};

int view(const ViewOptions& options) {
    if (!is_view(options.request.what)) return complain(fmt::format("there is no view \"{}\"; there are {}", options.request.what, view_names()), kUsage);
    auto specs = parse_specs(options.words);
    if (!specs) return complain(specs.error(), kUsage);
    const auto memory = parse_memory(options.memory);
    if (!memory) return complain(memory.error(), kUsage);
    SessionConfig config;
    config.containers = std::move(*specs), config.memory_bytes = memory.value(), config.checkpoint_every = 0, config.record = 0;
    config.when_idle = container::WhenIdle::Return; // a sleeping process is still there to be seen
    auto session = Session::create(config);
    if (!session) return complain(session.error(), session.status() ? session.status() : kUsage);
    session->run(options.max_instructions);
    auto text = container_view(*session->kernel(), session->machine().cycles(), options.request);
    if (!text) return complain(text.error(), kFailed);
    fmt::print("{}", *text);
    return 0;
}

} // namespace

void add_view_verb(CLI::App& parent, int& status) {
    auto* verb = parent.add_subcommand("view", "run containers for a while, then show processes in their namespaces, mounts, overlays, cgroups, the network or a packet's way");
    auto options = std::make_shared<ViewOptions>();
    verb->add_option("what", options->request.what, view_names())->required();
    verb->add_option("-p,--pid", options->request.pid, "whose mounts or network: a pid outside; the newest container's first process unless given");
    verb->add_option("--to", options->request.to, "packet: where it goes, such as 10.0.0.2:80");
    verb->add_flag("--tcp", options->request.tcp, "packet: the first segment of a connection instead of a datagram");
    verb->add_flag("--json", options->request.json, "print JSON");
    verb->add_option("-m,--memory", options->memory, "memory of the machine that all containers share")->capture_default_str();
    verb->add_option("--max-instructions", options->max_instructions, "how far to run before looking")->check(CLI::NonNegativeNumber)->capture_default_str();
    verb->prefix_command();
    verb->footer("After the options: [--hostname NAME] [--env KEY=VALUE] ROOTFS PROGRAM [ARGUMENT...] [--and the same for another container].");
    verb->callback([=, &status] {
        options->words = verb->remaining();
        status = view(*options);
    });
}

} // namespace trapeze::scenarios
