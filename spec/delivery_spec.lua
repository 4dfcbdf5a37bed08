-- A checker of what reconnection promises: writers, readers and subscribers of every kind on a
-- cluster of which everything goes wrong at random. Connections are cut at any byte, answers are
-- late, missing, twice or byte by byte, the server is busy, not ready, killed and started anew at
-- another port, and not the leader. It proves that
--   - what was answered as done is there, once; what may have been done is there at most once;
--     what was refused, or never sent, is not there,
--   - catch-up subscribers and iterators saw every event exactly once and in order, and volatile
--     ones missed nothing but where they were told,
--   - no call took longer than its timeout.
-- PUMP_CHECK_SECONDS says for how long (2), PUMP_CHECK_SEED how (at random).
local core = require "pump.core"
local helper = require "helper"
local pump = require "pump"

helper.leaves_nothing(after_each)

local seconds = tonumber(os.getenv "PUMP_CHECK_SECONDS") or 2
local seed = tonumber(os.getenv "PUMP_CHECK_SEED") or math.floor(core.hrtime() * 1e6)
local STREAMS = 3
local TIMEOUT = 1.5
local SLACK = 1.5 * helper.slow -- beside what a busy machine had no time for

local function one_of(...)
  return (select(math.random(select("#", ...)), ...))
end

---- The cluster -----------------------------------------------------------------------------------

-- The server that has the store, another one that only knows where that is, and a witness who
-- tells everybody which of the two he takes for the leader.
local function start_server(self)
  self.server = assert(pump.node { file = self.path, listen = "127.0.0.1:0" })
  self.other.faults:set { not_handled = "not_leader", leader = self.server.address }
end

local function witness(self, address)
  self.witness.faults.gossip = { members = { helper.member(address, "Leader") } }
end

local function new_run()
  local path = os.tmpname()
  os.remove(path)
  local self = { path = path, other = helper.node(),
    witness = helper.node { http = "127.0.0.1:0" }, prefix = helper.stream "delivery",
    done = {}, open = {}, refused = {}, ends = {}, longest = 0,
    count = { calls = 0, seen = 0, gaps = 0, losses = 0, kills = 0, troubles = 0 } }
  start_server(self)
  witness(self, self.server.address)
  return self
end

local function finish(self)
  for _, node in ipairs { self.server, self.other, self.witness } do node:close() end
  for _, suffix in ipairs { "", "-wal", "-shm" } do os.remove(self.path .. suffix) end
end

local function connect(self)
  local conn = assert(pump.connect { seeds = { self.witness.http_address }, username = "admin",
    password = "changeit", timeout = TIMEOUT, connect_timeout = 1,
    heartbeat = { interval = 0.2, timeout = 0.2 }, reconnect = { delay = 0.01, max_delay = 0.1 } })
  conn.on_disconnected:append(function() self.count.losses = self.count.losses + 1 end)
  return conn
end

local function trouble(self)
  local kind = math.random(10)
  self.count.troubles = self.count.troubles + 1
  if kind == 1 then
    self.server:close()
    pump.sleep(math.random() * 0.05)
    start_server(self)
    witness(self, self.server.address)
    self.count.kills = self.count.kills + 1
  elseif kind == 2 then
    witness(self, self.other.address)
  elseif kind == 3 then
    self.server.faults:drop()
  else
    self.server.faults:set {
      not_handled = one_of(nil, nil, nil, "not_ready", "too_busy"),
      cut = one_of(nil, math.random(0, 60), math.random(0, 4000)), one_byte = one_of(nil, true),
      delay = one_of(nil, nil, 0.001, 0.02), duplicate = one_of(nil, true),
      silent = one_of(nil, nil, nil, true), refuse = one_of(nil, nil, nil, true),
      only = one_of(nil, "reads", "writes"), count = one_of(1, 3, 10),
    }
  end
end

local function make_trouble(self)
  local deadline = core.hrtime() + seconds
  while core.hrtime() < deadline do
    trouble(self)
    pump.sleep(math.random() * 0.1)
  end
  self.server.faults:clear()
  self.over = true
end

---- Who is disturbed by it ------------------------------------------------------------------------

local function stream_of(self, i)
  return ("%s-%d"):format(self.prefix, i)
end

-- conn:method(…), which must not take longer than it may.
local function call(self, conn, method, ...)
  local before, waited = core.hrtime(), helper.waited()
  local value, err = conn[method](conn, ...)
  self.count.calls = self.count.calls + 1
  local lost = helper.waited() - waited
  self.longest = math.max(self.longest, core.hrtime() - before - lost)
  return value, err
end

local function new_batch(self, i)
  local batch = {}
  for n = 1, math.random(8) do
    batch[n] = pump.new_event("Counted", { stream = i, pad = ("x"):rep(math.random(0, 300)) },
      { id = pump.uuid() })
  end
  self.batches = (self.batches or 0) + 1
  return batch
end

local function note(set, batch)
  for _, event in ipairs(batch) do set[event.id] = true end
end

-- Whoever says which version he expects writes again until he knows; whoever does not goes on.
local function write(self, conn, i, says_version)
  local stream, last, batch = stream_of(self, i), -1, nil
  while batch or not self.over do
    batch = batch or new_batch(self, i)
    local expected = not says_version and "any" or last >= 0 and last or "no_stream"
    local result, err = call(self, conn, "publish", stream, batch, { expected_version = expected })
    if result then
      note(self.done, batch)
      last, batch = result.last_event_number, nil
    elseif err.code ~= "timeout" and err.code ~= "not_leader" and err.code ~= "not_ready"
      and err.code ~= "too_busy" then
      error(err, 0)
    elseif not says_version then
      note(err.message:find "may have been done" and self.open or self.refused, batch)
      batch = nil
    end
    if not batch and math.random() < 0.1 then
      local wrong = new_batch(self, i)
      result, err = call(self, conn, "publish", stream, wrong, { expected_version = 1000000 })
      assert.is_nil(result)
      note(err.code == "wrong_expected_version" and self.refused or self.open, wrong)
    end
    pump.sleep(math.random() < 0.3 and math.random() * 0.01 or 0)
  end
end

local function dawdle(pace)
  if math.random() < pace then pump.sleep(math.random() * 0.01) end
end

-- Of pages and buffers: small enough that they run over.
local function sizes(most)
  return { batch_size = math.random(most), live_buffer_size = math.random(most) }
end

-- The next event, or nil when there is none just now.
local function next_event(self, sub)
  local event, err = sub:next(0.05)
  if not event and err.code ~= "timeout" then error(err, 0) end
  if event then self.count.seen = self.count.seen + 1 end
  return event
end

local function must_subscribe(self, conn, stream, options)
  while true do
    local sub, err = conn:subscribe_to(stream, options)
    if sub then return sub end
    assert.is_true(err.retryable, tostring(err))
    if self.over then pump.sleep(0.01) end
  end
end

local function follow_stream(self, conn, i, pace)
  local options = sizes(40)
  options.from_event = 0
  local sub <close> = must_subscribe(self, conn, stream_of(self, i), options)
  local next_number = 0
  while next_number ~= self.ends[i] do
    local event = next_event(self, sub)
    if event then
      assert.equal(next_number, event.event_number)
      next_number = next_number + 1
      dawdle(pace)
    end
  end
end

local function follow_all(self, conn, pace)
  local options, numbers, left = sizes(60), {}, STREAMS
  options.from_position = "start"
  for i = 1, STREAMS do numbers[stream_of(self, i)] = 0 end
  local sub <close> = must_subscribe(self, conn, "$all", options)
  while left > 0 do
    local event = next_event(self, sub)
    if event and numbers[event.stream] then
      assert.equal(numbers[event.stream], event.event_number)
      numbers[event.stream] = event.event_number + 1
      dawdle(pace)
    end
    left = STREAMS
    for i = 1, STREAMS do
      if numbers[stream_of(self, i)] == self.ends[i] then left = left - 1 end
    end
  end
end

-- Between two gaps nothing is missing.
local function listen(self, conn, i, pace)
  local sub <close> = must_subscribe(self, conn, stream_of(self, i), sizes(20))
  local last, gaps, jumps = nil, 0, 0
  sub.on_gap:append(function()
    gaps, self.count.gaps = gaps + 1, self.count.gaps + 1
  end)
  while not self.over do
    local event = next_event(self, sub)
    if event then
      if last and event.event_number ~= last + 1 then
        jumps = jumps + 1
        assert.is_true(event.event_number > last)
        assert.is_true(jumps <= gaps, "a gap was not told")
      end
      last = event.event_number
      dawdle(pace)
    end
  end
end

local function iterate(self, conn, i)
  while not self.over do
    local expected = 0
    local ok, err = pcall(function()
      for event in conn:iter(stream_of(self, i), { batch_size = math.random(50) }) do
        assert.equal(expected, event.event_number)
        expected = expected + 1
      end
    end)
    if not ok and not (type(err) == "table" and err.retryable) then
      assert.equal("stream_not_found", type(err) == "table" and err.code or tostring(err))
    end
    pump.sleep(0.01)
  end
end

---- The judgement ---------------------------------------------------------------------------------

-- Reads all there is, and says where the streams end.
local function judge(self, conn)
  local there = {}
  for i = 1, STREAMS do
    self.ends[i] = 0
    for event in conn:iter(stream_of(self, i)) do
      assert.is_nil(there[event.id], "an event is there twice")
      there[event.id] = true
      self.ends[i] = self.ends[i] + 1
    end
  end
  local count = { done = 0, open = 0, refused = 0 }
  for id in pairs(self.done) do
    assert.is_true(there[id], "a write that was done is missing")
    count.done = count.done + 1
  end
  for id in pairs(self.refused) do
    assert.is_nil(there[id], "a write that was not done is there")
    count.refused = count.refused + 1
  end
  for id in pairs(self.open) do
    if there[id] then count.open = count.open + 1 end
  end
  return count
end

describe("a cluster of which everything goes wrong", function()
  it("has every write once, and every subscriber has it, too", function()
    math.randomseed(seed)
    local self, count = new_run(), nil
    local conns = {}
    for i = 1, 3 do conns[i] = connect(self) end
    local ok, err = pcall(pump.run, function()
      local writers = {}
      for i = 1, STREAMS do
        writers[i] = pump.spawn(write, self, conns[1], i, i > 1)
        pump.spawn(follow_stream, self, conns[2], i, 0)
        pump.spawn(follow_stream, self, conns[3], i, 0.05)
        pump.spawn(listen, self, conns[2], i, 0.02 * i)
        pump.spawn(iterate, self, conns[3], i)
      end
      pump.spawn(follow_all, self, conns[2], 0)
      pump.spawn(follow_all, self, conns[3], 0.02)
      make_trouble(self)
      for i = 1, STREAMS do writers[i]:join() end
      count = judge(self, conns[1])
    end)
    for _, conn in ipairs(conns) do conn:close() end
    finish(self)
    assert(ok, ("seed %d: %s"):format(seed, tostring(err)))
    assert.is_true(self.longest < TIMEOUT + SLACK, self.longest)
    assert.is_true(count.done > 50 / helper.slow and self.count.losses > 5 / helper.slow,
      ("%d done, %d losses"):format(count.done, self.count.losses))
    if os.getenv "PUMP_CHECK_SECONDS" then
      print(("# seed %d: %d calls, the longest %.2f s; %d events done, %d found done, %d not; "
        .. "%d deliveries, %d gaps told; %d losses, %d kills, %d troubles"):format(seed,
        self.count.calls, self.longest, count.done, count.open, count.refused, self.count.seen,
        self.count.gaps, self.count.losses, self.count.kills, self.count.troubles))
    end
  end)
end)
