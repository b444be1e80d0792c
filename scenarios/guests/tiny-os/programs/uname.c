#include "../libc/libc.h"

int main(void) {
    struct utsname name;
    uname(&name);
    print("%s %s %s %s\n", name.system, name.node, name.release, name.machine);
    return 0;
}
