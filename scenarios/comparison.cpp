#include "scenarios/comparison.hpp"

#include "scenarios/stuck.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>

namespace trapeze::scenarios {

namespace {

constexpr ModeFigure kFigures[] = {
    {"instructions", "guest instructions", &ModeCost::instructions},
    {"cycles", "modelled cycles", &ModeCost::cycles},
    {"boot_cycles", "  until booted", &ModeCost::boot_cycles},
    {"memory_bytes", "memory touched, KiB", &ModeCost::memory_bytes, 10},
    {"vmm_bytes", "of it the VMM's, KiB", &ModeCost::vmm_bytes, 10},
    {"shadow_bytes", "  shadow tables", &ModeCost::shadow_bytes, 10},
    {"gstage_bytes", "  G-stage tables", &ModeCost::gstage_bytes, 10},
    {"other_vmm_bytes", "  other", &ModeCost::other_vmm_bytes, 10},
    {"walks", "page walks, one stage", &ModeCost::walks},
    {"walk_entries", "  entries read", &ModeCost::entries},
    {"nested_walks", "page walks, two stages", &ModeCost::nested_walks},
    {"nested_walk_entries", "  entries read", &ModeCost::nested_entries},
    {"software_entries", "entries the VMM read", &ModeCost::software_entries},
    {"tlb_flushes", "TLB flushes", &ModeCost::flushes},
    {"exits", "exits", &ModeCost::exits},
};

/// Looks for a text in what a session prints, without looking at what it has seen already.
class Marks {
  public:
    explicit Marks(const std::string& text) : text_(text) {}
    bool seen(const Session& session) {
        if (text_.empty() || session.printed() == printed_) return false;
        const std::string& console = session.console();
        const u64 fresh = session.printed() - printed_ + text_.size();
        printed_ = session.printed();
        return console.find(text_, console.size() - std::min<u64>(console.size(), fresh)) != std::string::npos;
    }

  private:
    std::string text_;
    u64 printed_ = 0;
};

void count_vmm(const vmm::Vmm& vmm, ModeCost& cost) {
    cost.vmm_bytes = vmm.vmm_bytes();
    cost.shadow_bytes = vmm.shadow().pages_used() * kPageSize;
    cost.gstage_bytes = vmm.gstage().pages_used() * kPageSize;
    cost.other_vmm_bytes = cost.vmm_bytes - cost.shadow_bytes - cost.gstage_bytes;
    cost.exits = vmm.exits();
    for (std::size_t i = 0; i < static_cast<std::size_t>(vmm::ExitReason::Count); ++i) {
        const auto reason = static_cast<vmm::ExitReason>(i);
        if (vmm.exits(reason)) cost.exits_by_reason.emplace_back(vmm::exit_reason_row(reason).name, vmm.exits(reason));
    }
    // An interpreter walks the guest's tables itself, on its virtual hart; elsewhere the VMM walks them where a dossier says so.
    const TranslationCounts& virtual_hart = vmm.guest_hart().translations;
    cost.software_entries = vmm.mode() == Mode::Interpret ? virtual_hart.entries + virtual_hart.nested_entries : vmm.table_entries_read();
}

// --- The picture ---------------------------------------------------------------------------------------------------------------

// Okabe and Ito's palette, which can be told apart with every common colour-vision deficiency.
constexpr const char* kColours[] = {"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999"};
constexpr int kWidth = 960, kLeft = 170, kBar = 620, kBarHeight = 18, kRowHeight = 54, kTop = 84, kLegendHeight = 20;

std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '&') out += "&amp;";
        else if (c == '<') out += "&lt;";
        else if (c == '>') out += "&gt;";
        else if (c == '"') out += "&quot;";
        else if (static_cast<unsigned char>(c) >= ' ') out += c;
    }
    return out;
}

const char* colour(std::size_t i) { return kColours[i % std::size(kColours)]; }
/// Reasons that share a colour differ in their outline.
const char* outline(std::size_t i) { return i < std::size(kColours) ? "none" : "#000000"; }

double scaled(u64 value, u64 most) { return most ? static_cast<double>(value) / static_cast<double>(most) * kBar : 0; }

std::string text_at(double x, double y, const std::string& text, const char* more = "") {
    return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\"{}>{}</text>\n", x, y, more, escaped(text));
}
std::string bar(double x, double y, double width, const char* fill, const char* stroke, const std::string& title) {
    return fmt::format("<rect x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"{}\" fill=\"{}\" stroke=\"{}\"><title>{}</title></rect>\n", x, y, width, kBarHeight, fill,
                       stroke, escaped(title));
}

} // namespace

std::span<const ModeFigure> mode_figures() { return kFigures; }

u64 ModeCost::exits_of(const std::string& reason) const {
    for (const auto& [name, count] : exits_by_reason)
        if (name == reason) return count;
    return 0;
}

ModeCost count_mode(const Session& session) {
    ModeCost cost;
    const Machine& machine = session.machine();
    cost.mode = vmm::mode_row(session.config().mode).name;
    cost.console = session.console();
    cost.cycles = machine.cycles();
    cost.memory_bytes = machine.ram.touched_pages() * kPageSize;
    cost.instructions = session.vmm() ? session.vmm()->guest_instructions(machine) : machine.hart().state.retired;
    for (const Hart& hart : machine.harts) {
        const TranslationCounts& counts = hart.translations;
        cost.walks += counts.walks, cost.entries += counts.entries, cost.flushes += counts.flushes;
        cost.nested_walks += counts.nested_walks, cost.nested_entries += counts.nested_entries;
    }
    if (session.vmm()) count_vmm(*session.vmm(), cost);
    return cost;
}

ModeCost measure_mode(Session& session, const CompareLimits& limits, const std::function<void(u64)>& progress) {
    const auto begin = std::chrono::steady_clock::now();
    StuckGuard guard;
    Marks boot(limits.boot_mark), exit(limits.exit_on);
    std::string end, stuck;
    u64 boot_cycles = 0, looked_at = 0;
    RunEnd why = RunEnd::Budget;
    while (why == RunEnd::Budget && session.position() < limits.units && end.empty()) {
        const bool booting = !limits.boot_mark.empty() && !boot_cycles;
        why = session.run(std::min(booting ? CompareLimits::kBootSlice : StuckGuard::kSlice, limits.units - session.position()));
        if (booting && boot.seen(session)) boot_cycles = session.machine().cycles();
        if (exit.seen(session)) end = "text";
        if (why != RunEnd::Budget || session.position() - looked_at < StuckGuard::kSlice) continue;
        looked_at = session.position();
        if (progress) progress(session.position());
        if (limits.stop_when_stuck) stuck = guard.look(session).value_or("");
        if (!stuck.empty()) end = "stuck";
    }
    if (end.empty()) end = why == RunEnd::Halted ? "halted" : why == RunEnd::Idle ? "idle" : "limit";
    ModeCost cost = count_mode(session);
    cost.end = end, cost.stuck = stuck, cost.boot_cycles = boot_cycles;
    cost.host_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return cost;
}

std::vector<std::string> reasons_of(std::span<const ModeCost> modes) {
    std::vector<std::string> reasons;
    for (std::size_t i = 0; i < static_cast<std::size_t>(vmm::ExitReason::Count); ++i) {
        const std::string name = vmm::exit_reason_row(static_cast<vmm::ExitReason>(i)).name;
        if (std::any_of(modes.begin(), modes.end(), [&](const ModeCost& mode) { return mode.exits_of(name) != 0; })) reasons.push_back(name);
    }
    return reasons;
}

std::string comparison_json(std::span<const ModeCost> modes, const std::string& costs) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const ModeCost& mode : modes) {
        nlohmann::ordered_json exits = nlohmann::ordered_json::object(), one{{"mode", mode.mode}, {"costs", costs}};
        for (const auto& [reason, count] : mode.exits_by_reason) exits[reason] = count;
        for (const ModeFigure& figure : kFigures) one[figure.key] = mode.*figure.value;
        one["total_exits"] = mode.exits, one["exits"] = exits;
        if (!mode.boot_cycles) one["boot_cycles"] = nullptr;
        one["host_seconds"] = mode.host_seconds, one["end"] = mode.end, one["console"] = mode.console;
        list.push_back(one);
    }
    return list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string comparison_csv(std::span<const ModeCost> modes, const std::string& costs) {
    const auto quoted = [](const std::string& text) {
        std::string out = "\"";
        for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
        return out + "\"";
    };
    const auto reasons = reasons_of(modes);
    std::string text = "mode,costs";
    for (const ModeFigure& figure : kFigures) text += fmt::format(",{}", figure.key);
    for (const std::string& reason : reasons) text += "," + quoted("exits: " + reason);
    text += ",host_seconds,end\n";
    for (const ModeCost& mode : modes) {
        text += quoted(mode.mode) + "," + quoted(costs);
        for (const ModeFigure& figure : kFigures)
            text += figure.value == &ModeCost::boot_cycles && !mode.boot_cycles ? "," : fmt::format(",{}", mode.*figure.value);
        for (const std::string& reason : reasons) text += fmt::format(",{}", mode.exits_of(reason));
        text += fmt::format(",{:.3f},{}\n", mode.host_seconds, quoted(mode.end));
    }
    return text;
}

std::string comparison_exits(std::span<const ModeCost> modes) {
    std::string text;
    for (const ModeCost& mode : modes) {
        text += fmt::format("{:<19}{:<22}{:>8}\n", mode.mode, "all exits", mode.exits);
        for (const auto& [reason, count] : mode.exits_by_reason) text += fmt::format("{:<19}{:<22}{:>8}\n", mode.mode, reason, count);
    }
    return text;
}

std::string comparison_svg(std::span<const ModeCost> modes, const std::string& guest, const std::string& costs) {
    const auto reasons = reasons_of(modes);
    u64 most_cycles = 0, most_exits = 0;
    for (const ModeCost& mode : modes) most_cycles = std::max(most_cycles, mode.cycles), most_exits = std::max(most_exits, mode.exits);
    const int legend = kTop + static_cast<int>(modes.size()) * kRowHeight + 16, height = legend + static_cast<int>(reasons.size() + 1) * kLegendHeight + 16;
    std::string svg = fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" font-family=\"sans-serif\" font-size=\"13\">\n"
                                  "<rect width=\"{0}\" height=\"{1}\" fill=\"#ffffff\"/>\n", kWidth, height);
    svg += text_at(16, 28, guest + ": what each mode costs", " font-size=\"18\"");
    svg += text_at(16, 50, fmt::format("upper bar: modelled cycles, cost model {}; lower bar: exits by reason. Each has a scale of its own.", costs));
    for (std::size_t i = 0; i < modes.size(); ++i) {
        const ModeCost& mode = modes[i];
        const double y = kTop + static_cast<double>(i) * kRowHeight;
        svg += text_at(16, y + 24, mode.mode);
        svg += bar(kLeft, y, scaled(mode.cycles, most_cycles), "#333333", "none", fmt::format("{} cycles", mode.cycles));
        svg += text_at(kLeft + scaled(mode.cycles, most_cycles) + 6, y + 14, fmt::format("{} cycles", mode.cycles));
        double x = kLeft;
        for (std::size_t r = 0; r < reasons.size(); ++r) {
            const u64 count = mode.exits_of(reasons[r]);
            if (!count) continue;
            svg += bar(x, y + kBarHeight + 2, scaled(count, most_exits), colour(r), outline(r), fmt::format("{}: {}", reasons[r], count));
            x += scaled(count, most_exits);
        }
        svg += text_at(x + 6, y + kBarHeight + 16, fmt::format("{} exits", mode.exits));
    }
    for (std::size_t r = 0; r < reasons.size(); ++r) {
        const double y = legend + static_cast<double>(r) * kLegendHeight;
        std::string line = reasons[r] + ":";
        for (const ModeCost& mode : modes)
            if (mode.exits_of(reasons[r])) line += fmt::format("  {} {}", mode.mode, mode.exits_of(reasons[r]));
        svg += fmt::format("<rect x=\"{}\" y=\"{:.1f}\" width=\"14\" height=\"14\" fill=\"{}\" stroke=\"{}\"/>\n", kLeft, y, colour(r), outline(r));
        svg += text_at(kLeft + 22, y + 12, line);
    }
    return svg + "</svg>\n";
}

} // namespace trapeze::scenarios
