-- What library/pump.lua says of parameters and of options: names and types, to make arguments that
-- are not wrong at first sight.
local helper = require "helper"

local folder = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*/[^/]*$" or "."

local M = {
  parameters = {}, -- "Connection.publish" -> { { name =, type = }, … }
  fields = {},     -- "pump.CallOptions" -> { timeout = type, … }
  aliases = {},    -- "pump.Expected" -> type
}

-- A type ends where the words about it begin; braces, brackets and quotes may hold blanks.
local function type_of(text)
  local depth, at = 0, 1
  while at <= #text do
    local c = text:sub(at, at)
    if c:find "[{(%[<]" then depth = depth + 1 end
    if c:find "[})%]>]" then depth = depth - 1 end
    if c == " " and depth == 0 and not text:sub(1, at - 1):find "[:,|]$" then break end
    at = at + 1
  end
  return (text:sub(1, at - 1):gsub("%?$", ""))
end

local fields
local parameters = {}

for line in helper.read_file(folder .. "/../library/pump.lua"):gmatch "[^\n]+" do
  local class, parents = line:match "^%-%-%-@class ([%w_.]+):?%s*(.*)"
  local field, field_type = line:match "^%-%-%-@field ([%w_]+)%?? (.+)"
  local parameter, parameter_type = line:match "^%-%-%-@param ([%w_.]+)%?? (.+)"
  local alias, alias_type = line:match "^%-%-%-@alias ([%w_.]+) (.+)"
  local owner, name, names = line:match "^function ([%w_]+)[.:]([%w_]+)%((.*)%)"
  if class then
    fields = {}
    for parent in parents:gmatch "pump[%w_.]+" do
      for inherited, kind in pairs(M.fields[parent] or {}) do fields[inherited] = kind end
    end
    M.fields[class] = fields
  elseif field then
    fields[field] = type_of(field_type)
  elseif parameter then
    parameters[parameter] = type_of(parameter_type)
  elseif alias then
    M.aliases[alias] = type_of(alias_type)
  elseif owner then
    local list = {}
    for one in names:gmatch "[%w_.]+" do
      list[#list + 1] = { name = one, type = parameters[one] or "any" }
    end
    M.parameters[owner .. "." .. name] = list
    parameters = {}
  end
end

return M
