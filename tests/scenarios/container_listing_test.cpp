// What the prompt of `trapeze container shell` prints: Docker's columns, members and filters.
#include "tests/scenarios/container_store.hpp"

using namespace trapeze;
using namespace trapeze::test;

TEST_CASE("container shell: lists have Docker's columns, filters, JSON and templates") {
    const Store store;
    const std::string out = store.shell("run -d --name web -p 8080:80 -l tier=front tiny sh -c 'sleep 1000'\ncreate --name made hello\nrun --name gone tiny sh -c 'exit 3'\n"
                                        "network ls\nvolume create data\nvolume ls\nimages\nhistory tiny\nstats --no-stream web\ntop web\n"
                                        "ps -a --format '{{.Names}}|{{.Status}}|{{.Command}}|{{.Ports}}'\nps --format 'table {{.Names}}\\t{{.State}}'\n"
                                        "ps -aq --filter exited=3 --format x\nps -a -f label=tier=front -f status=running --format '<{{.Names}}>'\nps -n 1 --format '[{{.Names}}]'\n"
                                        "docker container ls --format json\ndocker image ls --format '{{.Repository}}={{.Size}}'\n");
    for (const char* heading : {"NETWORK ID     NAME     DRIVER   SCOPE\n", "DRIVER   VOLUME NAME\nlocal    data\n", "REPOSITORY   TAG      IMAGE ID       CREATED   SIZE\n", "IMAGE          CREATED   CREATED BY",
                                "CONTAINER ID   NAME   CPU %", "MEM USAGE / LIMIT   MEM %", "NET I/O", "BLOCK I/O", "PIDS\n", "UID    PID   PPID   C   STIME   TTY   TIME       CMD\n"})
        CHECK_MESSAGE(contains(out, heading), heading);
    CHECK(contains(out, "bridge   bridge   local\n"));
    CHECK(contains(out, "none     null     local\n"));
    CHECK(contains(out, "gone|Exited (3) Less than a second ago|\"sh -c 'exit 3'\"|\nmade|Created|\"/hello\"|\nweb|Up Less than a second|\"sh -c 'sleep 1000'\"|0.0.0.0:8080->80/tcp\n"));
    CHECK(contains(out, "NAMES   STATE\nweb     running\n"));
    CHECK(contains(out, "\n<web>\n[gone]\n"));
    CHECK(contains(out, "\"Names\":\"web\",\"CreatedAt\":\"2026-01-01 00:00:00 +0000 UTC\",\"State\":\"running\""));
    CHECK(contains(out, "hello=8."));
    CHECK(store.run({"images", "-q", "hello"}).out.size() == 13); // its id and no other
    const Ended wrong = store.run({"shell"}, "ps --format '{{range .}}'\nps --filter colour=red\nps --format '{{.Colour'\nrun -d tiny sleep 9\nps --format '{{.Colour}}'\n");
    for (const char* sentence : {"{{range .}} is not known here", "--filter colour=red: give name=", "has no }} at its end", "there is no Colour"}) CHECK_MESSAGE(contains(wrong.err, sentence), sentence);
}

TEST_CASE("container shell: inspect has Docker's members for containers, images, networks and volumes") {
    const Store store;
    const std::string out = store.shell("volume create data\ncreate --name web -e A=b -u 1000 -m 64m --ulimit nofile=64:128 --cap-add NET_ADMIN -v data:/data:ro -v /tmp:/host --tmpfs /run -p 53:5353/udp tiny sh -c 'exit 3'\n"
                                        "inspect web\n");
    const std::size_t begin = out.find("[\n");
    REQUIRE(begin != std::string::npos);
    const Json web = json_of(out.substr(begin)).at(0);
    for (const char* member : {"Id", "Created", "Path", "Args", "State", "Image", "ResolvConfPath", "HostnamePath", "HostsPath", "LogPath", "Name", "RestartCount", "Driver", "Platform", "MountLabel", "ProcessLabel",
                               "AppArmorProfile", "ExecIDs", "HostConfig", "GraphDriver", "Mounts", "Config", "NetworkSettings"})
        CHECK_MESSAGE(web.contains(member), member);
    for (const char* member : {"Status", "Running", "Paused", "Restarting", "OOMKilled", "Dead", "Pid", "ExitCode", "Error", "StartedAt", "FinishedAt"}) CHECK_MESSAGE(web["State"].contains(member), member);
    CHECK(web["State"]["Status"] == "created");
    CHECK(web["HostConfig"]["Memory"] == 64 << 20);
    CHECK(web["HostConfig"]["Binds"] == Json{"data:/data:ro", "/tmp:/host"});
    CHECK(web["HostConfig"]["Ulimits"] == Json::array({{{"Name", "nofile"}, {"Soft", 64}, {"Hard", 128}}}));
    CHECK(web["HostConfig"]["PortBindings"]["5353/udp"][0]["HostPort"] == "53");
    CHECK(web["Mounts"][0]["Name"] == "data");
    CHECK(web["Mounts"][0]["RW"] == false);
    CHECK(web["Mounts"][1]["Type"] == "bind");
    CHECK(web["Config"]["User"] == "1000");
    CHECK(web["Config"]["Cmd"] == Json{"sh", "-c", "exit 3"});
    const std::string lower = web["GraphDriver"]["Data"]["LowerDir"];
    CHECK(std::count(lower.begin(), lower.end(), ':') == 2);
    const std::string templates = store.shell("run --name gone tiny sh -c 'exit 3'\ninspect -f '{{.Name}} {{.State.ExitCode}} {{.State.OOMKilled}} {{json .Config.Cmd}}' gone\n"
                                              "network inspect -f '{{.Driver}} {{json .IPAM.Config}}' bridge\ninspect --type image -f '{{.Architecture}}' tiny\nvolume create data\nvolume inspect -f '{{.Mountpoint}}' data\n");
    CHECK(contains(templates, "/gone 3 false [\"sh\",\"-c\",\"exit 3\"]\n"));
    CHECK(contains(templates, "bridge [{\"Subnet\":\"172.17.0.0/16\",\"Gateway\":\"172.17.0.1\"}]\n"));
    CHECK(contains(templates, "riscv64\n"));
    CHECK(contains(templates, "/var/lib/trapeze/volumes/data/_data\n"));
    CHECK(contains(store.run({"shell"}, "inspect nobody\n").err, "nobody: there is no such container, image, network or volume"));
}

TEST_CASE("container shell: containers are created, started, paused, killed, waited for, renamed and removed") {
    const Store store;
    const std::string status = "ps -a --format '{{.Names}} {{.Status}}'\n";
    const std::string out = store.shell("create --name one tiny sh -c 'echo begun; sleep 1000'\n" + status + "start one\nlogs one\npause one\n" + status + "unpause one\n" + status + "rename one two\nrestart -t 1 two\nlogs two\n" + status +
                                        "kill -s KILL two\nwait two\n" + status + "run -d --name short tiny sleep 5\nwait short\nrm two short\n" + status);
    CHECK(contains(out, "\none Created\none\nbegun\none\none Up Less than a second (Paused)\none\none Up Less than a second\ntwo\nbegun\nbegun\ntwo Up"));
    CHECK(contains(out, "\n137\ntwo Exited (137) Less than a second ago\n"));
    CHECK(contains(out, "\n0\ntwo\nshort\n"));
    CHECK(out.ends_with("two\nshort\n"));
    const Ended wrong = store.run({"shell"}, "run -d --name web tiny sleep 9\nrm web\nunpause web\nrename web web\nstart nobody\nkill -s NONE web\npause web\nexec web true\n");
    for (const char* sentence : {"web: the container runs; stop it first", "web: the container is running, not paused", "web: another container has this name", "nobody: there is no such container", "NONE"})
        CHECK_MESSAGE(contains(wrong.err, sentence), sentence);
}
