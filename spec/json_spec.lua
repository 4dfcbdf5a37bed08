-- pump.json against a corpus, its own round trips, and lua-cjson.
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
local corpus = dofile(here .. "/json/corpus.lua")
local helper = require "helper"
local pump = require "pump"
local json, array = pump.json, pump.array

-- Of random values.
local rounds = 20000 // helper.slow

local function brief(text)
  return (("%q"):format(#text > 60 and text:sub(1, 57) .. "..." or text):gsub("\\\n", "\\n"))
end

local function refuses(value, pattern)
  local text, err = json.encode(value)
  assert.is_nil(text)
  assert.equal("json_error", err.code)
  assert.matches(pattern, err.message)
  assert.is_nil(tostring(err):find("\n"))
end

describe("decode", function()
  for _, case in ipairs(corpus.valid) do
    it("reads " .. brief(case[1]), function()
      local value, err = json.decode(case[1])
      assert.is_nil(err)
      assert.equal(case[2], json.encode(value))
    end)
  end

  for _, case in ipairs(corpus.invalid) do
    it("refuses " .. brief(case[1]), function()
      local value, err = json.decode(case[1])
      assert.is_nil(value)
      assert.equal("json_error", err.code)
      assert.equal(case[2], err.offset)
      assert.is_nil(tostring(err):find("\n"))
    end)
  end

  it("tells integers from floats", function()
    assert.equal("integer", math.type(json.decode("1")))
    assert.equal("float", math.type(json.decode("1.0")))
    assert.equal("float", math.type(json.decode("1e2")))
    assert.equal("integer", math.type(json.decode("-9223372036854775808")))
    assert.equal("float", math.type(json.decode("9223372036854775808")))
    assert.equal(-math.huge, 1 / json.decode("-0"))
  end)

  it("gives every prefix of a document an error, and no prefix of it a value", function()
    local text = '{"a":[1,2.5e3,"x\\u00e9\\ud83d\\ude00é",null,true,false,{"b":[]}],"c":"d"}'
    assert.is_not_nil(json.decode(text))
    for size = 0, #text - 1 do
      local value, err = json.decode(text:sub(1, size))
      assert.is_nil(value)
      assert.is_true(err.offset >= 1 and err.offset <= size + 1)
    end
  end)

  it("makes nothing but strings, numbers, booleans, null and plain tables", function()
    local value = json.decode('{"a":[null,{"b":false}]}')
    assert.is_nil(getmetatable(value))
    assert.equal("userdata", type(value.a[1]))
    assert.is_true(rawequal(value.a[1], json.null))
    assert.is_false(value.a[2].b)
    assert.equal(2, #value.a)
  end)

  it("raises when it is not given a text", function()
    assert.has_error(function() json.decode() end)
    assert.has_error(function() json.decode {} end)
  end)

  it("has one table for a big object and a big array, in the order of the text", function()
    local keys, elements = {}, {}
    for i = 1, 5000 do
      keys[i] = ('"k%d":%d'):format(i % 3000, i)
      elements[i] = tostring(i)
    end
    local object = json.decode("{" .. table.concat(keys, ",") .. "}")
    for i = 1, 3000 do
      local last = i + 3000 <= 5000 and i + 3000 or i
      assert.equal(last, object["k" .. i % 3000])
    end
    local list = json.decode("[" .. table.concat(elements, ",") .. "]")
    assert.equal(5000, #list)
    for i = 1, 5000 do assert.equal(i, list[i]) end
  end)
end)

describe("encode", function()
  it("writes the plain values", function()
    assert.equal("null", json.encode(json.null))
    assert.equal("null", json.encode(nil))
    assert.equal("true", json.encode(true))
    assert.equal("false", json.encode(false))
    assert.equal('"x"', json.encode "x")
    assert.equal("{}", json.encode {})
    assert.equal("[]", json.encode(array {}))
    assert.equal("[1,2,3]", json.encode { 1, 2, 3 })
    assert.equal("[1]", json.encode { [1] = 1 })
    assert.equal('[1,[2,{"a":[]}]]', json.encode { 1, { 2, { a = array {} } } })
  end)

  it("keeps integers integer and floats float", function()
    assert.equal("1", json.encode(1))
    assert.equal("1.0", json.encode(1.0))
    assert.equal("100.0", json.encode(1e2))
    assert.equal("-0.0", json.encode(-0.0))
    assert.equal("-9223372036854775808", json.encode(math.mininteger))
    assert.equal("9223372036854775807", json.encode(math.maxinteger))
    assert.equal("9.223372036854776e18", json.encode(2.0 ^ 63))
  end)

  it("sorts keys by their bytes, at any size", function()
    local value = { b = 5, ["é"] = 6, a = 3, aa = 4, [""] = 1, A = 2 }
    assert.equal('{"":1,"A":2,"a":3,"aa":4,"b":5,"é":6}', json.encode(value))
    local many, names = {}, {}
    for i = 1, 1000 do
      names[i] = ("key%d"):format(i * 7919 % 1009)
      many[names[i]] = i
    end
    table.sort(names)
    local keys = {}
    for key in json.encode(many):gmatch '"(.-)":' do keys[#keys + 1] = key end
    assert.same(names, keys)
  end)

  it("keeps the keys of nested objects apart", function()
    local outer = {}
    for i = 1, 100 do
      outer["o" .. i] = {}
      for k = 1, 100 do outer["o" .. i]["i" .. k] = i * k end
    end
    assert.same(outer, json.decode(json.encode(outer)))
  end)

  it("says what can't be written, and where", function()
    refuses(print, "^a function can't be JSON$")
    refuses({ lines = { 1, 2, { price = 0 / 0 } } }, "^NaN .*, at %.lines%[3%]%.price$")
    refuses({ math.huge }, "infinities .*, at %[1%]$")
    refuses({ -math.huge }, "infinities .*, at %[1%]$")
    refuses({ a = { 1, nil, 3 } }, "hole, at %.a%[2%]$")
    refuses({ [2] = 1 }, "hole, at %[1%]$")
    refuses({ [math.maxinteger] = 1 }, "hole, at %[1%]$")
    refuses({ [0] = 1 }, "other keys than strings or 1 to n")
    refuses({ [-1] = 1 }, "other keys than strings or 1 to n")
    refuses({ [1.5] = 1 }, "other keys than strings or 1 to n")
    refuses({ [true] = 1 }, "other keys than strings or 1 to n")
    refuses({ 1, a = 2 }, "keys")
    refuses({ a = 2, [{}] = 1 }, "keys")
    refuses(array { a = 1 }, "other keys than strings or 1 to n")
    refuses({ x = "\xff" }, "not UTF%-8 .*, at %.x$")
    refuses({ ["\xff"] = 1 }, "key that is not UTF%-8")
    refuses({ ["\xff"] = print }, "key that is not UTF%-8")
    refuses({ ["a b"] = { ['"'] = print } }, [[at %["a b"%]%["\""%]$]])
    refuses({ ["9"] = print }, 'at %["9"%]$')
    refuses({ [("x"):rep(1000)] = print }, "at %[a long key%]$")
    refuses(io.stdout, "a userdata can't be JSON")
    refuses(debug.upvalueid(refuses, 1), "a userdata can't be JSON")
    refuses(coroutine.create(print), "a thread can't be JSON")
  end)

  it("ends at what holds itself, and goes as deep as decode", function()
    local loop = {}
    loop.x = { loop }
    refuses(loop, "1000 deep.*, at %.x%[1%]%.x")
    local deep = 1
    for _ = 1, 1000 do deep = { deep } end
    local text = json.encode(deep)
    assert.equal(("["):rep(1000) .. "1" .. ("]"):rep(1000), text)
    assert.is_not_nil(json.decode(text))
    refuses({ deep }, "1000 deep")
    local shared = {}
    assert.equal('{"a":{},"b":{}}', json.encode { a = shared, b = shared })
  end)

  it("is as good after an error as before", function()
    for _ = 1, 100 do
      refuses({ ("x"):rep(100), print }, "at %[2%]$")
      assert.equal("[1]", json.encode { 1 })
    end
  end)

  it("writes texts of any size", function()
    for power = 0, 20 do
      local text = ("x"):rep(2 ^ power // 1 | 0)
      assert.equal('"' .. text .. '"', json.encode(text))
    end
  end)

  it("may be called by a finalizer in the middle of itself", function()
    local pause, step = collectgarbage("setpause", 0), collectgarbage("setstepmul", 1000)
    finally(function()
      collectgarbage("setpause", pause)
      collectgarbage("setstepmul", step)
    end)
    local inside, surprises = 0, 0
    local encoding = false
    local function drop()
      setmetatable({}, {
        __gc = function()
          if encoding then inside = inside + 1 end
          if json.encode { a = { 1, 2 } } ~= '{"a":[1,2]}' then surprises = surprises + 1 end
          if inside < 50 then drop() end
        end,
      })
    end
    local many = {}
    for i = 1, 1000 do many["k" .. i] = i end
    local big = { "first", many }
    local wanted = json.encode(big)
    drop()
    for i = 1, 5000 do
      local _ = ("x"):rep(i * 7919 % 5000) -- so that a cycle ends here and there
      encoding = true
      local text = json.encode(big)
      encoding = false
      assert.is_true(text == wanted)
      if inside == 50 then break end
    end
    assert.equal(50, inside)
    assert.equal(0, surprises)
  end)
end)

describe("array", function()
  it("marks a table, and gives that table back", function()
    local marked = {}
    assert.equal(marked, array(marked))
    assert.equal(marked, array(marked))
    assert.equal("[]", json.encode(marked))
    marked[1] = "x"
    assert.equal('["x"]', json.encode(marked))
    refuses(array { 1, nil, 3 }, "hole")
  end)

  it("is what decode makes of every array", function()
    local value = json.decode "[[],[1]]"
    assert.equal(getmetatable(array {}), getmetatable(value))
    assert.equal(getmetatable(value), getmetatable(value[1]))
    value[1][1], value[2][1] = 2, nil
    assert.equal("[[2],[]]", json.encode(value))
  end)

  it("leaves the metatables of others alone", function()
    assert.has_error(function() array(setmetatable({}, {})) end)
    assert.has_error(function() array "x" end)
    assert.equal('{"a":1}', json.encode(setmetatable({ a = 1 }, { __index = { b = 2 } })))
  end)
end)

describe("round trips", function()
  it("keep every kind of 64-bit integer", function()
    for power = 0, 63 do
      for near = -2, 2 do
        for _, number in ipairs { (1 << power) + near, -(1 << power) + near } do
          local text = json.encode(number)
          assert.equal(("%d"):format(number), text)
          assert.equal(number, json.decode(text))
          assert.equal("integer", math.type(json.decode(text)))
        end
      end
    end
    local power = 1
    for _ = 1, 18 do
      power = power * 10
      for near = -1, 1 do assert.equal(power + near, json.decode(json.encode(power + near))) end
    end
  end)

  local function same_float(number)
    local text = json.encode(number)
    local back = json.decode(text)
    if math.type(back) ~= "float" or string.pack("d", back) ~= string.pack("d", number) then
      error(("%a became %s"):format(number, text))
    end
    return text
  end

  it("keep every kind of double, in no more digits than needed", function()
    math.randomseed(20260307)
    local checked = 0
    while checked < rounds do
      local number = string.unpack("d", string.pack("j", math.random(0)))
      if number == number and math.abs(number) ~= math.huge then
        checked = checked + 1
        local text = same_float(number)
        local digits = text:gsub("e.*", ""):gsub("%.", ""):gsub("^[-0]*", ""):gsub("0*$", "")
        for precision = 1, #digits - 1 do
          assert.is_not.equal(number, tonumber((("%%.%de"):format(precision - 1)):format(number)))
        end
      end
    end
    for _ = 1, rounds do
      same_float(math.random() * 10.0 ^ math.random(-10, 20))
      same_float(math.random(-1000000, 1000000) / 10.0 ^ math.random(0, 8))
      same_float(string.unpack("d", string.pack("j", math.random(0) >> 12))) -- subnormal
    end
    for exponent = -1074, 1023 do
      for near = -1, 1 do
        local bits = string.unpack("j", string.pack("d", 2.0 ^ exponent)) + near
        same_float(string.unpack("d", string.pack("j", bits)))
      end
    end
    for exponent = -323, 308 do same_float(tonumber("1e" .. exponent)) end
  end)

  it("read a decimal as Lua does", function()
    for _ = 1, rounds do
      local digits = {}
      for i = 1, math.random(1, math.random(1, 40)) do digits[i] = math.random(0, 9) end
      local whole = table.concat(digits)
      local text = ("1%s.%se%d"):format(whole, whole:reverse(), math.random(-340, 260))
      assert.equal(tonumber(text), json.decode(text))
    end
  end)

  local ranges = {
    { 0, 0x7f }, { 0x80, 0x7ff }, { 0x800, 0xd7ff }, { 0xe000, 0xffff }, { 0x10000, 0x10ffff },
  }
  local function random_text()
    local parts = {}
    for i = 1, math.random(0, 12) do
      local range = ranges[math.random(#ranges)]
      parts[i] = utf8.char(math.random(range[1], range[2]))
    end
    return table.concat(parts)
  end

  local function random_value(depth)
    local kind = math.random(depth > 0 and 8 or 6)
    if kind == 1 then return json.null end
    if kind == 2 then return math.random(2) == 1 end
    if kind == 3 then return math.random(0) end
    if kind == 4 then return (math.random() - 0.5) * 10.0 ^ math.random(-30, 30) end
    if kind <= 6 then return random_text() end
    local value = kind == 7 and array {} or {}
    for i = 1, math.random(0, 10) do
      value[kind == 7 and i or random_text()] = random_value(depth - 1)
    end
    return value
  end

  it("keep nested values, and give the same bytes again", function()
    for _ = 1, 2000 do
      local value = random_value(5)
      local text = assert(json.encode(value))
      local back = json.decode(text)
      assert.same(value, back)
      assert.equal(text, json.encode(back))
    end
  end)
end)

describe("lua-cjson", function()
  local has_cjson, cjson = pcall(require, "cjson")
  if not has_cjson then
    pending("is not installed")
    return
  end

  it("has the same null", function()
    assert.is_true(rawequal(json.null, cjson.null))
    assert.equal('{"a":null}', cjson.encode(json.decode '{"a":null}'))
    assert.equal('{"a":null}', json.encode(cjson.decode '{"a":null}'))
  end)

  it("reads what we write, and we what it writes", function()
    local list = { 1.5, "x\n/é", true, cjson.null }
    local value = { a = list, b = { c = "\0\x1f" }, d = { { e = -2.25 } } }
    assert.same(value, cjson.decode(json.encode(value)))
    assert.same(value, json.decode(cjson.encode(value)))
    for _, case in ipairs(corpus.valid) do
      if #case[1]:match '^[[{"a:]*' < 1000 then -- cjson's limit is 1000 with the array around it
        assert.same(cjson.decode("[" .. case[1] .. "]"), cjson.decode("[" .. case[2] .. "]"))
      end
    end
  end)

  it("has plain sequences, and in its forks marks, that we take for arrays", function()
    assert.equal("[1,2]", json.encode { 1, 2 })
    local kept = package.loaded.cjson
    finally(function() package.loaded.cjson = kept end)
    local fork = { array_mt = {}, empty_array_mt = {}, empty_array = debug.upvalueid(refuses, 1) }
    package.loaded.cjson = fork
    assert.equal("[]", json.encode(fork.empty_array))
    assert.equal("[]", json.encode(setmetatable({}, fork.array_mt)))
    assert.equal("[1]", json.encode(setmetatable({ 1 }, fork.array_mt)))
    assert.equal("[]", json.encode(setmetatable({}, fork.empty_array_mt)))
    local filled = setmetatable({ a = fork.empty_array }, fork.empty_array_mt)
    assert.equal('{"a":[]}', json.encode(filled))
    assert.equal("{}", json.encode(setmetatable({}, {})))
    refuses(setmetatable({ a = 1 }, fork.array_mt), "keys")
  end)
end)
