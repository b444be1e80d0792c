#include "hypervisor-sim/dossier.hpp"

#include "emulator/isa/isa.hpp"
#include "hypervisor-sim/direct_paging.hpp"
#include "hypervisor-sim/paravirt.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace trapeze::vmm {

namespace {

constexpr ExitReasonRow kReasons[] = {
#define EXIT_REASON(id, name, section, sentence) {name, section, sentence},
#include "hypervisor-sim/exit_reasons.def"
};

constexpr std::string_view kStepSentences[] = {
#define DOSSIER_STEP(id, sentence) sentence,
#include "hypervisor-sim/dossier_steps.def"
};

std::string value_of(std::string_view name, const DossierStep& step) {
    if (name == "a") return fmt::format("0x{:x}", step.a);
    if (name == "b") return fmt::format("0x{:x}", step.b);
    if (name == "da") return fmt::format("{}", step.a);
    if (name == "db") return fmt::format("{}", step.b);
    if (name == "cause") return cause_name(step.a);
    if (name == "insn") return disassemble(static_cast<u32>(step.a), step.b);
    if (name == "hypercall") return hypercall_row(step.a).name;
    if (name == "refusal") return refusal_row(static_cast<Refusal>(std::min<u64>(step.b, static_cast<u64>(Refusal::Count)))).sentence;
    if (name == "priv") return std::string(1, priv_letter(static_cast<Priv>(step.b & 3)));
    return std::string(name);
}

} // namespace

const ExitReasonRow& exit_reason_row(ExitReason reason) {
    const auto index = static_cast<std::size_t>(reason);
    static constexpr ExitReasonRow kNone{"none", "", "No exit."};
    return index < std::size(kReasons) ? kReasons[index] : kNone;
}

std::string step_text(const DossierStep& step) {
    const auto index = static_cast<std::size_t>(step.kind);
    std::string text;
    std::string_view rest = index < std::size(kStepSentences) ? kStepSentences[index] : std::string_view();
    while (!rest.empty()) {
        const std::size_t open = rest.find('{'), close = rest.find('}');
        if (open == std::string_view::npos || close == std::string_view::npos) break;
        text += rest.substr(0, open);
        text += value_of(rest.substr(open + 1, close - open - 1), step);
        rest.remove_prefix(close + 1);
    }
    return text.append(rest);
}

} // namespace trapeze::vmm
