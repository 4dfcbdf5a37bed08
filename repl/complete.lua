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

local function add_keys(value, found)
  for key in next, value do
    if type(key) == "string" then found[key] = true end
  end
end

-- Every string key of a value and of what it inherits from. An __index that is a function is not
-- called: the tables it was made with are where it looks.
local function keys(value, found)
  for _ = 1, 10 do
    if type(value) == "table" then add_keys(value, found) end
    local meta = debug.getmetatable(value)
    local inherited = type(meta) == "table" and rawget(meta, "__index") or nil
    if type(inherited) == "function" then
      for i = 1, 10 do
        local _, upvalue = debug.getupvalue(inherited, i)
        if type(upvalue) == "table" then add_keys(upvalue, found) end
      end
    end
    value = inherited
    if type(value) ~= "table" then return end
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

-- env: the globals; more: values under names that are not among them (conn).
function complete.words(line, first, word, env, more)
  local command = line:match("^\\()")
  local found = {}
  if command then
    if first > command then return {} end
    for _, name in ipairs(commands.names("shell")) do found[name] = true end
    return with_prefix(found, "\\", word:sub(2))
  end
  local path = line:sub(1, first - 1):match("([%w_.]*)[.:]$")
  if path then
    keys(more[path] or value_of(path, env), found)
  else
    keys(env, found)
    for name in pairs(more) do found[name] = true end
  end
  return with_prefix(found, "", word)
end

return complete
