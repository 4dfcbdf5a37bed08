-- A clock that writes its ticks for ever, or as many as the first argument says (10).
local pump = require "pump"

local count = tonumber(arg and arg[1]) or 10
local conn <close> = assert(pump.connect(os.getenv "PUMP_URL" or "memory:"))

local tick = 0
local function ticks()
  if tick == count then return nil end
  if tick > 0 then pump.sleep(0.05) end
  tick = tick + 1
  return pump.new_event("Ticked", { tick = tick, at = os.time() })
end

-- Each tick is written as it comes, not when 500 are together.
local result = assert(conn:publish("ticks", ticks, { batch_size = 1 }))
print(result.count .. " ticks")
