-- One pony jumps.
local pump = require "pump"

local conn <close> = assert(pump.connect(os.getenv "PUMP_URL" or "memory:"))

local result = assert(conn:publish_event("ponies", "PonyJumped", {
  Pony = "Derpy Hooves",
  Height = 10,
  Distance = 13,
}))
print("written as event " .. result.last_event_number)
