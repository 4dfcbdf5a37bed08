-- Text for a terminal: harmless, measured, cut to fit.

local distance = require "pump.distance"
local glyphs = require "repl.glyphs"

local text = {}

-- width(s): the columns that a string takes.
text.width = glyphs.width

-- safe(s, lines): the string with everything in it that could act on a terminal written out. With
-- lines, line ends and tabs stay.
text.safe = glyphs.safe

local slice = 65536

-- The pieces of a text that may be long: who works on it can be stopped in between.
function text.slices(s)
  local at = 1 - slice
  return function()
    at = at + slice
    return at <= #s and s:sub(at, at + slice - 1) or nil
  end
end

-- is_text(s): text to be read, as opposed to bytes: valid UTF-8 without control characters but line
-- ends.
text.is_text = glyphs.is_text

-- At most columns wide, the cut shown by an ellipsis.
function text.clip(s, columns)
  if #s <= columns or text.width(s) <= columns then return s end
  local used, stop = 0, 0
  for at, code in utf8.codes(s) do
    local char = utf8.char(code)
    used = used + text.width(char)
    if used > columns - 1 then break end
    stop = at + #char - 1
  end
  return s:sub(1, stop) .. "…"
end

-- Filled up with blanks to columns.
function text.pad(s, columns, right)
  local blanks = string.rep(" ", columns - text.width(s))
  return right and blanks .. s or s .. blanks
end

-- Bytes for people: how many, and the first of them.
function text.hex(s, most)
  most = most or 16
  if #s == 0 then return "0 bytes" end
  local shown = s:sub(1, most):gsub(".", function(byte)
    return string.format(" %02x", byte:byte())
  end)
  local unit = #s == 1 and "byte" or "bytes"
  return string.format("%s %s:%s%s", text.count(#s), unit, shown, #s > most and " …" or "")
end

-- 1234567 as 1,234,567.
function text.count(n)
  local grouped = tostring(n):reverse():gsub("%d%d%d", "%0,"):reverse()
  return (grouped:gsub("^,", ""))
end

-- Seconds as people say them.
function text.duration(seconds)
  if seconds < 1 then return string.format("%.3f ms", seconds * 1000) end
  if seconds < 60 then return string.format("%.2f s", seconds) end
  return string.format("%d:%02d min", seconds // 60, math.floor(seconds % 60))
end

-- What somebody may have meant who wrote word: the nearest of names, or nil.
function text.near(word, names)
  local best, least = nil, #word > 3 and 3 or 2
  for _, name in ipairs(names) do
    local far = distance(word, name)
    if #word >= 2 and name:sub(1, #word) == word then far = 0 end
    if far < least and far < #name then best, least = name, far end
  end
  return best
end

return text
