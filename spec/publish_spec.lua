local helper = require "helper"
local pump = require "pump"

helper.leaves_nothing(after_each)

local function read_all(conn, stream)
  local list = {}
  for event in conn:iter(stream) do list[#list + 1] = event end
  return list
end

describe("publish_event", function()
  it("tells where the event stands", function()
    local conn <close> = helper.connect()
    local stream = helper.stream "ponies"
    for i = 0, 2 do
      local result = assert(conn:publish_event(stream, "PonyJumped", { Height = i }))
      assert.equal(i, result.first_event_number)
      assert.equal(i, result.last_event_number)
      assert.equal("integer", math.type(result.position.commit))
      assert.equal(1, result.count)
    end
  end)

  -- What a body becomes: data, is_json.
  for name, case in pairs {
    ["a table"] = { { a = 1 }, '{"a":1}', true },
    ["an array"] = { { 1, 2 }, "[1,2]", true },
    ["an empty array"] = { pump.array {}, "[]", true },
    ["an integer"] = { 9007199254740993, "9007199254740993", true },
    ["false"] = { false, "false", true },
    ["null"] = { pump.null, "null", true },
    ["a string"] = { "\0\255 {", "\0\255 {", false },
    ["an empty string"] = { "", "", false },
    ["nothing"] = { nil, "", false },
    ["JSON text"] = { '{"b": [1 , 2]}', '{"b": [1 , 2]}', true, "json" },
    ["binary"] = { "[]", "[]", false, "binary" },
  } do
    it("stores " .. name, function()
      local conn <close> = helper.connect()
      local stream = helper.stream()
      assert(conn:publish_event(stream, "t", case[1], { content_type = case[4] }))
      local event = assert(conn:get_event(stream, 0))
      assert.equal(case[2], event.data)
      assert.equal(case[3], event.is_json)
    end)
  end

  it("stores id and metadata as they are given", function()
    local conn <close> = helper.connect()
    local stream, id = helper.stream(), pump.uuid()
    assert(conn:publish_event(stream, "t", nil, { id = id, metadata = { by = "me" } }))
    assert(conn:publish_event(stream, "t", {}, { metadata = "raw" }))
    local first, second = table.unpack(assert(conn:get(stream)))
    assert.equal(id, first.id)
    assert.equal('{"by":"me"}', first.metadata)
    assert.equal("me", first:metadata_json().by)
    assert.equal("raw", second.metadata)
  end)

  it("fails for what can't be encoded", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    for _, body in ipairs { { f = print }, { x = 0 / 0 }, { "\255" }, { [1] = 1, [3] = 3 } } do
      local err = helper.fails("json_error", conn:publish_event(stream, "t", body))
      assert.equal(stream, err.stream)
      assert.is_false(err.retryable)
    end
    local cycle = {}
    cycle.self = cycle
    helper.fails("json_error", conn:publish_event(stream, "t", cycle))
    helper.fails("json_error", conn:publish_event(stream, "t", "{", { content_type = "json" }))
    helper.fails("stream_not_found", conn:get(stream))
  end)

  it("wants its arguments right", function()
    local conn <close> = helper.connect()
    local publish_event = conn.publish_event
    helper.misuses("bad argument #1 .*string expected, got nil", publish_event, conn)
    helper.misuses("a stream needs a name", publish_event, conn, "", "t")
    helper.misuses("bad argument #2 .*string expected", publish_event, conn, "s", 1)
    helper.misuses("bad body of an event .*got function", publish_event, conn, "s", "t", print)
    helper.misuses("a UUID as text", publish_event, conn, "s", "t", 1, { id = "x" })
    helper.misuses("bad option 'expected_version'", publish_event, conn, "s", "t", 1,
      { expected_version = -2 })
    helper.misuses("did you mean expected_version", publish_event, conn, "s", "t", 1,
      { expectd_version = 1 })
    helper.misuses("a binary body must be a string", publish_event, conn, "s", "t", {},
      { content_type = "binary" })
    local event = pump.new_event("t", 1)
    event.type = 5
    helper.fails("invalid_argument", conn:publish("s", { event }))
  end)

  it("refuses what is too large before it is sent", function()
    local conn <close> = helper.connect()
    local large = ("x"):rep(16 * 1024 * 1024)
    helper.fails("too_large", conn:publish_event(helper.stream(), "t", large))
    assert.is_number(conn:ping())
  end)
end)

describe("an expected version", function()
  it("is kept or refused", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    local function write(expected)
      return conn:publish_event(stream, "t", nil, { expected_version = expected })
    end
    helper.fails("wrong_expected_version", write "stream_exists")
    helper.fails("wrong_expected_version", write(0))
    assert(write "no_stream")
    assert(write(0))
    assert(write "any")
    assert(write "stream_exists")
    local err = helper.fails("wrong_expected_version", write(7))
    assert.equal(7, err.expected)
    assert.equal(stream, err.stream)
    assert.is_true(err.current == 3 or err.current == nil)
    err = helper.fails("wrong_expected_version", write(-0 + 9))
    assert.equal(9, err.expected)
    assert.equal("no_stream", helper.fails("wrong_expected_version",
      conn:publish(stream, { pump.new_event("u") }, { expected_version = "no_stream" })).expected)
  end)

  it("makes a repeated write harmless", function()
    local conn <close> = helper.connect()
    local stream, id = helper.stream(), pump.uuid()
    for _ = 1, 3 do
      local result = assert(conn:publish_event(stream, "t", "x",
        { id = id, expected_version = "no_stream" }))
      assert.equal(0, result.last_event_number)
    end
    assert.equal(1, #read_all(conn, stream))
  end)
end)

describe("publish", function()
  it("writes a list as one", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    local result = assert(conn:publish(stream, {
      pump.new_event("a", { n = 1 }),
      { type = "b", data = "raw", metadata = { m = true } },
      pump.new_event("c"),
    }, { expected_version = "no_stream" }))
    assert.are.same({ 0, 2, 3 },
      { result.first_event_number, result.last_event_number, result.count })
    local list = read_all(conn, stream)
    assert.are.same({ "a", "b", "c" }, { list[1].type, list[2].type, list[3].type })
    assert.equal("raw", list[2].data)
    assert.is_true(list[2]:metadata_json().m)
  end)

  it("does not leave out what stands behind a hole in a list", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    local one = pump.new_event("t")
    for _, list in ipairs { { one, nil, one }, { nil, one }, { [0] = one, one } } do
      helper.misuses("bad argument #2 to 'publish' %(a list expected, got one with %d",
        conn.publish, conn, stream, list)
    end
    helper.fails("stream_not_found", conn:get(stream))
  end)

  it("takes an empty list", function()
    local conn <close> = helper.connect()
    assert.equal(0, assert(conn:publish(helper.stream(), {})).count)
  end)

  it("writes events that were read", function()
    local conn <close> = helper.connect()
    local from, to = helper.stream(), helper.stream()
    assert(conn:publish(from, { pump.new_event("j", { n = 1 }, { metadata = "m" }),
      pump.new_event("b", "\0") }))
    assert.equal(2, assert(conn:publish(to, conn:iter(from))).count)
    local copies = read_all(conn, to)
    assert.are.same({ "j", '{"n":1}', true, "m" },
      { copies[1].type, copies[1].data, copies[1].is_json, copies[1].metadata })
    assert.are.same({ "b", "\0", false }, { copies[2].type, copies[2].data, copies[2].is_json })
  end)

  it("writes what a generator gives, in order", function()
    local conn <close> = helper.connect()
    for _, options in ipairs {
      {}, { batch_size = 1 }, { batch_size = 7, max_in_flight = 1 }, { max_in_flight = 50 },
      { expected_version = "no_stream", batch_size = 10 },
    } do
      local stream, i = helper.stream(), 0
      local result = assert(conn:publish(stream, function()
        i = i + 1
        if i <= 1234 then return pump.new_event("n", { i = i }) end
      end, options))
      assert.equal(1234, result.count)
      assert.equal(0, result.first_event_number)
      assert.equal(1233, result.last_event_number)
      local n = 0
      for event in conn:iter(stream) do
        n = n + 1
        assert.equal(n, event:json().i)
      end
      assert.equal(1234, n)
    end
  end)

  it("takes what can be called for a generator", function()
    local conn <close> = helper.connect()
    local stream, count = helper.stream(), 0
    local generator = setmetatable({}, { __call = function()
      count = count + 1
      return count <= 3 and pump.new_event("t", { i = count }) or nil
    end })
    assert.equal(3, assert(conn:publish(stream, generator)).count)
    assert.equal(3, #assert(conn:get(stream)))
  end)

  it("writes what a generator gives that waits, without waiting for more", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    pump.run(function()
      local writer = pump.spawn(function()
        return conn:publish(stream, pump.wrap(function()
          for i = 1, 5 do
            coroutine.yield(pump.new_event("tick", { i = i }))
            pump.sleep(0.05)
          end
        end))
      end)
      pump.sleep(0.12)
      local seen = #read_all(conn, stream)
      assert.is_true(seen >= 1 and seen < 5, seen)
      assert.equal(5, assert(writer:join()).count)
    end)
  end)

  -- A burst before each wait is there as a whole while the generator still waits.
  it("sends all that a generator gave before it waits", function()
    local conn <close> = helper.connect()
    local stream, given, seen = helper.stream(), 0, {}
    local result = assert(conn:publish(stream, function()
      if given > 0 and given % 7 == 0 then
        pump.sleep(0.01)
        for _ = 1, 100 do
          local slice = conn:get(stream)
          if slice and #slice == given then break end
          pump.sleep(0.01)
        end
        seen[#seen + 1] = #assert(conn:get(stream))
      end
      given = given + 1
      if given <= 21 then return pump.new_event("burst", { given }) end
    end))
    assert.same({ 7, 14, 21 }, seen)
    assert.equal(21, result.count)
  end)

  it("lets a generator wait while more is in flight than is allowed", function()
    local conn <close> = helper.connect()
    for _, wait in ipairs {
      function() pump.spawn(pump.sleep, 0):join() end,
      function() conn:ping() end,
      function() pump.sleep(0) end,
    } do
      local stream, given = helper.stream(), 0
      pump.run(function()
        local result = assert(conn:publish(stream, function()
          given = given + 1
          if given % 3 == 0 then wait() end
          if given <= 300 then return pump.new_event("n", { given }) end
        end, { max_in_flight = 1, batch_size = 2 }))
        assert.equal(300, result.count)
      end)
      for i, event in ipairs(read_all(conn, stream)) do assert.equal(i, event:json()[1]) end
    end
  end)

  it("keeps large batches where a generator waits for a moment now and then", function()
    local conn <close> = helper.connect()
    local stream, given = helper.stream(), 0
    assert(conn:publish(stream, function()
      given = given + 1
      if given % 400 == 0 then pump.sleep(0.004) end
      if given <= 4000 then return pump.new_event("n") end
    end))
    local writes, last = 0, nil
    for event in conn:iter(stream) do
      if event.created ~= last then writes = writes + 1 end
      last = event.created
    end
    assert.is_true(writes <= 40 * helper.slow, writes)
  end)

  it("publishes within a generator that publishes", function()
    local conn <close> = helper.connect()
    local outer, inner, given = helper.stream(), helper.stream(), 0
    local function few()
      local left = 3
      return function()
        left = left - 1
        if left >= 0 then return pump.new_event("inner") end
      end
    end
    local result = assert(conn:publish(outer, function()
      given = given + 1
      assert.equal(3, assert(conn:publish(inner, few())).count)
      if given <= 5 then return pump.new_event("outer", { given }) end
    end))
    assert.equal(5, result.count)
    for i, event in ipairs(read_all(conn, outer)) do assert.equal(i, event:json()[1]) end
    assert.equal(18, #read_all(conn, inner))
  end)

  it("stops a generator when a write fails, and tells how many were written", function()
    local conn <close> = helper.connect()
    local stream, given = helper.stream(), 0
    assert(conn:publish_event(stream, "first"))
    local err = helper.fails("wrong_expected_version", conn:publish(stream, function()
      given = given + 1
      return pump.new_event("endless")
    end, { expected_version = 4 }))
    assert.equal(0, err.count)
    assert.is_true(given < 100, given)
    given = 0
    err = helper.fails("json_error", conn:publish(stream, function()
      given = given + 1
      return pump.new_event("n", given <= 10 and { given } or { print })
    end))
    assert.is_true(err.count <= 10)
    assert.equal(err.count + 1, #read_all(conn, stream))
  end)

  it("takes an event as it is when the generator gives it", function()
    local conn <close> = helper.connect()
    local stream, i, body = helper.stream(), 0, { n = 0 }
    local result = assert(conn:publish(stream, function()
      i, body.n = i + 1, i + 1
      if i <= 1000 then return pump.new_event("t", body, { metadata = body }) end
    end))
    assert.equal(1000, result.count)
    for event in conn:iter(stream) do
      assert.equal(event.event_number + 1, event:json().n)
      assert.equal(event.event_number + 1, event:metadata_json().n)
    end
  end)

  it("keeps the order of what a generator gives, in all its forms", function()
    local conn <close> = helper.connect()
    local stream, i = helper.stream(), 0
    local id = pump.uuid()
    local forms = {
      pump.new_event("table", { 1 }),
      pump.new_event("text", "bytes", { metadata = { by = "me" } }),
      pump.new_event("empty"),
      pump.new_event("said", "[2]", { content_type = "json", metadata = "raw", id = id }),
      { type = "plain", data = { 3 }, metadata = { 4 } },
      pump.new_event("number", 5),
      pump.new_event("null", pump.null),
    }
    assert(conn:publish(stream, function()
      i = i + 1
      return forms[i]
    end))
    local function seen(from)
      local event = assert(conn:get_event(stream, from))
      return { event.type, event.data, event.metadata, event.is_json }
    end
    assert.same({ "table", "[1]", "", true }, seen(0))
    assert.same({ "text", "bytes", '{"by":"me"}', false }, seen(1))
    assert.same({ "empty", "", "", false }, seen(2))
    assert.same({ "said", "[2]", "raw", true }, seen(3))
    assert.equal(id, assert(conn:get_event(stream, 3)).id)
    assert.same({ "plain", "[3]", "[4]", true }, seen(4))
    assert.same({ "number", "5", "", true }, seen(5))
    assert.same({ "null", "null", "", true }, seen(6))
    i = 0
    forms = { pump.new_event("t", "{}", { content_type = "json" }),
      pump.new_event("t", "{", { content_type = "json" }) }
    helper.fails("json_error", conn:publish(stream, function()
      i = i + 1
      return forms[i]
    end))
  end)

  it("splits what is large", function()
    local conn <close> = helper.connect()
    local stream, i = helper.stream(), 0
    local body = ("x"):rep(1024 * 1024)
    local result = assert(conn:publish(stream, function()
      i = i + 1
      if i <= 70 then return pump.new_event("large", body) end
    end))
    assert.equal(70, result.count)
    local n = 0
    for event in conn:iter(stream, { batch_size = 4 }) do
      n = n + 1
      assert.equal(#body, #event.data)
    end
    assert.equal(70, n)
  end)

  it("raises what a generator raises, and what is no event", function()
    local conn <close> = helper.connect()
    local ok, err = pcall(conn.publish, conn, helper.stream(), function() error("dry", 0) end)
    assert.is_false(ok)
    assert.equal("dry", err)
    helper.misuses("an event expected", conn.publish, conn, "s", function() return 5 end)
    helper.misuses("an event expected", conn.publish, conn, "s", { "x" })
    helper.misuses("got one event", conn.publish, conn, "s", pump.new_event("t"))
    helper.misuses("a list of events or a function", conn.publish, conn, "s", 5)
    helper.misuses("unknown option \"body\"", conn.publish, conn, "s", { { type = "t", body = 1 } })
  end)

  it("runs in a thousand tasks at once", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    pump.run(function()
      for i = 1, 1000 do
        pump.spawn(function() assert(conn:publish_event(stream, "t", { i = i })) end)
      end
    end)
    assert.equal(1000, #read_all(conn, stream))
  end)
end)

describe("a generator in a coroutine", function()
  local function writer(conn, stream)
    return coroutine.wrap(function()
      return conn:publish(stream, function() return coroutine.yield() end)
    end)
  end

  it("may be left, and keeps nothing", function()
    writer(assert(pump.connect "memory:"), "s")()
    -- What is left behind is looked for after each test.
  end)

  it("may end before another one that began later", function()
    local conn <close> = helper.connect()
    local streams = { helper.stream(), helper.stream() }
    local one, other = writer(conn, streams[1]), writer(conn, streams[2])
    one()
    other()
    one(pump.new_event "first")
    other(pump.new_event "second")
    assert.equal(1, assert(one(nil)).count)
    assert.is_true(conn:ping() < 5)
    assert.equal("second", assert(conn:get_event(streams[2], 0)).type)
    assert.equal(1, assert(other(nil)).count)
  end)
end)

describe("a finaliser", function()
  it("may change events while they are published", function()
    local conn <close> = helper.connect()
    local stream, list, is_over = helper.stream(), {}, false
    for i = 1, 400 do
      local body = {}
      for key = 1, 150 do body["k" .. key] = key end
      -- A metatable makes the codec look further, which lets the collector come.
      list[i] = pump.new_event("t", i % 2 == 0 and setmetatable(body, {}) or ("x"):rep(60) .. i)
    end
    local function arm()
      setmetatable({}, { __gc = function()
        for i = 1, #list, 2 do list[i].data = "y" end
        if not is_over then arm() end
      end })
    end
    arm()
    assert(conn:publish(stream, list))
    is_over = true
    local events = assert(conn:get(stream, { max_count = 400 }))
    for i = 1, 400, 2 do
      local data = events[i].data
      assert.is_true(data == "y" or data == ("x"):rep(60) .. i, data)
    end
  end)
end)

describe("another codec", function()
  it("encodes and decodes instead", function()
    local json = require "cjson"
    local conn <close> = helper.connect { json = json }
    local stream = helper.stream()
    assert(conn:publish_event(stream, "t", { a = { 1, 2 } }, { metadata = { m = json.null } }))
    assert(conn:publish(stream, { pump.new_event("t", { b = true }) }))
    local list = assert(conn:get(stream))
    assert.are.same({ 1, 2 }, list[1]:json().a)
    assert.equal(pump.null, list[1]:metadata_json().m)
    assert.is_true(list[2].is_json)
    assert.is_true(assert(conn:get_event(stream, 1)):json().b)
    for event in conn:iter(stream) do assert.equal("table", type(event:json())) end
    helper.fails("json_error", conn:publish_event(stream, "t", { f = print }))
    assert(conn:publish_event(stream, "t", "{"))
    helper.fails("json_error", conn:get_event(stream, 2):json())
  end)
end)

describe("a batch", function()
  it("keeps nothing of an event that cannot be encoded", function()
    local _, add = require "pump.core".batch(false)
    assert.is_nil((add({ type = "refused", data = { 0 / 0 } }, true)))
    assert.equal(#"taken" + #"x", (add({ type = "taken", data = "x" }, true)))
  end)
end)
