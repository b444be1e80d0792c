// Linux's error numbers (asm-generic/errno.h), as system calls return them: negated.
#pragma once

#include "emulator/base/types.hpp"

namespace trapeze::container {

enum Errno : i64 {
    kEPERM = 1, kENOENT = 2, kESRCH = 3, kEINTR = 4, kEIO = 5, kENXIO = 6, kE2BIG = 7, kENOEXEC = 8, kEBADF = 9, kECHILD = 10, kEAGAIN = 11, kENOMEM = 12, kEACCES = 13,
    kEFAULT = 14, kEBUSY = 16, kEEXIST = 17, kEXDEV = 18, kENODEV = 19, kENOTDIR = 20, kEISDIR = 21, kEINVAL = 22, kENFILE = 23, kEMFILE = 24, kENOTTY = 25, kEFBIG = 27,
    kENOSPC = 28, kESPIPE = 29, kEROFS = 30, kEPIPE = 32, kERANGE = 34, kENAMETOOLONG = 36, kENOSYS = 38, kENOTEMPTY = 39, kELOOP = 40,
};

} // namespace trapeze::container
