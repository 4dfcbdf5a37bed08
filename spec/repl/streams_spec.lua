-- streams, meta and delete: what each prints, what it says to wrong arguments, how it exits.
local support =
  dofile((debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or ".") .. "/support.lua")

local run, fine, fails, objects = support.run, support.fine, support.fails, support.objects
local json = require("pump").json
local pattern_of = require("repl.glob").pattern
local store

local function on(...) return run { "-u", store, ... } end

local function publish(stream, count)
  for _ = 1, count or 1 do fine(on("publish", stream, "T", "1")) end
end

before_each(function() store = "file:" .. support.path(".db") end)
teardown(support.clean)

describe("a pattern", function()
  for glob, cases in pairs {
    ["order-*"] = { "order-1", "order-", "!order", "!x-order-1" },
    ["*-1"] = { "order-1", "-1", "!order-12" },
    ["?"] = { "a", "é", "!", "!ab" },
    ["[abc]x"] = { "ax", "cx", "!dx" },
    ["[!a-c]x"] = { "dx", "!ax" },
    ["[]]"] = { "]", "!a" },
    ["[^%w]"] = { "%", "w", "^", "!a" },
    ["[x"] = { "[x", "!x" },
    ["a.b%d(c)+$"] = { "a.b%d(c)+$", "!aXb1c" },
  } do
    it(glob .. " is one of the shell's kind", function()
      for _, case in ipairs(cases) do
        local name = case:match("^!(.*)$")
        assert.equal(name == nil, (name or case):find(pattern_of(glob)) ~= nil, case)
      end
    end)
  end
end)

describe("streams", function()
  local function names(...)
    local list = {}
    for i, object in ipairs(objects(fine(on("streams", ...)))) do list[i] = object.stream end
    return list
  end

  it("lists them in their order, with where they end", function()
    publish("order-2", 3)
    publish "order-1"
    publish "ponies"
    assert.same({ { stream = "order-2", last_event_number = 2 },
      { stream = "order-1", last_event_number = 0 },
      { stream = "ponies", last_event_number = 0 } }, objects(fine(on("streams"))))
    assert.same({ "order-2", "order-1" }, names("order-*"))
    assert.same({}, names("nobody"))
    assert.same({ "$users" }, names("$users"))
  end)

  it("leaves out what is deleted", function()
    publish "kept"
    publish "gone"
    publish "gone for ever"
    fine(on("delete", "gone", "--yes"))
    fine(on("delete", "gone for ever", "--hard", "--yes"))
    assert.same({ "kept" }, names())
    publish "gone"
    assert.same({ "kept", "gone" }, names())
  end)

  it("shows each form", function()
    assert.equal("[]\n", fine(on("--format", "json", "streams")).out)
    assert.equal("", fine(on("--format", "table", "streams")).out)
    publish("a", 2)
    local long = ("long"):rep(20)
    publish(long)
    local margin = "\n" .. (" "):rep(16)
    assert.equal("last_event_number  stream" .. margin .. "1  a" .. margin .. "0  " .. long .. "\n",
      fine(on("--format", "table", "streams")).out)
    assert.equal("a\n" .. long .. "\n", fine(on("--format", "raw", "streams")).out)
    assert.equal(2, #assert(json.decode(fine(on("--format", "json", "streams")).out)))
  end)

  it("takes $streams where the server keeps it", function()
    publish "a"
    publish "b"
    fine(on("-e", 'assert(conn:publish("$streams", { pump.new_event("$>", "0@b") }))'))
    assert.same({ "b" }, names())
  end)

  it("says each stream once though more are there than it remembers", function()
    local result = fine(on("-e", [[
      local streams = require "repl.streams"
      streams.most_seen = 10
      for round = 1, 2 do
        for i = 1, 100 do conn:publish_event("s" .. i, "T") end
      end
      conn:set_metadata("s1", { ["$tb"] = 1 })]], "streams"))
    local seen, count = {}, 0
    for _, object in ipairs(objects(result)) do
      assert.is_nil(seen[object.stream])
      seen[object.stream] = true
      count = count + 1
    end
    assert.equal(100, count)
  end)

  it("ends quietly when nobody reads", function()
    publish "a"
    fine(on("-e", 'for i = 1, 500 do conn:publish_event("s" .. i, "T") end'))
    local result = run({}, { env = { "STORE=" .. store }, shell =
      [["$PUMPSH" -u "$STORE" streams | head -1]] })
    assert.equal('{"last_event_number":0,"stream":"a"}\n', result.out)
    assert.equal("", result.err)
  end)

  it("says what is wrong", function()
    fails(1, '"b" is one argument too many %(pumpsh streams %[PATTERN%]%)', on("streams", "a", "b"))
    fails(2, "connect_failed", run { "-u", "tcp://127.0.0.1:1", "streams" })
  end)
end)

describe("meta", function()
  it("shows what is there, and sets it", function()
    publish "ponies"
    assert.same({ stream = "ponies", version = -1, metadata = {} },
      objects(fine(on("meta", "ponies")))[1])
    local text = '{"$maxCount": 3, "big": 9007199254740993}'
    assert.equal('{"stream":"ponies","version":0,"metadata":' .. text .. "}\n",
      fine(on("meta", "ponies", text)).out)
    assert.equal('{"stream":"ponies","version":0,"metadata":' .. text .. "}\n",
      fine(on("meta", "ponies")).out)
    assert.equal(text .. "\n", fine(on("--format", "raw", "meta", "ponies")).out)
    assert.equal("stream    ponies\nversion   0\nmetadata  " .. text:gsub('":', '":') .. "\n",
      fine(on("--format", "table", "meta", "ponies")).out)
    assert.equal("the metadata of ponies is at version 1\n",
      fine(on("--format", "table", "meta", "ponies", "{}")).out)
  end)

  it("expects a version", function()
    fine(on("meta", "s", "{}", "--expected", "no_stream"))
    fails(3, 'wrong_expected_version: .*"%$%$s", expected no stream',
      on("meta", "s", "{}", "--expected", "no_stream"))
    fine(on("meta", "s", "{}", "--expected", "0"))
    fine(on("meta", "s", "{}", "--expected=any"))
  end)

  it("says what is wrong", function()
    fails(1, "meta: STREAM is missing", on("meta"))
    fails(1, "meta: JSON is not JSON: .*byte 2", on("meta", "s", "{"))
    fails(1, "meta: JSON is an object, as ", on("meta", "s", "[1]"))
    fails(1, "meta: %-%-expected is an event number, any, .* not \"x\"",
      on("meta", "s", "{}", "--expected", "x"))
    fails(1, "%-%-expected goes with the JSON", on("meta", "s", "--expected", "1"))
  end)
end)

describe("delete", function()
  it("deletes, and the numbers go on", function()
    publish("ponies", 2)
    local said = objects(fine(on("delete", "ponies", "--yes")))[1]
    assert.equal("ponies", said.stream)
    assert.is_false(said.hard)
    assert.equal("integer", math.type(said.position.commit))
    fails(3, "stream_not_found", on("read", "ponies"))
    publish "ponies"
    assert.equal(2, objects(fine(on("read", "ponies")))[1].event_number)
    assert.equal("ponies is deleted\n",
      fine(on("--format", "table", "delete", "ponies", "--yes")).out)
  end)

  it("deletes for ever", function()
    publish "ponies"
    assert.is_true(objects(fine(on("delete", "ponies", "--hard", "--yes")))[1].hard)
    fails(3, "stream_deleted", on("publish", "ponies", "T"))
    fails(3, "stream_deleted", on("delete", "ponies", "--yes"))
  end)

  it("does not ask where nobody can answer, and does nothing then", function()
    publish "ponies"
    fails(1, "^pumpsh: delete: there is no terminal to ask on: say %-%-yes if you are sure\n$",
      on("delete", "ponies"))
    fails(1, "say %-%-yes", run({ "-q", "-u", store }, { input = "\\delete ponies\n" }))
    assert.equal(1, #objects(fine(on("read", "ponies"))))
  end)

  it("expects a version", function()
    publish("ponies", 2)
    fails(3, "wrong_expected_version", on("delete", "ponies", "--yes", "--expected", "0"))
    fine(on("delete", "ponies", "--yes", "--expected", "1"))
  end)

  it("says what is wrong", function()
    fails(3, "stream_not_found: .*nosuch", on("delete", "nosuch", "--yes"))
    fails(1, "delete: STREAM is missing", on("delete"))
    fails(1, "delete: %$all is no stream", on("delete", "$all", "--yes"))
    fails(1, "delete: %-%-expected is", on("delete", "s", "--yes", "--expected", "-1"))
    fails(1, "no option %-%-hrad; did you mean %-%-hard%?", on("delete", "s", "--hrad"))
  end)
end)
