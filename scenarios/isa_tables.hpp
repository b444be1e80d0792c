// The tables of instructions and CSRs as a reader wants them: who may use what, what happens in U-mode, and Popek and Goldberg's class.
// docs/isa.md is what isa_markdown gives.
#pragma once

#include "emulator/isa/isa.hpp"

#include <string>

namespace trapeze::scenarios {

/// What becomes of an instruction or a CSR access in U-mode. Popek and Goldberg's theorem asks that whatever is sensitive traps there.
enum class InUser : u8 {
    Runs,    ///< always
    Traps,   ///< always: it is privileged
    Trap,    ///< it is a trap: ecall and ebreak
    Gated,   ///< traps, until more privileged software opens a gate
    ByCsr,   ///< as the CSR that it names
};
InUser in_user(const InstructionRow& row);
InUser in_user(const CsrRow& row);
/// When a gate is open to U-mode, such as "hstatus.HU is set"; empty: it decides nothing there.
std::string user_gate(Gate gate);

/// The specification's name of an extension.
const char* extension_name(Extension extension);

std::string isa_text();
std::string isa_markdown();
std::string isa_json();

} // namespace trapeze::scenarios
