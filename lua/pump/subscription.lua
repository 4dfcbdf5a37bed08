-- Subscriptions: subscribe_to, stream, watch. What keeps them whole is libpump's; here are the
-- waits, the line of pages between the loop and the program, and the signals.
local core = require "pump.core"
local errors = require "pump.error"
local options = require "pump.options"
local read = require "pump.read"
local request = require "pump.request"
local scheduler = require "pump.scheduler"
local signal = require "pump.signal"
local task = require "pump.task"

local M = {}

local subscribe_options = options.list(options.call, {
  from_event = "event_number", from_position = "position", resolve_links = "boolean",
  batch_size = "page", live_buffer_size = "count",
})

---- The class -------------------------------------------------------------------------------------

local subscription_class = {}
subscription_class.__name = "pump.subscription"

local methods, getters = {}, {}

function subscription_class.__index(sub, key)
  local method = methods[key]
  if method then return method end
  local get = getters[key]
  return get and get(sub)
end

-- "catching_up", "live", "reconnecting" or "closed"
function getters.state(sub)
  return sub.closed and "closed" or sub.core:state()
end

-- Where the event stands that the program got last, or behind which it began; nil for nowhere: a
-- number, for $all a position.
function getters.position(sub)
  local number, commit, prepare = core.reached(sub.place)
  if not number then return sub.began end
  if sub.is_all then return { commit = commit, prepare = prepare } end
  return number
end

function subscription_class:__tostring()
  return ("pump.subscription{%s %s}"):format(self.stream, self.state)
end

local function wake_all(sub)
  for waiter in pairs(sub.waiters) do scheduler.wake(waiter, true) end
end

local notices = {}

function notices.events(sub, page, count)
  if sub.conn.decode then page:set_decode(sub.conn.decode) end
  sub.last = sub.last + 1
  sub.pages[sub.last] = { page = page, count = count }
end

function notices.live(sub)
  signal.emit(sub.on_live, sub)
end

function notices.gap(sub, code)
  signal.emit(sub.on_gap, errors.new(code, "events were missed: " .. core.sentences[code],
    { stream = sub.stream }))
end

function notices.ended(sub, _, ...)
  sub.err = request.failure({ stream = sub.stream }, ...)
  if sub.conn.closed then
    sub:close()
  elseif sub.started then
    signal.emit(sub.on_dropped, sub.err)
  else
    sub.refused = true
  end
end

-- What the C part has to tell. Who has just subscribed gets to listen before it is told.
function subscription_class.__notice(sub, what, ...)
  if sub.closed then return end
  local is_first = not sub.started and what == "live"
  if not is_first then notices[what](sub, ...) end
  sub.started = true
  wake_all(sub)
  if is_first then task.spawn(notices.live, sub) end
end

---- Waiting for events ----------------------------------------------------------------------------

local function closed_error(sub)
  return errors.new("closed", "the subscription was closed", { stream = sub.stream })
end

local function timeout_error(sub, seconds)
  return errors.new("timeout", ("no event came within %g seconds"):format(seconds),
    { stream = sub.stream })
end

-- The program has done with the page that it had.
local function give_back(sub)
  if sub.in_hand > 0 then sub.core:took(sub.in_hand) end
  sub.in_hand = 0
end

local function take_page(sub)
  local entry = sub.pages[sub.first]
  sub.pages[sub.first] = nil
  sub.first = sub.first + 1
  sub.in_hand = entry.count
  return entry.page
end

-- What the iterator goes on with when a page is over: the next one; or true, when of several who
-- wait another one got a page that may have events left; or nil at the end. What is lost for good
-- it raises, or leaves in sub.why for sub:next, which has left its wishes in the subscription.
local function more(sub)
  local seconds, quiet = sub.seconds, sub.quiet
  sub.seconds, sub.quiet = nil, nil
  give_back(sub)
  local deadline = seconds and core.hrtime() + seconds
  local left, err = seconds, nil
  while not sub.closed do
    if sub.first <= sub.last then return take_page(sub) end
    err = sub.err or deadline and left < 0 and timeout_error(sub, seconds)
    if err then break end
    scheduler.wait_among(sub.waiters, left)
    left = deadline and deadline - core.hrtime()
    if sub.in_hand > 0 then
      sub.seconds, sub.quiet = left and math.max(left, 0), quiet
      return true
    end
  end
  if quiet then
    sub.why = err or nil
  elseif err then
    error(err, 0)
  end
  return nil
end

-- for event in sub:events() do … end: ends when the subscription is closed, raises when it is
-- lost for good. After break another loop goes on behind the last event.
function methods.events(sub)
  return sub.iterator
end

-- The next event; nil and an error: "timeout" after so many seconds, "closed", or why it is lost.
function methods.next(sub, seconds)
  if seconds ~= nil and (type(seconds) ~= "number" or seconds ~= seconds or seconds < 0) then
    errors.misuse("bad argument #1 to 'next' (seconds expected, got %s)", type(seconds))
  end
  sub.seconds, sub.quiet, sub.why = seconds, true, nil
  local event = sub.iterator()
  sub.seconds, sub.quiet = nil, nil
  if event then return event end
  return nil, sub.why or closed_error(sub)
end

-- Ends it at once, with what waits in line. May be called again.
function methods.close(sub)
  if sub.closed then return true end
  core.leave(sub.place)
  sub.closed = true
  sub.core:close()
  scheduler.listeners[sub.ticket] = nil
  sub.pages, sub.first, sub.last = {}, 1, 0
  wake_all(sub)
  return true
end

subscription_class.__close = methods.close

---- Subscribing -----------------------------------------------------------------------------------

-- How to begin: whether with history, the first event, whether from now on, the position before.
local function beginning(stream, given)
  local event, position = given.from_event, given.from_position
  if stream == "$all" then
    if event then
      errors.misuse("bad option 'from_event' to 'subscribe_to' ($all begins at from_position)")
    end
    local after = type(position) == "table" and position or { commit = -1, prepare = -1 }
    return position == nil, 0, position == "end", after
  end
  if position then
    errors.misuse("bad option 'from_position' to 'subscribe_to' (a stream begins at from_event)")
  end
  local from = event == "end" and core.END or type(event) == "number" and math.tointeger(event) or 0
  return event == nil, from, false, { commit = -1, prepare = -1 }
end

local function new(conn, stream)
  local sub = setmetatable({
    conn = conn,
    stream = stream,
    is_all = stream == "$all",
    closed = false,
    started = false,
    pages = {}, first = 1, last = 0, -- that came and wait to be taken
    in_hand = 0,                     -- events of the page that the program has
    waiters = {},
    on_live = signal.new(), on_gap = signal.new(), on_dropped = signal.new(),
  }, subscription_class)
  sub.iterator, sub.place = core.iterator(function() return more(sub) end)
  return sub
end

-- Until the server has said something: it is live, or has events, or does not want.
local function wait_for_start(sub)
  while not (sub.started or sub.closed) do scheduler.wait_among(sub.waiters) end
end

-- A subscription that has begun. Without from_event (for $all from_position) it is volatile.
function M.subscribe_to(conn, stream, given)
  options.stream_argument(stream, "subscribe_to")
  given = options.check(given, subscribe_options, "subscribe_to")
  local client = request.client(conn)
  scheduler.check_cancelled()
  local is_volatile, from, is_from_now, after = beginning(stream, given)
  local sub = new(conn, stream)
  local made, ticket, message = client:subscribe(stream, is_volatile, from, is_from_now,
    after.commit, after.prepare, given.resolve_links ~= false, given.batch_size,
    given.live_buffer_size, request.call_arguments(conn, given))
  if not made then return nil, request.failure({ stream = stream }, ticket, message) end
  sub.core, sub.ticket = made, ticket
  if sub.is_all then
    sub.began = after.commit >= 0 and after or nil
  else
    sub.began = from > 0 and from - 1 or nil
  end
  scheduler.listeners[ticket] = sub
  local ok, err = pcall(wait_for_start, sub)
  if ok and not (sub.refused or sub.closed) then return sub end
  sub:close()
  if not ok then error(err, 0) end
  return nil, sub.err or closed_error(sub)
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

local function without(given, name)
  local rest = {}
  for key, value in pairs(given) do rest[key] = value end
  rest[name] = nil
  return rest
end

-- for event in conn:stream(name, { forever = true }) do … end: conn:iter that goes on live.
function M.stream(conn, stream, given)
  options.stream_argument(stream, "stream")
  if type(given) ~= "table" then given = options.check(given, {}, "stream") end
  options.check({ forever = given.forever }, { forever = "boolean" }, "stream")
  local rest = without(given, "forever")
  if not given.forever then
    if stream == "$all" then return read.iter_all(conn, rest) end
    return read.iter(conn, stream, rest)
  end
  if rest.direction == "backward" then
    errors.misuse("bad option 'direction' to 'stream' (what goes on for ever goes forward)")
  end
  rest.direction = nil
  local start = stream == "$all" and "from_position" or "from_event"
  if rest[start] == nil then rest[start] = "start" end
  local sub, err = M.subscribe_to(conn, stream, rest)
  if not sub then error(err, 0) end
  return sub:events(), nil, nil, closes_loops and sub or nil
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
