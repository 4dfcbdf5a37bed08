-- library/pump.lua tells of everything that pump has, and of nothing else.
local helper = require "helper"
local pump = require "pump"

local read_file = helper.read_file

helper.leaves_nothing(after_each)

local folder = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" or "."

-- The classes of the meta file: name -> { member = "field" or "function" }.
local function read_classes()
  local classes, by_variable, current = {}, {}, nil
  for line in (read_file(folder .. "/../library/pump.lua") .. "\n"):gmatch "(.-)\n" do
    local class, parents = line:match "^%-%-%-@class ([%w_.]+):?%s*(.*)"
    local field = line:match "^%-%-%-@field ([%w_]+)"
    local variable = line:match "^local ([%w_]+) = {}$"
    local owner, name = line:match "^function ([%w_]+)[.:]([%w_]+)%("
    if class then
      current = {}
      classes[class] = current
      for parent in parents:gsub("{.*", ""):gmatch "pump[%w_.]+" do
        for inherited, kind in pairs(classes[parent]) do current[inherited] = kind end
      end
    elseif field then
      current[field] = "field"
    elseif variable then
      by_variable[variable] = current
    elseif owner then
      assert.is_not_nil(by_variable[owner], line)
      by_variable[owner][name] = "function"
    end
  end
  return classes
end

local classes = read_classes()

local function sorted_names(...)
  local set, names = {}, {}
  for _, part in ipairs { ... } do
    for name in pairs(part) do set[name] = true end
  end
  for name in pairs(set) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function kinds_of(object, names)
  local kinds = {}
  for _, name in ipairs(names) do
    kinds[name] = type(object[name]) == "function" and "function" or "field"
  end
  return kinds
end

-- The value of a local that a function refers to.
local function upvalue(fn, wanted)
  for i = 1, 255 do
    local name, value = debug.getupvalue(fn, i)
    if name == wanted then return value end
    if not name then return nil end
  end
end

describe("the meta file", function()
  it("is Lua", function()
    assert.is_function(loadfile(folder .. "/../library/pump.lua"))
  end)

  for name, object in pairs { pump = pump, ["pump.json"] = pump.json, ["pump.loop"] = pump.loop } do
    it("has all of " .. name, function()
      assert.are.same(classes[name], kinds_of(object, sorted_names(object)))
    end)
  end

  it("has all of a connection", function()
    local conn <close> = assert(pump.connect "memory:")
    local index = getmetatable(conn).__index
    local signals = {}
    for name in pairs(conn) do
      if name:find "^on_" then signals[name] = true end
    end
    local names = sorted_names(upvalue(index, "methods"), upvalue(index, "homes"),
      upvalue(index, "getters"), signals)
    assert.are.same(classes["pump.Connection"], kinds_of(conn, names))
    assert.are.same(classes["pump.Signal"], kinds_of(conn.on_log, { "append", "remove" }))
  end)

  it("has all of a subscription", function()
    local conn <close> = assert(pump.connect "memory:")
    local sub <close> = assert(conn:subscribe_to "s")
    local index = getmetatable(sub).__index
    local signals = { stream = true }
    for name in pairs(sub) do
      if name:find "^on_" then signals[name] = true end
    end
    local names = sorted_names(upvalue(index, "methods"), upvalue(index, "getters"), signals)
    assert.are.same(classes["pump.Subscription"], kinds_of(sub, names))
  end)

  it("has all of an event", function()
    local conn <close> = assert(pump.connect "memory:")
    assert(conn:publish_event("s", "t", "x"))
    assert(conn:publish_event("links", "$>", "0@s"))
    local all = assert(conn:get_all())
    local event = all[#all]
    assert.equal("t", event.type)
    for name, kind in pairs(classes["pump.Event"]) do
      assert.equal(kind, type(event[name]) == "function" and "function" or "field", name)
      assert.is_not_nil(event[name], name)
    end
    -- The names that the binding knows stand in one function.
    local names = {}
    for name in read_file(folder .. "/../src/lua/event.c"):gmatch 'IS%("([%w_]+)"%)' do
      names[name] = true
    end
    assert.are.same(sorted_names(classes["pump.Event"]), sorted_names(names))
  end)

  it("has all of a task and a node", function()
    local one = pump.spawn(function() end)
    assert.are.same({ "cancel", "join" }, (function()
      local names = {}
      for name, value in pairs(getmetatable(one)) do
        if type(value) == "function" and not name:find "^__" then names[#names + 1] = name end
      end
      table.sort(names)
      return names
    end)())
    for name, kind in pairs(classes["pump.Task"]) do
      assert.equal(kind, type(one[name]) == "function" and "function" or "field")
      assert.is_not_nil(one[name])
    end
    one:join()
    local node <close> = helper.node()
    assert.are.same({ "address", "close", "faults", "http_address" },
      sorted_names(classes["pump.Node"]))
    local class = getmetatable(node.faults)
    assert.are.same(sorted_names(classes["pump.Faults"]),
      sorted_names(upvalue(class.__newindex, "kinds"), upvalue(class.__index, "methods")))
    assert.is_string(node.address)
    assert.is_function(node.close)
  end)

  it("has all options", function()
    local function options_of(fn, name) return sorted_names(upvalue(fn, name)) end
    local conn <close> = assert(pump.connect "memory:")
    local settings_of = upvalue(pump.connect, "settings_of")
    for class, known in pairs {
      ConnectOptions = options_of(settings_of, "connection_options"),
      TlsOptions = options_of(settings_of, "tls_options"),
      NodeOptions = options_of(require("pump.node").new, "node_options"),
      NodeTlsOptions = options_of(require("pump.node").new, "tls_options"),
      EventOptions = sorted_names(require("pump.event").event_options),
      CallOptions = sorted_names(require("pump.options").call),
      PublishEventOptions = options_of(conn.publish_event, "publish_event_options"),
      PublishOptions = options_of(conn.publish, "publish_options"),
      GetEventOptions = options_of(conn.get_event, "event_options"),
      GetOptions = options_of(conn.get, "get_options"),
      IterOptions = options_of(conn.iter, "iter_options"),
      GetAllOptions = options_of(conn.get_all, "get_all_options"),
      IterAllOptions = options_of(conn.iter_all, "iter_all_options"),
      SubscribeOptions = options_of(conn.subscribe_to, "subscribe_options"),
      GroupOptions = options_of(upvalue(conn.create_subscription, "put"), "group_options"),
      ConsumeOptions = options_of(conn.connect_subscription, "connect_options"),
    } do
      assert.are.same(known, sorted_names(classes["pump." .. class]), class)
    end
  end)

  it("has all codes of errors", function()
    local listed = {}
    local text = read_file(folder .. "/../library/pump.lua")
    for line in text:match("@alias pump.ErrorCode\n(.-)\n\n"):gmatch "[^\n]+" do
      for code in line:gmatch '"([%w_]+)"' do listed[code] = true end
    end
    assert.are.same(sorted_names(require("pump.core").sentences), sorted_names(listed))
  end)

  it("is not fooled", function()
    assert.is_nil(classes["pump.Connection"].nonsense)
    assert.equal("function", classes["pump.Connection"].ping)
    assert.equal("field", classes["pump.IterOptions"].timeout)
  end)
end)
