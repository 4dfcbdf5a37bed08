-- Two ponies jump, and we read what they did in one page.
local pump = require "pump"

local conn <close> = assert(pump.connect(os.getenv "PUMP_URL" or "memory:"))
local result = assert(conn:publish("more_ponies", {
  pump.new_event("PonyJumped", { Pony = "Peculiar Hooves", Height = 9 }),
  pump.new_event("PonyJumped", { Pony = "Sparkly Hooves", Height = 12 }),
}))

local slice = assert(conn:get("more_ponies", {
  from_event = result.first_event_number, max_count = 2,
}))
for _, event in ipairs(slice) do
  print(event.event_number, event:json().Pony)
end
