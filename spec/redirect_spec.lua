-- Servers that name another one as the leader, and clusters whose leader dies. The members are
-- nodes of this process, and what they say is set as a fault.
local helper = require "helper"
local pump = require "pump"

local wait_until = helper.wait_until

helper.leaves_nothing(after_each)

local FAST = { delay = 0.01, max_delay = 0.1 }

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

  it("ends subscriptions that may not be asked for again", function()
    local nodes, addresses = start_nodes(1)
    local conn = assert(pump.connect("tcp://admin:changeit@" .. addresses[1],
      { reconnect = false, retries = 0 }))
    for _, code in ipairs { "not_leader", "not_ready" } do
      nodes[1].faults:set { not_handled = code, leader = "127.0.0.1:1" }
      helper.fails(code, conn:subscribe_to("s"))
      helper.fails(code, conn:subscribe_to("s", { from_event = 0 }))
    end
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
    local err = helper.fails("not_leader", conn:publish_event("s", "t", nil, { timeout = 1 }))
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

describe("a server that is not the leader and speaks TLS", function()
  it("is left for the port of the leader that speaks it, too", function()
    local folder = helper.certificates()
    local nodes, addresses = {}, {}
    for i = 1, 2 do
      nodes[i], addresses[i] = helper.node {
        tls = { cert = folder .. "/good.pem", key = folder .. "/good.key" },
      }
    end
    nodes[1].faults:set { not_handled = "not_leader", leader = addresses[2] }
    local conn = assert(pump.connect("tcps://admin:changeit@" .. addresses[1],
      { tls = { ca = folder .. "/ca.pem" } }))
    assert(conn:publish_event("s", "t"))
    assert.equal(addresses[2], conn.endpoint)
    finish_all(nodes, conn)
    os.execute("rm -rf " .. folder)
  end)
end)

describe("a cluster", function()
  local function connect(cluster, options)
    local all = { seeds = cluster.seeds, username = "admin", password = "changeit",
      connect_timeout = 2 }
    for name, value in pairs(options or {}) do all[name] = value end
    return assert(pump.connect(all))
  end

  it("whose leader dies is written to within a second of the next one's gossip", function()
    local cluster = helper.cluster(3)
    cluster:say { "Leader", "Follower", "Follower" }
    local conn = connect(cluster)
    assert.equal(cluster.addresses[1], conn.endpoint)
    local sub = assert(conn:subscribe_to("s", { from_event = 0 }))
    -- What the leader answers is on the others.
    for i = 1, 3 do
      local there <close> = assert(pump.connect("tcp://admin:changeit@" .. cluster.addresses[i]))
      assert(there:publish_event("s", "t", "0"))
    end
    assert.equal("0", assert(sub:next(2)).data)
    cluster:say({ "Leader", "Follower", "Follower" }, { { isAlive = false } })
    for i = 2, 3 do
      cluster.nodes[i].faults.not_handled = "not_ready"
      cluster.nodes[i].faults.only = "writes"
    end
    table.remove(cluster.nodes, 1):close()
    local written
    pump.run(function()
      local task = pump.spawn(function()
        assert(conn:publish_event("s", "t", "1"))
        written = true
      end)
      pump.sleep(0.7)
      assert.is_nil(written)
      cluster:say({ "Leader", "Follower", "Leader" }, { { isAlive = false } })
      for i = 1, 2 do
        cluster.nodes[i].faults.not_handled = i == 1 and "not_leader" or nil
        cluster.nodes[i].faults.leader = cluster.addresses[3]
      end
      helper.soon(1, helper.elapsed(task.join, task))
      assert.is_true(written)
    end)
    assert.equal(cluster.addresses[3], conn.endpoint)
    assert.equal("1", assert(sub:next(2)).data)
    sub:close()
    conn:close()
    cluster:close()
  end)

  it("without a leader is made do with, until there is one", function()
    local cluster = helper.cluster(3)
    cluster:say { "Follower", "Follower", "Follower" }
    local conn = connect(cluster, { connect_timeout = 0.4, timeout = 10 })
    local makeshift = conn.endpoint
    assert.is_number(conn:ping())
    for i = 1, 3 do
      cluster.nodes[i].faults.not_handled, cluster.nodes[i].faults.only = "not_ready", "writes"
    end
    pump.run(function()
      local task = pump.spawn(function() return conn:publish_event("s", "t") end)
      pump.sleep(0.7)
      local leader = makeshift == cluster.addresses[1] and 2 or 1
      cluster.nodes[leader].faults.not_handled = nil
      cluster:say { leader == 1 and "Leader" or "Follower", leader == 2 and "Leader" or "Follower",
        "Follower" }
      assert(helper.soon(1, helper.elapsed(task.join, task)))
      assert.equal(cluster.addresses[leader], conn.endpoint)
    end)
    conn:close()
    cluster:close()
  end)

  it("is asked for the leader when a member does not know who it is", function()
    local cluster = helper.cluster(2)
    cluster:say { "Leader", "Follower" }
    local conn = connect(cluster, { reconnect = FAST })
    cluster.nodes[1].faults.not_handled = "not_leader"
    cluster:say { "Follower", "Leader" }
    assert(conn:publish_event("s", "t"))
    assert.equal(cluster.addresses[2], conn.endpoint)
    conn:close()
    cluster:close()
  end)

  it("is left by nobody who wanted a follower", function()
    local cluster = helper.cluster(2)
    cluster:say { "Leader", "Follower" }
    local conn = connect(cluster, { selector = "follower" })
    cluster.nodes[2].faults.not_handled = "not_leader"
    helper.fails("not_leader", conn:get("s", { require_leader = true }))
    assert.equal(cluster.addresses[2], conn.endpoint)
    conn:close()
    cluster:close()
  end)

  it("has members whose addresses are mapped", function()
    local cluster = helper.cluster(2)
    local real = cluster.addresses
    cluster.addresses = { "10.0.0.1:1113", "10.0.0.2:1113" }
    cluster:say { "Follower", "Leader" }
    local asked = {}
    local conn = connect(cluster, {
      reconnect = FAST,
      resolve = function(address)
        asked[#asked + 1] = address
        return real[address == cluster.addresses[1] and 1 or 2]
      end,
    })
    assert.equal(real[2], conn.endpoint)
    assert.are.same({ "10.0.0.2:1113" }, asked)
    -- It knows itself under the other name.
    cluster.nodes[2].faults:set { not_handled = "not_leader", leader = "10.0.0.2:1113", count = 1,
      gossip = cluster.nodes[2].faults.gossip }
    assert(conn:publish_event("s", "t"))
    assert.are.same({ "10.0.0.2:1113" }, asked)
    cluster:say { "Leader", "Follower" }
    cluster.nodes[2].faults:drop()
    wait_until(function() return conn.endpoint == real[1] and conn.state == "connected" end)
    conn:close()
    local err = helper.fails("discovery_failed", pump.connect { seeds = cluster.seeds,
      connect_timeout = 2, resolve = function() return nil end })
    assert.matches("Leader 10.0.0.1:1113 could not be reached", err.message)
    cluster:close()
  end)
end)
