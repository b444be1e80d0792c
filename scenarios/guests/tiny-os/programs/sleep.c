#include "../libc/libc.h"

int main(int count, char **arguments) {
    sleep_ms((u64)(count > 1 ? number_of(arguments[1]) : 1) * 1000);
    return 0;
}
