-- Groups of consumers, which are persistent subscriptions: create_subscription,
-- update_subscription, delete_subscription and connect_subscription.
local core = require "pump.core"
local errors = require "pump.error"
local filters = require "pump.filter"
local options = require "pump.options"
local request = require "pump.request"
local scheduler = require "pump.scheduler"
local subscription = require "pump.subscription"

local M = {}

---- Settings --------------------------------------------------------------------------------------

function options.kinds.group_seconds(value)
  return type(value) == "number" and value >= 0 and value <= 2147483,
    "seconds from 0 to 2147483"
end

local group_settings = {
  resolve_links = "boolean", from_event = "event_number", message_timeout = "group_seconds",
  record_statistics = "boolean", live_buffer_size = "count", read_batch_size = "count",
  buffer_size = "count", max_retry_count = "natural", checkpoint_after = "group_seconds",
  checkpoint_max_count = "natural", checkpoint_min_count = "natural",
  subscriber_max_count = "natural", consumer_strategy = "text",
}
-- What a group on $all may have beside those.
local of_all = options.list(filters.options, { from_position = "position" })
local group_options = options.list(options.call, group_settings, of_all)
local connect_options =
  options.list(options.call, { buffer_size = "count", auto_ack = "boolean" })

-- A group whose buffer has no room for a batch would never read one, and its server would not say
-- so. Of the two that which was not given follows the other one.
local function buffers(given, where)
  local batch, buffer = given.read_batch_size, given.buffer_size
  if batch and buffer and buffer <= batch or buffer == 1 then
    errors.misuse("bad option 'buffer_size' to '%s' (more than read_batch_size expected, "
      .. "got %d)", where, buffer)
  elseif batch then
    buffer = buffer or math.max(500, 2 * batch)
  elseif buffer then
    batch = math.min(20, buffer // 2)
  end
  return batch, buffer
end

-- As the C part takes them; what is nil has the default.
local function settings_of(given, where)
  local batch, buffer = buffers(given, where)
  local from = given.from_event
  if from == "start" then from = 0 elseif from == "end" then from = core.END end
  return {
    resolve_links = given.resolve_links,
    from = from and math.tointeger(from),
    message_timeout = options.milliseconds(given.message_timeout),
    record_statistics = given.record_statistics,
    live_buffer_size = given.live_buffer_size,
    read_batch_size = batch,
    buffer_size = buffer,
    max_retry_count = given.max_retry_count,
    checkpoint_after = options.milliseconds(given.checkpoint_after),
    checkpoint_max_count = given.checkpoint_max_count,
    checkpoint_min_count = given.checkpoint_min_count,
    subscriber_max_count = given.subscriber_max_count,
    strategy = given.consumer_strategy,
  }
end

---- Groups ----------------------------------------------------------------------------------------

-- What all four functions begin with: the client, and what their errors tell; or why it cannot be.
local function begin(conn, group, stream, given, where)
  request.check_self(conn, where)
  options.string_argument(group, 1, where)
  options.string_argument(stream, 2, where)
  if group == "" then errors.misuse("bad argument #1 to '%s' (a group needs a name)", where) end
  if stream == "" then errors.misuse("bad argument #2 to '%s' (a stream needs a name)", where) end
  local client, about = request.client(conn), { stream = stream, group = group }
  if stream ~= "$all" then
    for name in pairs(of_all) do
      if given[name] ~= nil then
        errors.misuse("bad option '%s' to '%s' (it is for groups on $all)", name, where)
      end
    end
    return client, about
  end
  return nil, errors.new("not_supported", "a group on $all takes gRPC, which servers from 21.10 on "
    .. "have for it; over TCP a group has one stream", about)
end

local function answer(ok, err)
  if err then return nil, err end
  return ok == nil or ok
end

local function put(conn, question, group, stream, given, where)
  given = options.check(given, group_options, where)
  local settings = settings_of(given, where)
  local client, about = begin(conn, group, stream, given, where)
  if not client then return nil, about end
  return answer(request.call(conn, about, question, group, stream, settings,
    request.call_arguments(conn, given)))
end

-- A group that keeps its place in a stream. All settings have defaults.
function M.create_subscription(conn, group, stream, given)
  return put(conn, "create_group", group, stream, given, "create_subscription")
end

-- All settings anew: what is not given has its default again. Its consumers connect again by
-- themselves.
function M.update_subscription(conn, group, stream, given)
  return put(conn, "update_group", group, stream, given, "update_subscription")
end

function M.delete_subscription(conn, group, stream, given)
  given = options.check(given, options.call, "delete_subscription")
  local client, about = begin(conn, group, stream, given, "delete_subscription")
  if not client then return nil, about end
  return answer(request.call(conn, about, "delete_group", group, stream,
    request.call_arguments(conn, given)))
end

---- Consumers -------------------------------------------------------------------------------------

local methods = {}
local class -- that has them

local function check_self(sub, where)
  if getmetatable(sub) ~= class then errors.bad_self(where, "a consumer of a group", sub) end
end

-- With auto_ack an event is done with when the loop asks for the next one. One that the loop was
-- left with, by break or by an error, is not: it comes again.
function methods.events(sub)
  check_self(sub, "events")
  local iterator = sub.iterator
  if not sub.auto_ack then return iterator end
  return function(_, done)
    if done then sub:ack(done) end
    return iterator(nil, done)
  end
end

-- The same for sub:next, each task by itself.
function methods.next(sub, seconds)
  check_self(sub, "next")
  if not sub.auto_ack then return subscription.next(sub, seconds) end
  local reader = coroutine.running()
  local done = sub.readers[reader]
  sub.readers[reader] = nil
  if done then sub:ack(done) end
  local event, err = subscription.next(sub, seconds)
  sub.readers[reader] = event
  return event, err
end

local actions = { park = true, retry = true, skip = true, stop = true }

local function check_events(events, where)
  if core.is_event(events) then return end
  if type(events) ~= "table" then
    errors.misuse("bad argument #1 to '%s' (an event or a list of events expected, got %s)", where,
      type(events))
  end
  options.list_argument(events, 1, where)
  for _, event in ipairs(events) do
    if not core.is_event(event) then
      errors.misuse("bad argument #1 to '%s' (an event expected in the list, got %s)", where,
        type(event))
    end
  end
end

local function say(sub, method, ...)
  if sub.closed then return nil, sub.err or subscription.closed_error(sub) end
  local ok, code, message = sub.core[method](sub.core, ...)
  if ok then return true end
  return nil, sub.err or errors.new(code, message, { stream = sub.stream, group = sub.group })
end

-- These events are done with.
function methods.ack(sub, events)
  check_self(sub, "ack")
  check_events(events, "ack")
  return say(sub, "ack", events)
end

-- They are not: "retry" (the default), "park", "skip" or "stop"; and why, for who looks at those
-- that were parked.
function methods.nack(sub, events, action, why)
  check_self(sub, "nack")
  check_events(events, "nack")
  action = action == nil and "retry" or action
  if not actions[action] then
    errors.misuse("bad argument #2 to 'nack' (\"park\", \"retry\", \"skip\" or \"stop\" expected, "
      .. "got %s)", options.shown(action))
  end
  if why ~= nil then options.string_argument(why, 3, "nack") end
  return say(sub, "nack", events, action, why)
end

class = subscription.class(methods)

-- A consumer of a group, once it is connected.
function M.connect_subscription(conn, group, stream, given)
  given = options.check(given, connect_options, "connect_subscription")
  local client, about = begin(conn, group, stream, given, "connect_subscription")
  if not client then return nil, about end
  scheduler.check_cancelled()
  local sub = subscription.new(class, conn, stream)
  sub.group = group
  sub.auto_ack = given.auto_ack
  sub.readers = setmetatable({}, { __mode = "k" }) -- auto_ack: and the event that each has
  return subscription.start(sub, client:consume(group, stream, given.buffer_size,
    request.call_arguments(conn, given)))
end

return M
