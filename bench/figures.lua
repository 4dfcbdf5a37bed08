-- The figures: for each what is measured, its floor and its bar.
local process = require "process"

local M = {}

local measure = process.measure

---- What runs meanwhile ---------------------------------------------------------------------------

-- scale: how many events, in full and quick.
function M.start(quick)
  local context = { quick = quick, rounds = quick and 3 or 5, scale = quick and 0.2 or 1 }
  context.port, context.server = process.serve("server", process.build .. "/bench/server")
  return context
end

function M.stop(context)
  context.server:close()
end

---- Programs --------------------------------------------------------------------------------------

local function events(context, count)
  return math.max(math.floor(count * context.scale), 1000)
end

local function c_client(what, count, in_flight)
  return function(context)
    return measure(("%s/bench/client %s %s %d %s"):format(process.build, context.port, what,
      events(context, count), in_flight or ""))
  end
end

local function floor(what, count, in_flight)
  return function(context)
    return measure(("%s/bench/floor %s %s %d %s"):format(process.build, context.port, what,
      events(context, count), in_flight or ""))
  end
end

local function lua_client(what, count, in_flight)
  return function(context)
    return measure(("lua5.4 bench/client.lua %s %s %d %s"):format(context.port, what,
      events(context, count), in_flight or ""))
  end
end

---- Figures ---------------------------------------------------------------------------------------

local function cpu(result) return result.cpu_us end
local function p50(result) return result.p50 * 1e6 end

local function at_most(limit)
  return function(row) return row.ratio <= limit end
end

-- CPU an event, beside its floor's.
local function of_cpu(name, subject, base, limit)
  return { name = name, unit = "µs CPU", subject = subject, floor = base, value = cpu, base = cpu,
    bar = limit and ("%g × the floor"):format(limit), holds = limit and at_most(limit) }
end

local function of_trip(name, subject, base, limit)
  return { name = name, unit = "µs p50", subject = subject, floor = base, value = p50, base = p50,
    bar = ("%g × the floor"):format(limit), holds = at_most(limit) }
end

local MILLION = 1000000

M.list = {
  of_cpu("read.c", c_client("read", 2 * MILLION), floor("read", 2 * MILLION), 2.5),
  of_cpu("read.lua", lua_client("read", 2 * MILLION), floor("read", 2 * MILLION), 5),
  of_cpu("read.all.lua", lua_client("all", 2 * MILLION), floor("all", 2 * MILLION)),
  of_cpu("publish.c", c_client("publish", MILLION), floor("publish", MILLION), 3),
  of_cpu("publish.lua.text", lua_client("text", MILLION), floor("publish", MILLION)),
  of_cpu("publish.lua.table", lua_client("table", MILLION), floor("publish", MILLION)),
  of_cpu("single.lua.1", lua_client("single", 50000, 1), floor("single", 50000, 1)),
  of_cpu("single.lua.50", lua_client("single", 50000, 50), floor("single", 50000, 50)),
  of_cpu("single.lua.1000", lua_client("single", 50000, 1000), floor("single", 50000, 1000)),
  of_trip("ping.c", c_client("ping", 20000), floor("ping", 20000), 1.3),
  of_trip("ping.lua", lua_client("ping", 20000), floor("ping", 20000), 1.6),
}

return M
