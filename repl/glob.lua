-- Patterns of the shell's kind (* ? [abc] [!abc]) as Lua's.

local glob = {}

function glob.pattern(wanted)
  local pieces, at = { "^" }, 1
  while at <= #wanted do
    local char = wanted:sub(at, at)
    local negated, set, stop = wanted:match("^%[(!?)(%]?[^%]]*)%]()", at)
    if char == "*" then
      pieces[#pieces + 1] = ".*"
    elseif char == "?" then
      pieces[#pieces + 1] = utf8.charpattern
    elseif set and set ~= "" then
      set = set:gsub("[%%%]%^]", "%%%0")
      pieces[#pieces + 1] = "[" .. (negated == "!" and "^" or "") .. set .. "]"
      at = stop - 1
    else
      pieces[#pieces + 1] = char:gsub("%p", "%%%0")
    end
    at = at + 1
  end
  pieces[#pieces + 1] = "$"
  return table.concat(pieces)
end

return glob
