-- pump: an EventStore client. See docs/ and library/pump.lua for all that is here.
local adapter = require "pump.adapter"
local connection = require "pump.connection"
local core = require "pump.core"
local event = require "pump.event"
local json = require "pump.json"
local scheduler = require "pump.scheduler"
local stats = require "pump.stats"
local task = require "pump.task"

return {
  version = core.version,
  connect = connection.connect,
  client = connection.client,
  node = function(options) return require "pump.node".new(options) end,
  new_event = event.new,
  uuid = core.guid,
  json = json,
  array = json.array,
  null = json.null,
  run = task.run,
  spawn = task.spawn,
  sleep = task.sleep,
  wrap = task.wrap,
  loop = scheduler.loop,
  use = adapter.use,
  adapter = adapter.adapters,
  metrics = stats.metrics,
}
