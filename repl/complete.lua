-- What the tab key offers: commands, and Lua names through metatables. Nothing here waits.

local commands = require "repl.commands"

local complete = {}

-- The value that a dotted path names, as far as that can be told without calling anything.
local function value_of(path, env)
  local value = env
  for name in path:gmatch("[%a_][%w_]*") do
    if type(value) ~= "table" then
      return nil
    end
    value = rawget(value, name)
  end
  return value
end

-- Every string key of a table and of those that it inherits from.
local function keys(value, found)
  local seen = 0
  while value ~= nil and seen < 10 do
    if type(value) == "table" then
      for key in next, value do
        if type(key) == "string" then found[key] = true end
      end
    end
    local meta = debug.getmetatable(value)
    local inherited = type(meta) == "table" and rawget(meta, "__index")
    value = type(inherited) == "table" and inherited or nil
    seen = seen + 1
  end
end

local function with_prefix(found, prefix, start)
  local words = {}
  for key in pairs(found) do
    if key:sub(1, #start) == start and key:find("^[%a_][%w_]*$") then
      words[#words + 1] = prefix .. key
    end
  end
  table.sort(words)
  return words
end

-- readline wants what all of them begin with first, then each.
local function with_common(words)
  if #words < 2 then return words end
  local common = words[1]
  for _, word in ipairs(words) do
    while word:sub(1, #common) ~= common do common = common:sub(1, -2) end
  end
  table.insert(words, 1, common)
  return words
end

-- env: the globals; more: values under names that are not among them (conn).
function complete.words(line, first, word, env, more)
  if line:sub(1, 1) == "\\" then
    if first > 2 then return {} end
    local found, start = {}, word:gsub("^\\", "")
    local prefix = word:sub(1, #word - #start)
    for _, name in ipairs(commands.names("shell")) do found[name] = true end
    return with_prefix(found, prefix, start)
  end
  local path, start = word:match("^(.*[.:])([%w_]*)$")
  local found = {}
  if path then
    local name = path:match("^[%w_]+")
    keys(more[name] and path:find("^[%w_]+[.:]$") and more[name] or value_of(path, env), found)
    return with_prefix(found, path, start)
  end
  keys(env, found)
  for name in pairs(more) do found[name] = true end
  return with_prefix(found, "", word)
end

complete.with_common = with_common

return complete
