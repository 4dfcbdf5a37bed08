-- Events: those to write, and the methods of those that were read.
local core = require "pump.core"
local errors = require "pump.error"
local json = require "pump.json"
local options = require "pump.options"

local M = {}

local new_event_class = {}
new_event_class.__name = "pump.new_event"

function new_event_class:__tostring()
  return ("pump.new_event{%s}"):format(self.type)
end

-- The metatable of what M.new makes.
M.class = new_event_class

M.event_options = { id = "uuid", metadata = "metadata", content_type = "content_type" }

local bodies = { table = true, string = true, number = true, boolean = true, ["nil"] = true }

local function check_body(body, content_type)
  local kind = type(body)
  if content_type == "binary" and kind ~= "string" and body ~= nil then
    errors.misuse("a binary body must be a string, got %s", kind)
  elseif not bodies[kind] and body ~= json.null then
    errors.misuse("bad body of an event (table, string, number, boolean or pump.null expected, "
      .. "got %s)", kind)
  end
end

local function make(event_type, body, given)
  return setmetatable({
    type = event_type,
    data = body,
    id = given.id,
    metadata = given.metadata,
    content_type = given.content_type,
  }, new_event_class)
end

-- An event to write. body: a table, number, boolean or pump.null is stored as JSON, a string byte
-- for byte, and nil is empty.
function M.new(event_type, body, given)
  if type(event_type) ~= "string" then options.string_argument(event_type, 1, "new_event") end
  if event_type == "" then errors.misuse("bad argument #1 to 'new_event' (a type needs a name)") end
  if given == nil and bodies[type(body)] then -- most are made so, by the million
    return setmetatable({ type = event_type, data = body }, new_event_class)
  end
  given = options.check(given, M.event_options, "new_event")
  check_body(body, given.content_type)
  return make(event_type, body, given)
end

-- What a user hands over to be written: a table with the fields of what new_event makes, or an
-- event that was read. Misuse raises.
local function accept(event)
  if core.is_event(event) then
    local metadata = event.metadata
    return make(event.type, event.data, {
      metadata = metadata ~= "" and metadata or nil,
      content_type = event.is_json and "json" or "binary",
    })
  end
  if type(event) ~= "table" then
    errors.misuse("bad event to 'publish' (an event expected, as of pump.new_event, got %s)",
      type(event))
  end
  local given = {}
  for name, value in next, event do
    if name ~= "type" and name ~= "data" then given[name] = value end
  end
  return M.new(event.type, event.data, given)
end

local function encode_by(codec, value)
  local ok, text, err = pcall(codec.encode, value)
  if ok and type(text) == "string" then return text end
  return nil, errors.new("json_error", errors.text(ok and err or text))
end

-- What a user hands over, as the C part takes it, or nil and an error: what another codec has to
-- encode is encoded, and what is said to be JSON is.
function M.prepare(event, codec)
  if getmetatable(event) ~= new_event_class then event = accept(event) end
  local data, metadata = event.data, event.metadata
  if type(data) == "string" then
    if event.content_type == "json" then
      local ok, message, offset = core.json.check(data)
      if not ok then return nil, errors.new("json_error", message, { offset = offset }) end
    end
    if not codec or type(metadata) ~= "table" then return event end
  elseif not codec then
    return event
  end
  local err
  local ready = make(event.type, data, event)
  if data ~= nil and type(data) ~= "string" then
    ready.data, err = encode_by(codec, data)
    if not ready.data then return nil, err end
    ready.content_type = "json"
  end
  if type(metadata) == "table" then
    ready.metadata, err = encode_by(codec, metadata)
    if not ready.metadata then return nil, err end
  end
  return ready
end

local function decode(event, field, where)
  local value, message, offset = core.decode(event, field == "metadata")
  if value ~= nil then
    return value
  elseif message then
    return nil, errors.new("json_error", message, { offset = offset })
  end
  if not core.is_event(event) then errors.bad_self(where, "an event", event) end
  local text = event[field]
  if not text or text == "" then
    return nil, errors.new("json_error", ("the event has no %s"):format(field))
  end
  local ok, err
  ok, value, err = pcall(core.decoder(event), text)
  if ok and value ~= nil then return value end
  return nil, errors.new("json_error", errors.text(ok and err or value))
end

core.event_methods(
  function(event) return decode(event, "data", "json") end,
  function(event) return decode(event, "metadata", "metadata_json") end)

return M
