// crash: writes to address 0, which no process has.
int main(void) {
    *(volatile int *)0 = 1;
    return 0;
}
