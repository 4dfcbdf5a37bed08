-- What the specs of the Lua module share: a connection, names that nobody else has, and the rule
-- that no spec leaves anything behind.
local assert = require "luassert"
local core = require "pump.core"
local pump = require "pump"
local task = require "pump.task"

local M = {}

-- How much slower programs are than they usually are, under valgrind: the specs' own time limits
-- are multiplied by it.
M.slow = tonumber(os.getenv "PUMP_SLOW") or 1

-- The server that the specs run against, when it is not the embedded store.
M.server = os.getenv "PUMP_TEST_URL"
if M.server == "" then M.server = nil end

function M.connect(options)
  return assert(pump.connect(M.server or "memory:", options))
end

local unique = core.guid():sub(1, 8)
local count = 0

-- "ponies-5f0c2a11-3"
function M.stream(name)
  count = count + 1
  return ("%s-%s-%d"):format(name or "spec", unique, count)
end

-- Writes so many events: { n = from }, { n = from + 1 } …
function M.publish(conn, stream, amount, from)
  local last = (from or 1) + amount - 1
  for first = from or 1, last, 1000 do
    local events = {}
    for n = first, math.min(first + 999, last) do
      events[#events + 1] = pump.new_event("Counted", { n = n })
    end
    assert(conn:publish(stream, events))
  end
end

-- A stream of so many events.
function M.stream_of(conn, amount)
  local stream = M.stream()
  M.publish(conn, stream, amount)
  return stream
end

-- All numbers from the one to the other.
function M.range(from, to)
  local numbers = {}
  for number = from, to do numbers[#numbers + 1] = number end
  return numbers
end

-- A new folder with what spec/certificates.sh makes. The caller removes it.
function M.certificates()
  local pipe <close> = assert(io.popen "mktemp -d")
  local folder = pipe:read "l"
  assert(os.execute("sh spec/certificates.sh " .. folder))
  return folder
end

-- Waits until something is true; where half a minute is not enough even for a busy machine, it is
-- not.
function M.wait_until(condition)
  local deadline = core.hrtime() + 30 * M.slow
  while not condition() and core.hrtime() < deadline do pump.sleep(0.002) end
  assert.is_true(condition())
end

-- The seconds in which this process was to run and another one did; 0 where the system does not
-- say.
function M.waited()
  local file <close> = io.open "/proc/self/schedstat"
  local text = file and file:read "a" or ""
  return (tonumber(text:match "^%d+ (%d+)") or 0) / 1e9
end

local lost = 0 -- by the last call whose time was taken

-- How many seconds a call takes, and what it returns.
function M.elapsed(fn, ...)
  local before, waited = core.hrtime(), M.waited()
  local results = table.pack(fn(...))
  lost = M.waited() - waited
  return core.hrtime() - before, table.unpack(results, 1, results.n)
end

-- Asserts that it took less than so many seconds, but for those that the machine had no time for us
-- nor, as we take it, for whom we waited for.
function M.soon(limit, took, ...)
  assert.is_true(took < limit * M.slow + 2 * lost, ("%.3f s, %.3f lost"):format(took, lost))
  return ...
end

-- A node that listens, and its address.
function M.node(options)
  local all = { listen = "127.0.0.1:0" }
  for name, value in pairs(options or {}) do all[name] = value end
  local node = assert(pump.node(all))
  return node, node.address
end

-- Host and port.
function M.split(address)
  local host, port = address:match "^(.*):(%d+)$"
  return host, math.tointeger(port)
end

-- A member as gossip of 20.6 and later has it.
function M.member(address, state, more)
  local host, port = M.split(address)
  local one = {
    instanceId = "00000000-0000-0000-0000-000000000000", state = state, isAlive = true,
    externalTcpIp = host, externalTcpPort = port, externalSecureTcpPort = 0, epochNumber = 1,
  }
  for name, value in pairs(more or {}) do one[name] = value end
  return one
end

-- So many nodes. cluster:say { "Leader", "Follower", … } has all of them tell these states.
function M.cluster(size)
  local cluster = { nodes = {}, addresses = {}, seeds = {} }
  for i = 1, size do
    cluster.nodes[i], cluster.addresses[i] = M.node { http = "127.0.0.1:0" }
    cluster.seeds[i] = cluster.nodes[i].http_address
  end
  function cluster:say(states, more)
    local members = {}
    for i, state in ipairs(states) do
      local host, port = M.split(self.seeds[i])
      members[i] = M.member(self.addresses[i], state,
        { httpEndPointIp = host, httpEndPointPort = port })
      for name, value in pairs(more and more[i] or {}) do members[i][name] = value end
    end
    for _, node in ipairs(self.nodes) do node.faults.gossip = { members = members } end
  end
  function cluster:close()
    for _, node in ipairs(self.nodes) do node:close() end
  end
  return cluster
end

-- So many seeds that take connections and requests and never answer, as their loop does not turn;
-- and what ends them.
function M.mute_seeds(wanted)
  local name = os.tmpname()
  local pipe = assert(io.popen(("lua5.4 -e '%s'"):format(([[
    local nodes, file = {}, io.open("%s", "w")
    for i = 1, %d do
      nodes[i] = assert(require("pump").node { listen = "127.0.0.1:0", http = "127.0.0.1:0" })
      file:write(nodes[i].http_address, "\n")
    end
    file:close()
    io.read()]]):format(name, wanted)), "w"))
  local seeds, deadline = {}, core.hrtime() + 5 * M.slow
  while #seeds < wanted and core.hrtime() < deadline do
    pump.sleep(0.01)
    seeds = {}
    for line in io.lines(name) do seeds[#seeds + 1] = line end
  end
  os.remove(name)
  assert.equal(wanted, #seeds)
  return seeds, function() pipe:close() end
end

-- Runs a program in a Lua of its own. Returns what it wrote and its exit status.
function M.lua(program)
  local name = os.tmpname()
  local file = assert(io.open(name, "w"))
  assert(file:write(program))
  file:close()
  local pipe = assert(io.popen(("lua5.4 %s 2>&1; echo \"status $?\""):format(name)))
  local text = pipe:read "a"
  pipe:close()
  os.remove(name)
  local output, status = text:match "^(.*)status (%d+)\n$"
  return output, math.tointeger(status)
end

local function left_behind()
  return core.handles(), core.pending(), task.count()
end

-- To be called with busted's after_each: after each test no handle is open, no ticket unanswered
-- and no task alive. What is being closed gets a moment to.
function M.leaves_nothing(after_each)
  after_each(function()
    collectgarbage()
    collectgarbage()
    local deadline = core.hrtime() + 2 * M.slow
    while core.handles() > 0 and core.hrtime() < deadline do pump.loop:step(0.01) end
    pump.loop:step(0)
    local handles, tickets, tasks = left_behind()
    assert.are.same({ handles = 0, tickets = 0, tasks = 0 },
      { handles = handles, tickets = tickets, tasks = tasks })
  end)
end

-- Asserts nil and an error with the code; returns the error.
function M.fails(code, value, err)
  assert.is_nil(value)
  assert.equal("pump.error", (getmetatable(err) or {}).__name, tostring(err))
  assert.equal(code, err.code, tostring(err))
  assert.is_nil(tostring(err):find "\n")
  return err
end

-- Asserts that fn(...) raises a text that matches and begins with the place of the call, which is
-- here, and not in pump.
function M.misuses(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.equal("string", type(err))
  assert.matches(pattern, err)
  assert.matches("helper%.lua:%d+: ", err)
end

function M.read_file(name)
  local file <close> = assert(io.open(name))
  return file:read "a"
end

-- curl beside this process, whose loop the node lives on. Returns status, body and headers.
function M.curl(url, arguments)
  local base = os.tmpname()
  local command = "curl -s -m 10 -D %s.head -o %s.body %s '%s' </dev/null; mv %s %s.done"
  command = command:format(base, base, arguments or "", url, base, base)
  os.execute("unset LD_PRELOAD; { " .. command .. "; } &") -- curl is not to be sanitized
  local deadline, done = core.hrtime() + 15, nil
  while not done and core.hrtime() < deadline do
    pump.sleep(0.01)
    done = io.open(base .. ".done")
  end
  assert.is_not_nil(done, "curl ends")
  done:close()
  local head = M.read_file(base .. ".head")
  local there, body = pcall(M.read_file, base .. ".body")
  for _, part in ipairs { ".head", ".body", ".done" } do os.remove(base .. part) end
  local headers = {}
  for name, value in head:gmatch "\r\n([%w-]+): ([^\r]*)" do headers[name:lower()] = value end
  return math.tointeger(head:match "^HTTP/1.1 (%d+)"), there and body or "", headers
end

return M
