// Runs a program as a user would: its own process, standard input, both outputs, exit status, and a time limit.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace trapeze::test {

struct Child {
    std::vector<std::string> arguments;                            ///< the program's path first
    std::string input;                                             ///< all of standard input
    std::vector<std::pair<std::string, std::string>> environment;  ///< variables to set; one with an empty value is taken away
    std::string folder;                                            ///< to run in; empty: this one
    bool terminal = false;                                         ///< standard input and both outputs are a terminal; all output is then `out`
    unsigned seconds = 120;                                        ///< then it is ended, and `timed_out` is true
};

struct Ended {
    int status = -1; ///< exit status; -1 when a signal ended it
    int signal = 0;
    bool timed_out = false;
    unsigned long peak_kib = 0; ///< most memory of the host that it had at once
    std::string out, err;
};

Ended run_child(const Child& child);

/// The program under test with these arguments: $TRAPEZE_BIN/trapeze, or the one beside the tests. A signal or a run over the time limit fails the test.
Ended run_trapeze(std::vector<std::string> arguments, Child child = {});
/// A file of what was built beside the program under test, such as guests/programs/hello.
std::string built(const std::string& path);
/// A folder for this test's files that is removed at the end.
class Folder {
  public:
    Folder();
    ~Folder();
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    std::string path(const std::string& name) const { return path_ + "/" + name; }
    /// Writes a file, and gives its path.
    std::string write(const std::string& name, const std::string& content) const;

  private:
    std::string path_;
};
std::string read_text(const std::string& path);

} // namespace trapeze::test
