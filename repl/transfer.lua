-- import and export: a stream as lines of JSON, exact in both directions.

local base64 = require "repl.base64"
local driver = require "repl.driver"
local format = require "repl.format"
local json_text = require "repl.json_text"
local progress = require "repl.progress"
local status = require "repl.status"
local text = require "repl.text"
local pump = require "pump"

local transfer = {}

local json = pump.json

-- The bytes of a body, and whether they are JSON; or nil and what is wrong. null_is_empty: the
-- JSON text null stands for no bytes at all.
local function body(members, name, null_is_empty)
  local raw, encoded = members['"' .. name .. '"'], members['"' .. name .. '_base64"']
  if encoded then
    local decoded = json.decode(encoded)
    local bytes = type(decoded) == "string" and base64.decode(decoded)
    if not bytes then return nil, string.format('"%s_base64" is not Base64', name) end
    return bytes, false
  end
  if not raw or raw == "null" and null_is_empty then return "", false end
  return raw, true
end

-- The text of a member that must be a string, nil where it is absent.
local function string_of(members, name)
  local raw = members['"' .. name .. '"']
  if not raw or raw == "null" then return nil end
  local value = json.decode(raw)
  if type(value) ~= "string" then return nil, string.format('"%s" is not a string', name) end
  return value
end

-- One line of JSON as an event; or nil and what is wrong with it.
function transfer.parse(line)
  if not json_text.is_json(line) then return nil, tostring(select(2, json.decode(line))) end
  local members = json_text.members(line)
  if not members then return nil, "it is no JSON object" end
  local kind, id, data, is_json, metadata, problem
  kind, problem = string_of(members, "type")
  if not kind or kind == "" then return nil, problem or '"type" is missing' end
  id, problem = string_of(members, "id")
  if problem then return nil, problem end
  local said = members['"is_json"']
  data, is_json = body(members, "data", said == "false")
  if not data then return nil, is_json end
  metadata, problem = body(members, "metadata", true)
  if not metadata then return nil, problem end
  if said then is_json = said == "true" end
  local made, event = pcall(pump.new_event, kind, data, {
    id = id, metadata = metadata ~= "" and metadata or nil,
    content_type = is_json and "json" or nil,
  })
  if not made then return nil, (tostring(event):gsub("^repl/[%w_./]+:%d+: ", "")) end
  return event
end

-- $all has positions instead of numbers, and events of other streams.
local function check_stream(command, stream)
  if stream == "$all" then
    error(string.format("%s: it takes one stream, not $all", command), 0)
  end
end

-- Reads lines until the end of standard input and publishes them. Returns how many events there
-- were. A bad line ends it: what stood before is written.
function transfer.import(conn, out, stream)
  check_stream("import", stream)
  local line_number, problem = 0, nil
  local done <close> = progress.new(out, "imported")
  local function next_event()
    local line = driver.read_line()
    while line and not line:find("%S") do
      line_number = line_number + 1
      line = driver.read_line()
    end
    if not line then return nil end
    line_number = line_number + 1
    local event, wrong = transfer.parse(line)
    if not event then
      problem = string.format("line %d: %s", line_number, wrong)
      return nil
    end
    done:step()
    return event
  end
  local ok, result, err = pcall(conn.publish, conn, stream, next_event)
  if not ok then
    local count = type(result) == "table" and result.code == "cancelled" and result.count
    if count then
      out:error(string.format("import: interrupted; at least %s events are written",
        text.count(count)))
    end
    error(result, 0)
  elseif not result then
    error(status.within(string.format("import: %s events are written, then ",
      text.count(err.count or 0)), err), 0)
  end
  if problem then
    error(string.format("import: %s; the %s events before it are written", problem,
      text.count(done.count)), 0)
  end
  return done.count
end

-- Writes all events of a stream as lines.
function transfer.export(conn, out, stream)
  check_stream("export", stream)
  local done <close> = progress.new(out, "exported", true)
  local writer = format.events(out, { format = "jsonl", exact = true })
  for event in conn:iter(stream, { resolve_links = false }) do
    writer:add(event)
    done:step()
  end
end

return transfer
