#include "container-sim/errno.hpp"

namespace trapeze::container {

const char* errno_name(i64 number) {
    switch (number) {
#define ERRNO(number, name, text) case number: return #name;
#include "container-sim/errno.def"
    default: return nullptr;
    }
}

const char* errno_text(i64 number) {
    switch (number) {
#define ERRNO(number, name, text) case number: return text;
#include "container-sim/errno.def"
    default: return nullptr;
    }
}

} // namespace trapeze::container
