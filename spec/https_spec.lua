-- The HTTP port of a node with TLS, which speaks it too.
local core = require "pump.core"
local helper = require "helper"
local pump = require "pump"

helper.leaves_nothing(after_each)

describe("HTTPS", function()
  local folder, server, url, trust

  setup(function()
    folder = helper.certificates()
    trust = "--cacert " .. folder .. "/ca.pem "
  end)

  teardown(function()
    os.execute("rm -rf " .. folder)
  end)

  local function start(options)
    local all = {
      http = "127.0.0.1:0", faults = true,
      tls = { cert = folder .. "/good.pem", key = folder .. "/good.key" },
    }
    for name, value in pairs(options or {}) do all[name] = value end
    server = helper.node(all)
    url = "https://localhost:" .. server.http_address:match ":(%d+)$"
  end

  after_each(function()
    if server then server:close() end
    server = nil
  end)

  -- Lets somebody else connect by bash, in the background: `3` is the connection.
  local function visit(script)
    local host, port = server.http_address:match "^(.+):(%d+)$"
    local name = os.tmpname()
    os.execute(("bash -c 'exec 3<>/dev/tcp/%s/%s; %s; echo ended >%s' &"):format(host, port, script,
      name))
    return function(seconds)
      local deadline = core.hrtime() + seconds
      repeat
        local file <close> = assert(io.open(name))
        if file:read "a" ~= "" then
          os.remove(name)
          return true
        end
        pump.sleep(0.05)
      until core.hrtime() > deadline
      return false
    end
  end

  it("gossips where it is reached, of the secure port", function()
    start()
    local status, text = helper.curl(url .. "/gossip", trust)
    assert.equal(200, status)
    local gossip = pump.json.decode(text)
    local port = math.tointeger(server.address:match ":(%d+)$")
    local http_port = math.tointeger(server.http_address:match ":(%d+)$")
    assert.are.same({ port, 0 }, { gossip.members[1].externalSecureTcpPort,
      gossip.members[1].externalTcpPort })
    assert.are.same({ "127.0.0.1", http_port }, { gossip.serverIp, gossip.serverPort })
  end)

  it("leads to the node", function()
    start()
    local conn = assert(pump.connect {
      seeds = { server.http_address }, tls = { ca = folder .. "/ca.pem" }, connect_timeout = 5,
    })
    assert.is_number(conn:ping())
    conn:close()
  end)

  it("carries large questions and answers, and several", function()
    start()
    local text = ("pony "):rep(100000)
    local file <close> = assert(io.open(folder .. "/faults.json", "w"))
    file:write(pump.json.encode { gossip = text })
    file:flush()
    local arguments = trust .. "-u admin:changeit "
    local status = helper.curl(url .. "/faults", arguments .. "-d @" .. folder .. "/faults.json")
    assert.equal(200, status)
    assert.equal(text, server.faults.gossip)
    -- Two over one connection.
    local again = ("%s %s/gossip -o %s/again"):format(trust, url, folder)
    assert.equal(200, (helper.curl(url .. "/gossip", again)))
    local second <close> = assert(io.open(folder .. "/again"))
    assert.is_true(text == second:read "a")
    assert.equal(413, (helper.curl(url .. "/faults",
      arguments .. "-H 'Content-Length: 2000000' -d x")))
  end)

  it("is of use to those alone who speak TLS, and trust", function()
    start()
    assert.is_nil((helper.curl((url:gsub("https", "http")) .. "/gossip")))
    assert.is_nil((helper.curl(url .. "/gossip")))
    assert.equal(200, (helper.curl(url .. "/gossip", trust)))
    server:close()
    start { tls = { cert = folder .. "/good.pem", key = folder .. "/good.key",
      ca = folder .. "/ca.pem" } }
    assert.is_nil((helper.curl(url .. "/gossip", trust)))
    assert.equal(200, (helper.curl(url .. "/gossip",
      ("%s --cert %s/client.pem --key %s/client.key"):format(trust, folder, folder))))
  end)

  it("listens anywhere once passwords are one's own", function()
    local users = { admin = "sugarcube", ops = "apples" }
    local tls = { cert = folder .. "/good.pem", key = folder .. "/good.key" }
    local any = "0.0.0.0:0"
    helper.fails("invalid_argument", pump.node { listen = "127.0.0.1:0", http = any, tls = tls })
    local node = assert(pump.node { listen = any, http = any, tls = tls, users = users })
    node:close()
  end)

  it("waits for a handshake, without haste and not for ever", function()
    start()
    local ended = visit [[printf "\x16\x03\x01\x00" >&3; timeout 14 cat <&3]]
    pump.sleep(0.3)
    local before = os.clock()
    pump.sleep(1)
    assert.is_true(os.clock() - before < 0.5, "it is busy doing nothing")
    assert.is_true(ended(13))
  end)

  it("has room for a hundred, and others wait", function()
    start()
    local ended = visit(("for i in {1..99}; do exec {fd}<>/dev/tcp/127.0.0.1/%s; done; sleep 1")
      :format(server.http_address:match ":(%d+)$"))
    pump.sleep(0.6)
    local before = core.hrtime()
    assert.equal(200, (helper.curl(url .. "/gossip", trust)))
    assert.is_true(core.hrtime() - before > 0.2)
    assert.is_true(ended(5))
  end)
end)
