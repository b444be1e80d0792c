// The translation cache: its blocks and what is counted about them; and of the selected block each instruction of the guest beside what it
// became.
#include "scenarios/translation_listing.hpp"
#include "ui/panels.hpp"
#include "ui/text.hpp"
#include "ui/table_view.hpp"

#include <fmt/format.h>

namespace trapeze::ui {

namespace {

constexpr const char* kOtherMode = later("Only in mode translate the guest's kernel runs as a translated copy; in this session nothing is translated.");

const vmm::TranslationCache* cache_of(const Debugger& debugger) {
    const Session& session = debugger.session();
    return session.vmm() && session.config().mode == vmm::Mode::Translate ? &session.vmm()->translations() : nullptr;
}

std::string counts_text(const vmm::TranslationCache& cache) {
    const auto& c = cache.counts;
    return trf("{} blocks translated, {} instructions to {} words; {} links, {} dispatches, {} misses of indirect jumps, {} call-outs; {} dropped, emptied {} times", c.blocks, c.instructions,
                       c.words, c.chained, c.dispatches, c.misses, c.call_outs, c.invalidated, c.emptied);
}

std::vector<std::size_t> alive_blocks(const vmm::TranslationCache& cache) {
    std::vector<std::size_t> alive;
    for (std::size_t i = 0; i < cache.blocks().size(); ++i)
        if (cache.blocks()[i].alive) alive.push_back(i);
    return alive;
}

std::vector<std::string> block_row(const Session& session, const vmm::TranslationCache& cache, std::size_t index) {
    const vmm::CodeBlock& block = cache.blocks()[index];
    unsigned linked = 0;
    for (u32 i = 0; i < block.exits; ++i) linked += cache.exit(block.first_exit + i).linked != vmm::kNoBlock;
    return {std::to_string(index), scenarios::place_text(session, block.pc), std::to_string(block.instructions), std::to_string(block.words), fmt::format("{}/{}", linked, block.exits),
            std::to_string(block.space)};
}
std::vector<std::string> columns() { return {tr("block"), tr("guest pc"), tr("instructions"), tr("words"), tr("linked"), tr("space")}; }

/// The selected block; else the one in which the guest is; else the newest.
std::size_t selected_block(const Debugger& debugger, const PanelState& state, const vmm::TranslationCache& cache, const std::vector<std::size_t>& alive) {
    if (state.block < cache.blocks().size() && cache.blocks()[state.block].alive) return state.block;
    const u64 pc = debugger.session().guest_state().pc;
    for (std::size_t i : alive)
        if (pc - cache.blocks()[i].pc < cache.blocks()[i].bytes) return i;
    return alive.back();
}

Table listing(const Session& session, const vmm::CodeBlock& block) {
    Table table{{tr("guest"), tr("translated")}};
    for (const scenarios::ListedLine& line : scenarios::list_block(session, block)) {
        table.rows.push_back({line.original, line.translated.empty() ? "" : line.translated.front()});
        for (std::size_t i = 1; i < line.translated.size(); ++i) table.rows.push_back({"", line.translated[i]});
    }
    return table;
}

} // namespace

void draw_translations(const Debugger& debugger, const Theme& theme, PanelState& state, Commands&) {
    const vmm::TranslationCache* cache = cache_of(debugger);
    if (!cache) return prose(theme, theme.text, tr(kOtherMode));
    prose(theme, theme.dim, counts_text(*cache));
    const auto alive = alive_blocks(*cache);
    if (alive.empty()) return prose(theme, theme.text, tr("No block is translated yet. F5 runs, F7 runs to the next exit."));
    const std::size_t selected = selected_block(debugger, state, *cache, alive);
    TableLook look{.clickable = true};
    for (std::size_t i = 0; i < alive.size(); ++i)
        if (alive[i] == selected) look.selected = i;
    look.height = ImGui::GetContentRegionAvail().y * 0.36f;
    if (const auto row = draw_rows(theme, "blocks", columns(), alive.size(), [&](std::size_t i) { return block_row(debugger.session(), *cache, alive[i]); }, look)) state.block = alive[*row];
    const Table lines = listing(debugger.session(), cache->blocks()[selected]);
    const u64 pc = debugger.session().guest_state().pc;
    const std::string here = fmt::format("{:x} ", pc);
    TableLook code;
    code.colour = [&](std::size_t row, std::size_t column) -> std::optional<ImVec4> {
        if (column == 0) return lines.rows[row][0].starts_with(here) ? std::optional(theme.accent) : std::nullopt;
        return lines.rows[row][1].find("call-out") != std::string::npos ? std::optional(theme.hypervisor) : std::nullopt;
    };
    draw_table(theme, "code", lines, code);
}

Sheet sheet_translations(const Debugger& debugger, const PanelState& state) {
    const vmm::TranslationCache* cache = cache_of(debugger);
    if (!cache) return Sheet().say(tr(kOtherMode));
    Sheet sheet;
    sheet.say(counts_text(*cache));
    const auto alive = alive_blocks(*cache);
    if (alive.empty()) return sheet;
    Table blocks{columns()};
    for (std::size_t i : alive) blocks.rows.push_back(block_row(debugger.session(), *cache, i));
    const std::size_t selected = selected_block(debugger, state, *cache, alive);
    return sheet.add(std::move(blocks)).say(trf("block {}:", selected)).add(listing(debugger.session(), cache->blocks()[selected]));
}

} // namespace trapeze::ui
