// Blocks of a translated kernel as text: each instruction of the guest beside the words that it became.
#pragma once

#include "scenarios/session.hpp"

#include <string>
#include <vector>

namespace trapeze::scenarios {

/// A line of the guest's code and the words that stand for it.
struct ListedLine {
    std::string original;
    std::vector<std::string> translated;
};
/// Pre: the session's mode is translate, and the block one of its cache's.
std::vector<ListedLine> list_block(const Session& session, const vmm::CodeBlock& block);
/// An address with the symbol before it.
std::string place_text(const Session& session, u64 pc);

} // namespace trapeze::scenarios
