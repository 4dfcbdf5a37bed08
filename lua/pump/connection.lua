-- Connections: where to, with which options, and their life. What they are asked is in read.lua,
-- publish.lua, subscribe.lua and group.lua.
local cluster = require "pump.cluster"
local core = require "pump.core"
local errors = require "pump.error"
local json = require "pump.json"
local options = require "pump.options"
local request = require "pump.request"
local signal = require "pump.signal"
local scheduler = require "pump.scheduler"

local M = {}

-- What pump_options_init says, too.
local CONNECT_TIMEOUT = 5

local connection_options = {
  host = "text", port = "port", username = "text", password = "text", name = "text",
  discovery_host = "discovery_host", discovery_port = "port", seeds = "seeds",
  selector = "selector", gossip_tls = "tls",
  tls = "tls", timeout = "seconds", connect_timeout = "seconds", heartbeat = "table",
  reconnect = "reconnect", retries = "natural", resolve = "callback", max_in_flight = "count",
  require_leader = "boolean",
  log = "callback", log_level = "log_level", json = "codec",
}
-- Of memory: and file: alone, in their URLs.
local node_options = { like = "text", sync = "text" }
local heartbeat_options = { interval = "pause", timeout = "seconds" }
local reconnect_options = { delay = "pause", max_delay = "pause", attempts = "natural" }

local tls_options = {
  ca = "text", cert = "text", key = "text", server_name = "text", verify = "boolean",
}

-- ms that a server may take to tell its version.
local VERSION_TIMEOUT = 2000

local log_levels = { "error", "warning", "info", "debug", "trace" }
local numbers_of_levels = {}
for number, name in ipairs(log_levels) do numbers_of_levels[name] = number end

function options.kinds.log_level(value)
  return numbers_of_levels[value] ~= nil, '"error", "warning", "info", "debug" or "trace"'
end

---- Where to connect ------------------------------------------------------------------------------

local function bad_url(url, why)
  local message = ("the URL %s: %s"):format(core.redact(url), (why:gsub("^URL: ", "")))
  return nil, errors.new("connect_failed", message)
end

-- Options that are tables stand in a URL field by field: reconnect_delay=1; those of TLS by their
-- own names. Returns the option's kind, and the table and the field where it has one.
local function option_of(name)
  if tls_options[name] then return tls_options[name], "tls", name end
  local of, field = name:match "^(%l+)_(.+)$"
  local fields = of == "reconnect" and reconnect_options or of == "heartbeat" and heartbeat_options
  if fields and fields[field] then return fields[field], of, field end
  return connection_options[name]
end

-- What a URL says, as options.
local function from_url(url)
  local parsed, why = core.parse_url(url)
  if not parsed then return bad_url(url, why) end
  local found = {
    kind = parsed.kind, path = parsed.path,
    username = parsed.username, password = parsed.password, tls = parsed.tls or nil,
    shown = core.redact(url),
  }
  if parsed.kind == "discover" then
    found.seeds = cluster.seeds_of(parsed.hosts)
  else
    found.host, found.port = parsed.host, parsed.port
  end
  local tables = { tls = {}, reconnect = {}, heartbeat = {} }
  local is_node = parsed.kind == "memory" or parsed.kind == "file"
  for name, text in pairs(parsed.options) do
    local kind, of, field = option_of(name)
    kind = kind or is_node and node_options[name]
    if not kind then return bad_url(url, ("there is no option %s"):format(name)) end
    if kind == "tls" or kind == "reconnect" then kind = "boolean" end
    local value = options.from_text(text, kind)
    if value == nil then
      return bad_url(url, ("%s is no value for the option %s"):format(text, name))
    end
    if of then tables[of][field] = value else found[name] = value end
  end
  if parsed.tls and not found.tls then return bad_url(url, "tcps is TLS, and tls=false is not") end
  if found.tls == false and found.gossip_tls and next(tables.tls) then
    found.gossip_tls = tables.tls
  end
  for name, fields in pairs(tables) do
    if next(fields) and found[name] ~= false then found[name] = fields end
  end
  return found
end

local function not_supported(settings)
  if settings.tls and (settings.kind == "memory" or settings.kind == "file") then
    return errors.new("not_supported", "a store in this process has no TLS: leave tls out")
  end
  if settings.kind ~= "grpc" then return nil end
  return errors.new("not_supported",
    "gRPC is not supported yet: connect by TCP, as tcp://host:1113 or discover://host:2113")
end

-- URL and options as one table of settings, or nil and an error.
local function settings_of(url, given, where)
  if type(url) == "table" and given == nil then url, given = nil, url end
  if url ~= nil then options.string_argument(url, 1, where) end
  given = options.check(given, connection_options, where)
  options.check(given.heartbeat, heartbeat_options, where)
  if type(given.reconnect) == "table" then
    options.check(given.reconnect, reconnect_options, where)
  end
  for _, tls in ipairs { given.tls or false, given.gossip_tls or false } do
    if type(tls) == "table" then options.check(tls, tls_options, where) end
  end
  if not url and not (given.host or given.port or given.discovery_host or given.seeds) then
    url = os.getenv "PUMP_URL"
    if url == "" then url = nil end
  end
  local settings, err = { kind = "tcp" }
  if url then
    settings, err = from_url(url)
    if not settings then return nil, err end
  end
  local of_url = settings.tls
  for name, value in pairs(given) do settings[name] = value end
  if given.tls == true then settings.tls = of_url or true end
  err = not_supported(settings)
  if err then return nil, err end
  return settings
end

---- The class -------------------------------------------------------------------------------------

local connection_class = request.connection_class

-- What a connection is asked, by the file where it stands. Each file is loaded when it is wanted:
-- reading them all would be half of the time that `require "pump"` takes.
local homes = {}
for home, names in pairs {
  read = { "get_event", "get", "iter", "get_all", "iter_all" },
  publish = { "publish_event", "publish" },
  stream = { "delete", "get_metadata", "set_metadata" },
  subscribe = { "subscribe_to", "stream", "watch" },
  group = { "create_subscription", "update_subscription", "delete_subscription",
    "connect_subscription" },
  stats = { "stats" },
} do
  for _, name in ipairs(names) do homes[name] = "pump." .. home end
end

local methods = {}
local getters = {}

function connection_class.__index(conn, key)
  local method = methods[key]
  if method then return method end
  local home = homes[key]
  if home then
    methods[key] = require(home)[key]
    return methods[key]
  end
  local get = getters[key]
  return get and get(conn)
end

-- "new", "connecting", "connected", "reconnecting" or "closed"
function getters.state(conn)
  if conn.closed then return "closed" end
  return conn.core and conn.core:state() or "new"
end

-- Where it leads: "127.0.0.1:1113", "memory:", "file:ponies.db"
function getters.endpoint(conn)
  local settings = conn.settings
  if settings.kind == "memory" or settings.kind == "file" then return settings.shown end
  local endpoint = conn.core and conn.core:endpoint() or ""
  if endpoint ~= "" then return endpoint end
  local seeds = cluster.seeds(settings)
  if seeds then return seeds end
  return ("%s:%d"):format(settings.host or "127.0.0.1", settings.port or 1113)
end

function getters.protocol()
  return "tcp"
end

-- What the server says of itself, "5.0.8.0"; nil where nobody says: TCP has no word for it. Where
-- gossip has not told, the member that it led to is asked by HTTP, once.
function getters.server_version(conn)
  if not conn.core or conn.closed then return nil end
  if conn.node then return conn.node:version() end
  local version = conn.core:server_version()
  if version or conn.asked_version_of == conn.endpoint then return version end
  conn.asked_version_of = conn.endpoint
  request.call(conn, { endpoint = conn.endpoint }, "ask_server_version", VERSION_TIMEOUT)
  return conn.core:server_version()
end

function connection_class:__tostring()
  return ("pump.connection{%s %s}"):format(self.endpoint, self.state)
end

local notices = {}

function notices.choose(conn, members)
  cluster.choose(conn, members)
end

function notices.resolve(conn, host, port)
  cluster.resolve(conn, host, port)
end

function notices.connected(conn)
  conn.ended = false
  signal.emit(conn.on_connected, conn)
end

function notices.disconnected(conn, code, text)
  signal.emit(conn.on_disconnected, errors.new(code, text))
end

function notices.reconnecting(conn, attempt, delay)
  signal.emit(conn.on_reconnecting, attempt, delay)
end

-- It is closed by itself, and may connect again.
function notices.closed(conn, code, text)
  conn.ended = true
  signal.emit(conn.on_closed, conn, errors.new(code, text))
end

-- What the C part has to tell without having been asked.
function connection_class.__notice(conn, what, ...)
  if what == "log" then
    local level, text, fields = ...
    fields.endpoint, fields.state, fields.name = conn.endpoint, conn.state, conn.settings.name
    signal.emit(conn.on_log, log_levels[level] or "info", text, fields)
  elseif not conn.closed then
    notices[what](conn, ...)
  end
end

-- Among them is the password, which nobody shows by showing a connection.
local settings_class = { __tostring = function() return "pump.settings" end }

local function new(settings)
  setmetatable(settings, settings_class)
  local codec = settings.json
  if rawequal(codec, json) then codec = nil end
  local conn = setmetatable({
    settings = settings,
    closed = false,
    ended = false,
    codec = codec,
    decode = codec and codec.decode,
  }, connection_class)
  for _, name in ipairs { "connected", "disconnected", "reconnecting", "closed", "event", "log" } do
    conn["on_" .. name] = signal.new()
  end
  if settings.log then conn.on_log:append(settings.log) end
  return conn
end

---- Its life --------------------------------------------------------------------------------------

-- Makes the client, and the node that it connects through where there is one.
local function make_client(conn)
  local settings = conn.settings
  local err
  if settings.kind == "memory" or settings.kind == "file" then
    conn.node, err = require "pump.node".embedded(settings.path, settings)
    if not conn.node then return nil, err end
  end
  local heartbeat = settings.heartbeat or {}
  local reconnect = type(settings.reconnect) == "table" and settings.reconnect or {}
  local tls = type(settings.tls) == "table" and settings.tls
    or type(settings.gossip_tls) == "table" and settings.gossip_tls or {}
  local client, ticket, message = core.client({
    host = settings.host,
    port = settings.port,
    seeds = not conn.node and cluster.seeds(settings) or nil,
    selector = cluster.selector(settings),
    gossip = cluster.gossip(settings),
    choose = type(settings.selector) == "function",
    resolve = settings.resolve ~= nil,
    username = settings.username,
    password = settings.password,
    name = settings.name,
    tls = settings.tls and true,
    ca = tls.ca, cert = tls.cert, key = tls.key,
    server_name = tls.server_name, verify = tls.verify,
    timeout = options.milliseconds(settings.timeout),
    connect_timeout = options.milliseconds(settings.connect_timeout),
    heartbeat_interval = options.milliseconds(heartbeat.interval),
    heartbeat_timeout = options.milliseconds(heartbeat.timeout),
    max_in_flight = settings.max_in_flight,
    reconnect_delay = options.milliseconds(reconnect.delay),
    reconnect_max_delay = options.milliseconds(reconnect.max_delay),
    reconnect_attempts = settings.reconnect == false and 0 or reconnect.attempts,
    retries = settings.retries,
    log_level = numbers_of_levels[settings.log_level or settings.log and "debug" or "info"],
  }, conn.node)
  if not client then return nil, errors.new(ticket, message) end
  conn.core = client
  scheduler.listeners[ticket] = conn
  return true
end

-- Waits for a connection that is being made: the answer to a ping says that there is one.
local function join(conn)
  local _, err = conn:ping { timeout = conn.settings.connect_timeout or CONNECT_TIMEOUT }
  if err then return nil, err end
  return conn
end

-- Returns the connection itself once it is connected and identified.
function methods.connect(conn)
  request.check_self(conn, "connect")
  if conn.closed then errors.raise_at_user("closed", "the connection was closed") end
  local state = conn.state
  if state == "connected" then return conn end
  if state == "connecting" or state == "reconnecting" then return join(conn) end
  if not conn.core then
    local ok, err = make_client(conn)
    if not ok then return nil, err end
  end
  local _, err = request.call(conn, { endpoint = conn.endpoint }, "connect")
  if err and conn.node then
    local place = conn.settings.path or "the store in memory"
    err.message = err.message:gsub("^could not connect to embedded", function()
      return "could not open " .. place
    end)
  end
  if err then return nil, err end
  return conn
end

-- Seconds that the server took to answer.
function methods.ping(conn, given)
  request.check_self(conn, "ping")
  given = options.check(given, options.call, "ping")
  return request.call(conn, { endpoint = conn.endpoint }, "ping",
    request.call_arguments(conn, given))
end

-- The members of the cluster, as the first seed that answers shows them. No connection is needed.
function methods.members(conn, given)
  request.check_self(conn, "members")
  given = options.check(given, { timeout = "seconds" }, "members")
  if not conn.core and not conn.closed then
    local ok, err = make_client(conn)
    if not ok then return nil, err end
  end
  if conn.node then
    return nil, errors.new("not_supported", "an embedded store has no members: it is no cluster")
  end
  return request.call(conn, { endpoint = cluster.seeds(conn.settings) }, "members",
    options.milliseconds(given.timeout))
end

-- Every call that waits gets "closed". May be called again.
function methods.close(conn)
  request.check_self(conn, "close")
  if conn.closed then return true end
  conn.last_stats = conn:stats()
  conn.closed = true
  for _, part in ipairs { conn.core or false, conn.node or false } do
    local ticket = part and part:close()
    if ticket then scheduler.settle(ticket) end
  end
  if not conn.ended then signal.emit(conn.on_closed, conn) end
  return true
end

connection_class.__close = methods.close

-- A client that is not connected yet.
function M.client(url, given)
  local settings, err = settings_of(url, given, "client")
  if not settings then return nil, err end
  return new(settings)
end

-- What becomes of a connection that nobody has got: the task may be cancelled while it is made.
local attempt_class = {
  __close = function(attempt)
    if attempt.conn then attempt.conn:close() end
  end,
}

-- A client that is, or nil and why it could not be.
function M.connect(url, given)
  local settings, err = settings_of(url, given, "connect")
  if not settings then return nil, err end
  local attempt <close> = setmetatable({ conn = new(settings) }, attempt_class)
  local conn
  conn, err = attempt.conn:connect()
  if not conn then return nil, err end
  attempt.conn = nil
  return conn
end

return M
