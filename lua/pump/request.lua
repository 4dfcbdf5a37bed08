-- One request of a connection: sent, waited for, and its failure made an error.
local core = require "pump.core"
local errors = require "pump.error"
local options = require "pump.options"
local scheduler = require "pump.scheduler"

local M = {}

-- The metatable of connections.
M.connection_class = { __name = "pump.connection" }

-- Raises for what is no connection.
function M.check_self(conn, where)
  if getmetatable(conn) ~= M.connection_class then errors.bad_self(where, "a connection", conn) end
end

-- What the methods that are about a stream begin with.
function M.check_stream(conn, stream, where)
  M.check_self(conn, where)
  options.string_argument(stream, 1, where)
  if stream == "" then errors.misuse("bad argument #1 to '%s' (a stream needs a name)", where) end
end

local expected_versions = {
  any = core.ANY, no_stream = core.NO_STREAM, stream_exists = core.STREAM_EXISTS,
}

-- -1 for "no_stream", -2 for "any" …: what users read in errors is what they wrote.
local expected_names = {}
for name, number in pairs(expected_versions) do expected_names[number] = name end

-- The option expected_version as the C part takes it.
function M.expected_version(given)
  if given == nil then return core.ANY end
  return expected_versions[given] or math.tointeger(given)
end

-- The failure that core.take gave, as an error. about: the stream and what else was asked for.
function M.failure(about, code, message, retryable, current, leader)
  local err = errors.new(code, message, about)
  err.retryable = retryable or false
  err.leader = leader
  if code == "wrong_expected_version" then
    err.current = current
    err.expected = expected_names[about.expected] or about.expected
  end
  return err
end

local function finish(about, ok, ...)
  if ok then return ... end
  return nil, M.failure(about, ...)
end

-- The answer for M.send's box.
function M.receive(about, box)
  return finish(about, scheduler.value(box))
end

-- The client of a connection that can be used. Misuse raises.
function M.client(conn)
  if conn.closed then
    errors.raise_at_user("closed", "the connection was closed")
  elseif not conn.core then
    errors.misuse("not connected yet: call client:connect() first")
  end
  return conn.core
end

-- Sends a request and waits: client:method(…), with `about` for its error.
function M.call(conn, about, method, ...)
  local client = M.client(conn)
  scheduler.check_cancelled()
  local ticket, code, message = client[method](client, ...)
  if not ticket then return nil, M.failure(about, code, message) end
  return finish(about, scheduler.await(ticket))
end

-- Sends a request, to be waited for with M.receive. Its failure comes there.
function M.send(conn, method, ...)
  local client = conn.core
  if conn.closed then return { done = table.pack(false, "closed") } end
  local ticket, code, message = client[method](client, ...)
  if not ticket then return { done = table.pack(false, code, message) } end
  return scheduler.later(ticket), code
end

-- The last arguments of every request.
function M.call_arguments(conn, given)
  local require_leader = given.require_leader
  if require_leader == nil then require_leader = conn.settings.require_leader end
  return options.milliseconds(given.timeout), given.username, given.password, require_leader
end

return M
