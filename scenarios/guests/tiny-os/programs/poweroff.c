#include "../libc/libc.h"

int main(void) { return (int)power_off(); }
