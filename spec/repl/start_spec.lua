-- How long pumpsh takes to start: 20 ms, of the processor and, where that is free, of the clock.
local support =
  dofile((debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or ".") .. "/support.lua")

local most = 0.020 * support.slow * support.watched
local tries = 20

-- The least seconds that some starts took, of the processor and of the clock.
local function least(arguments)
  local pipe = assert(io.popen(string.format(
    [[exec 2>&1; bash -c 'TIMEFORMAT="%%3U %%3S %%3R"; for i in $(seq %d); do
      time "$0" "$@" >/dev/null; done' %s -X -q %s]], tries, support.binary, arguments)))
  local processor, clock = math.huge, math.huge
  for line in pipe:lines() do
    local user, system, real = line:match("^([%d.]+) ([%d.]+) ([%d.]+)$")
    assert.truthy(user, line)
    processor, clock = math.min(processor, user + system), math.min(clock, tonumber(real))
  end
  pipe:close()
  return processor, clock
end

-- How many want the processor, and how many can have it.
local function load()
  local file = assert(io.open("/proc/loadavg"))
  local running = file:read("a"):match("(%d+)/")
  file:close()
  local pipe = assert(io.popen("nproc"))
  local processors = pipe:read("n")
  pipe:close()
  return tonumber(running), processors
end

describe("pumpsh starts within 20 ms", function()
  for name, arguments in pairs {
    ["to say its version"] = "--version",
    ["to run a chunk"] = "-e ''",
    ["to publish an event"] = "publish s T 1",
  } do
    it(name, function()
      local before = load()
      local processor, clock = least(arguments)
      assert.is_true(processor < most, processor .. " seconds of the processor")
      local after, processors = load()
      if math.max(before, after) <= processors then
        assert.is_true(clock < most, clock .. " seconds")
      end
    end)
  end
end)
