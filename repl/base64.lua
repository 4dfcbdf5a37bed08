-- Base64 (RFC 4648, with padding): how bytes that are no JSON stand in JSON.

local base64 = {}

local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local char, value = {}, {}
for i = 1, 64 do
  char[i - 1] = alphabet:sub(i, i)
  value[alphabet:byte(i)] = i - 1
end

function base64.encode(bytes)
  local pieces = {}
  for at = 1, #bytes, 3 do
    local a, b, c = bytes:byte(at, at + 2)
    local word = a << 16 | (b or 0) << 8 | (c or 0)
    pieces[#pieces + 1] = char[word >> 18] .. char[word >> 12 & 63]
      .. (b and char[word >> 6 & 63] or "=") .. (c and char[word & 63] or "=")
  end
  return table.concat(pieces)
end

-- The bytes, or nil where the text is not Base64.
function base64.decode(text)
  local body, padding = text:match("^([%w+/]*)(=*)$")
  if not body or #text % 4 ~= 0 or #padding > 2 then return nil end
  local pieces = {}
  for at = 1, #body, 4 do
    local a, b, c, d = body:byte(at, at + 3)
    if not b then return nil end
    local word = value[a] << 18 | value[b] << 12 | (c and value[c] or 0) << 6
      | (d and value[d] or 0)
    local bytes = string.char(word >> 16, word >> 8 & 255, word & 255)
    pieces[#pieces + 1] = d and bytes or bytes:sub(1, c and 2 or 1)
  end
  return table.concat(pieces)
end

return base64
