-- Text for terminals, values for people, JSON as text, Base64: no terminal and no server needed.
local support =
  dofile((debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or ".") .. "/support.lua")

local base64 = require "repl.base64"
local columns = require "repl.columns"
local glyphs = require "repl.glyphs"
local json_text = require "repl.json_text"
local pretty = require "repl.pretty"
local text = require "repl.text"

os.setlocale("C.UTF-8", "ctype") -- how wide a character is depends on it

describe("text", function()
  it("writes out what could act on a terminal", function()
    assert.equal("a\\x1b[1m", text.safe("a\27[1m"))
    assert.equal("\\x00\\r\\n\\t", text.safe("\0\r\n\t"))
    assert.equal("a\n\tb\\x07", text.safe("a\n\tb\7", true))
    assert.equal("\\u{9b}31m", text.safe("\u{9b}31m"))
    assert.equal("\\u{202e}x", text.safe("\u{202e}x"))
    assert.equal("\\u{7f}", text.safe("\127"))
    assert.equal("\\xff\\xfeé日", text.safe("\xff\xfeé日"))
    assert.equal("plain", text.safe("plain"))
  end)

  it("tells text from bytes", function()
    assert.is_true(text.is_text("Grüße\n\tund so"))
    assert.is_false(text.is_text("a\0b"))
    assert.is_false(text.is_text("\xff"))
    assert.is_false(text.is_text("\27[0m"))
  end)

  it("clips and pads by characters", function()
    assert.equal("abc", text.clip("abc", 3))
    assert.equal("ab…", text.clip("abcd", 3))
    assert.equal("éé…", text.clip("éééé", 3))
    assert.equal("é  ", text.pad("é", 3))
    assert.equal("  é", text.pad("é", 3, true))
  end)

  it("is cut where a row of the terminal is full", function()
    local function cut(s, from, column, width, most)
      return { glyphs.rows(s, from, column, width, most or 1000) }
    end
    assert.same({ 8, 0 }, cut(("x"):rep(20), 1, 0, 4, 10))
    assert.same({ 12, 0 }, cut(("x"):rep(20), 9, 0, 4, 5))
    assert.same({ 5, 0 }, cut(("x"):rep(20), 1, 3, 4, 8))
    assert.same({ 0, 0 }, cut("xx", 1, 4, 4, 1))
    assert.same({ 3, 3 }, cut(("x"):rep(20), 1, 0, 4, 3)) -- no row is full by then
    assert.same({ 20, 4 }, cut(("x"):rep(20), 1, 0, 4)) -- the end
    assert.same({ 3, 0 }, cut("xx\nyyy", 1, 0, 4, 5)) -- a line's end
    assert.same({ 5, 0 }, cut("xxxx\nyyy", 1, 0, 4, 6)) -- is part of the row before it
    assert.same({ 6, 0 }, cut("日本日本", 1, 0, 5, 9)) -- what has no room goes to the next row
    assert.same({ 6, 0 }, cut("xxxe\u{301}xxx", 1, 0, 4, 7)) -- what has no width stays
    assert.same({ 8, 0 }, cut("\27[31mxxxx\27[0mx", 1, 0, 3, 10))
    assert.same({ 3, 9 }, cut("x\tyz", 1, 0, 10, 3))
  end)

  it("shows bytes as hex with their number", function()
    assert.equal("0 bytes", text.hex(""))
    assert.equal("1 byte: 00", text.hex("\0"))
    assert.equal("1,000 bytes: 78 78 …", text.hex(("x"):rep(1000), 2))
  end)

  it("groups digits", function()
    assert.equal("0", text.count(0))
    assert.equal("999", text.count(999))
    assert.equal("1,000", text.count(1000))
    assert.equal("1,234,567", text.count(1234567))
    assert.equal("12,345,678", text.count(12345678))
    assert.equal("1,234,567,890", text.count(1234567890))
  end)

  it("finds what was meant", function()
    local names = { "read", "event", "publish" }
    assert.equal("read", text.near("raed", names))
    assert.equal("publish", text.near("publsih", names))
    assert.equal("publish", text.near("pub", names))
    assert.is_nil(text.near("frobnicate", names))
  end)
end)

describe("pretty", function()
  it("sorts keys and keeps to one line what fits", function()
    assert.equal('{ 1, 2, a = true, ["b c"] = "x" }',
      pretty.value { 1, 2, ["b c"] = "x", a = true })
    assert.equal("{}", pretty.value {})
    assert.equal("nil", pretty.value(nil))
    assert.equal("9007199254740993", pretty.value(9007199254740993))
  end)

  it("breaks lines that are too long", function()
    assert.equal('{\n  first = "xxxxxxxxxx",\n  second = "yyyyyyyyyy"\n}',
      pretty.value({ first = ("x"):rep(10), second = ("y"):rep(10) }, 30))
  end)

  it("bounds cycles, depth, length and long strings", function()
    local cycle = {}
    cycle.me = cycle
    assert.equal("{ me = <cycle> }", pretty.value(cycle))
    local deep = {}
    for _ = 1, 50 do deep = { deep } end
    assert.matches("{…}", pretty.value(deep), 1, true)
    local many = {}
    for i = 1, 1000 do many[i] = i end
    assert.matches("… 900 more", pretty.value(many), 1, true)
    assert.matches("(5,000 bytes)", pretty.value(("x"):rep(5000)), 1, true)
  end)

  it("shows bytes as hex and nothing that acts on a terminal", function()
    assert.equal("<2 bytes: 00 ff>", pretty.value("\0\xff"))
    assert.is_nil(pretty.value({ ["\27[1m"] = "\27]0;x\7" }):find("[\27\7]"))
    local evil = setmetatable({}, { __tostring = function() return "\27[2J" end })
    assert.equal("\\x1b[2J", pretty.value(evil))
  end)

  it("says the same thing in colours", function()
    local value = { a = { 1, "x" }, b = false }
    local coloured = pretty.value(value, 80, require("repl.paint").painter(true))
    assert.matches("\27[", coloured, 1, true)
    assert.equal(pretty.value(value), (coloured:gsub("\27%[%d*m", "")))
  end)
end)

-- JSON laid out as it is for people.
local function indent(s, width, margin, colours, pieces)
  pieces = pieces or {}
  json_text.write({
    write = function(_, piece) pieces[#pieces + 1] = piece end,
    is_terminal = function() return true end,
    colours = function() return colours end,
  }, s, width, margin)
  return table.concat(pieces)
end

describe("json_text", function()
  it("finds members as they were written", function()
    local members = json_text.members(' {"a" : {"x":"}\\""} , "n":9007199254740993,"t":1.10 }')
    assert.same({ ['"a"'] = '{"x":"}\\""}', ['"n"'] = "9007199254740993", ['"t"'] = "1.10" },
      members)
    assert.same({}, json_text.members("{}"))
    assert.is_nil(json_text.members("[1]"))
  end)

  it("takes the last of doubled keys", function()
    assert.equal("2", json_text.members('{"a":1,"a":2}')['"a"'])
  end)

  it("takes out blanks, but none in strings", function()
    assert.equal('{"a b":[1,"x  \\" y"]}', json_text.compact('{ "a b" : [ 1,\n "x  \\" y" ] }'))
  end)

  it("indents what is deep in little time, and makes no more of it than it is", function()
    local deep = ("["):rep(900) .. ("1,"):rep(100000) .. "1" .. ("]"):rep(900)
    local started = os.clock()
    local laid_out = indent(deep, 80)
    assert.is_true(#laid_out < 50 * #deep)
    assert.is_true(os.clock() - started < 5 * support.slow)
    assert.equal(deep, (laid_out:gsub("%s", "")))
  end)

  it("indents what is too wide", function()
    assert.equal('{\n  "a": 1,\n  "b": [1, 2],\n  "c": {}\n}',
      indent('{"a":1,"b":[1,2],"c":{}}', 13))
    assert.equal('{"a": 1}', indent('{"a":1}', 80))
    assert.equal("9007199254740993", indent(" 9007199254740993 ", 80))
    assert.equal('{\n  "a": [\n    "' .. ("x"):rep(70) .. '"\n  ],\n  "b": {"c": "\\"}"}\n}',
      indent('{ "a" : ["' .. ("x"):rep(70) .. '"] ,"b":{"c":"\\"}"}}', 60))
  end)

  it("stands behind a margin, and in colours", function()
    assert.equal('[\n     1,\n     {"a": true}\n   ]', indent('[1,{"a":true}]', 13, 3))
    assert.equal('{"a": 1, "b": ["x", null]}', (indent('{"a":1,"b":["x",null]}', 80, 0,
      require("repl.paint").json):gsub("\27%[%d*m", "")))
    assert.equal('{\27[34m"a"\27[0m: \27[36m-1.5e3\27[0m}',
      indent('{"a":-1.5e3}', 80, 0, require("repl.paint").json))
  end)

  it("is no wider than it may be, by what characters take", function()
    assert.equal('["aaa", "bbb"]', indent('["aaa","bbb"]', 14))
    assert.equal('[\n  "aaa",\n  "bbb"\n]', indent('["aaa","bbb"]', 13))
    assert.equal('["ééé", "bbb"]', indent('["ééé","bbb"]', 14))
    assert.equal("[\n  [],\n  {}\n]", indent("[ [ ] , { } ]", 0))
    assert.equal('{\n  "é": [1],\n  "a": 2\n}', indent('{"é":[1],"a":2}', 10))
    assert.equal('{\n  "é": [\n    1\n  ],\n  "a": 2\n}',
      indent('{"é":[1],"a":2}', 9))
  end)

  it("comes in pieces when it is long, and takes little time", function()
    local s = '{"ponies":[' .. ('{"name":"Derpy","height":[1,2.50,null]},'):rep(250000) .. "0]}"
    local pieces, started = {}, os.clock()
    local laid_out = indent(s, 80, 0, nil, pieces)
    assert.is_true(os.clock() - started < 1.5 * support.slow)
    assert.equal(s, (laid_out:gsub("%s", "")))
    for _, piece in ipairs(pieces) do assert.is_true(#piece < 40000) end
  end)

  it("knows JSON", function()
    for _, good in ipairs { "1", " [] ", '{"a":[null,true,"\\u00e9"]}' } do
      assert.is_true(json_text.is_json(good), good)
    end
    for _, bad in ipairs { "", "01", "[1", "1 2", "{1:2}", "nul", '"\xff"', "1e999" } do
      assert.is_false(json_text.is_json(bad), bad)
    end
  end)

  it("stands in a line", function()
    assert.equal('[1,  2, "\\n"] ', json_text.line '[1,\r\n2,\n"\\n"]\n')
    assert.equal("[1]", json_text.line "[1]")
  end)

  it("escapes as JSON does what acts on a terminal", function()
    assert.equal('["\\u009b\\u007fé\\u202e"]', indent('["\u{9b}\127é\u{202e}"]', 80))
    assert.equal('"\\u009b\\u007f"', json_text.safe('"\u{9b}\127"'))
  end)
end)

describe("a row", function()
  it("fits, and its widest columns give way", function()
    local long = ("long"):rep(20)
    local row, widths = { "12345", long, long, long }, { 6, 32, 32 }
    for _, width in ipairs { 80, 60, 40, 24 } do
      assert.equal(width, text.width((columns.line(row, widths, width, 1))))
    end
    assert.equal(" 12345  " .. ("long"):rep(7) .. "lon…  " .. ("long"):rep(7) .. "lon…  longlon…",
      columns.line(row, widths, 84, 1))
    assert.equal(" 12345  " .. (long .. "  "):rep(2) .. long,
      columns.line(row, widths, math.huge, 1))
  end)
end)

describe("base64", function()
  it("is whole where it is long", function()
    local bytes = {}
    for i = 1, 10000 do bytes[i] = string.char(i * 7 % 256) end
    bytes = table.concat(bytes)
    for _, size in ipairs { 3071, 3072, 3073, 3074, 6143, 6145, 10000 } do
      local encoded = base64.encode(bytes:sub(1, size))
      assert.equal((size + 2) // 3 * 4, #encoded)
      assert.equal(bytes:sub(1, size), base64.decode(encoded))
    end
  end)

  it("knows the vectors of RFC 4648", function()
    local vectors = { [""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foob = "Zm9vYg==",
      fooba = "Zm9vYmE=", foobar = "Zm9vYmFy" }
    for bytes, encoded in pairs(vectors) do
      assert.equal(encoded, base64.encode(bytes))
      assert.equal(bytes, base64.decode(encoded))
    end
  end)

  it("gives every byte back", function()
    local all = {}
    for byte = 0, 255 do all[byte + 1] = string.char(byte) end
    local bytes = table.concat(all)
    assert.equal(bytes, base64.decode(base64.encode(bytes)))
  end)

  it("refuses what is none", function()
    for _, bad in ipairs { "Zg", "Zg=", "Z===", "Zh==", "Zm9v!", "Zm9v\n", "====", "=Zg=" } do
      assert.is_nil(base64.decode(bad), bad)
    end
  end)
end)
