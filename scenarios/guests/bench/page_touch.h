// Page touches under Sv39 in S-mode: 256 pages of 4 KiB, each mapped to its own frame; a round touches each 16 times.
// FENCE 0: only the touch. 1: the page's entry is changed to another frame before, and all translations are fenced.
// 2: the same, and the fence names the address.
#include "bench.h"

enum { kPages = 256, kTimes = 16 };
enum { kValid = 1, kRead = 2, kWrite = 4, kExecute = 8, kAccessed = 64, kDirty = 128 };
static const u64 kWindow = 0x40000000; // virtual address of the first page

static u64 tables[3][512] __attribute__((aligned(4096)));

static u64 entry_for(u64 physical, u64 flags) { return physical >> 12 << 10 | flags | kValid; }
static u64 frame(u64 page) { return (u64)ARENA + page * 4096; }

void bench_setup(void) {
  tables[0][kWindow >> 30] = entry_for((u64)tables[1], 0);
  tables[0][2] = entry_for(0x80000000, kRead | kWrite | kExecute | kAccessed | kDirty);
  tables[1][0] = entry_for((u64)tables[2], 0);
  for (u64 page = 0; page < kPages; page++) {
    tables[2][page] = entry_for(frame(page), kRead | kWrite | kAccessed | kDirty);
    *(u64 *)frame(page) = page;
  }
  asm volatile("csrw satp, %0; sfence.vma" : : "r"(8ul << 60 | (u64)tables[0] >> 12) : "memory");
}

static u64 touch(void) {
  u64 sum = 0;
  for (u64 time = 0; time < kTimes; time++) {
    for (u64 page = 0; page < kPages; page++) {
      const u64 address = kWindow + page * 4096;
#if FENCE
      tables[2][page] = entry_for(frame((page + time) % kPages), kRead | kWrite | kAccessed | kDirty);
#endif
#if FENCE == 1
      asm volatile("sfence.vma" : : : "memory");
#elif FENCE == 2
      asm volatile("sfence.vma %0, zero" : : "r"(address) : "memory");
#endif
      sum = sum * 3 + *(volatile u64 *)address;
    }
  }
  return sum;
}

u64 bench_round(void) { return in_supervisor(touch); }
