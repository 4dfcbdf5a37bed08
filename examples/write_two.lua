-- Two ponies jump at once: both events are written, or none.
local pump = require "pump"

local conn <close> = assert(pump.connect(os.getenv "PUMP_URL" or "memory:"))

local result = assert(conn:publish("more_ponies", {
  pump.new_event("PonyJumped", { Pony = "Peculiar Hooves", Height = 9, Distance = 13 }),
  pump.new_event("PonyJumped", { Pony = "Sparkly Hooves", Height = 12, Distance = 12 }),
}))
print("written as events " .. result.first_event_number .. " to " .. result.last_event_number)
