-- Subscriptions to streams and to $all: subscribe_to, stream, watch.
local core = require "pump.core"
local errors = require "pump.error"
local filters = require "pump.filter"
local options = require "pump.options"
local read = require "pump.read"
local request = require "pump.request"
local scheduler = require "pump.scheduler"
local subscription = require "pump.subscription"
local task = require "pump.task"

local M = {}

local class = subscription.class {}

local subscribe_options = options.list(options.call, filters.options, {
  from_event = "event_number", from_position = "position", resolve_links = "boolean",
  batch_size = "page", live_buffer_size = "count",
})

-- How to begin: whether with history, the first event, whether from now on, the position before.
local function beginning(stream, given)
  local event, position = given.from_event, given.from_position
  if stream == "$all" then
    if event then
      errors.misuse("bad option 'from_event' to 'subscribe_to' ($all begins at from_position)")
    end
    local after = { commit = -1, prepare = -1 }
    if type(position) == "table" then
      after.commit, after.prepare = read.first_position(position)
    end
    return position == nil, 0, position == "end", after
  end
  if position then
    errors.misuse("bad option 'from_position' to 'subscribe_to' (a stream begins at from_event)")
  end
  local from = event == "end" and core.END or type(event) == "number" and math.tointeger(event) or 0
  return event == nil, from, false, { commit = -1, prepare = -1 }
end

-- A subscription that has begun. Without from_event (for $all from_position) it is volatile.
function M.subscribe_to(conn, stream, given)
  request.check_stream(conn, stream, "subscribe_to")
  given = options.check(given, subscribe_options, "subscribe_to")
  local client = request.client(conn)
  scheduler.check_cancelled()
  local is_volatile, from, is_from_now, after = beginning(stream, given)
  local filter = filters.of(given, "subscribe_to")
  if filter and stream ~= "$all" then
    errors.misuse("bad option '%s' to 'subscribe_to' (only $all is filtered)",
      given.filter and "filter" or "exclude_system")
  end
  local sub = subscription.new(class, conn, stream)
  if sub.is_all then
    sub.began = after.commit >= 0 and after or nil
  else
    sub.began = from > 0 and from - 1 or nil
  end
  return subscription.start(sub, client:subscribe(stream, is_volatile, from, is_from_now,
    after.commit, after.prepare, given.resolve_links ~= false, given.batch_size,
    given.live_buffer_size, filter, request.call_arguments(conn, given)))
end

-- Lua before 5.4.5 forgets the value that a loop closes when it is left by break and its body makes
-- a closure. Where it does not, conn:stream gives one.
local closes_loops = pcall(load [[
  local closed, keep = false
  local object = setmetatable({}, { __close = function() closed = true end })
  for value in function() return 1 end, nil, nil, object do
    keep = function() return value end
    if keep() then break end
  end
  assert(closed)
]])

local stream_options = options.list(subscribe_options,
  { forever = "boolean", direction = "direction", max_count = "count" })

-- for event in conn:stream(name, { forever = true }) do … end: conn:iter that goes on live.
function M.stream(conn, stream, given)
  request.check_stream(conn, stream, "stream")
  local rest = options.list(options.check(given, stream_options, "stream"))
  local is_forever, direction, max_count = rest.forever, rest.direction, rest.max_count
  rest.forever = nil
  if not is_forever then
    rest.live_buffer_size = nil
    if stream == "$all" then return read.iter_all(conn, rest) end
    return read.iter(conn, stream, rest)
  end
  if direction == "backward" then
    errors.misuse("bad option 'direction' to 'stream' (what goes on for ever goes forward)")
  end
  rest.direction, rest.max_count = nil, nil
  local start = stream == "$all" and "from_position" or "from_event"
  if rest[start] == nil then rest[start] = "start" end
  local sub, err = M.subscribe_to(conn, stream, rest)
  if not sub then error(err, 0) end
  local events = read.limited(sub:events(), max_count, function() sub:close() end)
  return events, nil, nil, closes_loops and sub or nil
end

---- Callbacks -------------------------------------------------------------------------------------

-- One after the other, each event when the one before is done with: a slow function slows down
-- its own subscription and no other. What it raises is reported, and the next event comes.
local function call(fn, event)
  local traceback
  local ok, err = xpcall(fn, function(err)
    traceback = debug.traceback(nil, 2)
    return err
  end, event)
  if ok then return end
  scheduler.check_cancelled()
  task.on_error(scheduler.running(), err, traceback)
end

local function hand_over(sub, fn)
  task.sleep(0) -- the first call comes when M.watch has returned
  for event in sub:events() do
    if fn then
      call(fn, event)
    else
      for _, handler in ipairs { table.unpack(sub.conn.on_event.handlers) } do
        call(handler, event)
      end
    end
  end
end

-- Calls fn(event) for each event of a subscription, or without a function what was appended to
-- conn.on_event. Options are those of subscribe_to. Returns the subscription.
function M.watch(conn, stream, fn, given)
  request.check_stream(conn, stream, "watch")
  if given == nil and type(fn) == "table" then fn, given = nil, fn end
  if fn ~= nil and type(fn) ~= "function" then
    errors.misuse("bad argument #2 to 'watch' (function expected, got %s)", type(fn))
  end
  local sub, err = M.subscribe_to(conn, stream, given)
  if not sub then return nil, err end
  task.fire(hand_over, sub, fn)
  return sub
end

return M
