local core = require "pump.core"
local helper = require "helper"
local pump = require "pump"

local folder

local function file(name)
  return folder .. "/" .. name
end

-- A node with TLS, and the port it listens at.
local function node(cert, options)
  local all = { tls = { cert = file(cert .. ".pem"), key = file(cert .. ".key") } }
  for name, value in pairs(options or {}) do all[name] = value end
  local made, address = helper.node(all)
  return made, address, address:match ":(%d+)$"
end

local function tls(settings)
  local all = { ca = file "ca.pem" }
  for name, value in pairs(settings or {}) do all[name] = value end
  return { tls = all, connect_timeout = 5 }
end

local function fails(pattern, url, options)
  local err = helper.fails("tls_error", pump.connect(url, options or tls()))
  assert.matches(pattern, err.message)
  assert.is_false(err.retryable)
  return err
end

-- A server of another make: runs a command of the system behind a free port, and waits for it.
local function with_command(command, fn)
  local probe = helper.node()
  local port = probe.address:match ":(%d+)$"
  probe:close()
  local pipe = assert(io.popen(("cd %s && exec %s & echo $!; wait"):format(folder,
    command:gsub("PORT", port)), "r"))
  local pid = pipe:read "l"
  local ok, err = pcall(function()
    helper.wait_until(function()
      local _, err = pump.connect("tcp://127.0.0.1:" .. port)
      return err.code ~= "connect_failed" or not err.message:find "refused"
    end)
    fn(port)
  end)
  os.execute("kill " .. pid)
  pipe:close()
  assert(ok, err)
end

describe("TLS", function()
  setup(function()
    folder = helper.certificates()
  end)

  teardown(function()
    os.execute("rm -rf " .. folder)
  end)

  helper.leaves_nothing(after_each)

  it("carries the acks of a consumer whose connection is closed right away", function()
    local server, _, port = node("good", { users = { admin = "changeit" } })
    local url = "tcps://admin:changeit@127.0.0.1:" .. port
    for number = 0, 5 do
      local conn = assert(pump.connect(url, tls()))
      if number == 0 then
        for _ = 1, 6 do assert(conn:publish_event("jobs", "t")) end
        assert(conn:create_subscription("g", "jobs", { from_event = 0, message_timeout = 60 }))
      end
      local sub = assert(conn:connect_subscription("g", "jobs", { buffer_size = 1 }))
      local event = assert(sub:next(2))
      assert.equal(number, event.event_number)
      assert(sub:ack(event))
      conn:close()
    end
    server:close()
  end)

  it("carries what is asked and answered, large and small", function()
    local server, address = node "good"
    local conn = assert(pump.connect("tcps://admin:changeit@" .. address, tls()))
    local stream, large = helper.stream(), ("pony "):rep(1000000)
    assert(conn:publish_event(stream, "large", large, { content_type = "binary" }))
    for i = 1, 50 do assert(conn:publish_event(stream, "small", { i = i })) end
    assert.equal(large, assert(conn:get_event(stream, 0)).data)
    local count = 0
    for _ in conn:iter(stream) do count = count + 1 end
    assert.equal(51, count)
    assert.is_true(conn:ping() > 0)
    conn:close()
    server:close()
  end)

  it("is said in the URL too, as the scheme and as options", function()
    local server, address, port = node "good"
    local ca = file("ca.pem"):gsub("/", "%%2f")
    for _, url in ipairs {
      "tcps://" .. address .. "?ca=" .. ca,
      "tcp://" .. address .. "?tls=true&ca=" .. ca,
      "tcps://localhost:" .. port .. "?ca=" .. ca .. "&server_name=a.pump.example",
      "tcps://" .. address .. "?verify=false",
    } do
      assert(pump.connect(url, { connect_timeout = 5 * helper.slow })):close()
    end
    local given = { host = "127.0.0.1", port = math.tointeger(port), tls = tls().tls }
    assert(pump.connect(given)):close()
    assert(pump.connect("tcp://" .. address .. "?ca=" .. ca, { tls = true })):close()
    server:close()
  end)

  it("accepts the names and addresses that stand in the certificate", function()
    local server, address, port = node "good"
    assert(pump.connect("tcps://localhost:" .. port, tls())):close()
    for _, name in ipairs { "localhost", "LOCALHOST", "localhost.", "x.pump.example", "::1" } do
      assert(pump.connect("tcps://" .. address, tls { server_name = name })):close()
    end
    for _, name in ipairs { "localhos", "a.b.pump.example", "pump.example", "127.0.0.2", "::2" } do
      local err = fails("another name, not for ", "tcps://" .. address, tls { server_name = name })
      assert.is_truthy(err.message:find(name, 1, true))
    end
    server:close()
    server, address = node "elsewhere"
    fails("could not connect to 127%.0%.0%.1:%d+: .*not for 127%.0%.0%.1", "tcps://" .. address)
    assert(pump.connect("tcps://" .. address, tls { server_name = "elsewhere.example" })):close()
    server:close()
  end)

  it("refuses who signed it when nobody knows them", function()
    local server, address = node "good"
    fails("127%.0%.0%.1 is signed by an unknown authority", "tcps://" .. address,
      { tls = { ca = file "other.pem" } })
    fails("127%.0%.0%.1 is signed by an unknown authority", "tcps://" .. address, { tls = true })
    server:close()
    server, address = node "alone"
    fails("127%.0%.0%.1 is signed by itself", "tcps://" .. address)
    assert(pump.connect("tcps://" .. address, tls { ca = file "alone.pem" })):close()
    server:close()
  end)

  it("refuses what has expired, with the day", function()
    local server, address = node "expired"
    local yesterday = os.date("!%Y-%m-%d", os.time() - 86400):gsub("%-", "%%-")
    fails("127%.0%.0%.1 has expired, it was valid until " .. yesterday, "tcps://" .. address)
    server:close()
  end)

  it("warns when it is told not to verify", function()
    local server, address = node "expired"
    local warnings = {}
    local options = tls { verify = false, ca = nil }
    function options.log(level, message)
      if level == "warning" then warnings[#warnings + 1] = message end
    end
    local conn = assert(pump.connect("tcps://" .. address, options))
    assert.is_true(conn:ping() > 0)
    conn:close()
    assert.matches("TLS without verification: anybody could pose as 127%.0%.0%.1", warnings[1])
    server:close()
  end)

  it("shows its own certificate to a server that demands one", function()
    local server, address = node("good", {
      tls = { cert = file "good.pem", key = file "good.key", ca = file "ca.pem" },
    })
    local own = { cert = file "client.pem", key = file "client.key" }
    local conn = assert(pump.connect("tcps://" .. address, tls(own)))
    assert.is_true(conn:ping() > 0)
    conn:close()
    fails("demands a client certificate: say cert and key", "tcps://" .. address)
    own = { cert = file "other.pem", key = file "other.key" }
    fails("refused, perhaps our certificate: unknown CA", "tcps://" .. address, tls(own))
    server:close()
  end)

  it("does so in TLS 1.2 too", function()
    local command = "openssl s_server -quiet -accept PORT -tls1_2 -Verify 1 -verify_return_error "
      .. "-CAfile ca.pem -cert good.pem -key good.key 2>/dev/null"
    with_command(command, function(port)
      fails("demands a client certificate", "tcps://127.0.0.1:" .. port)
      -- It takes the certificate, and has nothing to say afterwards.
      local options = tls { cert = file "client.pem", key = file "client.key" }
      local err = helper.fails("connect_failed", pump.connect("tcps://127.0.0.1:" .. port, options))
      assert.matches("the server closed the connection", err.message)
    end)
  end)

  it("refuses a server whose newest TLS is 1.1", function()
    local command = "openssl s_server -quiet -accept PORT -tls1_1 -cipher ALL:@SECLEVEL=0 "
      .. "-cert good.pem -key good.key 2>/dev/null"
    with_command(command, function(port)
      fails("no TLS from 1%.2 on", "tcps://127.0.0.1:" .. port)
    end)
  end)

  it("knows a plain server by its first bytes", function()
    local server, address = helper.node()
    local begun = core.hrtime()
    fails("the server speaks plain TCP, not TLS", "tcps://" .. address)
    assert.is_true(core.hrtime() - begun < 4)
    server:close()
    server = helper.node { http = "127.0.0.1:0" }
    fails("plain HTTP", "tcps://" .. server.http_address)
    server:close()
  end)

  it("gives up on a handshake that does not come", function()
    local server, address = helper.node()
    local options = tls()
    options.connect_timeout = 0.2
    fails("did not finish the TLS handshake within 200 ms", "tcps://" .. address, options)
    server:close()
  end)

  it("is what a plain client is told to speak", function()
    local server, address = node "good"
    fails("the server speaks TLS: say tcps:// or tls = true", "tcp://" .. address, {})
    server:close()
  end)

  it("says which file is wrong", function()
    local server, address = node "good"
    local pem, key = file "client.pem", file "client.key"
    for pattern, settings in pairs {
      ["trust from /nowhere/ca: No such file or directory"] = { ca = "/nowhere/ca" },
      ["trust from .*/good%.key: "] = { ca = file "good.key" },
      ["both cert and key"] = { cert = pem },
      ["a certificate from .*/client%.key: "] = { cert = key, key = key },
      ["a key from .*/client%.pem: "] = { cert = pem, key = pem },
      ["key in .*/good%.key is not that of the certificate in .*/client%.pem"] = {
        cert = pem, key = file "good.key",
      },
      ["key in .*/locked%.key wants a passphrase"] = {
        cert = file "good.pem", key = file "locked.key",
      },
      ["is no name for a server"] = { server_name = ("x"):rep(300) },
    } do
      fails(pattern, "tcps://" .. address, tls(settings))
    end
    server:close()
    local err = helper.fails("tls_error", pump.node {
      listen = "127.0.0.1:0", tls = { cert = file "good.pem", key = file "ca.key" },
    })
    assert.matches("is not that of the certificate", err.message)
  end)

  it("checks its options", function()
    local url = "tcps://h"
    helper.misuses("unknown option \"cafile\"", pump.connect, url, { tls = { cafile = "x" } })
    helper.misuses("'verify' .*boolean expected", pump.connect, url, { tls = { verify = 1 } })
    helper.misuses("'tls' .*true, false or a table", pump.connect, url, { tls = "yes" })
    helper.misuses("it needs cert and key", pump.node, { tls = { cert = "x" } })
    helper.misuses("unknown option \"verify\"", pump.node, { tls = { verify = false } })
    helper.fails("connect_failed", pump.connect "tcps://h?tls=false")
    helper.fails("connect_failed", pump.connect "tcps://h?verify=perhaps")
    helper.fails("not_supported", pump.connect("memory:", { tls = true }))
  end)

  it("lets a node be reached from elsewhere, with passwords of its own", function()
    local own = { cert = file "good.pem", key = file "good.key" }
    local users = { admin = "a secret", ops = "another" }
    local err = helper.fails("invalid_argument", pump.node { listen = "0.0.0.0:0", tls = own })
    assert.matches("a password that everybody knows", err.message)
    err = helper.fails("invalid_argument", pump.node { listen = "0.0.0.0:0", users = users })
    assert.matches("unencrypted", err.message)
    helper.fails("invalid_argument", pump.node {
      listen = "0.0.0.0:0", tls = own, users = { admin = "a secret" },
    })
    local server = assert(pump.node { listen = "0.0.0.0:0", tls = own, users = users })
    local port = server.address:match ":(%d+)$"
    assert(pump.connect("tcps://admin:a%20secret@127.0.0.1:" .. port, tls())):close()
    server:close()
  end)

  it("is where the leader is, too", function()
    for _, like in ipairs { "5.0", "23.10" } do
      local leader, _, leader_port = node("good", { like = like })
      local place = "localhost:" .. leader_port
      local server, address = node("good", { like = like })
      for _, at in ipairs { place, address } do
        local writer = assert(pump.connect("tcps://admin:changeit@" .. at, tls()))
        assert(writer:publish_event("s", "t", at))
        writer:close()
      end
      local conn = assert(pump.connect("tcps://admin:changeit@" .. address, tls()))
      server.faults:set { not_handled = "not_leader", leader = place }
      -- A client may follow there by itself, or say where it is.
      local event, err = conn:get_event("s", 0)
      assert.equal(place, event and event.data or err.leader, like)
      conn:close()
      server:close()
      leader:close()
    end
  end)

  it("ends a peer that never finishes its handshake", function()
    local server, address = node "good"
    local host, port = address:match "^(.+):(%d+)$"
    local name = os.tmpname()
    os.execute(("bash -c 'exec 3<>/dev/tcp/%s/%s; timeout 9 cat <&3; echo ended $? >%s' &"):format(
      host, port, name))
    local text, deadline = "", core.hrtime() + 10
    while #text == 0 and core.hrtime() < deadline do
      pump.sleep(0.1)
      local handle = assert(io.open(name))
      text = handle:read "a"
      handle:close()
    end
    os.remove(name)
    assert.equal("ended 0\n", text)
    server:close()
  end)
end)
