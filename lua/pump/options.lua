-- Options tables: every name is known and every value of its kind, or it is a misuse that says
-- what was meant perhaps.
local core = require "pump.core"
local distance = require "pump.distance"
local errors = require "pump.error"

local M = {}

local function near_names(name, known)
  local near = {}
  for candidate in pairs(type(name) == "string" and known or {}) do
    if distance(name, candidate) <= 2 or candidate:find(name, 1, true) and #name > 2 then
      near[#near + 1] = candidate
    end
  end
  if #near == 0 then
    for candidate in pairs(known) do near[#near + 1] = candidate end
    table.sort(near)
    return "known are " .. table.concat(near, ", ")
  end
  table.sort(near)
  return "did you mean " .. table.concat(near, " or ") .. "?"
end

local function is_type(name)
  return function(value) return type(value) == name, "a " .. name end
end

-- A number as an integer, nil for anything else: math.tointeger takes texts, too.
local function integer(value)
  return type(value) == "number" and math.tointeger(value) or nil
end

local function whole(low, high, text)
  return function(value)
    local number = integer(value)
    return number ~= nil and number >= low and number <= high, text
  end
end

-- What the protocol can say.
local MOST = (1 << 31) - 1

-- The kinds of values: functions that say whether a value is one, and what would be.
M.kinds = {
  string = is_type "string",
  text = function(value) -- which the C part takes up to the first zero
    if type(value) ~= "string" then return false, "a string" end
    return not value:find("\0", 1, true), "a string without zero bytes"
  end,
  boolean = is_type "boolean",
  table = is_type "table",
  port = whole(1, 65535, "a port, 1 to 65535"),
  natural = whole(0, MOST, "a whole number, 0 or more, at most " .. MOST),
  count = whole(1, MOST, "a whole number above 0, at most " .. MOST),
  page = whole(1, core.MAX_PAGE, "a whole number from 1 to " .. core.MAX_PAGE),
  seconds = function(value)
    return type(value) == "number" and value > 0 and value < math.huge, "seconds, above 0"
  end,
  pause = function(value)
    return type(value) == "number" and value >= 0 and value < math.huge, "seconds, 0 or more"
  end,
  direction = function(value)
    return value == "forward" or value == "backward", '"forward" or "backward"'
  end,
  event_number = function(value)
    local number = integer(value)
    return value == "start" or value == "end" or number and number >= 0,
      'a number of an event, "start" or "end"'
  end,
  expected_version = function(value)
    local number = integer(value)
    return value == "any" or value == "no_stream" or value == "stream_exists"
      or number and number >= -1, -- which is "no_stream", as err.current has it
      'a number of an event, "any", "no_stream" or "stream_exists"'
  end,
  position = function(value)
    return value == "start" or value == "end" or type(value) == "table"
      and integer(value.commit) ~= nil and integer(value.prepare) ~= nil,
      'a position (with commit and prepare), "start" or "end"'
  end,
  uuid = function(value)
    return type(value) == "string" and core.is_guid(value), "a UUID as text"
  end,
  content_type = function(value)
    return value == "json" or value == "binary", '"json" or "binary"'
  end,
  metadata = function(value)
    return type(value) == "string" or type(value) == "table", "a table or a string"
  end,
  codec = function(value)
    return type(value) == "table" and value.encode and value.decode and true or false,
      "a codec with encode and decode"
  end,
  callback = is_type "function",
  tls = function(value)
    return type(value) == "boolean" or type(value) == "table", "true, false or a table of settings"
  end,
  reconnect = function(value)
    return type(value) == "boolean" or type(value) == "table",
      "true, false or a table of settings"
  end,
  any = function() return true end,
}

-- A value for an error, which is one line.
function M.shown(value)
  if type(value) == "string" then
    return (("%q"):format(value:sub(1, 40)):gsub("\\\n", "\\n"))
  end
  return type(value) == "number" and tostring(value) or type(value)
end

-- Names of options to their kinds, from several lists; {} as value to start with.
function M.list(...)
  local list = {}
  for _, part in ipairs { ... } do
    for name, kind in pairs(part) do list[name] = kind end
  end
  return list
end

-- What every request takes.
M.call = {
  timeout = "seconds", username = "string", password = "string", require_leader = "boolean",
}

local none = {}

-- What a table with a metatable inherits counts, too, and is what it is from here on.
local function plain(options, known)
  local copy = {}
  for name, value in next, options do copy[name] = value end
  for name in pairs(known) do copy[name] = options[name] end
  return copy
end

function M.unknown(name, known, where)
  errors.misuse("unknown option %s to '%s'; %s", M.shown(name), where, near_names(name, known))
end

-- options as given, checked; an empty table for nil. where: "get"
function M.check(options, known, where)
  if options == nil then return none end
  if type(options) ~= "table" then
    errors.misuse("bad options to '%s' (table expected, got %s)", where, type(options))
  end
  if getmetatable(options) ~= nil then options = plain(options, known) end
  for name, value in next, options do
    local kind = known[name]
    if not kind then M.unknown(name, known, where) end
    local right, wanted = M.kinds[kind](value)
    if not right then
      errors.misuse("bad option '%s' to '%s' (%s expected, got %s)", name, where, wanted,
        M.shown(value))
    end
  end
  return options
end

-- The value of a text that stands in a URL, by its kind; nil if it is none.
function M.from_text(text, kind)
  if kind == "string" or kind == "text" then return text end
  if kind == "seeds" then
    local list = {}
    for part in text:gmatch "[^,]+" do list[#list + 1] = part end
    return M.kinds.seeds(list) and list or nil
  end
  if M.kinds[kind](text) then return text end
  if kind == "boolean" then
    if text == "true" or text == "1" then return true end
    if text == "false" or text == "0" then return false end
    return nil
  end
  local value = tonumber(text)
  if value and M.kinds[kind](value) then return value end
  return nil
end

function M.string_argument(value, number, where)
  if type(value) ~= "string" then
    errors.misuse("bad argument #%d to '%s' (string expected, got %s)", number, where, type(value))
  end
end

-- A list must be whole: what stands behind a hole would be left out without a word.
function M.list_argument(list, number, where)
  local length, count = 0, 0
  for index in ipairs(list) do length = index end
  for _ in next, list do count = count + 1 end
  if count == length then return end
  for key in next, list do
    if math.type(key) == "integer" and (key < 1 or key > length) then
      errors.misuse("bad argument #%d to '%s' (a list expected, got one with %d and without %d)",
        number, where, key, length + 1)
    end
  end
end

-- Seconds as the C part takes them.
function M.milliseconds(seconds)
  return seconds and math.ceil(math.min(seconds, 1e9) * 1000) or nil
end

return M
