-- pumpsh COMMAND: what each prints, what it says to wrong arguments, how it exits.
local support =
  dofile((debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or ".") .. "/support.lua")

local json = require("pump").json
local run, fine, fails, objects = support.run, support.fine, support.fails, support.objects
local store

local function on(...) return run { "-u", store, ... } end

setup(function() store = "file:" .. support.path(".db") end)
teardown(support.clean)

describe("publish", function()
  it("writes one event and says where", function()
    local said = objects(fine(on("publish", "ponies", "PonyJumped", '{"Height":10}')))
    assert.equal("ponies", said[1].stream)
    assert.equal(0, said[1].first_event_number)
    assert.equal(0, said[1].last_event_number)
  end)

  it("stores the JSON text as it was given", function()
    local body = '{ "b": 1.10,  "a": 9007199254740993, "a": [] }'
    fine(on("publish", "exact", "T", body))
    assert.equal(body .. "\n", fine(on("--format", "raw", "read", "exact")).out)
  end)

  it("reads the body from standard input", function()
    fine(run({ "-u", store, "publish", "piped", "T", "-" }, { input = '{"in":\n1}\n' }))
    assert.equal('{"in":\n1}\n', fine(on("--format", "raw", "read", "piped")).out)
  end)

  it("needs no body", function()
    fine(on("publish", "empty", "T"))
    local event = objects(fine(on("read", "empty")))[1]
    assert.equal(json.null, event.data)
    assert.is_false(event.is_json)
  end)

  it("refuses a body that is no JSON", function()
    fails(1, "^pumpsh: publish: BODY is not JSON: .*byte 6", on("publish", "p", "T", '{"a":'))
    fails(1, "BODY is not JSON", on("publish", "p", "T", "PonyJumped"))
    fails(1, "BODY is not JSON", on("publish", "p", "T", ""))
  end)

  it("says what is missing or too much", function()
    fails(1, "^pumpsh: publish: TYPE is missing %(pumpsh publish STREAM TYPE %[BODY%]%)\n$",
      on("publish", "p"))
    fails(1, '"x" is one argument too many', on("publish", "p", "T", "1", "x"))
  end)
end)

describe("read", function()
  setup(function()
    local lines = {}
    for i = 0, 19 do lines[#lines + 1] = string.format('{"type":"t%d","data":%d}\n', i, i) end
    fine(run({ "-u", store, "import", "twenty" }, { input = table.concat(lines) }))
  end)

  local function numbers(...)
    local list = {}
    for i, event in ipairs(objects(fine(on("read", "twenty", ...)))) do
      list[i] = event.event_number
    end
    return list
  end

  it("prints an event a line, with all that is known of it", function()
    local event = objects(fine(on("read", "twenty", "--count", "1")))[1]
    assert.equal("twenty", event.stream)
    assert.equal("t0", event.type)
    assert.equal(0, event.event_number)
    assert.equal(0, event.data)
    assert.equal(json.null, event.metadata)
    assert.is_true(event.is_json)
    assert.matches("^%x+%-%x+%-%x+%-%x+%-%x+$", event.id)
    assert.is_true(math.abs(event.created - os.time()) < 120)
  end)

  it("starts, ends and turns as it is told", function()
    assert.equal(20, #numbers())
    assert.same({ 0, 1 }, numbers("--count", "2"))
    assert.same({ 17, 18, 19 }, numbers("--from", "17"))
    assert.same({ 19, 18 }, numbers("--backward", "--count", "2"))
    assert.same({ 3, 2 }, numbers("--backward", "--from", "3", "--count=2"))
  end)

  it("reads $all", function()
    local streams = {}
    for _, event in ipairs(objects(fine(on("read", "$all")))) do streams[event.stream] = true end
    assert.is_true(streams.twenty)
    assert.equal(1, #objects(fine(on("read", "$all", "--backward", "--count", "1"))))
  end)

  it("follows what is written later", function()
    local result = run({}, { env = { "STORE=" .. store }, shell = [[
      "$PUMPSH" serve --listen 127.0.0.1:0 >"$SCRATCH.url" 2>/dev/null & server=$!
      while [ ! -s "$SCRATCH.url" ]; do sleep 0.05; done
      url=$(sed 's#tcp://#tcp://admin:changeit@#' "$SCRATCH.url"); rm "$SCRATCH.url"
      "$PUMPSH" -u "$url" read news --follow >"$SCRATCH.out" & reader=$!
      "$PUMPSH" -u "$url" publish news a 1 >/dev/null
      sleep 1.2
      "$PUMPSH" -u "$url" publish news b 2 >/dev/null
      sleep 1.2
      kill -INT $reader; wait $reader; echo "status $?" >>"$SCRATCH.out"
      kill $server; wait $server
      cat "$SCRATCH.out"; rm "$SCRATCH.out"]] })
    assert.matches('"type":"a".*"event_number":0.*\n.*"type":"b".*"event_number":1.*\n'
      .. "status 130\n$", result.out)
  end)

  it("shows tables, blocks of JSON, and bodies alone", function()
    assert.matches("^number +type +created +data\n +0  t0 +[%d-]+ [%d:]+ +0\n",
      fine(on("--format", "table", "read", "twenty")).out)
    local list = assert(json.decode(fine(on("read", "twenty", "--format", "json")).out))
    assert.equal(20, #list)
    assert.equal("7\n", fine(on("read", "twenty", "--from", "7", "--count", "1",
      "--format=raw")).out)
    assert.matches('^rawly\n0\n0\n{"commit":%d+,"prepare":%d+}\n$',
      fine(on("publish", "rawly", "T", "--format=raw")).out)
  end)

  it("says what is wrong", function()
    fails(3, "^pumpsh: stream_not_found: .*nosuch", on("read", "nosuch"))
    fails(1, "read: STREAM is missing", on("read"))
    fails(1, '"b" is one argument too many', on("read", "a", "b"))
    fails(1, "no option %-%-cuont; did you mean %-%-count%?", on("read", "a", "--cuont", "3"))
    fails(1, "%-%-count must be 1 or more", on("read", "a", "--count", "0"))
    fails(1, '%-%-from wants a whole number, not "x"', on("read", "a", "--from", "x"))
    fails(1, "%-%-follow goes forward", on("read", "a", "--follow", "--backward"))
  end)
end)

describe("event", function()
  it("shows one event, or the last", function()
    assert.equal("t3", objects(fine(on("event", "twenty", "3")))[1].type)
    assert.equal("t19", objects(fine(on("event", "twenty", "last")))[1].type)
    assert.matches("^twenty@3 t3\nid +%x.*\ndata +3\n$",
      fine(on("event", "twenty", "3", "--format", "table")).out)
  end)

  it("says what is wrong", function()
    fails(3, "event_not_found", on("event", "twenty", "99"))
    fails(3, "stream_not_found", on("event", "nosuch", "0"))
    fails(1, 'event: NUMBER is a whole number .*not "x"', on("event", "twenty", "x"))
    fails(1, "event: NUMBER is a whole number", on("event", "twenty", "-1"))
    fails(1, "NUMBER is missing", on("event", "twenty"))
  end)
end)

describe("export and import", function()
  local function import(stream, text)
    return run({ "-u", store, "import", stream }, { input = text })
  end

  it("keep every event as it was", function()
    local program = [[
      local any = function(id, data, options) return pump.new_event("T", data, options) end
      local deep = string.rep("[", 900) .. string.rep("]", 900)
      assert(conn:publish("all_kinds", {
        any(1, "\0\1\255\n"), any(2, ""), any(3, nil),
        any(4, '{"n":9007199254740993,"f":1.10,"f":2}', { content_type = "json" }),
        any(5, ' {"padded": true} ', { content_type = "json" }),
        any(6, '{\n"lines": true}', { content_type = "json" }),
        any(7, 'null', { content_type = "json" }), any(8, 'null'), any(9, '{"text": 1}'),
        any(10, '"x"', { content_type = "json", metadata = "null" }),
        any(11, '"x"', { content_type = "json", metadata = "\0binary" }),
        any(12, '"x"', { content_type = "json", metadata = '{ "m": 9007199254740993 }' }),
        any(13, deep, { content_type = "json" }),
        any(14, '"é\\u00e9\\ud83d\\ude00"', { content_type = "json" }),
      }))]]
    fine(on("-e", program))
    local first = fine(on("export", "all_kinds"))
    assert.equal(14, support.lines(first.out))
    fine(import("copy", first.out))
    local second = fine(on("export", "copy"))
    local function without_place(s)
      return (s:gsub('"stream":"[^"]*"', ""):gsub('"created":[%d.]*', ""))
    end
    assert.equal(without_place(first.out), without_place(second.out))
    local same = fine(on("-e", [[
      local copies = conn:iter("copy")
      for event in conn:iter("all_kinds") do
        local copy = copies()
        assert(event.data == copy.data and event.metadata == copy.metadata
          and event.id == copy.id and event.is_json == copy.is_json and event.type == copy.type,
          tostring(event))
      end
      assert(copies() == nil)
      print("same")]]))
    assert.equal("same\n", same.out)
  end)

  it("says how many, and skips empty lines", function()
    local result = fine(import("some", '{"type":"a"}\n\n  \n{"type":"b","data":{}}'))
    assert.equal(2, objects(result)[1].imported)
  end)

  it("takes thousands of lines", function()
    local lines = {}
    for i = 1, 5000 do lines[i] = string.format('{"type":"n","data":{"i":%d}}\n', i) end
    fine(import("thousands", table.concat(lines)))
    local result = fine(on("export", "thousands"))
    assert.equal(5000, support.lines(result.out))
    assert.matches('"event_number":4999,"data":{"i":5000}', result.out)
  end)

  local wrong = {
    { '{"type":"a"}\n{"typ":"b"}\n', 'line 2: "type" is missing' },
    { '\n{"type":1}\n', 'line 2: "type" is not a string' },
    { '{"type":""}', 'line 1: "type" is missing' },
    { '{"type":"a"', "line 1: .*byte" },
    { '[1]', "line 1: it is no JSON object" },
    { '{"type":"a","data_base64":"?"}', 'line 1: "data_base64" is not Base64' },
    { '{"type":"a","metadata_base64":1}', 'line 1: "metadata_base64" is not Base64' },
    { '{"type":"a","id":"x"}', "line 1: .*UUID" },
    { '\27[2J', "line 1: " },
  }
  for _, case in ipairs(wrong) do
    it("names the line: " .. case[2], function()
      fails(1, "^pumpsh: import: " .. case[2], import("wrong", case[1]))
    end)
  end

  it("has written what stood before a bad line", function()
    fails(1, "line 3: .*2 events before it are written",
      import("half", '{"type":"a"}\n{"type":"b"}\n{}\n{"type":"c"}\n'))
    assert.equal(2, support.lines(fine(on("read", "half")).out))
  end)

  it("says that there is no such stream", function()
    fails(3, "stream_not_found", on("export", "nosuch"))
  end)
end)

describe("ping and conninfo", function()
  it("tell of the connection", function()
    local times = objects(fine(on("ping", "--count", "2")))
    assert.equal(2, #times)
    assert.is_true(times[1].seconds > 0 and times[1].seconds < 5)
    local info = objects(fine(on("conninfo")))[1]
    assert.equal(store, info.url)
    assert.equal("connected", info.state)
    assert.equal(0, info.requests)
    assert.equal(0, info.reconnects)
    assert.is_true(info.bytes_out > 0)
    assert.equal("number", type(info.latency_p50))
    assert.matches("\nlatency_p50 +0.000 ms\n", fine(on("--format", "table", "conninfo")).out)
    fails(1, "one argument too many", on("ping", "x"))
  end)

  it("never show a password", function()
    local result = run { "-u", "tcp://derpy:muffins@127.0.0.1:1", "conninfo" }
    fails(2, "connect_failed", result)
    assert.is_nil(result.err:find("muffins"))
  end)
end)

describe("members", function()
  it("shows the cluster", function()
    local result = run({}, { shell = [[
      : >"$SCRATCH.url"
      "$PUMPSH" -q serve --listen 127.0.0.1:0 --http 127.0.0.1:0 >"$SCRATCH.url" & server=$!
      while [ "$(wc -l <"$SCRATCH.url")" -lt 2 ]; do sleep 0.05; done
      seed=$(sed -n 's|^http://||p' "$SCRATCH.url")
      "$PUMPSH" -u "discover://$seed" members
      kill $server; wait $server; rm "$SCRATCH.url"]] })
    local members = objects(result)
    assert.equal(1, #members)
    assert.equal("Master", members[1].state)
    assert.is_true(members[1].is_alive)
    assert.equal("127.0.0.1", members[1].host)
  end)

  it("says that there is none", function()
    fails(3, "no members: it is no cluster", on("members"))
    fails(2, "discovery_failed: .*127.0.0.1:1: connection refused",
      run { "-u", "discover://127.0.0.1:1", "--timeout", "0.3", "members" })
  end)
end)

describe("the command line", function()
  it("tells of itself", function()
    assert.matches("^pumpsh %d+%.%d+%.%d+\n$", fine(run { "--version" }).out)
    local help = fine(run { "--help" }).out
    for _, name in ipairs { "read", "event", "publish", "import", "export", "ping", "conninfo",
      "members", "serve" } do
      assert.matches("\n  " .. name .. "[ \n]", help)
    end
    assert.matches("^pumpsh read STREAM", fine(run { "read", "--help" }).out)
  end)

  it("says that it chose memory: itself, unless it is to be quiet", function()
    local result = run { "ping" }
    assert.matches("memory:", result.err)
    assert.equal(1, support.lines(result.err))
    fine(run { "-q", "ping" })
    fine(run({ "ping" }, { env = { "PUMP_URL=memory:" } }))
  end)

  it("suggests what was meant", function()
    fails(1, "no command raed; did you mean read%?", run { "raed", "x" })
    fails(1, "no command frobnicate; pumpsh %-%-help lists them", run { "frobnicate" })
    fails(1, "no option %-%-ulr; did you mean %-%-url%?", run { "--ulr", "x" })
    fails(1, "%-%-url wants URL", run { "-u" })
    fails(1, "%-%-format is one of", run { "--format", "xml", "ping" })
    fails(1, "%-%-user wants a password", run { "--user", "derpy", "ping" })
  end)

  it("runs chunks and scripts with conn, pump and arg", function()
    assert.equal("1\n2\n", fine(run { "-e", "x = 1 print(x)", "-e", "print(x + 1)" }).out)
    local script = support.path(".lua")
    support.write_file(script, [[#!/usr/bin/env pumpsh
      print(arg[0] == ..., arg[1], arg[2], (select("#", ...)))
      print(conn:publish_event("s", "T", { n = 1 }).last_event_number)
      print(type(pump.sleep), require("cjson").encode { 1 })]])
    assert.equal("false\ta\t--count\t2\n0\nfunction\t[1]\n",
      fine(run { "-q", script, "a", "--count" }).out)
  end)

  it("tells what is wrong with them in a line", function()
    fails(1, "^pumpsh: %-e:1: boom\n$", run { "-e", "error 'boom'" })
    fails(1, "^pumpsh: %-e:1: .*syntax error", run { "-e", "x y" })
    fails(1, "^pumpsh: cannot open script nosuch.lua", run { "nosuch.lua" })
    fails(3, "stream_not_found",
      run { "-q", "-e", "for e in conn:iter('nosuch') do print(e) end" })
    fails(3, "wrong_expected_version", run { "-q", "-e",
      "assert(conn:publish_event('s', 'T', 1, { expected_version = 7 }))" })
  end)
end)

describe("the output", function()
  it("ends quietly when nobody reads it", function()
    local result = run({}, { shell =
      [["$PUMPSH" -e 'for i = 1, 1e6 do print(i) end' | head -1]] })
    assert.equal("1\n", result.out)
    assert.equal("", result.err)
  end)

  it("is told about when it cannot be written", function()
    local result = run({}, { shell = [["$PUMPSH" -e 'print(1)' >/dev/full]] })
    fails(1, "cannot write the output: No space left", result)
  end)

  it("has no colours in a pipe", function()
    assert.is_nil(fine(on("--format", "table", "read", "ponies")).out:find("\27"))
  end)
end)

describe("a request to end", function()
  for _, chunk in ipairs { "pump.sleep(60)", "while true do end" } do
    it("ends " .. chunk, function()
      local result = run({}, { env = { "CHUNK=" .. chunk }, shell = [[
        "$PUMPSH" -q -e "io.open(os.getenv 'SCRATCH' .. '.ready', 'w'):close()" -e "$CHUNK" &
        child=$!
        while [ ! -e "$SCRATCH.ready" ]; do sleep 0.05; done
        sleep 0.2; kill -TERM $child; wait $child]] })
      assert.equal("", result.err)
      assert.equal(143, result.status)
    end)
  end
end)

describe("an interrupt", function()
  for name, chunk in pairs {
    ["a wait"] = "pump.sleep(60)", ["a busy loop"] = "while true do end",
    ["a busy coroutine"] = "coroutine.wrap(function() while true do end end)()",
    ["a loop of requests"] = "while true do conn:ping() end",
    ["a wait that is caught"] = "while true do pcall(pump.sleep, 60) end",
  } do
    it("ends " .. name, function()
      local result = run({}, { env = { "CHUNK=" .. chunk }, shell = [[
        "$PUMPSH" -q -e "io.open(os.getenv 'SCRATCH' .. '.ready', 'w'):close()" -e "$CHUNK" &
        child=$!
        while [ ! -e "$SCRATCH.ready" ]; do sleep 0.05; done
        sleep 0.2; kill -INT $child; wait $child]] })
      assert.equal("", result.err)
      assert.equal(130, result.status)
    end)
  end
end)
