// The bit fields of CSRs, for people: one table (csr_fields.def).
#pragma once

#include "emulator/isa/isa.hpp"

#include <string>
#include <vector>

namespace trapeze {

struct CsrField {
    Csr csr;
    u8 high, low; ///< bits
    const char *name, *values, *sentence;
    u64 of(u64 value) const { return bits(value, high, low); }
    /// What the field's value means: its name in the table, "set" and "-" for single bits, else the number.
    std::string meaning(u64 value) const;
};
/// In order from the highest bit; empty for a register without fields.
std::vector<CsrField> csr_fields(Csr csr);

} // namespace trapeze
