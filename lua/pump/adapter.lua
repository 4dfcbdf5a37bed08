-- Hosts: programs whose own event loop turns pump's, so that a call which waits suspends only the
-- coroutine of the host that made it. An adapter is a table of functions:
--
--   start()      the host's loop shall turn pump.loop from now on
--   stop()       and no longer
--   can_wait()   whether the running coroutine is one that wait may suspend
--   is_turning() whether the host's loop runs, so that turning pump.loop in place would hold it up
--   wait(box)    suspends it until box.done; sets box.resume, which is called once that is so
--   changed()    pump.loop:timeout() may have become less; pump.loop:busy() may be true
local errors = require "pump.error"
local scheduler = require "pump.scheduler"

local M = {}

local names = { "start", "stop", "can_wait", "is_turning", "wait", "changed" }

-- Lets the host of the adapter turn the loop; nil: nobody but pump.
function M.use(adapter)
  if adapter ~= nil and type(adapter) ~= "table" then
    errors.misuse("bad argument #1 to 'use' (an adapter expected, as pump.adapter.luv, got %s)",
      type(adapter))
  end
  for _, name in ipairs(adapter and names or {}) do
    if type(adapter[name]) ~= "function" then
      errors.misuse("bad argument #1 to 'use' (an adapter has a function %s)", name)
    end
  end
  if rawequal(scheduler.host, adapter) then return end
  if scheduler.held > 0 then
    errors.misuse("bad moment for 'use': calls wait in coroutines of the host")
  end
  if scheduler.host then scheduler.host.stop() end
  scheduler.host = nil
  if not adapter then return end
  adapter.start()
  scheduler.host = adapter
end

local modules = { luv = "luv", cqueues = "cqueues" }

-- pump.adapter.luv, pump.adapter.cqueues: loaded when they are asked for.
M.adapters = setmetatable({}, {
  __index = function(adapters, name)
    if not modules[name] then return nil end
    if not (package.loaded[modules[name]] or pcall(require, modules[name])) then
      errors.misuse("pump.adapter.%s needs the module %s, which is not there (Debian: lua-%s)",
        name, modules[name], modules[name])
    end
    adapters[name] = require("pump.adapter." .. name)
    return adapters[name]
  end,
})

return M
