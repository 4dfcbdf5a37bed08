-- Colours: few, from the terminal's own sixteen.

local codes = {
  key = "34", string = "32", number = "36", word = "35", dim = "2", title = "1", error = "31",
}

local function plain(s)
  return s
end

-- paint(s, kind) for somebody who wants colours, or who does not.
return function(wanted)
  if not wanted then return plain end
  return function(s, kind)
    local code = codes[kind]
    return code and string.format("\27[%sm%s\27[0m", code, s) or s
  end
end
