-- What the shell's specs share: the shell's pure modules, and the real binary run to its end.

local assert = require "luassert"

local support = {}

local root = debug.getinfo(1, "S").source:match("^@(.*)/spec/repl/[^/]*$") or "."
package.path = root .. "/?.lua;" .. package.path

support.binary = (os.getenv("PUMP_BUILD") or root .. "/build") .. "/pumpsh"
support.root = root
support.slow = tonumber(os.getenv("PUMP_SLOW")) or 1
-- And how much longer they take under a sanitizer, for limits that are close.
support.watched = (os.getenv("LD_PRELOAD") or ""):find("asan", 1, true) and 4 or 1

function support.quote(s)
  return "'" .. s:gsub("'", "'\\''") .. "'"
end

function support.read_file(path)
  local file = assert(io.open(path, "rb"))
  local content = file:read("a")
  file:close()
  return content
end

function support.write_file(path, content)
  local file = assert(io.open(path, "wb"))
  file:write(content)
  file:close()
end

local made = {}

-- The path of a file that is not there yet, and gone after the specs.
function support.path(suffix)
  local path = os.tmpname()
  os.remove(path)
  path = path .. (suffix or "")
  made[#made + 1] = path
  return path
end

function support.clean()
  for _, path in ipairs(made) do os.execute("rm -rf " .. support.quote(path) .. "*") end
  made = {}
end

-- Runs pumpsh with a list of arguments: what came out, what was remarked, the exit status.
-- options: input (standard input), env (a list of "NAME=value"), shell (a command line in which
-- $PUMPSH is the binary, instead of the arguments; files may be called $SCRATCH.something).
function support.run(arguments, options)
  options = options or {}
  local input, out, err = support.path(), support.path(), support.path()
  support.write_file(input, options.input or "")
  local words = {}
  for i, argument in ipairs(arguments) do words[i] = support.quote(argument) end
  local command = options.shell and "sh -c " .. support.quote(options.shell)
    or support.binary .. " " .. table.concat(words, " ")
  local env = string.format("PUMPSH=%s SCRATCH=%s XDG_STATE_HOME=/dev/null/nowhere ",
    support.binary, support.path())
  for _, setting in ipairs(options.env or {}) do env = env .. support.quote(setting) .. " " end
  local _, how, status = os.execute(string.format("env %s timeout -k 1 %d %s <%s >%s 2>%s", env,
    60 * support.slow, command, input, out, err))
  local result = { out = support.read_file(out), err = support.read_file(err),
    status = how == "exit" and status or 128 + status }
  os.remove(input)
  os.remove(out)
  os.remove(err)
  return result
end

-- A server in a process of its own: its URL with a password, HOST:PORT, its process id, and stop()
-- for its end.
function support.serve(store, listen)
  local out = support.path()
  local pipe = assert(io.popen(string.format(
    "%s -q serve %s --listen %s >%s 2>&1 </dev/null & echo $!", support.binary, store or "memory:",
    listen or "127.0.0.1:0", out)))
  local pid = pipe:read("n")
  pipe:close()
  local address
  for _ = 1, 800 do
    local file = io.open(out)
    address = file and file:read("a"):match("^tcp://(%S+)\n")
    if file then file:close() end
    if address then break end
    os.execute("sleep 0.05")
  end
  os.remove(out)
  return {
    pid = pid,
    address = assert(address, "the server does not start"),
    url = "tcp://admin:changeit@" .. address,
    -- Waits for its end: the address and the store are another's from then on.
    stop = function()
      os.execute(("kill %d 2>/dev/null; for i in $(seq 1000); do kill -0 %d 2>/dev/null || break; "
        .. "sleep 0.02; done"):format(pid, pid))
    end,
  }
end

-- How many lines a text has.
function support.lines(s)
  return select(2, s:gsub("\n", ""))
end

-- The lines of JSON that a run printed.
function support.objects(result)
  local list = {}
  for line in result.out:gmatch("([^\n]*)\n") do
    list[#list + 1] = assert(require("pump").json.decode(line))
  end
  return list
end

function support.fine(result)
  assert.equal("", result.err)
  assert.equal(0, result.status)
  return result
end

-- One line on standard error, nothing on standard output, and that status.
function support.fails(status, pattern, result)
  assert.equal("", result.out)
  assert.matches(pattern, result.err)
  assert.equal(1, support.lines(result.err))
  assert.is_nil(result.err:find("stack traceback", 1, true))
  assert.equal(status, result.status)
end

return support
