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
  if said and said ~= "true" and said ~= "false" then
    return nil, '"is_json" is true or false'
  end
  data, is_json = body(members, "data", said == "false")
  if not data then return nil, is_json end
  metadata, problem = body(members, "metadata", true)
  if not metadata then return nil, problem end
  if said then is_json = said == "true" end
  local made, event = pcall(pump.new_event, kind, data, {
    id = id and id:lower(), metadata = metadata ~= "" and metadata or nil,
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

-- The events of standard input, a line each: calling it gives the next one, nil at the end or where
-- a line is none (problem says so then). written is how many are known to be in the stream.
local function line_reader(done)
  local reader = { line = 0, written = 0 }
  return setmetatable(reader, { __call = function()
    local line
    repeat
      line = not reader.problem and driver.read_line()
      if not line then return nil end
      reader.line = reader.line + 1
    until line:find("%S")
    local event, wrong = transfer.parse(line)
    if not event then
      reader.problem = string.format("line %d: %s", reader.line, wrong)
      return nil
    end
    done:step()
    return event
  end })
end

-- Passes over what an import that was interrupted has left in the stream, where the stream begins
-- with it, as servers know only so many ids again. Returns the first event that is not there.
local function pass_over(conn, stream, next_event)
  local event = next_event()
  local function is_there(other) return event and other and event.id == other.id end
  local start = event and event.id and conn:get(stream, { max_count = 1, resolve_links = false })
  if not start or not is_there(start[1]) then return event end
  for other in conn:iter(stream, { resolve_links = false }) do
    if not is_there(other) then break end
    next_event.written = next_event.written + 1
    event = next_event()
  end
  return event
end

-- Publishes a batch of which the stream may hold some. A server knows one again that it has as a
-- whole, not one that it has in part: that goes event by event.
local function publish_again(conn, stream, batch, next_event)
  local result, err = conn:publish(stream, batch)
  if result then
    next_event.written = next_event.written + #batch
  elseif err.code == "wrong_expected_version" and #batch > 1 then
    for _, event in ipairs(batch) do
      result, err = publish_again(conn, stream, { event }, next_event)
      if not result then break end
    end
  end
  return result, err
end

local batch_size = 500

-- Publishes until something was new to the stream: what follows is, too. Returns the event behind
-- that, nil at the end; raises what fails.
local function write_known(conn, stream, event, next_event)
  local slice = conn:get(stream, { from_event = "end", direction = "backward", max_count = 1 })
  local last, wanted = slice and slice.last_event_number or -1, 1
  while event do
    local batch = { event }
    while #batch < wanted do
      local another = next_event()
      if not another then break end
      batch[#batch + 1] = another
    end
    local result, err = publish_again(conn, stream, batch, next_event)
    if not result then error(err, 0) end
    event, wanted = next_event(), batch_size
    if result.last_event_number > last then break end
  end
  return event
end

local function publish_lines(conn, stream, next_event)
  local event = pass_over(conn, stream, next_event)
  if event and event.id then event = write_known(conn, stream, event, next_event) end
  local ok, result, err = pcall(conn.publish, conn, stream, function()
    local this = event or next_event()
    event = nil
    return this
  end)
  local told = ok and (result or err) or result
  next_event.written = next_event.written + (type(told) == "table" and told.count or 0)
  if not ok or not result then error(ok and err or result, 0) end
end

-- Reads lines until the end of standard input and publishes them. Returns how many events there
-- were. A bad line ends it: what stood before is written.
function transfer.import(conn, out, stream)
  check_stream("import", stream)
  local done <close> = progress.new(out, "imported")
  local next_event = line_reader(done)
  local ok, err = pcall(publish_lines, conn, stream, next_event)
  local written = text.count(next_event.written)
  if not ok and status.is(err, "cancelled") then
    out:error(string.format("import: interrupted; at least %s events are written", written))
    error(err, 0)
  elseif not ok then
    error(status.within(string.format("import: %s events are written, then ", written), err), 0)
  elseif next_event.problem then
    error(string.format("import: %s; the %s events before it are written", next_event.problem,
      written), 0)
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
