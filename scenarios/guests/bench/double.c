// Double precision: a 32 x 32 matrix product, a polynomial, square roots and divisions.
#include "bench.h"

enum { kSize = 32 };

static double a[kSize][kSize], b[kSize][kSize], c[kSize][kSize];

void bench_setup(void) {
  u64 seed = 1;
  for (int i = 0; i < kSize; i++) {
    for (int j = 0; j < kSize; j++) a[i][j] = (double)next_random(&seed) / 1e9, b[i][j] = (double)next_random(&seed) / 1e9;
  }
}

static double product(void) {
  double trace = 0;
  for (int i = 0; i < kSize; i++) {
    for (int j = 0; j < kSize; j++) {
      double sum = 0;
      for (int k = 0; k < kSize; k++) sum += a[i][k] * b[k][j];
      c[i][j] = sum;
    }
    trace += c[i][i];
  }
  return trace;
}

// The sum of the series of e^x, of square roots, and of quotients.
static double series(void) {
  double sum = 0;
  for (int i = 1; i <= 2000; i++) {
    const double x = (double)i / 2000;
    double power = 1.0 / 5040;
    for (int n = 6; n >= 0; n--) {
      static const double factor[] = {1, 1, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720};
      power = power * x + factor[n];
    }
    double root;
    asm("fsqrt.d %0, %1" : "=f"(root) : "f"(x));
    sum += power / (1 + root);
  }
  return sum;
}

u64 bench_round(void) {
  const double value = product() + series();
  u64 raw;
  __builtin_memcpy(&raw, &value, sizeof raw);
  return raw;
}
