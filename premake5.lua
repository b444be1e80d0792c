-- The build: a static library for each folder, the programs, the tests. Works with premake5 and with premake4
-- (`premake4 --file=premake5.lua gmake`). What is generated goes to $TRAPEZE_BUILD_DIR, or build/.
dofile(".ci/premake4-names.lua")

local root = os.getcwd()
local out = os.getenv("TRAPEZE_BUILD_DIR") or (root .. "/build")
local capstone = os.getenv("TRAPEZE_CAPSTONE") -- a folder with include/ and libcapstone.a, "system", or nothing

local function has_sources(pattern) return #os.matchfiles(root .. "/" .. pattern) > 0 end

-- premake4 names an object file after its source alone: of two sources with one name in a project, one would be left out silently.
local function check_names(patterns, excluded)
  local seen = {}
  for _, pattern in ipairs(patterns) do
    for _, file in ipairs(os.matchfiles(root .. "/" .. pattern)) do
      local path, name = file:sub(#root + 2), file:match("([^/]+)$")
      local left_out = false
      for _, prefix in ipairs(excluded) do left_out = left_out or path:sub(1, #prefix) == prefix end
      if not left_out and seen[name] then error("two sources of one project have the same name, rename one: " .. seen[name] .. ", " .. path) end
      if not left_out then seen[name] = path end
    end
  end
end

workspace "Trapeze"
  configurations { "Release", "Debug", "Sanitize" }
  location(out)

local function common(kind_of_project, target_folder)
  kind(kind_of_project)
  language "C++"
  cppdialect "C++20"
  location(out)
  includedirs { root }
  externalincludedirs { "/usr/include/imgui", "/usr/include/imgui/backends", "/usr/include/lua5.4", "/usr/include/SDL2" }
  buildoptions { "-Wall", "-Wextra" }
  if not capstone then
    defines { "TRAPEZE_NO_CAPSTONE" }
  elseif capstone ~= "system" then
    externalincludedirs { capstone .. "/include" }
  end
  filter { "configurations:Release" }
    buildoptions { "-O2", "-g1" } -- lines and functions, for profilers and stack traces; a third less time to compile than with all of -g
    targetdir(out .. "/" .. target_folder)
    objdir(out .. "/obj/release")
  filter { "configurations:Debug" }
    symbols "On"
    targetdir(out .. "/debug/" .. target_folder)
    objdir(out .. "/obj/debug")
  filter { "configurations:Sanitize" }
    buildoptions { "-O1", "-g1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined" }
    linkoptions { "-fsanitize=address,undefined" }
    targetdir(out .. "/sanitize/" .. target_folder)
    objdir(out .. "/obj/sanitize")
  filter {}
end

-- Dependencies point one way (docs/architecture.md); .ci/check-layers reads this table.
local layers = {
  { name = "emulator", uses = {} },
  { name = "hypervisor-sim", uses = { "emulator" } },
  { name = "container-sim", uses = { "emulator" } },
  { name = "scenarios", uses = { "hypervisor-sim", "container-sim", "emulator" } },
  { name = "ui", uses = { "scenarios", "hypervisor-sim", "container-sim", "emulator" } },
}
local system = {
  emulator = { "fdt", "fmt", "zstd", "z" },
  ["container-sim"] = { "archive", "crypto" },
  scenarios = { "lua5.4-c++", "md4c", "dw", "elf" },
  ui = { "SDL2", "imgui", "GL", "stb" },
}

for _, layer in ipairs(layers) do
  if has_sources(layer.name .. "/**.cpp") then
    project(layer.name)
      common("StaticLib", "lib")
      files { layer.name .. "/**.cpp" }
      check_names({ layer.name .. "/**.cpp" }, { "ui/main.cpp", "scenarios/guests/" })
      removefiles { "ui/main.cpp", "scenarios/guests/**" }
  end
end

-- Links the layers from `top` down, and the libraries that they need.
local function link_from(top)
  local from = false
  for i = #layers, 1, -1 do
    from = from or layers[i].name == top
    if from and has_sources(layers[i].name .. "/**.cpp") then links { layers[i].name } end
  end
  for i = #layers, 1, -1 do
    if has_sources(layers[i].name .. "/**.cpp") and system[layers[i].name] then links(system[layers[i].name]) end
  end
  if capstone then
    if capstone ~= "system" then libdirs { capstone } end
    links { "capstone" }
  end
  links { "pthread", "dl" }
end

local function program(name, sources, excluded, more)
  local exclusions = {}
  for _, pattern in ipairs(excluded or {}) do table.insert(exclusions, (pattern:gsub("%*.*", ""))) end
  project(name)
    common("ConsoleApp", "bin")
    files(sources)
    check_names(sources, exclusions)
    if excluded then removefiles(excluded) end
    link_from("ui")
    if more then links(more) end
end

if has_sources("ui/main.cpp") then program("trapeze", { "ui/main.cpp" }) end
if has_sources("tests/main.cpp") then program("trapeze-tests", { "tests/**.cpp" }, { "tests/fuzz/**", "tests/bench/**" }, { "mpfr" }) end
if has_sources("tests/fuzz/*.cpp") then program("trapeze-fuzz", { "tests/fuzz/*.cpp" }) end
if has_sources("tests/bench/*.cpp") and os.getenv("TRAPEZE_BENCH") then program("trapeze-bench", { "tests/bench/*.cpp" }, nil, { "benchmark" }) end
