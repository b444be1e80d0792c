// Namespaces of names, messages, clocks and cgroups, how namespaces of any kind live and are entered, and what net namespaces hold apart.
#include "check.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <mqueue.h>

static int tcp_connect(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must("socket", fd);
    int result = connect(fd, (struct sockaddr *)&at, sizeof at), saved = errno;
    close(fd);
    errno = saved;
    return result;
}
static int tcp_listen(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    must("socket", fd);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 5) < 0) return -1;
    return fd;
}
static void show_hostname(const char *label) {
    struct utsname name;
    uname(&name);
    show_text(label, name.nodename);
}

CHECK(net_24_a_new_namespace_has_lo_down) {
    MUST(unshare(CLONE_NEWNET));
    struct ifreq request = {.ifr_name = "lo"};
    struct if_nameindex *names = if_nameindex();
    int devices = 0;
    for (; names && names[devices].if_index; devices++) {}
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    SHOW("flags", ioctl(fd, SIOCGIFFLAGS, &request));
    say("devices=%d up=%d loopback=%d", devices, !!(request.ifr_flags & IFF_UP), !!(request.ifr_flags & IFF_LOOPBACK));
    SHOW("connect", tcp_connect(4000));
    request.ifr_flags |= IFF_UP;
    SHOW("up", ioctl(fd, SIOCSIFFLAGS, &request));
    SHOW("connect", tcp_connect(4000));
    SHOW("address", ioctl(fd, SIOCGIFADDR, &request));
    say("%s", inet_ntoa(((struct sockaddr_in *)&request.ifr_addr)->sin_addr));
}

CHECK(net_24_ports_are_per_namespace) {
    own_network();
    OK("listen", tcp_listen(4000));
    SHOW("again", tcp_listen(4000));
    RUN({ own_network(); OK("inner", tcp_listen(4000)); });
    SHOW("connect", tcp_connect(4000));
}

static int unix_at(const char *name, bool abstract, bool listening) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strcpy(at.sun_path + abstract, name);
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + abstract + strlen(name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must("socket", fd);
    int result = listening ? bind(fd, (struct sockaddr *)&at, size) || listen(fd, 5) : connect(fd, (struct sockaddr *)&at, size);
    return result ? -1 : fd;
}

CHECK(net_25_abstract_names_are_per_namespace) {
    OK("listen", unix_at("probe", true, true));
    OK("connect", unix_at("probe", true, false));
    RUN({
        own_network();
        OK("inner-connect", unix_at("probe", true, false));
        OK("inner-listen", unix_at("probe", true, true));
    });
    OK("again", unix_at("probe", true, true));
}

CHECK(net_25_path_names_cross) {
    OK("listen", unix_at("path", false, true));
    RUN({
        own_network();
        OK("inner-connect", unix_at("path", false, false));
        OK("inner-listen", unix_at("path", false, true));
    });
}

CHECK(net_25_a_socket_keeps_its_birth_namespace) {
    own_network();
    int listener = tcp_listen(4000);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(4000), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    MUST(unshare(CLONE_NEWNET));
    SHOW("new-socket", tcp_connect(4000));
    SHOW("old-socket", connect(fd, (struct sockaddr *)&at, sizeof at));
    OK("accept", accept(listener, 0, 0));
    struct stat a, b;
    int of_socket = ioctl(fd, 0x894c); // SIOCGSKNS
    OK("siocgskns", of_socket);
    fstat(of_socket, &a), stat("/proc/self/ns/net", &b);
    say("own=%d", a.st_ino == b.st_ino);
}

CHECK(net_26_a_descriptor_keeps_the_namespace) {
    int before = ns_open(0, "net");
    own_network();
    int inner = ns_open(0, "net");
    SHOW("leave", setns(before, CLONE_NEWNET));
    SHOW("outside", tcp_connect(4000));
    SHOW("enter", setns(inner, CLONE_NEWNET));
    SHOW("inside", tcp_connect(4000)); // lo is still up
}

CHECK(net_26_a_bind_keeps_the_namespace) {
    own_mounts();
    touch("kept", "");
    pid_t pid = START({ own_network(); set_flag(0); pause(); });
    await_flag(0);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/net", pid);
    SHOW("bind", mount(path, "kept", 0, MS_BIND, 0));
    kill(pid, SIGKILL);
    wait_for(pid);
    SHOW("setns", setns(open("kept", O_RDONLY), CLONE_NEWNET));
    SHOW("connect", tcp_connect(4000)); // its lo is still up
}

CHECK(net_26_a_socket_keeps_the_namespace) {
    int ends[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    RUN({ own_network(); send_fd(ends[0], tcp_listen(4000)); });
    int listener = receive_fd(ends[1]);
    int inner = ioctl(listener, 0x894c); // SIOCGSKNS
    SHOW("setns", setns(inner, CLONE_NEWNET));
    SHOW("connect", tcp_connect(4000));
    OK("accept", accept(listener, 0, 0));
}

CHECK(net_27_proc_net_is_the_readers) {
    own_network();
    OK("listen", tcp_listen(4000));
    int outer = open("/proc/net/tcp", O_RDONLY);
    char text[2048] = "";
    read(outer, text, sizeof text - 1);
    say("listens=%d", strstr(text, "0100007F:0FA0") != 0);
    RUN({
        own_network();
        get("/proc/net/tcp", text, sizeof text);
        say("inner-listens=%d", strstr(text, "0100007F:0FA0") != 0);
        memset(text, 0, sizeof text);
        lseek(outer, 0, SEEK_SET);
        read(outer, text, sizeof text - 1);
        say("opened-before=%d", strstr(text, "0100007F:0FA0") != 0);
    });
    char link[64] = "";
    readlink("/proc/net", link, sizeof link - 1);
    show_text("link", link);
}

CHECK(uts_27_proc_hostname_is_the_readers) {
    int fd = open("/proc/sys/kernel/hostname", O_RDONLY);
    RUN({
        MUST(unshare(CLONE_NEWUTS));
        MUST(sethostname("inner", 5));
        show_file("inner", "/proc/sys/kernel/hostname");
        SHOW("write", put("/proc/sys/kernel/hostname", "written\n"));
        show_hostname("uname");
        char text[64] = "";
        read(fd, text, sizeof text - 1);
        show_text("opened-before", text);
    });
    show_hostname("outer");
}

CHECK(uts_28_host_names) {
    char text[80];
    memset(text, 'h', sizeof text);
    MUST(unshare(CLONE_NEWUTS));
    show_hostname("copied");
    SHOW("64", sethostname(text, 64));
    SHOW("65", sethostname(text, 65));
    SHOW("negative", syscall(SYS_sethostname, text, -1));
    SHOW("null", syscall(SYS_sethostname, 8, 5));
    struct utsname name;
    uname(&name);
    say("length=%zu", strlen(name.nodename));
    SHOW("empty", sethostname(text, 0));
    show_hostname("empty");
    SHOW("domain", setdomainname("example", 7));
    uname(&name);
    show_text("domainname", name.domainname);
    say("%s %s", name.sysname, name.machine);
    RUN({ become(1000); SHOW("user", sethostname("x", 1)); });
}

CHECK(uts_28_setns_types) {
    pid_t pid = START_WITH(CLONE_NEWUTS, { sethostname("other", 5); set_flag(0); pause(); });
    await_flag(0);
    int fd = ns_open(pid, "uts");
    SHOW("wrong", setns(fd, CLONE_NEWIPC));
    SHOW("unknown", setns(fd, 1));
    SHOW("any", setns(fd, 0));
    show_hostname("name");
    SHOW("file", setns(open("/proc/self/exe", O_RDONLY), 0));
    SHOW("closed", setns(99, 0));
    RUN({ become(1000); SHOW("user", setns(fd, CLONE_NEWUTS)); });
    kill(pid, SIGKILL);
}

CHECK(uts_namespaces_live_through_a_bind) {
    own_mounts();
    touch("kept", "");
    pid_t pid = START_WITH(CLONE_NEWUTS, { sethostname("kept", 4); set_flag(0); pause(); });
    await_flag(0);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/uts", pid);
    SHOW("bind", mount(path, "kept", 0, MS_BIND, 0));
    kill(pid, SIGKILL);
    wait_for(pid);
    SHOW("gone", access(path, F_OK));
    int fd = open("kept", O_RDONLY);
    SHOW("setns", setns(fd, CLONE_NEWUTS));
    close(fd);
    show_hostname("name");
    SHOW("umount", umount("kept"));
}

CHECK(ns_links_name_kind_and_number) {
    static const char *const kinds[] = {"cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "time_for_children", "user", "uts"};
    for (int i = 0; i < 10; i++) {
        char path[64], link[64] = "", kind[32];
        unsigned number;
        snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i]);
        readlink(path, link, sizeof link - 1);
        say("%s=%s", kinds[i], sscanf(link, "%31[^:]:[%u]", kind, &number) == 2 ? kind : link);
    }
}

CHECK(ns_unshare_gives_new_numbers) {
    static const struct { const char *name; int flag; } kinds[] = {{"cgroup", CLONE_NEWCGROUP}, {"ipc", CLONE_NEWIPC}, {"mnt", CLONE_NEWNS},
        {"net", CLONE_NEWNET}, {"user", CLONE_NEWUSER}, {"uts", CLONE_NEWUTS}};
    for (int i = 0; i < 6; i++) RUN({
        char path[64];
        struct stat before, after;
        snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i].name);
        MUST(stat(path, &before));
        MUST(unshare(kinds[i].flag));
        MUST(stat(path, &after));
        say("%s=%d", kinds[i].name, before.st_ino != after.st_ino);
        pid_t child = START(pause());
        snprintf(path, sizeof path, "/proc/%d/ns/%s", child, kinds[i].name);
        say("inherited=%d", stat(path, &before) == 0 && before.st_ino == after.st_ino);
        kill(child, SIGKILL);
    });
}

CHECK(ns_pid_for_children) {
    char link[64];
    MUST(unshare(CLONE_NEWPID));
    SHOW("before-the-first", readlink("/proc/self/ns/pid_for_children", link, sizeof link) > 0 ? 0 : -1);
    pid_t pid = START({ set_flag(0); pause(); });
    await_flag(0);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/pid", pid);
    say("caller=%d child=%d", same_file("/proc/self/ns/pid", "/proc/self/ns/pid_for_children"), same_file(path, "/proc/self/ns/pid_for_children"));
    kill(pid, SIGKILL);
}

CHECK(ns_unshare_flags) {
    SHOW("none", unshare(0));
    SHOW("unknown", unshare(0x1));
    SHOW("files", unshare(CLONE_FILES));
    SHOW("fs", unshare(CLONE_FS));
    SHOW("sysvsem", unshare(CLONE_SYSVSEM));
    SHOW("thread", unshare(CLONE_THREAD));
    RUN({ become(1000); SHOW("uts", unshare(CLONE_NEWUTS)); SHOW("both", unshare(CLONE_NEWUSER | CLONE_NEWUTS)); SHOW("name", sethostname("u", 1)); });
}

CHECK(ns_of_others_need_ptrace_rights) {
    pid_t pid = START(pause());
    char path[64], link[64];
    snprintf(path, sizeof path, "/proc/%d/ns/uts", pid);
    RUN({ become(1000); SHOW("readlink", readlink(path, link, sizeof link)); SHOW("own", readlink("/proc/self/ns/uts", link, sizeof link) > 0 ? 0 : -1); });
    kill(pid, SIGKILL);
}

CHECK(ns_setns_with_a_pidfd_is_all_or_nothing) {
    pid_t pid = START({ enter_user_namespace(); MUST(unshare(CLONE_NEWUTS)); sethostname("in", 2); set_flag(0); pause(); });
    await_flag(0);
    int fd = syscall(SYS_pidfd_open, pid, 0);
    show_hostname("before");
    RUN({ become(1000); SHOW("stranger", setns(fd, CLONE_NEWUSER | CLONE_NEWUTS)); show_hostname("still"); });
    SHOW("both", setns(fd, CLONE_NEWUSER | CLONE_NEWUTS));
    show_hostname("after");
    kill(pid, SIGKILL);
}

CHECK(ipc_29_ids_restart) {
    int outer = shmget(IPC_PRIVATE, 4096, 0600 | IPC_CREAT);
    OK("outer", outer);
    MUST(unshare(CLONE_NEWIPC));
    SHOW("lost", (long)shmat(outer, 0, 0));
    SHOW("first", shmget(IPC_PRIVATE, 4096, 0600 | IPC_CREAT));
    SHOW("second", shmget(IPC_PRIVATE, 4096, 0600 | IPC_CREAT));
    SHOW("queue", msgget(IPC_PRIVATE, 0600 | IPC_CREAT));
    SHOW("semaphore", semget(IPC_PRIVATE, 2, 0600 | IPC_CREAT));
}

CHECK(ipc_29_objects_die_with_the_namespace_attached_memory_stays) {
    int before = ns_open(0, "ipc");
    MUST(unshare(CLONE_NEWIPC));
    int id = shmget(77, 4096, 0600 | IPC_CREAT);
    char *memory = shmat(id, 0, 0);
    strcpy(memory, "still here");
    MUST(setns(before, CLONE_NEWIPC));
    SHOW("gone", shmget(77, 4096, 0600));
    show_text("memory", memory);
    SHOW("detach", shmdt(memory));
    SHOW("again", shmdt(memory));
}

CHECK(ipc_shared_memory) {
    int id = shmget(99, 8192, 0600 | IPC_CREAT | IPC_EXCL);
    OK("get", id);
    SHOW("excl", shmget(99, 8192, 0600 | IPC_CREAT | IPC_EXCL));
    SHOW("larger", shmget(99, 16384, 0600));
    SHOW("missing", shmget(98, 8192, 0600));
    char *memory = shmat(id, 0, 0);
    RUN({ strcpy(memory, "from the child"); });
    show_text("memory", memory);
    struct shmid_ds info;
    SHOW("stat", shmctl(id, IPC_STAT, &info));
    say("size=%zu attached=%ld", info.shm_segsz, (long)info.shm_nattch);
    SHOW("remove", shmctl(id, IPC_RMID, 0));
    show_text("still", memory);
    SHOW("new-key", shmget(99, 8192, 0600));
    shmdt(memory);
    SHOW("stat", shmctl(id, IPC_STAT, &info));
}

CHECK(ipc_message_queues) {
    struct { long type; char text[16]; } message = {2, "two"};
    int id = msgget(IPC_PRIVATE, 0600 | IPC_CREAT);
    SHOW("send", msgsnd(id, &message, 4, 0));
    message.type = 1, strcpy(message.text, "one");
    SHOW("send", msgsnd(id, &message, 4, 0));
    message.type = 0;
    SHOW("type-0", msgsnd(id, &message, 4, 0));
    SHOW("small", msgrcv(id, &message, 2, 0, 0));
    SHOW("by-type", msgrcv(id, &message, 16, 1, 0));
    show_text("got", message.text);
    SHOW("next", msgrcv(id, &message, 16, 0, 0));
    show_text("got", message.text);
    SHOW("empty", msgrcv(id, &message, 16, 0, IPC_NOWAIT));
    pid_t pid = START({ SHOW("removed", msgrcv(id, &message, 16, 0, 0)); });
    await_sleep(pid);
    long removed = msgctl(id, IPC_RMID, 0);
    wait_for(pid);
    SHOW("remove", removed);
}

CHECK(ipc_semaphores) {
    int id = semget(IPC_PRIVATE, 2, 0600 | IPC_CREAT);
    struct sembuf take = {0, -1, SEM_UNDO}, try = {0, -1, IPC_NOWAIT};
    SHOW("setval", semctl(id, 0, SETVAL, 1));
    RUN({ SHOW("take", semop(id, &take, 1)); SHOW("try", semop(id, &try, 1)); });
    SHOW("undone", semctl(id, 0, GETVAL));
    struct sembuf both[2] = {{0, -1, IPC_NOWAIT}, {1, -1, IPC_NOWAIT}};
    SHOW("both", semop(id, both, 2));
    SHOW("untouched", semctl(id, 0, GETVAL));
    SHOW("range", semop(id, &(struct sembuf){5, 1, 0}, 1));
    SHOW("remove", semctl(id, 0, IPC_RMID));
    SHOW("removed", semop(id, &try, 1));
}

CHECK(ipc_posix_message_queues) {
    struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 16};
    mqd_t queue = mq_open("/probe", O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attributes);
    OK("open", queue);
    char text[16] = "";
    unsigned priority = 0;
    SHOW("low", mq_send(queue, "low", 4, 1));
    SHOW("high", mq_send(queue, "high", 5, 9));
    SHOW("full", mq_send(queue, "more", 5, 1));
    SHOW("receive", mq_receive(queue, text, sizeof text, &priority));
    say("%s %u", text, priority);
    RUN({ unshare(CLONE_NEWIPC); OK("other-namespace", mq_open("/probe", O_RDWR)); });
    SHOW("unlink", mq_unlink("/probe"));
    SHOW("again", mq_unlink("/probe"));
}

CHECK(time_30_children_move_not_the_caller) {
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    SHOW("unshare", unshare(CLONE_NEWTIME));
    show_file("offsets", "/proc/self/timens_offsets");
    SHOW("write", put("/proc/self/timens_offsets", "monotonic 1000000 0\nboottime 2000000 0\n"));
    clock_gettime(CLOCK_MONOTONIC, &after);
    say("caller-moved=%d", after.tv_sec - before.tv_sec > 1000);
    say("links-same=%d", same_file("/proc/self/ns/time", "/proc/self/ns/time_for_children"));
    RUN({
        clock_gettime(CLOCK_MONOTONIC, &after);
        say("child-moved=%d", after.tv_sec - before.tv_sec >= 1000000);
        clock_gettime(CLOCK_BOOTTIME, &after);
        say("boottime-moved=%d", after.tv_sec - before.tv_sec >= 2000000);
        show_file("offsets", "/proc/self/timens_offsets");
    });
    SHOW("entered", put("/proc/self/timens_offsets", "monotonic 1 0"));
}

CHECK(time_30_realtime_is_unaffected) {
    struct timespec before, after;
    clock_gettime(CLOCK_REALTIME, &before);
    MUST(unshare(CLONE_NEWTIME));
    SHOW("realtime", put("/proc/self/timens_offsets", "realtime 1000 0"));
    SHOW("words", put("/proc/self/timens_offsets", "monotonic much"));
    SHOW("negative", put("/proc/self/timens_offsets", "monotonic -1000000 0"));
    SHOW("nanoseconds", put("/proc/self/timens_offsets", "monotonic 0 1000000000"));
    SHOW("good", put("/proc/self/timens_offsets", "monotonic 1000000 0"));
    RUN({ clock_gettime(CLOCK_REALTIME, &after); say("moved=%d", after.tv_sec - before.tv_sec > 1000); });
}

CHECK(time_30_absolute_sleeps_are_of_the_namespace) {
    MUST(unshare(CLONE_NEWTIME));
    MUST(put("/proc/self/timens_offsets", "monotonic 1000000 0"));
    RUN({
        struct timespec time;
        clock_gettime(CLOCK_MONOTONIC, &time);
            say("sleep=%d", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, 0));
    });
}

CHECK(time_30_setns_and_vfork) {
    MUST(unshare(CLONE_NEWTIME));
    pid_t pid = START({ set_flag(0); pause(); });
    await_flag(0);
    SHOW("setns", setns(ns_open(pid, "time"), CLONE_NEWTIME));
    say("same=%d", same_file("/proc/self/ns/time", "/proc/self/ns/time_for_children"));
    SHOW("thread", syscall(SYS_clone, CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWUTS | CLONE_FS | CLONE_NEWNS, 0, 0, 0, 0));
    kill(pid, SIGKILL);
}
