-- node.faults: how the client lives with a server that misbehaves in every way that a node can.
local core = require "pump.core"
local helper = require "helper"
local pump = require "pump"

local elapsed, soon = helper.elapsed, helper.soon
local wait_until = helper.wait_until

helper.leaves_nothing(after_each)

-- A node with a connection to it, which has a stream "s" of three events.
local function start(options)
  local node, address = helper.node()
  local conn = assert(pump.connect("tcp://admin:changeit@" .. address, options))
  for i = 0, 2 do assert(conn:publish_event("s", "t", tostring(i))) end
  return node, conn, address
end

local function finish(node, ...)
  for _, conn in ipairs { ... } do conn:close() end
  node:close()
end

describe("faults", function()
  it("are read as they were set", function()
    local node = helper.node()
    local faults = node.faults
    assert.is_nil(faults.delay)
    faults.delay = 0.5
    faults.not_handled = "not_leader"
    faults.leader = "127.0.0.1:1114"
    faults.cut = 0
    faults.only = "writes"
    faults.count = 3
    faults.silent, faults.duplicate, faults.one_byte, faults.refuse = true, true, true, true
    faults.gossip = { members = pump.array {} }
    assert.are.same({ 0.5, "not_leader", "127.0.0.1:1114", 0, "writes", 3, '{"members":[]}' },
      { faults.delay, faults.not_handled, faults.leader, faults.cut, faults.only, faults.count,
        faults.gossip })
    for _, name in ipairs { "silent", "duplicate", "one_byte", "refuse" } do
      assert.is_true(faults[name], name)
    end
    faults.delay = nil
    faults.refuse = false
    assert.is_nil(faults.delay)
    assert.is_nil(faults.refuse)
    assert.equal(3, faults.count)
    faults:set { silent = true, chance = 0.25, duration = 60 }
    assert.is_true(faults.silent)
    assert.is_nil(faults.count)
    assert.equal(0.25, faults.chance)
    assert.is_true(faults.duration > 50 and faults.duration <= 60)
    faults:clear()
    assert.is_nil(faults.silent)
    node.faults = { cut = 5 }
    assert.equal(5, faults.cut)
    local ok, err = pcall(function() node.fault = {} end)
    assert.is_false(ok)
    assert.matches("faults_spec.lua:%d+: a node has no field 'fault'", err)
    node:close()
  end)

  it("have names and values, and others are misuse", function()
    local node = helper.node()
    local class = getmetatable(node.faults)
    local function refuses(pattern, name, value)
      helper.misuses(pattern, class.__newindex, node.faults, name, value)
    end
    refuses("unknown option \"dealy\" to 'faults'; did you mean delay", "dealy", 1)
    refuses("unknown option \"dealy\"", "dealy", nil)
    helper.misuses("unknown option \"slow\"", class.__index, node.faults, "slow")
    refuses("seconds, 0 or more expected", "delay", -1)
    refuses('"not_ready", "too_busy" or "not_leader" expected', "not_handled", "no")
    refuses('"HOST:PORT" expected', "leader", "127.0.0.1")
    refuses('"reads" or "writes" expected', "only", "pings")
    refuses("a number of bytes expected", "cut", -1)
    refuses("a whole number above 0", "count", 0)
    refuses("a table or a text expected", "gossip", "a\0b")
    refuses("a number from 0 to 1 expected", "chance", 1.5)
    refuses("seconds, 0 or more expected", "duration", -1)
    helper.misuses("unknown option \"dealy\"", node.faults.set, node.faults, { dealy = 1 })
    assert.is_nil(node.faults.delay)
    node:close()
    assert.is_nil(node.faults.delay)
  end)

  it("delay answers, which are then there", function()
    local node, conn = start()
    node.faults.delay = 0.1
    local took, event = elapsed(conn.get_event, conn, "s", 1)
    assert.equal("1", assert(event).data)
    assert.is_true(took >= 0.095, took)
    soon(1, took)
    finish(node, conn)
  end)

  it("delay answers beyond the deadline, and what was asked is done all the same", function()
    local node, conn = start()
    node.faults:set { delay = 0.3, only = "writes" }
    local took, ok, err = elapsed(conn.publish_event, conn, "late", "t", "x", { timeout = 0.1 })
    helper.fails("timeout", ok, err)
    assert.is_true(err.retryable)
    assert.is_true(took >= 0.095, took)
    soon(0.3, took)
    assert.equal("x", assert(conn:get_event("late", 0)).data)
    -- The answer that comes too late is nobody's, and harms nobody.
    pump.sleep(0.3)
    assert.is_number(conn:ping())
    finish(node, conn)
  end)

  it("delay some answers, which others overtake", function()
    local node, conn = start()
    node.faults:set { delay = 0.2, count = 1 }
    local order = {}
    pump.run(function()
      for i = 1, 3 do
        pump.spawn(function()
          assert(conn:get_event("s", i - 1))
          order[#order + 1] = i
        end)
      end
    end)
    assert.are.same({ 2, 3, 1 }, order)
    assert.is_nil(node.faults.delay)
    finish(node, conn)
  end)

  it("say NotReady, which is waited out", function()
    local node, conn = start()
    node.faults:set { not_handled = "not_ready", count = 3 }
    local took, event = elapsed(conn.get_event, conn, "s", 0)
    assert.equal("0", assert(event).data)
    assert.is_true(took >= 0.295, took)
    assert.is_nil(node.faults.not_handled)
    finish(node, conn)
  end)

  it("say NotReady until the deadline, and the error says so", function()
    local node, conn = start()
    node.faults.not_handled = "not_ready"
    local took, ok, err = elapsed(conn.publish_event, conn, "s", "t", "x", { timeout = 0.5 })
    helper.fails("not_ready", ok, err)
    assert.is_true(err.retryable)
    assert.is_true(took >= 0.495, took)
    soon(1, took)
    assert.is_number(conn:ping())
    node.faults:clear()
    -- It was refused, not done.
    assert.equal(3, #assert(conn:get("s")))
    finish(node, conn)
  end)

  it("say TooBusy, to writes only", function()
    local node, conn = start()
    node.faults:set { not_handled = "too_busy", only = "writes" }
    local ok, err = conn:publish_event("s", "t", "x", { timeout = 1 })
    helper.fails("too_busy", ok, err)
    assert.equal(3, #assert(conn:get("s")))
    node.faults:set { not_handled = "too_busy", only = "writes", count = 1 }
    assert(conn:publish_event("s", "t", "x"))
    assert.equal(4, #assert(conn:get("s")))
    finish(node, conn)
  end)

  it("say NotMaster, with the leader's address or without", function()
    local node, conn = start()
    node.faults:set { not_handled = "not_leader", leader = "leader.example:1114" }
    local ok, err = conn:publish_event("s", "t", "x")
    helper.fails("not_leader", ok, err)
    assert.equal("leader.example:1114", err.leader)
    assert.is_true(err.retryable)
    node.faults.leader = nil
    ok, err = conn:get_event("s", 0)
    helper.fails("not_leader", ok, err)
    assert.is_nil(err.leader)
    finish(node, conn)
  end)

  it("say NotHandled as 23.10 does, too", function()
    local node, address = helper.node { like = "23.10" }
    local conn = assert(pump.connect("tcp://admin:changeit@" .. address))
    for _, code in ipairs { "not_ready", "too_busy", "not_leader" } do
      node.faults:set { not_handled = code, leader = "127.0.0.1:1114" }
      local ok, err = conn:publish_event("s", "t", "x", { timeout = 1 })
      helper.fails(code, ok, err)
      assert.equal(code == "not_leader" and "127.0.0.1:1114" or nil, err.leader)
    end
    finish(node, conn)
  end)

  it("drop connections: what waits is closed where nobody reconnects, others may come", function()
    local node, conn, address = start { reconnect = false }
    local lost, err
    conn.on_disconnected:append(function() lost = true end)
    pump.run(function()
      node.faults.silent = true
      local waiting = pump.spawn(function() return conn:get_event("s", 0) end)
      pump.sleep(0.05)
      node.faults:clear()
      node.faults:drop()
      local ok
      ok, err = waiting:join()
      helper.fails("closed", ok, err)
    end)
    wait_until(function() return lost end)
    local other = assert(pump.connect("tcp://admin:changeit@" .. address))
    assert.equal(3, #assert(other:get("s")))
    finish(node, conn, other)
  end)

  it("refuse connections, old ones live on", function()
    local node, conn, address = start()
    node.faults.refuse = true
    local other, err = pump.connect("tcp://" .. address)
    helper.fails("connect_failed", other, err)
    assert.is_number(conn:ping())
    node.faults.refuse = nil
    other = assert(pump.connect("tcp://" .. address))
    finish(node, conn, other)
  end)

  it("swallow answers: a write is done, and its repetition known", function()
    local node, conn = start()
    local event = pump.new_event("t", "once", { id = pump.uuid() })
    node.faults:set { silent = true, only = "writes", count = 1 }
    local ok, err = conn:publish("once", { event }, { timeout = 0.1, expected_version = "any" })
    helper.fails("timeout", ok, err)
    assert(conn:publish("once", { event }, { expected_version = "any" }))
    assert.equal(1, #assert(conn:get("once")))
    finish(node, conn)
  end)

  it("stop answering: heartbeats end the connection", function()
    local node, conn = start { heartbeat = { interval = 0.1, timeout = 0.2 }, reconnect = false }
    node.faults.silent = true
    helper.fails("closed", soon(2, elapsed(conn.get_event, conn, "s", 0, { timeout = 5 })))
    finish(node, conn)
  end)

  it("stop answering while somebody connects", function()
    local node, address = helper.node()
    node.faults.silent = true
    local conn, err = pump.connect("tcp://" .. address, { connect_timeout = 0.1 })
    helper.fails("timeout", conn, err)
    finish(node)
  end)

  it("answer byte by byte", function()
    local node, conn, address = start()
    node.faults.one_byte = true
    local events = assert(conn:get("s"))
    assert.equal("2", events[3].data)
    assert(conn:publish_event("s", "t", ("x"):rep(5000)))
    assert.equal(5000, #assert(conn:get_event("s", 3)).data)
    local other = assert(pump.connect("tcp://admin:changeit@" .. address))
    assert.is_number(other:ping())
    finish(node, conn, other)
  end)

  it("answer twice, which nobody notices", function()
    local node, conn, address = start()
    node.faults.duplicate = true
    for i = 0, 2 do assert.equal(tostring(i), assert(conn:get_event("s", i)).data) end
    assert(conn:publish_event("s", "t", "3"))
    assert.is_number(conn:ping())
    local other = assert(pump.connect("tcp://admin:changeit@" .. address))
    assert.equal(4, #assert(other:get("s")))
    finish(node, conn, other)
  end)

  it("cut an answer at any byte, which is never taken for one", function()
    local node, address = helper.node()
    local writer = assert(pump.connect("tcp://admin:changeit@" .. address))
    assert(writer:publish_event("s", "t", "x"))
    for at = 0, 60 do
      local conn = assert(pump.connect("tcp://admin:changeit@" .. address, { reconnect = false }))
      node.faults:set { cut = at, only = "reads", count = 1 }
      local event, err = conn:get_event("s", 0)
      helper.fails("closed", event, err)
      conn:close()
    end
    assert.equal("x", assert(writer:get_event("s", 0)).data)
    finish(node, writer)
  end)

  it("cut behind an answer, which counts", function()
    local node, conn = start { reconnect = false }
    node.faults:set { cut = core.MAX_FRAME, count = 1 }
    assert.equal("0", assert(conn:get_event("s", 0)).data)
    wait_until(function() return conn.state ~= "connected" end)
    finish(node, conn)
  end)

  it("come together: late, twice, byte by byte and cut", function()
    local node, conn = start { reconnect = false }
    node.faults:set { delay = 0.05, duplicate = true, one_byte = true, count = 1 }
    local took, event = elapsed(conn.get_event, conn, "s", 2)
    assert.equal("2", assert(event).data)
    assert.is_true(took >= 0.045, took)
    node.faults:set { delay = 0.05, cut = 10, not_handled = "not_ready" }
    local ok, err = conn:get_event("s", 0)
    helper.fails("closed", ok, err)
    finish(node, conn)
  end)

  it("leave nothing of answers that still wait", function()
    local node, conn = start()
    node.faults.delay = 60
    local ok, err = conn:get_event("s", 0, { timeout = 0.05 })
    helper.fails("timeout", ok, err)
    finish(node, conn)
  end)

  -- Whatever is set, whenever: an answer is the right one, and what was answered is there, once.
  it("of all kinds at once cost nothing that was answered", function()
    local seed = math.floor(core.hrtime() * 1e6)
    math.randomseed(seed)
    local node, address = helper.node()
    local seconds = tonumber(os.getenv "PUMP_FAULTS_SECONDS") or 1.5
    local stop, written, wrong = core.hrtime() + seconds, {}, {}
    local function one_of(...) return (select(math.random(select("#", ...)), ...)) end
    local function spoil()
      while core.hrtime() < stop do
        node.faults:set {
          not_handled = one_of(nil, nil, nil, "not_ready", "too_busy", "not_leader"),
          delay = one_of(nil, nil, 0.001, 0.02), silent = one_of(nil, nil, nil, true),
          duplicate = one_of(nil, true), one_byte = one_of(nil, true),
          cut = one_of(nil, nil, nil, math.random(0, 200)), only = one_of(nil, "reads", "writes"),
          count = one_of(nil, 1, 5), refuse = one_of(nil, nil, nil, nil, true),
        }
        if math.random() < 0.1 then node.faults:drop() end
        pump.sleep(math.random() * 0.02)
      end
      node.faults:clear()
    end
    local function write(name)
      local n = 0
      while core.hrtime() < stop do
        local conn = pump.connect("tcp://admin:changeit@" .. address, { connect_timeout = 0.1 })
        while conn and conn.state == "connected" and core.hrtime() < stop do
          local text = ("%s %d %s"):format(name, n, ("x"):rep(math.random(0, 300)))
          local event = pump.new_event("t", text, { id = pump.uuid() })
          if conn:publish("s", { event }, { timeout = 0.05 }) then written[text] = 0 end
          local last = conn:get_event("s", math.random(0, n), { timeout = 0.05 })
          if last and not last.data:find "^%a %d+ x*$" then wrong[#wrong + 1] = last.data end
          n = n + 1
        end
        if conn then conn:close() else pump.sleep(0.01) end
      end
    end
    pump.run(function()
      pump.spawn(spoil)
      for name in ("abcdefgh"):gmatch "." do pump.spawn(write, name) end
    end)
    local conn = assert(pump.connect("tcp://admin:changeit@" .. address))
    local seen, twice = {}, 0
    for event in conn:iter("s") do
      if seen[event.data] then twice = twice + 1 end
      seen[event.data] = true
    end
    local answered, lost = 0, 0
    for text in pairs(written) do
      answered = answered + 1
      if not seen[text] then lost = lost + 1 end
    end
    assert.are.same({ lost = 0, twice = 0, wrong = {} },
      { lost = lost, twice = twice, wrong = wrong }, "seed " .. seed)
    assert.is_true(answered > 0)
    finish(node, conn)
  end)
end)
