// The walk of one address, entry by entry: through the guest's own table, and as the machine's hart walks it. With two stages the picture is
// the one of nested paging: a row for each level of the guest's table, in it first the entries of the G-stage that say where the guest's
// entry lies, then that entry; and a last row for the address itself.
#include "scenarios/page_tables.hpp"
#include "scenarios/walk.hpp"
#include "ui/panels.hpp"
#include "ui/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::ui {

namespace {

constexpr const char* kOfContainers = later("Containers' page tables are not walked here.");

u64 address_of(const Debugger& debugger) { return debugger.walk_address().value_or(debugger.session().guest_state().pc); }

bool has_machine_walk(const Session& session) { return session.vmm() && session.config().mode != vmm::Mode::Interpret; }

/// The reads of a walk in rows.
std::vector<std::vector<unsigned>> rows_of(const PageWalk& walk) {
    std::vector<std::vector<unsigned>> rows(1);
    for (unsigned i = 0; i < walk.steps; ++i) {
        rows.back().push_back(i);
        if (!walk.read[i].second) rows.emplace_back();
    }
    if (rows.back().empty()) rows.pop_back();
    return rows;
}

std::string step_name(const PageWalk::Step& step) { return fmt::format("{}{}", step.second ? "G" : "L", step.level); }

std::string end_text(const PageWalk& walk, u64 address) {
    switch (walk.outcome) {
    case PageWalk::Outcome::Ok: return walk.steps ? trf("{} is physical {}, in a page of {}", hex(address), hex(walk.physical), scenarios::entry_size_name(walk.page_size))
                                                  : trf("{} is physical: no translation is in force", hex(address));
    case PageWalk::Outcome::PageFault: return trf("{}: a load is a page fault", hex(address));
    case PageWalk::Outcome::GuestPageFault: return trf("{}: a load is a guest-page fault at guest physical {}", hex(address), hex(walk.guest_physical));
    case PageWalk::Outcome::AccessFault: return trf("{}: a load is an access fault", hex(address));
    }
    return {};
}

std::string count_text(const PageWalk& walk, unsigned shown) {
    const auto second = static_cast<unsigned>(std::count_if(walk.read.begin(), walk.read.begin() + walk.steps, [](const auto& step) { return step.second; }));
    std::string text = shown < walk.steps ? trf("{} of {} reads", shown, walk.steps) : trf(walk.steps == 1 ? later("{} read") : later("{} reads"), walk.steps);
    if (second) text += trf(": {} of the guest's table, {} of the G-stage", walk.steps - second, second);
    return text;
}

struct Picture {
    const Theme& theme;
    const PageWalk& walk;
    unsigned shown;
    Commands& commands;
    PanelState& state;
    u64 address;  ///< that is walked
    bool machine; ///< the hart walks, not the guest
    float em = ImGui::GetFontSize();

    void box(unsigned index, ImVec2 low, ImVec2 size) {
        const PageWalk::Step& step = walk.read[index];
        const bool read = index < shown, newest = index + 1 == shown;
        const ImVec4 colour = step.second ? theme.hypervisor : theme.supervisor;
        const ImVec2 high{low.x + size.x, low.y + size.y};
        ImDrawList* list = ImGui::GetWindowDrawList();
        list->AddRectFilled(low, high, ImGui::GetColorU32(ImVec4(colour.x, colour.y, colour.z, read ? newest ? 0.55f : 0.25f : 0.05f)), 3);
        list->AddRect(low, high, ImGui::GetColorU32(newest ? theme.text : ImVec4(colour.x, colour.y, colour.z, read ? 1.0f : 0.3f)), 3, 0, newest ? 2.0f : 1.0f);
        const float pad = em * 0.3f;
        list->PushClipRect(low, high, true);
        list->AddText({low.x + pad, low.y + pad * 0.5f}, ImGui::GetColorU32(read ? theme.text : theme.dim), fmt::format("{}  {}", index + 1, step_name(step)).c_str());
        if (read) list->AddText({low.x + pad, low.y + pad * 0.5f + em * 1.1f}, ImGui::GetColorU32(theme.text), scenarios::entry_letters(step.entry).c_str());
        list->PopClipRect();
        ImGui::SetCursorScreenPos(low);
        ImGui::PushID(static_cast<int>(index));
        if (ImGui::InvisibleButton("entry", size)) commands.push_back({Action::ShowWalkReads, index + 1});
        ImGui::PopID();
        const bool guests = !machine && !step.second;
        context_menu(state, {guests ? ThingKind::Entry : ThingKind::HostEntry, step.entry_address, address, fmt::format("entry at {}: {}", hex(step.entry_address), hex(step.entry))});
        tooltip(theme, trf("Read {}: {}, level {}. The entry at {} is {}: {} {}.", index + 1, step.second ? tr("G-stage") : tr("first stage"), step.level, hex(step.entry_address), hex(step.entry),
                                   pte::is_leaf(step.entry) ? tr("a page at") : tr("a table at"), hex(pte::address(step.entry))));
    }

    void draw() {
        const auto rows = rows_of(walk);
        if (rows.empty()) return;
        std::size_t most = 1;
        for (const auto& row : rows) most = std::max(most, row.size());
        const ImVec2 origin = ImGui::GetCursorScreenPos();
        const float gap = em * 0.5f, width = std::clamp((ImGui::GetContentRegionAvail().x - gap * static_cast<float>(most)) / static_cast<float>(most), em * 3.2f, em * 7.5f), height = em * 2.6f;
        ImDrawList* list = ImGui::GetWindowDrawList();
        for (std::size_t y = 0; y < rows.size(); ++y)
            for (std::size_t x = 0; x < rows[y].size(); ++x) {
                const bool first_stage = !walk.read[rows[y][x]].second;
                const std::size_t column = first_stage ? most - 1 : x; // the guest's own entries stand in the last column
                const ImVec2 low{origin.x + (width + gap) * static_cast<float>(column), origin.y + (height + gap) * static_cast<float>(y)};
                if (x > 0) list->AddLine({low.x - gap, low.y + height / 2}, {low.x, low.y + height / 2}, ImGui::GetColorU32(theme.dim));
                box(rows[y][x], low, {width, height});
            }
        ImGui::SetCursorScreenPos({origin.x, origin.y + (height + gap) * static_cast<float>(rows.size())});
        ImGui::Dummy({1, 1});
    }
};

void draw_walk_of(const Theme& theme, PanelState& state, Commands& commands, const char* title, const PageWalk& walk, u64 address, u64 shown_wanted, bool machine) {
    const auto shown = static_cast<unsigned>(std::min<u64>(shown_wanted, walk.steps));
    prose(theme, theme.accent, fmt::format("{}: {}", title, count_text(walk, shown)));
    ImGui::PushID(title);
    Picture{theme, walk, shown, commands, state, address, machine}.draw();
    ImGui::PopID();
    if (shown > 0 && shown <= walk.steps) {
        const PageWalk::Step& step = walk.read[shown - 1];
        prose(theme, theme.dim, trf("{} at {}: {} {}, {}", step_name(step), hex(step.entry_address), hex(step.entry), scenarios::entry_letters(step.entry),
                                            pte::is_leaf(step.entry) ? trf("a page at {}", hex(pte::address(step.entry))) : step.entry & pte::V ? trf("the next table at {}", hex(pte::address(step.entry))) : tr("not valid")));
    }
    if (shown == walk.steps) prose(theme, walk.outcome == PageWalk::Outcome::Ok ? theme.text : theme.bad, end_text(walk, address));
    ImGui::Spacing();
}

Table walk_table(const PageWalk& walk) {
    Table table{{tr("read"), tr("stage"), tr("level"), tr("entry at"), tr("entry"), tr("bits")}};
    for (unsigned i = 0; i < walk.steps; ++i) {
        const PageWalk::Step& step = walk.read[i];
        table.rows.push_back({std::to_string(i + 1), step.second ? tr("G-stage") : tr("first"), std::to_string(step.level), hex(step.entry_address), hex(step.entry), scenarios::entry_letters(step.entry)});
    }
    return table;
}

const char* machine_title(const Session& session) { return session.config().mode == vmm::Mode::HardwareAssisted ? tr("The hart, in two stages") : tr("The hart, in the hypervisor's table"); }

} // namespace

void draw_walk(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    const Session& session = debugger.session();
    if (session.kernel()) return prose(theme, theme.text, tr(kOfContainers));
    const u64 address = address_of(debugger);
    const float em = ImGui::GetFontSize();
    ImGui::SetNextItemWidth(std::min(em * 13, ImGui::GetContentRegionAvail().x * 0.4f));
    if (ImGui::InputTextWithHint("##walk", tr("walk of: main+8, 0x80400000"), state.walk_text, sizeof state.walk_text, ImGuiInputTextFlags_EnterReturnsTrue) && state.walk_text[0])
        commands.push_back({Action::GoToWalk, 0, state.walk_text});
    const std::pair<const char*, Action> kButtons[] = {{"\u2190", Action::WalkBack}, {"\u2192", Action::WalkNext}, {debugger.walk_playing() ? "\u2016" : "\u25b6", Action::WalkPlay}};
    for (const auto& [text, action] : kButtons) {
        ImGui::SameLine();
        if (ImGui::Button(text)) commands.push_back({action});
        tooltip(theme, action == Action::WalkPlay ? tr("Show the reads one after the other (Ctrl+Shift+.)") : action == Action::WalkNext ? tr("One read more (Ctrl+.)") : tr("One read less (Ctrl+,)"));
    }
    ImGui::SameLine();
    prose(theme, theme.text, trf("a load at {} {}", hex(address), session.guest().elf.describe(address)));
    ImGui::BeginChild("walks");
    draw_walk_of(theme, state, commands, session.vmm() ? tr("The guest's own table") : tr("The page table"), scenarios::guest_walk(session, 0, address), address, debugger.walk_reads(), false);
    if (has_machine_walk(session)) draw_walk_of(theme, state, commands, machine_title(session), scenarios::machine_walk(session, address), address, debugger.walk_reads(), true);
    ImGui::EndChild();
}

Sheet sheet_walk(const Debugger& debugger, const PanelState&) {
    const Session& session = debugger.session();
    if (session.kernel()) return Sheet().say(tr(kOfContainers));
    const u64 address = address_of(debugger);
    Sheet sheet;
    const auto add = [&](const char* title, const PageWalk& walk) {
        sheet.say(fmt::format("{}: {}", title, count_text(walk, walk.steps)));
        if (walk.steps) sheet.add(walk_table(walk));
        sheet.say(end_text(walk, address));
    };
    add(session.vmm() ? tr("The guest's own table") : tr("The page table"), scenarios::guest_walk(session, 0, address));
    if (has_machine_walk(session)) add(machine_title(session), scenarios::machine_walk(session, address));
    return sheet;
}

} // namespace trapeze::ui
