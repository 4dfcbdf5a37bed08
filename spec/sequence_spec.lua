-- The order of what a generator gives, on bad days.
local helper = require "helper"
local pump = require "pump"

helper.leaves_nothing(after_each)

local function read_all(conn, stream)
  local events = {}
  for event in conn:iter(stream) do events[#events + 1] = event end
  return events
end

describe("publish of a generator", function()
  -- Whatever a server refuses for a while, what comes behind it waits.
  it("keeps a generator's order though batches are refused, lost and late", function()
    local node <close> = helper.node()
    local conn <close> = assert(pump.connect("tcp://admin:changeit@" .. node.address,
      { reconnect = { delay = 0.01, max_delay = 0.05 }, timeout = 30 }))
    for _, faults in ipairs {
      { not_handled = "not_ready", chance = 0.5 }, { not_handled = "too_busy", count = 1 },
      { cut = 3, chance = 0.2 }, { chance = 0.3, delay = 0.01 },
    } do
      for _, expected in ipairs { "any", "no_stream" } do
        local stream, i = helper.stream(), 0
        local result = assert(conn:publish(stream, function()
          i = i + 1
          if i == 3 then
            faults.only = "writes"
            node.faults:set(faults)
          elseif i == 200 then
            node.faults:clear()
          end
          if i % 7 == 0 then pump.sleep(0.001) end
          if i <= 400 then return pump.new_event("n", { i = i }) end
        end, { batch_size = 3, expected_version = expected }))
        node.faults:clear()
        assert.equal(400, result.count)
        local n = 0
        for event in conn:iter(stream) do
          n = n + 1
          assert.equal(n, event:json().i)
        end
        assert.equal(400, n)
      end
    end
  end)

  it("writes nothing behind a batch that failed", function()
    local node <close> = helper.node()
    local conn <close> = assert(pump.connect("tcp://admin:changeit@" .. node.address))
    local stream, i = helper.stream(), 0
    local none, err = conn:publish(stream, function()
      i = i + 1
      if i == 5 then node.faults:set { not_handled = "not_ready", only = "writes", count = 3 } end
      if i % 2 == 0 then pump.sleep(0) end
      if i <= 100 then return pump.new_event("n", { i = i }) end
    end, { timeout = 0.1, batch_size = 2 })
    assert.is_nil(none)
    assert.equal("not_ready", err.code)
    node.faults:clear()
    local events = read_all(conn, stream)
    assert.equal(err.count, #events)
    for n, event in ipairs(events) do assert.equal(n, event:json().i) end
    assert.is_true(#events < 100)
  end)
end)
