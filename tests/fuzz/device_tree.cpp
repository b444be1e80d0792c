// Fuzz target: the reader of device tree blobs. Seed: the board's own tree.
#include "emulator/loader.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using namespace trapeze;

std::vector<std::vector<u8>> seeds() { return {make_device_tree(Board(1), 1, kRamBase, 16 << 20, "console=hvc0")}; }

void run(const std::vector<u8>& input) { (void)device_tree_text(input); }

const fuzz::Registration registration({"device-tree", run, seeds});

} // namespace
