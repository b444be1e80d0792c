// The tree of cgroup v2: processes and controllers in it, freezing, killing, threads, delegation, the view of a cgroup namespace.
#include "cgroup.h"

CHECK(cgroup_31_no_internal_processes) {
    set_up("+memory +pids");
    make("a");
    pid_t pid = sleeper("a");
    SHOW("memory-with-processes", put(in("a", "cgroup.subtree_control"), "+memory"));
    SHOW("pids-with-processes", put(in("a", "cgroup.subtree_control"), "+pids"));
    SHOW("then-memory", put(in("a", "cgroup.subtree_control"), "+memory"));
    kill(pid, SIGKILL);
}

CHECK(cgroup_31_no_processes_above_controllers) {
    set_up("+memory +pids");
    make("a"), make("a/b");
    SHOW("memory", put(in("a", "cgroup.subtree_control"), "+memory"));
    pid_t pid = START(pause());
    SHOW("enter-a", enter("a", pid));
    SHOW("enter-b", enter("a/b", pid));
    SHOW("b-memory", put(in("a/b", "cgroup.subtree_control"), "+memory"));
    SHOW("b-pids", put(in("a/b", "cgroup.subtree_control"), "+pids"));
    SHOW("disable-used", put(in("", "cgroup.subtree_control"), "-memory"));
    kill(pid, SIGKILL);
}

CHECK(cgroup_31_controllers_come_from_above) {
    set_up("+memory +pids");
    make("a");
    show_file("controllers", in("a", "cgroup.controllers"));
    show_file("subtree", in("a", "cgroup.subtree_control"));
    SHOW("cpu", put(in("a", "cgroup.subtree_control"), "+cpu"));
    SHOW("unknown", put(in("a", "cgroup.subtree_control"), "+nosuch"));
    SHOW("no-sign", put(in("a", "cgroup.subtree_control"), "memory"));
    SHOW("both", put(in("a", "cgroup.subtree_control"), "+memory +pids"));
    show_file("subtree", in("a", "cgroup.subtree_control"));
    SHOW("minus", put(in("a", "cgroup.subtree_control"), "-pids"));
    show_file("subtree", in("a", "cgroup.subtree_control"));
}

CHECK(cgroup_31_files_appear_with_controllers) {
    set_up(0);
    make("a");
    SHOW("memory", access(in("a", "memory.max"), F_OK));
    SHOW("enable", put(in("", "cgroup.subtree_control"), "+memory +pids +cpu"));
    SHOW("memory", access(in("a", "memory.max"), F_OK));
    static const char *const names[] = {"memory.current", "memory.high", "memory.low", "memory.min", "memory.events", "memory.oom.group", "memory.stat", "memory.swap.max",
        "memory.pressure", "pids.max", "pids.current", "pids.events", "pids.peak", "cpu.weight", "cpu.max", "cpu.stat", "cpu.pressure", "cpu.weight.nice", "cgroup.type",
        "cgroup.freeze", "cgroup.kill", "cgroup.events", "cgroup.stat", "cgroup.threads", "cgroup.max.depth", "cgroup.max.descendants", "io.max"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) say("%s%s", access(in("a", names[i]), F_OK) == 0 ? "" : "no-", names[i]);
}

CHECK(cgroup_34_kill_takes_only_1) {
    set_up(0);
    make("a"), make("a/b");
    pid_t one = sleeper("a"), two = sleeper("a/b");
    SHOW("0", put(in("a", "cgroup.kill"), "0"));
    SHOW("2", put(in("a", "cgroup.kill"), "2"));
    SHOW("word", put(in("a", "cgroup.kill"), "all"));
    OK("read", open(in("a", "cgroup.kill"), O_RDONLY));
    SHOW("1", put(in("a", "cgroup.kill"), "1\n"));
    show_status("one", wait_for(one));
    show_status("two", wait_for(two));
}

CHECK(cgroup_34_a_frozen_task_dies_on_sigterm) {
    set_up(0);
    make("a");
    pid_t one = sleeper("a"), two = sleeper("a");
    SHOW("freeze", put(in("a", "cgroup.freeze"), "1"));
    await_number("a", "cgroup.events", "frozen", 1);
    kill(one, SIGTERM);
    show_status("term", wait_for(one));
    kill(two, SIGKILL);
    show_status("kill", wait_for(two));
    SHOW("2", put(in("a", "cgroup.freeze"), "2"));
}

CHECK(cgroup_34_frozen_tasks_do_not_run) {
    set_up(0);
    make("a"), make("a/b");
    MUST(put(in("a", "cgroup.freeze"), "1"));
    pid_t pid = START({ await_flag(0); set_flag(1); });
    MUST(enter("a/b", pid));
    await_number("a/b", "cgroup.events", "frozen", 1);
    show_file("own", in("a/b", "cgroup.freeze"));
    set_flag(0);
    nap(20);
    say("ran=%d", shared->flags[1]);
    SHOW("thaw-child", put(in("a/b", "cgroup.freeze"), "0"));
    nap(20);
    say("ran=%d", shared->flags[1]);
    SHOW("thaw", put(in("a", "cgroup.freeze"), "0"));
    await_flag(1);
    show_status("end", wait_for(pid));
    await_number("a", "cgroup.events", "frozen", 0);
}

CHECK(cgroup_34_a_stopped_task_can_be_frozen) {
    set_up(0);
    make("a");
    int status;
    pid_t pid = sleeper("a");
    kill(pid, SIGSTOP);
    waitpid(pid, &status, WUNTRACED);
    MUST(put(in("a", "cgroup.freeze"), "1"));
    await_number("a", "cgroup.events", "frozen", 1);
    kill(pid, SIGCONT);
    MUST(put(in("a", "cgroup.freeze"), "0"));
    await_number("a", "cgroup.events", "frozen", 0);
    nap(10);
    say("state=%c", state_of(pid));
    kill(pid, SIGKILL);
}

CHECK(cgroup_35_threaded_is_one_way) {
    set_up(0);
    make("a"), make("a/b");
    show_file("type", in("a/b", "cgroup.type"));
    SHOW("threaded", put(in("a/b", "cgroup.type"), "threaded"));
    show_file("b", in("a/b", "cgroup.type"));
    show_file("a", in("a", "cgroup.type"));
    SHOW("back", put(in("a/b", "cgroup.type"), "domain"));
    SHOW("word", put(in("a/b", "cgroup.type"), "nosuch"));
    make("a/c");
    show_file("invalid", in("a/c", "cgroup.type"));
    SHOW("enter-invalid", enter("a/c", getpid()));
    show_file("procs", in("a/b", "cgroup.procs"));
}

static void *wait_flag(void *argument) {
    await_flag(0);
    return argument;
}
CHECK(cgroup_35_threads_can_be_in_several) {
    set_up(0);
    make("a"), make("a/b");
    MUST(put(in("a/b", "cgroup.type"), "threaded"));
    MUST(enter("a", getpid()));
    pthread_t thread;
    pthread_create(&thread, 0, wait_flag, 0);
    char text[64];
    DIR *folder = opendir("/proc/self/task");
    int other = 0;
    for (struct dirent *entry; (entry = readdir(folder));)
        if (atoi(entry->d_name) && atoi(entry->d_name) != getpid()) other = atoi(entry->d_name);
    snprintf(text, sizeof text, "%d", other);
    SHOW("move-thread", put(in("a/b", "cgroup.threads"), text));
    get(in("a/b", "cgroup.threads"), text, sizeof text);
    say("there=%d", atoi(text) == other);
    SHOW("thread-to-domain", put(in("init", "cgroup.threads"), text));
    set_flag(0);
    pthread_join(thread, 0);
}

CHECK(cgroup_35_rmdir) {
    set_up(0);
    make("a"), make("a/b");
    SHOW("with-children", rmdir(in("a", "")));
    pid_t pid = sleeper("a/b");
    SHOW("populated", rmdir(in("a/b", "")));
    kill(pid, SIGKILL);
    wait_for(pid);
    SHOW("empty", rmdir(in("a/b", "")));
    SHOW("leaf", rmdir(in("a", "")));
    SHOW("file", mknod(in("", "file"), S_IFREG | 0644, 0));
    SHOW("unlink", unlink(in("", "cgroup.procs")));
    SHOW("mkdir-again", mkdir(in("init", ""), 0755));
    SHOW("newline", mkdir(ROOT "/a\nb", 0755));
}

CHECK(cgroup_35_zombies_do_not_populate) {
    set_up(0);
    make("a");
    pid_t pid = START({ MUST(enter("a", getpid())); set_flag(0); await_flag(1); });
    await_flag(0);
    await_number("a", "cgroup.events", "populated", 1);
    set_flag(1);
    while (state_of(pid) != 'Z') nap(1);
    await_number("a", "cgroup.events", "populated", 0);
    SHOW("rmdir", rmdir(in("a", "")));
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
    show_file("zombie", path);
}

CHECK(cgroup_36_namespace_root_is_slash) {
    set_up(0);
    make("a"), make("a/b"), make("c");
    MUST(enter("a", getpid()));
    show_file("before", "/proc/self/cgroup");
    SHOW("unshare", unshare(CLONE_NEWCGROUP));
    show_file("root", "/proc/self/cgroup");
    pid_t pid = START(pause());
    MUST(enter("a/b", pid));
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
    show_file("below", path);
    MUST(enter("c", pid));
    show_file("outside", path);
    show_file("init", "/proc/1/cgroup");
    kill(pid, SIGKILL);
}

CHECK(cgroup_36_mount_in_a_namespace_shows_its_root) {
    set_up(0);
    make("a"), make("a/b");
    MUST(enter("a", getpid()));
    own_mounts();
    MUST(unshare(CLONE_NEWCGROUP));
    mkdir("c", 0755);
    SHOW("mount", mount("cgroup2", "c", "cgroup2", 0, 0));
    SHOW("b", access("c/b", F_OK));
    SHOW("type-at-root", access("c/cgroup.type", F_OK));
    FILE *file = fopen("/proc/self/mountinfo", "r");
    char line[512], root[64], at[64];
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "%*d %*d %*s %63s %63s", root, at) == 2 && (strcmp(at, "/tmp/c") == 0 || strcmp(at, ROOT) == 0)) say("%s:%s", at, root);
}

CHECK(cgroup_36_no_moving_out_of_the_namespace) {
    set_up(0);
    make("a"), make("c");
    MUST(enter("a", getpid()));
    int outside = open(in("c", "cgroup.procs"), O_WRONLY);
    own_mounts();
    MUST(unshare(CLONE_NEWCGROUP));
    SHOW("old-mount", enter("c", getpid()));
    SHOW("opened-before", write(outside, "0", 1));
    show_file("now", "/proc/self/cgroup");
}

CHECK(cgroup_procs) {
    set_up(0);
    make("a");
    SHOW("zero-is-self", put(in("a", "cgroup.procs"), "0"));
    show_file("own", "/proc/self/cgroup");
    pid_t pid = START(pause());
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
    show_file("inherited", path);
    SHOW("missing", put(in("a", "cgroup.procs"), "4999"));
    SHOW("negative", put(in("a", "cgroup.procs"), "-1"));
    SHOW("word", put(in("a", "cgroup.procs"), "word"));
    SHOW("two", put(in("a", "cgroup.procs"), "1 2"));
    int listed = 0;
    char text[256];
    get(in("a", "cgroup.procs"), text, sizeof text);
    for (char *line = strtok(text, "\n"); line; line = strtok(0, "\n")) listed++;
    say("listed=%d", listed);
    RUN_WITH(CLONE_NEWPID, { get(in("a", "cgroup.procs"), text, sizeof text); say("own-is-1=%d others-are-0=%d", strstr(text, "1\n") != 0, strncmp(text, "0\n", 2) == 0); });
    kill(pid, SIGKILL);
}

CHECK(cgroup_delegation) {
    set_up(0);
    make("a"), make("a/b"), make("c");
    chown(in("a", ""), 1000, 1000), chown(in("a", "cgroup.procs"), 1000, 1000), chown(in("a", "cgroup.subtree_control"), 1000, 1000);
    chown(in("a/b", ""), 1000, 1000), chown(in("a/b", "cgroup.procs"), 1000, 1000), chown(in("c", "cgroup.procs"), 1000, 1000);
    pid_t inside = START({ become(1000); set_flag(0); pause(); }), outside = START({ become(1000); set_flag(1); pause(); });
    await_flag(0), await_flag(1);
    MUST(enter("a", inside));
    RUN({
        become(1000);
        SHOW("within", enter("a/b", inside));
        SHOW("from-outside", enter("a/b", outside));
        SHOW("to-another", enter("c", inside));
        SHOW("mkdir", mkdir(in("a/d", ""), 0755));
        SHOW("not-delegated", mkdir(in("e", ""), 0755));
        struct stat info;
        stat(in("a/d", "cgroup.procs"), &info);
        say("owner=%d", info.st_uid);
    });
    kill(inside, SIGKILL), kill(outside, SIGKILL);
}

CHECK(cgroup_limits_of_depth_and_number) {
    set_up(0);
    make("a");
    show_file("depth", in("a", "cgroup.max.depth"));
    SHOW("depth-1", put(in("a", "cgroup.max.depth"), "1"));
    SHOW("one", mkdir(in("a/b", ""), 0755));
    SHOW("two", mkdir(in("a/b/c", ""), 0755));
    SHOW("descendants-1", put(in("a", "cgroup.max.descendants"), "1"));
    SHOW("another", mkdir(in("a/d", ""), 0755));
    show_file("stat", in("a", "cgroup.max.descendants"));
    say("descendants=%ld", number_of("a", "cgroup.stat", "nr_descendants"));
}

CHECK(cgroup_clone_into) {
    set_up(0);
    make("a");
    struct { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup; } arguments = {0};
    arguments.flags = 0x200000000, arguments.exit_signal = SIGCHLD; // CLONE_INTO_CGROUP
    int fd = open(in("a", ""), O_RDONLY | O_DIRECTORY);
    arguments.cgroup = fd;
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid == 0) {
        show_file("child", "/proc/self/cgroup");
        _exit(0);
    }
    must("clone3", pid);
    show_status("end", wait_for(pid));
    arguments.cgroup = 99;
    SHOW("closed", syscall(SYS_clone3, &arguments, sizeof arguments));
    arguments.cgroup = open("/tmp", O_RDONLY);
    SHOW("other-folder", syscall(SYS_clone3, &arguments, sizeof arguments));
}

CHECK(cgroup_events_can_be_polled) {
    set_up(0);
    make("a");
    int fd = open(in("a", "cgroup.events"), O_RDONLY);
    char text[128];
    read(fd, text, sizeof text);
    struct pollfd poller = {fd, POLLPRI, 0};
    SHOW("quiet", poll(&poller, 1, 0));
    pid_t pid = sleeper("a");
    SHOW("populated", poll(&poller, 1, 1000));
    say("revents=%x", poller.revents);
    kill(pid, SIGKILL);
}

CHECK(cgroup_root_of_the_namespace_keeps_its_files) {
    SHOW("type", access(in("", "cgroup.type"), F_OK));
    show_file("type", in("", "cgroup.type"));
    show_file("own", "/proc/self/cgroup");
    SHOW("kill", access(in("", "cgroup.kill"), F_OK));
    SHOW("rmdir", rmdir(in("", "")));
    SHOW("memory.max", access(in("", "memory.max"), F_OK));
}
