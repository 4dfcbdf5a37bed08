-- Clusters: where the search for a member starts, which one is chosen, and what leads to it.
local core = require "pump.core"
local errors = require "pump.error"
local options = require "pump.options"
local task = require "pump.task"

local M = {}

local selectors = { leader = 0, follower = 1, random = 2 } -- PUMP_SELECT_…

-- A host and a port of a URL; nil for what is none, or is more than that.
local function parse(text)
  local parsed = type(text) == "string" and core.parse_url("discover://" .. text)
  if not parsed or #parsed.hosts > 1 or parsed.username or next(parsed.options) then return nil end
  return parsed.hosts[1]
end

local function in_brackets(host)
  return host:find ":" and not host:find "^%[" and "[" .. host .. "]" or host
end

function options.kinds.discovery_host(value)
  return options.kinds.text(value) and parse(in_brackets(value) .. ":1") ~= nil, "a host"
end

function options.kinds.seeds(value)
  local fine = type(value) == "table" and rawlen(value) > 0
  for i = 1, fine and rawlen(value) or 0 do fine = fine and parse(rawget(value, i)) ~= nil end
  return fine, 'a list of "HOST:PORT"'
end

function options.kinds.selector(value)
  return type(value) == "function" or selectors[value] ~= nil,
    '"leader", "follower", "random" or a function'
end

-- Hosts, as core.parse_url gives them, as a list of seeds.
function M.seeds_of(hosts)
  local seeds = {}
  for i, it in ipairs(hosts) do seeds[i] = ("%s:%d"):format(in_brackets(it.host), it.port) end
  return seeds
end

-- All that the settings name to start from, as the C part takes it; nil for nothing.
function M.seeds(settings)
  local seeds = {}
  for i = 1, settings.seeds and rawlen(settings.seeds) or 0 do seeds[i] = settings.seeds[i] end
  if settings.discovery_host then
    seeds[#seeds + 1] = ("%s:%d"):format(in_brackets(settings.discovery_host),
      settings.discovery_port or 2113)
  end
  return seeds[1] and table.concat(seeds, ",") or nil
end

function M.selector(settings)
  return selectors[settings.selector]
end

-- How gossip is asked for: PUMP_GOSSIP_…
function M.gossip(settings)
  if settings.gossip_tls == nil then return 0 end
  return settings.gossip_tls and 2 or 1
end

local function number_of(members, chosen)
  for number, member in ipairs(members) do
    if rawequal(member, chosen) then return number end
  end
end

local function choose(conn, members)
  local ok, chosen = pcall(conn.settings.selector, table.move(members, 1, #members, 1, {}))
  local number = ok and number_of(members, chosen) or 0
  local why
  if not ok then
    why = "the selector failed: " .. errors.text(chosen)
  elseif chosen ~= nil and number == 0 then
    why = ("the selector returned a %s, and none of the members"):format(type(chosen))
  end
  if not conn.closed then conn.core:choose(number, why) end
end

-- What an address is mapped to: a host and a port, or nil.
local function mapped(port, to, to_port)
  if type(to) ~= "string" then return nil end
  local parsed = not to_port and parse(to)
  if parsed then return parsed.host, to:find ":%d+$" and parsed.port or port end
  return to, math.tointeger(to_port) or port
end

local function resolve(conn, host, port)
  local address = ("%s:%d"):format(in_brackets(host), port)
  local results = table.pack(pcall(conn.settings.resolve, address))
  if conn.closed then return end
  if results[1] then
    conn.core:resolved(mapped(port, results[2], results[3]))
  else
    conn.core:resolved()
    error(results[2], 0)
  end
end

-- Asks the connection's function `resolve`, which may wait, which address leads to a server.
function M.resolve(conn, host, port)
  task.fire(resolve, conn, host, port)
end

-- Asks the connection's selector, a function, which may wait.
function M.choose(conn, members)
  task.fire(choose, conn, members)
end

return M
