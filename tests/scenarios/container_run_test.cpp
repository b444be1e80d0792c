// `trapeze container` with images: run, its options and statuses, the prompt, builds with RUN, bundles.
#include "tests/scenarios/container_store.hpp"

using namespace trapeze;
using namespace trapeze::test;

TEST_CASE("container run: images run by name, with Docker's options and statuses") {
    const Store store;
    CHECK(store.run({"run", "hello"}).status == 0);
    const Ended shell = store.run({"run", "--rm", "-e", "A=b", "--name", "web", "tiny", "sh", "-c", "echo $A; hostname; exit 3"});
    CHECK(shell.out.starts_with("b\n"));
    CHECK(shell.status == 3);
    CHECK(store.run({"run", "-i", "tiny", "cat"}, "typed\n").out == "typed\n");
    CHECK(store.run({"run", "tiny", "cat"}, "typed\n").out == "");
    CHECK(store.run({"run", "-h", "db", "tiny", "hostname"}).out == "db\n");
    CHECK(store.run({"run", "-p", "8080:80", "-p", "53:53/udp", "-e", "A=1", "-e", "B=2", "tiny", "sh", "-c", "echo $A$B"}).out == "12\n"); // an option takes one word
    const Ended unknown = store.run({"run", "lost"});
    CHECK(unknown.status == 125);
    CHECK(contains(unknown.err, "lost"));
    CHECK(store.run({"run", "tiny", "lost"}).status == 127);
    CHECK(store.run({"run", "-m", "1m", "tiny", "true"}).status == 2);
    CHECK(contains(store.run({"run", "-m", "64m", "--memory-swap", "128m", "tiny", "true"}).err, "this machine has no swap space"));
    CHECK(contains(store.run({"run", "-d", "tiny"}).err, "container shell"));
    const Ended explained = store.run({"run", "--explain", "--network", "none", "tiny", "true"});
    CHECK(explained.status == 0);
    for (const char* call : {"clone3(", "openat2(", "pivot_root(\".\", \".\") = 0", "PR_CAPBSET_DROP, CAP_SYS_ADMIN", "seccomp(", "execve(\"/bin/true\"", "undo: kill("}) CHECK_MESSAGE(contains(explained.out, call), call);
}

TEST_CASE("container shell: one machine, several containers, Docker's commands and columns") {
    const Store store;
    const std::string out = store.shell("docker run -d --name web tiny sh -c 'sleep 1000'\n"
                                        "run --name once tiny sh -c 'echo made > /file; rm /etc/motd'\n"
                                        "ps -a\nexec web sh -c 'echo inside $(no)'\ndiff once\ncommit once mine:1\nrun --rm mine:1 cat /file\n"
                                        "exec -i web cat <<END\nlines\nEND\nstop -t 1 web\nps -q\nrm web once\nps -aq\n");
    CHECK(contains(out, "CONTAINER ID   IMAGE"));
    CHECK(contains(out, "Up Less than a second"));
    CHECK(contains(out, "Exited (0) Less than a second ago"));
    CHECK(contains(out, "A /file\n"));
    CHECK(contains(out, "D /etc/motd\n"));
    CHECK(contains(out, "\nmade\n"));
    CHECK(contains(out, "\nlines\n"));
    CHECK(out.ends_with("web\nonce\n"));
    const Ended wrong = store.run({"shell"}, "docker fly\nrun lost\nstop lost\n'open\n");
    CHECK(wrong.status == 2);
    CHECK(contains(wrong.err, "there is no command \"fly\"; help lists them"));
    CHECK(contains(wrong.err, "lost: there is no such container"));
    CHECK(contains(wrong.err, "is open at the end of the line"));
}

TEST_CASE("container build: RUN runs in a container, and what it made is remembered") {
    const Store store;
    RootFolder context;
    context.file("Containerfile", "FROM tiny\nRUN echo made > /made && rm /etc/motd\nUSER 1000\nCMD [\"/bin/sh\", \"-c\", \"cat /made; id; ls /etc\"]\n");
    const Ended built = store.run({"build", "-t", "mine", context.path()});
    REQUIRE_MESSAGE(built.status == 0, built.err);
    CHECK(contains(store.run({"build", "-t", "mine", context.path()}).out, "Using cache"));
    const std::string out = store.run({"run", "mine"}).out;
    CHECK(out.starts_with("made\nuid=1000 gid=1000"));
    CHECK_FALSE(contains(out, "motd"));
    context.file("Wrong", "FROM tiny\nRUN exit 4\n");
    const Ended failed = store.run({"build", "-f", context.path() + "/Wrong", context.path()});
    CHECK(failed.status == 1);
    CHECK(contains(failed.err, "/Wrong:2: the command \"/bin/sh -c exit 4\" returned 4"));
    context.file("Wrong", "FROM tiny\n# ports\nEXPOSE 80 99999999999999999999\n");
    CHECK(contains(store.run({"build", "-f", context.path() + "/Wrong", context.path()}).err, "/Wrong:3: EXPOSE 99999999999999999999: give a port"));
}

TEST_CASE("container spec: a bundle runs by its config.json") {
    const Store store;
    RootFolder bundle;
    for (const char* tool : {"sh", "echo"}) bundle.program("linux/tiny", std::string("rootfs/bin/") + tool);
    const std::string path = bundle.path() + "/config.json";
    REQUIRE(store.run({"spec", "-o", path}).status == 0);
    CHECK(store.run({"spec", "-o", path}).status == 1); // nothing is overwritten
    Json spec = json_of(file_text(path));
    spec["process"]["terminal"] = false, spec["process"]["args"] = {"/bin/sh", "-c", "echo $HOSTNAME here"}, spec["process"]["env"] = {"HOSTNAME=bundle"};
    bundle.file("config.json", spec.dump());
    CHECK(store.run({"run", "--bundle", bundle.path()}).out == "bundle here\n");
    spec["process"]["cwd"] = "here";
    bundle.file("config.json", spec.dump());
    CHECK(contains(store.run({"run", "--bundle", bundle.path()}).err, "config.json: process: \"cwd\" should be an absolute path"));
}
