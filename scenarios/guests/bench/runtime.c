#include "bench.h"

#define UART ((volatile u8 *)0x10000000)
#define FINISHER ((volatile u32 *)0x100000)

void end(u32 code) {
  *FINISHER = code ? code << 16 | 0x3333 : 0x5555;
  for (;;) {
  }
}

static void print(const char *text) {
  while (*text) *UART = (u8)*text++;
}

void run_rounds(void) {
  bench_setup();
  const u64 rounds = *ROUNDS ? *ROUNDS : 10;
  const u64 value = bench_round();
  for (u64 i = 1; i < rounds; i++) {
    if (bench_round() != value) {
      print("a round gave another value than the first\n");
      end(1);
    }
  }
  print("check ");
  for (int shift = 60; shift >= 0; shift -= 4) *UART = (u8)"0123456789abcdef"[value >> shift & 15];
  print("\n");
  end(0);
}
