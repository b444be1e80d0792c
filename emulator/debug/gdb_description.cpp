// target.xml (GDB manual, appendix G): which registers there are, and their numbers in the protocol.
#include "emulator/debug/gdb_stub.hpp"
#include "emulator/isa/isa.hpp"

#include <fmt/format.h>

namespace trapeze::debug {

namespace {

constexpr unsigned kRegisters = 32;
/// x and f registers whose type is an address or a stack, for GDB's formats.
const char* integer_type(unsigned index) { return index == 1 ? "code_ptr" : index >= 2 && index <= 4 ? "data_ptr" : "int"; }

std::string feature(const char* name, const std::string& content) {
    return fmt::format("<feature name=\"org.gnu.gdb.riscv.{}\">\n{}</feature>\n", name, content);
}

std::string reg(const char* name, unsigned number, const char* more) {
    return fmt::format("<reg name=\"{}\" bitsize=\"64\" regnum=\"{}\" {}/>\n", name, number, more);
}

} // namespace

std::string target_description() {
    std::string cpu, fpu, csr;
    for (unsigned i = 0; i < kRegisters; ++i) cpu += reg(register_name(i), i, fmt::format("type=\"{}\"", integer_type(i)).c_str());
    cpu += reg("pc", kRegisterPc, "type=\"code_ptr\"");
    fpu += "<union id=\"fp\"><field name=\"float\" type=\"ieee_single\"/><field name=\"double\" type=\"ieee_double\"/></union>\n";
    for (unsigned i = 0; i < kRegisters; ++i) fpu += reg(fp_register_name(i), kRegisterF0 + i, "type=\"fp\"");
    for (std::size_t i = 0; i < kCsrCount; ++i) {
        const CsrRow& row = csr_row_at(i);
        csr += reg(row.name, kRegisterCsr0 + static_cast<unsigned>(row.csr), "type=\"int\" group=\"csr\"");
    }
    return "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target>\n<architecture>riscv:rv64</architecture>\n" +
           feature("cpu", cpu) + feature("fpu", fpu) + feature("csr", csr) + feature("virtual", reg("priv", kRegisterPriv, "type=\"int\"")) +
           "</target>\n";
}

} // namespace trapeze::debug
