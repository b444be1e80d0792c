// A small fuzzer: each target gets random bytes and mutations of its seeds, for some seconds, under the sanitizers. Deterministic for
// a seed. Usage: trapeze-fuzz [--seconds N] [--seed N] [TARGET...]
#include "tests/fuzz/fuzz.hpp"

#include <fmt/format.h>

#include <algorithm>

#include <chrono>
#include <cstring>
#include <fstream>
#include <random>

namespace trapeze::fuzz {

std::vector<Target>& targets() {
    static std::vector<Target> all;
    return all;
}

namespace {

std::vector<u8> mutate(std::vector<u8> input, std::mt19937_64& random) {
    if (input.empty()) input.resize(1 + random() % 512);
    const unsigned changes = 1 + random() % 8;
    for (unsigned i = 0; i < changes; ++i) {
        u8& byte = input[random() % input.size()];
        switch (random() % 5) {
        case 0: byte = static_cast<u8>(random()); break;
        case 1: byte ^= static_cast<u8>(1u << random() % 8); break;
        case 2: byte = 0xff; break;
        case 3: byte = 0; break;
        default: input.resize(1 + random() % (input.size() + 16)); break;
        }
    }
    return input;
}

std::vector<u8> random_bytes(std::mt19937_64& random) {
    std::vector<u8> bytes(random() % 1024);
    for (u8& byte : bytes) byte = static_cast<u8>(random());
    return bytes;
}

void run_target(const Target& target, double seconds, u64 seed) {
    std::mt19937_64 random(seed);
    const auto begin = std::chrono::steady_clock::now();
    const auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
    const std::vector<std::vector<u8>> seeds = target.seeds();
    u64 runs = 0;
    for (; elapsed() < seconds; ++runs) {
        const bool mutated = !seeds.empty() && random() % 4;
        const std::vector<u8> input = mutated ? mutate(seeds[random() % seeds.size()], random) : random_bytes(random);
        std::ofstream("fuzz-last-input", std::ios::binary).write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
        target.run(input);
    }
    std::remove("fuzz-last-input");
    fmt::print("fuzz {}: {} inputs in {:.1f} s, no finding\n", target.name, runs, elapsed());
}

} // namespace

} // namespace trapeze::fuzz

int main(int argc, char** argv) {
    double seconds = 10;
    trapeze::u64 seed = 1;
    std::vector<std::string> chosen;
    for (int i = 1; i < argc; ++i) {
        if (!std::strcmp(argv[i], "--seconds") && i + 1 < argc) seconds = std::atof(argv[++i]);
        else if (!std::strcmp(argv[i], "--seed") && i + 1 < argc) seed = std::strtoull(argv[++i], nullptr, 0);
        else chosen.push_back(argv[i]);
    }
    for (const auto& target : trapeze::fuzz::targets())
        if (chosen.empty() || std::find(chosen.begin(), chosen.end(), target.name) != chosen.end()) trapeze::fuzz::run_target(target, seconds, seed);
    return 0;
}
