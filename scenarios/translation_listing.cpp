#include "scenarios/translation_listing.hpp"

#include <fmt/format.h>

namespace trapeze::scenarios {

namespace {

std::string word_text(u32 word, u64 at, const vmm::WordNote& note) {
    std::string text = disassemble(word, at);
    if (note.kind & vmm::WordNote::CallOut) text = "ecall            ; call-out";
    if (note.kind & vmm::WordNote::Miss) text = "ecall            ; not in the table";
    return text;
}

} // namespace

std::string place_text(const Session& session, u64 pc) {
    const auto& symbols = session.guest().elf.by_address;
    auto symbol = symbols.upper_bound(pc);
    if (symbol == symbols.begin()) return fmt::format("0x{:x}", pc);
    --symbol;
    return fmt::format("0x{:x} <{}{}>", pc, symbol->second, symbol->first == pc ? "" : fmt::format("+0x{:x}", pc - symbol->first));
}

std::vector<ListedLine> list_block(const Session& session, const vmm::CodeBlock& block) {
    const vmm::TranslationCache& cache = session.vmm()->translations();
    const auto source = cache.source(block);
    std::vector<std::pair<u64, ListedLine>> found; // by offset
    for (u64 at = 0; at + 2 <= source.size();) {
        u32 word = source[at] | static_cast<u32>(source[at + 1]) << 8;
        const bool whole = is_long(static_cast<u16>(word));
        if (whole && at + 4 > source.size()) break;
        if (whole) word |= static_cast<u32>(source[at + 2]) << 16 | static_cast<u32>(source[at + 3]) << 24;
        found.push_back({at, {fmt::format("{:x}  {}", block.pc + at, disassemble(word, block.pc + at)), {}}});
        at += whole ? 4 : 2;
    }
    std::size_t current = 0;
    ListedLine entry{"(entry of indirect jumps)", {}};
    std::vector<ListedLine> exits;
    for (u32 i = block.first; i < block.first + block.words; ++i) {
        const vmm::WordNote& note = cache.note(i);
        u32 word = 0;
        session.machine().ram.read(cache.ram_offset(i), word);
        const std::string text = fmt::format("{:x}  {}", cache.address(i) & 0xffffffff, word_text(word, cache.address(i), note));
        if (i == block.first) {
            entry.translated.push_back(text);
            continue;
        }
        if (note.kind & vmm::WordNote::Boundary)
            while (current + 1 < found.size() && found[current].first < 2 * u64{note.at}) ++current;
        const bool first_of_exit = note.kind & vmm::WordNote::Exit && cache.exit(block.first_exit + note.exit).word == i;
        if (note.kind & vmm::WordNote::Exit) {
            const auto& exit = cache.exit(block.first_exit + note.exit);
            const bool linked = exit.linked != vmm::kNoBlock;
            if (first_of_exit && !(note.kind & vmm::WordNote::Boundary)) exits.push_back({fmt::format("-> {}", place_text(session, exit.target)), {}});
            ListedLine& line = note.kind & vmm::WordNote::Committed && !exits.empty() ? exits.back() : found[current].second;
            const bool used = first_of_exit || (linked && word != vmm::call_out_word());
            if (used) line.translated.push_back(linked ? text : text + "            ; not linked yet");
            continue;
        }
        (exits.empty() || note.kind & vmm::WordNote::Boundary ? found[current].second : exits.back()).translated.push_back(text);
    }
    std::vector<ListedLine> all{entry};
    for (auto& [offset, line] : found) all.push_back(std::move(line));
    all.insert(all.end(), exits.begin(), exits.end());
    return all;
}

} // namespace trapeze::scenarios
