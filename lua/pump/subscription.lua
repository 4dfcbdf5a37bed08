-- Handles of subscriptions, those to streams (subscribe.lua) and those that share a group's events
-- (group.lua). What keeps them whole is libpump's; here are the waits, the line of pages between
-- the loop and the program, and the signals.
local core = require "pump.core"
local errors = require "pump.error"
local request = require "pump.request"
local scheduler = require "pump.scheduler"
local signal = require "pump.signal"
local task = require "pump.task"

local M = {}

---- The class -------------------------------------------------------------------------------------

local common, getters = {}, {} -- what all have
local class = {}

-- "catching_up", "live", "reconnecting" or "closed"
function getters.state(sub)
  return sub.closed and "closed" or sub.core:state()
end

-- Where the event stands that the program got last, or behind which it began; nil for nowhere: a
-- number, for $all a position, which may be a checkpoint behind that event.
function getters.position(sub)
  local number, commit, prepare = core.reached(sub.place)
  if not number then return sub.checkpoint or sub.began end
  if not sub.is_all then return number end
  local checkpoint = sub.checkpoint
  if checkpoint and checkpoint.commit >= commit then return checkpoint end
  return { commit = commit, prepare = prepare }
end

function class:__tostring()
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

-- It waits behind the events before it, and only the last one does.
function notices.checkpoint(sub, commit, prepare)
  local last = sub.pages[sub.last]
  if not (last and last.checkpoint) then
    sub.last = sub.last + 1
    last = {}
    sub.pages[sub.last] = last
  end
  last.checkpoint = { commit = commit, prepare = prepare }
end

-- A group's server sends again what came by then: what the program has not begun is forgotten.
function notices.lost(sub)
  core.leave(sub.place)
  sub.pages, sub.first, sub.last, sub.in_hand = {}, 1, 0, 0
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
function class.__notice(sub, what, ...)
  if sub.closed then return end
  local is_first = not sub.started and what == "live"
  if not is_first then notices[what](sub, ...) end
  sub.started = true
  wake_all(sub)
  if is_first then task.spawn(notices.live, sub) end
end

-- Raises for what is no subscription.
function M.check_self(sub, where)
  local metatable = getmetatable(sub)
  if type(metatable) ~= "table" or metatable.__notice ~= class.__notice then
    errors.bad_self(where, "a subscription", sub)
  end
end

---- Waiting for events ----------------------------------------------------------------------------

function M.closed_error(sub)
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

-- The next page, or nil. Checkpoints in front of it are told: the program is done with all before.
local function take_page(sub)
  while sub.first <= sub.last do
    local entry = sub.pages[sub.first]
    sub.pages[sub.first] = nil
    sub.first = sub.first + 1
    if entry.page then
      sub.in_hand = entry.count
      return entry.page
    end
    sub.checkpoint = entry.checkpoint
    signal.emit(sub.on_checkpoint, entry.checkpoint)
  end
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
    local page = take_page(sub)
    if page or sub.closed then return page end
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
function common.events(sub)
  M.check_self(sub, "events")
  return sub.iterator
end

-- The next event; nil and an error: "timeout" after so many seconds, "closed", or why it is lost.
function common.next(sub, seconds)
  M.check_self(sub, "next")
  if seconds ~= nil and (type(seconds) ~= "number" or seconds ~= seconds or seconds < 0) then
    errors.misuse("bad argument #1 to 'next' (seconds expected, got %s)", type(seconds))
  end
  sub.seconds, sub.quiet, sub.why = seconds, true, nil
  local event = sub.iterator()
  sub.seconds, sub.quiet = nil, nil
  if event then return event end
  return nil, sub.why or M.closed_error(sub)
end

-- Ends it at once, with what waits in line. May be called again.
function common.close(sub)
  M.check_self(sub, "close")
  if sub.closed then return true end
  core.leave(sub.place)
  sub.closed = true
  sub.core:close()
  scheduler.listeners[sub.ticket] = nil
  sub.pages, sub.first, sub.last = {}, 1, 0
  wake_all(sub)
  return true
end

class.__close = common.close

M.next = common.next

---- Making one ------------------------------------------------------------------------------------

-- The metatable of handles that have these methods beside what all have.
function M.class(own)
  local metatable = { __name = "pump.subscription" }
  for name, value in pairs(class) do metatable[name] = value end
  local methods = {}
  for _, part in ipairs { common, own } do
    for name, method in pairs(part) do methods[name] = method end
  end
  function metatable.__index(sub, key)
    local method = methods[key]
    if method then return method end
    local get = getters[key]
    return get and get(sub)
  end
  return metatable
end

-- One that listens to nothing yet.
function M.new(metatable, conn, stream)
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
    on_checkpoint = signal.new(),
  }, metatable)
  sub.iterator, sub.place = core.iterator(function() return more(sub) end)
  return sub
end

-- Until the server has said something: it is live, or has events, or does not want.
local function wait_for_start(sub)
  while not (sub.started or sub.closed) do scheduler.wait_among(sub.waiters) end
end

-- The subscription once it has begun: with what the client gave for it, or why it gave nothing.
function M.start(sub, made, ticket, message)
  if not made then return nil, request.failure({ stream = sub.stream }, ticket, message) end
  sub.core, sub.ticket = made, ticket
  scheduler.listeners[ticket] = sub
  local ok, err = pcall(wait_for_start, sub)
  if ok and not (sub.refused or sub.closed) then return sub end
  sub:close()
  if not ok then error(err, 0) end
  return nil, sub.err or M.closed_error(sub)
end

return M
