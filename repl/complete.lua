-- What the tab key offers: commands and their arguments, Lua names through metatables, names of
-- streams and types in strings. Nothing here waits.

local commands = require "repl.commands"
local format = require "repl.format"
local names = require "repl.names"
local settings = require "repl.settings"
local system = require "repl.system"

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

-- Of a set of names those that begin with what stands before the cursor: from `start` of it on,
-- which is the word that is replaced.
local function that_begin(set, typed, start)
  local words = {}
  for name in pairs(set) do
    if name:sub(1, #typed) == typed then words[#words + 1] = name:sub(start) end
  end
  table.sort(words)
  return words
end

local function set_of(list)
  local set = {}
  for _, name in ipairs(list) do set[name] = true end
  return set
end

local function command_names()
  return set_of(commands.names("shell"))
end

-- What may stand for an argument, by its name in the table of commands, where so much is typed.
local arguments = {
  STREAM = names.streams,
  TYPE = names.types,
  GROUP = names.groups,
  ACTION = function() return set_of { "create", "update", "delete", "info" } end,
  HOW = function() return set_of { "park", "retry", "skip" } end,
  NAME = function() return set_of(settings.names) end,
  VALUE = function() return set_of { "on", "off" } end,
  COMMAND = command_names,
  FORMAT = function() return set_of(format.names) end,
  FILE = function(typed) return set_of(system.files(typed)) end,
}

local function option_names(command)
  local set = {}
  for _, option in ipairs(command.options or {}) do set["--" .. option[1]] = true end
  return set
end

-- The option that the last of some words is and that wants a value, if it does.
local function wants_value(command, word)
  for _, option in ipairs(command.options or {}) do
    if word == "--" .. option[1] and option[2] then return option end
  end
end

-- The words of a command's line, for its argument or option `typed`.
local function of_command(line, typed, start)
  local name, before = line:match("^%s*\\(%S*)%s+(.*)$")
  local command = commands.find(name, "shell")
  if not command then return {} end
  if typed:find("^%-") then return that_begin(option_names(command), typed, start) end
  local at, option = 1, nil
  for word in before:gmatch("%S+") do
    local is_value = option ~= nil
    option = not is_value and wants_value(command, word) or nil
    if not is_value and not word:find("^%-") then at = at + 1 end
  end
  if option then return that_begin(set_of(option.one_of or {}), typed, start) end
  local offered = arguments[((command.arguments or {})[at] or ""):match("%u+")]
  return offered and that_begin(offered(typed), typed, start) or {}
end

-- Where the string begins that a piece of Lua ends in, nil where it ends outside of one.
local function open_string(source)
  local at = 1
  while true do
    local quote
    at, quote = source:match("()(['\"])", at)
    if not at then return nil end
    local stop = at + 1
    while stop <= #source and source:sub(stop, stop) ~= quote do
      stop = stop + (source:sub(stop, stop) == "\\" and 2 or 1)
    end
    if stop > #source then return at + 1 end
    at = stop + 1
  end
end

-- What the word may become that starts at `first` of a line. env: the globals; more: values under
-- names that are not among them (conn).
function complete.words(line, first, word, env, more)
  local before = line:sub(1, first - 1)
  if line:find("^%s*\\") then
    local typed = before:match("%S*$") .. word
    local start = #typed - #word + 1
    if not before:find("^%s*\\%S*%s") then
      local found = {}
      for name in pairs(command_names()) do found["\\" .. name] = true end
      return that_begin(found, typed, start)
    end
    return of_command(before:sub(1, #before - start + 1), typed, start)
  end
  local string_start = open_string(before)
  if string_start then
    local typed = before:sub(string_start) .. word
    local set = {}
    for name in pairs(names.streams()) do set[name] = true end
    for name in pairs(names.types()) do set[name] = true end
    return that_begin(set, typed, #typed - #word + 1)
  end
  local found, path = {}, before:match("([%w_.]*)[.:]$")
  if path then
    keys(more[path] or value_of(path, env), found)
  else
    keys(env, found)
    for name in pairs(more) do found[name] = true end
  end
  for key in pairs(found) do
    if not key:find("^[%a_][%w_]*$") then found[key] = nil end
  end
  return that_begin(found, word, 1)
end

return complete
