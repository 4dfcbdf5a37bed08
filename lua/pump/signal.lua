-- A list of functions that are told when something happens: conn.on_connected and its like.
local errors = require "pump.error"
local task = require "pump.task"

local signal_class = {}
signal_class.__index = signal_class
signal_class.__name = "pump.signal"

local M = {}

function M.new()
  return setmetatable({ handlers = {} }, signal_class)
end

function signal_class:append(fn)
  if getmetatable(self) ~= signal_class then errors.bad_self("append", "a signal", self) end
  if type(fn) ~= "function" then
    errors.misuse("bad argument #1 to 'append' (function expected, got %s)", type(fn))
  end
  self.handlers[#self.handlers + 1] = fn
  return fn
end

-- Returns whether the function was there.
function signal_class:remove(fn)
  if getmetatable(self) ~= signal_class then errors.bad_self("remove", "a signal", self) end
  for index, handler in ipairs(self.handlers) do
    if handler == fn then
      table.remove(self.handlers, index)
      return true
    end
  end
  return false
end

-- Each handler is a task of its own that starts at once: it may wait, and its error is its own.
function M.emit(signal, ...)
  for _, handler in ipairs({ table.unpack(signal.handlers) }) do
    task.fire(handler, ...)
  end
end

return M
