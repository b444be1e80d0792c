-- premake4 lacks some of premake5's names. This file supplies them, in terms of what premake4 has, so that premake5.lua works with both.
if workspace then return end

workspace = solution
cppdialect = function(dialect) buildoptions { "-std=" .. dialect:lower():gsub("c%+%+", "c++") } end
symbols = function(value) if value == "On" then flags { "Symbols" } end end
optimize = function(value) if value == "On" then buildoptions { "-O2" } end end
removefiles = excludes
filter = function(terms)
  if type(terms) == "string" then terms = { terms } end
  local name = terms and terms[1] and terms[1]:match("configurations:(.*)")
  configuration(name and { name } or {})
end
externalincludedirs = function(dirs)
  for _, dir in ipairs(dirs) do buildoptions { "-isystem " .. dir } end
end
