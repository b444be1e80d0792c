// Namespaces from inside: unshare and clone, who is seen by whom, and what the first process of a namespace survives.
#include "probe.h"

#include <sched.h>

void *volatile bad_pointer = (void *)8;

static int child_of_new(void) {
    printf("inside: pid %d, parent %d\n", getpid(), getppid());
    sethostname("inner", 5);
    char name[65];
    gethostname(name, sizeof name);
    printf("inside: host %s\n", name);
    SHOW(kill(1, SIGKILL)); // oneself: an init is spared
    SHOW(kill(1, SIGTERM));
    pid_t orphan_parent = fork();
    if (orphan_parent == 0) {
        if (fork() == 0) {
            usleep(2000);
            printf("inside: the orphan's parent is %d\n", getppid());
            _exit(0);
        }
        _exit(0);
    }
    int count = 0;
    while (wait(0) > 0) count++;
    printf("inside: %d ended\n", count);
    if (fork() == 0) pause(); // dies with its namespace
    return 5;
}

static int sleeper(void) {
    pause();
    return 0;
}

static pid_t clone_with(int (*body)(void), int flags) {
    pid_t pid = (pid_t)syscall(SYS_clone, (long)flags | SIGCHLD, 0L, 0L, 0L, 0L);
    if (pid == 0) _exit(body());
    return pid;
}

int main(void) {
    int status = 0;
    char name[65];
    setvbuf(stdout, 0, _IONBF, 0);
    pid_t child = clone_with(child_of_new, CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWNS);
    printf("outside: the child is %d\n", child);
    waitpid(child, &status, 0);
    printf("outside: exit %d\n", WEXITSTATUS(status));
    gethostname(name, sizeof name);
    printf("outside: host %s\n", name);
    // From the outer namespace SIGTERM is ignored by an init that does not handle it; SIGKILL ends it.
    child = clone_with(sleeper, CLONE_NEWPID);
    SHOW(kill(child, SIGTERM));
    printf("still there: %d\n", waitpid(child, &status, WNOHANG));
    SHOW(kill(child, SIGKILL));
    waitpid(child, &status, 0);
    printf("signal %d\n", WTERMSIG(status));
    // unshare leaves the caller; its first child is 1, and when that has ended nobody can be born there.
    pid_t me = getpid();
    SHOW(unshare(CLONE_NEWPID));
    printf("same %d\n", getpid() == me);
    SHOW(unshare(CLONE_NEWPID));
    if ((child = fork()) == 0) _exit(getpid());
    waitpid(child, &status, 0);
    printf("the first is %d\n", WEXITSTATUS(status));
    SHOW(fork());
    SHOW(unshare(CLONE_NEWUTS));
    SHOW(sethostname("0123456789012345678901234567890123456789012345678901234567890123456789", 65));
    SHOW(sethostname("renamed", 7));
    SHOW(unshare(CLONE_VM));
    SHOW(unshare(1));
    return 0;
}
