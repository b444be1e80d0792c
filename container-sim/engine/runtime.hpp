// The runtime: makes system calls on the simulated kernel on behalf of two processes, the engine's own and the first one of a container
// that is being started. Arguments are put into the memory of whoever calls, and the kernel's handlers do what they do for programs, so that
// every step is on the trace, and nothing is possible that a program could not do. A step that fails undoes what was done before it.
//
// Usage:
//   RuntimeState state;                                   // part of the engine's value
//   Runtime(machine, kernel, state).begin();              // the engine's process, which sleeps in ppoll(2)
//   auto started = Runtime(machine, kernel, state).perform(plan_start(plan).value(), 1);
//
// What no system call does here, and what would on Linux: the packet filter's rules (nftables), and the other end of a container's terminal
// or pipes, which a shim holds.
#pragma once

#include "container-sim/engine/steps.hpp"
#include "container-sim/kernel.hpp"

namespace trapeze::container {

/// What outlives one operation.
struct RuntimeState {
    i32 pid = 0;                     ///< of the engine's process, in the host's namespace; 0: there is none
    Kept kept;                       ///< descriptors that stay open
    std::vector<Done> made;          ///< the calls of the last command
    bool record = false;             ///< keep them; else only their number counts
    u64 count = 0;                   ///< calls that were planned and made
    std::optional<u64> fail_at;      ///< for tests: the call of this number fails
    i64 fail_with = 5;               ///< with this errno
};

/// A process that a plan has begun.
struct Started {
    i32 pid = 0;                     ///< in the host's namespace
    u32 console = 0;                 ///< number of its terminal or pipes (Kernel::ttys)
};

class Runtime {
  public:
    Runtime(Machine& machine, Kernel& kernel, RuntimeState& state) : machine_(machine), kernel_(kernel), state_(state) {}

    /// Makes the engine's process.
    Result<void> begin();
    bool is_alive() const { return engine_task().has_value(); }
    /// Makes the calls. The error names the call, its errno and the way out; everything before it is undone then.
    /// `console`: of the process that a clone makes.
    Result<Started> perform(const std::vector<Step>& steps, u32 console = 0);
    /// One call of the engine's, with nothing to undo.
    i64 call(const Step& step);
    /// The value that a call of perform has kept.
    const Kept& kept() const { return kept_; }
    std::optional<u32> task_of(i32 pid) const;
    /// What errors call the container.
    void name(std::string subject) { subject_ = std::move(subject); }
    /// Nobody needs a console any more: the other end of its terminal is closed.
    void drop_console(u32 console);

  private:
    struct Who {
        u32 task = 0;
        u64 used = 0;                ///< bytes of its page of arguments
    };
    std::optional<u32> engine_task() const { return state_.pid ? task_of(state_.pid) : std::nullopt; }
    i64 make(const Step& step);
    i64 make_call(u32 task, const Step& step, std::array<u64, 6>& arguments);
    i64 attempt(u32 task, const struct SyscallRow& row, const std::array<u64, 6>& arguments);
    i64 place(Who& who, const Argument& argument, u64& value);
    i64 put(Who& who, std::span<const u8> data, u64& at);
    i64 read_answer(u32 task, u64 socket);
    void adopt_child(i32 pid);
    void hold_terminal(u32 task, u64 fd);
    i64 add_rule(const Step& step);
    Step resolved(const Step& step);
    void undo(const std::vector<const Step*>& done);
    Error explain(const Step& step, i64 error);

    Machine& machine_;
    Kernel& kernel_;
    RuntimeState& state_;
    Kept kept_;
    Started started_;
    std::optional<u32> child_;       ///< task that makes the container's calls
    std::string subject_ = "the container";
};

} // namespace trapeze::container
