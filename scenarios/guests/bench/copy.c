// Copies 256 KiB by double-words, as memcpy does.
#include "bench.h"

enum { kWords = 32768 };

void bench_setup(void) {
  u64 seed = 1;
  for (u64 i = 0; i < kWords; i++) ((u64 *)ARENA)[i] = next_random(&seed);
}

u64 bench_round(void) {
  const volatile u64 *from = (const u64 *)ARENA;
  volatile u64 *to = (u64 *)(ARENA + (1 << 20));
  for (u64 i = 0; i < kWords; i += 8) {
    const u64 a = from[i], b = from[i + 1], c = from[i + 2], d = from[i + 3], e = from[i + 4], f = from[i + 5], g = from[i + 6], h = from[i + 7];
    to[i] = a, to[i + 1] = b, to[i + 2] = c, to[i + 3] = d, to[i + 4] = e, to[i + 5] = f, to[i + 6] = g, to[i + 7] = h;
  }
  return to[kWords / 2] ^ to[kWords - 1];
}
