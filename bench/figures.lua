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
  if context.served then context.served:close() end
  if context.far then context.far:close() end
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
local function wall(result) return result.wall_us end
local function p50(result) return result.p50 * 1e6 end
local function p99(result) return result.p99 * 1e6 end

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

---- JSON: what decoding adds to reading, beside lua-cjson decoding the same text ------------------

local read_lua, json_lua = lua_client("read", 500000), lua_client("json", 500000)

local function json_bench(codec, what)
  return function(context)
    return measure(("lua5.4 bench/json.lua %s %s %d"):format(codec, what,
      events(context, 1000000)))
  end
end

local function of_json(what)
  return of_cpu("json." .. what, json_bench("pump", what), json_bench("cjson", what))
end

local read_json = of_cpu("read.lua.json", function(context)
  local without, result = read_lua(context), json_lua(context)
  result.cpu_us = result.cpu_us - without.cpu_us
  return result
end, json_bench("cjson", "decode"), 1)

---- Memory and starting ---------------------------------------------------------------------------

local function memory(context)
  local result = measure(("lua5.4 bench/client.lua %s memory %d"):format(context.port,
    context.quick and 4000000 or 10000000))
  result.growth = result.last / result.second
  return result
end

local function mib(result) return result.rss / 1024 end

local function start(command)
  return function(context)
    return measure(("%s/bench/start %d %s"):format(process.build, context.quick and 7 or 15,
      command))
  end
end

local bare_lua = start "lua5.4 -e ''"

local function of_start(name, command, floor_command, limit)
  return { name = name, unit = "ms", subject = start(command), floor = start(floor_command),
    value = function(result) return result.wall * 1e3 end,
    base = function(result) return result.wall * 1e3 end,
    bar = ("under %d ms"):format(limit), holds = function(row) return row.value < limit end }
end

---- The embedded node -----------------------------------------------------------------------------

-- In a file of its own each time, on the disk that the build is on.
local stores = 0
local function store()
  stores = stores + 1
  local path = ("%s/bench/store-%d.db"):format(process.build, stores)
  os.execute(("rm -f %s %s-wal %s-shm"):format(path, path, path))
  return path
end

local function drop(path)
  os.execute(("rm -f %s %s-wal %s-shm"):format(path, path, path))
end

local function node(what, count, in_flight)
  return function(context)
    local path = store()
    local n = events(context, count)
    if what == "read" then
      measure(("lua5.4 bench/client.lua file:%s fill %d"):format(path, n))
    end
    local result = measure(("lua5.4 bench/client.lua file:%s %s %d %s"):format(path, what, n,
      in_flight or ""))
    drop(path)
    return result
  end
end

local function sqlite(what, count, a_transaction)
  return function(context)
    local path = store()
    local n = events(context, count)
    local command = ("%s/bench/sqlite %s"):format(process.build, path)
    local result = measure(("%s insert %d %d"):format(command, n, a_transaction))
    if what == "read" then result = measure(("%s read %d"):format(command, n)) end
    drop(path)
    return result
  end
end

local function rate(result) return result.events / result.wall / 1e3 end

local function of_rate(name, subject, base, limit)
  return { name = name, unit = "k/s", subject = subject, floor = base, value = rate, base = rate,
    bar = limit and ("%g × the floor"):format(limit),
    holds = limit and function(row) return row.ratio >= limit end }
end

---- Peers -----------------------------------------------------------------------------------------

-- One server for both sides, filled once with what is read: a pumpsh serve, and a node whose
-- answers take so many seconds.
local SERVED, FAR = 500000, 100000
local DISTANCE = 0.01

local function fill(context, url, count)
  measure(("lua5.4 bench/client.lua %s fill %d"):format(url, events(context, count)))
  return url
end

local function served(context)
  if context.url then return context.url end
  context.url, context.served = process.serve("served",
    process.build .. "/pumpsh -q serve memory: --listen 127.0.0.1:0")
  return fill(context, context.url, SERVED)
end

local function far(context)
  if context.far_url then return context.far_url end
  context.far_url, context.far = process.serve("far", ("lua5.4 bench/far.lua %g"):format(DISTANCE))
  return fill(context, context.far_url, FAR)
end

local function on(server, command, what, count)
  return function(context)
    return measure(("%s %s %s %d"):format(command, server(context), what, events(context, count)))
  end
end

local function on_served(command, what, count)
  return on(served, command, what, count)
end

local function install_peers()
  return os.execute(("mkdir -p %s/peers && cp bench/peers/package.json %s/peers/ && cd %s/peers "
    .. "&& { [ -d node_modules/node-eventstore-client ] || "
    .. "npm install --ignore-scripts --no-audit --no-fund --loglevel=error; } >/dev/null 2>&1")
    :format(process.build, process.build, process.build))
end

local function peer(server, what, count)
  local run = on(server, "node bench/peers/client.js", what, count)
  return function(context)
    context.peers = context.peers or install_peers() and "there" or "missing"
    if context.peers ~= "there" then error("node-eventstore-client could not be installed", 0) end
    return run(context)
  end
end

local function of_peer(name, what, limit)
  local row = of_cpu(name, on_served("lua5.4 bench/client.lua", what, SERVED),
    peer(served, what, SERVED), limit)
  row.bar = ("%g × the peer's"):format(limit)
  return row
end

-- The time that passes, where it is the way to the server that takes it.
local function of_far_peer(name, what, peers)
  return { name = name, unit = "µs passed", value = wall, base = wall,
    subject = on(far, "lua5.4 bench/client.lua", what, FAR), floor = peer(far, peers, FAR),
    bar = "1 × the peer's", holds = at_most(1) }
end

---- Subscriptions: beside reading, and beside a ping, of the same node ----------------------------

local function of_served(name, what, base, limit, beside)
  local row = of_cpu(name, on_served("lua5.4 bench/client.lua", what, SERVED),
    on_served("lua5.4 bench/client.lua", base, SERVED), limit)
  row.bar = limit and ("%.2f × %s"):format(limit, beside)
  return row
end

local function of_latency(name, unit, value, limit)
  return { name = name, unit = unit, value = value, base = value,
    subject = on_served("lua5.4 bench/client.lua", "latency", 10000),
    floor = on_served("lua5.4 bench/client.lua", "ping", 10000),
    bar = limit and ("%g × a ping"):format(limit), holds = limit and at_most(limit) }
end

-- So many on one connection.
local function of_subscriptions(count)
  return { name = ("memory.subscription.%d"):format(count), unit = "KiB each",
    subject = function(context)
      return measure(("lua5.4 bench/client.lua %s subscriptions %d"):format(served(context), count))
    end,
    value = function(result) return result.each end }
end

---- All of them -----------------------------------------------------------------------------------

local MILLION = 1000000

M.list = {
  of_cpu("read.c", c_client("read", 2 * MILLION), floor("read", 2 * MILLION), 2.5),
  of_cpu("read.lua", lua_client("read", 2 * MILLION), floor("read", 2 * MILLION), 5),
  of_peer("read.lua.peer", "read", 1 / 20),
  of_far_peer("read.lua.far", "read", "read"),
  read_json,
  of_cpu("read.all.lua", lua_client("all", 2 * MILLION), floor("all", 2 * MILLION)),
  of_cpu("publish.c", c_client("publish", MILLION), floor("publish", MILLION), 3),
  of_cpu("publish.lua.text", lua_client("text", MILLION), floor("publish", MILLION)),
  of_cpu("publish.lua.table", lua_client("table", MILLION), floor("publish", MILLION)),
  of_peer("publish.lua.table.peer", "table", 1 / 4),
  of_far_peer("publish.lua.table.far", "own-batches", "table"),
  of_cpu("single.lua.1", lua_client("single", 50000, 1), floor("single", 50000, 1)),
  of_cpu("single.lua.50", lua_client("single", 50000, 50), floor("single", 50000, 50)),
  of_cpu("single.lua.1000", lua_client("single", 50000, 1000), floor("single", 50000, 1000)),
  of_trip("ping.c", c_client("ping", 20000), floor("ping", 20000), 1.3),
  of_trip("ping.lua", lua_client("ping", 20000), floor("ping", 20000), 1.6),
  { name = "memory.read", unit = "MiB", subject = memory, floor = bare_lua, rounds = 1,
    value = function(result) return result.peak / 1024 end, base = mib,
    bar = "under 10, flat to 5 %",
    holds = function(row, result) return row.value < 10 and result.growth <= 1.05 end },
  { name = "memory.idle", unit = "MiB", subject = lua_client("idle", 1), floor = bare_lua,
    value = mib, base = mib },
  of_start("start.pumpsh", process.build .. "/pumpsh -e ''", "true", 20),
  of_start("start.require", [[lua5.4 -e 'require "pump"']], "lua5.4 -e ''", 5),
  of_json("decode"),
  of_json("encode"),
  of_served("catchup.lua", "catchup", "read", 1 / 0.9, "iter"),
  of_served("persistent.lua", "persistent", "read"),
  of_latency("live.latency", "µs p50", p50, 2),
  of_latency("live.latency.p99", "µs p99", p99),
  of_subscriptions(1),
  of_subscriptions(1000),
  of_subscriptions(10000),
  of_rate("node.publish", node("table", 200000), sqlite("insert", 200000, 500), 0.5),
  of_rate("node.single.100", node("single", 20000, 100), sqlite("insert", 20000, 100)),
  of_rate("node.read", node("read", 200000), sqlite("read", 200000, 500)),
}

return M
