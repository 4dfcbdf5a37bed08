-- Discovery: the members of a cluster are nodes of this process, and what they say of each other is
-- set as a fault.
local helper = require "helper"
local pump = require "pump"

local elapsed, soon = helper.elapsed, helper.soon

helper.leaves_nothing(after_each)

local split, member, start = helper.split, helper.member, helper.cluster

-- A port that nobody listens at.
local function dead_address()
  local node, address = helper.node()
  node:close()
  return address
end

-- Where connect leads with these seeds.
local function led_to(seeds, options)
  local all = { seeds = seeds, connect_timeout = 10 }
  for name, value in pairs(options or {}) do all[name] = value end
  local conn <close> = assert(pump.connect(all))
  assert.is_number(conn:ping())
  return conn.endpoint
end

describe("discovery", function()
  it("finds the leader among three, whoever is asked", function()
    local cluster = start(3)
    cluster:say { "Follower", "Leader", "Follower" }
    for i = 1, 3 do
      assert.equal(cluster.addresses[2], led_to { cluster.seeds[i] })
    end
    cluster:say { "Slave", "Slave", "Master" }
    assert.equal(cluster.addresses[3], led_to(cluster.seeds))
    cluster:close()
  end)

  it("starts from a URL, a host, a name or a list", function()
    local cluster = start(1)
    local seed = cluster.seeds[1]
    local host, port = split(seed)
    for _, arguments in ipairs {
      { "discover://" .. seed },
      { "discover://" .. dead_address() .. "," .. seed .. "?connect_timeout=2" },
      { "discover://admin:changeit@" .. seed .. "?selector=random" },
      { "discover://localhost:" .. port },
      { { discovery_host = host, discovery_port = port } },
      { { seeds = { seed } } },
      { "tcp://127.0.0.1:1", { seeds = { seed } } },
    } do
      local conn <close> = assert(pump.connect(table.unpack(arguments)))
      assert.equal(cluster.addresses[1], conn.endpoint)
      assert.matches(cluster.addresses[1], tostring(conn))
    end
    cluster:close()
  end)

  it("chooses by selector", function()
    local cluster = start(3)
    cluster:say { "Leader", "Follower", "ReadOnlyReplica" }
    assert.equal(cluster.addresses[1], led_to(cluster.seeds, { selector = "leader" }))
    assert.equal(cluster.addresses[2], led_to(cluster.seeds, { selector = "follower" }))
    local seen, count = {}, 0
    for _ = 1, 60 do
      local endpoint = led_to(cluster.seeds, { selector = "random" })
      if not seen[endpoint] then seen[endpoint], count = true, count + 1 end
      if count == 3 then break end
    end
    assert.equal(3, count)
    cluster:close()
  end)

  it("passes over the dead, those that are not ready, and states that nobody knows", function()
    local cluster = start(3)
    cluster:say({ "Leader", "Daydreaming", "Follower" }, { { isAlive = false } })
    assert.equal(cluster.addresses[3], led_to(cluster.seeds, { connect_timeout = 2 }))
    cluster:say({ "Manager", "Daydreaming", "Clone" })
    assert.equal(cluster.addresses[2], led_to(cluster.seeds, { connect_timeout = 2 }))
    cluster:close()
  end)

  it("waits for a leader", function()
    local cluster = start(2)
    cluster:say { "Follower", "PreLeader" }
    pump.run(function()
      local conn = pump.spawn(function() return led_to(cluster.seeds) end)
      pump.sleep(0.3)
      cluster:say { "Follower", "Leader" }
      assert.equal(cluster.addresses[2], soon(0.8, elapsed(conn.join, conn)))
    end)
    cluster:close()
  end)

  it("finds a leader that has moved, from members that it got to know", function()
    local cluster = start(3)
    cluster:say { "Leader", "Follower", "Follower" }
    local client <close> = assert(pump.client { seeds = { cluster.seeds[1] } })
    assert(client:connect())
    assert.equal(cluster.addresses[1], client.endpoint)
    local lost = false
    client.on_disconnected:append(function() lost = true end)
    table.remove(cluster.nodes, 1):close() -- and with it the only seed
    helper.wait_until(function() return lost end)
    cluster:say({ "Leader", "Leader", "Follower" }, { { isAlive = false } })
    assert.equal("reconnecting", client.state)
    assert(client:connect())
    assert.equal(cluster.addresses[2], client.endpoint)
    client:close()
    cluster:close()
  end)
end)

describe("bad seeds", function()
  it("that are dead are passed over", function()
    local cluster = start(1)
    local seeds = { dead_address(), dead_address(), cluster.seeds[1] }
    assert.equal(cluster.addresses[1], soon(1, elapsed(led_to, seeds)))
    cluster:close()
  end)

  it("that hang cost a moment each, and no more", function()
    local cluster = start(1)
    local seeds, finish = helper.mute_seeds(3)
    seeds[4] = cluster.seeds[1]
    assert.equal(cluster.addresses[1], soon(1.5, elapsed(led_to, seeds)))
    finish()
    cluster:close()
  end)

  it("that lie lead nowhere, and then to another", function()
    local cluster = start(2)
    cluster.nodes[1].faults.gossip = { members = { member(dead_address(), "Leader") } }
    for _ = 1, 5 do assert.equal(cluster.addresses[2], led_to(cluster.seeds)) end
    cluster:close()
  end)

  it("that name a member which says nothing cost half of the time", function()
    local cluster = start(2)
    local mute = helper.node()
    mute.faults.silent = true
    cluster.nodes[1].faults.gossip = { members = { member(mute.address, "Leader") } }
    for _ = 1, 3 do
      assert.equal(cluster.addresses[2], led_to(cluster.seeds, { connect_timeout = 3 }))
    end
    mute:close()
    cluster:close()
  end)

  it("that talk nonsense are told apart from those that don't", function()
    local cluster = start(2)
    for _, nonsense in ipairs {
      "", "<html>", "[]", '{"members":[]}', '{"members":[{"externalTcpPort":70000}]}',
      '{"members":[{"externalTcpIp":"a b","isAlive":true}]}', ("["):rep(100000),
      ('{"members":"%s"}'):format(("x"):rep(2 * 1024 * 1024)),
    } do
      cluster.nodes[1].faults.gossip = nonsense
      assert.equal(cluster.addresses[2], led_to(cluster.seeds))
    end
    cluster:close()
  end)
end)

describe("nobody found", function()
  -- It takes all the time there is: where that was not enough to hear all, more is given.
  local function fails(settings, ...)
    local seconds, err = settings.connect_timeout or 0.4
    local function is_said(pattern) return err.message:find(pattern) end
    for _, factor in ipairs { 1, 5, 25 } do
      settings.connect_timeout = factor * seconds
      err = helper.fails("discovery_failed",
        soon(settings.connect_timeout + 0.3, elapsed(pump.connect, settings)))
      assert.is_true(err.retryable)
      assert.matches(("within %d ms"):format(1000 * settings.connect_timeout), err.message)
      local is_all_said = true
      for _, pattern in ipairs { ... } do is_all_said = is_all_said and is_said(pattern) end
      if is_all_said then return end
    end
    for _, pattern in ipairs { ... } do assert.matches(pattern, err.message) end
  end

  it("says who was asked, and what came of it", function()
    local a, b = dead_address(), dead_address()
    fails({ seeds = { a, b } }, a .. ": connection refused", b .. ": connection refused")
    local none = ("x"):rep(64) -- no name can be so long: nobody is asked for it
    fails({ discovery_host = none }, none .. ":2113: ")
  end)

  it("says what the members were", function()
    local cluster = start(1)
    cluster.nodes[1].faults.gossip = { members = { member("127.0.0.1:7", "Clone") } }
    fails({ seeds = cluster.seeds }, "Clone 127.0.0.1:7 is not ready")
    cluster.nodes[1].faults.gossip = { members = pump.array {} }
    fails({ seeds = cluster.seeds }, "knows no members")
    local dead = dead_address()
    cluster.nodes[1].faults.gossip = { members = { member(dead, "Leader") } }
    fails({ seeds = cluster.seeds }, dead)
    cluster.nodes[1].faults.gossip = "x"
    fails({ seeds = cluster.seeds }, "at byte 1")
    cluster:close()
  end)

  it("says what a single node of version 4 or 5 lacks, which never answers", function()
    local seeds, finish = helper.mute_seeds(1)
    fails({ seeds = seeds, connect_timeout = 1 }, seeds[1] .. ": connected, but no answer in time",
      "gossip%-on%-single%-node")
    finish()
  end)

  it("takes wrong credentials for what they are", function()
    local cluster = start(1)
    helper.fails("not_authenticated",
      soon(2, elapsed(pump.connect, "discover://admin:wrong@" .. cluster.seeds[1])))
    cluster:close()
  end)

  it("can be ended: by close, and by the end of the task", function()
    local dead = dead_address()
    pump.run(function()
      local client = assert(pump.client { seeds = { dead, "localhost:1" } })
      local waiting = pump.spawn(function() return client:connect() end)
      local members = pump.spawn(function() return client:members() end)
      pump.sleep(0.05)
      client:close()
      helper.fails("closed", waiting:join())
      helper.fails("closed", members:join())
    end)
  end)

  it("lets so many questions for the members wait, and no more", function()
    local seeds, stop = helper.mute_seeds(1)
    local client = pump.client { seeds = seeds }
    local refused = 0
    pump.run(function()
      local waiting = {}
      for i = 1, 70 do
        waiting[i] = pump.spawn(function() return client:members { timeout = 5 } end)
      end
      pump.sleep(0.05)
      client:close()
      for _, it in ipairs(waiting) do
        local _, err = it:join()
        if err.code == "too_busy" then refused = refused + 1 end
        assert.is_true(err.code == "too_busy" or err.code == "closed", err.code)
      end
    end)
    stop()
    assert.equal(6, refused)
  end)
end)

describe("a selector that is a function", function()
  it("gets all members, and chooses one of them", function()
    local cluster = start(3)
    cluster:say({ "Leader", "Follower", "Clone" }, { {}, {}, { isAlive = false } })
    local seen
    local endpoint = led_to(cluster.seeds, { selector = function(members)
      seen = members
      for _, it in ipairs(members) do
        if it.state == "Follower" then return it end
      end
    end })
    assert.equal(cluster.addresses[2], endpoint)
    assert.equal(3, #seen)
    assert.are.same({ "Leader", true, true, "Clone", false, false },
      { seen[1].state, seen[1].is_alive, seen[1].is_leader,
        seen[3].state, seen[3].is_alive, seen[3].is_leader })
    local host, port = split(cluster.addresses[1])
    assert.are.same({ host, port }, { seen[1].host, seen[1].port })
    cluster:close()
  end)

  it("may wait, and may ask for others", function()
    local cluster = start(2)
    cluster:say { "Follower", "Follower" }
    local count = 0
    local endpoint = led_to(cluster.seeds, { selector = function(members)
      count = count + 1
      pump.sleep(0.01)
      if count == 2 then cluster:say { "Follower", "Leader" } end
      for _, it in ipairs(members) do
        if it.is_leader then return it end
      end
    end })
    assert.equal(cluster.addresses[2], endpoint)
    assert.is_true(count >= 3)
    cluster:close()
  end)

  it("ends the search when it fails, or returns nonsense", function()
    local cluster = start(1)
    local function fails(pattern, selector)
      local err = helper.fails("discovery_failed",
        pump.connect { seeds = cluster.seeds, selector = selector, connect_timeout = 3 })
      assert.matches(pattern, err.message)
    end
    fails("the selector failed: .*too bad", function() error "too\nbad" end)
    fails("returned a string, and none of the members", function() return "leader" end)
    fails("returned a table", function() return {} end)
    fails("has no TCP address", function(members)
      cluster.nodes[1].faults.gossip = '{"members":[{"state":"x"}]}'
      return not members[1].host and members[1] or nil
    end)
    cluster:close()
  end)

  it("may take longer than there is time", function()
    local cluster = start(1)
    helper.fails("discovery_failed", pump.connect { seeds = cluster.seeds, connect_timeout = 0.1,
      selector = function(members)
        pump.sleep(0.2)
        return members[1]
      end })
    pump.sleep(0.2)
    cluster:close()
  end)
end)

describe("members", function()
  it("are told without a connection, and with one", function()
    local cluster = start(2)
    cluster:say { "Follower", "Leader" }
    local client <close> = assert(pump.client { seeds = cluster.seeds })
    local before = assert(client:members())
    assert(client:connect())
    local after = assert(client:members { timeout = 2 })
    assert.are.same(before, after)
    local http_host, http_port = split(cluster.seeds[2])
    assert.are.same({ "Leader", true, http_host, http_port, 1 }, { after[2].state,
      after[2].is_leader, after[2].http_host, after[2].http_port, after[2].epoch_number })
    assert.is_nil(after[2].secure_port)
    client:close()
    cluster:close()
  end)

  it("are what real servers say", function()
    local cluster = start(1)
    for name, count in pairs { ["4.1.4/gossip-cluster"] = 3, ["5.0.8/gossip-single"] = 1,
      ["23.10.6/gossip-after-election"] = 3 } do
      local file <close> = assert(io.open("spec/recorded/" .. name .. ".json"))
      cluster.nodes[1].faults.gossip = file:read "a"
      local client <close> = assert(pump.client { seeds = cluster.seeds })
      assert.equal(count, #assert(client:members()))
    end
    cluster:close()
  end)

  it("are not told by those who can't", function()
    local conn <close> = assert(pump.connect "memory:")
    helper.fails("not_supported", conn:members())
    local client <close> = assert(pump.client { seeds = { dead_address() } })
    local err = helper.fails("discovery_failed", client:members { timeout = 1 })
    assert.matches("connection refused", err.message)
    helper.misuses("unknown option", client.members, client, { limit = 1 })
  end)
end)

describe("options of discovery", function()
  it("are checked", function()
    helper.misuses('a list of "HOST:PORT" expected', pump.connect, { seeds = "h:1" })
    helper.misuses('a list of "HOST:PORT" expected', pump.connect, { seeds = {} })
    for _, seed in ipairs { 5, "a b", "a,b", "u:p@h", "h:0", "h?a=b" } do
      local seeds = { "h:1", seed }
      helper.misuses('a list of "HOST:PORT" expected', pump.connect, { seeds = seeds })
    end
    helper.misuses("a host expected", pump.connect, { discovery_host = "h:1:x y" })
    helper.misuses('"leader", "follower", "random" or a function', pump.connect,
      { selector = "best" })
    helper.fails("connect_failed", pump.connect "discover://h?selector=best")
  end)
end)

describe("the server's version", function()
  it("is told by gossip, or by HTTP where that is silent", function()
    for like, version in pairs { ["5.0"] = "5.0.8.0", ["23.10"] = "23.10.6.0" } do
      local node <close> = helper.node { http = "127.0.0.1:0", like = like }
      local conn <close> = assert(pump.connect("discover://" .. node.http_address,
        { username = "admin", password = "changeit" }))
      assert.equal(version, conn.server_version)
      assert.equal(version, conn.server_version)
    end
  end)

  it("is told by an embedded store", function()
    local conn <close> = assert(pump.connect "memory:?like=4.1")
    assert.equal("4.1.4.0", conn.server_version)
    conn:close()
    assert.is_nil(conn.server_version)
  end)

  it("is not known where TCP is all there is, or before there is a connection", function()
    local node <close> = helper.node()
    local conn <close> = assert(pump.connect("tcp://" .. node.address))
    assert.is_nil(conn.server_version)
    local client <close> = assert(pump.client "discover://127.0.0.1:1")
    assert.is_nil(client.server_version)
  end)

  it("that the server keeps to itself is asked for once", function()
    local cluster = start(1)
    local host, port = split(dead_address())
    cluster:say({ "Leader" }, { { httpEndPointIp = host, httpEndPointPort = port } })
    local conn <close> = assert(pump.connect { seeds = cluster.seeds })
    assert.is_nil(conn.server_version)
    assert.is_nil(soon(0.5, elapsed(function() return conn.server_version end)))
    cluster:close()
  end)
end)
