-- Lua values for people: keys sorted, cycles and depth and length bounded, nothing that acts on a
-- terminal.

local text = require "repl.text"

local pretty = {}

local most_items, most_depth, most_string = 100, 6, 2000

local function quoted(s)
  if not text.is_text(s) then return "<" .. text.hex(s) .. ">", "dim" end
  local more = ""
  if #s > most_string then
    more = string.format(" … (%s bytes)", text.count(#s))
    s = text.clip(s, most_string)
  end
  return '"' .. text.safe(s:gsub('[\\"]', "\\%0")) .. '"' .. more, "string"
end

local order = { boolean = 1, number = 2, string = 3 }

local function before(a, b)
  local ta, tb = type(a), type(b)
  if ta ~= tb then return (order[ta] or 4) < (order[tb] or 4) end
  if ta == "number" or ta == "string" then return a < b end
  return tostring(a) < tostring(b)
end

local reserved = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
    return then true until while]]):gmatch("%a+") do
  reserved[word] = true
end

local function has_text(value)
  local meta = getmetatable(value)
  return type(meta) == "table" and meta.__tostring ~= nil
end

-- A piece is the painted text, its width, and whether it is one line.
local function leaf(value, paint)
  local s, kind
  local of = type(value)
  if of == "string" then
    s, kind = quoted(value)
  elseif of == "number" then
    s, kind = tostring(value), "number"
  elseif of == "nil" or of == "boolean" then
    s, kind = tostring(value), "word"
  elseif of == "userdata" and tostring(value) == "userdata: (nil)" then
    s, kind = "null", "word"
  else
    s, kind = text.safe(tostring(value), true), has_text(value) and nil or "dim"
  end
  return { text = paint(s, kind), width = text.width(s), flat = not s:find("\n") }
end

local function key_text(key)
  if type(key) == "string" and key:find("^[%a_][%w_]*$") and not reserved[key] then return key end
  return "[" .. (type(key) == "string" and (quoted(key)) or text.safe(tostring(key))) .. "]"
end

local function sorted_keys(value, length)
  local keys = {}
  for key in next, value do
    if math.type(key) ~= "integer" or key < 1 or key > length then keys[#keys + 1] = key end
  end
  table.sort(keys, before)
  return keys
end

local build

local function items_of(value, state, margin, depth)
  local items, length = {}, rawlen(value)
  local function add(key, item)
    local piece = build(item, state, margin + 2, depth + 1)
    local name = key and key_text(key) .. " = " or ""
    items[#items + 1] = {
      text = (key and state.paint(name:sub(1, -4), "key") .. " = " or "") .. piece.text,
      width = text.width(name) + piece.width, flat = piece.flat,
    }
  end
  local keys = sorted_keys(value, length)
  for i = 1, math.min(length, most_items) do add(nil, rawget(value, i)) end
  for i = 1, math.min(#keys, most_items - #items) do add(keys[i], rawget(value, keys[i])) end
  local left = length + #keys - #items
  if left > 0 then
    local s = string.format("… %s more", text.count(left))
    items[#items + 1] = { text = state.paint(s, "dim"), width = text.width(s), flat = true }
  end
  return items
end

local function join(items, state, margin)
  if #items == 0 then return { text = "{}", width = 2, flat = true } end
  local width, flat, parts = 2, true, {}
  for i, item in ipairs(items) do
    width, flat, parts[i] = width + item.width + 2, flat and item.flat, item.text
  end
  if flat and margin + width <= state.width then
    return { text = "{ " .. table.concat(parts, ", ") .. " }", width = width, flat = true }
  end
  local indent = "\n" .. string.rep(" ", margin + 2)
  return {
    text = "{" .. indent .. table.concat(parts, "," .. indent) .. "\n" .. string.rep(" ", margin)
      .. "}",
    width = width, flat = false,
  }
end

function build(value, state, margin, depth)
  if type(value) ~= "table" or has_text(value) then return leaf(value, state.paint) end
  if state.open[value] then return { text = "<cycle>", width = 7, flat = true } end
  if depth > most_depth then return { text = "{…}", width = 3, flat = true } end
  state.open[value] = true
  local piece = join(items_of(value, state, margin, depth), state, margin)
  state.open[value] = nil
  return piece
end

-- The value as text of one or more lines that fit `width` where they can.
function pretty.value(value, width, paint)
  local state = { width = width or 80, paint = paint or function(s) return s end, open = {} }
  return build(value, state, 0, 1).text
end

return pretty
