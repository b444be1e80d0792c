// Saving and loading a VMM's state. What is loaded is checked: a file may hold anything, and nothing of it may lead outside the VMM's
// own pages, tables of sentences, or ledger.
#include "emulator/snapshot.hpp"
#include "hypervisor-sim/vmm.hpp"

#include <algorithm>

namespace trapeze::vmm {

namespace {

void privilege_state(StateArchive& archive, Priv& priv) {
    archive(priv);
    if (priv != Priv::U && priv != Priv::S && priv != Priv::M) archive.fail(), priv = Priv::M;
}

void trap_state(StateArchive& archive, Trap& trap) {
    for (u64* field : {&trap.cause, &trap.epc, &trap.tval, &trap.tval2, &trap.tinst}) archive(*field);
    privilege_state(archive, trap.from), privilege_state(archive, trap.to);
    for (bool* flag : {&trap.from_virt, &trap.to_virt, &trap.guest_address}) archive(*flag);
}

/// The number of elements of a list; loading makes room for at most `most` of them.
template <class List> void count_state(StateArchive& archive, List& list, u64 most) {
    u64 count = list.size();
    archive.at_most(count, most);
    if (archive.loading()) list.clear(), list.resize(archive.failed() ? 0 : count);
}

constexpr u64 kMostSteps = 1 << 16; // of one exit; far more than there are

void dossier_state(StateArchive& archive, ExitDossier& d) {
    archive(d.number), archive(d.time), archive.limited(d.reason, ExitReason::Count);
    trap_state(archive, d.hardware), trap_state(archive, d.injection);
    archive(d.guest_pc), archive(d.word), archive(d.resume_pc), archive(d.injected), archive(d.cost), archive(d.complete);
    for (Priv* priv : {&d.believed, &d.real.priv, &d.believed_after}) privilege_state(archive, *priv);
    archive(d.real.virt);
    count_state(archive, d.steps, kMostSteps);
    for (DossierStep& step : d.steps) {
        if (archive.failed()) return;
        archive.limited(step.kind, StepKind::Count), archive(step.cost), archive(step.a), archive(step.b);
    }
    count_state(archive, d.changes, kCsrCount);
    for (CsrChange& change : d.changes) archive(change.number), archive(change.before), archive(change.after);
}

} // namespace

namespace {

void view_state(StateArchive& archive, ShadowKey& key) {
    privilege_state(archive, key.priv);
    archive(key.sum), archive(key.mxr), archive(key.replay), archive(key.satp), archive(key.window);
}

} // namespace

void ShadowTables::state(StateArchive& archive) {
    u64 first = first_page_, pages = pages_;
    archive(first), archive(pages);
    if (first != first_page_ || pages != pages_) return archive.fail();
    const auto page_state = [&](u64& page) {
        archive(page);
        if (page - first_page_ >= pages_) archive.fail(), page = first_page_;
    };
    const auto list_state = [&](std::vector<u64>& list) {
        count_state(archive, list, pages_);
        for (u64& page : list) page_state(page);
    };
    archive.at_most(fresh_, pages_), archive.at_most(used_, pages_), archive(clock_), archive(dropped_), archive(exhausted_);
    list_state(free_);
    count_state(archive, roots_, kMaxRoots);
    u64 used = 0;
    for (Root& root : roots_) {
        view_state(archive, root.key);
        page_state(root.page), archive(root.last_used);
        u64 level = root.largest_level;
        archive.at_most(level, 2);
        root.largest_level = static_cast<unsigned>(level);
        list_state(root.tables);
        used += 1 + root.tables.size();
    }
    if (used != used_) archive.fail();
}

void TableTracker::state(StateArchive& archive, u64 first_page, u64 pages) {
    u64 count = tables_.size();
    archive.at_most(count, pages);
    std::vector<std::pair<u64, Table>> list(tables_.begin(), tables_.end());
    if (archive.loading()) list.assign(archive.failed() ? 0 : count, {});
    for (auto& [page, table] : list) {
        if (archive.failed()) break;
        archive(page), archive(table.stores);
        if (page - first_page >= pages) return archive.fail();
        count_state(archive, table.uses, kMostUses);
        for (Use& use : table.uses) {
            u64 level = use.level;
            view_state(archive, use.key), archive(use.va), archive.at_most(level, 2);
            use.level = static_cast<u8>(level);
        }
    }
    if (archive.loading()) tables_ = {list.begin(), list.end()}, loaded_ = true;
}

void GStageTables::state(StateArchive& archive) {
    u64 first = first_page_, pages = pages_;
    archive(first), archive(pages);
    if (first != first_page_ || pages != pages_) return archive.fail();
    archive.at_most(used_, pages_), archive(mapped_), archive(root_made_), archive(dropped_);
}

void Vmm::state(StateArchive& archive) {
    hart_state(archive, vhart_.state), archive(vhart_.seats);
    vhart_.flush_all();
    board_.state(archive);
    firmware_state(archive, firmware_);
    shadow_.state(archive);
    gstage_.state(archive);
    tracker_.state(archive, to_host(GuestPhys(kRamBase)).value >> kPageShift, config_.ram_bytes >> kPageShift);
    if (config_.mode == Mode::Translate) cache_.state(archive, config_.ram_bytes / kPageSize);
    direct_.state(archive), paravirt_.state(archive);
    archive(pending_), archive(entered_), archive(entry_retired_);
    archive(exit_counts_);
    for (u64* count : {&exits_, &interpreted_, &table_entries_read_, &shadow_fills_, &shadow_flushes_, &clustered_}) archive(*count);
    count_state(archive, ledger_, kLedgerSize);
    for (ExitDossier& dossier : ledger_) {
        if (archive.failed()) break;
        dossier_state(archive, dossier);
        dossier.recorded = config_.dossiers;
    }
    const bool possible = !(pending_ && (entered_ || ledger_.empty() || ledger_.back().complete)) &&
                          !(paravirt_.started && (config_.mode != Mode::Paravirtual || ledger_.empty()));
    if (paravirt_.shared & kPageMask || (paravirt_.started && paravirt_.shared - kRamBase >= config_.ram_bytes)) archive.fail(), paravirt_ = {};
    if (!possible || archive.failed()) archive.fail(), pending_ = entered_ = false, ledger_.clear();
}

} // namespace trapeze::vmm
