// trapeze translation: runs a guest whose kernel is translated, and lists blocks of its code beside what they became.
#include "scenarios/cli.hpp"
#include "scenarios/translation_listing.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace trapeze::scenarios {

namespace {

struct TranslationOptions {
    GuestOptions guest;
    u64 max_instructions = 2'000'000, limit = 8;
    std::string from;
};

class Listing {
  public:
    explicit Listing(const Session& session) : session_(session), cache_(session.vmm()->translations()) {}

    void print(const vmm::CodeBlock& block) const {
        fmt::print("\n{}, {}-mode: {} instructions, {} words\n", place_text(session_, block.pc), priv_letter(cache_.spaces()[block.space].priv), block.instructions, block.words);
        for (const ListedLine& line : list_block(session_, block)) {
            for (std::size_t i = 0; i < std::max<std::size_t>(line.translated.size(), 1); ++i)
                fmt::print("  {:<46} | {}\n", i ? "" : line.original, i < line.translated.size() ? line.translated[i] : "");
        }
    }
    void summary() const {
        const auto& c = cache_.counts;
        fmt::print("{} blocks of {} instructions in {} words ({:.2f} each); {} bytes in use\n", c.blocks, c.instructions, c.words,
                   c.instructions ? static_cast<double>(c.words) / static_cast<double>(c.instructions) : 0.0, cache_.bytes_used());
        fmt::print("{} ways out found by the VMM, {} linked; {} indirect jumps missed; {} call-outs\n", c.dispatches, c.chained, c.misses, c.call_outs);
        fmt::print("{} blocks dropped; the cache emptied {} times; {} accesses made call-outs or plain again\n", c.invalidated, c.emptied, c.adapted);
    }

  private:
    const Session& session_;
    const vmm::TranslationCache& cache_;
};

int translation(TranslationOptions options) {
    options.guest.mode = vmm::mode_row(Mode::Translate).name;
    auto config = options.guest.config();
    if (!config) return complain(config.error(), kUsage);
    config->checkpoint_every = 0;
    config->record = 0;
    auto session = Session::create(*config);
    if (!session) return complain(session.error(), kFailed);
    u64 from = 0;
    if (!options.from.empty()) {
        const auto address = session->resolve(options.from);
        if (!address) return complain(address.error(), kUsage);
        from = address.value();
    }
    session->run(options.max_instructions);
    const Listing listing(*session);
    listing.summary();
    u64 printed = 0;
    for (const vmm::CodeBlock& block : session->vmm()->translations().blocks()) {
        if (printed == options.limit) break;
        if (!block.alive || (from && (block.pc < from || block.pc - from >= kPageSize))) continue;
        listing.print(block);
        ++printed;
    }
    if (!printed && options.limit) return complain(fmt::format("no translated block is at {}; run longer with --max-instructions", options.from.empty() ? "all" : options.from), kFailed);
    return 0;
}

} // namespace

void add_translation(Verbs verbs) {
    auto* verb = verbs.app.add_subcommand("translation", "run a guest in mode translate, and list its kernel's code beside the translation");
    auto options = std::make_shared<TranslationOptions>();
    options->guest.add_to(*verb, false);
    verb->add_option("--max-instructions", options->max_instructions, "how far to run")->check(CLI::NonNegativeNumber)->capture_default_str();
    verb->add_option("--limit", options->limit, "how many blocks to list")->check(CLI::NonNegativeNumber)->capture_default_str();
    verb->add_option("--from", options->from, "only blocks that begin in the 4 KiB from this address or symbol on");
    verb->footer("Each guest instruction stands on the left, what became of it on the right; -> names a way out of the block.\n"
                 "ecall calls the VMM. Offsets from zero reach the virtual CSR page. docs/translation.md explains.");
    verb->callback([=, status = &verbs.status] { *status = translation(*options); });
}

} // namespace trapeze::scenarios
