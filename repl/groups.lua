-- groups and group: persistent subscriptions, which a server keeps for groups of consumers.
--
-- What TCP has no question for stands in streams of the server, which an admin can read: which
-- groups there are, with which settings; how far each has come; and what it has parked.

local confirm = require "repl.confirm"
local names = require "repl.names"
local status = require "repl.status"
local text = require "repl.text"

local groups = {}

local config_stream = "$persistentSubscriptionConfig"

local function check(value, err)
  if value == nil then error(err, 0) end
  return value
end

local function refuse(message, ...)
  error(string.format(message, ...), 0)
end

---- What the server keeps -----------------------------------------------------------------------

-- The last event of a stream of the server's, or nil where there is none.
local function last_of(conn, stream)
  local event, err = conn:get_event(stream, "last", { resolve_links = false })
  if event then return event end
  if err.code == "stream_not_found" or err.code == "event_not_found" then return nil end
  error(status.within("groups: only an admin can look at them: ", err), 0)
end

-- The groups of a server, in the order of their names. An entry has the server's own keys.
local function entries(conn, stream)
  local event = last_of(conn, config_stream)
  local config = event and check(event:json())
  local list = {}
  for _, entry in ipairs(type(config) == "table" and config.entries or {}) do
    if type(entry) == "table" and type(entry.stream) == "string" and type(entry.group) == "string"
      and (not stream or entry.stream == stream) then
      list[#list + 1] = entry
    end
  end
  table.sort(list, function(a, b)
    if a.stream ~= b.stream then return a.stream < b.stream end
    return a.group < b.group
  end)
  return list
end

local function find(conn, stream, group)
  for _, entry in ipairs(entries(conn, stream)) do
    if entry.group == group then return entry end
  end
  error(setmetatable({ code = "subscription_not_found" }, { __tostring = function()
    return string.format("group: there is no group %s of %s; groups lists those there are",
      text.safe(group), text.safe(stream))
  end }), 0)
end

-- How many events stand in a stream, as far as its numbers tell.
local function extent(conn, stream)
  local last = last_of(conn, stream)
  if not last then return 0 end
  local page = conn:get(stream, { max_count = 1, resolve_links = false })
  return page and page[1] and last.event_number - page[1].event_number + 1 or 0
end

-- How far a group has come: the number that it has kept, the stream's last one, what is parked.
local function progress(conn, entry)
  local prefix = "$persistentsubscription-" .. entry.stream .. "::" .. entry.group
  local checkpoint = last_of(conn, prefix .. "-checkpoint")
  local last = conn:get_event(entry.stream, "last", { resolve_links = false })
  return {
    { "checkpoint", checkpoint and math.tointeger(tonumber(checkpoint.data:match("%d+"))) },
    { "last_event_number", last and last.event_number },
    { "parked", extent(conn, prefix .. "-parked") },
  }
end

---- Settings ------------------------------------------------------------------------------------

local function as_it_is(value)
  return value
end

local function seconds(value)
  return math.tointeger(value / 1000) or value / 1000
end

local most_seconds = 2147483 -- servers count them in thousandths

-- Each setting: its option, its value's name if it has one, how it is told, and the server's key
-- with what makes the module's value of the server's.
local settings = {
  { "from-event", "N", help = "begin with that event, start, or end (the default)",
    key = "startFrom", from = function(value) return value < 0 and "end" or value end },
  { "resolve-links", help = "send what links lead to", key = "resolveLinkTos" },
  { "record-statistics", help = "measure how long events take", key = "extraStatistics" },
  { "message-timeout", "S", integer = 0, most = most_seconds, key = "messageTimeout",
    from = seconds, help = "seconds until an event is sent again; 0: never" },
  { "max-retry-count", "N", integer = 0, help = "how often, before it is parked",
    key = "maxRetryCount" },
  { "buffer-size", "N", integer = 1, help = "events of history kept in memory",
    key = "historyBufferSize" },
  { "live-buffer-size", "N", integer = 1, help = "live events kept in memory",
    key = "liveBufferSize" },
  { "read-batch-size", "N", integer = 1, help = "events read at once", key = "readBatchSize" },
  { "checkpoint-after", "S", integer = 0, most = most_seconds, key = "checkPointAfter",
    from = seconds, help = "seconds between checkpoints" },
  { "checkpoint-min-count", "N", integer = 0, help = "events between them, at least",
    key = "minCheckPointCount" },
  { "checkpoint-max-count", "N", integer = 0, help = "and at most", key = "maxCheckPointCount" },
  { "subscriber-max-count", "N", integer = 0, help = "consumers allowed; 0: any number",
    key = "maxSubscriberCount" },
  { "consumer-strategy", "NAME", help = "RoundRobin, DispatchToSingle, Pinned, "
    .. "PinnedByCorrelation", key = "namedConsumerStrategy" },
}

groups.options = { { "yes", help = "delete without asking" }, table.unpack(settings) }

local function lua_name(setting)
  return (setting[1]:gsub("%-", "_"))
end

-- What was given, as the module wants it; over what the group has, where there is one.
local function chosen(given, entry)
  local options = {}
  for _, setting in ipairs(settings) do
    local kept = entry and entry[setting.key]
    if kept ~= nil then options[lua_name(setting)] = (setting.from or as_it_is)(kept) end
    if given[setting[1]] ~= nil then options[lua_name(setting)] = given[setting[1]] end
  end
  local from = options.from_event
  if type(from) == "string" and from ~= "start" and from ~= "end" then
    options.from_event = from:find("^%d+$") and math.tointeger(tonumber(from))
      or refuse("group: --from-event is an event number, start or end, not \"%s\"", text.safe(from))
  end
  return options
end

---- Commands ------------------------------------------------------------------------------------

function groups.list(session, given)
  local conn, rows = session:connection(), session:rows()
  for _, entry in ipairs(entries(conn, given.STREAM)) do
    names.see_group(entry.group)
    rows:add { { "stream", entry.stream }, { "group", entry.group },
      table.unpack(progress(conn, entry)) }
  end
  rows:finish()
end

local actions = {}

local function tell(session, given, done)
  session:record({ { "stream", given.STREAM }, { "group", given.GROUP } },
    string.format("the group %s of %s is %s", given.GROUP, given.STREAM, done))
end

function actions.create(session, given)
  check(session:connection():create_subscription(given.GROUP, given.STREAM, chosen(given)))
  tell(session, given, "created")
end

-- The protocol sets all anew; a person means the one that was named.
function actions.update(session, given)
  local conn = session:connection()
  local options = chosen(given, find(conn, given.STREAM, given.GROUP))
  check(conn:update_subscription(given.GROUP, given.STREAM, options))
  tell(session, given, "updated")
end

function actions.delete(session, given)
  local conn = session:connection()
  if not given.yes then
    confirm.ask(session.out, "group", string.format("Delete the group %s of %s, and how far it "
      .. "has come?", given.GROUP, given.STREAM))
  end
  check(conn:delete_subscription(given.GROUP, given.STREAM))
  tell(session, given, "deleted")
end

function actions.info(session, given)
  local conn = session:connection()
  local entry = find(conn, given.STREAM, given.GROUP)
  local members = { { "stream", entry.stream }, { "group", entry.group },
    table.unpack(progress(conn, entry)) }
  for _, setting in ipairs(settings) do
    local value = entry[setting.key]
    if value ~= nil then
      members[#members + 1] = { lua_name(setting), (setting.from or as_it_is)(value) }
    end
  end
  session:record(members)
end

function groups.run(session, given)
  local action = actions[given.ACTION] or refuse(
    "group: say create, update, delete or info, not \"%s\"", text.safe(given.ACTION))
  if given.ACTION ~= "delete" and given.yes then refuse("group: --yes goes with delete") end
  names.see_group(given.GROUP)
  action(session, given)
end

return groups
