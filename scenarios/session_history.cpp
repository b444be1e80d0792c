// Going back: checkpoints, and which of them are kept.
//
// The places where a checkpoint can be are the multiples of SessionConfig::checkpoint_every. Caches are dropped at each of them, in every run
// and whether a checkpoint is kept there or not, so that a run from a checkpoint is the run that passed it. Kept are two kinds: sparse ones over
// all of the run, and dense ones, at every such place, just before where the session has last been. A first jump far back runs forward from a
// sparse one, and leaves dense ones behind for the steps that follow. What is kept has no effect on what happens, only on how long it takes.
#include "container-sim/kernel.hpp"
#include "emulator/mem/page_use.hpp"
#include "scenarios/session.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::scenarios {

namespace {

constexpr std::size_t kMostSparse = 320, kMostDense = 16, kMostOfContainers = 24, kLeast = 2;
constexpr u64 kCheckpointBytes = u64{1} << 30; ///< of the host in all checkpoints together
constexpr u64 kDossierBytes = 600, kFixedBytes = 128 << 10; ///< of an exit's dossier with its steps; of a checkpoint without lists and pages

} // namespace

/// Whether this is the first time here or not, caches are dropped: so a run goes on exactly as one that is restored from the checkpoint.
void Session::pass_checkpoint() {
    if (checkpoints_.count(now_.position)) return flush_caches();
    take_checkpoint();
}

void Session::flush_caches() {
    if (now_.vmm) now_.vmm->flush_caches(now_.machine);
    else
        for (Hart& hart : now_.machine.harts) hart.flush_all();
}

void Session::take_checkpoint() {
    flush_caches();
    checkpoints_.insert_or_assign(now_.position, std::make_shared<const Situation>(now_));
    if (config_.checkpoint_every) thin_checkpoints();
}

std::vector<u64> Session::checkpoint_positions() const {
    std::vector<u64> positions;
    for (const auto& [position, checkpoint] : checkpoints_) positions.push_back(position);
    return positions;
}

void Session::forget_checkpoints_from(u64 position) { checkpoints_.erase(checkpoints_.lower_bound(position), checkpoints_.end()); }

/// Sparse checkpoints are thinned by keeping every other one; of the dense ones the farthest from here goes.
void Session::thin_checkpoints() {
    const u64 live_pages = now_.machine.ram.touched_pages();
    const u64 own_bytes = kFixedBytes + (trace().total() - trace().first()) * sizeof(Event) + now_.console.size() + now_.lanes.size() * sizeof(LaneChange) +
                          (now_.vmm ? now_.vmm->ledger().size() * kDossierBytes : 0);
    const auto too_much = [&] {
        const u64 pages = page_store::pages_in_use();
        return checkpoints_.size() > kLeast && (pages - std::min(pages, live_pages)) * kPageSize + own_bytes * checkpoints_.size() > kCheckpointBytes;
    };
    const std::size_t most_sparse = now_.kernel ? kMostOfContainers : kMostSparse;
    const auto distance = [&](u64 position) { return position > now_.position ? position - now_.position : now_.position - position; };
    const auto drop_dense = [&] {
        auto victim = checkpoints_.end();
        for (auto at = std::next(checkpoints_.begin()); at != checkpoints_.end(); ++at)
            if (!sparse(at->first) && (victim == checkpoints_.end() || distance(at->first) > distance(victim->first))) victim = at;
        if (victim == checkpoints_.end() || victim->first == now_.position) return false;
        checkpoints_.erase(victim);
        return true;
    };
    const auto dense = [&] { return static_cast<std::size_t>(std::count_if(std::next(checkpoints_.begin()), checkpoints_.end(), [&](const auto& c) { return !sparse(c.first); })); };
    std::size_t kept_dense = dense();
    while (checkpoints_.size() - kept_dense > most_sparse) stride_ *= 2, kept_dense = dense();
    for (; kept_dense > kMostDense && drop_dense(); --kept_dense) {}
    while (too_much()) {
        if (drop_dense()) continue;
        if (stride_ > now_.position) break;
        stride_ *= 2;
    }
}

Result<void> Session::go_before(u64 position) {
    if (!config_.checkpoint_every) return Error{"this session keeps no checkpoints, so it cannot go back; start it with checkpoints"};
    if (position < earliest())
        return Error{fmt::format("position {} is not reached: going back ends at {}, where this session was restored, or registers or memory were changed by hand", position, earliest())};
    if (position >= now_.position) return {};
    now_ = *std::prev(checkpoints_.upper_bound(position))->second;
    if (now_.vmm) now_.vmm->flush_caches(now_.machine);
    // Input at the very position of a checkpoint came after it was taken.
    next_input_ = 0;
    while (next_input_ < inputs_.size() && inputs_[next_input_].position < now_.position) ++next_input_;
    return {};
}

Result<bool> Session::approach(u64 position, u64 units) {
    if (now_.position > position) return Error{fmt::format("position {} is behind: this is {}", position, now_.position)};
    std::vector<Breakpoint> kept;
    kept.swap(breakpoints_);
    const RunEnd why = run(std::min(units, position - now_.position));
    breakpoints_.swap(kept);
    if (now_.position == position) {
        apply_input(); // what was typed here is part of being here
        return true;
    }
    if (why == RunEnd::Budget) return false;
    return Error{fmt::format("position {} is not reached: the run {} at {}", position, why == RunEnd::Halted ? "ends" : "waits for input", now_.position)};
}

Result<void> Session::go_to(u64 position) {
    if (auto placed = go_before(position); !placed) return placed;
    const auto reached = approach(position, ~u64{0});
    if (!reached) return Error{reached.error()};
    return {};
}

} // namespace trapeze::scenarios
