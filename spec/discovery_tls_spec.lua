-- Discovery with TLS: gossip comes by HTTPS, from openssl's little web server, and names a node
-- that speaks TLS.
local helper = require "helper"
local pump = require "pump"

helper.leaves_nothing(after_each)

describe("discovery with TLS", function()
  local folder, server, web, seed

  local function free_port()
    local probe = helper.node()
    local port = probe.address:match ":(%d+)$"
    probe:close()
    return port
  end

  local function serve(certificate)
    local port = free_port()
    local pipe = assert(io.popen(("cd %s && exec env -u LD_PRELOAD openssl s_server -quiet -WWW "
      .. "-accept %s -cert %s.pem -key %s.key >/dev/null 2>&1 & echo $!"):format(folder, port,
      certificate, certificate)))
    web = pipe:read "l"
    pipe:close()
    seed = "localhost:" .. port
  end

  local function stop()
    os.execute("kill " .. web)
    web = nil
  end

  local function connect(tls, gossip_tls)
    tls.ca = tls.ca or tls.verify == nil and folder .. "/ca.pem" or nil
    return pump.connect { seeds = { seed }, tls = tls, gossip_tls = gossip_tls,
      connect_timeout = 2 * helper.slow }
  end

  setup(function()
    folder = helper.certificates()
  end)

  before_each(function()
    server = helper.node { tls = { cert = folder .. "/good.pem", key = folder .. "/good.key" } }
    local file <close> = assert(io.open(folder .. "/gossip?format=json", "w"))
    local port = math.tointeger(server.address:match ":(%d+)$")
    file:write(pump.json.encode { members = { { state = "Leader", isAlive = true,
      externalTcpIp = "127.0.0.1", externalTcpPort = 0, externalSecureTcpPort = port } } })
  end)

  after_each(function()
    if web then stop() end
    server:close()
  end)

  teardown(function()
    os.execute("rm -rf " .. folder)
  end)

  it("takes the member's port for TLS", function()
    serve "good"
    local conn <close> = assert(connect {})
    assert.equal(server.address, conn.endpoint)
    assert.is_number(conn:ping())
    assert.equal("Leader", assert(conn:members())[1].state)
  end)

  it("verifies who tells gossip", function()
    serve "good"
    local err = helper.fails("discovery_failed", connect { ca = folder .. "/other.pem" })
    assert.matches("certificate", err.message)
    stop()
    serve "elsewhere"
    err = helper.fails("discovery_failed", connect {})
    assert.matches("localhost", err.message)
    assert.matches("[Ss][Ss][Ll]: no alternative certificate subject name", err.message)
  end)

  it("takes any certificate when it is told to", function()
    serve "expired"
    local conn <close> = assert(connect { verify = false })
    assert.equal(server.address, conn.endpoint)
  end)

  it("does not take gossip that came by plain HTTP with gossip_tls = true", function()
    local plain = helper.node { http = "127.0.0.1:0" }
    seed = plain.http_address
    local err = helper.fails("discovery_failed", connect({}, true))
    assert.matches(seed .. ": it does not speak TLS", err.message)
    plain:close()
  end)

  it("finds a node without TLS by HTTPS with gossip_tls = true", function()
    serve "good"
    local plain = helper.node()
    local host, port = helper.split(plain.address)
    local file <close> = assert(io.open(folder .. "/gossip?format=json", "w"))
    file:write(pump.json.encode { members = { { state = "Leader", isAlive = true,
      externalTcpIp = host, externalTcpPort = port } } })
    file:close()
    local url = "discover://%s?gossip_tls=true&tls=false&ca=%s/ca.pem"
    local conn = assert(pump.connect(url:format(seed, folder)))
    assert.equal(plain.address, conn.endpoint)
    conn:close()
    conn = assert(pump.connect { seeds = { seed }, gossip_tls = { ca = folder .. "/ca.pem" } })
    assert.equal(plain.address, conn.endpoint)
    conn:close()
    plain:close()
  end)

  it("is what a URL may ask for", function()
    serve "good"
    local conn <close> = assert(pump.connect(("discover://%s?tls=true&ca=%s/ca.pem"):format(seed,
      folder)))
    assert.equal(server.address, conn.endpoint)
  end)
end)
