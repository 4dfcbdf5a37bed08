-- The HTTP port of pump.node, as curl sees it: pages, credentials, and faults set from outside.
local helper = require "helper"
local pump = require "pump"

local read_file = helper.read_file

helper.leaves_nothing(after_each)

local function curl(url, arguments)
  return helper.curl("http://" .. url, arguments)
end

local function start(options)
  local all = { http = "127.0.0.1:0" }
  for name, value in pairs(options or {}) do all[name] = value end
  return helper.node(all)
end

local function post(node, path, body, user)
  return curl(node.http_address .. path, ("%s -X POST -d '%s'"):format(
    user and "-u " .. user or "", body or ""))
end

describe("HTTP", function()
  it("gossips of one node, where it is reached", function()
    local node, address = start()
    local conn = assert(pump.connect("tcp://admin:changeit@" .. address))
    assert(conn:publish_event("s", "t", "x"))
    local before = assert(pump.json.decode((select(2, curl(node.http_address .. "/gossip")))))
    assert(conn:publish_event("s", "t", "x"))
    local status, body, headers = curl(node.http_address .. "/gossip?format=json")
    assert.equal(200, status)
    assert.matches("^application/json", headers["content-type"])
    local gossip = assert(pump.json.decode(body))
    local member = gossip.members[1]
    assert.equal(1, #gossip.members)
    assert.equal("Master", member.state)
    assert.is_true(member.isAlive)
    local host, port = address:match "^(.*):(%d+)$"
    assert.are.same({ host, math.tointeger(port), host, math.tointeger(port) }, {
      member.externalTcpIp, member.externalTcpPort, member.internalTcpIp, member.internalTcpPort })
    local http_port = math.tointeger(node.http_address:match ":(%d+)$")
    assert.are.same({ host, http_port, host, http_port },
      { member.externalHttpIp, member.externalHttpPort, gossip.serverIp, gossip.serverPort })
    assert.is_true(member.lastCommitPosition > before.members[1].lastCommitPosition)
    assert.is_true(member.writerCheckpoint >= member.lastCommitPosition)
    assert.equal(before.members[1].instanceId, member.instanceId)
    assert.matches("^%x+%-%x+%-4%x+%-%x+%-%x+$", member.instanceId)
    assert.matches("^20%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d+Z$", member.timeStamp)
    local recorded = pump.json.decode(read_file "spec/recorded/5.0.8/gossip-single.json")
    for name, value in pairs(recorded.members[1]) do
      assert.equal(math.type(value) or type(value), math.type(member[name]) or type(member[name]),
        name)
    end
    conn:close()
    node:close()
  end)

  it("tells what it is, and that it lives", function()
    local node = start()
    local status, body, _ = curl(node.http_address .. "/info")
    assert.equal(200, status)
    assert.equal(read_file "spec/recorded/5.0.8/info.json", body)
    status, body = curl(node.http_address .. "/ping")
    assert.equal(200, status)
    assert.equal("Ping request successfully handled", pump.json.decode(body).text)
    local headers
    status, _, headers = curl(node.http_address .. "/info", "-I")
    assert.equal(200, status)
    assert.equal("78", headers["content-length"])
    node:close()
  end)

  it("tells of a 23.10 where it is like one", function()
    local node = start { like = "23.10" }
    -- What is recorded is of one that asks nobody for a password.
    local info = read_file("spec/recorded/23.10.6/info.json")
      :gsub('"insecure"', '"internal"'):gsub('"userManagement": false', '"userManagement": true')
    assert.equal(info, (select(2, curl(node.http_address .. "/info"))))
    local recorded = pump.json.decode(read_file "spec/recorded/23.10.6/gossip-single.json")
    local gossip = pump.json.decode((select(2, curl(node.http_address .. "/gossip"))))
    local names = {}
    for name in pairs(gossip.members[1]) do names[name] = recorded.members[1][name] end
    assert.are.same(recorded.members[1], names)
    assert.equal("Leader", gossip.members[1].state)
    assert.equal("23.10.6.0", gossip.members[1].esVersion)
    node:close()
  end)

  it("says clearly what there isn't", function()
    local node = start()
    local status, body, headers = curl(node.http_address .. "/streams/s")
    assert.equal(404, status)
    assert.matches("^Not Found: this node has /gossip, /info, /ping and /subscriptions\n$", body)
    assert.matches("^text/plain", headers["content-type"])
    status, body, headers = curl(node.http_address .. "/gossip", "-X DELETE")
    assert.equal(405, status)
    assert.equal("Method Not Allowed\n", body)
    assert.equal("GET, HEAD", headers.allow)
    assert.equal(404, (curl(node.http_address .. "/faults", "-u admin:changeit")))
    node:close()
  end)

  it("takes anybody or who they say they are", function()
    local node = start { users = { derpy = "muffins" } }
    assert.equal(200, (curl(node.http_address .. "/info", "-u derpy:muffins")))
    local status, _, headers = curl(node.http_address .. "/info", "-u derpy:cupcakes")
    assert.equal(401, status)
    assert.matches("^Basic realm=", headers["www-authenticate"])
    assert.equal(401, (curl(node.http_address .. "/info", "-H 'Authorization: Basic %%%'")))
    assert.equal(401, (curl(node.http_address .. "/info", "-H 'Authorization: Bearer x'")))
    node:close()
  end)

  it("listens where it may", function()
    helper.fails("invalid_argument", pump.node { listen = "127.0.0.1:0", http = "0.0.0.0:0" })
    local node = start()
    local err = helper.fails("connect_failed",
      pump.node { listen = "127.0.0.1:0", http = node.http_address })
    assert.matches(node.http_address, err.message, 1, true)
    node:close()
    assert.is_nil(node.http_address)
    local any = "0.0.0.0:0"
    local open = assert(pump.node { listen = any, http = any, insecure_listen = true })
    local _, body = curl("127.0.0.1" .. open.http_address:match ":%d+$" .. "/gossip")
    local member = pump.json.decode(body).members[1]
    assert.are.same({ "127.0.0.1", "127.0.0.1" }, { member.externalTcpIp, member.externalHttpIp })
    open:close()
  end)
end)

describe("POST /faults", function()
  it("is for admins", function()
    local node = start { faults = true }
    assert.equal(401, (post(node, "/faults", "{}")))
    assert.equal(403, (post(node, "/faults", "{}", "ops:changeit")))
    assert.equal(200, (post(node, "/faults", "{}", "admin:changeit")))
    assert.equal(405, (curl(node.http_address .. "/faults/drop", "-u admin:changeit")))
    node:close()
  end)

  it("sets these faults and no others, as Lua does", function()
    local node = start { faults = true }
    node.faults.silent = true
    local given = { not_handled = "not_leader", leader = "127.0.0.1:1114", delay = 0.25, cut = 0,
      duplicate = true, one_byte = true, only = "writes", chance = 0.5, count = 3, refuse = true }
    local status, body = post(node, "/faults", pump.json.encode(given), "admin:changeit")
    assert.equal(200, status)
    assert.are.same(given, pump.json.decode(body))
    for name, value in pairs(given) do assert.equal(value, node.faults[name], name) end
    assert.is_nil(node.faults.silent)
    status, body = curl(node.http_address .. "/faults", "-u admin:changeit")
    assert.are.same({ 200, given }, { status, pump.json.decode(body) })
    post(node, "/faults", '{"delay": null}', "admin:changeit")
    assert.is_nil(node.faults.not_handled)
    node:close()
  end)

  it("says what is wrong, and changes nothing then", function()
    local node = start { faults = true }
    node.faults.count = 7
    for body, pattern in pairs {
      [""] = "^that is not JSON: .* at byte 0\n$",
      ['{"delay": 1'] = "^that is not JSON",
      ["[]"] = "^faults are an object",
      ['{"dealy": 1}'] = '^there is no fault "dealy"; known are not_handled, leader',
      ['{"delay": -1}'] = "^delay is seconds, 0 or more\n$",
      ['{"delay": "1"}'] = "^delay is seconds",
      ['{"silent": 1}'] = "^silent is true or false",
      ['{"count": 1.5}'] = "^count is a whole number",
      ['{"cut": -1}'] = "^cut is a whole number",
      ['{"chance": 2}'] = "^chance is a number from 0 to 1\n$",
      ['{"duration": "long"}'] = "^duration is seconds, 0 or more\n$",
      ['{"only": "pings"}'] = '^only is "reads" or "writes"',
      ['{"not_handled": "no"}'] = '^not_handled is "not_ready", "too_busy" or "not_leader"',
      ['{"leader": "here"}'] = "^leader is no HOST:PORT",
      ['{"gossip": 1}'] = "^gossip is an object or a text",
      ['{"gossip": {"a": 1'] = "^that is not JSON",
      ['{"gossip": "x", "leader": "y", "gossip": "z", "leader": 1}'] = "^leader is",
    } do
      local status, said = post(node, "/faults", body, "admin:changeit")
      assert.equal(400, status, body)
      assert.matches(pattern, said)
      assert.equal(7, node.faults.count, body)
    end
    node:close()
  end)

  it("reports any gossip", function()
    local node = start { faults = true }
    local gossip = '{"members": [{"state": "Slave", "x": "}"}],  "serverPort": 1}'
    assert.equal(200, (post(node, "/faults", '{"gossip": ' .. gossip .. "}", "admin:changeit")))
    assert.equal(gossip, (select(2, curl(node.http_address .. "/gossip"))))
    post(node, "/faults", '{"gossip": "no JSON at all"}', "admin:changeit")
    assert.equal("no JSON at all", (select(2, curl(node.http_address .. "/gossip"))))
    node.faults.gossip = "no \xff UTF-8"
    assert.equal("no \xff UTF-8", (select(2, curl(node.http_address .. "/gossip"))))
    local _, faults = curl(node.http_address .. "/faults", "-u admin:changeit")
    assert.are.same({ gossip = pump.null }, pump.json.decode(faults))
    node.faults.gossip = { members = { { state = "Master" } } }
    assert.equal('{"members":[{"state":"Master"}]}',
      (select(2, curl(node.http_address .. "/gossip"))))
    node.faults.gossip = nil
    assert.matches('"serverIp"', (select(2, curl(node.http_address .. "/gossip"))))
    node:close()
  end)

  it("works for clients, and drops them", function()
    local node, address = start { faults = true }
    local conn = assert(pump.connect("tcp://admin:changeit@" .. address, { reconnect = false }))
    post(node, "/faults", '{"not_handled": "too_busy"}', "admin:changeit")
    helper.fails("too_busy", conn:publish_event("s", "t", "x", { timeout = 0.1 }))
    post(node, "/faults", "{}", "admin:changeit")
    assert(conn:publish_event("s", "t", "x"))
    assert.equal(200, (post(node, "/faults/drop", "", "admin:changeit")))
    helper.fails("closed", conn:get_event("s", 0))
    conn:close()
    node:close()
  end)
end)
