-- A persistent subscription: the server keeps the group's place. Stopped and started again, we go
-- on with what was not acknowledged.
local pump = require "pump"

local conn <close> = assert(pump.connect(os.getenv "PUMP_URL" or "memory:"))
local stream = "jumps-" .. pump.uuid()
for _, pony in ipairs { "Derpy Hooves", "Sparkly Hooves", "Peculiar Hooves" } do
  assert(conn:publish_event(stream, "PonyJumped", { Pony = pony }))
end

assert(conn:create_subscription("cheering", stream, { from_event = "start" }))

local function cheer(count)
  local sub <close> = assert(conn:connect_subscription("cheering", stream))
  for event in sub:events() do
    print(event.event_number, event:json().Pony)
    assert(sub:ack(event))
    count = count - 1
    if count == 0 then break end
  end
end

cheer(2)
print "a break"
cheer(1)
