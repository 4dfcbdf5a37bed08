-- A chain of generators: heights in feet are read from one stream, turned into metres, and
-- written to another. Nothing is held in memory but what is on its way.
local pump = require "pump"

local conn <close> = assert(pump.connect(os.getenv "PUMP_URL" or "memory:"))
local suffix = "-" .. tostring(conn:publish_event("chains", "ChainStarted").last_event_number)

local function heights(feet)
  return pump.wrap(function()
    for _, height in ipairs(feet) do
      coroutine.yield(pump.new_event("PonyJumped", { Height = height }))
    end
  end)
end

local function in_metres(events)
  return pump.wrap(function()
    for event in events do
      local metres = event:json().Height * 0.3048
      coroutine.yield(pump.new_event("PonyJumpedMetres", { Height = metres }))
    end
  end)
end

assert(conn:publish("feet" .. suffix, heights { 9, 12, 15, 18 }))
assert(conn:publish("metres" .. suffix, in_metres(conn:iter("feet" .. suffix))))

for event in conn:iter("metres" .. suffix) do
  print(string.format("%.2f m", event:json().Height))
end
