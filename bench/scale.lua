-- bench/scale in Lua: CPU an event from Lua as streams, their number and the tasks grow. Rows of a
-- group are measured in turn, and the dearest may cost 15 % more than the cheapest.
--
-- Tasks are compared with as many pages on their way, for more of those cost more to anybody: how
-- much more is in the last group, with its floor and without a bar.
local process = require "process"

local quick = arg[1] == "--quick"
local MILLION = 1000000
local groups = {
  { kind = "length", title = "events in the stream", sizes = { 1000, 100000, 10 * MILLION } },
  { kind = "streams", title = "streams", sizes = { 1, 10000 } },
  { kind = "tasks", title = "tasks, two pages at once", sizes = { 1, 1000 }, requests = 2 },
  { kind = "tasks", title = "tasks, a page each", sizes = { 1, 1000 }, floor = "read" },
}
local rounds, count = quick and 3 or 5, quick and MILLION or 10 * MILLION

local function median(list)
  table.sort(list)
  return list[#list // 2 + 1]
end

local function measure(group, port, size)
  return process.measure(("lua5.4 bench/client.lua %s %s %d %d %s"):format(port, group.kind, count,
    size, group.requests or "")).cpu_us
end

local function measure_floor(group, port, size)
  if not group.floor then return nil end
  return process.measure(("%s/bench/floor %s %s %d %d"):format(process.build, port, group.floor,
    count, size)).cpu_us
end

-- The medians of every size, and of its floor where there is one.
local function costs_of(group, port)
  local costs, floors = {}, {}
  for round = 1, rounds do
    for at, size in ipairs(group.sizes) do
      costs[at], floors[at] = costs[at] or {}, floors[at] or {}
      costs[at][round] = measure(group, port, size)
      floors[at][round] = measure_floor(group, port, size)
    end
  end
  for at in ipairs(group.sizes) do
    costs[at], floors[at] = median(costs[at]), median(floors[at])
  end
  return costs, floors
end

local port, server = process.serve("server", process.build .. "/bench/server")
local all_hold = true
for _, group in ipairs(groups) do
  local costs, floors = costs_of(group, port)
  for at, size in ipairs(group.sizes) do
    print(("%-26s %10d  %.3f µs CPU an event%s"):format(group.title, size, costs[at],
      floors[at] and (", floor %.3f"):format(floors[at]) or ""))
  end
  local apart = math.max(table.unpack(costs)) / math.min(table.unpack(costs)) - 1
  local verdict = group.floor and ""
    or apart <= 0.15 and ", 15 allowed: holds" or ", 15 allowed: MISSED"
  all_hold = all_hold and not verdict:find "MISSED"
  print(("%-26s %10s  within %.0f %%%s"):format("", "", apart * 100, verdict))
end
server:close()
os.exit(all_hold)
