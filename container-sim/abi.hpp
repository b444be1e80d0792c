// Numbers of Linux's riscv64 interface that several files need (asm-generic/fcntl.h, signal.h, mman.h).
#pragma once

#include "emulator/base/types.hpp"

namespace trapeze::container {

inline constexpr u64 kUserEnd = u64{1} << 38; ///< addresses of processes lie below: Sv39's lower half

// open(2)
inline constexpr u64 kAccess = 3, kWriteOnly = 1, kCreate = 0100, kExclusive = 0200, kNoTerminal = 0400, kTruncate = 01000, kAppend = 02000, kNonBlock = 04000,
                     kDirectory = 0200000, kNoFollow = 0400000, kCloseOnExec = 02000000;
// The *at calls
inline constexpr i32 kAtCwd = -100;
inline constexpr u64 kSymlinkNoFollow = 0x100, kRemoveDir = 0x200, kNoAutomount = 0x800, kEmptyPath = 0x1000, kStatSync = 0x6000;

// mmap(2)
inline constexpr u8 kProtRead = 1, kProtWrite = 2, kProtExec = 4;

// signal(7)
inline constexpr int kSigIll = 4, kSigTrap = 5, kSigBus = 7, kSigKill = 9, kSigSegv = 11, kSigPipe = 13, kSigChld = 17, kSigCont = 18, kSigStop = 19, kSigTstp = 20,
                     kSigTtin = 21, kSigTtou = 22, kSigUrg = 23, kSigWinch = 28;

} // namespace trapeze::container
