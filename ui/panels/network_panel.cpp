// The network: namespaces as boxes with their devices, cables between them, bridges with their ports; and the way of one packet hop by hop.
#include "container-sim/errno.hpp"
#include "scenarios/container_views.hpp"
#include "ui/panels/seen_views.hpp"
#include "ui/table_view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace trapeze::ui {

namespace {

using container::DeviceSeen;
using container::NamespaceKind;
using container::NetSpaceSeen;

constexpr std::size_t kMostDrawn = 12; ///< namespaces, and devices of one; the rest stands in the tables below

/// Where a device was drawn.
struct Box {
    ImVec2 low, high;
    ImVec2 top() const { return {(low.x + high.x) / 2, low.y}; }
    ImVec2 bottom() const { return {(low.x + high.x) / 2, high.y}; }
};

class Diagram {
  public:
    Diagram(const Theme& theme, const container::NetworkSeen& network, const std::vector<container::HopSeen>* hops) : theme_(theme), network_(network), em_(ImGui::GetFontSize()) {
        if (!hops) return;
        for (const container::HopSeen& hop : *hops)
            if (!hop.device.empty()) way_.push_back({hop.net, hop.device});
    }
    float height() const { return em_ * 13.5f; }
    void draw() {
        list_ = ImGui::GetWindowDrawList();
        const ImVec2 at = ImGui::GetCursorScreenPos();
        const float host = draw_space(network_.spaces[0], at, true);
        float x = at.x;
        const float below = at.y + em_ * 8.2f;
        for (std::size_t i = 1; i < std::min(network_.spaces.size(), kMostDrawn); ++i) x += draw_space(network_.spaces[i], {x, below}, false) + em_;
        for (const NetSpaceSeen& space : network_.spaces)
            for (const DeviceSeen& device : space.devices) draw_cables(device);
        ImGui::Dummy({std::max(host, x - at.x), height()});
    }

  private:
    static std::string lines_of(const DeviceSeen& device) {
        std::string text = device.name;
        for (std::size_t i = 0; i < std::min<std::size_t>(device.addresses.size(), 1); ++i) text += "\n" + device.addresses[i];
        return text;
    }
    bool on_way(const NetSpaceSeen& space, const DeviceSeen& device) const { return std::find(way_.begin(), way_.end(), std::pair(space.index, device.name)) != way_.end(); }

    float draw_device(const NetSpaceSeen& space, const DeviceSeen& device, ImVec2 at) {
        const std::string text = lines_of(device);
        const ImVec2 size = ImGui::CalcTextSize(text.c_str());
        const float pad = em_ * 0.4f;
        const Box box{at, {at.x + size.x + pad * 2, at.y + em_ * 2.6f}};
        const bool way = on_way(space, device);
        const ImVec4 colour = way ? theme_.changed : device.kind == "bridge" ? theme_.supervisor : device.up ? theme_.accent : theme_.dim;
        list_->AddRectFilled(box.low, box.high, ImGui::GetColorU32(ImVec4(colour.x, colour.y, colour.z, 0.18f)), 4);
        list_->AddRect(box.low, box.high, ImGui::GetColorU32(colour), 4, 0, way ? 3.0f : 1.0f);
        list_->AddText({at.x + pad, at.y + em_ * 0.2f}, ImGui::GetColorU32(device.up ? theme_.text : theme_.dim), text.c_str());
        boxes_[device.id] = box;
        return box.high.x - box.low.x;
    }
    /// Bridges of the host stand above their ports; a container's devices stand in a row. Returns the width.
    float draw_space(const NetSpaceSeen& space, ImVec2 at, bool host) {
        const float pad = em_ * 0.5f, row = at.y + em_ * 1.5f, ports = row + em_ * 3.2f;
        float upper = at.x + pad, lower = at.x + pad;
        std::size_t drawn = 0;
        for (const DeviceSeen& device : space.devices) {
            if (drawn++ == kMostDrawn) break;
            const bool below = host && device.kind == "veth";
            float& x = below ? lower : upper;
            x += draw_device(space, device, {x, below ? ports : row}) + pad;
        }
        const std::string title = fmt::format("{}{}", space.who, space.forwards ? ", forwards" : "");
        const float width = std::max({upper, lower, at.x + ImGui::CalcTextSize(title.c_str()).x + pad * 2}) - at.x, height = host ? em_ * 7.4f : em_ * 4.6f;
        const ImVec4 colour = namespace_colour(theme_, space.index);
        list_->AddRect(at, {at.x + width, at.y + height}, ImGui::GetColorU32(colour), 6);
        list_->AddText({at.x + pad, at.y + em_ * 0.2f}, ImGui::GetColorU32(colour), title.c_str());
        return width;
    }
    void draw_cables(const DeviceSeen& device) {
        const auto own = boxes_.find(device.id);
        if (own == boxes_.end()) return;
        if (const auto bridge = boxes_.find(device.bridge_id); bridge != boxes_.end()) list_->AddLine(own->second.top(), bridge->second.bottom(), ImGui::GetColorU32(theme_.supervisor), 1.5f);
        const auto peer = boxes_.find(device.peer_id);
        if (peer == boxes_.end() || device.peer_id < device.id) return;
        const bool own_above = own->second.low.y < peer->second.low.y;
        const Box &above = own_above ? own->second : peer->second, &below = own_above ? peer->second : own->second;
        list_->AddLine(above.bottom(), below.top(), ImGui::GetColorU32(theme_.accent), 2.0f);
    }

    const Theme& theme_;
    const container::NetworkSeen& network_;
    float em_;
    ImDrawList* list_ = nullptr;
    std::vector<std::pair<u32, std::string>> way_;
    std::map<u32, Box> boxes_;
};

/// "10.0.0.2:80" of the field, or nothing that can be asked.
std::optional<container::PacketQuestion> question_of(const std::string& text, u32 net, bool tcp) {
    const std::size_t colon = text.find(':');
    const auto ip = container::parse_ip(text.substr(0, colon));
    if (!ip) return std::nullopt;
    const int port = colon == std::string::npos ? 80 : std::atoi(text.c_str() + colon + 1);
    if (port < 1 || port > 65535) return std::nullopt;
    return container::PacketQuestion{net, *ip, static_cast<u16>(port), static_cast<u8>(tcp ? container::kIpTcp : container::kIpUdp)};
}

/// The field for a packet's destination; asks when it has changed.
void ask_packet(const Debugger& debugger, const Theme& theme, PanelState& state, const container::ProcessSeen& from) {
    SeenViews& views = seen_views(debugger, state);
    ImGui::SameLine();
    ImGui::TextColored(theme.dim, "sends to");
    ImGui::SameLine();
    ImGui::SetNextItemWidth(ImGui::GetFontSize() * 10);
    ImGui::InputTextWithHint("##packet", "172.17.0.3:80", state.packet_text, sizeof state.packet_text);
    tooltip(theme, "An address and a port. A copy of the network sends the packet; the session stays as it is.");
    ImGui::SameLine();
    ImGui::Checkbox("TCP", &state.packet_tcp);
    const std::string question = fmt::format("{} {} {}", from.pid, state.packet_text, state.packet_tcp);
    if (views.packet_question == question) return;
    views.packet_question = question;
    const auto packet = question_of(state.packet_text, from.namespaces[NamespaceKind::Net], state.packet_tcp);
    views.packet = packet ? std::optional(container::packet_path(*debugger.session().kernel(), *packet)) : std::nullopt;
}

} // namespace

void draw_network(const Debugger& debugger, const Theme& theme, PanelState& state, Commands&) {
    const container::Kernel* kernel = debugger.session().kernel();
    if (!kernel) return prose(theme, theme.text, tr(kNoContainers));
    const container::ProcessSeen* own = choose_process(debugger, theme, state);
    SeenViews& views = seen_views(debugger, state);
    if (!views.network) views.network = container::network_seen(*kernel);
    if (own) ask_packet(debugger, theme, state, *own);
    Diagram diagram(theme, *views.network, views.packet ? &views.packet->hops : nullptr);
    if (ImGui::BeginChild("diagram", {0, diagram.height() + ImGui::GetStyle().ScrollbarSize}, false, ImGuiWindowFlags_HorizontalScrollbar)) diagram.draw();
    ImGui::EndChild();
    const scenarios::ViewText text = views.packet ? scenarios::packet_text(*views.packet) : scenarios::network_text(*views.network);
    if (views.packet) prose(theme, views.packet->arrived ? theme.good : theme.bad, text.sentences[0]);
    const scenarios::ViewTable& table = text.tables.back();
    TableLook look;
    look.colour = [&](std::size_t, std::size_t column) { return column == 0 || column == 3 ? std::optional(theme.dim) : column == 1 ? std::optional(theme.accent) : std::nullopt; };
    draw_table(theme, "network", {table.columns, table.rows}, look);
}

Sheet sheet_network(const Debugger& debugger, const PanelState& state) {
    const container::Kernel* kernel = debugger.session().kernel();
    if (!kernel) return Sheet().say(tr(kNoContainers));
    const scenarios::ViewText text = scenarios::network_text(container::network_seen(*kernel));
    Sheet sheet;
    for (const std::string& sentence : text.sentences) sheet.say(sentence);
    for (const auto& table : text.tables) sheet.add({table.columns, table.rows});
    const auto net = container::namespace_of_process(*kernel, chosen_process(*kernel, state), NamespaceKind::Net);
    const auto question = question_of(state.packet_text, net.value_or(0), state.packet_tcp);
    if (!net || !question) return sheet;
    const scenarios::ViewText way = scenarios::packet_text(container::packet_path(*kernel, *question));
    return sheet.say(way.sentences[0]).add({way.tables[0].columns, way.tables[0].rows});
}

} // namespace trapeze::ui
