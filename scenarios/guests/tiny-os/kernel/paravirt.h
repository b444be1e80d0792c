// The interface of Trapeze's hypervisor, from the same tables that the hypervisor is built from; docs/paravirtual.md describes it.
#pragma once

#define HYPERCALL_EXTENSION 0x0a000054

#ifndef __ASSEMBLER__
#include "kernel.h"

#define HYPERCALL(number, id, ...) HYPERCALL_##id = number,
enum hypercall {
#include "hypervisor-sim/hypercalls.def"
};
#define SHARED_FIELD(id, offset, ...) SHARED_##id = offset,
enum shared_field {
#include "hypervisor-sim/shared_page.def"
};
#define TABLE_UPDATE(number, id, ...) UPDATE_##id = number,
enum table_update {
#include "hypervisor-sim/table_updates.def"
};

int paravirtual_start(int batch); // 1: the hypervisor is there, and the table of privileged operations is the other one now
#endif
