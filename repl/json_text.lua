-- JSON as text: looked into and laid out without being decoded, so that numbers, the order of
-- keys and doubled keys stay as they were written. All of it wants text that is known to be JSON
-- (is_json took it). line gives it without line ends.

local layout = require "repl.layout"
local text = require "repl.text"

local json_text = { is_json = layout.is_json, line = layout.line }

-- The position behind the string that starts at `at`; nil where the text is cut before.
local function string_end(s, at)
  local stop = s:match('^"[^"\\]*"()', at)
  if stop then return stop end
  at = at + 1
  while true do
    at = s:find('["\\]', at)
    if not at then return nil end
    if s:sub(at, at) == '"' then return at + 1 end
    at = at + 2
  end
end

-- The position behind the value that starts at `at`; nil where the text is cut before.
local function value_end(s, at)
  local first = s:sub(at, at)
  if first == '"' then return string_end(s, at) end
  if first ~= "{" and first ~= "[" then return s:find("[%s,%]}]", at) or #s + 1 end
  local depth = 0
  while true do
    at = s:find('["%[%]{}]', at)
    if not at then return nil end
    local char = s:sub(at, at)
    if char == '"' then
      at = string_end(s, at)
      if not at then return nil end
    else
      depth = depth + ((char == "{" or char == "[") and 1 or -1)
      at = at + 1
      if depth == 0 then return at end
    end
  end
end

-- The members of an object as they are written: { ['"key"'] = "text of the value" }, the last of
-- doubled keys. nil when the text is no object.
function json_text.members(s)
  local at = s:match("^%s*{()")
  if not at then return nil end
  local members = {}
  while true do
    local key, value = s:match('^[%s,]*("[^"\\]*")%s*:%s*()', at)
    if not key then -- one with a backslash in it, or the end
      at = s:match("^[%s,]*()", at)
      if s:sub(at, at) ~= '"' then return members end
      local key_end = string_end(s, at)
      key, value = s:sub(at, key_end - 1), s:match("^%s*:%s*()", key_end)
    end
    at = value_end(s, value)
    members[key] = s:sub(value, at - 1)
  end
end

-- On one line, without a blank that is not in a string.
function json_text.compact(s)
  local pieces, at = {}, 1
  while at <= #s do
    local stop
    if s:sub(at, at) == '"' then
      stop = string_end(s, at)
      pieces[#pieces + 1] = s:sub(at, stop - 1)
    else
      stop = s:find('"', at, true) or #s + 1
      pieces[#pieces + 1] = (s:sub(at, stop - 1):gsub("%s+", ""))
    end
    at = stop
  end
  return table.concat(pieces)
end

-- Characters that act on a terminal, as JSON writes them: the text still means the same.
function json_text.safe(s)
  local shown = text.safe(s, true)
  if shown == s then return s end
  return (shown:gsub("\\u{(%x+)}", function(code)
    return string.format("\\u%04x", tonumber(code, 16))
  end))
end

-- Writes it to an output: indented by two blanks a level, or on one line where that is no wider
-- than `width`; harmless and in colours where people look. margin blanks stand before all lines but
-- the first.
function json_text.write(out, s, width, margin)
  for piece in layout.json(s, width, margin or 0, out:is_terminal(), out:colours()) do
    out:write(piece)
  end
end

return json_text
