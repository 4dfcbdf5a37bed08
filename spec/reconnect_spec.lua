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

-- Nodes that say of each other who is the leader; addresses[i] is the i-th one's.
local function start_nodes(count)
  local nodes, addresses = {}, {}
  for i = 1, count do nodes[i], addresses[i] = helper.node() end
  return nodes, addresses
end

local function finish_all(nodes, ...)
  for _, conn in ipairs { ... } do conn:close() end
  for _, node in ipairs(nodes) do node:close() end
end

describe("a server that is not the leader", function()
  it("is left for the one that it names, and what was asked is asked there", function()
    local nodes, addresses = start_nodes(2)
    nodes[1].faults:set { not_handled = "not_leader", leader = addresses[2] }
    local conn = assert(pump.connect("tcp://admin:changeit@" .. addresses[1]))
    local sub = assert(conn:subscribe_to("s", { from_event = 0 }))
    assert(conn:publish_event("s", "t", "x"))
    assert.equal(addresses[2], conn.endpoint)
    assert.equal("x", assert(sub:next(5)).data)
    sub:close()
    local there = assert(pump.connect("tcp://admin:changeit@" .. addresses[2]))
    assert.equal(1, #assert(there:get("s")))
    finish_all(nodes, conn, there)
  end)

  it("is not left where nobody reconnects", function()
    local nodes, addresses = start_nodes(2)
    nodes[1].faults:set { not_handled = "not_leader", leader = addresses[2] }
    local conn = assert(pump.connect("tcp://admin:changeit@" .. addresses[1],
      { reconnect = false }))
    local err = helper.fails("not_leader", conn:publish_event("s", "t"))
    assert.equal(addresses[2], err.leader)
    assert.equal(addresses[1], conn.endpoint)
    finish_all(nodes, conn)
  end)

  it("is not left for one that cannot be reached", function()
    local nodes, addresses = start_nodes(1)
    local conn = assert(pump.connect("tcp://admin:changeit@" .. addresses[1]))
    local lost = false
    conn.on_disconnected:append(function() lost = true end)
    nodes[1].faults:set { not_handled = "not_leader", leader = "127.0.0.1:1", only = "writes" }
    for _ = 1, 2 do
      local err = helper.fails("not_leader", conn:publish_event("s", "t"))
      assert.equal("127.0.0.1:1", err.leader)
      assert.is_true(err.retryable)
      assert.matches("could not be reached: .*refused", err.message)
    end
    assert.is_number(conn:ping())
    assert.is_false(lost)
    finish_all(nodes, conn)
  end)

  it("is asked again where it names itself", function()
    local nodes, addresses = start_nodes(1)
    local conn = assert(pump.connect("tcp://admin:changeit@" .. addresses[1]))
    nodes[1].faults:set { not_handled = "not_leader", leader = addresses[1], count = 3 }
    assert(conn:publish_event("s", "t"))
    nodes[1].faults:set { not_handled = "not_leader", leader = addresses[1] }
    local err = helper.fails("not_leader", conn:publish_event("s", "t", nil, { timeout = 0.5 }))
    assert.equal(addresses[1], err.leader)
    finish_all(nodes, conn)
  end)

  it("and another one that name each other are not asked for ever", function()
    local nodes, addresses = start_nodes(2)
    for i = 1, 2 do
      nodes[i].faults:set { not_handled = "not_leader", leader = addresses[3 - i] }
    end
    local conn = assert(pump.connect("tcp://admin:changeit@" .. addresses[1],
      { reconnect = FAST }))
    local moves = 0
    conn.on_disconnected:append(function() moves = moves + 1 end)
    local err = helper.fails("not_leader", conn:publish_event("s", "t", nil, { timeout = 60 }))
    assert.is_true(err.leader == addresses[1] or err.leader == addresses[2])
    assert.matches("says 127.0.0.1:%d+, and so it went on for 8 answers", err.message)
    assert.is_true(moves >= 2 and moves <= 8, moves)
    finish_all(nodes, conn)
  end)

  it("names an address that is mapped to another one", function()
    local nodes, addresses = start_nodes(2)
    nodes[1].faults:set { not_handled = "not_leader", leader = "10.0.0.2:1113" }
    local asked = {}
    local conn = assert(pump.connect("tcp://admin:changeit@" .. addresses[1], {
      resolve = function(address)
        asked[#asked + 1] = address
        pump.sleep(0.01)
        return addresses[2]
      end,
    }))
    assert(conn:publish_event("s", "t"))
    assert.are.same({ "10.0.0.2:1113" }, asked)
    -- There it says of itself that it has that name.
    nodes[2].faults:set { not_handled = "not_leader", leader = "10.0.0.2:1113", count = 2 }
    assert(conn:publish_event("s", "t"))
    assert.are.same({ "10.0.0.2:1113" }, asked)
    finish_all(nodes, conn)
  end)

  it("names an address that is mapped to nothing", function()
    local nodes, addresses = start_nodes(1)
    nodes[1].faults:set { not_handled = "not_leader", leader = "10.0.0.2:1113" }
    local task = require "pump.task"
    local on_error, why = task.on_error, nil
    task.on_error = function(_, err) why = err end
    for _, resolve in ipairs { function() return nil end, function() error "broken" end } do
      local conn = assert(pump.connect("tcp://admin:changeit@" .. addresses[1],
        { resolve = resolve }))
      local err = helper.fails("not_leader", conn:publish_event("s", "t"))
      assert.matches("nobody knows its address", err.message)
      conn:close()
    end
    assert.matches("broken", why)
    task.on_error = on_error
    finish_all(nodes)
  end)
end)
