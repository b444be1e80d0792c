#include "ui/svg.hpp"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <optional>
#include <utility>

namespace trapeze::ui {

namespace {

struct GlyphOfFont {
    const ImFont* font;
    const ImFontGlyph* glyph;
};

std::string colour_text(ImU32 colour) {
    const auto part = [&](unsigned shift) { return colour >> shift & 0xff; };
    std::string text = fmt::format("fill=\"#{:02x}{:02x}{:02x}\"", part(IM_COL32_R_SHIFT), part(IM_COL32_G_SHIFT), part(IM_COL32_B_SHIFT));
    if (part(IM_COL32_A_SHIFT) != 0xff) text += fmt::format(" fill-opacity=\"{:.3g}\"", part(IM_COL32_A_SHIFT) / 255.0);
    return text;
}

void add_character(std::string& text, unsigned code) {
    if (code == '<') text += "&lt;";
    else if (code == '&') text += "&amp;";
    else if (code == '"') text += "&quot;";
    else if (code < 0x80) text += static_cast<char>(code);
    else if (code < 0x800) text += {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
    else text += {static_cast<char>(0xe0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 0x3f)), static_cast<char>(0x80 | (code & 0x3f))};
}

/// Turns triangles into elements, one after the other.
class Writer {
  public:
    explicit Writer(std::string& out) : out_(out) {
        const ImFontAtlas& atlas = *ImGui::GetIO().Fonts;
        for (const ImFont* font : atlas.Fonts)
            for (const ImFontGlyph& glyph : font->Glyphs)
                if (glyph.Visible) glyphs_.emplace(std::pair(glyph.U0, glyph.V0), GlyphOfFont{font, &glyph});
    }
    ~Writer() { flush(); }

    /// Two triangles that are the quad of a letter; false: they are not.
    bool letter(const ImDrawVert& low, const ImDrawVert& high) {
        const auto found = glyphs_.find({low.uv.x, low.uv.y});
        if (found == glyphs_.end() || high.uv.x <= low.uv.x) return false;
        const auto& [font, glyph] = found->second;
        const float x = low.pos.x - glyph->X0, baseline = low.pos.y - glyph->Y0 + font->Ascent;
        if (text_.empty() || font != font_ || low.col != colour_ || std::abs(baseline - baseline_) > 0.5f || x < end_ - 1 || x > end_ + font->FontSize * 2) {
            flush();
            font_ = font, colour_ = low.col, baseline_ = baseline;
        } else if (x > end_ + font->FontSize * 0.2f) {
            text_ += ' ', places_ += fmt::format(" {:.6g}", end_);
        }
        add_character(text_, glyph->Codepoint);
        places_ += fmt::format("{}{:.6g}", places_.empty() ? "" : " ", x);
        end_ = x + glyph->AdvanceX;
        return true;
    }
    /// A triangle of one colour; those with soft edges are left out.
    void triangle(const ImDrawVert& a, const ImDrawVert& b, const ImDrawVert& c) {
        if (a.col != b.col || a.col != c.col || !(a.col & IM_COL32_A_MASK)) return;
        if (!text_.empty() || path_.empty() || a.col != colour_) flush(), colour_ = a.col;
        path_ += fmt::format("M{:.6g} {:.6g}L{:.6g} {:.6g} {:.6g} {:.6g}z", a.pos.x, a.pos.y, b.pos.x, b.pos.y, c.pos.x, c.pos.y);
    }
    void flush() {
        if (!path_.empty()) out_ += fmt::format("<path {} d=\"{}\"/>\n", colour_text(colour_), path_);
        if (!text_.empty()) {
            const std::string name = font_->ConfigData ? font_->ConfigData->Name : "";
            const bool mono = name.find("Mono") != std::string::npos, bold = name.find("Bold") != std::string::npos;
            out_ += fmt::format("<text {} font-family=\"{}\"{} font-size=\"{:.4g}\" y=\"{:.6g}\" x=\"{}\">{}</text>\n", colour_text(colour_), mono ? "DejaVu Sans Mono, monospace" : "DejaVu Sans, sans-serif",
                                bold ? " font-weight=\"bold\"" : "", font_->FontSize * 0.86f, baseline_, places_, text_);
        }
        path_.clear(), text_.clear(), places_.clear();
    }

  private:
    std::string& out_;
    std::map<std::pair<float, float>, GlyphOfFont> glyphs_;
    std::string path_, text_, places_;
    const ImFont* font_ = nullptr;
    ImU32 colour_ = 0;
    float baseline_ = 0, end_ = 0;
};

/// The six indices of a quad as Dear ImGui makes them: its corners are the first and the third.
bool is_quad(const ImDrawIdx* index) { return index[0] == index[3] && index[2] == index[4] && index[1] == index[0] + 1 && index[2] == index[0] + 2 && index[5] == index[0] + 3; }

void add_command(Writer& writer, const ImDrawList& list, const ImDrawCmd& command) {
    const ImDrawIdx* const index = list.IdxBuffer.Data + command.IdxOffset;
    const ImDrawVert* const vertex = list.VtxBuffer.Data + command.VtxOffset;
    for (unsigned i = 0; i + 2 < command.ElemCount;) {
        if (i + 5 < command.ElemCount && is_quad(index + i) && writer.letter(vertex[index[i]], vertex[index[i + 2]])) {
            i += 6;
            continue;
        }
        writer.triangle(vertex[index[i]], vertex[index[i + 1]], vertex[index[i + 2]]);
        i += 3;
    }
}

} // namespace

std::string svg_of(const ImDrawData& drawing, const std::string& owner, const Rectangle& place) {
    std::string out = fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.6g}\" height=\"{1:.6g}\" viewBox=\"{2:.6g} {3:.6g} {0:.6g} {1:.6g}\" xml:space=\"preserve\">\n", place.width,
                                  place.height, place.x, place.y);
    unsigned clips = 0;
    for (int i = 0; i < drawing.CmdListsCount; ++i) {
        const ImDrawList& list = *drawing.CmdLists[i];
        if (!owner.empty() && (!list._OwnerName || !std::string(list._OwnerName).starts_with(owner))) continue;
        for (const ImDrawCmd& command : list.CmdBuffer) {
            const ImVec4 clip = command.ClipRect;
            if (command.UserCallback || clip.z <= clip.x || clip.w <= clip.y) continue;
            out += fmt::format("<clipPath id=\"c{0}\"><rect x=\"{1:.6g}\" y=\"{2:.6g}\" width=\"{3:.6g}\" height=\"{4:.6g}\"/></clipPath>\n<g clip-path=\"url(#c{0})\">\n", clips++, clip.x, clip.y,
                               clip.z - clip.x, clip.w - clip.y);
            Writer writer(out);
            add_command(writer, list, command);
            writer.flush();
            out += "</g>\n";
        }
    }
    return out + "</svg>\n";
}

} // namespace trapeze::ui
