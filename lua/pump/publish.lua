-- Writing: publish_event, and publish for lists and generators.
local core = require "pump.core"
local errors = require "pump.error"
local events = require "pump.event"
local options = require "pump.options"
local paces = require "pump.pace"
local request = require "pump.request"
local scheduler = require "pump.scheduler"

local M = {}

-- A batch of a generator's events is sent when it has so many events, or batch_size of them where
-- that is given, or this many bytes. As one batch goes out when the one before it is written, they
-- become larger where that takes the way there and back.
local LEAST_EVENTS, MOST_EVENTS = 500, 4000
local MAX_BYTES = 4 * 1024 * 1024
-- An event should not wait for others that take long to come. Where the generator waits by pump's
-- means, what it gave so far is sent before. Of others it is told by their time: batches start
-- with one event and grow while they are full within so many seconds. (Less, and a busy machine
-- that lets others run would look like a slow generator.)
local PATIENCE = 0.02

local write_options = options.list(options.call, { expected_version = "expected_version" })
local publish_event_options = options.list(write_options, events.event_options)
local publish_options =
  options.list(write_options, { batch_size = "count", max_in_flight = "count" })

local function result_of(count, first, last, commit, prepare)
  return {
    count = count,
    first_event_number = first,
    last_event_number = last,
    position = { commit = commit, prepare = prepare },
  }
end

-- All of the list in one write, which happens as a whole or not at all.
local function publish_list(conn, stream, list, given)
  local expected = request.expected_version(given.expected_version)
  local first, last, commit, prepare = request.call(conn,
    { stream = stream, expected = expected }, "append", stream, expected, list, 1, #list,
    math.maxinteger, request.call_arguments(conn, given))
  if not first then return nil, last end
  return result_of(#list, first, last, commit, prepare)
end

-- Writes one event.
function M.publish_event(conn, stream, event_type, body, given)
  request.check_stream(conn, stream, "publish_event")
  given = options.check(given, publish_event_options, "publish_event")
  options.string_argument(event_type, 2, "publish_event")
  local event, err = events.prepare(events.new(event_type, body, {
    id = given.id, metadata = given.metadata, content_type = given.content_type,
  }), conn.codec)
  if not event then
    err.stream = stream
    return nil, err
  end
  return publish_list(conn, stream, { event }, given)
end

---- Generators ------------------------------------------------------------------------------------

-- A writer hands batches to the C part, some of them before the first is answered, and keeps count.
-- They are a sequence: each goes out when the one before it is done. Several at once could change
-- places where a server refuses one for a moment, and would not be faster: while one is under way
-- the next is made.
local writer_class = {}
writer_class.__index = writer_class

local function new_writer(conn, stream, given)
  local call = table.pack(request.call_arguments(conn, given))
  call.n = call.n + 1
  call[call.n] = core.sequence()
  return setmetatable({
    conn = conn,
    stream = stream,
    call = call,
    expected = request.expected_version(given.expected_version),
    max_in_flight = given.max_in_flight or 4,
    pace = paces.new(given.batch_size or LEAST_EVENTS, given.batch_size or MOST_EVENTS,
      given.timeout or conn.settings.timeout),
    flight = {},
    count = 0,
  }, writer_class)
end

-- Takes in the answer of the oldest batch. The first failure stays.
function writer_class:settle()
  local batch = table.remove(self.flight, 1)
  local about = { stream = self.stream, expected = batch.expected }
  local must_wait = not batch.box.done
  local first, last, commit, prepare = request.receive(about, batch.box)
  self.pace:took(must_wait and core.hrtime() - batch.asked)
  if not first then
    self.err = self.err or last
    return
  end
  if self.count == 0 then self.first = first end
  self.count = self.count + batch.count
  self.last, self.commit, self.prepare = last, commit, prepare
end

-- Waits until no more than so many batches are in flight.
function writer_class:wait_until(most)
  while #self.flight > most do self:settle() end
end

-- Sends the n events of the batch, as one write or, if they are large, several. With now it does
-- not wait for room: then it may be called where nothing may wait.
function writer_class:send(batch, n, now)
  local from = 1
  while from <= n and not self.err do
    if not now then self:wait_until(self.max_in_flight - 1) end
    if self.err then return end
    local box, count = request.send(self.conn, "append", self.stream, self.expected, batch, from,
      n, MAX_BYTES, table.unpack(self.call, 1, self.call.n))
    count = math.type(count) == "integer" and count or n - from + 1
    self.flight[#self.flight + 1] = {
      box = box, count = count, expected = self.expected, asked = core.hrtime(),
    }
    -- Behind "no_stream" (-1) and numbers the next number is known before the answer.
    if self.expected >= core.NO_STREAM then self.expected = self.expected + count end
    from = from + count
  end
  batch:clear()
end

-- Whoever is told of an error, or raises one of ours, is told how many are written by then.
function writer_class:__close(err)
  if not errors.is(err) then return end
  for _, batch in ipairs(self.flight) do
    local done = batch.box.done
    if not done or not done[1] then break end
    self.count = self.count + batch.count
  end
  err.count = self.count
end

function writer_class:finish()
  self:wait_until(0)
  if self.err then
    self.err.count = self.count
    return nil, self.err
  end
  return result_of(self.count, self.first, self.last, self.commit, self.prepare)
end

-- Adds to a batch what is not as new_event made it: as add does, or nil and an error.
local function add_prepared(conn, stream, add, event)
  local ready, err = events.prepare(event, conn.codec)
  if not ready then
    err.stream = stream
    return nil, err
  end
  local bytes, now, message = add(ready, true)
  if bytes then return bytes, now end
  return nil, request.failure({ stream = stream }, now, message)
end

local function publish_generated(conn, stream, generate, given)
  request.client(conn)
  scheduler.check_cancelled()
  local writer <close> = new_writer(conn, stream, given)
  local pace, max_in_flight = writer.pace, writer.max_in_flight
  local batch, add = core.batch(not conn.codec and events.class)
  local n, wanted = 0, 1
  local generating, has_waited
  local function send(now)
    local count = n
    n = 0
    writer:send(batch, count, now)
  end
  local _ <close> = scheduler.before_waits(function()
    if not generating then return end
    has_waited = true
    if n > 0 and not writer.err then send(true) end
  end)
  local before = core.hrtime()
  while not writer.err do
    generating, has_waited = true, false
    local event = generate()
    generating = false
    if has_waited then writer:wait_until(max_in_flight) end
    if event == nil then
      send()
      break
    end
    -- At once, so its table is needed no more.
    local bytes, now = add(event)
    if not bytes then bytes, now = add_prepared(conn, stream, add, event) end
    if not bytes then
      writer.err = writer.err or now
      break
    end
    n = n + 1
    if has_waited then before = now end
    local is_late = now - before > PATIENCE
    if is_late or n >= wanted or bytes >= MAX_BYTES then
      wanted = is_late and n or math.min(wanted * 2, pace.size)
      send()
      before = core.hrtime()
    end
  end
  return writer:finish()
end

local function accept_list(conn, stream, given_list)
  if #given_list == 0 and next(given_list) ~= nil then
    errors.misuse("bad argument #2 to 'publish' (a list of events or a function expected, "
      .. "got one event: write { event })")
  end
  options.list_argument(given_list, 2, "publish")
  local list = {}
  for index, event in ipairs(given_list) do
    local ready, err = events.prepare(event, conn.codec)
    if not ready then
      err.stream = stream
      return nil, err
    end
    list[index] = ready
  end
  return list
end

-- Writes a list of events, all of them or none; or what a function returns, call by call, until it
-- returns nil: those in batches, in their order.
function M.publish(conn, stream, given_events, given)
  request.check_stream(conn, stream, "publish")
  given = options.check(given, publish_options, "publish")
  local metatable = getmetatable(given_events)
  if type(given_events) == "function" or type(metatable) == "table" and metatable.__call then
    return publish_generated(conn, stream, given_events, given)
  elseif type(given_events) ~= "table" then
    errors.misuse("bad argument #2 to 'publish' (a list of events or a function expected, got %s)",
      type(given_events))
  end
  local list, err = accept_list(conn, stream, given_events)
  if not list then return nil, err end
  return publish_list(conn, stream, list, given)
end

return M
