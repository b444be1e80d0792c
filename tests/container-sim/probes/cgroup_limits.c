// Controllers of cgroup v2: what pids, memory, cpu, cpuset and io limit, count and refuse.
#include "cgroup.h"

CHECK(cgroup_32_pids_max) {
    set_up("+pids");
    make("a");
    show_file("default", in("a", "pids.max"));
    SHOW("max", put(in("a", "pids.max"), "3"));
    pid_t pid = START({
        MUST(enter("a", getpid()));
        int made = 0;
        for (pid_t child; made < 9; made++) {
            if ((child = fork()) == 0) pause();
            if (child < 0) break;
        }
        say("made=%d %s", made, strerrorname_np(errno));
        show_file("current", in("a", "pids.current"));
        say("events=%ld", number_of("a", "pids.events", "max"));
        SHOW("below", put(in("a", "pids.max"), "1"));
        show_file("current", in("a", "pids.current"));
        errno = 0;
        OK("fork", fork());
    });
    wait_for(pid);
    SHOW("negative", put(in("a", "pids.max"), "-1"));
    SHOW("word", put(in("a", "pids.max"), "many"));
    SHOW("max", put(in("a", "pids.max"), "max"));
}

CHECK(cgroup_32_pids_max_of_an_ancestor_counts) {
    set_up("+pids");
    make("a"), make("a/b");
    MUST(put(in("a", "cgroup.subtree_control"), "+pids"));
    MUST(put(in("a", "pids.max"), "2"));
    pid_t one = sleeper("a/b"), two = sleeper("a/b"), three = START(pause());
    SHOW("moving-is-not-limited", enter("a/b", three));
    show_file("current", in("a", "pids.current"));
    RUN({ MUST(enter("a/b", getpid())); OK("fork", fork()); });
    say("a-events=%ld b-events=%ld", number_of("a", "pids.events", "max"), number_of("a/b", "pids.events", "max"));
    kill(one, SIGKILL), kill(two, SIGKILL), kill(three, SIGKILL);
}

CHECK(cgroup_33_memory_max_kills) {
    set_up("+memory");
    make("a");
    SHOW("max", put(in("a", "memory.max"), "4M"));
    show_file("max", in("a", "memory.max"));
    put(in("a", "memory.swap.max"), "0");
    show_status("hog", RUN({ MUST(enter("a", getpid())); use_memory(16 << 20); }));
    say("oom=%d oom_kill=%ld", number_of("a", "memory.events", "oom") > 0, number_of("a", "memory.events", "oom_kill"));
    show_status("modest", RUN({ MUST(enter("a", getpid())); use_memory(1 << 20); }));
}

CHECK(cgroup_33_memory_high_throttles) {
    set_up("+memory");
    make("a");
    SHOW("high", put(in("a", "memory.high"), "2M"));
    put(in("a", "memory.swap.max"), "0");
    show_status("user", RUN({ MUST(enter("a", getpid())); use_memory(3 << 20); }));
    say("high-events=%d oom_kill=%ld", number_of("a", "memory.events", "high") > 0, number_of("a", "memory.events", "oom_kill"));
}

CHECK(cgroup_33_oom_group_kills_siblings) {
    set_up("+memory");
    for (int group = 0; group < 2; group++) {
        const char *name = group ? "g" : "a";
        make(name);
        MUST(put(in(name, "memory.max"), "4M"));
        put(in(name, "memory.swap.max"), "0");
        if (group) SHOW("oom.group", put(in(name, "memory.oom.group"), "1"));
        pid_t sibling = sleeper(name);
        show_status("hog", RUN({ MUST(enter(name, getpid())); use_memory(16 << 20); }));
        nap(20);
        say("sibling-state=%c", state_of(sibling));
        kill(sibling, SIGKILL);
        wait_for(sibling);
        say("oom_group_kill=%ld", number_of(name, "memory.events", "oom_group_kill"));
    }
}

CHECK(cgroup_33_memory_is_charged_and_returned) {
    set_up("+memory");
    make("a");
    pid_t pid = START({ MUST(enter("a", getpid())); use_memory(4 << 20); set_flag(0); await_flag(1); });
    await_flag(0);
    char text[32];
    get(in("a", "memory.current"), text, sizeof text);
    say("over-4M=%d under-6M=%d", atol(text) >= 4 << 20, atol(text) < 6 << 20);
    say("anon-over-4M=%d", number_of("a", "memory.stat", "anon") >= 4 << 20);
    set_flag(1);
    wait_for(pid);
    nap(50);
    get(in("a", "memory.current"), text, sizeof text);
    say("after-under-1M=%d", atol(text) < 1 << 20);
}

CHECK(cgroup_33_memory_values) {
    set_up("+memory");
    make("a");
    static const char *const texts[] = {"max", "1G", "5000", "4096k", "-1", "word", "0x1000", " 8192\n", "1M1"};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        SHOW("write", put(in("a", "memory.high"), texts[i]));
        show_file("is", in("a", "memory.high"));
    }
    show_file("low", in("a", "memory.low"));
    show_file("events", in("a", "memory.events.local"));
}

CHECK(cgroup_33_memory_max_of_an_ancestor_counts) {
    set_up("+memory");
    make("a"), make("a/b");
    MUST(put(in("a", "cgroup.subtree_control"), "+memory"));
    MUST(put(in("a", "memory.max"), "4M"));
    put(in("a", "memory.swap.max"), "0");
    show_status("hog", RUN({ MUST(enter("a/b", getpid())); use_memory(16 << 20); }));
    say("a-kills=%ld a-local=%ld b-kills=%ld", number_of("a", "memory.events", "oom_kill"), number_of("a", "memory.events.local", "oom_kill"),
        number_of("a/b", "memory.events", "oom_kill"));
}

CHECK(cgroup_35_weights) {
    set_up("+cpu");
    make("a");
    show_file("default", in("a", "cpu.weight"));
    static const char *const texts[] = {"0", "1", "10000", "10001", "-5", "word"};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) SHOW(texts[i], put(in("a", "cpu.weight"), texts[i]));
    SHOW("nice", put(in("a", "cpu.weight.nice"), "-5"));
    show_file("weight", in("a", "cpu.weight"));
}

CHECK(cgroup_cpu_max) {
    set_up("+cpu");
    make("a");
    show_file("default", in("a", "cpu.max"));
    static const char *const texts[] = {"50000 100000", "20000", "max", "500 100000", "100000 500", "10000 2000000", "max 50000", "word", "0"};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) SHOW(texts[i], put(in("a", "cpu.max"), texts[i]));
    show_file("is", in("a", "cpu.max"));
}

CHECK(cgroup_cpu_max_throttles) {
    set_up("+cpu");
    make("a");
    MUST(put(in("a", "cpu.max"), "5000 50000"));
    pid_t pid = START({ MUST(enter("a", getpid())); for (;;) {} });
    for (int i = 0; i < 500 && number_of("a", "cpu.stat", "nr_throttled") < 2; i++) nap(2);
    say("throttled=%d time=%d", number_of("a", "cpu.stat", "nr_throttled") >= 2, number_of("a", "cpu.stat", "throttled_usec") > 0);
    long periods = number_of("a", "cpu.stat", "nr_periods"), used = number_of("a", "cpu.stat", "usage_usec");
    say("within-twice-the-quota=%d", used < (periods + 2) * 5000 * 2);
    kill(pid, SIGKILL);
}

CHECK(cgroup_cpu_stat_counts) {
    set_up("+cpu");
    make("a");
    pid_t pid = START({ MUST(enter("a", getpid())); for (;;) {} });
    for (int i = 0; i < 1000 && number_of("a", "cpu.stat", "usage_usec") < 10000; i++) nap(2);
    say("used=%d", number_of("a", "cpu.stat", "usage_usec") >= 10000);
    kill(pid, SIGKILL);
    wait_for(pid);
    say("throttled=%ld", number_of("a", "cpu.stat", "nr_throttled"));
}

CHECK(cgroup_cpuset) {
    set_up("+cpuset");
    make("a");
    show_file("cpus", in("a", "cpuset.cpus"));
    SHOW("0", put(in("a", "cpuset.cpus"), "0"));
    show_file("cpus", in("a", "cpuset.cpus"));
    show_file("effective", in("a", "cpuset.cpus.effective"));
    SHOW("word", put(in("a", "cpuset.cpus"), "word"));
    SHOW("mems", put(in("a", "cpuset.mems"), "0"));
    SHOW("mems-missing", put(in("a", "cpuset.mems"), "7"));
    RUN({
        MUST(enter("a", getpid()));
        cpu_set_t set;
        sched_getaffinity(0, sizeof set, &set);
        say("cpus=%d first=%d", CPU_COUNT(&set), CPU_ISSET(0, &set));
    });
    SHOW("empty", put(in("a", "cpuset.cpus"), "\n"));
    show_file("effective", in("a", "cpuset.mems.effective"));
}

CHECK(cgroup_io_files) {
    set_up("+io");
    make("a");
    show_file("max", in("a", "io.max"));
    show_file("weight", in("a", "io.weight"));
    SHOW("no-device", put(in("a", "io.max"), "250:77 rbps=1000"));
    SHOW("word", put(in("a", "io.max"), "word"));
    show_file("stat", in("a", "io.stat"));
}

CHECK(cgroup_pressure_files) {
    set_up("+memory +cpu");
    make("a");
    char text[512];
    for (int i = 0; i < 2; i++) {
        if (get(in("a", i ? "memory.pressure" : "cpu.pressure"), text, sizeof text) < 0) say("%s", strerrorname_np(errno));
        else say("some=%d full=%d", strstr(text, "some avg10=") != 0, strstr(text, "full avg10=") != 0);
    }
}
