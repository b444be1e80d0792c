// pid: who it is, in the eyes of the kernel that it runs on.
#include "../libc/libc.h"

int main(void) {
    print("pid %d, parent %d\n", getpid(), getppid());
    return 0;
}
