// trapeze explain: what a thing that the debugger shows is.
#include "scenarios/cli_explain.hpp"
#include "scenarios/explain.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace trapeze::scenarios {

namespace {

int explain_thing(const std::vector<std::string>& words, bool json, bool list) {
    if (list) {
        if (json) return fmt::print("{}", explanations_json(explanations())), 0;
        for (const Explanation& e : explanations()) fmt::print("{:<32}{}\n", e.key, explain_kind_name(e.kind));
        return 0;
    }
    std::string thing;
    for (const std::string& word : words) thing += (thing.empty() ? "" : " ") + word;
    if (thing.empty()) return complain("explain: name a thing, such as satp, sstatus.SUM, csrw, \"csr access\" or pid; --list shows what is known", kUsage);
    const auto found = explain(thing);
    if (found.empty()) {
        std::string near;
        for (const std::string& name : near_things(thing)) near += (near.empty() ? "" : ", ") + name;
        return complain(fmt::format("nothing is written about \"{}\"; {}", thing, near.empty() ? "`trapeze explain --list` shows what is known" : "near to it are " + near), kFailed);
    }
    if (json) return fmt::print("{}", explanations_json(found)), 0;
    for (std::size_t i = 0; i < found.size(); ++i) fmt::print("{}{}", i ? "\n" : "", explanation_text(found[i]));
    return 0;
}

} // namespace

void add_explain(Verbs verbs) {
    auto* verb = verbs.app.add_subcommand("explain", "what an instruction, CSR, field, exit, cause, page-table bit, namespace, system call or part of a ring is");
    auto words = std::make_shared<std::vector<std::string>>();
    auto json = std::make_shared<bool>(false), list = std::make_shared<bool>(false);
    verb->add_option("thing", *words, "such as satp, sstatus.SUM, \"csrw satp, t0\", \"shadow page fault\", pid");
    verb->add_flag("--json", *json, "as a list of objects: thing, kind, head, text, section, x86, arm, lesson");
    verb->add_flag("--list", *list, "all that is known");
    verb->callback([=, status = &verbs.status] { *status = explain_thing(*words, *json, *list); });
}

} // namespace trapeze::scenarios
