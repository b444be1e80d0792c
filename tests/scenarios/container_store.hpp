// `trapeze container` with a store of images of its own.
#pragma once

#include "tests/container-sim/images.hpp"
#include "tests/scenarios/command_line.hpp"

namespace trapeze::test {

struct Store {
    RootFolder folder;
    Ended run(const Words& arguments, const std::string& input = "") const {
        Words all{"container"};
        all.insert(all.end(), arguments.begin(), arguments.end());
        Child child = without_display();
        child.seconds = 60, child.input = input;
        child.environment.push_back({"TRAPEZE_STORE", folder.path() + "/store"});
        child.environment.push_back({"SOURCE_DATE_EPOCH", "1"});
        return run_trapeze(all, child);
    }
    std::string shell(const std::string& script) const { return run({"shell"}, script).out; }
};

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

} // namespace trapeze::test
