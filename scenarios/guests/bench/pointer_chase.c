// Follows a random cycle through 2 MiB, one element on each cache line.
#include "bench.h"

enum { kElements = 32768, kBytes = 64 };

static u64 *element(u64 index) { return (u64 *)(ARENA + index * kBytes); }

void bench_setup(void) {
  u64 seed = 1;
  for (u64 i = 0; i < kElements; i++) *element(i) = i;
  for (u64 i = kElements - 1; i > 0; i--) { // Sattolo's shuffle leaves one cycle
    const u64 j = next_random(&seed) % i, kept = *element(i);
    *element(i) = *element(j), *element(j) = kept;
  }
  for (u64 i = 0; i < kElements; i++) *element(i) = (u64)element(*element(i));
}

u64 bench_round(void) {
  u64 *at = element(0);
  for (u64 i = 0; i < 100000; i++) at = (u64 *)*(volatile u64 *)at;
  return (u64)at;
}
