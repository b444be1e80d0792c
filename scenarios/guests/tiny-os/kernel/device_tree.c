// Reads what tiny-os needs from the flattened device tree (Devicetree specification 0.4, chapter 5): where memory is, and the
// kernel's command line.
#include "kernel.h"

enum { FDT_BEGIN_NODE = 1, FDT_END_NODE = 2, FDT_PROP = 3, FDT_NOP = 4 };

static u32 big(const u8 *at) { return (u32)at[0] << 24 | (u32)at[1] << 16 | (u32)at[2] << 8 | at[3]; }
static u64 big64(const u8 *at) { return (u64)big(at) << 32 | big(at + 4); }
static int begins(const char *text, const char *prefix) {
    while (*prefix)
        if (*text++ != *prefix++) return 0;
    return 1;
}

void read_device_tree(u64 address, struct device_tree *out) {
    const u8 *tree = (const u8 *)address;
    out->memory_base = 0x80000000;
    out->memory_bytes = 16ul << 20; // what there is at least
    out->arguments[0] = 0;
    if (!address || big(tree) != 0xd00dfeed) return;
    const u8 *at = tree + big(tree + 8), *end = tree + big(tree + 4);
    const char *strings = (const char *)tree + big(tree + 12);
    int in_memory = 0, in_chosen = 0, depth = 0;
    while (at < end) {
        u32 token = big(at);
        at += 4;
        if (token == FDT_BEGIN_NODE) {
            const char *name = (const char *)at;
            in_memory = depth == 1 && begins(name, "memory@");
            in_chosen = depth == 1 && begins(name, "chosen");
            depth++;
            at += (strlen(name) + 4) & ~3ul;
        } else if (token == FDT_END_NODE) {
            depth--;
            in_memory = in_chosen = 0;
        } else if (token == FDT_PROP) {
            u32 length = big(at);
            const char *name = strings + big(at + 4);
            const u8 *value = at + 8;
            if (in_memory && !strcmp(name, "reg") && length >= 16) out->memory_base = big64(value), out->memory_bytes = big64(value + 8);
            if (in_chosen && !strcmp(name, "bootargs")) {
                u64 room = sizeof out->arguments - 1;
                u64 bytes = length < room ? length : room;
                memcpy(out->arguments, value, bytes);
                out->arguments[bytes] = 0;
            }
            at += 8 + ((length + 3) & ~3u);
        } else if (token != FDT_NOP) {
            return;
        }
    }
}
