-- bench/scale in Lua: CPU an event from Lua as streams, their number and the tasks grow. Rows of a
-- group are measured in turn, and the dearest may cost 15 % more than the cheapest.
local process = require "process"

local quick = arg[1] == "--quick"
local MILLION = 1000000
local groups = {
  { kind = "length", title = "events in the stream", sizes = { 1000, 100000, 10 * MILLION } },
  { kind = "streams", title = "streams", sizes = { 1, 10000 } },
  { kind = "tasks", title = "tasks", sizes = { 1, 1000 } },
}
local rounds, count = quick and 3 or 5, quick and MILLION or 10 * MILLION

local function median(list)
  table.sort(list)
  return list[#list // 2 + 1]
end

-- The medians of every size.
local function costs_of(group, port)
  local costs = {}
  for round = 1, rounds do
    for at, size in ipairs(group.sizes) do
      costs[at] = costs[at] or {}
      costs[at][round] = process.measure(("lua5.4 bench/client.lua %s %s %d %d"):format(port,
        group.kind, count, size)).cpu_us
    end
  end
  for at in ipairs(group.sizes) do costs[at] = median(costs[at]) end
  return costs
end

local port, server = process.serve("server", process.build .. "/bench/server")
local all_hold = true
for _, group in ipairs(groups) do
  local costs = costs_of(group, port)
  for at, size in ipairs(group.sizes) do
    print(("%-26s %10d  %.3f µs CPU an event"):format(group.title, size, costs[at]))
  end
  local apart = math.max(table.unpack(costs)) / math.min(table.unpack(costs)) - 1
  local holds = apart <= 0.15
  all_hold = all_hold and holds
  print(("%-26s %10s  within %.0f %%, 15 allowed: %s"):format("", "", apart * 100,
    holds and "holds" or "MISSED"))
end
server:close()
os.exit(all_hold)
