// The calls that led to where the guest is, as far as they can be found. Code compiled without frame pointers does not say where its
// frames are; what is found then is what looks like it, and how it was found is told.
#pragma once

#include "scenarios/session.hpp"

#include <string>
#include <vector>

namespace trapeze::scenarios {

struct CallFrame {
    /// Now: the program counter. Link: register ra, which the function has not used yet. FramePointer: the chain that s0 begins. CallMatches:
    /// a return address on the stack, behind a call of the function below it. Guess: behind an indirect call, which may have been another one.
    enum class How : u8 { Now, Link, FramePointer, CallMatches, Guess };
    How how;
    u64 pc;         ///< where it goes on
    u64 at = 0;     ///< virtual address at which the return address lies; 0: in a register
    std::string place; ///< the symbol, empty when there is none
};
const char* how_text(CallFrame::How how);

/// The innermost first. Bounded: at most `most` frames, and 16 KiB of stack are looked at.
std::vector<CallFrame> call_stack(const Session& session, std::size_t most = 64);

} // namespace trapeze::scenarios
