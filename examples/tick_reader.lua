-- Reads what a clock writes, for ever, or as many ticks as the first argument says (10): those
-- that are there already, and then each one as it comes.
local pump = require "pump"

local count = tonumber(arg and arg[1]) or 10
local conn <close> = assert(pump.connect(os.getenv "PUMP_URL" or "memory:"))
local stream = "ticks-" .. tostring(conn:publish_event("clocks", "ClockStarted").last_event_number)

local function write()
  for tick = 1, count do
    assert(conn:publish_event(stream, "Ticked", { tick = tick }))
    pump.sleep(0.02)
  end
end

local function follow()
  for event in conn:stream(stream, { forever = true }) do
    local tick = event:json().tick
    print("tick " .. tick)
    if tick == count then break end
  end
end

pump.run(function()
  pump.spawn(write)
  follow()
end)
