-- Arguments: some as they should be, by what library/pump.lua says of them, and the rest of all the
-- kinds that there are. Nothing in them leads out of this machine.
local meta = require "hostile.meta"
local pump = require "pump"

local M = {}

-- What functions and metamethods of the specs raise themselves.
M.MARK = "hostile: raised on purpose"

local texts = {
  "", "x", "0", "1e3", "ponies", "$all", "$$ponies", "a\0b", "\255\254", "\n", "ä", ("x"):rep(300),
  ("y"):rep(70000), "{}", "[1,2", "%s%n%d", "end", "last",
}
local numbers = {
  0, 1, -1, 2, 3, 0.5, 1.0, -0.0, 1e300, 255, 65536, 1 << 31, (1 << 31) - 1, 1 << 32,
  math.maxinteger, math.mininteger, math.huge, -math.huge, 0 / 0,
}
local urls = {
  "memory:", "memory:?like=23.10", "memory:?like=9", "memory:?timeout=0", "memory:?sync=normal",
  "tcp://127.0.0.1:1", "tcp://u:p@127.0.0.1:1?nonsense=1", "discover://127.0.0.1:1", "file:",
  "file:/nowhere/x.db", "file:/", "tcps://127.0.0.1:1", "esdb://127.0.0.1:1", "tcp://", "://",
  "nonsense", "", "a\0b", "tcp://127.0.0.1:99999", "memory:?a=%00",
}
-- Strings that lead somewhere, by the names of their parameters and options: no others do.
local hosts = { "127.0.0.1", "", "[::1", "a b", "127.0.0.1:1:2", "a\0b", ("x"):rep(300) }
local addresses = { "127.0.0.1:1", "", "127.0.0.1", "127.0.0.1:99999", "a\0b:1" }
-- Other specs rely on ports where nobody listens.
local own = { "127.0.0.1:0", "127.0.0.1:0", "", "127.0.0.1", "127.0.0.1:99999", "a\0b:1" }
local places = {
  host = hosts, discovery_host = hosts, server_name = hosts, url = urls, listen = own, http = own,
  leader = addresses, seeds = addresses,
  file = { "", "/nowhere/x.db", "a\0b/nowhere/x", "/" },
}
local sane = {
  stream = { "ponies", "ponies", "ponies", "links", "empty", "$all", "new" },
  group = { "group", "group", "other" },
  type = { "Jumped", "Jumped", "$>" },
  text = { "{}", "[1,2,{\"a\":null}]", "{\"a\":", "1", "\"\\ud800\"" },
  id = { "c8c1f728-4f0a-4b03-99ba-6c01d9954056" },
  username = { "admin", "ouro" }, password = { "changeit", "" },
}
for name, list in pairs(places) do sane[name] = list end

-- world: random; world.pools[class], lists of the objects that there are; world.wrong_one_in, how
-- often a value is not what it should be, nil for never.
function M.new(world)
  local random = world.random
  local pick, one_in, below = random.pick, random.one_in, random.below
  local any, of_type

  local function object()
    local pool = world.pools[pick(world.classes)]
    return pool[1] ~= nil and pick(pool) or nil
  end

  local function raise()
    if one_in(4) then error({ M.MARK }) end
    if one_in(8) then error() end
    error(M.MARK, 0)
  end

  local deeds = {
    function() end,
    raise,
    function() return any(1) end,
    function() return any(1), any(1), any(1) end,
    function() return pump.new_event("Jumped", {}) end,
    function() return coroutine.yield(M.MARK) end,
    function() pump.sleep(0.001) end,
    function() collectgarbage() end,
    function() world.close_something() end,
    function() return world.call_something() end,
    function(...) return ... end,
  }

  -- What does one of those deeds when it is called, a few times at most: many ask until nil comes.
  local function a_function()
    local deed, left = pick(deeds), 5
    return function(...)
      left = left - 1
      if left >= 0 then return deed(...) end
    end
  end

  local function a_table(depth)
    local value = {}
    for i = 1, below(4) do value[one_in(2) and i or pick(texts)] = any(depth + 1) end
    if not world.wrong_one_in or not one_in(3) then return value end
    local class = {}
    for _ = 1, 1 + below(3) do
      local name = pick { "__index", "__newindex", "__len", "__pairs", "__call", "__tostring",
        "__gc", "__close", "__eq", "__concat", "__name", "__metatable" }
      class[name] = name:find "e$" and any(depth + 1) or a_function()
    end
    return setmetatable(value, class)
  end

  local function a_coroutine()
    local co = coroutine.create(a_function())
    if one_in(2) then coroutine.resume(co) end
    return co
  end

  function any(depth)
    depth = depth or 0
    local kind = below(depth > 2 and 5 or 10)
    if kind == 0 then return nil end
    if kind == 1 then return one_in(2) end
    if kind == 2 then return pick(texts) end
    if kind == 3 then return pick(numbers) end
    if kind == 4 then return pick { pump.null, io.stderr, os.clock, pump.json.array_mt } end
    if kind == 5 then return a_function() end
    if kind == 6 then return a_coroutine() end
    if kind == 7 then return a_table(depth) end
    return object()
  end

  local function options_of(class, depth)
    local names, value = {}, {}
    for name in pairs(meta.fields[class]) do names[#names + 1] = name end
    table.sort(names)
    for _ = 1, class == "pump.Filter" and 1 or below(4) do
      local name = pick(names)
      value[name] = of_type(meta.fields[class][name], name, depth + 1)
    end
    return value
  end

  local function alternatives(text)
    local list, depth, from = {}, 0, 1
    for at = 1, #text + 1 do
      local c = text:sub(at, at)
      if c:find "[{(%[]" then depth = depth + 1 end
      if c:find "[})%]]" then depth = depth - 1 end
      if depth == 0 and (c == "|" or c == "") then
        list[#list + 1], from = text:sub(from, at - 1), at + 1
      end
    end
    return list
  end

  local makers = {
    any = function(_, depth) return any(depth) end,
    string = function(name) return pick(sane[name] or texts) end,
    boolean = function() return one_in(2) end,
    integer = function() return world.wrong_one_in and pick(numbers) or 1 + below(20) end,
    number = function() return world.wrong_one_in and pick(numbers) or (1 + below(50)) / 1000 end,
    table = function(_, depth) return a_table(depth) end,
    lightuserdata = function() return pump.null end,
    ["function"] = function() return a_function() end,
    ["pump.NewEvent"] = function()
      return pump.new_event("Jumped", pick { "text", { height = 1 }, 12, true })
    end,
    ["pump.Position"] = function() return { commit = below(500), prepare = below(500) } end,
    ["pump.Codec"] = function() return { encode = a_function(), decode = a_function() } end,
    ["pump.Adapter"] = function() return any() end, -- a real one would end the specs
  }

  -- A value of the type, or often enough of another one.
  function of_type(text, name, depth)
    depth = depth or 0
    if world.wrong_one_in and one_in(world.wrong_one_in) then
      local value = any(depth)
      return not (places[name] and type(value) == "string") and value or nil
    end
    text = pick(alternatives(meta.aliases[text] or text))
    if makers[text] then return makers[text](name, depth) end
    if text:find '^"' then return text:sub(2, -2) end
    if text:find "^fun%(" then return a_function() end
    if text:find "^%(.*%)$" then return of_type(text:sub(2, -2), name, depth) end
    local list, element = {}, text:match "^(.*)%[%]$"
    if element then
      for i = 1, below(4) do list[i] = of_type(element, name, depth + 1) end
      return list
    end
    if meta.aliases[text] then return of_type(text, name, depth) end
    local pool = world.pools[text]
    if pool then return pool[1] ~= nil and pick(pool) or nil end
    if meta.fields[text] then return options_of(text, depth) end
    if text == "T" or text:find "^{" then return {} end
    return any(depth)
  end

  return { any = any, of_type = of_type }
end

return M
