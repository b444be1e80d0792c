// Starting programs: containers, and execve. Programs are static RISC-V Linux ELF files, of fixed address or position-independent.
#include "container-sim/abi.hpp"
#include "container-sim/kernel.hpp"
#include "emulator/loader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace trapeze::container {

namespace {

constexpr u64 kStackTop = 0x3f'ffff'f000, kStackBytes = u64{8} << 20, kMapBelow = 0x3f'0000'0000, kPieBase = 0x2a'0000'0000;

// The auxiliary vector (getauxval(3)).
enum Aux : u64 { kNull = 0, kPhdr = 3, kPhent = 4, kPhnum = 5, kPageSz = 6, kEntry = 9, kUid = 11, kEuid = 12, kGid = 13, kEgid = 14, kHwcap = 16, kClktck = 17,
                 kSecure = 23, kRandom = 25, kExecfn = 31 };
constexpr u64 kIgnored = 1; // SIG_IGN
constexpr u64 kHwcapImafdc = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 8 | 1 << 12;

u8 protection(const ElfImage::Segment& segment) { return static_cast<u8>((segment.read ? 1 : 0) | (segment.write ? 3 : 0) | (segment.execute ? 4 : 0)); }

} // namespace

/// What execve is about to do, all of it checked.
struct LoadPlan {
    ElfImage elf;
    u32 inode = 0;
    u64 bias = 0;
    std::string path; ///< as execve was given it
};

bool Kernel::load_segments(Machine& machine, AddressSpace& memory, const LoadPlan& plan) {
    for (const ElfImage::Segment& segment : plan.elf.segments) {
        const u64 address = plan.bias + segment.virtual_address;
        const u64 begin = address & ~kPageMask, end = (address + segment.memory_size + kPageMask) & ~kPageMask;
        if (end > kMapBelow || end < begin || ((segment.file_offset ^ address) & kPageMask)) return false;
        // A page that two segments share belongs to the later one, as the kernel maps them in order.
        unmap(machine, memory, begin, end);
        memory.vmas[begin] = {begin, end, protection(segment), segment.file_size ? plan.inode : 0, segment.file_offset & ~kPageMask, address + segment.file_size};
        memory.break_begin = std::max(memory.break_begin, end);
    }
    memory.break_end = memory.break_begin;
    return true;
}

i64 Kernel::build_stack(Machine& machine, Task& task, const LoadPlan& plan, const std::vector<std::string>& arguments, const std::vector<std::string>& environment) {
    std::vector<u8> strings;
    std::vector<u64> offsets;
    const auto add = [&](const std::string& text) {
        offsets.push_back(strings.size());
        strings.insert(strings.end(), text.begin(), text.end());
        strings.push_back(0);
    };
    for (const std::string& text : arguments) add(text);
    for (const std::string& text : environment) add(text);
    add(plan.path);
    const u64 random_at = strings.size();
    for (int i = 0; i < 16; ++i) {
        random_state = random_state * 6364136223846793005 + 1442695040888963407;
        strings.push_back(static_cast<u8>(random_state >> 33));
    }
    if (strings.size() > kMaxStrings) return -E2BIG;
    const u64 base = (kStackTop - strings.size()) & ~u64{15};
    std::vector<u64> words{arguments.size()};
    for (std::size_t i = 0; i < arguments.size(); ++i) words.push_back(base + offsets[i]);
    words.push_back(0);
    for (std::size_t i = arguments.size(); i + 1 < offsets.size(); ++i) words.push_back(base + offsets[i]);
    words.push_back(0);
    const auto aux = [&](u64 kind, u64 value) { words.push_back(kind), words.push_back(value); };
    aux(kPhdr, plan.bias + plan.elf.program_headers_address), aux(kPhent, 56), aux(kPhnum, plan.elf.program_header_count), aux(kPageSz, kPageSize);
    aux(kEntry, plan.bias + plan.elf.entry), aux(kUid, 0), aux(kEuid, 0), aux(kGid, 0), aux(kEgid, 0), aux(kHwcap, kHwcapImafdc), aux(kClktck, 100);
    aux(kSecure, 0), aux(kRandom, base + random_at), aux(kExecfn, base + offsets.back()), aux(kNull, 0);
    const u64 sp = (base - words.size() * 8) & ~u64{15};
    if (!copy_out(machine, task, base, strings)) return -kENOMEM;
    if (!copy_out(machine, task, sp, std::span(reinterpret_cast<const u8*>(words.data()), words.size() * 8))) return -kENOMEM;
    return static_cast<i64>(sp);
}

i64 Kernel::execute(Machine& machine, Task& task, const std::string& path, std::vector<std::string> arguments, const std::vector<std::string>& environment) {
    const Found found = walk(task, task.cwd, path, true);
    if (found.error) return found.error;
    if (type_of(found.location.inode) != InodeType::File || !(vfs.at(found.location.inode).mode & 0111)) return -kEACCES;
    const Content content = vfs.content(found.location.inode);
    if (!content) return -EIO;
    if (content->size() > 2 && (*content)[0] == '#' && (*content)[1] == '!') { // a script: its first line names the interpreter
        const std::string line(content->begin() + 2, std::find(content->begin(), content->begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(content->size(), 256)), '\n'));
        const std::size_t begin = line.find_first_not_of(' '), end = line.find(' ', begin == std::string::npos ? 0 : begin);
        if (begin == std::string::npos || line.substr(begin, end - begin) == path) return -kENOEXEC;
        std::vector<std::string> script{line.substr(begin, end - begin)};
        if (end != std::string::npos && line.find_first_not_of(' ', end) != std::string::npos) script.push_back(line.substr(line.find_first_not_of(' ', end)));
        script.push_back(path);
        if (arguments.size() > 1) script.insert(script.end(), arguments.begin() + 1, arguments.end());
        const Found interpreter = walk(task, task.cwd, script[0], true);
        if (interpreter.error) return interpreter.error;
        const Content inner = type_of(interpreter.location.inode) == InodeType::File ? vfs.content(interpreter.location.inode) : nullptr;
        if (!inner || !looks_like_elf(*inner)) return -kENOEXEC;
        return execute(machine, task, script[0], script, environment);
    }
    auto elf = parse_elf(*content, path);
    if (!elf) return -kENOEXEC;
    if (!elf->interpreter.empty()) return -kENOENT; // dynamic programs: the loader is not there
    LoadPlan plan{std::move(*elf), found.location.inode, 0, path};
    plan.bias = plan.elf.is_executable ? 0 : kPieBase;
    AddressSpace old = std::exchange(task.memory, {});
    task.memory.map_below = kMapBelow;
    i64 sp = -kENOEXEC;
    if (load_segments(machine, task.memory, plan)) {
        task.memory.vmas[kStackTop - kStackBytes] = {kStackTop - kStackBytes, kStackTop, 3, 0, 0, 0};
        sp = build_stack(machine, task, plan, arguments, environment);
    }
    if (sp < 0) {
        free_space(machine, task.memory);
        task.memory = std::move(old);
        return sp;
    }
    release_space(machine, task, old);
    task.x = {};
    task.f = {};
    task.x[2] = static_cast<u64>(sp);
    task.pc = plan.bias + plan.elf.entry;
    task.fcsr = 0;
    for (auto& action : task.actions) action = {action[0] == kIgnored ? kIgnored : 0, 0, 0}; // what was ignored stays so
    task.clear_tid = 0;
    task.executable = path_of(task, found.location);
    task.name = path.substr(path.find_last_of('/') + 1).substr(0, 15);
    task.arguments = std::move(arguments);
    close_all(task, true);
    return 0;
}

Result<i32> Kernel::start_container(Machine& machine, const ContainerSpec& spec) {
    constexpr std::size_t kMaxContainers = 31;
    if (ttys.size() > kMaxContainers) return Error{fmt::format("more than {} containers cannot be started", kMaxContainers)};
    if (spec.hostname.empty() || spec.hostname.size() > 64) return Error{"a host name has 1 to 64 characters; give another --hostname"};
    if (spec.arguments.empty()) return Error{"a container needs a program; name one behind the root folder"};
    const auto root = vfs.import_folder(spec.rootfs);
    if (!root) return Error{root.error()};
    const auto index = new_task();
    if (!index) return Error{"there is no room for another process"};

    // The steps of a runtime, in its order: namespaces, root, the first process, its program.
    pid_namespaces.push_back({0, 1, 1, false});
    uts_namespaces.push_back({spec.hostname});
    MountNamespace mounts;
    Mount mount;
    mount.root = root.value(), mount.is_root = true, mount.type = "rootfs", mount.source = spec.rootfs;
    mounts.root_mount = vfs.new_mount_id();
    mounts.mounts[mounts.root_mount] = mount;
    add_standard_mounts(mounts, static_cast<u32>(pid_namespaces.size() - 1));
    mount_namespaces.push_back(mounts);

    Task& task = tasks[*index];
    task.container = static_cast<u32>(ttys.size());
    ttys.emplace_back();
    ttys.back().init = *index;
    task.tty = task.container;
    task.namespaces = {0, static_cast<u32>(uts_namespaces.size() - 1), static_cast<u32>(mount_namespaces.size() - 1)};
    give_pids(task, static_cast<u32>(pid_namespaces.size() - 1));
    task.root = task.cwd = {mounts.root_mount, root.value()};
    task.state = TaskState::Runnable;
    OpenFile console;
    console.kind = FileKind::Tty, console.object = task.tty, console.flags = 2;
    const i64 file = new_file(console);
    for (int i = 0; i < 3 && file >= 0; ++i) new_descriptor(task, static_cast<u32>(file), false);
    if (const i64 result = execute(machine, task, find_program(task, spec), spec.arguments, spec.environment); result < 0) {
        task.state = TaskState::Free;
        return explain_start(task, spec, -result);
    }
    event(machine, EventKind::ProcessStart, task, fmt::format("{} starts as pid 1 of {}, host name {}, root {}", task.name, spec.hostname, spec.hostname, spec.rootfs));
    return task.pid;
}

/// A name without a slash is looked for in the folders of PATH, as execvp(3) does.
std::string Kernel::find_program(const Task& task, const ContainerSpec& spec) const {
    const std::string& name = spec.arguments[0];
    if (name.empty() || name.find('/') != std::string::npos) return name;
    for (const std::string& variable : spec.environment) {
        if (!variable.starts_with("PATH=")) continue;
        for (std::size_t begin = 5; begin <= variable.size();) {
            const std::size_t end = std::min(variable.find(':', begin), variable.size());
            const std::string path = variable.substr(begin, end - begin) + "/" + name;
            const Found found = walk(task, task.cwd, path, true);
            if (!found.error && type_of(found.location.inode) == InodeType::File) return path;
            begin = end + 1;
        }
    }
    return name;
}

/// Why the first program did not start, as a sentence and as the status that a shell gives: 127 it is not there, 126 it cannot be run.
Error Kernel::explain_start(const Task& task, const ContainerSpec& spec, i64 error) {
    constexpr int kNotFound = 127, kNotRunnable = 126;
    const std::string path = find_program(task, spec), name = fmt::format("{}: {}", spec.rootfs, path);
    const Found found = walk(task, task.cwd, path, true);
    if (found.error == -kENOENT || found.error == -kENOTDIR)
        return {fmt::format("{}: there is no such program in this root file system; name it by its path inside, such as /bin/sh, or put it into a folder of PATH", name), kNotFound};
    if (found.error == -kELOOP) return {fmt::format("{}: its symbolic links lead in a circle; mend them", name), kNotRunnable};
    if (found.error) return {fmt::format("{}: this path cannot be followed (error {})", name, -found.error), kNotFound};
    if (is_folder(found.location.inode)) return {fmt::format("{}: this is a folder; name a program in it", name), kNotRunnable};
    const Content content = vfs.content(found.location.inode);
    if (!content) return {fmt::format("{}: the file cannot be read (or has more than {} MiB); check its permissions", name, kMaxFileBytes >> 20), kNotRunnable};
    if (error == kEACCES) return {fmt::format("{}: the file may not be executed; chmod +x it", name), kNotRunnable};
    if (error == kENOMEM) return {fmt::format("{}: it does not fit into the machine's memory; give more with --memory", name), kNotRunnable};
    if (error == kE2BIG) return {fmt::format("{}: its arguments and environment have more than {} KiB; shorten them", name, kMaxStrings >> 10), kNotRunnable};
    if (content->size() > 2 && (*content)[0] == '#' && (*content)[1] == '!')
        return {fmt::format("{}: the interpreter that this script names in its first line is not there or is no static program", name), kNotRunnable};
    if (!looks_like_elf(*content)) return {fmt::format("{}: this is neither an ELF program nor a script with #! in its first line; build it with riscv64-linux-gnu-gcc -static", name), kNotRunnable};
    const auto elf = parse_elf(*content, name);
    if (!elf) return {elf.error(), kNotRunnable};
    if (!elf.value().interpreter.empty())
        return {fmt::format("{}: this program is dynamically linked (it asks for {}), and only static ones run here; link it with -static", name, elf.value().interpreter), kNotRunnable};
    return {fmt::format("{}: its segments lie where a process has no room for them; link it as usual, with riscv64-linux-gnu-gcc -static", name), kNotRunnable};
}

/// /proc and /dev, as container runtimes mount them.
void Kernel::add_standard_mounts(MountNamespace& mounts, u32 pid_namespace) {
    const auto add = [&](const char* name, u32 tree, const char* type) {
        const u32 root = mounts.mounts[mounts.root_mount].root;
        auto& children = vfs.at(root).children;
        u32 on = 0;
        if (const auto found = children.find(name); found != children.end()) on = found->second;
        else on = static_cast<u32>(std::max<i64>(0, vfs.create(root, name, InodeType::Directory, 0755)));
        if (!on || vfs.at(on).type != InodeType::Directory) return;
        Mount mount;
        mount.root = tree, mount.on = {mounts.root_mount, on}, mount.type = type, mount.source = type, mount.pid_namespace = pid_namespace;
        mounts.mounts[vfs.new_mount_id()] = mount;
    };
    add("proc", vfs.make_tree(InodeType::ProcRoot), "proc");
    const u32 dev = vfs.make_tree();
    vfs.create(dev, "null", InodeType::Null, 0666);
    vfs.create(dev, "zero", InodeType::Zero, 0666);
    vfs.create(dev, "tty", InodeType::Tty, 0666);
    vfs.create(dev, "console", InodeType::Tty, 0600);
    add("dev", dev, "tmpfs");
}

} // namespace trapeze::container
