// Integer work of the kinds that CoreMark made customary, written anew: a linked list that is sorted, a small matrix, a state
// machine over text, and a cyclic redundancy check over what they give.
#include "bench.h"

struct node {
  struct node *next;
  i32 key, value;
};
enum { kNodes = 128, kSize = 16 };

static struct node nodes[kNodes];
static i16 left[kSize][kSize], right[kSize][kSize];
static const char text[] = "5012,-3.14,+17,0x1f,2.5e10,-7e-3,abc,99,.5,1e,12a,8,-0,6.02e23,+,31415926,0.1.2,7";

void bench_setup(void) {}

static u16 crc16(u16 crc, u64 value) {
  for (int i = 0; i < 16; i++) {
    const u16 bit = (u16)((crc ^ value) & 1);
    crc = (u16)(crc >> 1);
    if (bit) crc ^= 0xa001;
    value >>= 1;
  }
  return crc;
}

static struct node *merge(struct node *a, struct node *b) {
  struct node head, *last = &head;
  while (a && b) {
    struct node **smaller = a->key <= b->key ? &a : &b;
    last = last->next = *smaller;
    *smaller = (*smaller)->next;
  }
  last->next = a ? a : b;
  return head.next;
}

static struct node *sort(struct node *list, int count) {
  if (count < 2) {
    if (list) list->next = 0;
    return list;
  }
  struct node *middle = list;
  for (int i = 0; i < count / 2; i++) middle = middle->next;
  struct node *second = middle;
  struct node *sorted_second = sort(second, count - count / 2);
  return merge(sort(list, count / 2), sorted_second);
}

static u16 list_work(u16 crc, u64 *seed) {
  for (int i = 0; i < kNodes; i++) {
    nodes[i].next = i + 1 < kNodes ? &nodes[i + 1] : 0;
    nodes[i].key = (i32)(next_random(seed) & 0xffff);
    nodes[i].value = i;
  }
  struct node *list = sort(nodes, kNodes);
  i32 place = 0;
  for (struct node *at = list; at; at = at->next) crc = place++ % 8 ? crc : crc16(crc, (u64)(at->key ^ at->value));
  for (int wanted = 0; wanted < 16; wanted++) { // search
    i32 steps = 0;
    for (struct node *at = list; at && at->value != wanted; at = at->next) steps++;
    crc = crc16(crc, (u64)steps);
  }
  return crc;
}

static u16 matrix_work(u16 crc, u64 *seed) {
  for (int i = 0; i < kSize; i++) {
    for (int j = 0; j < kSize; j++) left[i][j] = (i16)next_random(seed), right[i][j] = (i16)next_random(seed);
  }
  i32 trace = 0;
  for (int i = 0; i < kSize; i++) {
    for (int j = 0; j < kSize; j++) {
      i32 sum = 0;
      for (int k = 0; k < kSize; k++) sum += left[i][k] * right[k][j] >> 4;
      trace += i == j ? sum : sum & 15;
    }
  }
  return crc16(crc, (u64)trace);
}

enum state { kStart, kSign, kInteger, kPoint, kFraction, kExponent, kExponentSign, kScientific, kInvalid, kStates };

static enum state advance(enum state state, char c) {
  const int digit = c >= '0' && c <= '9';
  switch (state) {
  case kStart: return digit ? kInteger : c == '+' || c == '-' ? kSign : c == '.' ? kPoint : kInvalid;
  case kSign: return digit ? kInteger : c == '.' ? kPoint : kInvalid;
  case kInteger: return digit ? kInteger : c == '.' ? kFraction : c == 'e' ? kExponent : kInvalid;
  case kPoint: return digit ? kFraction : kInvalid;
  case kFraction: return digit ? kFraction : c == 'e' ? kExponent : kInvalid;
  case kExponent: return digit ? kScientific : c == '+' || c == '-' ? kExponentSign : kInvalid;
  case kExponentSign: return digit ? kScientific : kInvalid;
  case kScientific: return digit ? kScientific : kInvalid;
  default: return kInvalid;
  }
}

static u16 text_work(u16 crc) {
  u32 ends[kStates] = {0};
  enum state state = kStart;
  for (const char *at = text;; at++) {
    if (*at == ',' || *at == 0) {
      ends[state]++;
      state = kStart;
      if (*at == 0) break;
    } else {
      state = advance(state, *at);
    }
  }
  for (int i = 0; i < kStates; i++) crc = crc16(crc, ends[i]);
  return crc;
}

u64 bench_round(void) {
  u64 seed = 1;
  u16 crc = 0xffff;
  for (int i = 0; i < 8; i++) {
    crc = list_work(crc, &seed);
    crc = matrix_work(crc, &seed);
    crc = text_work(crc);
  }
  return crc;
}
