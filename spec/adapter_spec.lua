-- Calls in coroutines of luv and cqueues: they wait by the host's means while its loop goes on.
local helper = require "helper"
local pump = require "pump"

helper.leaves_nothing(after_each)

-- What each host is made of: a loop, something that ticks in it, coroutines, a pause, a socket.
local hosts = {}

function hosts.luv(uv)
  local host = { ticks = 0 }
  function host.spawn(fn) coroutine.wrap(fn)() end

  function host.every_millisecond()
    local timer = uv.new_timer()
    timer:start(1, 1, function() host.ticks = host.ticks + 1 end)
    timer:unref()
    return function() timer:close() end
  end

  function host.run() uv.run() end

  -- Keeps the loop turning without asking pump for anything.
  function host.pause(seconds)
    local co, timer = coroutine.running(), uv.new_timer()
    timer:start(math.ceil(seconds * 1000), 0, function()
      timer:close()
      coroutine.resume(co)
    end)
    coroutine.yield()
  end

  function host.exchange(port, bytes)
    local co, tcp = coroutine.running(), uv.new_tcp()
    tcp:connect("127.0.0.1", port, function()
      tcp:write(bytes)
      tcp:read_start(function(_, answer)
        tcp:read_stop()
        tcp:close()
        coroutine.resume(co, answer)
      end)
    end)
    return coroutine.yield()
  end

  return host
end

function hosts.cqueues(cqueues)
  local host = { ticks = 0 }
  local controller = cqueues.new()
  function host.spawn(fn) controller:wrap(fn) end

  function host.every_millisecond()
    local stopped = false
    controller:wrap(function()
      while not stopped do
        cqueues.sleep(0.001)
        host.ticks = host.ticks + 1
      end
    end)
    return function() stopped = true end
  end

  function host.run() assert(controller:loop()) end

  function host.pause(seconds) cqueues.sleep(seconds) end

  function host.exchange(port, bytes)
    local socket = require("cqueues.socket").connect("127.0.0.1", port)
    socket:setmode("b", "bn")
    assert(socket:write(bytes))
    local answer = socket:read(22)
    socket:close()
    return answer
  end

  return host
end

-- A frame of the TCP protocol: a command with an empty body.
local function frame(command)
  return string.pack("<I4BB", 18, command, 0) .. ("x"):rep(16)
end

for name, make in pairs(hosts) do
  local is_there, module = pcall(require, name)
  describe("the adapter of " .. name, function()
    if not is_there then
      pending(("lua-%s is not installed"):format(name))
      return
    end
    local host

    before_each(function()
      pump.use(pump.adapter[name])
      host = make(module)
    end)

    after_each(function() pump.use(nil) end)

    -- Runs fn in a coroutine of the host until the host's loop has nothing left to do.
    local function inside(fn)
      local ended
      host.spawn(function()
        local ok, err = pcall(fn)
        ended = ok or error(err, 0)
      end)
      host.run()
      assert.is_true(ended)
    end

    it("lets the host go on while a call waits", function()
      local stop = host.every_millisecond()
      inside(function()
        local conn <close> = assert(pump.connect "memory:")
        assert(conn:publish("s", { pump.new_event "a", pump.new_event "b" }))
        local before = host.ticks
        pump.sleep(0.5)
        assert.is_true(host.ticks > before + 5)
        local types = {}
        for event in conn:iter("s", { batch_size = 1 }) do types[#types + 1] = event.type end
        assert.are.same({ "a", "b" }, types)
        helper.fails("stream_not_found", conn:get_event("nobody", 0))
        stop()
      end)
    end)

    it("lets the host go on while iterators and writers wait", function()
      local stop = host.every_millisecond()
      inside(function()
        local node <close> = assert(pump.node { listen = "127.0.0.1:0" })
        local conn <close> = assert(pump.connect("tcp://admin:changeit@" .. node.address))
        assert(conn:publish("s", { pump.new_event "a", pump.new_event "b" }))
        node.faults.delay = 0.2
        local function ticks_during(fn)
          local before = host.ticks
          fn()
          return host.ticks - before
        end
        local function all(events)
          local types = {}
          for event in events do types[#types + 1] = event.type end
          return table.concat(types)
        end
        assert.is_true(ticks_during(function()
          assert.equal("ab", all(conn:iter("s", { batch_size = 1 })))
        end) > 5)
        assert.is_true(ticks_during(function()
          assert(conn:publish("copy", conn:iter("s")))
        end) > 5)
        -- What it would yield to is no loop of the host: it holds it up.
        assert.equal("ab", all(coroutine.wrap(function()
          for event in conn:iter("s", { batch_size = 1 }) do coroutine.yield(event) end
        end)))
        node.faults:clear()
        stop()
      end)
    end)

    it("suspends only the coroutine that calls", function()
      local order = {}
      local conn = assert(pump.connect "memory:")
      for i = 1, 3 do
        host.spawn(function()
          pump.sleep(0.1 - i * 0.03)
          assert(conn:publish_event("s", "from " .. i))
          order[#order + 1] = i
        end)
      end
      host.run()
      assert.are.same({ 3, 2, 1 }, order)
      assert.equal(3, #assert(conn:get "s")) -- outside of the loop a call blocks
      conn:close()
    end)

    it("feeds subscriptions and generators of pump.wrap", function()
      inside(function()
        local conn <close> = assert(pump.connect "memory:")
        local sub <close> = assert(conn:subscribe_to("s", { from_event = "start" }))
        host.spawn(function()
          for i = 1, 3 do assert(conn:publish_event("s", "t", { i = i })) end
        end)
        local doubled = pump.wrap(function()
          for event in sub:events() do coroutine.yield(event:json().i * 2) end
        end)
        assert.equal(2, doubled())
        assert.equal(4, doubled())
        assert.equal(6, doubled())
        helper.fails("timeout", sub:next(0.01))
      end)
    end)

    it("runs tasks beside the host's coroutines", function()
      local seen = {}
      inside(function()
        local conn <close> = assert(pump.connect "memory:")
        local watcher = assert(conn:watch("s", function(event)
          pump.sleep(0.001)
          seen[#seen + 1] = event.type
        end))
        local task = pump.spawn(function()
          assert(conn:publish_event("s", "by a task"))
          return "done"
        end)
        assert.equal("done", task:join())
        assert.equal(5, pump.run(function()
          pump.sleep(0.02)
          return 5
        end))
        watcher:close()
      end)
      assert.are.same({ "by a task" }, seen)
    end)

    it("looks after what nobody waits for", function()
      inside(function()
        local node <close> = helper.node()
        pump.sleep(0.001)
        host.pause(0.01)
        local answer = host.exchange(node.address:match ":(%d+)$", frame(3)) -- Ping
        assert.equal(frame(4), answer)
      end)
    end)

    it("does not keep the host going for an open connection", function()
      local conn
      inside(function() conn = assert(pump.connect "memory:") end)
      assert.equal("connected", conn.state)
      inside(function() conn:close() end)
    end)

    it("has errors end the coroutine they happen in", function()
      local text, status = helper.lua(([[
        local pump = require "pump"
        pump.use(pump.adapter.%s)
        local function culprit()
          pump.sleep(0.001)
          error "on purpose"
        end
        if %q == "luv" then
          coroutine.wrap(culprit)()
          require("luv").run()
        else
          local controller = require("cqueues").new()
          controller:wrap(culprit)
          assert(controller:loop())
        end]]):format(name, name))
      assert.not_equal(0, status)
      assert.matches("on purpose", text)
    end)

    it("cannot be exchanged while a call waits", function()
      inside(function()
        host.spawn(function() pump.sleep(0.02) end)
        host.pause(0.005)
        helper.misuses("bad moment", pump.use, nil)
        pump.sleep(0.03)
      end)
    end)
  end)
end

describe("luv's callbacks that are no coroutines", function()
  local is_there, uv = pcall(require, "luv")
  if not is_there then
    pending("lua-luv is not installed")
    return
  end

  before_each(function() pump.use(pump.adapter.luv) end)
  after_each(function() pump.use(nil) end)

  local function in_callback(fn)
    local result
    local timer = uv.new_timer()
    timer:start(0, 0, function()
      timer:close()
      result = table.pack(pcall(fn))
    end)
    uv.run()
    return table.unpack(result, 1, result.n)
  end

  it("may not wait, and nothing is sent", function()
    local conn = assert(pump.connect "memory:")
    for _, fn in ipairs {
      function() conn:publish_event("s", "t") end,
      function() conn:publish("s", function() return pump.new_event "t" end) end,
      function() pump.sleep(1) end,
      function() pump.run(function() pump.sleep(1) end) end,
    } do
      local ok, err = in_callback(fn)
      assert.is_false(ok)
      assert.matches("adapter_spec%.lua:%d+: this would block the host's loop", err)
    end
    helper.fails("stream_not_found", conn:get "s")
    conn:close()
  end)

  it("may spawn and close", function()
    local conn = assert(pump.connect "memory:")
    local done
    assert.is_true(in_callback(function()
      pump.spawn(function() done = assert(conn:publish_event("s", "t")) end)
    end))
    assert.equal(0, done.first_event_number)
    assert.is_true(in_callback(function() conn:close() end))
  end)

  it("find a generator of coroutine.wrap out", function()
    local ok, err
    coroutine.wrap(function()
      local generate = coroutine.wrap(function() pump.sleep(0.001) end)
      generate()
      ok, err = pcall(generate)
    end)()
    uv.run()
    assert.is_false(ok)
    assert.matches("pump%.wrap", err)
  end)
end)

describe("pump.use", function()
  it("takes adapters only", function()
    helper.misuses("an adapter expected", pump.use, "luv")
    helper.misuses("an adapter has a function start", pump.use, {})
  end)

  it("has no adapter for what it does not know", function()
    assert.is_nil(pump.adapter.copas)
  end)

  it("says what is missing", function()
    local text = helper.lua([[
      package.preload.luv = function() error "no luv here" end
      print(pcall(function() return require("pump").adapter.luv end))]])
    assert.matches("needs the module luv, which is not there %(Debian: lua%-luv%)", text)
  end)
end)
