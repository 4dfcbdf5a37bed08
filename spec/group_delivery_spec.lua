-- A checker of deliveries: writers and subscribers of every kind on connections that are cut at
-- random, with pauses and slow consumers, each of whom goes on from its position. It proves that
-- catch-up subscribers saw every event exactly once and in order, that volatile ones missed
-- nothing but where they were told, and that groups saw every event, and none again whose ack the
-- node took. PUMP_CHECK_SECONDS says for how long (1.5).
local core = require "pump.core"
local helper = require "helper"
local pump = require "pump"

helper.leaves_nothing(after_each)

local seconds = tonumber(os.getenv "PUMP_CHECK_SECONDS") or 1.5
local STREAMS = 3

local function new_run()
  local node, address = helper.node { users = { admin = "changeit" } }
  local self = { node = node, url = "tcp://admin:changeit@" .. address,
    written = {}, groups = {}, cuts = 0, seen = 0, gaps = 0, again = 0 }
  for i = 1, STREAMS do self.written[i], self.groups[i] = 0, { got = {}, taken = {} } end
  self.prefix = helper.stream "group-delivery"
  return self
end

local function stream_of(self, i)
  return ("%s-%d"):format(self.prefix, i)
end

-- busted's assert makes a text of an error.
local function must(value, err)
  if value == nil then error(err, 0) end
  return value
end

-- Calls fn(conn) on one connection after the other, of which some come back by themselves, until
-- it returns true. What fails other than
-- by a cut fails the spec.
local function on_connections(self, fn)
  while true do
    local reconnect = math.random() < 0.7 and { delay = 0.005, max_delay = 0.02 }
    local conn, err = pump.connect(self.url, { timeout = 2, reconnect = reconnect })
    if conn then
      local ok, done = pcall(fn, conn)
      conn:close()
      if ok and done then return end
      err = not ok and done
    end
    if err and err.code ~= "closed" and err.code ~= "connect_failed" then error(err, 0) end
    pump.sleep(0.002)
  end
end

-- A write whose answer was lost is written again, with the same ids at the same place.
local function write(self, i)
  local batch, size
  on_connections(self, function(conn)
    while batch or not self.over do
      if not batch then
        batch, size = {}, math.random(12)
        for n = 1, size do
          local body = { n = self.written[i] + n - 1 }
          batch[n] = pump.new_event("Counted", body, { id = pump.uuid() })
        end
      end
      local last = self.written[i] - 1
      must(conn:publish(stream_of(self, i), batch,
        { expected_version = last >= 0 and last or "no_stream" }))
      self.written[i] = self.written[i] + size
      batch = nil
      pump.sleep(math.random() < 0.3 and math.random() * 0.01 or 0)
    end
    return true
  end)
end

-- Of pages and buffers: small enough that they run over.
local function sizes(most)
  return { batch_size = math.random(most), live_buffer_size = math.random(most) }
end

local function dawdle(pace)
  if math.random() < pace then pump.sleep(math.random() * 0.01) end
end

-- Calls fn with each event that comes until it is over.
local function each(sub, is_over, fn)
  while not is_over() do
    local event, err = sub:next(0.05)
    if event then
      fn(event)
    elseif err.code ~= "timeout" then
      error(err, 0)
    end
  end
  return true
end

local function follow_stream(self, i, pace)
  local stream, next_number = stream_of(self, i), 0
  on_connections(self, function(conn)
    local options = sizes(40)
    options.from_event = next_number
    local sub <close> = must(conn:subscribe_to(stream, options))
    return each(sub, function() return self.over and next_number == self.written[i] end,
      function(event)
        assert.equal(next_number, event.event_number)
        assert.equal(next_number, event:json().n)
        next_number = next_number + 1
        self.seen = self.seen + 1
        assert.equal(event.event_number, sub.position)
        dawdle(pace)
      end)
  end)
end

local function follow_all(self, pace)
  local numbers, position, left = {}, "start", nil
  for i = 1, STREAMS do numbers[stream_of(self, i)] = 0 end
  local function is_done()
    left = 0
    for i = 1, STREAMS do left = left + self.written[i] - numbers[stream_of(self, i)] end
    return self.over and left == 0
  end
  on_connections(self, function(conn)
    local options = sizes(60)
    options.from_position = position
    local sub <close> = must(conn:subscribe_to("$all", options))
    return each(sub, is_done, function(event)
      position = sub.position
      if numbers[event.stream] then
        assert.equal(numbers[event.stream], event.event_number)
        numbers[event.stream] = event.event_number + 1
        self.seen = self.seen + 1
      end
      dawdle(pace)
    end)
  end)
end

-- Between two gaps, and on one connection, nothing is missing.
local function listen(self, i, pace)
  on_connections(self, function(conn)
    local sub <close> = must(conn:subscribe_to(stream_of(self, i), sizes(20)))
    local last, gaps, jumps = nil, 0, 0
    sub.on_gap:append(function(err)
      assert.is_true(err.code == "slow_consumer" or err.code == "closed")
      gaps, self.gaps = gaps + 1, self.gaps + 1
    end)
    return each(sub, function() return self.over end, function(event)
      local number = event.event_number
      if last and number ~= last + 1 then
        jumps = jumps + 1
        assert.is_true(number > last)
        assert.is_true(jumps <= gaps, "a gap was not told")
      end
      last = number
      self.seen = self.seen + 1
      dawdle(pace)
    end)
  end)
end

local function make_group(self, i)
  on_connections(self, function(conn)
    local ok, err = conn:create_subscription("workers", stream_of(self, i),
      { from_event = "start", message_timeout = 60, max_retry_count = 10000 })
    return ok or err.code == "subscription_exists" or must(ok, err)
  end)
end

-- One of a group's events: perhaps not for the first time, but never after its ack was taken.
local function do_job(self, group, event)
  local number = event.event_number
  assert.is_nil(group.taken[number], "an event whose ack was taken came again")
  if group.got[number] then self.again = self.again + 1 end
  group.got[number] = true
  self.seen = self.seen + 1
end

-- What was answered when the node answers a ping, it has taken, if it is the same connection still.
local function note_taken(conn, group, acked, losses)
  pump.sleep(0.015)
  if conn:ping() and losses.count == 0 then
    for _, number in ipairs(acked) do group.taken[number] = true end
  end
end

local function work(self, i, pace)
  local group = self.groups[i]
  local function is_done()
    for number = 0, self.written[i] - 1 do
      if not group.got[number] then return false end
    end
    return self.over
  end
  on_connections(self, function(conn)
    local losses = { count = 0 }
    conn.on_disconnected:append(function() losses.count = losses.count + 1 end)
    local sub <close> = must(conn:connect_subscription("workers", stream_of(self, i),
      { buffer_size = math.random(12) }))
    while not is_done() do
      local acked = {}
      losses.count = 0
      for n = 1, math.random(15) do
        local event, err = sub:next(0.05)
        if err and err.code ~= "timeout" then error(err, 0) end
        if not event then break end
        do_job(self, group, event)
        if math.random() < 0.05 then
          must(sub:nack(event, "retry", "not now"))
        else
          must(sub:ack(event))
          acked[n] = event.event_number
        end
        dawdle(pace)
      end
      note_taken(conn, group, acked, losses)
    end
    return true
  end)
end

local function cut(self)
  local deadline = core.hrtime() + seconds
  while core.hrtime() < deadline do
    pump.sleep(math.random() * 0.2)
    self.node.faults:drop()
    self.cuts = self.cuts + 1
  end
  self.over = true
end

describe("subscribers on connections that are cut", function()
  it("saw every event, once and in order where that was promised", function()
    local self = new_run()
    pump.run(function()
      for i = 1, STREAMS do
        pump.spawn(write, self, i)
        pump.spawn(follow_stream, self, i, 0)
        pump.spawn(follow_stream, self, i, 0.05)
        pump.spawn(listen, self, i, 0.02 * i)
        make_group(self, i)
        pump.spawn(work, self, i, 0)
        pump.spawn(work, self, i, 0.05)
      end
      pump.spawn(follow_all, self, 0)
      pump.spawn(follow_all, self, 0.02)
      cut(self)
    end)
    self.node:close()
    local total = 0
    for i = 1, STREAMS do total = total + self.written[i] end
    assert.is_true(total > 100 / helper.slow)
    assert.is_true(self.cuts > 2)
    if os.getenv "PUMP_CHECK_SECONDS" then
      print(("# %d events written, %d deliveries (%d of them again, to groups), %d gaps, %d cuts")
        :format(total, self.seen, self.again, self.gaps, self.cuts))
    end
  end)
end)
