-- cqueues turns pump's loop: in each controller in which something waits for it a coroutine polls
-- it, and those that wait do so for a condition each.
--
-- That coroutine ends when it is the last one of its controller and nobody waits: an open
-- connection alone does not keep a controller going, though it is looked after for as long as the
-- controller has other things to do.
local condition = require "cqueues.condition"
local cqueues = require "cqueues"
local scheduler = require "pump.scheduler"

-- How often it looks whether others are left, while nobody waits.
local IDLE = 0.1

local loop = scheduler.loop
local changes = setmetatable({}, { __mode = "k" }) -- controller -> condition: look again

local M = {}

local function turn(controller, changed)
  while loop:busy() or controller:count() > 1 do
    cqueues.poll(loop, changed, not loop:busy() and IDLE or nil)
    loop:step(0)
  end
  changes[controller] = nil
end

function M.start() end

function M.stop() end

function M.can_wait()
  local _, is_its_own = cqueues.running()
  return is_its_own
end

-- Nothing of cqueues' runs outside of its coroutines. Of coroutines within those, those of
-- pump.wrap let the others go on; the rest holds them up, as with every call of cqueues.
function M.is_turning()
  return false
end

function M.changed()
  local controller = cqueues.running()
  if controller and not changes[controller] then
    changes[controller] = condition.new()
    controller:wrap(turn, controller, changes[controller])
  end
  for _, changed in pairs(changes) do changed:signal() end
end

function M.wait(box)
  local done = condition.new()
  function box.resume() done:signal() end
  M.changed()
  repeat done:wait() until box.done
  M.changed() -- perhaps nobody waits any more
end

return M
