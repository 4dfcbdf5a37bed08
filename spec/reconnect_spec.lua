-- Connections that are lost and come back: what waits, what goes on, and what is told.
local core = require "pump.core"
local helper = require "helper"
local pump = require "pump"

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

local function wait_until(condition)
  local deadline = core.hrtime() + 5
  while not condition() and core.hrtime() < deadline do pump.sleep(0.002) end
  assert.is_true(condition())
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
