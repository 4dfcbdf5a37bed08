-- node.faults: how a node misbehaves on purpose, for tests of programs that must live with it.
local core = require "pump.core"
local errors = require "pump.error"
local json = require "pump.json"
local options = require "pump.options"

local M = {}

local kinds = {
  not_handled = "refusal", leader = "address", delay = "pause", silent = "boolean",
  duplicate = "boolean", one_byte = "boolean", cut = "bytes", only = "side", count = "count",
  chance = "chance", refuse = "boolean", gossip = "gossip", duration = "pause",
}

local function one_of(...)
  local known, words = {}, {}
  for _, word in ipairs { ... } do
    known[word], words[#words + 1] = true, ("%q"):format(word)
  end
  local text = table.concat(words, ", "):gsub(", ([^,]*)$", " or %1")
  return function(value) return known[value] or false, text end
end

options.kinds.refusal = one_of("not_ready", "too_busy", "not_leader")
options.kinds.side = one_of("reads", "writes")
function options.kinds.address(value)
  local port = type(value) == "string" and value:match "^[^%s]+:(%d+)$"
  return port and tonumber(port) <= 65535 or false, '"HOST:PORT"'
end
function options.kinds.bytes(value)
  local number = type(value) == "number" and math.tointeger(value)
  return number and number >= 0 and number <= core.MAX_FRAME or false, "a number of bytes"
end
function options.kinds.chance(value)
  return type(value) == "number" and value >= 0 and value <= 1, "a number from 0 to 1"
end
function options.kinds.gossip(value)
  local is_text = type(value) == "string" and not value:find("\0", 1, true)
  return is_text or type(value) == "table", "a table or a text"
end

local methods = {}
local class = { __name = "pump.Faults" }

-- A proxy's node stands in here, so that every name of the proxy is a fault's.
local cores = setmetatable({}, { __mode = "k" })

local function node_of(faults, where)
  return cores[faults] or errors.bad_self(where, "faults", faults)
end

local function apply(node, settings)
  local given = {}
  for name, value in pairs(settings) do given[name] = value end
  if type(given.gossip) == "table" then
    local text, err = json.encode(given.gossip)
    if not text then errors.misuse("bad option 'gossip' to 'faults' (%s)", err.message) end
    given.gossip = text
  end
  for _, name in ipairs { "delay", "duration" } do
    if given[name] then given[name] = math.min(given[name], 1e9) end
  end
  local ok, code, message = node:set_faults(given)
  if not ok then errors.raise_at_user(code, message or core.sentences[code]) end
end

local function current(faults, name)
  if not kinds[name] then options.unknown(name, kinds, "faults") end
  return cores[faults]:faults() or {}
end

function class.__index(faults, name)
  return methods[name] or current(faults, name)[name]
end

function class.__newindex(faults, name, value)
  local settings = current(faults, name)
  settings[name] = value
  apply(node_of(faults, "faults"), options.check(settings, kinds, "faults"))
end

-- These faults and no others.
function methods.set(faults, settings)
  apply(node_of(faults, "set"), options.check(settings, kinds, "faults"))
end

-- No faults.
function methods.clear(faults)
  apply(node_of(faults, "clear"), {})
end

-- Ends every connection that there is now.
function methods.drop(faults)
  node_of(faults, "drop"):drop()
end

function M.new(node_core)
  local faults = setmetatable({}, class)
  cores[faults] = node_core
  return faults
end

return M
