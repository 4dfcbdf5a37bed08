-- Callbacks instead of a loop: each jump is cheered as it happens, and a second one that is told
-- of everything counts.
local pump = require "pump"

local conn <close> = assert(pump.connect(os.getenv "PUMP_URL" or "memory:"))
local stream = "jumps-" .. pump.uuid()
local cheered, counted = 0, 0

local watcher <close> = assert(conn:watch(stream, function(event)
  pump.sleep(0.01) -- cheering takes its time, and keeps nobody else waiting
  print(event:json().Pony .. "!")
  cheered = cheered + 1
end))

conn.on_event:append(function() counted = counted + 1 end)
local counter <close> = assert(conn:watch(stream))

for _, pony in ipairs { "Derpy Hooves", "Peculiar Hooves" } do
  assert(conn:publish_event(stream, "PonyJumped", { Pony = pony }))
end
while cheered < 2 do pump.sleep(0.005) end
print(counted .. " jumps, " .. watcher.state .. ", " .. counter.state)
