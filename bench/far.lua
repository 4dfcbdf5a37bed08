-- A node whose answers take as long as the way to another continent: says where it is, and stays.
--
--   lua5.4 far.lua SECONDS
local pump = require "pump"

local node = assert(pump.node { listen = "127.0.0.1:0" })
node.faults.delay = tonumber(arg[1])
print("tcp://" .. node.address)
io.stdout:flush()
pump.run(function()
  while true do pump.sleep(60) end
end)
