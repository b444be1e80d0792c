// Lessons: what is not whole is refused with file, line and mend; the shipped ones play to their end and mark predictions; and no block
// of Lua reaches files, lasts for ever, or takes the host's memory.
#include "scenarios/lesson.hpp"
#include "scenarios/lesson_lua.hpp"
#include "tests/scenarios/child_process.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>

using namespace trapeze;
using namespace trapeze::test;
using scenarios::Lesson;
using scenarios::LessonLua;
using scenarios::LessonRun;
using scenarios::LuaBlock;
using scenarios::Session;

namespace {

Lesson parsed(const std::string& text) {
    auto lesson = scenarios::parse_lesson(text, "a.md");
    if (!lesson) FAIL(lesson.error());
    return std::move(*lesson);
}

std::string refusal(const std::string& text) {
    const auto lesson = scenarios::parse_lesson(text, "a.md");
    REQUIRE_FALSE(lesson);
    return lesson.error();
}

/// Runs one block of a lesson's interpreter that has just been made; the error's text, empty when there is none.
std::string error_of(const std::string& code, unsigned line = 10) {
    LessonLua lua;
    std::optional<Session> session;
    std::vector<std::string> said;
    const auto ran = lua.run(LuaBlock{code, line}, "a.md", session, said);
    return ran ? "" : ran.error();
}

bool result_of(const std::string& code, std::vector<std::string>* said_too = nullptr) {
    LessonLua lua;
    std::optional<Session> session;
    std::vector<std::string> said;
    const auto ran = lua.run(LuaBlock{code, 1}, "a.md", session, said);
    if (!ran) FAIL(ran.error());
    if (said_too) *said_too = said;
    return ran.value();
}

void must_play(const Result<void>& result) {
    if (!result) FAIL(result.error());
}

/// Plays to the end, with the answers that `choose` gives; returns the run.
template <class Choose> LessonRun play(const Lesson& lesson, Choose choose) {
    LessonRun run(lesson);
    std::optional<Session> session;
    must_play(run.start(session));
    for (std::size_t steps = 0; !run.finished() && steps < 100; ++steps) {
        if (!run.step().answers.empty()) {
            must_play(run.update(session));
            CHECK_FALSE(run.complete()); // not before the question is answered
            run.answer(choose(run.step()));
        }
        must_play(run.act(session));
        REQUIRE(run.complete());
        must_play(run.advance(session));
    }
    REQUIRE(run.finished());
    return run;
}

} // namespace

TEST_CASE("A lesson is read: title, introduction, steps, question, blocks with the lines that they stand on") {
    const Lesson lesson = parsed("# Title\n\nHello\nthere.\n\n## One\n\nText.\n\n- [ ] no\n- [x] yes *indeed*\n\n```lua do\nstep()\n```\n\n```lua check\nreturn true\n```\n"
                                 "\n## Two\n\n- a point\n\n```sh\nls\n```\n");
    CHECK(lesson.title == "Title");
    CHECK(lesson.introduction == std::vector<std::string>{"Hello there."});
    REQUIRE(lesson.steps.size() == 2);
    CHECK(lesson.steps[0].line == 6);
    CHECK(lesson.steps[0].answers == std::vector<std::string>{"no", "yes indeed"});
    CHECK(lesson.steps[0].right == 1);
    REQUIRE(lesson.steps[0].action);
    CHECK(lesson.steps[0].action->code == "step()\n");
    CHECK(lesson.steps[0].action->line == 14);
    CHECK(lesson.steps[0].check->line == 18);
    CHECK(lesson.steps[1].answers.empty());
    CHECK(lesson.steps[1].paragraphs == std::vector<std::string>{"- a point", "ls\n"});
}

TEST_CASE("What is wrong with a lesson is said with its file, its line and the mend") {
    struct Wrong {
        const char *text, *place, *mend;
    };
    for (const Wrong& wrong : {
             Wrong{"", "a.md: ", "# Title"},
             Wrong{"## Step\n", "a.md: ", "# Title"},
             Wrong{"# Title\n\nText only.\n", "a.md: ", "## Step"},
             Wrong{"# T\n\n- [x] early\n", "a.md:3: ", "below a ## heading"},
             Wrong{"# T\n\n```lua do\nstep()\n```\n", "a.md:4: ", "below a ## heading"},
             Wrong{"# T\n\n## S\n\n```lua dou\nstep()\n```\n", "a.md:6: ", "lua setup, lua do, lua check or lua after"},
             Wrong{"# T\n\n## S\n\n```lua\nstep()\n```\n", "a.md:6: ", "lua setup, lua do, lua check or lua after"},
             Wrong{"# T\n\n## S\n\n```lua do\nstep()\n```\n\n```lua do\nstep()\n```\n", "a.md:10: ", "put them together"},
             Wrong{"# T\n\n## S\n\n- [x] a\n- [x] b\n", "a.md:6: ", "mark one"},
             Wrong{"# T\n\n## S\n\n- [ ] a\n- [ ] b\n", "a.md:3: ", "mark it with [x]"},
             Wrong{"# T\n\n## S\n\n- [x] a\n", "a.md:3: ", "at least two"},
             Wrong{"# T\n\n## S\n\n```lua check\nreturn true\n```\n", "a.md:3: ", "add a block \"lua do\""},
         }) {
        CAPTURE(wrong.text);
        const std::string error = refusal(wrong.text);
        CAPTURE(error);
        CHECK(error.starts_with(wrong.place));
        CHECK(error.find(wrong.mend) != std::string::npos);
    }
    CHECK(refusal(std::string((1 << 20) + 1, '#')).find("1 MiB") != std::string::npos);
    CHECK(scenarios::load_lesson("no-such-lesson").error().find("trapeze lesson --list") != std::string::npos);
}

TEST_CASE("Text that is anything but a lesson is read or refused, never more") {
    const std::string whole = read_text(scenarios::root_folder() + "/scenarios/lessons/01-watch-a-trap/lesson.md");
    REQUIRE(whole.size() > 1000);
    for (std::size_t length = 0; length < whole.size(); length += 7) {
        const auto cut = scenarios::parse_lesson(whole.substr(0, length), "cut.md");
        CHECK((cut ? cut.value().title : cut.error()).size() > 4);
    }
    for (std::size_t at = 0; at < whole.size(); at += 5) {
        std::string spoiled = whole;
        spoiled[at] = static_cast<char>(spoiled[at] ^ 0x5b);
        const auto result = scenarios::parse_lesson(spoiled, "spoiled.md");
        CHECK((result ? result.value().title : result.error()).size() > 4);
    }
    CHECK_FALSE(scenarios::parse_lesson(std::string(10'000, '\0'), "zero.md"));
    CHECK_FALSE(scenarios::parse_lesson(std::string(100'000, '>'), "deep.md"));
    CHECK_FALSE(scenarios::parse_lesson(std::string(100'000, '['), "open.md"));
}

TEST_CASE("Every shipped lesson plays to its end, and right and wrong predictions are told apart") {
    REQUIRE_FALSE(scenarios::shipped_lessons().empty());
    for (const std::string& name : scenarios::shipped_lessons()) {
        CAPTURE(name);
        const auto lesson = scenarios::load_lesson(name);
        REQUIRE(lesson);
        CHECK(scenarios::load_lesson(name.substr(3)).value().title == lesson.value().title);
        const LessonRun right = play(lesson.value(), [](const auto& step) { return step.right; });
        CHECK(right.questions() > 0);
        CHECK(right.right() == right.questions());
        const LessonRun wrong = play(lesson.value(), [](const auto& step) { return (step.right + 1) % step.answers.size(); });
        CHECK(wrong.questions() == right.questions());
        CHECK(wrong.right() == 0);
        unsigned asked = 0;
        const LessonRun first_only = play(lesson.value(), [&](const auto& step) { return asked++ == 0 ? step.right : (step.right + 1) % step.answers.size(); });
        CHECK(first_only.right() == 1);
    }
}

TEST_CASE("Watch a trap: one exit under trap-and-emulate, none without, and what is said is what the machine counted") {
    const auto lesson = scenarios::load_lesson("watch-a-trap");
    REQUIRE(lesson);
    LessonRun run(lesson.value());
    std::optional<Session> session;
    must_play(run.start(session));
    REQUIRE(session);
    CHECK(session->guest_state().pc == session->resolve("enable_paging_satp").value());
    const u64 before = session->vmm()->exits();
    must_play(run.act(session)); // without an answer nothing is complete, whatever has happened
    CHECK_FALSE(run.complete());
    CHECK(session->vmm()->exits() == before + 1);
    CHECK(session->vmm()->ledger().back().reason == vmm::ExitReason::CsrAccess);
    run.answer(run.step().right);
    must_play(run.update(session));
    CHECK(run.complete());
    REQUIRE_FALSE(run.said().empty());
    CHECK(run.said()[0].find(fmt::format("Exit number {}", session->vmm()->exits())) != std::string::npos);
    must_play(run.advance(session));
    run.answer(run.step().right);
    must_play(run.act(session));
    CHECK(run.said()[0] == fmt::format("virtual satp: 0x{:x}, real satp: 0x{:x}.", session->guest_state()[Csr::satp], session->real_state()[Csr::satp]));
    CHECK(session->guest_state()[Csr::satp] != session->real_state()[Csr::satp]);
    must_play(run.advance(session));
    CHECK(session->config().mode == vmm::Mode::Bare);
    run.answer(run.step().right);
    must_play(run.act(session));
    CHECK(run.said()[0].find("Exits: 1 under trap-and-emulate, 0 without") != std::string::npos);
    must_play(run.advance(session));
    CHECK(run.finished());
}

TEST_CASE("A step is complete when the learner has done it by hand, too") {
    const Lesson lesson = parsed("# T\n\n## S\n\n```lua setup\nsession.open{guest = \"tiny-os\"}\n```\n\n```lua do\nrun_to(\"kernel_main\")\n```\n\n"
                                 "```lua check\nreturn at(\"kernel_main\")\n```\n");
    LessonRun run(lesson);
    std::optional<Session> session;
    must_play(run.start(session));
    CHECK_FALSE(run.complete());
    for (int i = 0; i < 10'000 && !run.complete(); ++i) {
        session->step();
        must_play(run.update(session));
    }
    CHECK(run.complete());
}

TEST_CASE("A lesson's Lua has no files, no processes, no loading of code, no way around the limits") {
    for (const char* name : {"io", "os", "debug", "package", "require", "load", "loadfile", "dofile", "loadstring", "collectgarbage", "pcall", "xpcall", "coroutine",
                             "setmetatable", "getmetatable", "print", "string.dump", "math.random", "math.randomseed"}) {
        CAPTURE(name);
        CHECK(result_of(fmt::format("return {} == nil", name)));
    }
    CHECK(error_of("io.open('/etc/passwd')").find("a.md:10:") != std::string::npos);
    // Code that is already compiled is never loaded.
    CHECK(error_of("\x1bLua\x54").find("a.md:10:") != std::string::npos);
    CHECK(error_of(std::string("\x1bLua\x54\0\x19\x93\r\n\x1a\n\x04\x08\x08", 16), 1).find("a.md") != std::string::npos);
    // What is left is there.
    CHECK(result_of("return string.format('%x', 255) == 'ff' and math.max(1, 2) == 2 and #table.concat({'a', 'b'}) == 2 and contains('trapeze', 'rap')"));
    CHECK(result_of("local t = {3, 1, 2} table.sort(t) return t[1] == 1 and t[3] == 3"));
    CHECK(result_of("local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return t[1] == 3"));
}

TEST_CASE("An error in a block names the file, the line and a mend") {
    for (const auto& [code, line] : std::vector<std::pair<const char*, int>>{
             {"local x = 1\nx.y.z = 2\n", 11}, {"\n\nnonsense(", 12}, {"error('no')", 10}, {"\nstep()", 11}, {"\n\nexits('no such reason')", 12}, {"run_to()", 10}}) {
        CAPTURE(code);
        const std::string error = error_of(code);
        CAPTURE(error);
        CHECK(error.starts_with(fmt::format("a.md:{}: ", line)));
        CHECK(error.find("docs/lessons.md") != std::string::npos);
    }
    CHECK(error_of("error({})").starts_with("a.md:10: "));
    CHECK(error_of("error()").starts_with("a.md:10: "));
    CHECK(error_of("error(string.rep('x', 1000000), 0)").size() < 1200);
    CHECK(error_of("step()").find("session.open") != std::string::npos);
}

#ifdef __SANITIZE_ADDRESS__
constexpr bool kSlowHost = true; // under the sanitizer the limit of processor time may come before the one that is meant
#else
constexpr bool kSlowHost = false;
#endif

TEST_CASE("Nothing that a block does lasts for ever or takes the host's memory") {
    const std::pair<const char*, const char*> kBombs[] = {
        {"while true do end", "endless loop"},
        {"local function f() return f() end f()", "endless loop"},
        {"for i = 1, math.huge do local x = i * 2 end", "endless loop"},
        {"goto again ::again:: goto again", ""},
        {"local function f() f() end f()", "chain of calls"},
        {"string.rep('x', 1 << 40)", ""},
        {"local s = string.rep('x', 1 << 30)", "memory"},
        {"local s = 'x' while true do s = s .. s end", "memory"},
        {"for i = 1, 1e9 do local s = string.rep('x', 1 << 20) end", "memory"},
        {"local t = {} for i = 1, 1e9 do t[i] = i end", "memory"},
        {"local t = {} for i = 1, 1e9 do t[i] = {} end", "memory"},
        {"local t = {} for i = 1, 1e9 do t[i] = string.rep('x', 1000) .. i end", "memory"},
        {"local t = {} for i = 1, 60000 do t[i] = i end while true do table.insert(t, 1, 0) table.remove(t, 1) end", ""},
        {"local t = {} for i = 1, 900 do t[i] = -i end while true do table.sort(t) end", ""},
        {"local a, b = string.rep('x', 1 << 20) .. 'a', string.rep('x', 1 << 20) .. 'b' while true do local c = a < b end", ""},
        {"local t = {} for i = 1, 5000 do t[i] = i end table.sort(t)", "at most 1000"},
        {"return contains(string.rep('a', 1 << 20), string.rep('a', 1 << 19) .. 'b')", "shorter part"},
        {"local t = {} for i = 1, 60000 do t[i] = string.rep('x', 100) end while true do local s = table.concat(t, ' ') end", ""},
        {"while true do table.unpack({}, 1, 1e6) end", ""},
        {"while true do say('x') end", "says too much"},
        {"error(string.rep('x', 1 << 20))", ""},
    };
    for (const auto& [code, word] : kBombs) {
        CAPTURE(code);
        const auto begin = std::chrono::steady_clock::now();
        const std::string error = error_of(code);
        CAPTURE(error);
        CHECK(error.find("a.md:10:") != std::string::npos);
        const bool by_the_clock = kSlowHost && error.find("computes too long") != std::string::npos;
        CHECK((by_the_clock || error.find(word) != std::string::npos));
        CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(60)); // far above what any of them takes
    }
}

TEST_CASE("After a block has met its limit, the lesson's next block works") {
    LessonLua lua;
    std::optional<Session> session;
    std::vector<std::string> said;
    CHECK_FALSE(lua.run(LuaBlock{"while true do end", 1}, "a.md", session, said));
    CHECK_FALSE(lua.run(LuaBlock{"local t = {} while true do t[#t + 1] = string.rep('x', 1 << 20) end", 1}, "a.md", session, said));
    const auto next = lua.run(LuaBlock{"x = (x or 0) + 1 return x == 1", 1}, "a.md", session, said);
    REQUIRE(next);
    CHECK(next.value());
    CHECK(lua.run(LuaBlock{"return x == 1", 1}, "a.md", session, said).value()); // steps share their variables
}

TEST_CASE("A block drives the machine only as far as one block may") {
    LessonLua lua;
    std::optional<Session> session;
    std::vector<std::string> said;
    const auto error = [&](const std::string& code) {
        const auto ran = lua.run(LuaBlock{code, 5}, "a.md", session, said);
        return ran ? std::string() : ran.error();
    };
    REQUIRE(error("session.open{guest = 'tiny-os'} step(50000000)") == ""); // it waits for input, so running it costs little
    CHECK(error("while true do step(50000000) end").find("as far as one block may") != std::string::npos);
    CHECK(error("while true do step() end").find("too often") != std::string::npos);
    CHECK(error("while true do session.open{guest = 'spin', bios = 'none'} end").find("too many sessions") != std::string::npos);
    CHECK(error("step(-5)") == "");
    CHECK(error("step(math.maxinteger)") == "");
    REQUIRE(error("session.open{guest = 'tiny-os'}") == "");
    CHECK(error("run_to('nowhere')").find("\"nowhere\"") != std::string::npos);
    CHECK(error("run_to('0x80001000')").find("never came to 0x80001000") != std::string::npos);
    CHECK(error("reg('a9')").find("\"a9\" is no register") != std::string::npos);
    CHECK(error("csr('saatp')").find("trapeze isa") != std::string::npos);
}

TEST_CASE("A lesson sees each entry of a walk: the guest's own, and those that the real hart reads") {
    const std::string at_program = "append = 'run=/bin/hello'} run_to('0x10000') step() ";
    CHECK(result_of("session.open{mode = 'bare', " + at_program + "return #walk('0x10000').entries == 3 and #real_walk('0x10000').entries == 3"));
    // (3 + 1)(m + 1) - 1 entries for a guest page of 4 KiB, where the G-stage's pages are m levels deep
    for (const auto& [page, entries] : {std::pair("4K", 15), std::pair("2M", 11), std::pair("1G", 7)}) {
        CAPTURE(page);
        CHECK(result_of(fmt::format("session.open{{mode = 'hardware-assisted', gstage_page = '{}', memory = '1G', {} local own, real = walk('0x10000'), real_walk('0x10000') "
                                    "local first = 0 for _, e in ipairs(real.entries) do if e.stage == 1 then first = first + 1 end end "
                                    "return real.ok and #own.entries == 3 and first == 3 and #real.entries == {} and real.guest == own.physical and real.page == 4096",
                                    page, at_program, entries)));
    }
    // The shadow table leads past the guest's physical addresses to the machine's.
    CHECK(result_of("session.open{mode = 'trap-and-emulate', " + at_program + "while lane() == 'hypervisor' do step() end step() local own, real = walk('0x10000'), real_walk('0x10000') "
                    "return own.ok and real.ok and own.physical ~= real.physical and own.entries[3].leaf and real.entries[3].leaf"));
    CHECK(error_of("session.open{mode = 'interpret'} real_walk('0x80200000')").find("interpreted guest") != std::string::npos);
    CHECK(error_of("session.open{} walk('nowhere')").find("\"nowhere\"") != std::string::npos);
    CHECK(error_of("session.open{memory = '16G'}").find("1M to 8G") != std::string::npos);
    CHECK(error_of("session.open{mode = 'hardware-assisted', gstage_page = '3M'}").find("4K, 2M and 1G") != std::string::npos);
}

TEST_CASE("A lesson counts exits by reason, and the steps of an exit add up to its cost") {
    CHECK(result_of("session.open{mode = 'trap-and-emulate', append = 'run=/bin/hello'} run_to_end() local sum, last = 0, math.huge "
                    "for _, r in ipairs(exit_counts()) do if r.count > last or r.count ~= exits(r.reason) then return false end sum, last = sum + r.count, r.count end "
                    "return sum == exits() and sum > 0 and contains(console(), 'hello, world')"));
    CHECK(result_of("session.open{mode = 'trap-and-emulate'} run_to('enable_paging_satp') next_trap() step() local e, sum = last_exit(), 0 "
                    "for _, s in ipairs(e.steps) do sum = sum + s.cost end return e.handled and #e.steps > 2 and sum == e.cost and e.value ~= 0"));
    CHECK(result_of("session.open{append = 'run=/bin/hello'} run_to_end() return #exit_counts() == 0 and count('instructions') > 0 and count('shadow entries') == 0"));
    CHECK(error_of("session.open{} count('sheep')").find("\"instructions\"") != std::string::npos);
}

TEST_CASE("A lesson sees what a block of the guest's kernel was translated into") {
    const std::string block = "session.open{mode = 'translate', append = 'run=/bin/hello'} run_to('trap_entry') step(3) local rows = translation('trap_entry') ";
    // The first instruction touches a control register: it is there as the original, and nowhere in the translation.
    CHECK(result_of(block + "local guest, swapped = '', '' for _, r in ipairs(rows) do guest, swapped = guest .. r.original, swapped .. r.translated end "
                            "return #rows > 4 and contains(guest, 'csrrw sp, sscratch, sp') and not contains(swapped, 'sscratch') and contains(swapped, 'ld ')"));
    CHECK(result_of("session.open{mode = 'translate'} return translation('kernel_main') == nil")); // nothing has run yet
    CHECK(result_of("session.open{mode = 'bare'} return translation('kernel_main') == nil"));
    CHECK(error_of("session.open{mode = 'translate'} translation('nowhere')").find("\"nowhere\"") != std::string::npos);
}

TEST_CASE("Running to the end is ended by the guest, by its wait for input, or by the block's limit") {
    CHECK(result_of("session.open{} run_to_end() local place = position() type('hello\\n') run_to_end() return position() > place and contains(console(), 'hello, world')"));
    CHECK(result_of("session.open{append = 'run=/bin/hello'} run_to_end() local place = position() run_to_end() return position() == place"));
    CHECK(error_of("session.open{} run_to_end() step(299999000) session.open{guest = 'spin', bios = 'none'} run_to_end()").find("as far as one block may") != std::string::npos);
}

TEST_CASE("A lesson chooses what the hart is silent about; what it cannot be silent about is refused with the list") {
    // The kernel's own trap handler reads sstatus: an exit, unless the hart is silent.
    const std::string read = " append = 'run=/bin/hello'} run_to('trap_entry') while not contains(instruction(), 'sstatus') do step() end "
                             "local before = exits() step() step() ";
    CHECK(result_of("session.open{mode = 'trap-and-emulate'," + read + "return exits() > before"));
    CHECK(result_of("session.open{mode = 'trap-and-emulate', silent = 'status-read'," + read + "return exits() == before"));
    CHECK(error_of("session.open{silent = 'everything'}").find("status-read, status-write") != std::string::npos);
}

TEST_CASE("A line of 64 bytes printed three ways is the same text in each mode; what differs is how often the guest exits for it") {
    for (const char* mode : {"bare", "interpret", "translate", "trap-and-emulate", "paravirtual", "hardware-assisted"}) {
        CAPTURE(mode);
        const std::string open = fmt::format("session.open{{guest = 'print_three_ways', mode = '{}', device = 'virtconsole'}} ", mode);
        CHECK(result_of(open + "run_to_end() return console() == string.rep('This line of text is 64 bytes long, and says no more than that\\r\\n', 3 + 8 + 8)"));
    }
    // 16550: status and data for each byte. Debug console: a call for each byte, then one. Virtio: a kick for each line, then one for all.
    const std::pair<const char*, int> kWays[] = {{"print_by_byte_calls", 128}, {"print_by_one_call", 64}, {"start_ring", 1}, {"print_by_ring_with_one_kick", 8}, {"finish", 1}};
    std::string code = "session.open{guest = 'print_three_ways', mode = 'hardware-assisted', device = 'virtconsole'} "
                       "local function work() return exits('device access') + exits('sbi call') end local before ";
    for (const auto& [end, count] : kWays) {
        if (std::string(end) == "print_by_ring_with_one_kick") code += "run_to('print_by_ring') ";
        code += fmt::format("before = work() run_to('{}') if work() - before ~= {} then error('{}: ' .. work() - before) end ", end, count, end);
    }
    CHECK(error_of(code) == "");
    // Without the virtio console the guest does without, and ends.
    CHECK(result_of("session.open{guest = 'print_three_ways'} run_to_end() return #console() == 3 * 64"));
}

TEST_CASE("In the terminal a line that begins with a space keeps its spaces, others are filled") {
    const Folder folder;
    const std::string file = folder.write("table.md", "# T\n\n## S\n\n```lua setup\nsession.open{}\nx = 1\n```\n\n```lua after\nsay('  a     12  ##')\nsay('b     c')\n```\n");
    const std::string out = run_trapeze({"lesson", file, "--headless"}).out;
    CHECK(out.find("\n  a     12  ##\n") != std::string::npos);
    CHECK(out.find("\nb c\n") != std::string::npos);
}

TEST_CASE("A lesson that opens a session with a guest that cannot be had says which, and where in the lesson") {
    const Folder folder;
    const std::string damaged = folder.write("damaged.elf", "\x7f" "ELF and then nothing of the kind");
    for (const auto& [guest, word] : std::vector<std::pair<std::string, std::string>>{
             {"no-such-guest", "no such file"}, {damaged, "damaged.elf"}, {"/etc", "folder"}, {"/dev/zero", "regular file"}, {"/proc/self/mem", ""}, {"", "no guest is given"}}) {
        CAPTURE(guest);
        const std::string error = error_of(fmt::format("\n\nsession.open{{guest = \"{}\"}}", guest));
        CAPTURE(error);
        CHECK(error.starts_with("a.md:12: "));
        CHECK(error.find(word) != std::string::npos);
    }
    CHECK(error_of("session.open{mode = 'sideways'}").find("there is no mode \"sideways\"") != std::string::npos);
    CHECK(error_of("session.open('tiny-os')").starts_with("a.md:10: "));
    CHECK(error_of("session.open{guest = {}}").starts_with("a.md:10: "));
}
