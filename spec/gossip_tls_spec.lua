-- Clusters as version 4 and 5 are run: TLS on a TCP port of its own, gossip by plain HTTP.
local helper = require "helper"
local pump = require "pump"

helper.leaves_nothing(after_each)

describe("plain gossip of a cluster with TLS", function()
  local folder, cluster, logged

  -- The members tell gossip by plain HTTP, and name nodes that speak TLS.
  local function say(states, more)
    local members = {}
    for i, state in ipairs(states) do
      local host, port = helper.split(cluster.seeds[i])
      local _, secure_port = helper.split(cluster.secure[i].address)
      members[i] = helper.member(cluster.addresses[i], state, {
        externalTcpPort = 1113, externalSecureTcpPort = secure_port,
        externalHttpIp = host, externalHttpPort = port,
      })
      for name, value in pairs(more or {}) do members[i][name] = value end
    end
    for _, node in ipairs(cluster.nodes) do node.faults.gossip = { members = members } end
  end

  local function connect(options)
    local all = { seeds = cluster.seeds, connect_timeout = 4 * helper.slow,
      reconnect = { delay = 0.01, max_delay = 0.05 },
      log = function(level, text) logged[#logged + 1] = level .. ": " .. text end }
    for name, value in pairs(options) do all[name] = value end
    return pump.connect(all)
  end

  -- What it fails with, which takes all the time there is: on a busy machine a second may not be
  -- enough to hear the reason (one of two, where a second is said), and more is given.
  local function fails(options, pattern, other)
    for _, seconds in ipairs { 1, 4, 16 } do
      logged, options.connect_timeout = {}, seconds * helper.slow
      local err = helper.fails("discovery_failed", connect(options))
      if other and err.message:find(other) then return err end
      if err.message:find(pattern) or seconds == 16 then
        assert.matches(pattern, err.message)
        return err
      end
    end
  end

  local function said(pattern)
    local count = 0
    for _, line in ipairs(logged) do count = count + (line:find(pattern) and 1 or 0) end
    return count
  end

  setup(function()
    folder = helper.certificates()
  end)

  teardown(function()
    os.execute("rm -rf " .. folder)
  end)

  before_each(function()
    logged = {}
    cluster = helper.cluster(3)
    cluster.secure = {}
    for i = 1, 3 do
      cluster.secure[i] = helper.node {
        tls = { cert = folder .. "/good.pem", key = folder .. "/good.key" },
      }
    end
    say { "Slave", "Master", "Slave" }
  end)

  after_each(function()
    for _, node in ipairs(cluster.secure) do node:close() end
    cluster:close()
  end)

  it("is found where nothing is said but tls and ca, and the log warns of it", function()
    local conn <close> = assert(connect { tls = { ca = folder .. "/ca.pem" } })
    assert.equal(cluster.secure[2].address, conn.endpoint)
    assert.is_number(conn:ping())
    assert.equal("Master", assert(conn:members())[2].state)
    assert.equal(1, said "^warning: 127.0.0.1:%d+: gossip by plain HTTP")
  end)

  it("is found by a URL", function()
    local url = "discover://%s?tls=true&ca=%s/ca.pem"
    local conn <close> =
      assert(pump.connect(url:format(table.concat(cluster.seeds, ","), folder)))
    assert.equal(cluster.secure[2].address, conn.endpoint)
  end)

  it("is found again when the leader dies", function()
    local conn <close> = assert(connect { tls = { ca = folder .. "/ca.pem" } })
    assert(conn:publish_event("ponies", "Jumped"))
    say { "Slave", "Master", "Master" }
    say({ "Slave", "Slave", "Master" })
    cluster.secure[2]:close()
    assert(conn:publish_event("ponies", "Jumped"))
    assert.equal(cluster.secure[3].address, conn.endpoint)
    assert.equal(1, said "^warning: .*gossip by plain HTTP")
  end)

  it("leads nobody to a server that cannot prove who it is", function()
    fails({ tls = { ca = folder .. "/other.pem" } }, "127.0.0.1:%d+: .*certificate")
    fails({ tls = { ca = folder .. "/ca.pem", server_name = "elsewhere.example" } },
      "elsewhere.example")
  end)

  it("needs no ca where nothing is verified", function()
    local conn <close> = assert(connect { tls = { verify = false } })
    assert.equal(cluster.secure[2].address, conn.endpoint)
  end)

  it("is not believed where the system's authorities would vouch for anybody", function()
    -- Where the system has no authorities, as a minimal one has none, that is said first.
    local err = fails({ tls = true }, "does not speak TLS", "setting certificate file")
    if err.message:find("setting certificate file", 1, true) then return end
    assert.matches("gossip_tls = false", err.message)
  end)

  it("is asked for in plain HTTP at once with gossip_tls = false", function()
    local conn <close> = assert(connect { tls = { ca = folder .. "/ca.pem" }, gossip_tls = false })
    assert.equal(cluster.secure[2].address, conn.endpoint)
    assert.equal(0, said "gossip by plain HTTP")
    fails({ tls = true, gossip_tls = false }, "127.0.0.1:%d+: .*certificate")
    assert.equal(1, said "^warning: gossip by plain HTTP")
  end)

  it("says so where no member has a port for TLS", function()
    say({ "Slave", "Master", "Slave" }, { externalSecureTcpPort = 0 })
    fails({ tls = { ca = folder .. "/ca.pem" } }, "Master 127.0.0.1:%d+ has no TCP port for TLS")
  end)

  it("is no way around a certificate that is wrong", function()
    local secure = helper.node { http = "127.0.0.1:0",
      tls = { cert = folder .. "/good.pem", key = folder .. "/good.key" } }
    local err = fails({ seeds = { secure.http_address }, tls = { ca = folder .. "/other.pem" } },
      "certificate")
    assert.not_matches("plain HTTP", err.message)
    secure:close()
  end)
end)
