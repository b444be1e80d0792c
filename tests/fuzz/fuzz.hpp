// A fuzz target registers itself with FUZZ_TARGET; tests/fuzz/main.cpp runs them.
#pragma once

#include "emulator/base/types.hpp"

#include <string>
#include <vector>

namespace trapeze::fuzz {

struct Target {
    std::string name;
    void (*run)(const std::vector<u8>& input);
    std::vector<std::vector<u8>> (*seeds)(); ///< well-formed inputs to mutate; may be empty
};
std::vector<Target>& targets();

struct Registration {
    explicit Registration(Target target) { targets().push_back(std::move(target)); }
};

} // namespace trapeze::fuzz
