// Calls from S-mode to the firmware below (RISC-V SBI specification 2.0). Under a hypervisor, the hypervisor answers them.
#pragma once

#include "kernel.h"

struct sbi_answer { i64 error, value; };
struct sbi_answer sbi_call(u64 extension, u64 function, u64 a0, u64 a1, u64 a2);
