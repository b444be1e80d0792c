// seccomp filters: who may set one, what each answer does, which of several wins, what is checked of a program.
#include "check.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

static long install_program(const struct sock_filter *code, unsigned length, unsigned flags) {
    struct sock_fprog program = {length, (struct sock_filter *)code};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}
// Answers `answer` to a call of that number, and allows all others
static long answer_to(int number, unsigned answer) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    return install_program(code, 4, 0);
}
static void no_new_privs(void) { MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); }

CHECK(seccomp_37_needs_no_new_privs_or_cap_sys_admin) {
    RUN({
        become(1000);
        SHOW("user", answer_to(SYS_getppid, SECCOMP_RET_ERRNO | EPERM));
        no_new_privs();
        SHOW("no-new-privs", answer_to(SYS_getppid, SECCOMP_RET_ERRNO | EPERM));
        SHOW("getppid", syscall(SYS_getppid));
    });
    RUN({ SHOW("root", answer_to(SYS_getppid, SECCOMP_RET_ERRNO | EXDEV)); SHOW("getppid", syscall(SYS_getppid)); });
    RUN({ become(1000); enter_user_namespace(); SHOW("root-of-user-namespace", answer_to(SYS_getppid, SECCOMP_RET_ERRNO | EXDEV)); });
}

CHECK(seccomp_37_newest_errno_wins) {
    SHOW("first", answer_to(SYS_getppid, SECCOMP_RET_ERRNO | EXDEV));
    SHOW("second", answer_to(SYS_getppid, SECCOMP_RET_ERRNO | ENOTTY));
    SHOW("getppid", syscall(SYS_getppid));
}

CHECK(seccomp_37_strictest_wins) {
    show_status("kill-then-errno", RUN({ answer_to(SYS_getppid, SECCOMP_RET_KILL_PROCESS); answer_to(SYS_getppid, SECCOMP_RET_ERRNO | EPERM); syscall(SYS_getppid); }));
    show_status("errno-then-kill", RUN({ answer_to(SYS_getppid, SECCOMP_RET_ERRNO | EPERM); answer_to(SYS_getppid, SECCOMP_RET_KILL_PROCESS); syscall(SYS_getppid); }));
    show_status("trap-over-errno", RUN({ answer_to(SYS_getppid, SECCOMP_RET_TRAP); answer_to(SYS_getppid, SECCOMP_RET_ERRNO | EPERM); syscall(SYS_getppid); }));
    RUN({ answer_to(SYS_getppid, SECCOMP_RET_ERRNO | EPERM); answer_to(SYS_getppid, SECCOMP_RET_ALLOW); SHOW("errno-over-allow", syscall(SYS_getppid)); });
    RUN({ answer_to(SYS_getppid, SECCOMP_RET_ERRNO | EPERM); answer_to(SYS_getppid, SECCOMP_RET_TRACE); SHOW("errno-over-trace", syscall(SYS_getppid)); });
}

CHECK(seccomp_37_inherited) {
    MUST(answer_to(SYS_getppid, SECCOMP_RET_ERRNO | EXDEV));
    RUN({ SHOW("fork", syscall(SYS_getppid)); });
    char text[4096], *line;
    get("/proc/self/status", text, sizeof text);
    for (line = strtok(text, "\n"); line; line = strtok(0, "\n"))
        if (strncmp(line, "Seccomp", 7) == 0) show_text("", line);
}

CHECK(seccomp_answers) {
    show_status("kill-thread", RUN({ answer_to(SYS_getppid, SECCOMP_RET_KILL_THREAD); syscall(SYS_getppid); _exit(3); }));
    show_status("kill-process", RUN({ answer_to(SYS_getppid, SECCOMP_RET_KILL_PROCESS); syscall(SYS_getppid); _exit(3); }));
    show_status("unknown-answer", RUN({ answer_to(SYS_getppid, 0x12340000); syscall(SYS_getppid); _exit(3); }));
    RUN({ answer_to(SYS_getppid, SECCOMP_RET_TRACE); SHOW("trace-without-tracer", syscall(SYS_getppid)); });
    RUN({ answer_to(SYS_getppid, SECCOMP_RET_LOG); SHOW("log", syscall(SYS_getppid) > 0); });
    RUN({ answer_to(SYS_getppid, SECCOMP_RET_ERRNO | 5000); errno = 0; say("large-errno=%d", syscall(SYS_getppid) == -1 ? errno : 0); });
    RUN({ answer_to(SYS_getppid, SECCOMP_RET_ERRNO); SHOW("errno-0", syscall(SYS_getppid)); });
}

static volatile int trap_signo, trap_code, trap_errno, trap_call, trap_arch;
static void on_sigsys(int number, siginfo_t *info, void *context) {
    (void)context;
    trap_signo = number, trap_code = info->si_code, trap_errno = info->si_errno, trap_call = info->si_syscall, trap_arch = info->si_arch;
}
CHECK(seccomp_trap_raises_sigsys) {
    struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};
    sigaction(SIGSYS, &action, 0);
    MUST(answer_to(SYS_getppid, SECCOMP_RET_TRAP | 42));
    errno = 0;
    syscall(SYS_getppid);
    say("%s code=%d errno=%d call-is-getppid=%d arch=%d", signal_name(trap_signo), trap_code, trap_errno, trap_call == SYS_getppid, (unsigned)trap_arch == AUDIT_ARCH_RISCV64);
    show_status("unhandled", RUN({ signal(SIGSYS, SIG_DFL); syscall(SYS_getppid); }));
}

CHECK(seccomp_arguments_and_arch) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_RISCV64, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_dup, 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 100, 0, 2),
        BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, SECCOMP_RET_ERRNO - 100),
        BPF_STMT(BPF_RET | BPF_A, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    SHOW("install", install_program(code, 11, 0));
    SHOW("dup-99", dup(99));
    SHOW("dup-101", dup(101) == -1 ? errno : 0);
    SHOW("dup-355", dup(355) == -1 ? errno : 0);
    SHOW("close", close(99));
}

CHECK(seccomp_program_is_validated) {
    struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_filter no_return[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0)};
    struct sock_filter jump_out[] = {BPF_JUMP(BPF_JMP | BPF_JA, 5, 0, 0), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_filter jump_far[] = {BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 9), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_filter beyond[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, sizeof(struct seccomp_data)), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_filter unaligned[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_filter bytes[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_filter by_zero[] = {BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_filter memory[] = {BPF_STMT(BPF_ST, 16), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_filter unset[] = {BPF_STMT(BPF_LD | BPF_MEM, 3), BPF_STMT(BPF_RET | BPF_A, 0)};
    struct sock_filter unknown[] = {BPF_STMT(0xff, 0), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    SHOW("no-return", install_program(no_return, 1, 0));
    SHOW("jump-out", install_program(jump_out, 2, 0));
    SHOW("jump-far", install_program(jump_far, 2, 0));
    SHOW("beyond", install_program(beyond, 2, 0));
    SHOW("unaligned", install_program(unaligned, 2, 0));
    SHOW("bytes", install_program(bytes, 2, 0));
    SHOW("by-zero", install_program(by_zero, 2, 0));
    SHOW("memory", install_program(memory, 2, 0));
    SHOW("unset", install_program(unset, 2, 0));
    SHOW("unknown", install_program(unknown, 2, 0));
    SHOW("length-0", install_program(allow, 0, 0));
    SHOW("length-4097", install_program(allow, 4097, 0));
    SHOW("pointer", install_program((void *)8, 1, 0));
    SHOW("flags", install_program(allow, 1, 1 << 20));
    SHOW("good", install_program(allow, 1, 0));
}

CHECK(seccomp_length_of_4096) {
    static struct sock_filter code[4096];
    for (int i = 0; i < 4096; i++) code[i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    SHOW("4096", install_program(code, 4096, 0));
    int more = 0;
    while (more < 20 && install_program(code, 4096, 0) == 0) more++;
    say("in-the-end=%s", more < 20 ? strerrorname_np(errno) : "none"); // all filters of a task together have a limit
}

CHECK(seccomp_strict_mode) {
    show_status("getpid", RUN({ prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT); syscall(SYS_getpid); }));
    show_status("exit", RUN({ syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, 0); syscall(SYS_exit, 7); }));
    SHOW("get", prctl(PR_GET_SECCOMP));
    SHOW("arguments", syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, 0));
    SHOW("operation", syscall(SYS_seccomp, 77, 0, 0));
    RUN({ answer_to(SYS_getppid, SECCOMP_RET_ERRNO); SHOW("get-filter", prctl(PR_GET_SECCOMP)); SHOW("strict-after-filter", prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)); });
}

CHECK(seccomp_action_available) {
    unsigned action = SECCOMP_RET_ERRNO;
    SHOW("errno", syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
    action = 0x12340000;
    SHOW("unknown", syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
    show_file("actions", "/proc/sys/kernel/seccomp/actions_avail");
}

CHECK(seccomp_call_number_minus_1) {
    MUST(answer_to(SYS_getppid, SECCOMP_RET_ERRNO | EXDEV));
    SHOW("unknown-call", syscall(100000));
    SHOW("minus-1", syscall(-1));
}
