#include "../libc/libc.h"

int main(int count, char **arguments) {
    struct utsname name;
    if (count > 1 && sethostname(arguments[1], strlen(arguments[1])) < 0) return print_to(2, "hostname: not permitted\n"), 1;
    uname(&name);
    if (count == 1) print("%s\n", name.node);
    return 0;
}
