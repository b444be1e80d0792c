#include "emulator/isa/csr_fields.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>

namespace trapeze {

namespace {

constexpr CsrField kFields[] = {
#define FIELD(csr, high, low, name, values, sentence) {Csr::csr, high, low, #name, values, sentence},
#define SAME(...)
#include "emulator/isa/csr_fields.def"
};
/// Registers whose layout is another one's.
constexpr std::pair<Csr, Csr> kSame[] = {
#define FIELD(...)
#define SAME(csr, as) {Csr::csr, Csr::as},
#include "emulator/isa/csr_fields.def"
};

} // namespace

std::vector<CsrField> csr_fields(Csr csr) {
    Csr layout = csr;
    for (const auto& [same, as] : kSame)
        if (same == csr) layout = as;
    std::vector<CsrField> fields;
    for (CsrField field : kFields)
        if (field.csr == layout) field.csr = csr, fields.push_back(field);
    return fields;
}

std::string CsrField::meaning(u64 value) const {
    const u64 number = of(value);
    for (const char* at = values; *at;) {
        char* end = nullptr;
        const u64 named = std::strtoull(at, &end, 10);
        const char* comma = std::strchr(at, ',');
        if (named == number && *end == ' ') return comma ? std::string(end + 1, static_cast<std::size_t>(comma - end - 1)) : std::string(end + 1);
        if (!comma) break;
        at = comma + 2;
    }
    if (high == low) return number ? "set" : "-";
    return fmt::format("0x{:x}", number);
}

} // namespace trapeze
