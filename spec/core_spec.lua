-- The binding itself: its loop, and that a Lua state can end in any order.
local core = require "pump.core"
local helper = require "helper"
local pump = require "pump"

helper.leaves_nothing(after_each)

describe("a timer", function()
  local function take_all()
    local taken = {}
    local ticket, ok = core.take()
    while ticket do
      taken[#taken + 1] = ticket
      assert.is_true(ok)
      ticket, ok = core.take()
    end
    return taken
  end

  it("answers its ticket once", function()
    local ticket, timer = core.after(0.01)
    assert.equal(1, core.pending())
    assert.is_false(core.idle())
    local taken = {}
    while #taken == 0 do -- libuv may be early by a millisecond, and wait again
      core.step()
      taken = take_all()
    end
    assert.are.same({ ticket }, taken)
    timer:cancel()
    assert.is_true(core.idle())
  end)

  it("that is cancelled or forgotten answers nothing", function()
    local _, timer = core.after(0.001)
    timer:cancel()
    timer:cancel()
    core.after(0.001)
    collectgarbage()
    collectgarbage()
    assert.equal(0, core.pending())
    core.step(0.01)
    assert.are.same({}, take_all())
  end)

  it("may be one of many", function()
    local timers = {}
    for i = 1, 500 do
      timers[i] = select(2, core.after(((i * 7919) % 500) / 50000))
    end
    for i = 1, 500, 2 do timers[i]:cancel() end
    local count = 0
    while not core.idle() do
      core.step(1)
      count = count + #take_all()
    end
    assert.equal(250, count)
  end)

  it("may be for ever", function()
    local _, timer = core.after(math.huge)
    core.step(0)
    assert.is_true(core.timeout() > 1000)
    timer:cancel()
    assert.is_nil(core.timeout())
  end)
end)

describe("a step", function()
  it("lasts as long as it may", function()
    for _, seconds in ipairs { 0, 0.02 } do
      local _, timer = core.after(10)
      local took = helper.elapsed(core.step, seconds)
      timer:cancel()
      assert.is_true(took >= seconds - 0.002, took)
      helper.soon(seconds + 0.5, took)
    end
  end)
end)

describe("a UUID", function()
  it("is told from other text", function()
    assert.is_true(core.is_guid(core.guid()))
    assert.is_true(core.is_guid("{" .. core.guid():upper() .. "}"))
    for _, text in ipairs { "", "x", core.guid():sub(2), core.guid() .. "0" } do
      assert.is_false(core.is_guid(text))
    end
  end)
end)

-- Each program ends with everything open, and must end well.
describe("the end of a Lua state", function()
  local programs = {
    ["with nothing asked for"] = "",
    ["with a connection"] = [[conn:ping()]],
    ["with several connections and a node"] = [[
      local node = assert(pump.node { listen = "127.0.0.1:0" })
      other = assert(pump.connect("tcp://admin:changeit@" .. node.address))
      third = assert(pump.connect "memory:")
      keep = node]],
    ["with requests under way"] = [[
      for i = 1, 10 do
        pump.spawn(function() conn:publish_event("s", "t", { i = i }) end)
      end
      pump.loop:step(0)]],
    ["with a task that sleeps"] = [[pump.spawn(pump.sleep, 60) pump.loop:step(0)]],
    ["with an iterator half read"] = [[
      for i = 1, 10 do assert(conn:publish_event("s", "t")) end
      step = conn:iter("s", { batch_size = 2 })
      step()]],
    ["with events that finalisers look at"] = [[
      for i = 1, 10 do assert(conn:publish_event("s", "t", "data")) end
      local event = conn:iter("s")()
      early = setmetatable({ event = event }, { __gc = function(self)
        pcall(function() return self.event.data, tostring(self.event) end)
      end })]],
    ["with finalisers that use pump"] = [[
      late = setmetatable({}, { __gc = function()
        pcall(conn.ping, conn)
        pcall(pump.sleep, 0.01)
        pcall(conn.close, conn)
        pcall(pump.connect, "memory:")
      end })]],
    ["with a client that never connected"] = [[client = assert(pump.client "memory:")]],
    ["with an error in a task"] = [[pcall(pump.run, error, "x")]],
    ["after os.exit"] = [[conn:ping() os.exit(0, true)]],
    ["after a quick os.exit"] = [[conn:ping() os.exit(0)]],
  }

  for name, program in pairs(programs) do
    it(name, function()
      local early = [[
        local pump = require "pump"
        first = setmetatable({}, { __gc = function()
          pcall(conn.ping, conn)
          pcall(pump.sleep, 0)
        end })
        conn = assert(pump.connect "memory:")
      ]]
      local output, status = helper.lua(early .. program .. "\nio.write 'well'")
      if not name:find "os.exit" then assert.equal("well", output) end
      assert.equal(0, status, output)
    end)
  end

  it("many times over in one process", function()
    local output, status = helper.lua [[
      local pump = require "pump"
      for _ = 1, 30 do
        local conn = assert(pump.connect "memory:")
        assert(conn:publish_event("s", "t"))
        conn = nil
      end
      collectgarbage()
      collectgarbage()
      pump.sleep(0.01)
      io.write(require("pump.core").handles())]]
    assert.equal("0", output)
    assert.equal(0, status)
  end)
end)

describe("finalisers", function()
  it("may ask, wait and write at any time", function()
    local conn <close> = helper.connect()
    local stream, made = helper.stream(), 0
    local function litter()
      setmetatable({}, { __gc = function()
        if made < 200 and conn.state == "connected" then
          made = made + 1
          assert(conn:publish_event(stream, "t", { made = made }))
          assert(conn:get(stream, { max_count = 3 }))
        end
      end })
    end
    for i = 1, 300 do
      litter()
      assert(conn:publish(stream, {
        pump.new_event("t", { i = i, text = ("x"):rep(200) }), pump.new_event("t", { i }),
      }))
      for event in conn:iter(stream, { batch_size = 7, max_count = 20 }) do
        if event.event_number % 5 == 0 then litter() end
        assert(event:json())
      end
      if i % 10 == 0 then collectgarbage "step" end
    end
    assert.is_true(made > 0)
    made = 200
    local count = 0
    for _ in conn:iter(stream) do count = count + 1 end
    assert.is_true(count >= 600)
  end)
end)

describe("the module", function()
  -- What the object of a module needs, and the names that it shows.
  local function look_at(module)
    local path = package.searchpath(module, package.cpath)
    local pipe = assert(io.popen("nm -D --defined-only " .. path .. "; readelf -d " .. path))
    local text = pipe:read "a"
    pipe:close()
    local names, needed = {}, {}
    for name in text:gmatch "%x+ %u ([%w_]+)" do
      if not name:find "^__" then names[#names + 1] = name end
    end
    for name in text:gmatch "NEEDED[^%[]*%[lib([^%]]-)%.so" do needed[name] = true end
    return names, needed
  end

  it("is not linked with liblua, and shows one name an object", function()
    for module, name in pairs { core = "luaopen_pump_core", core_node = "luaopen_pump_core_node",
      core_net = "pump_late_table" } do
      local names, needed = look_at("pump." .. module)
      assert.are.same({ name }, names)
      assert.is_nil(needed["lua5.4"])
      assert.is_true(needed.uv)
    end
  end)

  it("loads what takes long only when it is wanted", function()
    local _, needed = look_at "pump.core"
    for _, name in ipairs { "curl", "ssl", "crypto", "sqlite3", "microhttpd" } do
      assert.is_nil(needed[name], name)
    end
  end)

  it("says so where a part of it is not installed", function()
    local path = package.searchpath("pump.core", package.cpath)
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute(("mkdir -p %s/pump && cp %s %s/pump/"):format(folder, path, folder)))
    local output, status = helper.lua(([[
      package.cpath = %q
      local pump = require "pump"
      print(select(2, pump.connect("tcps://127.0.0.1:1")))
      print(select(2, pump.connect("discover://127.0.0.1:1")))
      print(select(2, pcall(pump.connect, "memory:")))
    ]]):format(folder .. "/?.so"))
    os.execute("rm -r " .. folder)
    assert.equal(0, status, output)
    local tls, discovery, node = output:match "(.-)\n(.-)\n(.*)"
    assert.matches("^tls_error: .*TLS cannot be loaded: .*core_net%.so", tls)
    assert.matches("^not_supported: ", discovery)
    assert.matches("module 'pump.core_node' not found", node, 1, true)
  end)
end)

describe("a userdata", function()
  it("shows the name of its type, and nothing that could be called with another one", function()
    local conn <close> = assert(pump.connect "memory:")
    assert(conn:publish_event("s", "t", "x"))
    local sub <close> = assert(conn:subscribe_to("s", { from_event = 0 }))
    local _, timer = core.after(0)
    for name, value in pairs {
      ["pump.event"] = sub:next(1), ["pump.client"] = conn.core, ["pump.node"] = conn.node,
      ["pump.core.subscription"] = sub.core, ["pump.core.iterator"] = sub.place,
      ["pump.timer"] = timer, ["pump.batch"] = core.batch(false),
      ["pump.sequence"] = core.sequence(),
    } do
      assert.are.same({ __name = name }, getmetatable(value))
      assert.is_nil(value.__gc)
      assert.is_nil(value.__index)
    end
    timer:cancel()
  end)

  it("takes no text that would not be kept for it", function()
    local conn <close> = assert(pump.connect "memory:")
    local filter = setmetatable({}, { __len = function() return math.maxinteger end })
    local function read(texts)
      return conn.core:read_all(0, 0, 1, false, false, texts, nil, nil, nil, nil)
    end
    assert.has_error(function() read { 5 } end)
    assert.is_true(require "pump.scheduler".await(read(filter)))
  end)
end)

describe("an iterator", function()
  it("may come too late as often as it likes", function()
    local left = 2000000
    local next_event = core.iterator(function()
      left = left - 1
      return left > 0 or nil
    end)
    assert.is_nil(next_event())
    assert.equal(0, left)
  end)
end)
