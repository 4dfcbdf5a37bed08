-- Whole streams: which there are, their metadata, and deleting them.

local confirm = require "repl.confirm"
local glob = require "repl.glob"
local text = require "repl.text"
local pump = require "pump"

local json = pump.json

local streams = {}

-- What a call of the module returned, or its error raised.
local function check(value, err)
  if value == nil then error(err, 0) end
  return value
end

local function refuse(message, ...)
  error(string.format(message, ...), 0)
end

---- streams -------------------------------------------------------------------------------------

-- Names that were seen, the last so many of them at least: two halves, of which the older one
-- goes when the newer one is full.
streams.most_seen = 50000

local function memory()
  local new, old, count, is_whole = {}, {}, 0, true
  return {
    is_whole = function() return is_whole end,
    knows = function(name) return new[name] or old[name] end,
    add = function(name)
      new[name], count = true, count + 1
      if count < streams.most_seen then return end
      is_whole = is_whole and next(old) == nil
      new, old, count = {}, new, 0
    end,
  }
end

-- Calls fn with every name that $all tells, once. Where more streams are than are remembered, the
-- server is asked whether a stream begins with the event that made it known.
local function names_in_all(conn, fn)
  local seen = memory()
  local function is_new(event)
    if seen.knows(event.stream) then return false end
    seen.add(event.stream)
    if event.event_number == 0 or seen.is_whole() then return true end
    local slice = conn:get(event.stream, { max_count = 1, resolve_links = false })
    return slice ~= nil and slice[1] ~= nil and slice[1].event_number == event.event_number
  end
  for event in conn:iter_all { resolve_links = false } do
    if is_new(event) then fn(event.stream) end
  end
end

-- The same of $streams, which holds a link to the first event of each stream. Returns whether
-- there is such a stream.
local function names_in_streams(conn, fn)
  local ok, err = pcall(function()
    for event in conn:iter("$streams", { resolve_links = false }) do
      local name = (event.data or ""):match("^%d+@(.+)$")
      if name then fn(name) end
    end
  end)
  if not ok and err.code ~= "stream_not_found" then error(err, 0) end
  return ok
end

-- Shows streams, in their order, with where they end. A name may be there of which the stream is
-- deleted, so each is asked for; many at once.
local most_asked = 64
local is_gone = { stream_not_found = true, stream_deleted = true, event_not_found = true }

local function shower(conn, rows, is_raw)
  local asked = {}
  local function show_first()
    local name, task = table.unpack(table.remove(asked, 1))
    local last, err = task:join()
    if not last and is_gone[err.code] then return end
    if not last and err.code ~= "access_denied" then error(err, 0) end
    if is_raw then return rows:add { { "stream", name } } end
    rows:add { { "last_event_number", last and last.event_number }, { "stream", name } }
  end
  return setmetatable({
    add = function(_, name)
      asked[#asked + 1] = { name, pump.spawn(function()
        return conn:get_event(name, "last", { resolve_links = false })
      end) }
      if #asked >= most_asked then show_first() end
    end,
    finish = function()
      while #asked > 0 do show_first() end
      rows:finish()
    end,
  }, { __close = function()
    for _, entry in ipairs(asked) do entry[2]:cancel() end
  end })
end

function streams.list(session, given)
  local wanted = given.PATTERN or "*"
  local pattern, with_system = glob.pattern(wanted), wanted:sub(1, 1) == "$"
  local conn = session:connection()
  local found <close> = shower(conn, session:rows(), session.format == "raw")
  local function add(name)
    if name:find(pattern) and (with_system or name:sub(1, 1) ~= "$") then found:add(name) end
  end
  if not names_in_streams(conn, add) then names_in_all(conn, add) end
  found:finish()
end

---- meta ----------------------------------------------------------------------------------------

-- The option --expected as the module wants it.
local function expected_version(given, command)
  local wanted = given.expected
  if wanted == nil or wanted == "any" or wanted == "no_stream" or wanted == "stream_exists" then
    return wanted
  end
  local number = wanted:find("^%d+$") and math.tointeger(tonumber(wanted))
  return number or refuse("%s: --expected is an event number, any, no_stream or stream_exists, "
    .. "not \"%s\"", command, text.safe(wanted))
end

local function set_metadata(session, given)
  local stream, metadata = given.STREAM, given.JSON:match("^'(.*)'$") or given.JSON
  local value, problem = json.decode(metadata)
  if value == nil then refuse("meta: JSON is not JSON: %s", tostring(problem)) end
  if not metadata:find("^%s*{") then
    refuse("meta: JSON is an object, as '{\"$maxCount\": 100}'")
  end
  local result = check(session:connection():set_metadata(stream, metadata, {
    expected_version = expected_version(given, "meta"),
  }))
  session:record({
    { "stream", stream }, { "version", result.last_event_number },
    { "metadata", metadata, json = true },
  }, string.format("the metadata of %s is at version %d", stream, result.last_event_number))
end

function streams.meta(session, given)
  if given.JSON then return set_metadata(session, given) end
  if given.expected then refuse("meta: --expected goes with the JSON that is to be set") end
  local stream = given.STREAM
  local metadata, version, event = session:connection():get_metadata(stream)
  check(metadata, version)
  local shown = event and event.data or "{}"
  if session.format == "raw" then return session.out:write(shown .. "\n") end
  session:record { { "stream", stream }, { "version", version },
    { "metadata", shown, json = true } }
end

---- delete --------------------------------------------------------------------------------------

-- Where the stream ends, as words for the question; raises that there is no such stream. What else
-- may hinder a reader does not hinder who deletes.
local function extent(conn, stream, is_hard)
  local last, err = conn:get_event(stream, "last", { resolve_links = false })
  if last then return string.format(" (last event %d)", last.event_number) end
  if err.code == "stream_deleted" or err.code == "stream_not_found" and not is_hard then
    error(err, 0)
  end
  return ""
end

function streams.delete(session, given)
  local stream, is_hard = given.STREAM, given.hard or false
  local expected = expected_version(given, "delete")
  if stream == "$all" then refuse("delete: $all is no stream, and cannot be deleted") end
  local conn = session:connection()
  local at = extent(conn, stream, is_hard)
  if not given.yes then
    confirm.ask(session.out, "delete", string.format(is_hard
      and "Delete %s%s for ever, its name too?" or "Delete %s%s?", stream, at))
  end
  local result = check(conn:delete(stream, { hard = is_hard, expected_version = expected }))
  local position = result.position
  session:record({
    { "stream", stream }, { "hard", is_hard },
    { "position", { commit = position.commit, prepare = position.prepare } },
  }, string.format("%s is deleted%s", stream, is_hard and " for ever" or ""))
end

return streams
