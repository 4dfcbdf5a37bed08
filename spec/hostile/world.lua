-- A world for hostile calls: objects of every kind, every function of the live module, and ways to
-- call them. What is wrong with an answer goes to world.wrong.
local core = require "pump.core"
local fault_of = require "hostile.judge"
local helper = require "helper"
local meta = require "hostile.meta"
local new_random = require "hostile.random"
local new_values = require "hostile.values".new
local MARK = require "hostile.values".MARK
local pump = require "pump"
local scheduler = require "pump.scheduler"
local task = require "pump.task"

local M = {}

-- How long a call may wait, and when it hangs, in seconds.
local PATIENCE, FOREVER = 0.02, 10 * helper.slow
-- How many objects of a class are kept.
local KEPT = 5

-- Until when waits may last, by the coroutine that turns the loop for them.
local deadlines = setmetatable({}, { __mode = "k" })

---- What there is to call -------------------------------------------------------------------------

local function upvalue(fn, wanted)
  for i = 1, 255 do
    local name, value = debug.getupvalue(fn, i)
    if name == wanted or not name then return value end
  end
end

local function names_of(...)
  local set, names = {}, {}
  for _, part in ipairs { ... } do
    for name, value in pairs(part) do
      if type(value) == "function" and not name:find "^__" then set[name] = true end
    end
  end
  for name in pairs(set) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- By class the names of its functions, from objects that live.
local function functions_of(pools)
  local function first(class) return pools[class][1] end
  local conn = getmetatable(first "pump.Connection").__index
  for name in pairs(upvalue(conn, "homes")) do conn(first "pump.Connection", name) end
  local function methods_of(object) return upvalue(getmetatable(object).__index, "methods") end
  return {
    pump = names_of(pump),
    ["pump.json"] = names_of(pump.json),
    ["pump.loop"] = names_of(pump.loop),
    ["pump.Connection"] = names_of(upvalue(conn, "methods")),
    ["pump.Subscription"] = names_of(methods_of(first "pump.Subscription")),
    ["pump.Consumer"] = names_of(methods_of(first "pump.Consumer")),
    ["pump.Task"] = names_of(getmetatable(first "pump.Task")),
    ["pump.Node"] = names_of(methods_of(first "pump.Node")),
    ["pump.Faults"] = names_of(methods_of(first "pump.Faults")),
    ["pump.Signal"] = names_of(getmetatable(first "pump.Signal")),
    ["pump.Event"] = { "json", "metadata_json" },
  }
end

---- Objects ---------------------------------------------------------------------------------------

local class_names = {
  ["pump.connection"] = "pump.Connection", ["pump.subscription"] = "pump.Subscription",
  ["pump.task"] = "pump.Task", ["pump.node"] = "pump.Node", ["pump.Faults"] = "pump.Faults",
  ["pump.signal"] = "pump.Signal", ["pump.event"] = "pump.Event", ["pump.error"] = "pump.Error",
  ["pump.new_event"] = "pump.NewEvent",
}

local function class_of(value)
  local class = getmetatable(value)
  local name = type(class) == "table" and class_names[rawget(class, "__name")]
  if name == "pump.Subscription" and value.group then return "pump.Consumer" end
  return name or type(value) == "function" and "function" or nil
end

local function is_closable(value)
  local class = getmetatable(value)
  return type(class) == "table" and rawget(class, "__close") and class_of(value)
end

local world_class = {}
world_class.__index = world_class

-- An object that came from somewhere: others take its place in time, and nobody closes it then.
function world_class:keep(value)
  local pool = self.pools[class_of(value)]
  if not pool then return end
  if is_closable(value) then self.to_close[value] = true end
  if #pool < KEPT then pool[#pool + 1] = value else pool[self.random.below(KEPT) + 1] = value end
end

-- Once hostile functions are about they may close what is being made.
function world_class:populate()
  local keep = function(value) self:keep(value) return value end
  local conn = keep(assert(pump.connect("memory:?like=23.10", { timeout = 0.5 })))
  local node = keep(helper.node { http = "127.0.0.1:0" })
  local guest = keep(assert(pump.connect("tcp://admin:changeit@" .. node.address,
    { timeout = 0.5, reconnect = { delay = 0.001, max_delay = 0.01 } })))
  keep(pump.client "memory:")
  keep(node.faults)
  for _, to in ipairs { conn, guest } do
    for i = 1, 5 do assert(to:publish_event("ponies", "Jumped", { i = i })) end
    assert(to:publish_event("ponies", "Jumped", "\0\255", { metadata = "x" }))
    assert(to:publish_event("links", "$>", "1@ponies"))
    assert(to:publish_event("links", "$>", "9@ponies"))
    assert(to:create_subscription("group", "ponies", { from_event = "start" }))
    keep(assert(to:subscribe_to("ponies", { from_event = 0 })))
    keep(assert(to:subscribe_to "$all"))
    local consumer = keep(assert(to:connect_subscription("group", "ponies")))
    keep(assert(consumer:next(1)))
    for _, event in ipairs(assert(to:get "ponies")) do keep(event) end
    for _, event in ipairs(assert(to:get "links")) do keep(event) end
    keep(to:iter "ponies")
  end
  for _, name in ipairs { "on_connected", "on_disconnected", "on_event", "on_log" } do
    keep(guest[name])
  end
  keep(pump.spawn(pump.sleep, 0.01))
  keep(pump.new_event("Jumped", { i = 1 }))
  keep(select(2, conn:get_event("nobody", 0)))
end

function world_class:close_something()
  local pool = self.pools[self.random.pick(self.classes)]
  local object = pool[1] ~= nil and self.random.pick(pool)
  if object and is_closable(object) then object:close() end
end

function world_class:judge(where, err)
  local fault = fault_of(err, self.known)
  if fault then self.wrong[#self.wrong + 1] = ("%s: %s: %s"):format(where, fault, tostring(err)) end
end

---- Calling ---------------------------------------------------------------------------------------

-- What a method is called on: while all is to be right, a connection that is one.
local function receiver_of(self, class)
  if class == "pump.loop" then return pump.loop end
  local pool = self.pools[class]
  local receiver = pool and self.random.pick(pool)
  if self.wrong_one_in or class ~= "pump.Connection" or receiver.state == "connected" then
    return receiver
  end
  for _, conn in ipairs(pool) do
    if conn.state == "connected" then return conn end
  end
  return receiver
end

local function arguments_for(self, class, name, receiver)
  local list = { n = 0 }
  if class ~= "pump" and class ~= "pump.json" then
    list.n = 1
    list[1] = receiver
    if self.wrong_one_in and self.random.one_in(6) then list[1] = self.values.any() end
  end
  local owner = class:gsub("^pump%.", "")
  local parameters = meta.parameters[owner .. "." .. name]
    or meta.parameters["Subscription." .. name] or {}
  local wanted = #parameters
  if self.wrong_one_in then wanted = self.random.below(wanted + 3) end
  for i = 1, wanted do
    local parameter = parameters[i] or { name = "", type = "any" }
    list.n = list.n + 1
    list[list.n] = self.values.of_type(parameter.type, parameter.name)
  end
  if name == "node" then -- its default is a port of its own
    local options = list[1] == nil and {} or list[1]
    if type(options) == "table" and rawget(options, "listen") == nil then
      rawset(options, "listen", "127.0.0.1:0")
    end
    list[1], list.n = options, math.max(list.n, 1)
  end
  return list
end

-- Something to call with its arguments, and a name for it.
local function a_call(self)
  local random, pools = self.random, self.pools
  if random.one_in(10) then -- an operator on anything
    local object = pools[random.pick(self.classes)]
    object = object[1] ~= nil and random.pick(object) or nil
    local key, other = random.pick(self.fields), self.values.any()
    return random.pick {
      function() return object[key] end,
      function() return object[other] end,
      function() return tostring(object) end,
      function() return object == other end,
      function() return object(other, other) end,
      function() local _ <close> = is_closable(object) and object or nil end,
      function()
        if class_of(object) == "pump.Faults" then object[key] = other end
      end,
      function() return class_of(object) == "pump.Error" and object .. "" end,
    }, { n = 0 }, "operator on " .. tostring(class_of(object))
  end
  self.wrong_one_in = random.pick { false, false, 10, 3 }
  local class = random.pick(self.callable)
  local receiver = receiver_of(self, class)
  local name = random.pick(self.functions[class])
  local fn = (receiver or class == "pump" and pump or pump.json)[name]
  return fn, arguments_for(self, class, name, receiver), class .. "." .. name
end

-- Takes what came of a call: judges the error, keeps the objects.
local function take(self, where, ok, ...)
  if not ok then return self:judge(where, (...)) end
  for i = 1, math.min(select("#", ...), 5) do
    local value = (select(i, ...))
    self:keep(value)
    if type(value) == "table" and not getmetatable(value) then self:keep(value[1]) end
  end
  return ...
end

-- Does what pcall does; no wait in this coroutine is longer than the patience.
local function hastily(fn, ...)
  local co = coroutine.running()
  local outer = deadlines[co]
  deadlines[co] = math.min(outer or math.huge, core.hrtime() + PATIENCE)
  local results = table.pack(pcall(fn, ...))
  deadlines[co] = outer
  return table.unpack(results, 1, results.n)
end

local function attempt(self, fn, arguments, where)
  return take(self, where, hastily(fn, table.unpack(arguments, 1, arguments.n)))
end

-- From inside of another call.
function world_class:call_something()
  if self.depth > 2 then return end
  self.depth = self.depth + 1
  local ok, err = pcall(function() attempt(self, a_call(self)) end)
  self.depth = self.depth - 1
  if not ok then error(err, 0) end
end

-- A task that is cancelled when it takes too long, and must end then.
local function in_task(self, call, where)
  local one = pump.spawn(call)
  local before = core.hrtime()
  local _, err = one:join(PATIENCE)
  if err and one.status == "waiting" then one:cancel(MARK) end
  one:join(FOREVER)
  if one.status == "waiting" then self.wrong[#self.wrong + 1] = where .. ": it hangs" end
  return core.hrtime() - before
end

-- The places that a script may call from.
local places = {
  function(_, call) call() end,
  in_task,
  in_task,
  function(self, call, where)
    pump.run(function() in_task(self, call, where) end)
  end,
  function(_, call) coroutine.wrap(call)() end,
  function(self, call, where)
    in_task(self, function() pump.wrap(call)() end, where)
  end,
  function(_, call)
    table.sort({ 1, 2 }, function()
      call()
      return false
    end)
  end,
  function(_, call)
    setmetatable({}, { __gc = call })
    collectgarbage()
  end,
  function(_, call)
    local _ <close> = setmetatable({}, { __close = call })
  end,
}

function world_class:step()
  local random = self.random
  local fn, arguments, where = a_call(self)
  self.log[#self.log + 1] = where
  local place = random.below(#places) + 1
  local ok, err = hastily(places[place], self, function()
    attempt(self, fn, arguments, ("%s in place %d"):format(where, place))
  end, where)
  if not ok then self:judge(("%s, place %d"):format(where, place), err) end
  if random.one_in(20) then self:close_something() end
  if random.one_in(40) then pcall(self.populate, self) end
  if random.one_in(10) then collectgarbage(random.pick { "collect", "step" }) end
end

-- A call of the binding itself, which checks little: whatever it does, it must not crash.
function world_class:step_in_core()
  local random, pools, list = self.random, self.pools, { n = 0 }
  local classes = { "pump.Connection", "pump.Subscription", "pump.Consumer", "pump.Node" }
  local class = random.pick(classes)
  local object = random.pick(pools[class])
  local part = random.one_in(8) and object.place or object.core
  if not part then return end
  self.wrong_one_in = 3
  local methods = debug.getmetatable(part).__index
  local names = part == object.place and { "reached", "leave" } or names_of(methods)
  local name = random.pick(names)
  for i = 2, random.below(14) do
    list[i] = random.one_in(3) and self.values.any() or random.pick { 0, 1, "ponies", false }
    list.n = i
  end
  list[1], list.n = part, math.max(list.n, 1)
  self.log[#self.log + 1] = class .. ".core." .. name
  pcall((part == object.place and core or methods)[name], table.unpack(list, 1, list.n))
  if random.one_in(5) then pump.loop:step(0) end
  if random.one_in(10) then collectgarbage(random.pick { "collect", "step" }) end
  if random.one_in(40) then pcall(self.populate, self) end
end

---- A world's life --------------------------------------------------------------------------------

-- A wait outside of tasks can't be cancelled: what turns the loop for it is interrupted, as a
-- signal would do it.
local real_step = core.step

function core.step(seconds)
  local deadline = deadlines[coroutine.running()]
  if not deadline then return real_step(seconds) end
  real_step(math.min(seconds, PATIENCE))
  if core.hrtime() > deadline then error(MARK, 0) end
end

function M.new(seed)
  local self = setmetatable({
    random = new_random(seed), pools = { ["function"] = {} }, classes = { "function" }, wrong = {},
    log = {}, to_close = setmetatable({}, { __mode = "k" }), known = { faults = true }, depth = 0,
  }, world_class)
  for _, class in pairs(class_names) do self.pools[class] = {} end
  self.pools["pump.Consumer"] = {}
  for class in pairs(self.pools) do self.classes[#self.classes + 1] = class end
  table.sort(self.classes)
  self.close_something = function() world_class.close_something(self) end
  self.call_something = function() return world_class.call_something(self) end
  self.values = new_values(self)
  self:populate()
  self.functions, self.callable, self.fields = functions_of(self.pools), {}, {}
  for class, names in pairs(self.functions) do
    for _, name in ipairs(names) do -- as often as it has functions
      self.known[name] = true
      self.callable[#self.callable + 1] = class
    end
  end
  for _, fields in pairs(meta.fields) do
    for name in pairs(fields) do self.fields[#self.fields + 1] = name end
  end
  table.sort(self.callable)
  table.sort(self.fields)
  return self
end

-- Closes what there is, and ends every task, also those that are begun meanwhile.
function world_class:close()
  local deadline = core.hrtime() + 2 * helper.slow
  for object in pairs(self.to_close) do object:close() end
  for _, pool in pairs(self.pools) do
    for key in pairs(pool) do pool[key] = nil end
  end
  repeat
    for one in pairs(scheduler.live) do one:cancel(MARK) end
    collectgarbage()
    pump.loop:step(0.01)
    local left = core.handles() + core.pending() + task.count()
  until left == 0 or core.hrtime() > deadline
  if core.handles() + core.pending() + task.count() > 0 then
    self.wrong[#self.wrong + 1] = ("left behind: %d handles, %d tickets, %d tasks")
      :format(core.handles(), core.pending(), task.count())
  end
end

return M
