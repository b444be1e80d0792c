// trapeze translation: runs a guest whose kernel is translated, and lists blocks of its code beside what they became.
#include "scenarios/cli.hpp"

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

/// A line of the guest's code and the words that stand for it.
struct Line {
    std::string original;
    std::vector<std::string> translated;
};

std::string word_text(u32 word, u64 at, const vmm::WordNote& note) {
    std::string text = disassemble(word, at);
    if (note.kind & vmm::WordNote::CallOut) text = "ecall            ; call-out";
    if (note.kind & vmm::WordNote::Miss) text = "ecall            ; not in the table";
    return text;
}

class Listing {
  public:
    explicit Listing(const Session& session) : session_(session), cache_(session.vmm()->translations()) {}

    void print(const vmm::CodeBlock& block) const {
        fmt::print("\n{}, {}-mode: {} instructions, {} words\n", place(block.pc), priv_letter(cache_.spaces()[block.space].priv), block.instructions, block.words);
        for (const Line& line : lines(block)) {
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
    std::string place(u64 pc) const {
        const auto& symbols = session_.guest().elf.by_address;
        auto symbol = symbols.upper_bound(pc);
        if (symbol == symbols.begin()) return fmt::format("0x{:x}", pc);
        --symbol;
        return fmt::format("0x{:x} <{}{}>", pc, symbol->second, symbol->first == pc ? "" : fmt::format("+0x{:x}", pc - symbol->first));
    }

    std::vector<Line> lines(const vmm::CodeBlock& block) const {
        const auto source = cache_.source(block);
        std::vector<std::pair<u64, Line>> found; // by offset
        for (u64 at = 0; at + 2 <= source.size();) {
            u32 word = source[at] | static_cast<u32>(source[at + 1]) << 8;
            const bool whole = is_long(static_cast<u16>(word));
            if (whole && at + 4 > source.size()) break;
            if (whole) word |= static_cast<u32>(source[at + 2]) << 16 | static_cast<u32>(source[at + 3]) << 24;
            found.push_back({at, {fmt::format("{:x}  {}", block.pc + at, disassemble(word, block.pc + at)), {}}});
            at += whole ? 4 : 2;
        }
        std::size_t current = 0;
        Line entry{"(entry of indirect jumps)", {}};
        std::vector<Line> exits;
        for (u32 i = block.first; i < block.first + block.words; ++i) {
            const vmm::WordNote& note = cache_.note(i);
            u32 word = 0;
            session_.machine().ram.read(cache_.ram_offset(i), word);
            const std::string text = fmt::format("{:x}  {}", cache_.address(i) & 0xffffffff, word_text(word, cache_.address(i), note));
            if (i == block.first) {
                entry.translated.push_back(text);
                continue;
            }
            if (note.kind & vmm::WordNote::Boundary)
                while (current + 1 < found.size() && found[current].first < 2 * u64{note.at}) ++current;
            const bool first_of_exit = note.kind & vmm::WordNote::Exit && cache_.exit(block.first_exit + note.exit).word == i;
            if (note.kind & vmm::WordNote::Exit) {
                const auto& exit = cache_.exit(block.first_exit + note.exit);
                const bool linked = exit.linked != vmm::kNoBlock;
                if (first_of_exit && !(note.kind & vmm::WordNote::Boundary)) exits.push_back({fmt::format("-> {}", place(exit.target)), {}});
                Line& line = note.kind & vmm::WordNote::Committed && !exits.empty() ? exits.back() : found[current].second;
                const bool used = first_of_exit || (linked && word != vmm::call_out_word());
                if (used) line.translated.push_back(linked ? text : text + "            ; not linked yet");
                continue;
            }
            (exits.empty() || note.kind & vmm::WordNote::Boundary ? found[current].second : exits.back()).translated.push_back(text);
        }
        std::vector<Line> all{entry};
        for (auto& [offset, line] : found) all.push_back(std::move(line));
        all.insert(all.end(), exits.begin(), exits.end());
        return all;
    }

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
