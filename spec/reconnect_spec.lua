-- Connections that are lost and come back: what waits, what goes on, and what is told.
local core = require "pump.core"
local helper = require "helper"
local pump = require "pump"

local wait_until = helper.wait_until

helper.leaves_nothing(after_each)

local FAST = { delay = 0.01, max_delay = 0.1 }

-- A node with a connection to it.
local function start(options)
  local node, address = helper.node()
  local all = { reconnect = FAST }
  for name, value in pairs(options or {}) do all[name] = value end
  return node, assert(pump.connect("tcp://admin:changeit@" .. address, all)), address
end

local function finish(node, ...)
  for _, conn in ipairs { ... } do conn:close() end
  node:close()
end

-- Lets fn run as a task up to its request, which is done and not answered; then cuts it off.
local function cut_in_flight(node, fn)
  node.faults.silent = true
  local task = pump.spawn(fn)
  pump.sleep(0.05)
  node.faults:clear()
  node.faults:drop()
  return task
end

describe("a connection that is lost", function()
  it("comes back, and what was asked is asked again", function()
    local node, conn = start()
    assert(conn:publish_event("s", "t", "0"))
    local task = cut_in_flight(node, function() return conn:get_event("s", 0) end)
    assert.equal("0", assert(task:join()).data)
    assert.equal("connected", conn.state)
    finish(node, conn)
  end)

  it("tells what happens, in order", function()
    local node, conn = start()
    local seen = {}
    local function note(...) seen[#seen + 1] = table.concat({ ... }, " ") end
    conn.on_connected:append(function(it) note("connected", it.state) end)
    conn.on_disconnected:append(function(err) note("disconnected", err.code, conn.state) end)
    conn.on_reconnecting:append(function(attempt, delay)
      note("reconnecting", attempt, conn.state)
      assert.is_true(delay >= 0 and delay <= 0.02)
    end)
    conn.on_closed:append(function(it, err) note("closed", it.state, tostring(err)) end)
    node.faults:drop()
    wait_until(function() return #seen == 3 end)
    conn:close()
    assert.are.same({ "disconnected closed reconnecting", "reconnecting 1 reconnecting",
      "connected connected", "closed closed nil" }, seen)
    finish(node)
  end)
end)

describe("a catch-up subscription", function()
  it("goes on exactly behind the last event", function()
    local node, conn, address = start()
    local writer = assert(pump.connect("tcp://admin:changeit@" .. address, { reconnect = FAST }))
    local sub = assert(conn:subscribe_to("s", { from_event = 0, batch_size = 7 }))
    local next_number = 0
    for round = 1, 10 do
      for i = 1, 20 do assert(writer:publish_event("s", "t", { round = round, i = i })) end
      local take = math.random(0, 20)
      for _ = 1, take do
        assert.equal(next_number, assert(sub:next(5)).event_number)
        next_number = next_number + 1
      end
      node.faults:drop()
    end
    while next_number < 200 do
      assert.equal(next_number, assert(sub:next(5)).event_number)
      next_number = next_number + 1
    end
    helper.fails("timeout", sub:next(0.05))
    wait_until(function() return sub.state == "live" end)
    sub:close()
    finish(node, conn, writer)
  end)
end)

-- A node in a file that can be killed and started anew at the same port.
local function start_in_file(options)
  local path, server = os.tmpname(), {}
  os.remove(path)
  local node, address = helper.node { file = path }
  function server.stop() node:close() end
  function server.go_on(more)
    local all = { file = path, listen = address }
    for name, value in pairs(more or {}) do all[name] = value end
    node = assert(pump.node(all))
  end
  function server.finish(...)
    finish(node, ...)
    for _, suffix in ipairs { "", "-wal", "-shm" } do os.remove(path .. suffix) end
  end
  local all = { reconnect = FAST }
  for name, value in pairs(options or {}) do all[name] = value end
  return server, assert(pump.connect("tcp://admin:changeit@" .. address, all))
end

describe("a write whose answer was lost", function()
  for _, case in ipairs {
    { "no_stream", 0 }, { 2, 3 }, { "any", 3 }, { "stream_exists", 3 },
  } do
    local expected, number = case[1], case[2]
    it("is done once with expected_version = " .. tostring(expected), function()
      local node, conn = start()
      for i = 1, expected == "no_stream" and 0 or 3 do
        assert(conn:publish_event("s", "t", tostring(i)))
      end
      for at = 0, 40, 8 do
        local stream = "s" .. (expected == "no_stream" and at or "")
        local version = type(expected) == "number" and expected + at // 8 or expected
        node.faults:set { cut = at, only = "writes", count = 1 }
        local result = assert(conn:publish_event(stream, "t", "x", { expected_version = version }))
        assert.equal(expected == "no_stream" and 0 or number + at // 8, result.first_event_number)
      end
      assert.equal(expected == "no_stream" and 1 or 9,
        #assert(conn:get(expected == "no_stream" and "s0" or "s")))
      finish(node, conn)
    end)
  end

  it("is found out to have failed, where it had", function()
    local node, conn = start()
    assert(conn:publish_event("s", "t"))
    node.faults:set { cut = 3, only = "writes", count = 1 }
    local err = helper.fails("wrong_expected_version",
      conn:publish_event("s", "t", nil, { expected_version = 7 }))
    assert.equal(0, err.current)
    finish(node, conn)
  end)

  it("is closed where nothing may be asked twice", function()
    local node, conn = start { retries = 0 }
    node.faults:set { cut = 0, only = "writes", count = 1 }
    local err = helper.fails("closed", conn:publish_event("s", "t"))
    assert.matches("may have been done all the same", err.message)
    node.faults:set { not_handled = "too_busy", count = 1 }
    helper.fails("too_busy", conn:publish_event("s", "t"))
    finish(node, conn)
  end)
end)

describe("a server that was killed and started again", function()
  it("is waited for", function()
    local server, conn = start_in_file()
    assert(conn:publish_event("s", "t", "0", { expected_version = "no_stream" }))
    local event = { pump.new_event("t", "1", { id = pump.uuid() }) }
    assert(conn:publish("s", event, { expected_version = 0 }))
    server.stop()
    wait_until(function() return conn.state == "reconnecting" end)
    local again = pump.spawn(function()
      return conn:publish("s", event, { expected_version = 0 })
    end)
    local new = pump.spawn(function() return conn:publish_event("s", "t", "2") end)
    pump.sleep(0.1)
    server.go_on()
    assert.equal(1, assert(again:join()).first_event_number)
    assert.equal(2, assert(new:join()).first_event_number)
    server.finish(conn)
  end)

  it("is not waited for longer than a request may take", function()
    local server, conn = start_in_file { timeout = 0.2, connect_timeout = 0.3 }
    server.stop()
    wait_until(function() return conn.state == "reconnecting" end)
    local before = core.hrtime()
    local err = helper.fails("timeout", conn:publish_event("s", "t"))
    assert.matches("the connection is being re%-established: .*refused", err.message)
    err = helper.fails("timeout", conn:subscribe_to("s"))
    assert.is_true(err.retryable)
    helper.fails("timeout", conn:connect())
    assert.is_true(core.hrtime() - before < 10)
    server.go_on()
    wait_until(function() return conn:connect() == conn end)
    assert.equal("connected", conn.state)
    server.finish(conn)
  end)

  it("is not asked for ever", function()
    local server, conn = start_in_file { reconnect = { delay = 0.01, attempts = 3 } }
    local attempts, closed = 0, nil
    conn.on_reconnecting:append(function() attempts = attempts + 1 end)
    conn.on_closed:append(function(_, err) closed = err end)
    local sub = assert(conn:subscribe_to("s", { from_event = 0 }))
    server.stop()
    wait_until(function() return closed ~= nil end)
    assert.equal(3, attempts)
    assert.matches("gave up after 3 attempts.*refused", closed.message)
    assert.equal("closed", conn.state)
    helper.fails("closed", sub:next(1))
    helper.fails("closed", conn:ping())
    sub:close()
    server.go_on()
    assert(conn:connect())
    assert(conn:publish_event("s", "t"))
    server.finish(conn)
  end)

  it("is of no use when it refuses the credentials now", function()
    local server, conn = start_in_file()
    local closed
    conn.on_closed:append(function(_, err) closed = err end)
    server.stop()
    server.go_on { users = { admin = "something else" } }
    wait_until(function() return closed ~= nil end)
    assert.equal("not_authenticated", closed.code)
    server.finish(conn)
  end)

  it("may be given up at any time", function()
    local server, conn = start_in_file()
    local sub = assert(conn:subscribe_to("s", { from_event = 0 }))
    server.stop()
    wait_until(function() return conn.state == "reconnecting" end)
    assert.equal("reconnecting", sub.state)
    local task = pump.spawn(function() return conn:ping() end)
    local wanted = pump.spawn(function() return conn:subscribe_to("t") end)
    pump.sleep(0.03)
    conn:close()
    helper.fails("closed", task:join())
    helper.fails("closed", wanted:join())
    helper.fails("closed", sub:next(1))
    server.go_on()
    server.finish(conn)
  end)
end)

describe("reconnect", function()
  it("stands in URLs and options", function()
    local node, address = helper.node()
    local url = "tcp://admin:changeit@" .. address
    for _, arguments in ipairs {
      { url .. "?reconnect=false" }, { url .. "?reconnect_attempts=0" },
      { url, { reconnect = false } }, { url, { reconnect = { attempts = 0 } } },
      { url .. "?reconnect=true", { reconnect = false } },
    } do
      local conn = assert(pump.connect(table.unpack(arguments)))
      local closed = false
      conn.on_closed:append(function() closed = true end)
      node.faults:drop()
      wait_until(function() return closed end)
      assert.equal("closed", conn.state)
      conn:close()
    end
    local conn = assert(pump.connect(url .. "?reconnect_delay=0&reconnect_max_delay=0&retries=5"))
    local delays = {}
    conn.on_reconnecting:append(function(_, delay) delays[#delays + 1] = delay end)
    node.faults:drop()
    wait_until(function() return delays[1] ~= nil and conn.state == "connected" end)
    assert.equal(0, delays[1])
    finish(node, conn)
    helper.fails("connect_failed", pump.connect(url .. "?reconnect_delay=soon"))
    helper.misuses("bad option 'reconnect' to 'connect' %(true, false or a table",
      pump.connect, url, { reconnect = 5 })
    helper.misuses("known are attempts, delay, max_delay", pump.connect, url,
      { reconnect = { x = 5 } })
  end)

  it("is for stores in this process, too", function()
    local conn = assert(pump.connect("memory:", { reconnect = FAST }))
    assert(conn:publish_event("s", "t", "x"))
    local task = pump.spawn(function()
      local numbers = {}
      for event in conn:stream("s", { forever = true }) do
        numbers[#numbers + 1] = event.event_number
        if #numbers == 5 then return numbers end
      end
    end)
    for _ = 1, 4 do
      pump.sleep(0.02)
      conn.node:drop()
      assert(conn:publish_event("s", "t", "y"))
    end
    assert.are.same({ 0, 1, 2, 3, 4 }, (task:join()))
    conn:close()
  end)

  it("notices a peer that is silent", function()
    local node, conn = start { heartbeat = { interval = 0.05, timeout = 0.1 } }
    node.faults.silent = true
    local task = pump.spawn(function() return conn:ping() end)
    wait_until(function() return conn.state == "reconnecting" end)
    node.faults:clear()
    assert.is_number(task:join())
    finish(node, conn)
  end)
end)

-- Drops the connections of a node now and then while fn runs.
local function while_cut(node, fn)
  local over = false
  pump.run(function()
    pump.spawn(function()
      while not over do
        pump.sleep(math.random() * 0.03)
        node.faults:drop()
      end
    end)
    local ok, err = pcall(fn)
    over = true
    assert(ok, err)
  end)
end

describe("what goes on for long", function()
  it("is not disturbed: generators write in order, iterators read in order", function()
    local node, conn = start()
    local drops = 0
    conn.on_disconnected:append(function() drops = drops + 1 end)
    while_cut(node, function()
      for round = 1, 4 do
        local stream, n = "s" .. round, 0
        local version = round % 2 == 0 and "any" or "no_stream"
        local result = assert(conn:publish(stream, function()
          n = n + 1
          if n % 100 == 0 then pump.sleep(0.005) end
          if n <= 3000 then return pump.new_event("t", { n = n }) end
        end, { batch_size = 50, expected_version = version, timeout = 20 }))
        assert.are.same({ 3000, 0, 2999 },
          { result.count, result.first_event_number, result.last_event_number })
        local expected = 0
        for event in conn:iter(stream, { batch_size = 20, timeout = 20 }) do
          assert.equal(expected, event.event_number)
          expected = expected + 1
          assert.equal(expected, event:json().n)
        end
        assert.equal(3000, expected)
        for event in conn:iter(stream, { batch_size = 30, direction = "backward", timeout = 20 }) do
          expected = expected - 1
          assert.equal(expected, event.event_number)
        end
        assert.equal(0, expected)
      end
      local count = 0
      for event in conn:iter_all { batch_size = 100, timeout = 20 } do
        if event.stream:find "^s%d$" then count = count + 1 end
      end
      assert.equal(12000, count)
    end)
    assert.is_true(drops > 5, drops)
    finish(node, conn)
  end)
end)

describe("a volatile subscription", function()
  it("is there again, and tells that something may be missing", function()
    local node, conn, address = start()
    local writer = assert(pump.connect("tcp://admin:changeit@" .. address, { reconnect = FAST }))
    local sub = assert(conn:subscribe_to "s")
    local gaps = {}
    sub.on_gap:append(function(err) gaps[#gaps + 1] = err.code end)
    assert(writer:publish_event("s", "t", "0"))
    assert.equal("0", assert(sub:next(2)).data)
    node.faults:drop()
    wait_until(function() return #gaps == 1 and sub.state == "live" end)
    assert.are.same({ "closed" }, gaps)
    assert(writer:publish_event("s", "t", "1"))
    assert.equal("1", assert(sub:next(2)).data)
    sub:close()
    finish(node, conn, writer)
  end)
end)
