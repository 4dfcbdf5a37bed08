-- The lines typed before: $XDG_STATE_HOME/pumpsh/history, which only its owner can read. An entry
-- of several lines has a backslash before each line end but the last.

local system = require "repl.system"

local history = {}

local kept = 1000

local function folder()
  local home = os.getenv("HOME")
  local state = os.getenv("XDG_STATE_HOME")
  if state and state:sub(1, 1) == "/" then return state .. "/pumpsh" end
  return home and home .. "/.local/state/pumpsh"
end

local function make_folders(path)
  for at in path:gmatch("/()") do
    if at > 2 then system.mkdir(path:sub(1, at - 2)) end
  end
  return system.mkdir(path)
end

-- Whether a line holds something that must not lie in a file.
function history.is_secret(line)
  local small = line:lower()
  return line:find("://[^@]*:[^@]*@") ~= nil or small:find("passw", 1, true) ~= nil
    or small:find("[?&]pass") ~= nil
end

function history.decode(stored)
  local entries, entry = {}, nil
  for line in stored:gmatch("([^\n]*)\n") do
    local first = line:match("^(.*)\\$")
    entry = (entry and entry .. "\n" or "") .. (first or line)
    if not first then
      entries[#entries + 1] = entry
      entry = nil
    end
  end
  return entries
end

function history.encode(entry)
  return (entry:gsub("\n", "\\\n")) .. "\n"
end

-- The entries of the file, oldest first; a file that grew long is cut to its end.
function history.load()
  local path = folder()
  local file = path and io.open(path .. "/history", "r")
  if not file then return {} end
  local entries = history.decode(file:read("a") or "") -- a folder has nothing to read
  file:close()
  if #entries <= 2 * kept then return entries end
  entries = table.move(entries, #entries - kept + 1, #entries, 1, {})
  local lines = {}
  for i, entry in ipairs(entries) do lines[i] = history.encode(entry) end
  if os.remove(path .. "/history") then
    system.append_private(path .. "/history", table.concat(lines))
  end
  return entries
end

-- Adds an entry, unless it is a secret. That it cannot be kept is no reason to stop.
function history.add(entry)
  local path = folder()
  if not path or history.is_secret(entry) or entry:find("\\$") then return end
  if make_folders(path) then system.append_private(path .. "/history", history.encode(entry)) end
end

return history
