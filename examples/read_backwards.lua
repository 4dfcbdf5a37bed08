-- The newest first: the last three jumps.
local pump = require "pump"

local conn <close> = assert(pump.connect(os.getenv "PUMP_URL" or "memory:"))
for _, height in ipairs { 9, 12, 15, 18 } do
  assert(conn:publish_event("jumps", "PonyJumped", { Height = height }))
end

local shown = 0
for event in conn:iter("jumps", { direction = "backward" }) do
  print(event.event_number, event:json().Height)
  shown = shown + 1
  if shown == 3 then break end
end
