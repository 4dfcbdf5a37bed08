-- pump.node: the embedded node as a program has it. What it answers is in the node's own specs.
local helper = require "helper"
local pump = require "pump"

helper.leaves_nothing(after_each)

describe("a node", function()
  it("is reached at its address", function()
    local node, address = helper.node()
    assert.matches("^127%.0%.0%.1:%d+$", address)
    assert.is_nil(node.http_address)
    assert.matches("^pump.node{memory 127", tostring(node))
    local writer = assert(pump.connect("tcp://admin:changeit@" .. address))
    local reader = assert(pump.connect("tcp://admin:changeit@" .. address))
    assert(writer:publish_event("ponies", "PonyJumped", { Height = 10 }))
    assert.equal(10, assert(reader:get_event("ponies", 0)):json().Height)
    writer:close()
    reader:close()
    node:close()
  end)

  it("is the same store as file: opens", function()
    local path = os.tmpname()
    os.remove(path)
    local node, address = helper.node { file = path }
    local conn = assert(pump.connect("tcp://admin:changeit@" .. address))
    assert(conn:publish_event("s", "t", "kept"))
    conn:close()
    node:close()
    conn = assert(pump.connect("file:" .. path))
    assert.equal("kept", assert(conn:get_event("s", 0)).data)
    conn:close()
    for _, suffix in ipairs { "", "-wal", "-shm" } do os.remove(path .. suffix) end
  end)

  it("answers as the server that the URL names", function()
    for like, is_told in pairs { ["5.0"] = false, ["23.10"] = true } do
      local conn <close> = assert(pump.connect("memory:?like=" .. like))
      local id = "0b2c5a8e-3a63-4c9e-9d0c-6d2f54ed9f11"
      local first = assert(conn:publish_event("s", "t", "x", { id = id }))
      local again = assert(conn:publish_event("s", "t", "x", { id = id }))
      assert.equal(is_told, again.position.commit == first.position.commit, like)
    end
    local conn, err = pump.connect "memory:?like=3.9"
    assert.is_nil(conn)
    assert.matches("say 4.1, 5.0 or 23.10", err.message)
    conn, err = pump.connect "memory:?sync=sometimes"
    assert.is_nil(conn)
    assert.matches("normal or full", err.message)
    conn, err = pump.connect "tcp://127.0.0.1:1?like=5.0"
    assert.is_nil(conn)
    assert.matches("no option like", err.message)
  end)

  it("has the users that its store has", function()
    local node, address = helper.node { users = { derpy = "muffins" } }
    local admin <close> = assert(pump.connect("tcp://admin:changeit@" .. address))
    local derpy = assert(admin:get_event("$user-derpy", 0)):json()
    derpy.groups = { "$admins" }
    local function enter(password)
      local conn, err = pump.connect(("tcp://derpy:%s@%s"):format(password, address))
      if not conn then return nil, err.code end
      local _, refused = conn:get_event("$user-admin", 0)
      conn:close()
      return refused and refused.code or "admin"
    end
    assert.equal("access_denied", enter "muffins")
    assert(admin:publish_event("$user-derpy", "$UserUpdated", derpy))
    assert.equal("admin", enter "muffins")
    derpy.hash, derpy.salt = nil, nil
    local ops = assert(admin:get_event("$user-ops", 0)):json()
    derpy.hash, derpy.salt = ops.hash, ops.salt
    assert(admin:publish_event("$user-derpy", "$PasswordChanged", derpy))
    assert.equal("admin", enter "changeit")
    assert.are.same({ nil, "not_authenticated" }, { enter "muffins" })
    node:close()
  end)

  it("serves other programs while it sleeps", function()
    local node, address = helper.node()
    local served
    pump.run(function()
      local waiter = pump.spawn(pump.sleep, math.huge)
      local conn <close> = assert(pump.connect("tcp://admin:changeit@" .. address))
      served = conn:ping()
      waiter:cancel()
    end)
    assert.is_number(served)
    node:close()
  end)

  it("closes once, and at the end of a block", function()
    local kept
    do
      local node <close> = helper.node()
      kept = node
    end
    assert.is_nil(kept.address)
    assert.is_true(kept:close())
  end)

  it("says why it can't start", function()
    local node, address = helper.node()
    local err = helper.fails("connect_failed", pump.node { listen = address })
    assert.matches(address, err.message, 1, true)
    node:close()
    helper.fails("store_failed",
      pump.node { file = "/no/such/folder/x.db", listen = "127.0.0.1:0" })
  end)

  it("wants its options right", function()
    helper.misuses("unknown option \"port\"", pump.node, { port = 1 })
    helper.misuses("a string expected", pump.node, { listen = 1113 })
    helper.misuses("say http, too", pump.node, { faults = true })
    helper.misuses("names and passwords", pump.node, { users = { "admin" } })
    helper.misuses("names and passwords", pump.node,
      { users = setmetatable({ 5 }, { __pairs = function() return next, {} end }) })
    helper.misuses("a string without zero bytes", pump.node, { file = "a\0b" })
  end)
end)
