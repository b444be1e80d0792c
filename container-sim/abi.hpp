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
inline constexpr int kSigHup = 1, kSigInt = 2, kSigQuit = 3, kSigIll = 4, kSigTrap = 5, kSigAbrt = 6, kSigBus = 7, kSigFpe = 8, kSigKill = 9, kSigUsr1 = 10, kSigSegv = 11,
                     kSigUsr2 = 12, kSigPipe = 13, kSigAlrm = 14, kSigTerm = 15, kSigChld = 17, kSigCont = 18, kSigStop = 19, kSigTstp = 20, kSigTtin = 21, kSigTtou = 22,
                     kSigUrg = 23, kSigXcpu = 24, kSigXfsz = 25, kSigVtalrm = 26, kSigProf = 27, kSigWinch = 28, kSigSys = 31;
// si_code (sigaction(2))
inline constexpr int kCodeUser = 0, kCodeSeccomp = 1, kCodeKernel = 0x80, kCodeQueue = -1, kCodeTimer = -2, kCodeThread = -6, kCodeNoObject = 2;
inline constexpr int kChildExited = 1, kChildKilled = 2, kChildDumped = 3, kChildStopped = 5, kChildContinued = 6;

// clone(2)
inline constexpr u64 kCloneVm = 0x100, kCloneFs = 0x200, kCloneFiles = 0x400, kCloneSighand = 0x800, kClonePidFd = 0x1000, kCloneVfork = 0x4000, kCloneParent = 0x8000,
                     kCloneThread = 0x10000, kCloneSysvsem = 0x40000, kCloneSetTls = 0x80000, kCloneParentSetTid = 0x100000, kCloneChildClearTid = 0x200000,
                     kCloneUntraced = 0x800000, kCloneChildSetTid = 0x1000000, kCloneIo = 0x80000000, kCloneClearSighand = 0x1'0000'0000, kCloneIntoCgroup = 0x2'0000'0000;

} // namespace trapeze::container
