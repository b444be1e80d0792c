// Explain: everything that the machine can show has a paragraph and a place where it is specified.
#include "scenarios/explain.hpp"

#include "container-sim/kernel.hpp"
#include "hypervisor-sim/vmm.hpp"
#include "scenarios/lesson.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>
#include <sstream>

using namespace trapeze;
using namespace trapeze::scenarios;

namespace {

/// What is written about a name of one kind; a failed check and nothing when there is none.
Explanation the(ExplainKind kind, const std::string& name) {
    CAPTURE(name);
    for (const Explanation& entry : explain(name)) {
        if (entry.kind != kind) continue;
        CHECK(entry.key == name);
        CHECK(entry.text.size() > 20);
        CHECK(entry.text.ends_with('.'));
        CHECK_FALSE(entry.section.empty());
        return entry;
    }
    FAIL_CHECK("nothing is written about " << name);
    return {};
}

bool has(const std::vector<Explanation>& list, const std::string& key) {
    return std::any_of(list.begin(), list.end(), [&](const Explanation& e) { return e.key == key; });
}

} // namespace

TEST_CASE("Every instruction is explained, the privileged ones by a text of their own") {
    for (std::size_t i = 0; i < kOpCount; ++i) {
        const InstructionRow& r = row(static_cast<Op>(i));
        const Explanation entry = the(ExplainKind::Instruction, r.mnemonic);
        CAPTURE(r.mnemonic);
        const bool ordinary = entry.text == explain("add").front().text;
        if (r.sensitivity != Sensitivity::Innocuous) CHECK_FALSE(ordinary);
    }
}

TEST_CASE("Every CSR, exit reason, mode, hypercall and namespace is explained") {
    for (std::size_t i = 0; i < kCsrCount; ++i) {
        const Explanation entry = the(ExplainKind::Csr, csr_row_at(i).name);
        CHECK(entry.head == csr_row_at(i).sentence);
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(vmm::ExitReason::Count); ++i) the(ExplainKind::Exit, vmm::exit_reason_row(static_cast<vmm::ExitReason>(i)).name);
    for (std::size_t i = 0; i < static_cast<std::size_t>(vmm::Mode::Count); ++i) the(ExplainKind::Mode, vmm::mode_row(static_cast<vmm::Mode>(i)).name);
#define HYPERCALL(number, id, name, sentence) the(ExplainKind::Hypercall, name);
#include "hypervisor-sim/hypercalls.def"
#define NAMESPACE(kind, name, ...) the(ExplainKind::Namespace, name);
#include "container-sim/namespaces.def"
}

TEST_CASE("Every trap cause that the hart names is explained") {
    for (const u64 interrupt : {u64{0}, kInterruptBit})
        for (u64 code = 0; code < 64; ++code) {
            const std::string name = cause_name(code | interrupt);
            if (name.starts_with("unknown")) continue;
            const Explanation entry = the(ExplainKind::Cause, name);
            CHECK(entry.section.find("code " + std::to_string(code)) != std::string::npos);
        }
}

TEST_CASE("Every bit of a page-table entry and every part of a ring is explained") {
    for (const char* bit : {"V", "R", "W", "X", "U", "G", "A", "D", "RSW", "PPN", "PBMT", "N"}) the(ExplainKind::PteBit, bit);
    for (const char* part : {"descriptor table", "available ring", "used ring", "kick", "flags", "indirect", "event index"}) the(ExplainKind::Virtio, part);
}

TEST_CASE("Fields lie in registers that are there, do not overlap, and cover what software can change of the status") {
    for (std::size_t i = 0; i < kCsrCount; ++i) {
        u64 covered = 0;
        for (const Explanation* field : fields_of(csr_row_at(i).name)) {
            CAPTURE(field->key);
            REQUIRE(field->high < 64);
            REQUIRE(field->low <= field->high);
            const u64 mask = (field->high - field->low == 63 ? ~u64{0} : (u64{1} << (field->high - field->low + 1)) - 1) << field->low;
            CHECK((covered & mask) == 0);
            covered |= mask;
        }
        if (csr_row_at(i).csr == Csr::sstatus || csr_row_at(i).csr == Csr::vsstatus || csr_row_at(i).csr == Csr::mstatus || csr_row_at(i).csr == Csr::hvip || csr_row_at(i).csr == Csr::satp) {
            CAPTURE(csr_row_at(i).name);
            CHECK((csr_row_at(i).write_mask & ~covered) == 0);
        }
    }
    for (const Explanation& entry : explanations())
        if (entry.kind == ExplainKind::Field) CHECK(csr_by_name(entry.key.substr(0, entry.key.find('.')).c_str()));
    CHECK(the(ExplainKind::Field, "sstatus.SUM").low == 18); // Privileged specification, figure of sstatus
    CHECK(the(ExplainKind::Field, "satp.MODE").high == 63);
    CHECK(the(ExplainKind::Field, "hstatus.SPVP").low == 8);
}

TEST_CASE("What is written about fields is about fields that are there") {
    struct Row {
        const char *csrs, *names, *text;
    };
    const Row rows[] = {
#define FIELD(csrs, names, x86, arm, lesson, text) {csrs, names, text},
#include "scenarios/explain/fields.def"
    };
    for (const Row& row : rows) {
        CAPTURE(std::string(row.names));
        std::istringstream csrs(row.csrs);
        for (std::string csr, name; csrs >> csr;) {
            CAPTURE(csr);
            bool told = false;
            for (std::istringstream names(row.names); names >> name;)
                for (const Explanation* field : fields_of(csr)) told |= field->key == csr + "." + name && field->text == row.text;
            CHECK(told);
        }
    }
}

TEST_CASE("The lessons that explanations name are shipped") {
    const auto lessons = shipped_lessons();
    for (const Explanation& entry : explanations()) {
        CAPTURE(entry.key);
        if (!entry.lesson.empty()) CHECK(std::find(lessons.begin(), lessons.end(), entry.lesson) != lessons.end());
    }
}

TEST_CASE("No two explanations of one kind have the same name") {
    std::set<std::pair<ExplainKind, std::string>> seen;
    for (const Explanation& entry : explanations()) {
        CAPTURE(entry.key);
        CHECK(seen.insert({entry.kind, entry.key}).second);
    }
}

TEST_CASE("The text of an instruction is explained with the register that it names") {
    const auto found = explain("csrrw zero, satp, t0");
    CHECK(has(found, "csrrw"));
    CHECK(has(found, "satp"));
    CHECK(has(explain("csrw satp, t0"), "csrw"));
    CHECK(has(explain("  SATP "), "satp"));
    CHECK(has(explain("prefetch.r"), "prefetch.r"));
    CHECK(explain("ecall").front().arm.find("HVC") != std::string::npos);
    CHECK(explain("getpid").front().section == "man 2 getpid; man 7 pid_namespaces");
    CHECK(explain("openat").front().section == "man 2 openat");
}

TEST_CASE("A name that is not known is answered with near ones, whatever it is") {
    CHECK(explain("sstatsu").empty());
    const auto near = near_things("sstatsu");
    CHECK(std::find(near.begin(), near.end(), "sstatus") != near.end());
    const auto parts = near_things("page fault");
    CHECK(std::find(parts.begin(), parts.end(), "load page fault") != parts.end());
    for (const std::string& nonsense : {std::string(), std::string("   "), std::string(100'000, 'x'), std::string("\0\xff\n", 3), std::string("qqqqqqqqqqqqqqqq")}) {
        CHECK(explain(nonsense).empty());
        CHECK(near_things(nonsense).size() <= 5);
    }
}

TEST_CASE("Explanations as JSON say the same as the text") {
    const auto found = explain("satp");
    const auto json = nlohmann::json::parse(explanations_json(found));
    REQUIRE(json.size() == 1);
    CHECK(json[0]["thing"] == "satp");
    CHECK(json[0]["section"] == found[0].section);
    const std::string text = explanation_text(found[0]);
    for (const std::string& part : {found[0].text, found[0].section, found[0].x86, found[0].arm, std::string("MODE (63:60)")}) CHECK(text.find(part) != std::string::npos);
}
