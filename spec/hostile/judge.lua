-- Errors as they should be: of pump's own kind with a code and a line, or a text that says who did
-- what wrong, with the place of the caller. What a script raised itself is its own.
local core = require "pump.core"
local MARK = require "hostile.values".MARK

-- What is told of a situation, which no argument made.
local situations = {
  "would wait for ever", "waits are nested too deeply", "coroutine.yield in a task",
  "attempt to yield across a C%-call boundary", "attempt to yield from outside a coroutine",
  "cannot resume dead coroutine", "C stack overflow", "connection was closed", "not connected yet",
  "bad body of an event", "a binary body must be", "hostile/[%w_]+%.lua:%d+: attempt to ",
}

local function is_about(text, known)
  for _, situation in ipairs(situations) do
    if text:find(situation) then return true end
  end
  for name in text:gmatch "'([%w_.]+)'" do
    if known[name:match "[%w_]+$"] then return true end
  end
  return false
end

-- What is wrong with an error, or nil. known: the names of functions.
return function(err, known)
  local class = getmetatable(err)
  if type(class) == "table" and rawget(class, "__name") == "pump.error" then
    if not core.sentences[err.code] then return "an unknown code" end
    if type(err.message) ~= "string" or err.message:find "\n" then return "no one-line message" end
    return nil
  end
  if type(err) ~= "string" or err:find(MARK, 1, true) then return nil end
  local line = err:match "^(.-)\n%(" or err
  if line:find "\n" then return "more than one line" end
  if line:find "lua/pump/[%w_/]+%.lua:%d+:" then return "it was raised in pump" end
  if not is_about(line, known) then return "it tells of no function" end
end
