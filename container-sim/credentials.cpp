#include "container-sim/credentials.hpp"

#include <algorithm>
#include <cctype>

namespace trapeze::container {

std::string capability_name(Capability capability) {
    static constexpr const char* kNames[] = {
#define CAPABILITY(number, name) #name,
#include "container-sim/capabilities.def"
    };
    std::string text = "CAP";
    for (const char* c = kNames[static_cast<unsigned>(capability)]; *c; ++c) {
        if (std::isupper(static_cast<unsigned char>(*c))) text += '_';
        text += static_cast<char>(std::toupper(static_cast<unsigned char>(*c)));
    }
    return text;
}

bool Credentials::in_group(u32 group) const { return group == fsgid || std::binary_search(groups.begin(), groups.end(), group); }

} // namespace trapeze::container
