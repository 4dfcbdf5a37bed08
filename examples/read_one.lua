-- One pony jumps, and we look at it.
local pump = require "pump"

local conn <close> = assert(pump.connect(os.getenv "PUMP_URL" or "memory:"))
local result = assert(conn:publish_event("ponies", "PonyJumped", {
  Pony = "Derpy Hooves", Height = 10,
}))

local event = assert(conn:get_event("ponies", result.last_event_number))
print(event)
print(event:json().Pony .. " jumped " .. event:json().Height .. " feet high")
