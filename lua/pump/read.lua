-- Reading: get_event, get, iter, get_all, iter_all.
local core = require "pump.core"
local errors = require "pump.error"
local filters = require "pump.filter"
local options = require "pump.options"
local paces = require "pump.pace"
local request = require "pump.request"
local scheduler = require "pump.scheduler"

local M = {}

-- Events a page, pages on their way at most: so many only where events are taken faster than they
-- come, and no page has so many bytes. Where it can't be told where the page after the next begins,
-- there is one, and it becomes larger.
local EVENTS, MOST_EVENTS = 500, 1000
local MOST_AHEAD = 4
local LARGE_PAGE = 1024 * 1024

local range = { direction = "direction", resolve_links = "boolean" }
local event_options = options.list(options.call, { resolve_links = "boolean" })
local get_options =
  options.list(options.call, range, { from_event = "event_number", max_count = "page" })
local iter_options = options.list(options.call, range,
  { from_event = "event_number", batch_size = "page", max_count = "count" })
local get_all_options =
  options.list(options.call, range, filters.options,
    { from_position = "position", max_count = "page" })
local iter_all_options = options.list(options.call, range, filters.options,
  { from_position = "position", batch_size = "page", max_count = "count" })

local function resolve_links(given)
  return given.resolve_links ~= false
end

-- The page, with the connection's codec for its events.
local function dress(conn, page)
  if page and conn.decode then page:set_decode(conn.decode) end
  return page
end

-- One event, by its number or "last".
function M.get_event(conn, stream, number, given)
  request.check_stream(conn, stream, "get_event")
  local wanted = number == "last" and core.END or number == "start" and 0 or number
  if math.type(wanted) ~= "integer" and not (type(wanted) == "number" and math.tointeger(wanted))
    or wanted < 0 and number ~= "last" then
    errors.misuse("bad argument #2 to 'get_event' (a number of an event or \"last\" expected, "
      .. "got %s)", type(number) == "number" and number or type(number))
  end
  given = options.check(given, event_options, "get_event")
  local page, err = request.call(conn, { stream = stream, event_number = number }, "read_event",
    stream, math.tointeger(wanted), resolve_links(given), request.call_arguments(conn, given))
  if not page then return nil, err end
  if page:count() == 0 then
    return nil, errors.new("event_not_found", nil, { stream = stream, event_number = number })
  end
  return dress(conn, page):event(1)
end

local function first_event(from, backward)
  if from == nil then from = backward and "end" or "start" end
  if from == "start" then return 0 end
  if from == "end" then return core.END end
  return math.tointeger(from)
end

-- Forward from the end there is nothing yet: only where the end is has to be found out.
local function get_end(conn, about, given)
  local page, err = request.call(conn, about, "read_stream", about.stream, core.END, 1, true,
    false, request.call_arguments(conn, given))
  if not page then return nil, err end
  local _, last = page:bounds()
  return { next_event_number = last + 1, last_event_number = last, is_end_of_stream = true }
end

-- Some events: an array, with next_event_number, last_event_number and is_end_of_stream.
function M.get(conn, stream, given)
  request.check_stream(conn, stream, "get")
  given = options.check(given, get_options, "get")
  local backward = given.direction == "backward"
  local from = first_event(given.from_event, backward)
  local about = { stream = stream }
  if from == core.END and not backward then return get_end(conn, about, given) end
  local page, err = request.call(conn, about, "read_stream", stream, from,
    given.max_count or 100, backward, resolve_links(given), request.call_arguments(conn, given))
  if not page then return nil, err end
  local slice = dress(conn, page):events()
  slice.next_event_number, slice.last_event_number, slice.is_end_of_stream = page:bounds()
  return slice
end

function M.first_position(from, backward)
  if from == nil then from = backward and "end" or "start" end
  if from == "start" then return 0, 0 end
  if from == "end" then return -1, -1 end
  return math.tointeger(from.commit), math.tointeger(from.prepare)
end

-- Some events of $all: an array, with position, next_position and is_end_of_stream.
function M.get_all(conn, given)
  request.check_self(conn, "get_all")
  given = options.check(given, get_all_options, "get_all")
  local backward = given.direction == "backward"
  local commit, prepare = M.first_position(given.from_position, backward)
  local page, err = request.call(conn, { stream = "$all" }, "read_all", commit, prepare,
    given.max_count or 100, backward, resolve_links(given), filters.of(given, "get_all"),
    request.call_arguments(conn, given))
  if not page then return nil, err end
  local slice = dress(conn, page):events()
  local at, at_prepare, next_commit, next_prepare, is_end = page:positions()
  slice.position = { commit = at, prepare = at_prepare }
  slice.next_position = { commit = next_commit, prepare = next_prepare }
  slice.is_end_of_stream = is_end
  return slice
end

-- Asks for pages until so many are on their way: the one at the place where the reading stands, and
-- those behind it whose places can be told.
local function ask_ahead(state, most)
  local ahead, source, count = state.ahead, state.source, state.source.events.size
  local last = ahead[#ahead]
  local place = last and source.guess(last.place, last.count) or not last and state.place
  while place and #ahead < most do
    local box = source.ask(place, count)
    if #ahead > 0 and box.done then break end -- too much is asked: this may wait for its turn
    ahead[#ahead + 1] = { place = place, count = count, asked = core.hrtime(), box = box }
    place = source.guess(place, count)
  end
end

-- The page at the place where the reading stands, or nil and an error.
local function receive(state)
  local asked = state.ahead[1]
  local must_wait = not asked.box.done
  local page, err = request.receive(state.about, asked.box)
  if not page then
    state.ahead = {}
    return nil, err
  end
  local is_large = page:size() >= LARGE_PAGE
  local seconds = is_large and math.huge or must_wait and core.hrtime() - asked.asked
  state.source.events:took(seconds)
  state.source.pages:took(seconds)
  state.most = is_large and 1 or state.source.pages.size
  table.remove(state.ahead, 1)
  state.place = state.source.after(page, asked.place)
  local next_asked = state.ahead[1]
  if next_asked and next_asked.place ~= state.place then state.ahead = {} end -- it guessed wrong
  return page
end

-- Pages one after the other, as a function that returns the next one with events in it, or nil.
-- It raises what goes wrong. Of the source, ask(place, count) asks for a page, after(page, place)
-- is the place of the one behind it, nil at the end, and guess(place, count) is that before the
-- page has come, nil where it can't be told; events and pages are the paces of both. As soon as a
-- page has come the next is asked for. Where large events make a page larger than the protocol
-- allows, fewer are asked for from there on.
local function pages(conn, about, first, source)
  -- A table, as what an old closure's upvalue refers to is old for the collector.
  local state = { about = about, source = source, place = first, ahead = {}, waiters = {} }
  local function fetch()
    while state.place do
      if #state.ahead == 0 then ask_ahead(state, 1) end
      local page, err = receive(state)
      local count = source.events.size
      if page then
        if state.place then ask_ahead(state, state.most) end
        if page:count() > 0 then return dress(conn, page) end
      elseif err.code == "too_large" and count > 1 then
        count = math.max(1, count // 8)
        source.events = paces.new(count, count)
      else
        error(err, 0)
      end
    end
    return nil
  end
  local guard = setmetatable({}, { __close = function()
    state.is_fetching = false
    for waiter in pairs(state.waiters) do scheduler.wake(waiter, true) end
  end })
  return function()
    if state.is_fetching then -- for another task; the page may have events for this one, too
      scheduler.wait_among(state.waiters)
      return true
    end
    state.is_fetching = true
    local _ <close> = guard
    return fetch()
  end
end

-- So many events of an iterator and no more; at_end is called then.
function M.limited(next_event, count, at_end)
  if not count then return next_event end
  return function(_, last)
    if count <= 0 then
      if at_end then at_end() end
      return nil
    end
    count = count - 1
    return next_event(nil, last)
  end
end

-- A peer whose page leads nowhere must not make us read it for ever.
local function check_moved(moved, about)
  if not moved then
    error(errors.new("protocol_error", "the server's page leads to itself", about), 0)
  end
end

local function timeout_of(conn, given)
  return given.timeout or conn.settings.timeout
end

-- for event in conn:iter(stream) do … end. It owns nothing on the server: break is free.
function M.iter(conn, stream, given)
  request.check_stream(conn, stream, "iter")
  given = options.check(given, iter_options, "iter")
  request.client(conn)
  local about = { stream = stream }
  local backward = given.direction == "backward"
  local from = first_event(given.from_event, backward)
  if from == core.END and not backward then return function() return nil end end
  local resolve = resolve_links(given)
  local timeout, username, password, require_leader = request.call_arguments(conn, given)
  local last = -1 -- event of the stream, as the last page said
  local batch_size = given.batch_size or EVENTS
  local source = {
    events = paces.new(batch_size, batch_size),
    pages = paces.new(1, MOST_AHEAD, timeout_of(conn, given)),
  }
  function source.ask(place, count)
    return (request.send(conn, "read_stream", stream, place, count, backward, resolve, timeout,
      username, password, require_leader))
  end
  function source.after(page, place)
    local next_number, newest, is_end = page:bounds()
    last = newest
    if is_end or next_number < 0 then return nil end
    check_moved(next_number ~= place, about)
    return next_number
  end
  -- Streams have all their numbers, but for those that were deleted, and at their end.
  function source.guess(place, count)
    local next_number = backward and place - count or place + count
    return next_number >= 0 and next_number <= last and next_number or nil
  end
  local events = core.iterator(pages(conn, about, from, source))
  return M.limited(events, given.max_count)
end

-- for event in conn:iter_all() do … end
function M.iter_all(conn, given)
  request.check_self(conn, "iter_all")
  given = options.check(given, iter_all_options, "iter_all")
  request.client(conn)
  local about = { stream = "$all" }
  local backward = given.direction == "backward"
  local commit, prepare = M.first_position(given.from_position, backward)
  local resolve, filter = resolve_links(given), filters.of(given, "iter_all")
  local timeout, username, password, require_leader = request.call_arguments(conn, given)
  local source = {
    events = paces.new(given.batch_size or EVENTS, given.batch_size or MOST_EVENTS,
      timeout_of(conn, given)),
    pages = paces.new(1, 1),
  }
  function source.ask(place, count)
    return (request.send(conn, "read_all", place.commit, place.prepare, count, backward, resolve,
      filter, timeout, username, password, require_leader))
  end
  function source.after(page, place)
    local _, _, next_commit, next_prepare, is_end = page:positions()
    if is_end then return nil end
    check_moved(next_commit ~= place.commit or next_prepare ~= place.prepare, about)
    return { commit = next_commit, prepare = next_prepare }
  end
  function source.guess()
    return nil -- a position is where the event before it ended
  end
  local events =
    core.iterator(pages(conn, about, { commit = commit, prepare = prepare }, source))
  return M.limited(events, given.max_count)
end

return M
