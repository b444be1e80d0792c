// Floating point in a glibc program: the results must be the same everywhere.
#include <math.h>
#include <stdio.h>

int main(void) {
    volatile double two = 2.0;
    printf("%.17g %.17g %.9g\n", sqrt(two), sin(two), (float)two / 3.0f);
    return 0;
}
