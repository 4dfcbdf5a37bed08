-- What happens from now on: a volatile subscription, which has no history and keeps no place.
local pump = require "pump"

local conn <close> = assert(pump.connect(os.getenv "PUMP_URL" or "memory:"))
local stream = "jumps-" .. pump.uuid()
assert(conn:publish_event(stream, "PonyJumped", { Pony = "Derpy Hooves" })) -- nobody looked

local sub <close> = assert(conn:subscribe_to(stream))
assert(conn:publish_event(stream, "PonyJumped", { Pony = "Sparkly Hooves" }))
assert(conn:publish_event(stream, "PonyJumped", { Pony = "Peculiar Hooves" }))

for event in sub:events() do
  print(event.event_number, event:json().Pony)
  if event.event_number == 2 then break end
end
