// Containerfiles: what is parsed, what each instruction does to the image, and the cache.
#include "container-sim/engine/image_build.hpp"
#include "tests/container-sim/images.hpp"

#include <sys/stat.h>

using namespace trapeze;
using namespace trapeze::test;
using namespace trapeze::container;

namespace {

bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// A store, a context and a Containerfile.
struct Workshop {
    RootFolder store_folder, context;
    ImageStore store{store_folder.path()};
    std::vector<std::string> log;
    unsigned runs = 0;

    Result<Image> build(const std::string& containerfile) {
        context.file("Containerfile", containerfile);
        BuildOptions options{.containerfile = context.path() + "/Containerfile", .context = context.path(), .names = {"made"}, .created = "", .runner = {}, .finder = {}, .limits = {}};
        options.runner = [&](const RunStep& step) -> Result<Layer> {
            ++runs;
            if (step.arguments.back() == "fail") return Error{"it ended with status 1"};
            return Layer{{plain_file("made-by-run", step.arguments.back())}};
        };
        log.clear();
        return build_image(store, options, [&](const std::string& line) { log.push_back(line); });
    }
    Image built(const std::string& containerfile) {
        auto image = build(containerfile);
        REQUIRE_MESSAGE(image, (image ? std::string() : image.error()));
        return *image;
    }
    FileTree tree(const std::string& containerfile) { return merge_layers(unpack(built(containerfile), {}).value()).value(); }
    std::string error(const std::string& containerfile) {
        auto image = build(containerfile);
        return image ? "(built)" : image.error().substr(context.path().size() + 1);
    }
};

} // namespace

TEST_CASE("Containerfile: instructions set the configuration, in JSON form, shell form and over several lines") {
    Workshop workshop;
    const Image image = workshop.built("# a comment\nFROM scratch\nENV A=1 B=\"two words\" \\\n  # inside\n  C='$A'\nENV D=${A}x$A E=${NONE:-default} F=${A:+set}\nENV old form with spaces\n"
                                       "USER 1000:1000\nWORKDIR /app\nWORKDIR sub\nentrypoint [\"/bin/echo\", \"$A\"]\nCMD hello $A\nLABEL who=me\nEXPOSE 80 53/udp\n");
    CHECK(image.config.env == std::vector<std::string>{"A=1", "B=two words", "C=$A", "D=1x1", "E=default", "F=set", "old=form with spaces"});
    CHECK(image.config.user == "1000:1000");
    CHECK(image.config.working_dir == "/app/sub");
    CHECK(image.config.entrypoint == std::vector<std::string>{"/bin/echo", "$A"});
    CHECK(image.config.cmd == std::vector<std::string>{"/bin/sh", "-c", "hello $A"});
    CHECK(image.config.labels.at("who") == "me");
    CHECK(image.config.exposed_ports == std::vector<std::string>{"80/tcp", "53/udp"});
    CHECK(image.config.history.size() == 10);
    CHECK(workshop.store.find("made")->id() == image.id());
    CHECK(workshop.log.front() == "Step 1/11 : FROM scratch");
    CHECK(workshop.log.back() == "Successfully tagged made:latest");
}

TEST_CASE("Containerfile: COPY takes files, folders and patterns of the context, to files and into folders") {
    Workshop workshop;
    workshop.context.file("one.txt", "1").file("two.txt", "2").file("run", "#!", true).file("site/index.html", "<p>").file("site/deep/x", "x").link("index.html", "site/link");
    const FileTree tree = workshop.tree("FROM scratch\nCOPY one.txt /renamed\nCOPY *.txt texts/\nCOPY site /srv/web\nCOPY --chmod=755 --chown=10:20 [\"one.txt\", \"/bin/\"]\nCOPY run /bin/\nWORKDIR /w\nCOPY two.txt .\n");
    CHECK(text_in(tree, "renamed") == "1");
    CHECK(text_in(tree, "texts/one.txt") == "1");
    CHECK(text_in(tree, "texts/two.txt") == "2");
    CHECK(text_in(tree, "srv/web/index.html") == "<p>");
    CHECK(text_in(tree, "srv/web/deep/x") == "x");
    CHECK(tree.find("srv/web/link")->target == "index.html");
    CHECK(tree.find("bin/one.txt")->mode == 0755);
    CHECK(tree.find("bin/one.txt")->gid == 20);
    CHECK((tree.find("bin/run")->mode & 0111) != 0);
    CHECK(text_in(tree, "w/two.txt") == "2");
}

TEST_CASE("Containerfile: nothing outside the context is copied") {
    Workshop workshop;
    RootFolder outside;
    outside.file("secret", "the host's");
    workshop.context.link(outside.path(), "way-out").link(outside.path() + "/secret", "file-out");
    CHECK(mentions(workshop.error("FROM scratch\nCOPY ../secret /x"), "leads upward"));
    CHECK(mentions(workshop.error("FROM scratch\nCOPY way-out/secret /x"), "no such file"));
    const FileTree tree = workshop.tree("FROM scratch\nCOPY file-out way-out /x/");
    CHECK(tree.find("x/file-out")->type == EntryType::Symlink); // the link, not what it leads to
    CHECK(tree.find("x/way-out")->type == EntryType::Symlink);
    REQUIRE(mkfifo((workshop.context.path() + "/pipe").c_str(), 0600) == 0);
    CHECK(mentions(workshop.error("FROM scratch\nCOPY pipe /x"), "neither a file, a folder nor a symbolic link"));
}

TEST_CASE("Containerfile: RUN is run once for the same content below it, and again when that changes") {
    Workshop workshop;
    workshop.context.file("source", "1");
    const std::string text = "FROM scratch\nCOPY source /\nRUN make it\nRUN [\"/bin/other\"]\n";
    const Image first = workshop.built(text), second = workshop.built(text);
    CHECK(first.id() == second.id());
    CHECK(workshop.runs == 2);
    CHECK(std::count(workshop.log.begin(), workshop.log.end(), " ---> Using cache") == 3);
    CHECK(text_in(merge_layers(unpack(second, {}).value()).value(), "made-by-run") == "/bin/other");
    workshop.context.file("source", "2");
    CHECK(workshop.built(text).id() != first.id());
    CHECK(workshop.runs == 4);
    workshop.built("FROM scratch\nENV A=1\nCOPY source /\nRUN make it\n");
    CHECK(workshop.runs == 5);
    CHECK(first.config.history.back().created_by == "RUN /bin/other");
    CHECK(mentions(workshop.error("FROM scratch\nRUN fail"), "Containerfile:2: it ended with status 1"));
}

TEST_CASE("Containerfile: FROM an image takes its files and its configuration") {
    Workshop workshop;
    REQUIRE(workshop.store.add({image_of({{{other("lib", EntryType::Directory), plain_file("lib/base", "b"), other("l", EntryType::Symlink, "lib")}}}, "base:1")}));
    workshop.context.file("new", "n");
    const Image image = workshop.built("FROM base:1\nCOPY new /l/\nCMD [\"x\"]");
    const FileTree tree = merge_layers(unpack(image, {}).value()).value();
    CHECK(text_in(tree, "lib/base") == "b");
    CHECK(text_in(tree, "lib/new") == "n");
    CHECK(image.config.env == std::vector<std::string>{"PATH=/bin"});
    CHECK(image.layers.size() == 2);
    CHECK(mentions(workshop.error("FROM nothing"), "Containerfile:1: No such image: nothing"));
}

TEST_CASE("Containerfile: what is wrong is told with file, line and mend") {
    Workshop workshop;
    workshop.context.file("a", "").file("b", "");
    for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
             {"", "nothing is in it; begin with FROM"},
             {"# only\n", "nothing is in it"},
             {"RUN x", "Containerfile:1: the first instruction must be FROM"},
             {"FROM scratch\n\nFRUM x", "Containerfile:3: FRUM is not known here; what is: FROM, COPY, RUN"},
             {"FROM scratch\nCOPY a", "Containerfile:2: COPY has 1 words; write COPY"},
             {"FROM scratch AS x", "a second stage"},
             {"FROM scratch\nFROM scratch", "Containerfile:2: a second FROM"},
             {"FROM scratch\nCOPY --from=x a b", "COPY does not know --from"},
             {"FROM scratch\nCOPY a b /c", "Containerfile:2: several files are copied to /c; end it with /"},
             {"FROM scratch\nCOPY --chown=root a /c", "give numbers"},
             {"FROM scratch\nENV x", "\"x\" has no ="},
             {"FROM scratch\nENV x=\"y", "a quote (\") is not closed"},
             {"FROM scratch\nENV x=${y", "Containerfile:2: ${ needs a name"},
             {"FROM scratch\nENV x=${y%z}", "is not known here; write ${NAME}"},
             {"FROM scratch\nCMD ['x']", "strings need double quotes"},
             {"FROM scratch\nRUN <<EOF", "here-documents"},
             {"FROM scratch\nCOPY \\\n  missing \\\n  /c", "Containerfile:2: missing: there is no such file"},
             {"FROM scratch\nWORKDIR ../..", "leads upward"},
             {std::string("FROM scratch\nENV a=\0b", 22), "a zero byte"}}) {
        CAPTURE(text);
        CHECK(mentions(workshop.error(text), why));
    }
}
