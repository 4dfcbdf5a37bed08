-- Counters of connections, what Prometheus reads of them, and frames in the log.
local helper = require "helper"
local pump = require "pump"

helper.leaves_nothing(after_each)

describe("stats", function()
  it("count what is asked, answered and sent", function()
    local conn <close> = assert(pump.connect "memory:")
    local before = conn:stats()
    assert.equal(1, before.connections)
    assert.equal(0, before.requests)
    assert(conn:publish_event("s", "t", ("x"):rep(1000)))
    assert(conn:get "s")
    helper.fails("stream_not_found", conn:get "nobody")
    local stats = conn:stats()
    assert.equal(3, stats.requests)
    assert.equal(1, stats.failures)
    assert.equal(3, stats.frames_out - before.frames_out)
    assert.equal(3, stats.frames_in - before.frames_in)
    assert.is_true(stats.bytes_out - before.bytes_out > 1000)
    assert.is_true(stats.bytes_in - before.bytes_in > 1000)
    assert.equal(0, stats.in_flight + stats.waiting + stats.retries + stats.reconnects)
  end)

  it("show that pages that are slow hold up nobody", function()
    local node <close> = helper.node()
    local conn <close> = assert(pump.connect("tcp://" .. node.address))
    assert(conn:publish_event("s", "t", "x"))
    node.faults:set { silent = true, only = "reads" }
    pump.run(function()
      local readers = {}
      for i = 1, 100 do
        readers[i] = pump.spawn(conn.get, conn, "s", { max_count = 4000 })
      end
      repeat pump.sleep(0) until conn:stats().in_flight + conn:stats().waiting == 100
      assert(conn:publish_event("s", "t", "y", { timeout = 5 * helper.slow }))
      assert.equal(100, conn:stats().in_flight + conn:stats().waiting)
      for _, reader in ipairs(readers) do reader:cancel() end
    end)
  end)

  it("know how long answers took", function()
    local node <close> = helper.node()
    local conn <close> = assert(pump.connect("tcp://" .. node.address))
    for _ = 1, 9 do assert(conn:ping()) end
    node.faults.delay = 0.1
    assert(conn:ping())
    local latency = conn:stats().latency
    assert.equal(10, latency.count)
    assert.is_true(latency.max >= 0.1 and latency.sum >= latency.max)
    assert.is_true(latency.p50 <= latency.p90 and latency.p90 <= latency.p99)
    assert.is_true(latency.p99 >= 0.1 and latency.p99 <= latency.max)
    assert.is_true(latency.p50 < 0.1)
    local last = { seconds = 0, count = 0 }
    for _, bucket in ipairs(latency.buckets) do
      assert.is_true(bucket.seconds > last.seconds and bucket.count >= last.count)
      last = bucket
    end
    assert.equal(10, last.count)
    assert.is_true(latency.buckets[6].count < 10) -- within 65 ms
  end)

  it("know what is under way", function()
    local node <close> = helper.node()
    local conn <close> = assert(pump.connect("tcp://" .. node.address, { max_in_flight = 2 }))
    node.faults.silent = true
    pump.run(function()
      local tasks = {}
      for i = 1, 5 do tasks[i] = pump.spawn(conn.ping, conn) end
      helper.wait_until(function() return conn:stats().in_flight > 0 end)
      local stats = conn:stats()
      assert.equal(2, stats.in_flight)
      assert.equal(3, stats.waiting)
      for _, task in ipairs(tasks) do task:cancel() end
    end)
  end)

  it("count lost connections and what is asked again", function()
    local node <close> = helper.node()
    local conn <close> = assert(pump.connect("tcp://" .. node.address,
      { reconnect = { delay = 0.01, max_delay = 0.05 } }))
    node.faults.silent = true
    local task = pump.spawn(conn.get_event, conn, "s", 0)
    helper.wait_until(function() return conn:stats().in_flight == 1 end)
    node.faults:drop()
    node.faults:clear()
    helper.fails("stream_not_found", task:join())
    local stats = conn:stats()
    assert.equal(2, stats.connections)
    assert.equal(1, stats.reconnects)
    assert.equal(1, stats.retries)
    assert.equal(1, stats.requests)
  end)

  it("are zero before, and stay behind", function()
    local client = assert(pump.client "memory:")
    assert.equal(0, client:stats().frames_out)
    assert.equal(0, client:stats().latency.p99)
    assert(client:connect())
    assert(client:ping())
    client:close()
    assert.equal(1, client:stats().requests)
  end)
end)

describe("metrics", function()
  -- name{labels} -> value; each line has to be one that Prometheus reads.
  local function read(text)
    local values, types = {}, {}
    assert.equal("\n", text:sub(-1))
    for line in text:gmatch "([^\n]*)\n" do
      local name, kind = line:match "^# TYPE ([%w_]+) (%l+)$"
      if name then
        assert.is_nil(types[name])
        types[name] = kind
      elseif not line:find "^# HELP [%w_]+ %u.*%.$" then
        local key, value = line:match '^([%w_]+{.*}) ([%d.e+-]+)$'
        assert.is_string(key, line)
        values[key] = tonumber(value)
      end
    end
    return values, types
  end

  it("are in Prometheus's form, for several connections", function()
    local one <close> = assert(pump.connect("memory:", { name = 'the "first"\n' }))
    local two <close> = assert(pump.connect "memory:")
    assert(one:ping())
    local values, types = read(pump.metrics(one, two))
    assert.equal(1, values['pump_requests_total{connection="the \\"first\\"\\n"}'])
    assert.equal(0, values['pump_requests_total{connection="2"}'])
    assert.equal("counter", types.pump_requests_total)
    assert.equal("gauge", types.pump_in_flight)
    assert.equal("histogram", types.pump_request_seconds)
    assert.equal(0, values['pump_request_seconds_bucket{connection="2",le="+Inf"}'])
    assert.equal(1,
      values['pump_request_seconds_bucket{connection="the \\"first\\"\\n",le="+Inf"}'])
    assert.equal(1, values['pump_request_seconds_count{connection="the \\"first\\"\\n"}'])
  end)

  it("are of connections only", function()
    helper.misuses("bad argument #1 to 'metrics' %(a connection expected, got table", pump.metrics,
      {})
    assert.is_string(pump.metrics())
  end)
end)

describe("the log", function()
  it("says in fields what is in its words", function()
    local lines, node = {}, helper.node()
    local conn = assert(pump.connect("tcp://" .. node.address, {
      name = "stable", reconnect = { delay = 0.01, max_delay = 0.01, attempts = 2 },
      log = function(level, message, fields)
        fields.level, fields.message = level, message
        lines[#lines + 1] = fields
      end,
    }))
    local function line(pattern)
      local found
      helper.wait_until(function()
        for _, it in ipairs(lines) do found = found or it.message:find(pattern) and it end
        return found ~= nil
      end)
      return found
    end
    assert.equal(node.address, line("^connected to").address)
    node.faults:set { not_handled = "not_ready", count = 1 }
    conn:get("ponies")
    local again = line "asking again"
    assert.same({ "not_ready", "read_stream", 2, 0.05, "stable" },
      { again.code, again.operation, again.attempt, again.delay, again.name })
    node:close()
    assert.equal("closed", line("^lost the connection").code)
    local attempt = line "^connecting again in"
    assert.equal(1, attempt.attempt)
    assert.is_true(attempt.delay <= 0.01)
    local last = line "^gave up"
    assert.same({ "connect_failed", 2 }, { last.code, last.attempt })
    conn:close()
  end)
end)

describe("the log at trace", function()
  it("shows every frame and no secret", function()
    local lines = {}
    local node <close> = helper.node { users = { admin = "abracadabra" } }
    local conn <close> = assert(pump.connect("tcp://admin:abracadabra@" .. node.address, {
      log_level = "trace",
      log = function(level, message, fields)
        lines[#lines + 1] = message
        assert.equal(node.address, fields.endpoint)
        assert.equal("string", type(level))
      end,
    }))
    assert(conn:publish_event("s", "t", "x", { username = "admin", password = "abracadabra" }))
    conn:close()
    local text = table.concat(lines, "\n")
    assert.matches("%-> Authenticate %(0xf2%), 0 bytes, with a login", text)
    assert.matches("<%- Authenticated %(0xf3%)", text)
    assert.matches("%-> WriteEvents %(0x82%), %d+ bytes, with a login, %x+: 0a 01 73", text)
    assert.is_nil(text:find "abracadabra")
    assert.is_nil(text:find "61 62 72 61")
  end)

  it("has the frame's command and id as fields", function()
    local seen = {}
    local conn <close> = assert(pump.connect("memory:", { log_level = "trace",
      log = function(_, _, fields) seen[fields.operation or ""] = fields end }))
    assert(conn:ping())
    assert.matches("^%x+%-%x+%-%x+%-%x+%-%x+$", seen.Ping.correlation)
    assert.equal(seen.Ping.correlation, seen.Pong.correlation)
  end)

  it("is asked for", function()
    local levels = {}
    local conn <close> = assert(pump.connect("memory:",
      { log = function(level) levels[level] = true end }))
    assert(conn:ping())
    assert.is_nil(levels.trace)
    helper.misuses("bad option 'log_level'", pump.connect, "memory:", { log_level = "loud" })
  end)
end)
