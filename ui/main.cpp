// The program: the command line, with the debugger's window behind it.
#include "ui/window.hpp"

int main(int argc, char** argv) { return trapeze::scenarios::run_command_line(argc, argv, trapeze::ui::run_debugger); }
