// primes [N]: counts the primes below N: computing, no system calls.
#include "../libc/libc.h"

int main(int count, char **arguments) {
    long most = count > 1 ? number_of(arguments[1]) : 10000, found = 0;
    for (long n = 2; n < most; n++) {
        long divisor = 2;
        while (divisor * divisor <= n && n % divisor) divisor++;
        found += divisor * divisor > n;
    }
    print("%d primes below %d\n", found, most);
    return 0;
}
