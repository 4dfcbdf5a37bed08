-- Programs that the benchmark starts: servers that run meanwhile, and clients that measure
-- themselves and say so in one line of name=value.
local M = {}

M.build = assert(os.getenv "PUMP_BUILD", "start me by bench/run")
M.scratch = assert(os.getenv "PUMP_SCRATCH", "start me by bench/run")

local function first_line(path)
  local file <close> = io.open(path)
  return file and file:read "l"
end

-- Runs a server until the handle is closed, or this program ends in whatever way: its standard
-- input ends then. Returns its first line and the handle.
function M.serve(name, command)
  local path = ("%s/%s.out"):format(M.scratch, name)
  local handle = assert(io.popen(
    ("{ %s >%s 2>&1 & }; pid=$!; cat >/dev/null; kill $pid"):format(command, path), "w"))
  for _ = 1, 100 do
    local line = first_line(path)
    if line then return line, handle end
    os.execute "sleep 0.05"
  end
  error(("%s did not start: %s"):format(name, command))
end

-- What a program says of itself, as a table of numbers.
function M.measure(command)
  local pipe = assert(io.popen(command))
  local said = pipe:read "a"
  local ok = pipe:close()
  local result = {}
  for name, value in said:gmatch "([%w_]+)=([%d.e+-]+)" do result[name] = tonumber(value) end
  if not ok or not result.events then error(("this failed: %s\n%s"):format(command, said), 0) end
  result.cpu_us = result.cpu / result.events * 1e6
  result.wall_us = result.wall / result.events * 1e6
  return result
end

-- The output of a command, in one line.
function M.output(command)
  local pipe <close> = assert(io.popen(command))
  return (pipe:read "a":gsub("%s+$", ""):gsub("%s+", " "))
end

return M
