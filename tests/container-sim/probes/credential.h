// Shows ids and capabilities, for the checks of users and credentials.
#ifndef CREDENTIAL_H
#define CREDENTIAL_H

#include "check.h"

#include <linux/capability.h>

static inline void show_ids(const char *label) {
    uid_t a, b, c;
    gid_t d, e, f;
    getresuid(&a, &b, &c);
    getresgid(&d, &e, &f);
    say("%s=%u,%u,%u/%u,%u,%u", label, a, b, c, d, e, f);
}

struct caps { struct __user_cap_data_struct data[2]; };
static inline long caps_get(struct caps *caps) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    return syscall(SYS_capget, &header, caps->data);
}
static inline long caps_set(const struct caps *caps) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    return syscall(SYS_capset, &header, caps->data);
}
static inline void show_caps(const char *label) {
    struct caps caps;
    MUST(caps_get(&caps));
    say("%s=e:%x,%x/p:%x,%x/i:%x,%x", label, caps.data[1].effective, caps.data[0].effective, caps.data[1].permitted, caps.data[0].permitted,
        caps.data[1].inheritable, caps.data[0].inheritable);
}

#endif
