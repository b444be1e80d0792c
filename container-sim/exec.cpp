// Starting programs: containers, and execve. Programs are static RISC-V Linux ELF files, of fixed address or position-independent.
#include "container-sim/abi.hpp"
#include "container-sim/fs/types.hpp"
#include "container-sim/kernel.hpp"
#include "emulator/loader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace trapeze::container {

namespace {

constexpr u64 kStackTop = 0x3f'ffff'e000, kFirstStack = 33 * kPageSize, kMapBelow = 0x3f'0000'0000, kPieBase = 0x2a'0000'0000;

// The auxiliary vector (getauxval(3)).
enum Aux : u64 { kNull = 0, kPhdr = 3, kPhent = 4, kPhnum = 5, kPageSz = 6, kEntry = 9, kUid = 11, kEuid = 12, kGid = 13, kEgid = 14, kHwcap = 16, kClktck = 17,
                 kSecure = 23, kRandom = 25, kExecfn = 31, kBase = 7 };
constexpr u64 kInterpreterRoom = u64{16} << 20; ///< below kMapBelow
constexpr u64 kHwcapImafdc = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 8 | 1 << 12;

u8 protection(const ElfImage::Segment& segment) { return static_cast<u8>((segment.read ? 1 : 0) | (segment.write ? 3 : 0) | (segment.execute ? 4 : 0)); }

} // namespace

/// What execve is about to do, all of it checked.
struct LoadPlan {
    ElfImage elf;
    Content content;
    Location location;
    u32 inode = 0;
    u64 bias = 0;
    std::string path; ///< as execve was given it
    std::optional<ElfImage> interpreter; ///< of a dynamic program (PT_INTERP): it runs first
    u32 interpreter_inode = 0;
    u64 interpreter_bias = 0;
    u64 entry() const { return interpreter ? interpreter_bias + interpreter->entry : bias + elf.entry; }
};

bool Kernel::load_image(Machine& machine, AddressSpace& memory, const ElfImage& elf, u32 inode, u64 bias, u64 most) {
    for (const ElfImage::Segment& segment : elf.segments) {
        const u64 address = bias + segment.virtual_address;
        const u64 begin = address & ~kPageMask, end = (address + segment.memory_size + kPageMask) & ~kPageMask;
        if (end > most || end < begin || ((segment.file_offset ^ address) & kPageMask)) return false;
        // A page that two segments share belongs to the later one, as the kernel maps them in order.
        unmap(machine, memory, begin, end);
        memory.grow(end - begin);
        memory.vmas[begin] = {begin, end, protection(segment), segment.file_size ? inode : 0, segment.file_offset & ~kPageMask, address + segment.file_size};
    }
    return true;
}

bool Kernel::load_segments(Machine& machine, AddressSpace& memory, const LoadPlan& plan) {
    if (!load_image(machine, memory, plan.elf, plan.inode, plan.bias, kMapBelow - kInterpreterRoom)) return false;
    for (const ElfImage::Segment& segment : plan.elf.segments)
        memory.break_begin = std::max(memory.break_begin, (plan.bias + segment.virtual_address + segment.memory_size + kPageMask) & ~kPageMask);
    memory.break_end = memory.break_begin;
    if (!plan.interpreter) return true;
    memory.map_below = plan.interpreter_bias;
    return load_image(machine, memory, *plan.interpreter, plan.interpreter_inode, plan.interpreter_bias, kMapBelow);
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
    for (int i = 0; i < 16; ++i) strings.push_back(random_byte());
    if (strings.size() > kMaxStrings) return -E2BIG;
    const u64 base = (kStackTop - strings.size()) & ~u64{15};
    std::vector<u64> words{arguments.size()};
    for (std::size_t i = 0; i < arguments.size(); ++i) words.push_back(base + offsets[i]);
    words.push_back(0);
    for (std::size_t i = arguments.size(); i + 1 < offsets.size(); ++i) words.push_back(base + offsets[i]);
    words.push_back(0);
    const auto aux = [&](u64 kind, u64 value) { words.push_back(kind), words.push_back(value); };
    aux(kPhdr, plan.bias + plan.elf.program_headers_address), aux(kPhent, 56), aux(kPhnum, plan.elf.program_header_count), aux(kPageSz, kPageSize);
    aux(kEntry, plan.bias + plan.elf.entry), aux(kUid, uid_in(task, task.credentials.uid)), aux(kEuid, uid_in(task, task.credentials.euid)), aux(kGid, gid_in(task, task.credentials.gid)), aux(kEgid, gid_in(task, task.credentials.egid)), aux(kHwcap, kHwcapImafdc), aux(kClktck, 100);
    aux(kBase, plan.interpreter ? plan.interpreter_bias : 0), aux(kSecure, task.credentials.uid != task.credentials.euid || task.credentials.gid != task.credentials.egid), aux(kRandom, base + random_at), aux(kExecfn, base + offsets.back()), aux(kNull, 0);
    const u64 sp = (base - words.size() * 8) & ~u64{15};
    if (!copy_out(machine, task, base, strings)) return -kENOMEM;
    if (!copy_out(machine, task, sp, std::span(reinterpret_cast<const u8*>(words.data()), words.size() * 8))) return -kENOMEM;
    return static_cast<i64>(sp);
}

/// What a path names as a program: an ELF file, checked, with its interpreter if it asks for one.
i64 Kernel::plan_program(Machine& machine, u32 task, const std::string& path, LoadPlan& plan, const ProgramPlace* place) {
    const Viewer viewer = viewer_of(machine, task);
    const Found found = place ? vfs.walk(viewer, place->base, place->path, place->flags) : vfs.walk(viewer, viewer.cwd, path, kFollow);
    if (found.error) return found.error;
    if (vfs.inodes.get(found.location.inode).is_symlink()) return -kELOOP;
    if (!vfs.inodes.get(found.location.inode).is_file()) return -kEACCES;
    if (const i64 error = vfs.may_open(viewer, found.location, mode::kExecute, 0)) return error;
    if (has_writer(vfs.data_inode(found.location.inode))) return -kETXTBSY;
    plan.inode = vfs.data_inode(found.location.inode), plan.path = path, plan.location = found.location;
    pull_pages(machine, plan.inode);
    plan.content = vfs.content(plan.inode);
    if (!plan.content) return -kEIO;
    return 0;
}

/// Somebody has it open for writing; a memfd's own descriptors do not count.
bool Kernel::has_writer(u32 inode) const {
    if (vfs.inodes.get(inode).seals != ~u32{0}) return false;
    for (u32 i = 0; i < files.end(); ++i)
        if (files.contains(i) && files[i].kind == FileKind::Inode && files[i].flags & kAccess && vfs.data_inode(files[i].location.inode) == inode) return true;
    return false;
}

/// The program that PT_INTERP names, at the top of where mmap places things.
i64 Kernel::plan_interpreter(Machine& machine, u32 task, LoadPlan& plan) {
    LoadPlan loader;
    if (const i64 error = plan_program(machine, task, plan.elf.interpreter, loader)) return error;
    auto elf = parse_elf(*loader.content, plan.elf.interpreter);
    if (!elf || !elf->interpreter.empty() || elf->is_executable) return -kELIBBAD;
    u64 end = 0;
    for (const ElfImage::Segment& segment : elf->segments) end = std::max(end, segment.virtual_address + segment.memory_size);
    if (end > kInterpreterRoom) return -kENOMEM;
    plan.interpreter_bias = (kMapBelow - end) & ~kPageMask;
    plan.interpreter = std::move(*elf), plan.interpreter_inode = loader.inode;
    return 0;
}

/// A script: its first line names the program that runs it, with at most one argument, and then the script's own path.
i64 Kernel::execute_script(Machine& machine, u32 index, const LoadPlan& plan, const std::vector<std::string>& arguments, const std::vector<std::string>& environment, unsigned depth) {
    constexpr unsigned kMostScripts = 5;
    constexpr std::size_t kLine = 256;
    if (depth >= kMostScripts) return -kELOOP;
    const auto begin = plan.content->begin() + 2;
    const std::string line(begin, std::find(begin, plan.content->begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(plan.content->size(), kLine)), '\n'));
    const std::size_t first = line.find_first_not_of(" \t"), end = line.find_first_of(" \t", first == std::string::npos ? 0 : first);
    if (first == std::string::npos) return -kENOEXEC;
    std::vector<std::string> words{line.substr(first, end - first)};
    if (end != std::string::npos && line.find_first_not_of(" \t", end) != std::string::npos) {
        std::string rest = line.substr(line.find_first_not_of(" \t", end));
        rest.erase(rest.find_last_not_of(" \t") + 1);
        words.push_back(rest);
    }
    words.push_back(plan.path);
    if (arguments.size() > 1) words.insert(words.end(), arguments.begin() + 1, arguments.end());
    return execute(machine, index, std::string(words[0]), words, environment, depth + 1);
}

/// Set-user-ID and set-group-ID programs of others. True: an id has changed. Ids that the task's user namespace does not map do not count.
bool Kernel::set_ids_of(const Inode& program, Credentials& own) const {
    constexpr u32 kSetGroup = mode::kSetGid | mode::kGroupExecute;
    const UserNamespace& user = user_namespaces[own.user_namespace];
    const bool mapped = map_out_of_kernel(user.uids, program.uid) != kNoId && map_out_of_kernel(user.gids, program.gid) != kNoId;
    const u32 euid = mapped && program.mode & mode::kSetUid ? program.uid : own.euid, egid = mapped && (program.mode & kSetGroup) == kSetGroup ? program.gid : own.egid;
    const bool changes = euid != own.euid || egid != own.egid;
    own.euid = euid, own.egid = egid;
    return changes;
}

/// capabilities(7), "Transformation of capabilities during execve()", with set-user-ID programs; file capabilities are not there.
void Kernel::transform_credentials(Task& task, const Inode& program) {
    Credentials& own = task.credentials;
    const u32 root = map_into_kernel(user_namespaces[own.user_namespace].uids, 0);
    const bool changes = !own.no_new_privileges && set_ids_of(program, own);
    const bool as_root = !(own.securebits & secbit::kNoRoot) && root != kNoId && (own.uid == root || own.euid == root);
    const u64 ambient = changes ? 0 : own.ambient;
    const u64 file = as_root ? own.inheritable | own.bounding : 0;
    own.permitted = as_root ? file : ambient;
    own.effective = as_root && own.euid == root ? own.permitted : ambient;
    own.ambient = ambient;
    own.suid = own.fsuid = own.euid;
    own.sgid = own.fsgid = own.egid;
    own.securebits &= ~secbit::kKeepCaps;
    process_of(task).dumpable = !changes;
}

/// Everything but the program itself that execve changes: other threads end, what was shared is the task's own, handlers are forgotten.
void Kernel::leave_old_program(Machine& machine, u32 index) {
    const u32 process = tasks[index].process;
    const std::vector<u32> threads = processes[process].threads;
    for (u32 thread : threads) {
        if (thread == index) continue;
        if (thread == processes[process].leader) take_lead(machine, index);
        else end_thread(machine, thread, 0);
    }
    Task& task = tasks[index];
    SignalActions actions = signal_actions[task.actions];
    for (SignalAction& action : actions) action = {action.handler == sa::kIgnore ? sa::kIgnore : sa::kDefault, 0, 0}; // what was ignored stays so
    if (signal_actions.release(task.actions)) signal_actions.erase(task.actions);
    task.actions = signal_actions.add(actions);
    if (descriptor_tables.users(task.descriptors) > 1) {
        const u32 own = copy_descriptors(task.descriptors);
        release_descriptors(machine, std::exchange(task.descriptors, own));
    }
    task.alternate_stack = {};
    task.clear_tid = task.robust_list = 0;
    drop_timers(process);
    task.rseq = 0, processes[process].barriers = 0;
    processes[process].has_executed = true;
    processes[process].exit_signal = kSigChld;
    close_on_exec(machine, task);
}

/// The leader's pid is the process's, so a thread that begins a program takes it over (execve(2), "the thread ID changes").
void Kernel::take_lead(Machine& machine, u32 index) {
    Process& process = process_of(tasks[index]);
    const u32 leader = process.leader;
    std::swap(tasks[index].tid, tasks[leader].tid);
    pids.at(tasks[index].tid).task = index, pids.at(tasks[leader].tid).task = leader;
    process.leader = index;
    end_thread(machine, leader, 0);
}

i64 Kernel::execute(Machine& machine, u32 index, const std::string& path, std::vector<std::string> arguments, const std::vector<std::string>& environment, unsigned depth, const ProgramPlace* place) {
    LoadPlan plan;
    if (const i64 error = plan_program(machine, index, path, plan, place)) return error;
    if (plan.content->size() > 2 && (*plan.content)[0] == '#' && (*plan.content)[1] == '!') return execute_script(machine, index, plan, arguments, environment, depth);
    auto elf = parse_elf(*plan.content, path);
    if (!elf) return -kENOEXEC;
    plan.elf = std::move(*elf);
    plan.bias = plan.elf.is_executable ? 0 : kPieBase;
    if (!plan.elf.interpreter.empty())
        if (const i64 error = plan_interpreter(machine, index, plan)) return error;
    const u32 old = tasks[index].memory;
    const Credentials before = tasks[index].credentials;
    const u32 fresh = spaces.add({});
    tasks[index].memory = fresh;
    Inode program = vfs.inodes.get(plan.location.inode);
    const auto mount = vfs.mounts.find(plan.location.mount);
    if (mount != vfs.mounts.end() && mount->second.flags & mount_flag::kNoSuid) program.mode &= ~(mode::kSetUid | mode::kSetGid);
    transform_credentials(tasks[index], program);
    spaces[fresh].map_below = kMapBelow;
    i64 sp = -kENOEXEC;
    if (load_segments(machine, spaces[fresh], plan)) {
        spaces[fresh].stack_limit = process_of(tasks[index]).limits[kLimitStack].current;
        spaces[fresh].vmas[kStackTop - kFirstStack] = {.begin = kStackTop - kFirstStack, .end = kStackTop, .prot = 3, .flags = area::kGrowsDown};
        spaces[fresh].grow(kFirstStack);
        map_trampoline(machine, spaces[fresh]);
        sp = build_stack(machine, tasks[index], plan, arguments, environment);
    }
    if (sp < 0) {
        tasks[index].memory = old, tasks[index].credentials = before;
        release_space(machine, fresh);
        return sp;
    }
    tasks[index].memory = old;
    leave_old_program(machine, index);
    Task& task = tasks[index];
    task.memory = fresh;
    release_space(machine, old);
    wake({WaitKind::Vfork, static_cast<u64>(task.tid)});
    task.x = {};
    task.f = {};
    task.x[2] = static_cast<u64>(sp);
    task.pc = plan.entry();
    task.fcsr = 0;
    Process& process = process_of(task);
    process.executable = path_of(machine, index, plan.location);
    process.program = plan.location, process.stack_begin = static_cast<u64>(sp);
    process.executable_inode = plan.inode;
    task.name = path.substr(path.find_last_of('/') + 1).substr(0, 15);
    process.arguments = std::move(arguments);
    process.environment = environment;
    return 0;
}

/// The page with rt_sigreturn's code, which Linux keeps in its vDSO: li a7, 139; ecall.
void Kernel::map_trampoline(Machine& machine, AddressSpace& memory) {
    if (!trampoline) {
        const u32 before = std::exchange(payer, 0); // nobody's in particular
        const auto frame = allocate_frame(machine, FrameKind::Kernel);
        payer = before;
        if (!frame) return;
        constexpr u32 kLoadNumber = 0x08b00893, kEcall = 0x00000073;
        machine.ram.write_value(*frame - kRamBase, kLoadNumber);
        machine.ram.write_value(*frame - kRamBase + 4, kEcall);
        trampoline = *frame;
    }
    if (!map_page(machine, memory, kTrampoline, trampoline, 5)) return;
    share_frame(trampoline);
    memory.grow(kPageSize);
    memory.vmas[kTrampoline] = {.begin = kTrampoline, .end = kTrampoline + kPageSize, .prot = 5};
}

Result<i32> Kernel::start_container(Machine& machine, const ContainerSpec& spec) {
    constexpr std::size_t kMaxContainers = 31;
    if (ttys.size() > kMaxContainers) return Error{fmt::format("more than {} containers cannot be started", kMaxContainers)};
    if (spec.hostname.empty() || spec.hostname.size() > 64) return Error{"a host name has 1 to 64 characters; give another --hostname"};
    if (spec.arguments.empty()) return Error{"a container needs a program; name one behind the root folder"};
    const auto root = import_folder(vfs, viewer_of(machine, 0), spec.rootfs);
    if (!root) return Error{root.error()};

    // The steps of a runtime, in its order: namespaces, root, the first process, its program.
    const auto index = new_task();
    if (!index) return Error{"there is no room for another process"};
    const auto process_index = new_process(0);
    if (!process_index) return Error{"there is no room for another process"};
    const u32 pid_namespace = make_namespace(NamespaceKind::Pid, 0, 0), uts = make_namespace(NamespaceKind::Uts, 0, 0), mnt = make_namespace(NamespaceKind::Mnt, 0, 0);
    vfs.start_namespace(mnt, 0);
    uts_namespaces[uts].hostname = spec.hostname;

    Task& task = tasks[*index];
    Process& process = processes[*process_index];
    task.process = *process_index;
    process.leader = *index, process.threads = {*index};
    process.container = static_cast<u32>(ttys.size()), process.started = machine.cycles();
    process.limits[kLimitStack] = {8 << 20, ~u64{0}}, process.limits[kLimitFiles] = {kMaxDescriptors, kMaxDescriptors}, process.limits[kLimitCore] = {0, ~u64{0}};
    process.limits[kLimitQueues] = {819'200, 819'200}, process.limits[kLimitNice] = process.limits[kLimitRealTime] = {0, 0}, process.limits[kLimitLocked] = {8 << 20, 8 << 20};
    ttys.emplace_back();
    ttys.back().init = *process_index;
    task.namespaces.uts = uts, task.namespaces.mnt = mnt;
    const i64 group = make_cgroup(0, fmt::format("container-{}", process.container), 0, 0);
    if (group > 0 && make_cgroup_folder(static_cast<u32>(group), 0755, wall_clock(machine)) > 0) task.cgroup = static_cast<u32>(group);
    process.cgroup = task.cgroup;
    cgroups.use(task.cgroup);
    constexpr u64 kFirstOfContainers = kFirstNewNamespace + kMaxNamespaces; // numbers apart from those that programs make
    cgroups.use(task.cgroup), user_namespaces.use(0);
    task.namespaces.cgroup = cgroup_namespaces.add({{kFirstOfContainers + process.container, 0}, task.cgroup});
    for (NamespaceKind kind : {NamespaceKind::Ipc, NamespaceKind::Net, NamespaceKind::Time, NamespaceKind::Time, NamespaceKind::User}) use_namespace(kind, 0);
    task.pid_namespace_of_children = pid_namespace;
    give_pid(*index, pid_namespace);
    process.pid = task.tid;
    set_group(process, process.pid);
    set_session(process, process.pid);
    task.descriptors = descriptor_tables.add({});
    task.context = contexts.add({});
    task.actions = signal_actions.add({});
    OpenFile console;
    console.kind = FileKind::Console, console.object = process.container, console.flags = 2;
    if (spec.terminal) {
        const u32 terminal = make_console_terminal(process.container, {spec.rows, spec.columns, 0, 0});
        ttys.back().terminal = terminal;
        console.kind = FileKind::Tty, console.object = terminal;
        terminals.use(terminal), terminals[terminal].slaves = 1;
        take_terminal(process, terminal);
    }
    const i64 file = new_file(console);
    for (int i = 0; i < 3 && file >= 0; ++i) new_descriptor(task, static_cast<u32>(file), false);
    if (file >= 0) close_file(machine, static_cast<u32>(file));
    const u32 own = task.process;
    payer = *index;
    charge_stack(machine, *index);
    join_cgroup(*index);
    task.state = TaskState::Blocked;
    i64 result = mount_root(machine, *index, mnt, root.value(), spec);
    if (result == 0 && spec.terminal) result = name_console(machine, *index);
    if (result == 0) result = execute(machine, *index, find_program(machine, *index, spec), spec.arguments, spec.environment);
    if (result < 0) {
        const Error error = explain_start(machine, *index, spec, -result);
        ttys[processes[own].container].init = 0;
        end_process(machine, own, 127 << 8);
        return error;
    }
    make_runnable(*index);
    event(machine, EventKind::ProcessStart, tasks[*index], fmt::format("{} starts as pid 1 of {}, host name {}, root {}", tasks[*index].name, spec.hostname, spec.hostname, spec.rootfs));
    return processes[own].pid;
}

/// The container's terminal is the first in its own /dev/pts, and what its first process has open is that.
i64 Kernel::name_console(Machine& machine, u32 task) {
    const Viewer viewer = viewer_of(machine, task);
    const Found found = vfs.walk(viewer, viewer.root, "dev/pts", kFollow);
    if (found.error || vfs.supers.get(vfs.inodes.get(found.location.inode).super).type != &kDevpts) return 0; // the folder has something else there
    const u32 super = vfs.inodes.get(found.location.inode).super;
    const i64 node = add_terminal_node(vfs, viewer, super, 0);
    if (node < 0) return node;
    terminals[ttys[process_of(tasks[task]).container].terminal].instance = super;
    if (OpenFile* console = file_of(tasks[task], 0)) console->location = vfs.location_of(found.location.mount, static_cast<u32>(node));
    return 0;
}

/// A name without a slash is looked for in the folders of PATH, as execvp(3) does.
std::string Kernel::find_program(Machine& machine, u32 task, const ContainerSpec& spec) {
    const Viewer viewer = viewer_of(machine, task);
    const std::string& name = spec.arguments[0];
    if (name.empty() || name.find('/') != std::string::npos) return name;
    for (const std::string& variable : spec.environment) {
        if (!variable.starts_with("PATH=")) continue;
        for (std::size_t begin = 5; begin <= variable.size();) {
            const std::size_t end = std::min(variable.find(':', begin), variable.size());
            const std::string path = variable.substr(begin, end - begin) + "/" + name;
            const Found found = vfs.walk(viewer, viewer.cwd, path, kFollow);
            if (!found.error && vfs.inodes.get(found.location.inode).is_file()) return path;
            begin = end + 1;
        }
    }
    return name;
}

/// Why the first program did not start, as a sentence and as the status that a shell gives: 127 it is not there, 126 it cannot be run.
Error Kernel::explain_start(Machine& machine, u32 task, const ContainerSpec& spec, i64 error) {
    constexpr int kNotFound = 127, kNotRunnable = 126;
    const std::string path = find_program(machine, task, spec), name = fmt::format("{}: {}", spec.rootfs, path);
    const Viewer viewer = viewer_of(machine, task);
    const Found found = vfs.walk(viewer, viewer.cwd, path, kFollow);
    if (found.error == -kENOENT || found.error == -kENOTDIR)
        return {fmt::format("{}: there is no such program in this root file system; name it by its path inside, such as /bin/sh, or put it into a folder of PATH", name), kNotFound};
    if (found.error == -kELOOP) return {fmt::format("{}: its symbolic links lead in a circle; mend them", name), kNotRunnable};
    if (found.error) return {fmt::format("{}: this path cannot be followed (error {})", name, -found.error), kNotFound};
    if (vfs.is_directory(found.location)) return {fmt::format("{}: this is a folder; name a program in it", name), kNotRunnable};
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
        return {fmt::format("{}: this program is dynamically linked and asks for {}, which is not in this root file system or does not fit; put it there with its libraries, or link the program with -static", name, elf.value().interpreter), kNotRunnable};
    return {fmt::format("{}: its segments lie where a process has no room for them; link it as usual, with riscv64-linux-gnu-gcc -static", name), kNotRunnable};
}

/// The folder as the root of the namespace, on a root that is always there: so it can be pivoted away from.
i64 Kernel::mount_root(Machine& machine, u32 task, u32 mnt, u32 super, const ContainerSpec& spec) {
    const Mount bottom = vfs.mounts.at(vfs.namespace_at(0).root_mount);
    vfs.set_root_mount(mnt, vfs.new_mount(bottom.super, bottom.root, "rootfs", 0));
    const Viewer viewer = viewer_of(machine, task);
    if (const i64 error = vfs.mount_new(viewer, vfs.namespace_root(mnt), super, 0, spec.rootfs)) return error;
    FileSystemContext& context = context_of(tasks[task]);
    context.root = context.cwd = vfs.namespace_root(mnt);
    return add_standard_mounts(machine, task);
}

/// /proc, /sys with its cgroups, and /dev, as container runtimes mount them.
i64 Kernel::add_standard_mounts(Machine& machine, u32 task) {
    const Viewer viewer = viewer_of(machine, task);
    const auto mount_on = [&](const char* name, const FileSystemType& type, const char* options) -> i64 {
        Found found = vfs.walk(viewer, viewer.root, name, kFollow);
        if (found.missing()) {
            const i64 made = vfs.create(viewer, found, {mode::kDirectory | 0755, 0, {}});
            if (made < 0) return made;
            found.location = vfs.location_of(found.directory.mount, static_cast<u32>(made));
        } else if (found.error || !vfs.is_directory(found.location)) {
            return 0; // the folder has something else there
        }
        const i64 super = &type == &kCgroup2 ? i64{cgroup_super} : vfs.make_super(viewer, type, {name, options, 0, false, {}});
        const u32 of_kernel = &type == &kProc || &type == &kSysfs || &type == &kCgroup2 ? mount_flag::kNoDev | mount_flag::kNoExec : 0;
        return super < 0 ? super : vfs.mount_new(viewer, found.location, static_cast<u32>(super), mount_flag::kNoSuid | of_kernel, type.name);
    };
    if (const i64 error = mount_on("proc", kProc, "")) return error;
    if (!vfs.walk(viewer, viewer.root, "sys", kFollow).error) { // a root without the folder is meant to do without
        if (const i64 error = mount_on("sys", kSysfs, "")) return error;
        if (const i64 error = mount_on("sys/fs/cgroup", kCgroup2, "")) return error;
    }
    if (const i64 error = mount_on("dev", kTmpfs, "mode=755")) return error;
    if (const i64 error = mount_on("dev/pts", kDevpts, "newinstance,ptmxmode=0666,mode=0620")) return error;
    static constexpr std::pair<const char*, u64> kDevices[] = {{"dev/null", make_device(1, 3)}, {"dev/zero", make_device(1, 5)}, {"dev/full", make_device(1, 7)},
                                                               {"dev/random", make_device(1, 8)}, {"dev/urandom", make_device(1, 9)}, {"dev/tty", make_device(5, 0)},
                                                               {"dev/console", make_device(5, 1)}};
    static constexpr std::pair<const char*, const char*> kLinks[] = {{"dev/ptmx", "pts/ptmx"}, {"dev/fd", "/proc/self/fd"}, {"dev/stdin", "/proc/self/fd/0"}, {"dev/stdout", "/proc/self/fd/1"},
                                                                    {"dev/stderr", "/proc/self/fd/2"}};
    for (const auto& [path, target] : kLinks) {
        const i64 made = vfs.create(viewer, vfs.walk(viewer, viewer.root, path, kParent), {mode::kSymlink | 0777, 0, target});
        if (made < 0 && made != -kEEXIST) return made;
    }
    for (const auto& [path, device] : kDevices) {
        const i64 made = vfs.create(viewer, vfs.walk(viewer, viewer.root, path, kParent), {mode::kCharacter | (device == make_device(5, 1) ? 0600u : 0666u), device, {}});
        if (made < 0 && made != -kEEXIST) return made;
    }
    return 0;
}

} // namespace trapeze::container
