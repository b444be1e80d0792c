// Multiplies two 48 x 48 matrices of 64-bit integers.
#include "bench.h"

enum { kSize = 48 };

static u64 a[kSize][kSize], b[kSize][kSize], c[kSize][kSize];

void bench_setup(void) {
  u64 seed = 1;
  for (int i = 0; i < kSize; i++) {
    for (int j = 0; j < kSize; j++) a[i][j] = next_random(&seed), b[i][j] = next_random(&seed);
  }
}

u64 bench_round(void) {
  u64 check = 0;
  for (int i = 0; i < kSize; i++) {
    for (int j = 0; j < kSize; j++) {
      u64 sum = 0;
      for (int k = 0; k < kSize; k++) sum += a[i][k] * b[k][j];
      c[i][j] = sum;
      check = check * 31 + sum;
    }
  }
  return check;
}
