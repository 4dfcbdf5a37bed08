-- The embedded node: a small EventStore in this process.
local errors = require "pump.error"
local faults = require "pump.faults"
local options = require "pump.options"
local scheduler = require "pump.scheduler"

local node_class = {}
node_class.__name = "pump.node"

local methods = {}

function node_class.__index(node, key)
  if key == "address" then return node.core:address() end
  if key == "http_address" then return node.core:http_address() end
  if key == "faults" then return node.own_faults end
  return methods[key]
end

-- node.faults = { delay = 1 } is node.faults:set { delay = 1 }.
function node_class.__newindex(node, key, value)
  if key ~= "faults" then errors.misuse("a node has no field '%s' that can be set", key) end
  node.own_faults:set(value)
end

function node_class:__tostring()
  return ("pump.node{%s %s}"):format(self.file or "memory", self.address or "closed")
end

-- Ends every connection to it and closes the store.
function methods.close(node)
  if getmetatable(node) ~= node_class then errors.bad_self("close", "a node", node) end
  local ticket = node.core:close()
  if ticket then scheduler.settle(ticket) end
  return true
end

node_class.__close = methods.close

local M = {}

-- The node is an object of its own, loaded when the first one is wanted.
local function core_node(given)
  return require "pump.core_node"(given)
end

local node_options = {
  file = "text", listen = "text", http = "text", users = "table", like = "text",
  insecure_listen = "boolean", faults = "boolean", tls = "table", sync = "text",
}
local tls_options = { cert = "text", key = "text", ca = "text" }

-- A copy of the table, in which there is nothing but texts.
local function check_users(users)
  local copy, is_text = {}, options.kinds.text
  for name, password in next, users or {} do
    if not is_text(name) or not is_text(password) then
      errors.misuse("bad option 'users' to 'node' (a table of names and passwords expected)")
    end
    copy[name] = password
  end
  return copy
end

-- The core's node; given.sync "normal": commits do not wait for the disk.
local function open(given, sync)
  if sync and sync ~= "normal" and sync ~= "full" then
    return nil, errors.new("invalid_argument", "sync is normal or full, not " .. sync)
  end
  given.sync_normal = sync == "normal"
  local made, code, message = core_node(given)
  if not made then return nil, errors.new(code, message) end
  return made
end

-- A node without an address of its own, for one connection.
function M.embedded(file, given)
  return open({ file = file, like = given.like }, given.sync)
end

-- A node that other programs reach at node.address.
function M.new(given)
  given = options.check(given, node_options, "node")
  local users = check_users(given.users)
  if given.faults and not given.http then
    errors.misuse("bad option 'faults' to 'node' (they are set over HTTP: say http, too)")
  end
  local tls = options.check(given.tls, tls_options, "node")
  if given.tls and not (tls.cert and tls.key) then
    errors.misuse("bad option 'tls' to 'node' (it needs cert and key)")
  end
  local made, err = open({
    file = given.file,
    listen = given.listen or "127.0.0.1:1113",
    http = given.http,
    http_faults = given.faults,
    users = users,
    like = given.like,
    tls_cert = tls.cert, tls_key = tls.key, tls_ca = tls.ca,
    insecure_listen = given.insecure_listen,
  }, given.sync)
  if not made then return nil, err end
  return setmetatable({ core = made, file = given.file, own_faults = faults.new(made) }, node_class)
end

return M
