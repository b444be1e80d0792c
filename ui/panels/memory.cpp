// Memory: bytes around a place, what they could mean there, search, and edits by hand.
#include "scenarios/guest_memory.hpp"
#include "ui/panels.hpp"
#include "ui/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace trapeze::ui {

namespace {

using scenarios::AddressSpace;

constexpr std::size_t kMostShown = 4096; // bytes
constexpr const char* kOfContainers = later("Programs in containers are not looked into here.");

AddressSpace space_of(const Debugger::MemoryPlace& place) { return place.physical ? AddressSpace::Physical : AddressSpace::Virtual; }

/// The place that is looked at: what was chosen, else the stack, else the code.
Debugger::MemoryPlace place_of(const Debugger& debugger) {
    if (debugger.memory_place()) return *debugger.memory_place();
    const HartState guest = debugger.session().guest_state();
    constexpr unsigned kSp = 2;
    u8 byte = 0;
    const bool stack = scenarios::read_guest_memory(debugger.session(), 0, guest.x[kSp], AddressSpace::Virtual, std::span(&byte, 1)) == 1;
    return {stack ? guest.x[kSp] : guest.pc, false};
}

/// Bytes of rows from an address on; those that are not mapped are missing.
struct Rows {
    u64 first = 0;
    std::vector<u8> bytes;
    std::vector<bool> there;
};

Rows read_rows(const Session& session, u64 first, std::size_t count, AddressSpace space) {
    Rows rows{first, std::vector<u8>(count), std::vector<bool>(count, false)};
    for (std::size_t done = 0; done < count;) {
        const std::size_t chunk = std::min<std::size_t>(count - done, kPageSize - ((first + done) & kPageMask));
        const std::size_t got = scenarios::read_guest_memory(session, 0, first + done, space, std::span(rows.bytes).subspan(done, chunk));
        std::fill_n(rows.there.begin() + static_cast<std::ptrdiff_t>(done), got, true);
        done += chunk;
    }
    return rows;
}

char printable(u8 byte) { return byte >= 0x20 && byte < 0x7f ? static_cast<char>(byte) : '.'; }

template <class T> T value_of(const std::array<u8, 8>& bytes) {
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

/// What the bytes at a place are as each type.
Table typed(const Session& session, const Debugger::MemoryPlace& place) {
    std::array<u8, 8> bytes{};
    const std::size_t got = scenarios::read_guest_memory(session, 0, place.address, space_of(place), bytes);
    Table table{{tr("as"), tr("value")}};
    const auto add = [&](const char* type, std::size_t size, const std::string& value) { table.rows.push_back({type, got >= size ? value : tr("not mapped")}); };
    add("u8 / i8", 1, fmt::format("{} / {}", bytes[0], value_of<i8>(bytes)));
    add("u16 / i16", 2, fmt::format("{} / {}", value_of<u16>(bytes), value_of<i16>(bytes)));
    add("u32 / i32", 4, fmt::format("{} / {}", value_of<u32>(bytes), value_of<i32>(bytes)));
    add("u64", 8, hex(value_of<u64>(bytes)));
    add("i64", 8, fmt::format("{}", value_of<i64>(bytes)));
    add("float", 4, fmt::format("{}", value_of<float>(bytes)));
    add("double", 8, fmt::format("{}", value_of<double>(bytes)));
    const std::string symbol = session.guest().elf.describe(value_of<u64>(bytes));
    add(tr("pointer to"), 8, symbol.empty() ? tr("no symbol") : symbol);
    const u32 word = value_of<u32>(bytes);
    add(tr("instruction"), is_long(static_cast<u16>(word)) ? 4 : 2, disassemble(is_long(static_cast<u16>(word)) ? word : word & 0xffff, place.address));
    return table;
}

std::string place_text(const Session& session, const Debugger::MemoryPlace& place) {
    std::string text = fmt::format("{} {}", place.physical ? tr("guest physical") : tr("virtual"), hex(place.address));
    const std::string symbol = place.physical ? "" : session.guest().elf.describe(place.address);
    if (!symbol.empty()) text += " " + symbol;
    if (place.physical) return text;
    const auto at = scenarios::ram_address(session, 0, place.address, AddressSpace::Virtual);
    return text + (at ? trf(" at physical {}", hex(*at)) : std::string(tr(", not mapped")));
}

struct Grid {
    const Debugger& debugger;
    const Theme& theme;
    PanelState& state;
    Commands& commands;
    Debugger::MemoryPlace place;
    std::size_t across = 16;
    float cell = ImGui::CalcTextSize("x").x;

    float address_width() const { return cell * 18; }
    float byte_x(std::size_t column) const { return address_width() + cell * (static_cast<float>(column) * 3 + static_cast<float>(column / 8)); }
    float text_x() const { return byte_x(across) + cell; }
    float width() const { return text_x() + cell * static_cast<float>(across); }

    /// What was there when the session stood elsewhere, to mark what has changed since.
    void remember(const Rows& rows) {
        auto& seen = state.memory;
        const u64 now = debugger.session().machine().cycles();
        const bool same = seen.first == rows.first && seen.bytes.size() == rows.bytes.size() && seen.sessions == debugger.sessions() && seen.physical == place.physical;
        if (!same) seen.before.clear();
        else if (now != seen.cycles) seen.before = seen.bytes;
        seen = {rows.first, now, debugger.sessions(), place.physical, rows.bytes, std::move(seen.before)};
    }
    bool changed(std::size_t index) const { return index < state.memory.before.size() && state.memory.before[index] != state.memory.bytes[index]; }

    void draw_row(ImVec2 at, const Rows& rows, std::size_t row) {
        ImDrawList* list = ImGui::GetWindowDrawList();
        const u64 address = rows.first + row * across;
        const auto text = [&](float x, const ImVec4& colour, const char* begin, const char* end = nullptr) { list->AddText({at.x + x, at.y}, ImGui::GetColorU32(colour), begin, end); };
        text(0, theme.dim, hex_digits(address).c_str());
        for (std::size_t column = 0; column < across; ++column) {
            const std::size_t index = row * across + column;
            const bool there = rows.there[index], chosen = rows.first + index == place.address;
            if (chosen) {
                const float x = at.x + byte_x(column) - 2, end = x + cell * 2 + 4, y = at.y, bottom = y + ImGui::GetTextLineHeight();
                list->AddRectFilled({x, y}, {end, bottom}, ImGui::GetColorU32(theme.current_line), 2);
                list->AddRect({x, y}, {end, bottom}, ImGui::GetColorU32(theme.accent), 2);
            }
            const ImVec4 colour = !there || rows.bytes[index] == 0 ? theme.dim : changed(index) ? theme.changed : theme.text;
            const std::string digits = there ? fmt::format("{:02x}", rows.bytes[index]) : "--";
            text(byte_x(column), changed(index) ? theme.changed : colour, digits.c_str());
            if (there && changed(index)) list->AddLine({at.x + byte_x(column), at.y + ImGui::GetTextLineHeight()}, {at.x + byte_x(column) + cell * 2, at.y + ImGui::GetTextLineHeight()}, ImGui::GetColorU32(theme.changed));
            const char letter = there ? printable(rows.bytes[index]) : ' ';
            text(text_x() + cell * static_cast<float>(column), colour, &letter, &letter + 1);
        }
    }

    void click(ImVec2 origin, const Rows& rows, float line) {
        const ImVec2 mouse = ImGui::GetIO().MousePos;
        const float x = mouse.x - origin.x, y = mouse.y - origin.y;
        for (std::size_t column = 0; column < across; ++column) {
            const bool byte = x >= byte_x(column) && x < byte_x(column) + cell * 2.5f, letter = x >= text_x() + cell * static_cast<float>(column) && x < text_x() + cell * static_cast<float>(column + 1);
            if (!byte && !letter) continue;
            const u64 address = rows.first + static_cast<u64>(y / line) * across + column;
            if (ImGui::IsMouseClicked(0)) commands.push_back({Action::ShowMemory, address, place.physical ? "physical" : ""});
            note_thing(state, {place.physical ? ThingKind::Physical : ThingKind::Address, address, 0, hex(address)}, true);
            ImGui::SetTooltip("%s", place_text(debugger.session(), {address, place.physical}).c_str());
        }
    }

    void draw(float height) {
        ImGui::BeginChild("bytes", {0, height}, false, ImGuiWindowFlags_NoScrollbar | ImGuiWindowFlags_NoScrollWithMouse);
        const float line = ImGui::GetTextLineHeightWithSpacing();
        const auto lines = static_cast<std::size_t>(std::clamp(ImGui::GetContentRegionAvail().y / line, 1.0f, static_cast<float>(kMostShown / 16)));
        across = width() <= ImGui::GetContentRegionAvail().x ? 16 : 8;
        // The place keeps its row as long as it is in view; the wheel moves the view.
        if (state.memory_top > place.address || place.address - state.memory_top >= lines * across || state.memory_across != across) state.memory_top = (place.address - std::min<u64>(place.address, lines / 3 * across)) & ~u64{across - 1};
        state.memory_across = across;
        if (ImGui::IsWindowHovered() && ImGui::GetIO().MouseWheel != 0)
            commands.push_back({Action::ShowMemory, place.address - static_cast<u64>(static_cast<i64>(ImGui::GetIO().MouseWheel * 3) * static_cast<i64>(across)), place.physical ? "physical" : ""});
        const Rows rows = read_rows(debugger.session(), state.memory_top, lines * across, space_of(place));
        remember(rows);
        const ImVec2 origin = ImGui::GetCursorScreenPos();
        for (std::size_t row = 0; row < lines; ++row) draw_row({origin.x, origin.y + line * static_cast<float>(row)}, rows, row);
        if (ImGui::IsWindowHovered()) click(origin, rows, line);
        ImGui::EndChild();
    }
};

/// Keys of the panel when it has the focus: the cursor.
void take_keys(const Debugger& debugger, const Debugger::MemoryPlace& place, u64 across, Commands& commands) {
    if (!ImGui::IsWindowFocused(ImGuiFocusedFlags_RootAndChildWindows) || ImGui::IsAnyItemActive() || debugger.typing() || debugger.overlay() != Overlay::None || ImGui::GetIO().KeyCtrl) return;
    const std::pair<ImGuiKey_, i64> kMoves[] = {{ImGuiKey_LeftArrow, -1}, {ImGuiKey_RightArrow, 1}, {ImGuiKey_UpArrow, -static_cast<i64>(across)}, {ImGuiKey_DownArrow, static_cast<i64>(across)},
                                                {ImGuiKey_PageUp, -static_cast<i64>(across) * 16}, {ImGuiKey_PageDown, static_cast<i64>(across) * 16}};
    for (const auto& [key, by] : kMoves)
        if (ImGui::IsKeyPressed(ImGui::GetKeyIndex(key))) commands.push_back({Action::ShowMemory, place.address + static_cast<u64>(by), place.physical ? "physical" : ""});
}

void draw_fields(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands, const Debugger::MemoryPlace& place) {
    const float em = ImGui::GetFontSize();
    if (state.text_wanted_seen != debugger.text_wanted().second && debugger.text_wanted().first != Action::HideOverlay) {
        state.text_wanted_seen = debugger.text_wanted().second;
        state.text_wanted = debugger.text_wanted().first;
    }
    // What has no room beside the others goes to a line of its own.
    const float right = ImGui::GetCursorScreenPos().x + ImGui::GetContentRegionAvail().x;
    const auto beside = [&](float width) {
        ImGui::SameLine();
        if (ImGui::GetCursorScreenPos().x + width > right) ImGui::NewLine();
    };
    const auto field = [&](const char* id, const char* hint, char* text, std::size_t size, float ems, Action wanted) {
        ImGui::SetNextItemWidth(std::min(em * ems, ImGui::GetContentRegionAvail().x));
        if (state.text_wanted == wanted) ImGui::SetKeyboardFocusHere(), state.text_wanted.reset();
        return ImGui::InputTextWithHint(id, hint, text, size, ImGuiInputTextFlags_EnterReturnsTrue) && text[0];
    };
    if (field("##go", tr("go to: main+8 (Ctrl+G)"), state.memory_text, sizeof state.memory_text, 14, Action::MemoryGoTo)) commands.push_back({Action::GoToMemory, 0, state.memory_text});
    beside(em * 16);
    if (field("##find", tr("find: de ad, 0x1234, \"text\""), state.search_text, sizeof state.search_text, 16, Action::MemoryFind)) commands.push_back({Action::SearchMemory, 0, state.search_text});
    beside(em * 6);
    bool physical = place.physical;
    if (ImGui::Checkbox(tr("physical"), &physical)) commands.push_back({Action::ShowMemory, place.address, physical ? "physical" : ""});
    tooltip(theme, tr("Guest physical addresses, instead of those that the guest's software uses."));
    beside(em * 4);
    if (ImGui::Button(tr("Follow"))) commands.push_back({Action::FollowPointer});
    tooltip(theme, tr("Go where the eight bytes at the cursor point to (Ctrl+Shift+O)."));
    beside(em * 3);
    if (ImGui::Button(tr("Back"))) commands.push_back({Action::MemoryBack});
    tooltip(theme, tr("Where the cursor was before (Ctrl+Shift+B)."));
    beside(em * 14);
    if (field("##edit", tr("write here: de ad (Ctrl+E)"), state.edit_text, sizeof state.edit_text, 14, Action::MemoryEdit)) commands.push_back({Action::WriteMemory, place.address, state.edit_text}), state.edit_text[0] = 0;
    tooltip(theme, tr("Bytes to write at the cursor. The log of input does not know edits by hand, so going back ends here."));
}

} // namespace

void draw_memory(const Debugger& debugger, const Theme& theme, PanelState& state, Commands& commands) {
    if (debugger.session().kernel()) return prose(theme, theme.text, tr(kOfContainers));
    const Debugger::MemoryPlace place = place_of(debugger);
    draw_fields(debugger, theme, state, commands, place);
    prose(theme, theme.accent, place_text(debugger.session(), place));
    const Table meanings = typed(debugger.session(), place);
    const float line = ImGui::GetTextLineHeightWithSpacing(), room = ImGui::GetContentRegionAvail().y;
    const std::size_t columns = ImGui::GetContentRegionAvail().x > ImGui::GetFontSize() * 36 ? 2 : 1; // of them beside each other
    const float below = line * static_cast<float>((meanings.rows.size() + columns - 1) / columns) + ImGui::GetStyle().ItemSpacing.y;
    const bool with_meanings = room > below * 2;
    Grid grid{debugger, theme, state, commands, place};
    grid.draw(with_meanings ? room - below : room);
    take_keys(debugger, place, grid.across, commands);
    if (!with_meanings || !ImGui::BeginTable("typed", static_cast<int>(columns) * 2, ImGuiTableFlags_SizingFixedFit)) return;
    for (const auto& row : meanings.rows) {
        ImGui::TableNextColumn();
        ImGui::TextColored(theme.dim, "%s", row[0].c_str());
        ImGui::TableNextColumn();
        ImGui::Text("%s    ", row[1].c_str());
    }
    ImGui::EndTable();
}

Sheet sheet_memory(const Debugger& debugger, const PanelState&) {
    if (debugger.session().kernel()) return Sheet().say(tr(kOfContainers));
    constexpr std::size_t kRows = 24, kAcross = 16;
    const Debugger::MemoryPlace place = place_of(debugger);
    const Rows rows = read_rows(debugger.session(), (place.address - std::min<u64>(place.address, 4 * kAcross)) & ~u64{kAcross - 1}, kRows * kAcross, space_of(place));
    Table table{{tr("address"), tr("bytes"), tr("text")}};
    for (std::size_t row = 0; row < kRows; ++row) {
        std::string bytes, text;
        for (std::size_t i = row * kAcross; i < (row + 1) * kAcross; ++i) {
            bytes += (i % kAcross ? " " : "") + (rows.there[i] ? fmt::format("{:02x}", rows.bytes[i]) : "--");
            text += rows.there[i] ? printable(rows.bytes[i]) : ' ';
        }
        table.rows.push_back({hex_digits(rows.first + row * kAcross), bytes, text});
    }
    return Sheet().say(place_text(debugger.session(), place)).add(std::move(table)).add(typed(debugger.session(), place));
}

} // namespace trapeze::ui
