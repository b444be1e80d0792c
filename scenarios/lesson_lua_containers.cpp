// What a lesson can call of containers: docs/lessons.md. Their root is a folder of shipped programs, which is never written, or a shipped image.
#include "scenarios/lesson_lua_state.hpp"

#include "container-sim/engine/run_config.hpp"
#include "container-sim/kernel.hpp"
#include "scenarios/container_views.hpp"
#include "scenarios/shipped_images.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trapeze::scenarios::lua_functions {

namespace {

using container::NamespaceKind;

constexpr lua_Integer kMostContainers = 8, kMostWords = 32, kMostTold = 400;

void set(lua_State* lua, const char* name, const std::string& value) { lua_pushlstring(lua, value.data(), value.size()), lua_setfield(lua, -2, name); }
void set(lua_State* lua, const char* name, u64 value) { lua_pushinteger(lua, static_cast<lua_Integer>(value)), lua_setfield(lua, -2, name); }

const container::Kernel& kernel_of(lua_State* lua) {
    const container::Kernel* kernel = session_of(lua).kernel();
    if (!kernel) raise(lua, "this session has no containers; begin with session.open{containers = {{program = {\"/whoami\"}}}}");
    return *kernel;
}

/// A field of the table on top of the stack, as text; empty: it has none.
std::string text_field(lua_State* lua, const char* name) {
    lua_getfield(lua, -1, name);
    const std::string text = lua_isnil(lua, -1) ? std::string() : text_argument(lua, -1);
    lua_pop(lua, 1);
    return text;
}

/// What the engine is to make of a shipped image; null: the entry names none. The entry is on top of the stack.
std::shared_ptr<const container::RunConfig> run_of(lua_State* lua, const container::ContainerSpec& spec) {
    const std::string name = text_field(lua, "image");
    if (name.empty()) return nullptr;
    const auto image = shipped_image(name.find(':') == std::string::npos ? name + ":latest" : name);
    if (!image) raise(lua, image.error());
    auto layers = container::layers_of(image.value(), {});
    if (!layers) raise(lua, layers.error());
    container::RunConfig config;
    config.image = name, config.image_id = image.value().id(), config.defaults = image.value().config, config.layers = *layers;
    config.name = config.hostname = spec.hostname, config.command = spec.arguments;
    lua_getfield(lua, -1, "interactive");
    config.interactive = lua_toboolean(lua, -1);
    lua_pop(lua, 1);
    return std::make_shared<const container::RunConfig>(std::move(config));
}

/// One entry of `containers`, which is on top of the stack.
container::ContainerSpec spec_of(lua_State* lua) {
    container::ContainerSpec spec;
    luaL_checktype(lua, -1, LUA_TTABLE);
    if (const std::string hostname = text_field(lua, "hostname"); !hostname.empty()) spec.hostname = hostname;
    const std::string root = text_field(lua, "root"), image = text_field(lua, "image");
    if (!root.empty() && root != "linux" && root != "tiny-os") raise(lua, fmt::format("root = \"{}\": a lesson's containers have the root \"linux\", the shipped Linux programs, or \"tiny-os\"", root));
    spec.rootfs = build_folder() + (root == "tiny-os" ? "/guests/root" : "/guests/linux");
    lua_getfield(lua, -1, "program");
    if (!lua_istable(lua, -1) && image.empty()) raise(lua, "a container needs a program: {program = {\"/tiny\", \"hostname\"}}");
    const lua_Integer words = lua_istable(lua, -1) ? std::min<lua_Integer>(luaL_len(lua, -1), kMostWords) : 0;
    for (lua_Integer i = 1; i <= words; ++i) {
        lua_geti(lua, -1, i);
        spec.arguments.push_back(text_argument(lua, -1));
        lua_pop(lua, 1);
    }
    lua_pop(lua, 1);
    if (spec.arguments.empty() && image.empty()) raise(lua, "a container needs a program: {program = {\"/tiny\", \"hostname\"}}");
    return spec;
}

/// processes(): what runs (or has ended and is not waited for), as the host sees it.
int processes(lua_State* lua) {
    const container::Kernel& kernel = kernel_of(lua);
    lua_newtable(lua);
    lua_Integer count = 0;
    for (const container::ProcessView& view : kernel.processes_seen()) {
        if (count == kMostTold) break;
        const container::NamespaceSet& own = view.namespaces;
        lua_newtable(lua);
        set(lua, "pid", static_cast<u64>(view.pid)), set(lua, "inside", static_cast<u64>(view.pids.back())), set(lua, "container", u64{view.container});
        set(lua, "name", view.name), set(lua, "state", view.state), set(lua, "hostname", view.hostname);
        lua_newtable(lua);
        const std::pair<NamespaceKind, u32> all[] = {{NamespaceKind::Pid, own.pid}, {NamespaceKind::Uts, own.uts}, {NamespaceKind::Mnt, own.mnt}, {NamespaceKind::Ipc, own.ipc},
                                                     {NamespaceKind::Net, own.net}, {NamespaceKind::Cgroup, own.cgroup}, {NamespaceKind::Time, own.time}, {NamespaceKind::User, view.user_namespace}};
        for (const auto& [kind, index] : all) set(lua, namespace_name(kind), kernel.namespace_inode(kind, index));
        lua_setfield(lua, -2, "namespaces");
        lua_seti(lua, -2, ++count);
    }
    return 1;
}

/// happened(kind), happened(kind, container): texts of the events of one kind, the oldest first; the newest 400.
int happened(lua_State* lua) {
    (void)kernel_of(lua);
    static constexpr std::pair<const char*, EventKind> kKinds[] = {
        {"call", EventKind::SyscallEnter}, {"result", EventKind::SyscallExit}, {"lookup", EventKind::NamespaceLookup}, {"start", EventKind::ProcessStart},
        {"end", EventKind::ProcessExit}, {"signal", EventKind::Signal}, {"copy-up", EventKind::CopyUp}, {"whiteout", EventKind::Whiteout}};
    const std::string name = text_argument(lua, 1);
    const lua_Integer container = luaL_optinteger(lua, 2, 0);
    const auto kind = std::find_if(std::begin(kKinds), std::end(kKinds), [&](const auto& known) { return name == known.first; });
    if (kind == std::end(kKinds)) raise(lua, fmt::format("\"{}\" is no kind of event; say call, result, lookup, start, end, signal, copy-up or whiteout", name));
    const Trace& trace = session_of(lua).trace();
    std::vector<u32> texts;
    for (u64 i = trace.first(); i < trace.total(); ++i)
        if (const Event& event = trace.at(i); event.kind == kind->second && (!container || event.tag == container)) texts.push_back(event.detail);
    if (texts.size() > kMostTold) texts.erase(texts.begin(), texts.end() - kMostTold);
    lua_newtable(lua);
    for (std::size_t i = 0; i < texts.size(); ++i) lua_pushstring(lua, trace.text_of(texts[i]).c_str()), lua_seti(lua, -2, static_cast<lua_Integer>(i + 1));
    return 1;
}

/// output(n): what the n-th container has printed.
int output(lua_State* lua) {
    const container::Kernel& kernel = kernel_of(lua);
    const lua_Integer number = luaL_optinteger(lua, 1, 1);
    if (number < 1 || number > static_cast<lua_Integer>(kernel.containers())) raise(lua, fmt::format("there is no container {}; they count from 1 to {}", number, kernel.containers()));
    const std::string& text = session_of(lua).console_of(static_cast<u32>(number));
    return lua_pushlstring(lua, text.data(), text.size()), 1;
}

/// view(what): what `trapeze container view` prints, such as "cgroups" or "overlay".
int view(lua_State* lua) {
    constexpr std::size_t kMostText = 64 << 10;
    const container::Kernel& kernel = kernel_of(lua);
    const auto text = container_view(kernel, session_of(lua).machine().cycles(), {.what = text_argument(lua, 1)});
    if (!text) raise(lua, text.error());
    return lua_pushlstring(lua, text.value().data(), std::min(text.value().size(), kMostText)), 1;
}

int system_calls(lua_State* lua) { return lua_pushinteger(lua, static_cast<lua_Integer>(kernel_of(lua).system_calls())), 1; }
int pages_used(lua_State* lua) { return lua_pushinteger(lua, static_cast<lua_Integer>(kernel_of(lua).frames_used())), 1; }

constexpr luaL_Reg kContainers[] = {{"processes", processes}, {"happened", happened}, {"output", output}, {"view", view}, {"system_calls", system_calls}, {"pages_used", pages_used}, {nullptr, nullptr}};

} // namespace

const luaL_Reg* container_functions() { return kContainers; }

/// Pre: session.open's table has `containers`; the call is counted.
int open_containers(lua_State* lua) {
    SessionConfig config;
    lua_getfield(lua, 1, "containers");
    luaL_checktype(lua, -1, LUA_TTABLE);
    const lua_Integer count = luaL_len(lua, -1);
    if (count < 1 || count > kMostContainers) raise(lua, fmt::format("a lesson's session has 1 to {} containers", kMostContainers));
    for (lua_Integer i = 1; i <= count; ++i) {
        lua_geti(lua, -1, i);
        config.containers.push_back(spec_of(lua));
        config.runs.push_back(run_of(lua, config.containers.back()));
        lua_pop(lua, 1);
    }
    lua_pop(lua, 1);
    const MachineTime time(lua);
    auto session = Session::create(config);
    if (!session) raise(lua, session.error());
    *state_of(lua).session = std::move(*session);
    return 0;
}

} // namespace trapeze::scenarios::lua_functions
