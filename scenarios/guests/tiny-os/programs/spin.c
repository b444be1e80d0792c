// spin [SECONDS]: keeps the hart busy.
#include "../libc/libc.h"

int main(int count, char **arguments) {
    u64 end = time_ns() + (u64)(count > 1 ? number_of(arguments[1]) : 1) * 1000000000;
    while (time_ns() < end) {}
    return 0;
}
