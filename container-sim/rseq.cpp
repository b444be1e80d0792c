// Restartable sequences (rseq(2)) and membarrier(2). With one hart a barrier between threads has happened whenever another one runs.
#include "container-sim/abi.hpp"
#include "container-sim/syscalls.hpp"

namespace trapeze::container {

namespace {

constexpr u32 kLeastBytes = 32, kNotRunning = ~u32{0};
constexpr u64 kSequenceAt = 8; // rseq_cs in struct rseq

/// struct rseq_cs
struct Sequence {
    u32 version, flags;
    u64 begin, bytes, abort;
};
static_assert(sizeof(Sequence) == 32);

} // namespace

/// The thread loses the hart, or a handler is called: inside its sequence it goes on at the sequence's abort address. A bad one is SIGSEGV.
void Kernel::abort_sequence(Machine& machine, u32 index) {
    Task& task = tasks[index];
    const auto read = [&](u64 at, auto& out) { return copy_in(machine, task, at, std::span(reinterpret_cast<u8*>(&out), sizeof out)); };
    const auto fail = [&] { force_signal(machine, index, {.number = kSigSegv, .code = kCodeKernel}); };
    u64 at = 0, none = 0;
    u32 signature = 0;
    Sequence sequence{};
    if (!read(task.rseq + kSequenceAt, at)) return fail();
    if (!at) return;
    if (!read(at, sequence) || sequence.version || sequence.begin >= kUserEnd || sequence.bytes > kUserEnd || sequence.abort >= kUserEnd) return fail();
    if (sequence.abort - sequence.begin < sequence.bytes || !read(sequence.abort - 4, signature) || signature != task.rseq_signature) return fail();
    if (!copy_out(machine, task, task.rseq + kSequenceAt, std::span(reinterpret_cast<const u8*>(&none), sizeof none))) return fail();
    if (task.pc - sequence.begin < sequence.bytes) task.pc = sequence.abort;
}

Attempt Call::rseq() const {
    constexpr u64 kUnregister = 1;
    Task& own = task();
    const u32 bytes = static_cast<u32>(arg(1)), signature = static_cast<u32>(arg(3));
    if (arg(2) & kUnregister) {
        if (arg(2) & ~kUnregister || own.rseq != arg(0) || !own.rseq || own.rseq_bytes != bytes) return -kEINVAL;
        if (own.rseq_signature != signature) return -kEPERM;
        if (!write_user(arg(0), std::array<u32, 2>{0, kNotRunning})) return -kEFAULT;
        return own.rseq = 0, 0;
    }
    if (arg(2)) return -kEINVAL;
    if (own.rseq) {
        if (own.rseq != arg(0) || own.rseq_bytes != bytes) return -kEINVAL;
        return own.rseq_signature != signature ? -kEPERM : -kEBUSY;
    }
    if (bytes < kLeastBytes || arg(0) & (kLeastBytes - 1)) return -kEINVAL;
    if (arg(0) >= kUserEnd) return -kEFAULT;
    if (!write_user(arg(0), std::array<u64, 4>{})) return -kEFAULT; // on hart 0, in no sequence, node 0
    own.rseq = arg(0), own.rseq_bytes = bytes, own.rseq_signature = signature;
    return 0;
}

Attempt Call::membarrier() const {
    constexpr u32 kGlobal = 1, kGlobalExpedited = 2, kRegisterGlobal = 4, kPrivate = 8, kRegisterPrivate = 16, kSyncCore = 32, kRegisterSyncCore = 64, kRseq = 128, kRegisterRseq = 256,
                  kGetRegistrations = 512;
    constexpr u32 kAll = kGlobal | kGlobalExpedited | kRegisterGlobal | kPrivate | kRegisterPrivate | kSyncCore | kRegisterSyncCore | kRseq | kRegisterRseq | kGetRegistrations;
    const u32 command = static_cast<u32>(arg(0));
    u32& registered = kernel.process_of(task()).barriers;
    if (arg(1) && !(command == kRseq && arg(1) == 1)) return -kEINVAL;
    switch (command) {
    case 0: return kAll;
    case kGlobal: case kGlobalExpedited: return 0;
    case kRegisterGlobal: case kRegisterPrivate: case kRegisterSyncCore: case kRegisterRseq: return registered |= command, 0;
    case kPrivate: case kSyncCore: case kRseq: return registered & command << 1 ? Attempt(0) : Attempt(-kEPERM);
    case kGetRegistrations: return registered;
    default: return -kEINVAL;
    }
}

} // namespace trapeze::container
