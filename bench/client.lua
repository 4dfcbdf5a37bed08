-- A program on the Lua module as its user would write it, measured. Says one line of name=value,
-- CPU being this process's own, user and system.
--
--   lua5.4 client.lua PORT|URL WHAT EVENTS [IN_FLIGHT]
local pump = require "pump"
local hrtime = require "pump.core".hrtime

local where, what = arg[1], arg[2]
local count, in_flight = tonumber(arg[3]), tonumber(arg[4] or 1)
local WARM_UP = 10000 -- events
local TYPE = "PonyJumped"

local function body()
  return { pony = "Derpy Hooves", height = 10, distance = 123.25, airborne = true,
    place = "Ponyville, behind the post office",
    note = "Delivered the morning's letters, most of them to the right doors; the muffins came "
      .. "through the flight without a scratch, as they must" }
end
local text = pump.json.encode(body())
assert(#text == 256)

local function resident()
  local file <close> = assert(io.open "/proc/self/status")
  return tonumber(file:read("a"):match "VmRSS:%s*(%d+)")
end

-- What f does with n events, said.
local function measured(f, n)
  f(math.min(WARM_UP, n))
  local cpu, wall = os.clock(), hrtime()
  local more = f(n) or ""
  cpu, wall = os.clock() - cpu, hrtime() - wall
  print(("events=%d cpu=%.9f wall=%.9f rss=%d %s"):format(n, cpu, wall, resident(), more))
end

local function stream_of(n)
  return ("bench-%d"):format(n)
end

local kinds = {}

function kinds.read(conn)
  return function(n)
    local seen, touched = 0, 0
    for event in conn:iter(stream_of(n)) do
      seen = seen + 1
      touched = touched + #event.type + event.event_number
    end
    assert(seen == n, seen)
  end
end

function kinds.json(conn)
  return function(n)
    local seen, touched = 0, 0
    for event in conn:iter(stream_of(n)) do
      seen = seen + 1
      touched = touched + #event.type + event.event_number + event:json().height
    end
    assert(seen == n, seen)
  end
end

function kinds.all(conn)
  return function(n)
    local seen, touched = 0, 0
    for event in conn:iter_all() do
      touched = touched + #event.type + event.event_number
      seen = seen + 1
      if seen == n then break end
    end
    assert(seen == n, seen)
  end
end

-- A generator of n events, in batches of so many (nil: as the client likes), some on their way.
local BATCH = 500
local function published(conn, make, batch_size, stream)
  return function(n)
    local made = 0
    assert(conn:publish(stream and stream(n) or "bench-write", function()
      if made == n then return nil end
      made = made + 1
      return make()
    end, { batch_size = batch_size }))
  end
end

local function new_table() return pump.new_event(TYPE, body()) end

function kinds.text(conn)
  local options = { content_type = "json" }
  return published(conn, function() return pump.new_event(TYPE, text, options) end, BATCH)
end

function kinds.table(conn)
  return published(conn, new_table, BATCH)
end

kinds["own-batches"] = function(conn)
  return published(conn, new_table)
end

-- What `read` reads, for servers that are not canned: warming up fills its first stream.
function kinds.fill(conn)
  return published(conn, new_table, nil, stream_of)
end

-- Events one by one, in so many tasks at once.
function kinds.single(conn)
  local options = { content_type = "json" }
  return function(n)
    local made = 0
    pump.run(function()
      for _ = 1, in_flight do
        pump.spawn(function()
          while made < n do
            made = made + 1
            assert(conn:publish_event("bench-write", TYPE, text, options))
          end
        end)
      end
    end)
  end
end

local function said_trips(trips)
  table.sort(trips)
  return ("p50=%.9f p99=%.9f"):format(trips[#trips // 2 + 1], trips[#trips * 99 // 100 + 1])
end

function kinds.ping(conn)
  return function(n)
    local trips = {}
    pump.run(function()
      for i = 1, n do trips[i] = assert(conn:ping()) end
    end)
    if os.getenv "PUMP_BENCH_COUNTS" then return "" end -- how long sorting takes depends on time
    return said_trips(trips)
  end
end

-- n events of streams of so many, one stream after the other: a thousand events each, of 10,000
-- streams, or in so many tasks at once.
local function read_whole(conn, stream, limit)
  local seen, touched = 0, 0
  for event in conn:iter(stream) do
    seen = seen + 1
    touched = touched + #event.type + event.event_number
    if seen == limit then break end
  end
  return seen
end

function kinds.length(conn)
  return function(n)
    local seen = 0
    while seen < n do seen = seen + read_whole(conn, stream_of(in_flight), n - seen) end
  end
end

function kinds.streams(conn)
  return function(n)
    local seen, turn = 0, 0
    while seen < n do
      turn = turn % in_flight + 1
      seen = seen + read_whole(conn, ("bench-1000-%d"):format(turn))
    end
  end
end

function kinds.tasks(conn)
  return function(n)
    local seen = 0
    pump.run(function()
      for _ = 1, in_flight do
        pump.spawn(function()
          while seen < n do
            seen = seen + 1000
            assert(read_whole(conn, "bench-1000") == 1000)
          end
        end)
      end
    end)
  end
end

---- Subscriptions, of servers that are not canned -------------------------------------------------

-- History through a subscription, which is closed where it would go live.
function kinds.catchup(conn)
  return function(n)
    local seen, touched = 0, 0
    local sub <close> = assert(conn:subscribe_to(stream_of(n), { from_event = "start" }))
    for event in sub:events() do
      seen = seen + 1
      touched = touched + #event.type + event.event_number
      if seen == n then break end
    end
    assert(seen == n, seen)
  end
end

-- The same by a group with one consumer, who acknowledges each event when it is done with.
function kinds.persistent(conn)
  return function(n)
    local seen, touched, group = 0, 0, "bench-" .. pump.uuid()
    assert(conn:create_subscription(group, stream_of(n),
      { from_event = 0, read_batch_size = 500, buffer_size = 5000, live_buffer_size = 5000,
        username = "admin", password = "changeit" }))
    local sub <close> = assert(conn:connect_subscription(group, stream_of(n),
      { auto_ack = true, buffer_size = 1000, username = "admin", password = "changeit" }))
    for event in sub:events() do
      seen = seen + 1
      touched = touched + #event.type + event.event_number
      if seen == n then break end
    end
    assert(seen == n, seen)
  end
end

-- From publishing in one connection to having the event in another.
function kinds.latency(conn)
  local other = assert(pump.connect(where))
  local options = { content_type = "json" }
  return function(n)
    local stream, trips, started = "bench-" .. pump.uuid(), {}, nil
    local function publish()
      started = hrtime()
      assert(conn:publish_event(stream, TYPE, text, options))
    end
    pump.run(function()
      local sub <close> = assert(other:subscribe_to(stream))
      pump.spawn(publish)
      for _ in sub:events() do
        trips[#trips + 1] = hrtime() - started
        if #trips == n then break end
        pump.spawn(publish)
      end
    end)
    return said_trips(trips)
  end
end

-- So many subscriptions at once, each to a stream of its own; what one of them takes, in KiB.
-- There is no warming up: what was free before would not grow.
function kinds.subscriptions(conn)
  local is_warm
  return function(n)
    if not is_warm then
      is_warm = true
      return ""
    end
    collectgarbage()
    local before, subs = resident(), {}
    for i = 1, n do
      subs[i] = assert(conn:subscribe_to(("bench-many-%d"):format(i), { from_event = "start" }))
    end
    while subs[n].state ~= "live" do pump.sleep(0.01) end
    collectgarbage()
    local each = (resident() - before) / n
    for _, sub in ipairs(subs) do sub:close() end
    return ("each=%.3f"):format(each)
  end
end

-- Resident size after every hundredth of the events; "flat" is the last over the second.
function kinds.memory(conn)
  return function(n)
    local step, seen, sizes = math.max(n // 100, 1), 0, {}
    for event in conn:iter(stream_of(n)) do
      seen = seen + 1
      assert(event.type == TYPE)
      if seen % step == 0 then sizes[#sizes + 1] = resident() end
    end
    local peak = math.max(table.unpack(sizes))
    return ("second=%d last=%d peak=%d"):format(sizes[#sizes // 5], sizes[#sizes], peak)
  end
end

function kinds.idle()
  return function() pump.sleep(0.2) end
end

local conn = assert(pump.connect(where:find ":" and where or "tcp://127.0.0.1:" .. where,
  { timeout = 60 })) -- a busy machine is no reason to fail
measured(kinds[what](conn), count)
conn:close()
