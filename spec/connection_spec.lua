local core = require "pump.core"
local helper = require "helper"
local pump = require "pump"

helper.leaves_nothing(after_each)

describe("connect", function()
  it("returns a connection that is connected", function()
    local conn <close> = helper.connect()
    assert.equal("connected", conn.state)
    assert.equal("tcp", conn.protocol)
    assert.matches("^pump.connection{.+ connected}$", tostring(conn))
    local seconds = conn:ping()
    assert.is_true(seconds > 0 and seconds < 5)
  end)

  it("takes a URL with options, or options alone", function()
    local node, address = helper.node { users = { derpy = "muffins" } }
    local host, port = address:match "^(.*):(%d+)$"
    for _, arguments in ipairs {
      { "tcp://derpy:muffins@" .. address },
      { "tcp://derpy:wrong@" .. address, { password = "muffins" } },
      { "tcp://" .. address, { username = "derpy", password = "muffins", name = "mail" } },
      { "tcp://derpy:muffins@" .. address .. "?timeout=3&connect_timeout=2" },
      { { host = host, port = math.tointeger(port), username = "derpy", password = "muffins" } },
    } do
      local conn = assert(pump.connect(table.unpack(arguments)))
      assert.equal(address, conn.endpoint)
      assert.is_nil(tostring(conn):find "muffins")
      assert(conn:publish_event("letters", "LetterSent", "hi"))
      conn:close()
    end
    node:close()
  end)

  it("takes the fields of heartbeat in a URL", function()
    local node, address = helper.node()
    local conn <close> = assert(pump.connect("tcp://" .. address
      .. "?heartbeat_interval=0.01&heartbeat_timeout=5"))
    local before = conn:stats().frames_out
    local deadline = core.hrtime() + 5 * helper.slow
    while conn:stats().frames_out == before and core.hrtime() < deadline do pump.sleep(0.02) end
    assert.is_true(conn:stats().frames_out > before)
    for _, query in ipairs { "heartbeat=1", "heartbeat_pause=1", "heartbeat_timeout=0" } do
      helper.fails("connect_failed", pump.connect("tcp://" .. address .. "?" .. query))
    end
    node:close()
  end)

  it("takes PUMP_URL where nobody says more", function()
    local output, status = helper.lua [[
      local pump = require "pump"
      local conn, err = pump.connect()
      print(conn or err)]]
    assert.equal(0, status)
    assert.matches(os.getenv "PUMP_URL" and "" or "127.0.0.1:1113", output)
  end)

  it("tells why it could not be", function()
    local err = helper.fails("connect_failed", pump.connect "tcp://127.0.0.1:1")
    assert.matches("127.0.0.1:1", tostring(err))
    for _, url in ipairs { "tpc://host", "tcp://", "tcp://host:port", "tcp://h?tmeout=3",
      "tcp://h?timeout=soon" } do
      helper.fails("connect_failed", pump.connect(url))
    end
    err = helper.fails("connect_failed", pump.connect "tcp://me:secret@host:99999")
    assert.is_nil(tostring(err):find "secret")
  end)

  it("tells that credentials are wrong", function()
    local node, address = helper.node()
    helper.fails("not_authenticated", pump.connect("tcp://admin:wrong@" .. address))
    node:close()
  end)

  it("says what it can't do yet", function()
    for _, url in ipairs { "esdb://h", "kurrentdb://h" } do
      assert.matches("not supported yet", helper.fails("not_supported", pump.connect(url)).message)
    end
  end)

  it("gives up on a server that says nothing", function()
    local output = helper.lua [==[
      local pump = require "pump"
      local node = assert(pump.node { listen = "127.0.0.1:0" })
      -- The node's loop does not turn while we wait for the other program.
      local program = ([[print(select(2, require("pump").connect("tcp://%s",
        { connect_timeout = 0.2 })))]]):format(node.address)
      local pipe = io.popen(("lua5.4 -e '%s' 2>&1"):format(program))
      io.write(pipe:read "a")]==]
    assert.matches("^timeout: [^\n]+\n$", output)
  end)

  it("wants arguments of their types, and options it knows", function()
    helper.misuses("string expected, got number", pump.connect, 5)
    helper.misuses("unknown option \"tiemout\" to 'connect'; did you mean timeout%?",
      pump.connect, { tiemout = 5 })
    helper.misuses("did you mean username%?", pump.connect, "tcp://h", { user = "x" })
    helper.misuses("bad option 'port' to 'connect' %(a port", pump.connect, { port = "1113" })
    helper.misuses("bad option 'port'", pump.connect, { port = 65536 })
    helper.misuses("bad option 'timeout'", pump.connect, { timeout = 0 })
    helper.misuses("known are interval, timeout", pump.connect, { heartbeat = { x = 1 } })
    helper.misuses("bad options to 'connect'", pump.connect, "tcp://h", "x")
    helper.misuses("unknown option 1", pump.connect, { "tcp://h" })
  end)
end)

describe("memory: and file:", function()
  it("are stores of their own", function()
    local a <close> = assert(pump.connect "memory:")
    local b <close> = assert(pump.connect "memory:")
    assert.equal("memory:", a.endpoint)
    assert(a:publish_event("s", "t"))
    helper.fails("stream_not_found", b:get "s")
  end)

  it("keep in a file what was written", function()
    local path = os.tmpname()
    os.remove(path)
    for i = 0, 2 do
      local conn <close> = assert(pump.connect("file:" .. path))
      assert.equal("file:" .. path, conn.endpoint)
      assert.equal(i, assert(conn:publish_event("s", "t")).first_event_number)
    end
    for _, suffix in ipairs { "", "-wal", "-shm" } do os.remove(path .. suffix) end
  end)

  it("say what is wrong with a file", function()
    local err = helper.fails("store_failed", pump.connect "file:/no/such/folder/x.db")
    assert.matches("/no/such/folder/x.db", err.message)
  end)
end)

describe("client", function()
  it("connects when it is told to", function()
    local client <close> = assert(pump.client "memory:")
    assert.equal("new", client.state)
    helper.misuses("call client:connect%(%) first", client.ping, client)
    assert.equal(client, client:connect())
    assert.equal(client, client:connect())
    assert.is_number(client:ping())
  end)

  it("may try again", function()
    local client <close> = assert(pump.client "tcp://127.0.0.1:1")
    helper.fails("connect_failed", client:connect())
    helper.fails("connect_failed", client:connect())
  end)
end)

describe("close", function()
  it("is idempotent, and ends all use", function()
    local conn = helper.connect()
    assert.is_true(conn:close())
    assert.is_true(conn:close())
    assert.equal("closed", conn.state)
    for _, name in ipairs { "ping", "get_all", "iter_all", "connect" } do
      local ok, err = pcall(conn[name], conn)
      assert.is_false(ok)
      assert.equal("closed", err.code)
      assert.matches("connection_spec.lua:%d+", err.message)
    end
  end)

  it("answers every call that waits", function()
    local node, address = helper.node()
    local conn = assert(pump.connect("tcp://admin:changeit@" .. address))
    pump.run(function()
      local tasks = {}
      for i = 1, 10 do
        tasks[i] = pump.spawn(function() return conn:publish_event("s", "t", { i = i }) end)
      end
      pump.spawn(function() conn:close() end)
      for i = 1, 10 do
        local result, err = tasks[i]:join()
        assert.is_true(result ~= nil or err.code == "closed", tostring(err))
      end
    end)
    node:close()
  end)

  it("happens at the end of a block, and when nobody has the connection", function()
    local closed = 0
    do
      local conn <close> = helper.connect()
      conn.on_closed:append(function() closed = closed + 1 end)
    end
    assert.equal(1, closed)
    helper.connect()
    collectgarbage()
    collectgarbage()
    pump.sleep(0.01)
  end)

  it("happens in a task that is cancelled while it connects", function()
    collectgarbage "stop"
    pump.run(function()
      for _, url in ipairs { "memory:", "tcp://127.0.0.1:1" } do
        local one = pump.spawn(function() return pump.connect(url) end)
        pump.sleep(0)
        one:cancel()
        one:join()
      end
    end)
    collectgarbage "restart"
    assert.equal(0, core.handles())
  end)

  it("happens in a task that was cancelled", function()
    pump.run(function()
      local one = pump.spawn(function()
        local conn <close> = helper.connect()
        pump.sleep(60)
        return conn
      end)
      pump.sleep(0.05)
      one:cancel()
      one:join()
    end)
    local deadline = core.hrtime() + 5
    while core.handles() > 0 and core.hrtime() < deadline do pump.sleep(0.01) end
    assert.equal(0, core.handles())
  end)
end)

describe("a connection that is lost", function()
  it("tells so, and fails what is asked", function()
    local node, address = helper.node()
    local conn = assert(pump.connect("tcp://admin:changeit@" .. address))
    local reason
    conn.on_disconnected:append(function(err) reason = err end)
    node:close()
    for _ = 1, 100 do
      if reason then break end
      pump.sleep(0.01)
    end
    assert.equal("pump.error", getmetatable(reason).__name)
    local err = select(2, conn:ping())
    assert.is_string(err.code)
    conn:close()
  end)
end)

describe("signals", function()
  it("tell what happens to a connection", function()
    local seen = {}
    local client = assert(pump.client(helper.server or "memory:"))
    client.on_connected:append(function(conn) seen[#seen + 1] = conn.state end)
    client.on_closed:append(function(conn) seen[#seen + 1] = conn.state end)
    assert(client:connect())
    client:close()
    assert.are.same({ "connected", "closed" }, seen)
  end)

  it("are not told to whom was removed, and harm nobody else", function()
    local task = require "pump.task"
    local on_error = task.on_error
    task.on_error = function() end
    local seen = {}
    local client = assert(pump.client(helper.server or "memory:"))
    local function never() error "removed" end
    client.on_connected:append(never)
    client.on_connected:append(function() error "broken" end)
    client.on_connected:append(function(conn) seen[1] = conn:ping() end)
    assert.is_true(client.on_connected:remove(never))
    assert.is_false(client.on_connected:remove(never))
    assert(client:connect())
    pump.sleep(0.05)
    assert.is_number(seen[1])
    client:close()
    task.on_error = on_error
    helper.misuses("function expected", client.on_closed.append, client.on_closed, 1)
  end)

  it("log without secrets", function()
    local lines = {}
    local conn = helper.connect {
      log = function(level, message, fields)
        lines[#lines + 1] = level .. " " .. message .. " " .. fields.endpoint
      end,
    }
    conn:close()
    assert.is_true(#lines > 0)
    assert.is_nil(table.concat(lines):find "changeit")
  end)
end)

describe("a timeout", function()
  it("is of one call", function()
    local output = helper.lua(([[
      local pump = require "pump"
      local node = assert(pump.node { listen = "127.0.0.1:0" })
      local conn = assert(pump.connect(%q))
      print(conn:ping { timeout = 5 } ~= nil)]]):format(helper.server or "memory:"))
    assert.equal("true\n", output)
    local conn <close> = helper.connect()
    helper.misuses("bad option 'timeout' to 'ping'", conn.ping, conn, { timeout = "5" })
  end)
end)

describe("a peer that hung up before we noticed", function()
  it("does not end the program", function()
    local output = helper.lua [[
      local pump = require "pump"
      for _ = 1, 5 do
        local conn = assert(pump.connect("memory:"))
        conn.node:close()
        local _, err = conn:ping()
        print(err.code)
        conn:close()
      end]]
    assert.equal(("closed\n"):rep(5), output)
  end)
end)
