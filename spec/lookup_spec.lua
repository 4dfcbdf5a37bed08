-- Names that take long: nothing waits for them once nobody wants to know, and others don't either.
local core = require "pump.core"

local SLOW = 30 -- seconds that the resolver takes for names below .slow

-- Runs a command where such names are slow. Returns what it wrote, and the seconds it took.
local function run(command)
  local before = core.hrtime()
  local pipe = assert(io.popen(("SLOW_RESOLVER=%d LD_PRELOAD=\"$LD_PRELOAD $PUMP_BUILD/spec/"
    .. "slow_resolver.so\" %s 2>&1"):format(SLOW, command)))
  local text = pipe:read "a"
  pipe:close()
  return text, core.hrtime() - before
end

local function lua(program)
  local name = os.tmpname()
  local file <close> = assert(io.open(name, "w"))
  file:write('local pump = require "pump"\n', program)
  file:close()
  local text, took = run("lua5.4 " .. name)
  os.remove(name)
  assert.is_true(took < SLOW / 2, took)
  return text
end

describe("a name that takes long", function()
  it("does not take longer than connect_timeout, nor keep the process", function()
    assert.matches("^connect_failed: .*db%.slow:1113: its name was not resolved within", lua [[
      print(select(2, pump.connect { host = "db.slow", connect_timeout = 0.3 }))]])
    assert.matches("^discovery_failed: .*db%.slow:2113: its name is not resolved so far", lua [[
      print(select(2, pump.connect { seeds = { "db.slow:2113" }, connect_timeout = 0.3 }))]])
  end)

  it("does not keep close, and leaves no handle", function()
    assert.equal("closed\t0\n", lua [[
      local core = require "pump.core"
      pump.run(function()
        local client = pump.client { host = "db.slow" }
        local task = pump.spawn(function() return client:connect() end)
        pump.sleep(0.05)
        client:close()
        local _, err = task:join()
        pump.sleep(0)
        print(err.code, core.handles())
      end)]])
  end)

  it("does not keep others from being looked up", function()
    assert.equal("memory\n", lua [[
      local node = assert(pump.node { listen = "127.0.0.1:0" })
      local port = math.tointeger(node.address:match ":(%d+)$")
      pump.run(function()
        for i = 1, 20 do
          pump.spawn(pump.connect, { host = i .. ".slow", connect_timeout = 1 })
        end
        pump.sleep(0.05)
        local conn = assert(pump.connect { host = "localhost", port = port })
        conn:close()
      end)
      print "memory"]])
  end)

  it("is one seed among others", function()
    assert.matches("^true\n", lua [[
      local node = assert(pump.node { listen = "127.0.0.1:0", http = "127.0.0.1:0" })
      local conn = assert(pump.connect { seeds = { "a.slow:2113", "b.slow:2113",
        node.http_address } })
      print(conn.endpoint == node.address)
      conn:close()]])
  end)

  it("costs an error where so many are looked up already", function()
    assert.matches("^64\tconnect_failed: .*resource temporarily unavailable\n", lua [[
      local late, refused = 0
      pump.run(function()
        for i = 1, 65 do
          pump.spawn(function()
            local _, err = pump.connect { host = i .. ".slow", connect_timeout = 0.5 }
            if err.message:find "not resolved" then late = late + 1 else refused = err end
          end)
        end
      end)
      print(late, refused)]])
  end)

  it("does not keep a shell that is interrupted", function()
    local text, took = run(
      "sh -c 'trap : INT; \"$PUMP_BUILD\"/pumpsh -u tcp://db.slow ping & sleep 0.5; kill -INT $!; "
      .. "wait $!; echo $?'")
    assert.matches("130\n$", text)
    assert.is_true(took < SLOW / 2, took)
  end)
end)
