// What each benchmark guest gives: bare-metal programs in M-mode that do the same work round after round.
// The runtime (runtime.S, runtime.c) calls bench_setup once, then bench_round as often as the word at ROUNDS says (0: 10 times),
// prints the check value of the last round, and ends through the test finisher. A round that gives another value than the one
// before it ends the program with code 1.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef short i16;
typedef int i32;
typedef long i64;

#define ROUNDS ((volatile u64 *)0x80ff0000)
#define ARENA ((u8 *)0x81000000) // 16 MiB that nothing else uses

void bench_setup(void);
u64 bench_round(void); // Every round begins from the same state: its value does not depend on how many there were.

// Runs a function in S-mode, on the same stack.
u64 in_supervisor(u64 (*function)(void));

static inline u64 next_random(u64 *state) {
  *state = *state * 6364136223846793005ul + 1442695040888963407ul;
  return *state >> 33;
}
