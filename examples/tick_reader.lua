-- Reads what a clock writes, for ever, or as many ticks as the first argument says (10): when the
-- stream ends it waits a little and goes on where it was.
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
  local next_event, seen = 0, 0
  while seen < count do
    local ok, err = pcall(function()
      for event in conn:iter(stream, { from_event = next_event }) do
        print("tick " .. event:json().tick)
        next_event, seen = event.event_number + 1, seen + 1
      end
    end)
    if not ok and err.code ~= "stream_not_found" then error(err) end
    pump.sleep(0.02)
  end
end

pump.run(function()
  pump.spawn(write)
  follow()
end)
