-- Base64 (RFC 4648, with padding): how bytes that are no JSON stand in JSON.

local base64 = {}

local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local char, value, pair = {}, {}, {}
for i = 1, 64 do
  char[i - 1] = alphabet:sub(i, i)
  value[alphabet:byte(i)] = i - 1
end
for i = 0, 4095 do pair[i] = char[i >> 6] .. char[i & 63] end

-- Block by block: Lua keeps every short string that it makes in a table, and megabytes would be
-- millions of them.
local block = 1024 -- times three bytes, as four characters

function base64.encode(bytes)
  local blocks = {}
  for start = 1, #bytes, 3 * block do
    local pieces = {}
    for at = start, math.min(start + 3 * block - 1, #bytes), 3 do
      local a, b, c = bytes:byte(at, at + 2)
      local word = a << 16 | (b or 0) << 8 | (c or 0)
      pieces[#pieces + 1] = pair[word >> 12]
      pieces[#pieces + 1] = c and pair[word & 4095] or b and char[word >> 6 & 63] .. "=" or "=="
    end
    blocks[#blocks + 1] = table.concat(pieces)
  end
  return table.concat(blocks)
end

-- The bytes, or nil where the text is not Base64.
function base64.decode(text)
  local body, padding = text:match("^([%w+/]*)(=*)$")
  if not body or #text % 4 ~= 0 or #padding > 2 then return nil end
  local blocks = {}
  for start = 1, #body, 4 * block do
    local bytes, n = {}, 0
    for at = start, math.min(start + 4 * block - 1, #body), 4 do
      local a, b, c, d = body:byte(at, at + 3)
      if not b then return nil end
      local word = value[a] << 18 | value[b] << 12 | (c and value[c] or 0) << 6
        | (d and value[d] or 0)
      bytes[n + 1], bytes[n + 2], bytes[n + 3] = word >> 16, word >> 8 & 255, word & 255
      n = n + (d and 3 or c and 2 or 1)
    end
    blocks[#blocks + 1] = string.char(table.unpack(bytes, 1, n))
  end
  return table.concat(blocks)
end

return base64
