-- Errors as users get them: an operation that fails returns nil and one of these; iterators raise
-- one. Misuse of a function raises a string with the place where the user called it.
local core = require "pump.core"

local error_class = {}
error_class.__index = error_class
error_class.__name = "pump.error"

function error_class:__tostring()
  return self.code .. ": " .. self.message
end

function error_class.__concat(left, right)
  return tostring(left) .. tostring(right)
end

local M = {}

-- fields: what belongs to the case (stream, event_number, expected, current, retryable …)
function M.new(code, message, fields)
  local err = {}
  for key, value in pairs(fields or {}) do
    err[key] = value
  end
  err.code = code
  err.message = (message or core.sentences[code] or code):gsub("%s*[\r\n]+%s*", " ")
  err.retryable = err.retryable or false
  return setmetatable(err, error_class)
end

function M.is(value)
  return getmetatable(value) == error_class
end

-- Where our own files are: the place of a misuse is the first caller that is not one of them.
local home = debug.getinfo(1, "S").source:match("^(.*)error[^/]*$")

local function level_of_user()
  local level = 2
  local info = debug.getinfo(level, "S")
  while info and (info.what == "C" or info.source:sub(1, #home) == home) do
    level = level + 1
    info = debug.getinfo(level, "S")
  end
  -- One less for this function itself: the level as our caller counts.
  return info and level - 1 or 1
end

-- Raises: the caller did what no input could make right.
function M.misuse(format, ...)
  error(select("#", ...) > 0 and format:format(...) or format, level_of_user())
end

-- Raises: a method was called without what it is a method of, as in conn.ping().
function M.bad_self(where, wanted, got)
  M.misuse("calling '%s' on bad self (%s expected, got %s)", where, wanted, type(got))
end

-- The text of what a program raised, whatever it is.
function M.text(value)
  local ok, text = pcall(tostring, value)
  return ok and text or type(value)
end

-- Raises an error object, with the place of the call in its message.
function M.raise_at_user(code, message, fields)
  local info = debug.getinfo(level_of_user(), "Sl")
  local place = info and info.currentline > 0
    and ("%s:%d: "):format(info.short_src, info.currentline) or ""
  error(M.new(code, place .. message, fields), 0)
end

return M
