-- pump.json: the C codec, with errors as the rest of pump has them.
local codec = require("pump.core").json
local errors = require "pump.error"

local M = { null = codec.null, array = codec.array, array_mt = codec.array_mt }

-- The text of a value, or nil and an error.
function M.encode(...)
  if select("#", ...) == 0 then errors.misuse("bad argument #1 to 'encode' (value expected)") end
  local text, message = codec.encode(...)
  if text then return text end
  return nil, errors.new("json_error", message)
end

-- The value of a text, or nil and an error with the offset where it is wrong. null is M.null.
function M.decode(text)
  if type(text) ~= "string" then
    errors.misuse("bad argument #1 to 'decode' (string expected, got %s)", type(text))
  end
  local value, message, offset = codec.decode(text)
  if value ~= nil then return value end
  return nil, errors.new("json_error", message, { offset = offset })
end

return M
