// A terminal as a value: a pseudo-terminal's two ends with the line discipline between them (termios(3), pty(7)). Who is signalled, and who
// waits for what, is the kernel's (tty.cpp).
//
// Known gaps: no ECHOPRT, no PARMRK, no delays of output, no upper-case terminals.
#pragma once

#include "emulator/base/types.hpp"

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace trapeze::container {

/// struct termios2 of asm-generic; the first 36 bytes are struct termios.
struct Termios {
    u32 input = 0x500, output = 0x5, control = 0xbf, local = 0x8a3b; ///< as a fresh terminal has them
    u8 line = 0;
    std::array<u8, 19> characters{3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0};
    u32 input_speed = 38400, output_speed = 38400;
};
static_assert(sizeof(Termios) == 44);

struct WindowSize {
    u16 rows = 0, columns = 0, x_pixels = 0, y_pixels = 0;
    bool operator==(const WindowSize&) const = default;
};

struct Terminal {
    static constexpr std::size_t kMostInput = 4095, kMostOutput = 64 << 10;

    Termios termios;
    WindowSize size;
    std::string input, marks;      ///< for the program; each byte's mark says whether it ends a line
    std::string output;            ///< for the other end
    u32 lines = 0;                 ///< bytes of the input that end one
    bool literal_next = false, held = false;  ///< after VLNEXT; after VSTOP
    bool locked = true, exclusive = false, packet = false;
    u8 packet_status = 0;
    u32 column = 0, line_column = 0;
    i32 session = 0, foreground = 0;          ///< pids of the host's namespace
    u32 instance = 0, index = 0;              ///< its devpts, and its number there
    u32 slaves = 0;                           ///< open files
    bool master = true, slave_gone = false;   ///< the other end is open; the last slave has been closed
    u64 generation = 0;                       ///< of slaves: those of earlier ones have been hung up
    u32 container = 0;                        ///< whose console it is; its other end is the host

    bool canonical() const;
    bool has_local(u32 flag) const { return termios.local & flag; }
    /// One byte from the keyboard. The signal for the foreground group that it stands for, or 0.
    int type(u8 byte);
    bool has_room() const;
    /// Bytes for the screen; how many it took before it was full.
    std::size_t print(std::string_view text);
    bool can_print() const { return !held && (container || output.size() + 1 < kMostOutput); }
    /// Whether a program would not wait for input (`polls`: as poll sees it).
    bool readable(bool polls) const;
    std::string take(std::size_t most);
    std::size_t readable_bytes() const;
    void change(const Termios& to);
    void flush_input();

  private:
    enum Mark : char { kNone, kEndsLine, kEndsInput };
    u8 character(unsigned which) const { return termios.characters[which]; }
    bool is(u8 byte, unsigned which) const { return byte && byte == character(which); }
    std::size_t line_begin() const;
    int signal_for(u8 byte) const;
    bool flow_control(u8 byte);
    bool edit(u8 byte);
    bool end_line(u8 byte);
    void put(u8 byte, Mark mark);
    void erase(u8 byte);
    void erase_one();
    void erase_tab();
    void kill(u8 byte);
    void echo(u8 byte);
    void print_byte(u8 byte);
    void emit(char byte);
};

} // namespace trapeze::container
