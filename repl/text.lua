-- Text for a terminal: harmless, measured, cut to fit.

local distance = require "pump.distance"

local text = {}

-- The columns that a string takes. The shell puts the terminal's own measure here (wide and
-- combining characters); without it every character counts as one.
function text.width(s)
  return utf8.len(s) or #s
end

local named = { ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r" }

local function escape_byte(byte)
  return named[byte] or string.format("\\x%02x", byte:byte())
end

-- Characters that steer a terminal or turn the reading direction, beyond the bytes below 32.
local function steers(code)
  return (code >= 0x7f and code <= 0x9f) or (code >= 0x202a and code <= 0x202e)
    or (code >= 0x2066 and code <= 0x2069) or code == 0x2028 or code == 0x2029
end

local function escape_rest(s)
  local pieces, at = {}, 1
  while at <= #s do
    local good, bad = utf8.len(s, at)
    local stop = good and #s or bad - 1
    for _, code in utf8.codes(s:sub(at, stop)) do
      pieces[#pieces + 1] = steers(code) and string.format("\\u{%x}", code) or utf8.char(code)
    end
    if good then break end
    pieces[#pieces + 1] = escape_byte(s:sub(bad, bad))
    at = bad + 1
  end
  return table.concat(pieces)
end

-- The string with everything in it that could act on a terminal written out. With lines, line
-- ends and tabs stay.
function text.safe(s, lines)
  s = s:gsub(lines and "[%z\1-\8\11-\31]" or "[%z\1-\31]", escape_byte)
  if s:find("[\x7f-\xff]") then s = escape_rest(s) end
  return s
end

-- Text to be read, as opposed to bytes: valid UTF-8 without control characters but line ends.
function text.is_text(s)
  return not s:find("[%z\1-\8\11\12\14-\31\x7f]") and utf8.len(s) ~= nil
end

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
  local digits = tostring(n):reverse():gsub("(%d%d%d)(%d)", "%1,%2")
  while digits:find("%d%d%d%d") do digits = digits:gsub("(%d%d%d)(%d)", "%1,%2") end
  return (digits:reverse())
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
