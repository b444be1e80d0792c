// Terminals: pseudo-terminals and their line discipline, controlling terminals, job control, window sizes.
#include "check.h"

#include <termios.h>

static int master, slave;
static char slave_name[64];
// A pair of its own; the slave is opened without becoming a controlling terminal
static void open_pair(void) {
    int number = -1, unlocked = 0;
    master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    must("ptmx", master);
    MUST(ioctl(master, TIOCSPTLCK, &unlocked));
    MUST(ioctl(master, TIOCGPTN, &number));
    snprintf(slave_name, sizeof slave_name, "/dev/pts/%d", number);
    slave = open(slave_name, O_RDWR | O_NOCTTY);
    must("pts", slave);
}
static void set_local(tcflag_t off, tcflag_t on) {
    struct termios state;
    MUST(tcgetattr(slave, &state));
    state.c_lflag = (state.c_lflag & ~off) | on;
    MUST(tcsetattr(slave, TCSANOW, &state));
}
static void type(const char *text) { must("type", write(master, text, strlen(text))); }
// What can be read at once, with control characters as ^X and \ooo
static void show_read(const char *label, int fd) {
    char text[256], line[1024] = "";
    struct pollfd poller = {fd, POLLIN, 0};
    long length = 0;
    nap(5);
    if (poll(&poller, 1, 0) <= 0) {
        say("%s=nothing", label);
        return;
    }
    if ((length = read(fd, text, sizeof text)) < 0) {
        say("%s=%s", label, strerrorname_np(errno));
        return;
    }
    for (long i = 0; i < length; i++) {
        char *end = line + strlen(line);
        if (text[i] == '\n') strcpy(end, "\\n");
        else if (text[i] == '\r') strcpy(end, "\\r");
        else if ((unsigned char)text[i] < 32 || text[i] == 127) sprintf(end, "<%d>", text[i]);
        else sprintf(end, "%c", text[i]);
    }
    say("%s=[%s]", label, line);
}

CHECK(tty_initial_state) {
    struct termios state;
    struct winsize size;
    open_pair();
    SHOW("tcgetattr", tcgetattr(slave, &state));
    say("i=%x o=%x c=%x l=%x", state.c_iflag, state.c_oflag, state.c_cflag, state.c_lflag);
    for (int i = 0; i < 17; i++) say("%d", state.c_cc[i]);
    SHOW("size", ioctl(slave, TIOCGWINSZ, &size));
    say("%dx%d", size.ws_col, size.ws_row);
    say("isatty=%d,%d", isatty(slave), isatty(master));
}

CHECK(tty_canonical_line) {
    open_pair();
    type("hel");
    show_read("early", slave);
    show_read("echo", master);
    type("lo\n");
    show_read("line", slave);
    show_read("echo", master);
    type("one\ntwo\n");
    show_read("first", slave);
    show_read("second", slave);
}

CHECK(tty_editing) {
    open_pair();
    set_local(ECHO, 0);
    type("abcd\177\177x\n");
    show_read("erase", slave);
    type("gone\025kept\n");
    show_read("kill", slave);
    type("two words\027more\n");
    show_read("word-erase", slave);
    type("quoted\026\003\n");
    show_read("literal-next", slave);
}

CHECK(tty_echo_of_editing) {
    open_pair();
    type("ab\177");
    show_read("erase", master);
    type("\025");
    show_read("kill", master);
    type("\001");
    show_read("control", master);
}

CHECK(tty_end_of_file) {
    char byte;
    open_pair();
    set_local(ECHO, 0);
    type("part\004");
    show_read("part", slave);
    type("\004");
    nap(5);
    SHOW("end", read(slave, &byte, 1));
    type("more\n");
    show_read("goes-on", slave);
}

CHECK(tty_raw_mode) {
    open_pair();
    struct termios state;
    tcgetattr(slave, &state);
    cfmakeraw(&state);
    SHOW("tcsetattr", tcsetattr(slave, TCSANOW, &state));
    type("a\r\003\177");
    show_read("raw", slave);
    write(slave, "x\n", 2);
    show_read("output", master);
    state.c_cc[VMIN] = 3, state.c_cc[VTIME] = 0;
    tcsetattr(slave, TCSANOW, &state);
    type("ab");
    show_read("two-of-three", slave);
    type("c");
    show_read("three", slave);
    state.c_cc[VMIN] = 0, state.c_cc[VTIME] = 1;
    tcsetattr(slave, TCSANOW, &state);
    char byte;
    SHOW("time", read(slave, &byte, 1));
    state.c_cc[VTIME] = 0;
    tcsetattr(slave, TCSANOW, &state);
    SHOW("poll", read(slave, &byte, 1));
}

CHECK(tty_output_processing) {
    open_pair();
    write(slave, "a\nb\tc\r", 6);
    show_read("onlcr", master);
    struct termios state;
    tcgetattr(slave, &state);
    state.c_oflag &= ~OPOST;
    tcsetattr(slave, TCSANOW, &state);
    write(slave, "a\nb", 3);
    show_read("raw", master);
}

CHECK(tty_input_translation) {
    open_pair();
    struct termios state;
    tcgetattr(slave, &state);
    state.c_lflag &= ~ECHO;
    tcsetattr(slave, TCSANOW, &state);
    type("cr\r");
    show_read("icrnl", slave);
    state.c_iflag = INLCR;
    tcsetattr(slave, TCSANOW, &state);
    type("x\ny\004");
    show_read("inlcr", slave);
    state.c_iflag = IGNCR;
    tcsetattr(slave, TCSANOW, &state);
    type("a\rb\n");
    show_read("igncr", slave);
}

CHECK(tty_nonblocking_and_ends) {
    char byte;
    open_pair();
    fcntl(slave, F_SETFL, O_NONBLOCK);
    SHOW("slave", read(slave, &byte, 1));
    fcntl(master, F_SETFL, O_NONBLOCK);
    SHOW("master", read(master, &byte, 1));
    close(slave);
    SHOW("no-slave", read(master, &byte, 1));
    struct pollfd poller = {master, POLLIN | POLLOUT, 0};
    poll(&poller, 1, 0);
    say("hup=%d", !!(poller.revents & POLLHUP));
    slave = open(slave_name, O_RDWR | O_NOCTTY);
    OK("open-again", slave < 0 ? -1 : 0);
    close(master);
    SHOW("read-hung-up", read(slave, &byte, 1));
    SHOW("write-hung-up", write(slave, "x", 1));
    OPENS("gone", open(slave_name, O_RDWR));
}

CHECK(tty_locked_until_unlocked) {
    int number = -1, locked = 1;
    master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    ioctl(master, TIOCGPTN, &number);
    snprintf(slave_name, sizeof slave_name, "/dev/pts/%d", number);
    OPENS("locked", open(slave_name, O_RDWR | O_NOCTTY));
    ioctl(master, TIOCGPTLCK, &locked);
    say("locked=%d", locked);
    locked = 0;
    SHOW("unlock", ioctl(master, TIOCSPTLCK, &locked));
    OPENS("open", open(slave_name, O_RDWR | O_NOCTTY));
    struct stat info;
    fstat(open(slave_name, O_RDWR | O_NOCTTY), &info);
    say("char=%d mode=%o major=%d", S_ISCHR(info.st_mode), info.st_mode & 0777, (int)major(info.st_rdev));
}

CHECK(tty_new_instances_are_apart) {
    own_mounts();
    mkdir("p", 0755);
    SHOW("mount", mount("devpts", "p", "devpts", 0, "newinstance,ptmxmode=0666"));
    int number = -1, fd = open("p/ptmx", O_RDWR | O_NOCTTY), unlocked = 0;
    ioctl(fd, TIOCSPTLCK, &unlocked);
    SHOW("ptn", ioctl(fd, TIOCGPTN, &number));
    say("number=%d", number);
    SHOW("there", access("p/0", F_OK));
    int peer = ioctl(fd, TIOCGPTPEER, O_RDWR | O_NOCTTY);
    OK("peer", peer < 0 ? -1 : 0);
    write(peer, "x", 1);
    show_read("output", fd);
}

CHECK(tty_controlling_terminal) {
    open_pair();
    OPENS("before", open("/dev/tty", O_RDWR));
    SHOW("not-leader", ioctl(slave, TIOCSCTTY, 0));
    RUN({
        setsid();
        SHOW("tcgetpgrp-before", tcgetpgrp(slave));
        SHOW("ctty", ioctl(slave, TIOCSCTTY, 0));
        OPENS("dev-tty", open("/dev/tty", O_RDWR));
        say("foreground=%d session=%d", tcgetpgrp(slave) == getpid(), tcgetsid(slave) == getsid(0));
        RUN({ setsid(); SHOW("taken", ioctl(slave, TIOCSCTTY, 0)); OPENS("dev-tty-of-another-session", open("/dev/tty", O_RDWR)); });
        signal(SIGHUP, SIG_IGN);
        SHOW("give-up", ioctl(slave, TIOCNOTTY, 0));
        OPENS("after", open("/dev/tty", O_RDWR));
    });
}

CHECK(tty_first_open_by_a_leader_controls) {
    open_pair();
    RUN({
        setsid();
        int fd = open(slave_name, O_RDWR);
        OPENS("dev-tty", open("/dev/tty", O_RDWR));
        char text[512];
        int tty = 0, foreground = 0;
        get("/proc/self/stat", text, sizeof text);
        sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %d %d", &tty, &foreground);
        say("tty-major=%d foreground=%d", (tty >> 8) & 0xff, foreground == getpid());
        close(fd);
    });
}

// A session leader with the slave as its controlling terminal
static void take_terminal(void) {
    MUST(setsid());
    MUST(ioctl(slave, TIOCSCTTY, 0));
}

CHECK(tty_interrupt_characters_signal_the_foreground) {
    static const char keys[] = {3, 28, 26};
    open_pair();
    for (int i = 0; i < 3; i++) {
        int status;
        pid_t pid = START({
            struct rlimit none = {0, 0};
            setrlimit(RLIMIT_CORE, &none);
            take_terminal();
            pid_t job = START({ setpgid(0, 0); pause(); });
            setpgid(job, job);
            signal(SIGTTOU, SIG_IGN);
            MUST(tcsetpgrp(slave, job));
            set_flag(i);
            waitpid(job, &status, WUNTRACED);
            show_status("job", status);
            kill(job, SIGKILL);
        });
        await_flag(i);
        write(master, &keys[i], 1);
        wait_for(pid);
        show_read("echo", master);
    }
}

CHECK(tty_interrupt_discards_input) {
    open_pair();
    pid_t pid = START({ take_terminal(); signal(SIGINT, SIG_IGN); set_flag(0); await_flag(1); show_read("line", slave); });
    await_flag(0);
    type("lost\003kept\n");
    set_flag(1);
    wait_for(pid);
}

CHECK(tty_background_read_stops) {
    open_pair();
    RUN({
        int status;
        take_terminal();
        pid_t job = START({ char byte; setpgid(0, 0); SHOW("read", read(slave, &byte, 1)); });
        waitpid(job, &status, WUNTRACED);
        show_status("job", status);
        kill(job, SIGKILL);
        wait_for(job);
        job = START({ char byte; signal(SIGTTIN, SIG_IGN); setpgid(0, 0); SHOW("ignoring", read(slave, &byte, 1)); });
        wait_for(job);
    });
}

CHECK(tty_background_write_stops_with_tostop) {
    open_pair();
    RUN({
        int status;
        take_terminal();
        wait_for(START({ setpgid(0, 0); SHOW("write", write(slave, "x", 1)); }));
        set_local(0, TOSTOP);
        pid_t job = START({ setpgid(0, 0); SHOW("write", write(slave, "x", 1)); });
        waitpid(job, &status, WUNTRACED);
        show_status("job", status);
        kill(job, SIGKILL);
        wait_for(job);
        wait_for(START({ signal(SIGTTOU, SIG_IGN); setpgid(0, 0); SHOW("ignoring", write(slave, "x", 1)); }));
        job = START({ setpgid(0, 0); tcsetpgrp(slave, getpid()); });
        waitpid(job, &status, WUNTRACED);
        show_status("tcsetpgrp", status);
        kill(job, SIGKILL);
    });
}

CHECK(tty_foreground_groups) {
    open_pair();
    RUN({
        take_terminal();
        SHOW("missing", tcsetpgrp(slave, 4999));
        SHOW("negative", tcsetpgrp(slave, -1));
        pid_t other = START({ setsid(); set_flag(0); pause(); });
        await_flag(0);
        SHOW("other-session", tcsetpgrp(slave, other));
        kill(other, SIGKILL);
        RUN({ setsid(); SHOW("not-mine", tcgetpgrp(slave)); SHOW("not-mine", tcsetpgrp(slave, getpid())); });
    });
    SHOW("from-outside", tcgetpgrp(slave));
}

CHECK(tty_leaders_exit_hangs_up) {
    open_pair();
    pid_t pid = START({ take_terminal(); START({ set_flag(0); pause(); }); await_flag(0); });
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    wait_for(pid);
    int status;
    wait(&status);
    show_status("foreground-child", status);
}

CHECK(tty_window_size) {
    open_pair();
    struct winsize size = {.ws_row = 33, .ws_col = 101};
    pid_t pid = START({
        sigset_t set;
        sigemptyset(&set), sigaddset(&set, SIGWINCH);
        sigprocmask(SIG_BLOCK, &set, 0);
        take_terminal();
        set_flag(0);
        siginfo_t info;
        say("got=%s", signal_name(sigwaitinfo(&set, &info)));
        ioctl(slave, TIOCGWINSZ, &size);
        say("%dx%d", size.ws_col, size.ws_row);
    });
    await_flag(0);
    long set = ioctl(master, TIOCSWINSZ, &size);
    wait_for(pid);
    SHOW("set", set);
}

CHECK(tty_flush_and_counts) {
    int count = -1;
    open_pair();
    set_local(ECHO, 0);
    type("line\nrest");
    nap(5);
    ioctl(slave, FIONREAD, &count);
    say("fionread=%d", count);
    SHOW("flush", tcflush(slave, TCIFLUSH));
    show_read("after", slave);
    type("\n");
    show_read("rest-is-lost", slave);
    SHOW("queue", tcflush(slave, 99));
    SHOW("drain", tcdrain(slave));
    SHOW("break", tcsendbreak(slave, 0));
    SHOW("pipe", ({ int ends[2]; struct termios state; pipe(ends); tcgetattr(ends[0], &state); }));
}

CHECK(tty_packet_and_exclusive_modes) {
    int on = 1;
    open_pair();
    SHOW("packet", ioctl(master, TIOCPKT, &on));
    write(slave, "x", 1);
    show_read("data", master);
    tcflush(slave, TCIFLUSH);
    show_read("flush", master);
    SHOW("exclusive", ioctl(slave, TIOCEXCL, 0));
    RUN({ become(1000); OPENS("open", open(slave_name, O_RDWR | O_NOCTTY)); });
}

CHECK(tty_sti_and_unknown) {
    open_pair();
    RUN({ become(1000); SHOW("sti", ioctl(slave, TIOCSTI, "x")); });
    SHOW("unknown", ioctl(slave, 0x5499, 0));
    SHOW("file", ioctl(open("/proc/self/exe", O_RDONLY), TCGETS, 0));
    SHOW("closed", ioctl(99, TCGETS, 0));
    SHOW("pointer", ioctl(slave, TIOCGWINSZ, 8));
}
