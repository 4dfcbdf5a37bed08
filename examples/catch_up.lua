-- A read model that is never rebuilt: it reads the jumps that were, follows those that come, and
-- keeps the number of the last one, behind which it goes on when it is started again.
local pump = require "pump"

local conn <close> = assert(pump.connect(os.getenv "PUMP_URL" or "memory:"))
local stream = "jumps-" .. pump.uuid()
local model = { heights = {}, checkpoint = -1 }

local function jump(pony, height)
  assert(conn:publish_event(stream, "PonyJumped", { Pony = pony, Height = height }))
end

local function follow(count)
  local sub <close> = assert(conn:subscribe_to(stream, { from_event = model.checkpoint + 1 }))
  for event in sub:events() do
    local body = event:json()
    model.heights[body.Pony] = math.max(body.Height, model.heights[body.Pony] or 0)
    model.checkpoint = event.event_number
    count = count - 1
    if count == 0 then break end
  end
end

jump("Derpy Hooves", 10)
jump("Sparkly Hooves", 12)
follow(2)
jump("Derpy Hooves", 14)
follow(1)
print(model.heights["Derpy Hooves"], model.heights["Sparkly Hooves"], model.checkpoint)
