// The line discipline: what is typed becomes lines, what is printed becomes what a screen gets.
#include "container-sim/terminal.hpp"
#include "container-sim/abi.hpp"

#include <algorithm>
#include <cctype>

namespace trapeze::container {

namespace {
// asm-generic/termbits.h
enum Character : unsigned { kInterrupt, kQuit, kErase, kKill, kEof, kTime, kMin, kStart = 8, kStop, kSuspend, kEol, kReprint, kWordErase = 14, kLiteralNext, kEol2 };
constexpr u32 kStrip = 0x20, kNlToCr = 0x40, kIgnoreCr = 0x80, kCrToNl = 0x100, kFlow = 0x400, kAnyStarts = 0x800;
constexpr u32 kProcess = 1, kNlToCrNl = 4, kOutCrToNl = 8, kNoCrAtStart = 0x10, kNlReturns = 0x20, kTabs = 0x1800;
constexpr u32 kSignalKeys = 1, kCanonical = 2, kEcho = 8, kEchoErase = 0x10, kEchoKill = 0x20, kEchoNl = 0x40, kNoFlush = 0x80, kEchoControl = 0x200, kEchoKillErases = 0x800, kExtended = 0x8000;

bool is_control(u8 byte) { return byte < 32 || byte == 127; }
bool is_continuation(u8 byte) { return (byte & 0xc0) == 0x80; } ///< of a UTF-8 sequence
constexpr u32 kUtf8 = 0x4000;
} // namespace

bool Terminal::canonical() const { return has_local(kCanonical); }

bool Terminal::has_room() const { return input.size() < kMostInput || (canonical() && !lines); }

std::size_t Terminal::line_begin() const {
    const std::size_t last = marks.find_last_not_of(static_cast<char>(kNone));
    return last == std::string::npos ? 0 : last + 1;
}

// --- Output -----------------------------------------------------------------------------------------------------------------------

/// A screen that nobody reads keeps what is newest.
void Terminal::emit(char byte) {
    constexpr std::size_t kMostPrinted = 1 << 20;
    if (container && output.size() > kMostPrinted) output.erase(0, kMostPrinted / 2);
    if (container || output.size() < kMostOutput) output += byte;
}

void Terminal::print_byte(u8 byte) {
    if (!(termios.output & kProcess)) return emit(static_cast<char>(byte));
    switch (byte) {
    case '\n':
        if (termios.output & kNlReturns) column = 0;
        if (termios.output & kNlToCrNl) emit('\r'), column = 0;
        break;
    case '\r':
        if (termios.output & kNoCrAtStart && !column) return;
        column = 0;
        if (termios.output & kOutCrToNl) byte = '\n';
        break;
    case '\t':
        if ((termios.output & kTabs) == kTabs) {
            for (u32 spaces = 8 - column % 8; spaces; --spaces) emit(' '), ++column;
            return;
        }
        column += 8 - column % 8;
        break;
    case '\b': column -= column > 0; break;
    default: column += !is_control(byte) && !(termios.input & kUtf8 && is_continuation(byte));
    }
    emit(static_cast<char>(byte));
}

std::size_t Terminal::print(std::string_view text) {
    std::size_t done = 0;
    for (; done < text.size() && can_print(); ++done) print_byte(static_cast<u8>(text[done]));
    return done;
}

void Terminal::echo(u8 byte) {
    if (has_local(kEchoControl) && is_control(byte) && byte != '\t' && byte != '\n') print_byte('^'), print_byte(byte ^ 0x40);
    else print_byte(byte);
}

// --- Editing ----------------------------------------------------------------------------------------------------------------------

/// Takes the line's last character and wipes it from the screen.
void Terminal::erase_one() {
    u8 last = static_cast<u8>(input.back());
    const std::size_t begin = line_begin();
    while (termios.input & kUtf8 && is_continuation(last) && input.size() > begin + 1) input.pop_back(), marks.pop_back(), last = static_cast<u8>(input.back());
    input.pop_back(), marks.pop_back();
    if (!has_local(kEcho)) return;
    if (last == '\t') return erase_tab();
    const auto wipe = [&] { for (char c : {'\b', ' ', '\b'}) print_byte(static_cast<u8>(c)); };
    if (is_control(last) && has_local(kEchoControl)) wipe();
    if (!is_control(last) || has_local(kEchoControl)) wipe();
}

void Terminal::erase_tab() {
    u32 width = line_column;
    for (std::size_t i = line_begin(); i < input.size(); ++i) {
        const u8 byte = static_cast<u8>(input[i]);
        if (byte == '\t') width += 8 - width % 8;
        else if (is_control(byte)) width += has_local(kEchoControl) ? 2 : 0;
        else width += !(termios.input & kUtf8 && is_continuation(byte));
    }
    for (u32 back = 8 - width % 8; back; --back) print_byte('\b');
}

/// VERASE takes a character, VWERASE the word before the cursor.
void Terminal::erase(u8 byte) {
    const std::size_t begin = line_begin();
    if (is(byte, kErase)) {
        if (input.size() == begin) return;
        if (has_local(kEcho) && !has_local(kEchoErase)) return input.pop_back(), marks.pop_back(), echo(byte);
        return erase_one();
    }
    const auto in_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
    while (input.size() > begin && !in_word(input.back())) erase_one();
    while (input.size() > begin && in_word(input.back())) erase_one();
}

void Terminal::kill(u8 byte) {
    const std::size_t begin = line_begin();
    if (has_local(kEcho) && has_local(kEchoKillErases) && has_local(kEchoKill) && has_local(kEchoErase)) {
        while (input.size() > begin) erase_one();
        return;
    }
    input.resize(begin), marks.resize(begin);
    if (!has_local(kEcho)) return;
    echo(byte);
    if (has_local(kEchoKill)) print_byte('\n');
}

void Terminal::put(u8 byte, Mark mark) {
    if (input.size() >= kMostInput + (mark != kNone)) return; // a line that is too long loses its rest, never its end
    if (input.size() == line_begin()) line_column = column;
    input += static_cast<char>(byte), marks += mark;
    lines += mark != kNone;
}

/// True: the byte was an order to edit the line.
bool Terminal::edit(u8 byte) {
    const bool extended = has_local(kExtended);
    if (is(byte, kErase) || (extended && is(byte, kWordErase))) return erase(byte), true;
    if (is(byte, kKill)) return kill(byte), true;
    if (extended && is(byte, kLiteralNext)) {
        literal_next = true;
        if (has_local(kEcho) && has_local(kEchoControl)) print_byte('^'), print_byte('\b');
        return true;
    }
    if (extended && has_local(kEcho) && is(byte, kReprint)) {
        echo(byte), print_byte('\n');
        for (std::size_t i = line_begin(); i < input.size(); ++i) echo(static_cast<u8>(input[i]));
        return true;
    }
    return false;
}

/// True: the byte ended the line.
bool Terminal::end_line(u8 byte) {
    if (byte == '\n') {
        if (has_local(kEcho) || has_local(kEchoNl)) print_byte('\n');
        return put(byte, kEndsLine), true;
    }
    if (is(byte, kEof)) return put(0, kEndsInput), true;
    if (!is(byte, kEol) && !(has_local(kExtended) && is(byte, kEol2))) return false;
    if (has_local(kEcho)) echo(byte);
    return put(byte, kEndsLine), true;
}

// --- Input ------------------------------------------------------------------------------------------------------------------------

int Terminal::signal_for(u8 byte) const {
    if (!has_local(kSignalKeys)) return 0;
    return is(byte, kInterrupt) ? kSigInt : is(byte, kQuit) ? kSigQuit : is(byte, kSuspend) ? kSigTstp : 0;
}

/// True: the byte only stopped or started the output.
bool Terminal::flow_control(u8 byte) {
    if (!(termios.input & kFlow)) return false;
    if (is(byte, kStart)) return held = false, true;
    if (is(byte, kStop)) return held = true, true;
    return false;
}

int Terminal::type(u8 byte) {
    if (termios.input & kStrip) byte &= 0x7f;
    if (literal_next) {
        literal_next = false;
        if (has_local(kEcho)) echo(byte);
        return put(byte, kNone), 0;
    }
    if (flow_control(byte)) return 0;
    if (const int signal = signal_for(byte)) {
        if (!has_local(kNoFlush)) flush_input();
        if (termios.input & kFlow) held = false;
        if (has_local(kEcho)) echo(byte);
        return signal;
    }
    if (held && termios.input & kFlow && termios.input & kAnyStarts) held = false;
    if (byte == '\r') {
        if (termios.input & kIgnoreCr) return 0;
        if (termios.input & kCrToNl) byte = '\n';
    } else if (byte == '\n' && termios.input & kNlToCr) {
        byte = '\r';
    }
    if (canonical() && (edit(byte) || end_line(byte))) return 0;
    if (canonical() && input.size() >= kMostInput) return print_byte('\a'), 0;
    if (has_local(kEcho)) {
        if (input.size() == line_begin()) line_column = column;
        echo(byte);
    }
    return put(byte, kNone), 0;
}

/// poll waits for VMIN bytes when no time is given; a read that has begun counts for itself.
bool Terminal::readable(bool polls) const {
    if (canonical()) return lines;
    const std::size_t least = polls && !character(kTime) ? character(kMin) : 0;
    return input.size() >= std::max<std::size_t>(1, least);
}

std::size_t Terminal::readable_bytes() const {
    if (!canonical()) return input.size();
    const std::size_t end = line_begin();
    return end - static_cast<std::size_t>(std::count(marks.begin(), marks.begin() + static_cast<std::ptrdiff_t>(end), static_cast<char>(kEndsInput)));
}

/// In canonical mode at most a line. Pre: readable.
std::string Terminal::take(std::size_t most) {
    std::size_t count = std::min(most, input.size());
    bool end_of_input = false;
    if (canonical()) {
        const std::size_t end = marks.find_first_not_of(static_cast<char>(kNone));
        end_of_input = end <= count && marks[end] == kEndsInput;
        count = end_of_input ? end : std::min(count, end + 1);
    }
    const std::string text = input.substr(0, count);
    const std::size_t used = count + end_of_input;
    lines -= static_cast<u32>(used - static_cast<std::size_t>(std::count(marks.begin(), marks.begin() + static_cast<std::ptrdiff_t>(used), static_cast<char>(kNone))));
    input.erase(0, used), marks.erase(0, used);
    return text;
}

void Terminal::flush_input() { input.clear(), marks.clear(), lines = 0, literal_next = false; }

/// What is there when canonical mode begins is a line, and without it there are none.
void Terminal::change(const Termios& to) {
    const bool other_mode = (termios.local ^ to.local) & kCanonical;
    termios = to;
    if (!(termios.input & kFlow)) held = false;
    if (!other_mode) return;
    marks.assign(input.size(), static_cast<char>(kNone));
    lines = canonical() && !input.empty();
    if (lines) marks.back() = kEndsLine;
}

} // namespace trapeze::container
