-- Filters on $all: which events are wanted, by the stream or by the type. EventStore 20.6 and newer
-- know them; the C part finds out where the server does not.
local errors = require "pump.error"
local options = require "pump.options"

local M = {}

-- What every call that takes a filter takes.
M.options = { filter = "filter", exclude_system = "boolean" }

local names = { stream_prefix = true, stream_regex = true, type_prefix = true, type_regex = true }

local function is_text(value)
  return type(value) == "string" and value ~= ""
end

-- As the C part takes it: { by_type =, is_regex =, text… }, or nil for what is no filter.
local function read(value)
  local name, texts = next(value)
  if not names[name] or next(value, name) ~= nil then return nil end
  local is_regex = name:find "regex" ~= nil
  if type(texts) ~= "table" then
    texts = { texts }
  elseif is_regex then
    return nil
  end
  local filter = { by_type = name:find "^type" ~= nil, is_regex = is_regex }
  for i, text in ipairs(texts) do
    if not is_text(text) then return nil end
    filter[i] = text
  end
  return filter[1] and filter
end

function options.kinds.filter(value)
  return type(value) == "table" and read(value) ~= nil,
    "a table with one of stream_prefix, type_prefix (a text or a list), stream_regex, type_regex"
end

-- How EventStore's own clients leave out the events of the system.
local no_system = read { type_regex = "^[^\\$].*" }

-- The filter of the options as the C part takes it, nil for none. where: "get_all"
function M.of(given, where)
  if not given.exclude_system then return given.filter and read(given.filter) end
  if given.filter then
    errors.misuse("bad option 'exclude_system' to '%s' (there is a filter already)", where)
  end
  return no_system
end

return M
