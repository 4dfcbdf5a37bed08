-- Colours: few, from the terminal's own sixteen.

local paint = {}

local codes = {
  key = "34", string = "32", number = "36", word = "35", dim = "2", title = "1", error = "31",
}

local function start(kind)
  return string.format("\27[%sm", codes[kind])
end

-- What begins a key, a string, a number and a word of JSON (see repl/layout.c).
paint.json = { start "key", start "string", start "number", start "word" }

local function plain(s)
  return s
end

-- paint(s, kind) for somebody who wants colours, or who does not.
function paint.painter(wanted)
  if not wanted then return plain end
  return function(s, kind)
    return codes[kind] and start(kind) .. s .. "\27[0m" or s
  end
end

return paint
