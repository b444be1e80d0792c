// Explain: what an instruction, CSR, field, exit, cause, page-table bit, namespace, namespace's answer, hypercall or part of a virtio ring is, in a
// paragraph; with the section of the specification, the names that x86 and Arm have for the same, and the lesson about it. The texts
// are tables (scenarios/explain/*.def); where fields lie is told by emulator/isa/csr_fields.def. `trapeze explain THING` prints them.
//
// Section numbers are those of the Privileged specification that the rest of the sources name; where a version numbers differently, the title finds
// the section.
#pragma once

#include "emulator/isa/isa.hpp"

#include <string>
#include <vector>

namespace trapeze::scenarios {

enum class ExplainKind : u8 { Instruction, Extension, Csr, Field, Exit, Cause, PteBit, Mode, Hypercall, Virtio, Namespace, Lookup, SystemCall };
const char* explain_kind_name(ExplainKind kind);

struct Explanation {
    ExplainKind kind = ExplainKind::Instruction;
    std::string key;   ///< "satp", "sstatus.SUM", "csr access"; in the catalogue one that ends in '*' stands for all that begin so
    std::string head;  ///< the sentence of its own table, where it has one
    std::string text;  ///< a paragraph
    std::string section, x86, arm, lesson; ///< empty: there is none
    unsigned high = 0, low = 0; ///< bits of a field
};

/// All that is written down, in the order of the tables.
const std::vector<Explanation>& explanations();

/// What is known about a thing: its own entry with the thing's name in it, one for each kind that has the name. "csrw satp, t0" gives the
/// instruction and what it names. Upper and lower case are the same, unless both are there. Empty: it is unknown.
std::vector<Explanation> explain(const std::string& thing);
/// At most `most` known names that are near to an unknown one.
std::vector<std::string> near_things(const std::string& thing, std::size_t most = 5);
/// The fields of a CSR, the highest first.
std::vector<const Explanation*> fields_of(const std::string& csr);

std::string explanation_text(const Explanation& explanation);
std::string explanations_json(const std::vector<Explanation>& list);

} // namespace trapeze::scenarios
