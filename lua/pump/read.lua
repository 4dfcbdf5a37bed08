-- Reading: get_event, get, iter, get_all, iter_all.
local core = require "pump.core"
local errors = require "pump.error"
local filters = require "pump.filter"
local options = require "pump.options"
local request = require "pump.request"
local scheduler = require "pump.scheduler"

local M = {}

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
  options.stream_argument(stream, "get_event")
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
  options.stream_argument(stream, "get")
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

-- Pages one after the other, as a function that returns the next one with events in it, or nil.
-- It raises what goes wrong. send(count) asks for the page at the place where the reading stands;
-- advance(page) moves on and says whether there is more to read. As soon as a page has come the
-- one after it is asked for: one page is read ahead and no more. Where large events make a page
-- larger than the protocol allows, fewer are asked for from there on.
local function pages(conn, about, count, send, advance)
  -- A table, as what an old closure's upvalue refers to is old for the collector.
  local state = { waiters = {} }
  local function fetch()
    while not state.finished do
      local page, err = request.receive(about, state.ahead or send(count))
      state.ahead = nil
      if page then
        state.finished = not advance(page)
        if not state.finished then state.ahead = send(count) end
        if page:count() > 0 then return dress(conn, page) end
      elseif err.code == "too_large" and count > 1 then
        count = math.max(1, count // 8)
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

-- for event in conn:iter(stream) do … end. It owns nothing on the server: break is free.
function M.iter(conn, stream, given)
  options.stream_argument(stream, "iter")
  given = options.check(given, iter_options, "iter")
  request.client(conn)
  local about = { stream = stream }
  local backward = given.direction == "backward"
  local from = first_event(given.from_event, backward)
  if from == core.END and not backward then return function() return nil end end
  local resolve = resolve_links(given)
  local timeout, username, password, require_leader = request.call_arguments(conn, given)
  local function send(count)
    return (request.send(conn, "read_stream", stream, from, count, backward, resolve, timeout,
      username, password, require_leader))
  end
  local function advance(page)
    local next_number, _, is_end = page:bounds()
    if is_end or next_number < 0 then return false end
    check_moved(next_number ~= from, about)
    from = next_number
    return true
  end
  local events = core.iterator(pages(conn, about, given.batch_size or 500, send, advance))
  return M.limited(events, given.max_count)
end

-- for event in conn:iter_all() do … end
function M.iter_all(conn, given)
  given = options.check(given, iter_all_options, "iter_all")
  request.client(conn)
  local about = { stream = "$all" }
  local backward = given.direction == "backward"
  local commit, prepare = M.first_position(given.from_position, backward)
  local resolve, filter = resolve_links(given), filters.of(given, "iter_all")
  local timeout, username, password, require_leader = request.call_arguments(conn, given)
  local function send(count)
    return (request.send(conn, "read_all", commit, prepare, count, backward, resolve, filter,
      timeout, username, password, require_leader))
  end
  local function advance(page)
    local _, _, next_commit, next_prepare, is_end = page:positions()
    if is_end then return false end
    check_moved(next_commit ~= commit or next_prepare ~= prepare, about)
    commit, prepare = next_commit, next_prepare
    return true
  end
  local events = core.iterator(pages(conn, about, given.batch_size or 500, send, advance))
  return M.limited(events, given.max_count)
end

return M
