-- What is done to a stream as a whole: delete, get_metadata, set_metadata.
local helper = require "helper"
local pump = require "pump"

helper.leaves_nothing(after_each)

local function with_events(conn, count)
  local stream = helper.stream "ponies"
  for i = 1, count do assert(conn:publish_event(stream, "PonyJumped", { i = i })) end
  return stream
end

describe("delete", function()
  it("takes the events, and the numbers go on", function()
    local conn <close> = helper.connect()
    local stream = with_events(conn, 3)
    local result = assert(conn:delete(stream))
    assert.equal("integer", math.type(result.position.commit))
    assert.is_true(result.position.commit > 0)
    helper.fails("stream_not_found", conn:get(stream))
    assert.equal(3, assert(conn:publish_event(stream, "t")).first_event_number)
    assert.equal(1, #assert(conn:get(stream)))
  end)

  it("takes the name too when it is hard", function()
    local conn <close> = helper.connect()
    local stream = with_events(conn, 1)
    assert(conn:delete(stream, { hard = true }))
    local err = helper.fails("stream_deleted", conn:get(stream))
    assert.equal(stream, err.stream)
    helper.fails("stream_deleted", conn:publish_event(stream, "t"))
    helper.fails("stream_deleted", conn:delete(stream))
    helper.fails("stream_deleted", conn:get_metadata(stream))
  end)

  it("expects a version", function()
    local conn <close> = helper.connect()
    local stream = with_events(conn, 2)
    local err = helper.fails("wrong_expected_version",
      conn:delete(stream, { expected_version = 0 }))
    assert.equal(stream, err.stream)
    assert.equal(0, err.expected)
    assert.matches("expected event 0", err.message)
    helper.fails("wrong_expected_version", conn:delete(stream, { expected_version = "no_stream" }))
    assert(conn:delete(stream, { expected_version = 1 }))
  end)

  it("asks who deletes", function()
    local conn <close> = helper.connect()
    local stream = with_events(conn, 1)
    assert(conn:set_metadata(stream, { ["$acl"] = { ["$d"] = "$admins" } }))
    helper.fails("not_authenticated",
      conn:delete(stream, { username = "nobody", password = "wrong" }))
    assert(conn:delete(stream))
  end)

  it("wants its arguments right", function()
    local conn <close> = helper.connect()
    helper.misuses("bad argument #1 .*string expected, got nil", conn.delete, conn)
    helper.misuses("a stream needs a name", conn.delete, conn, "")
    helper.misuses("bad option 'hard' .*a boolean", conn.delete, conn, "s", { hard = 1 })
    helper.misuses("unknown option \"hrad\" .*did you mean hard", conn.delete, conn, "s",
      { hrad = true })
  end)
end)

describe("metadata", function()
  it("is empty where nobody set it", function()
    local conn <close> = helper.connect()
    for _, stream in ipairs { helper.stream(), with_events(conn, 1) } do
      local metadata, version, event = conn:get_metadata(stream)
      assert.same({}, metadata)
      assert.equal(-1, version)
      assert.is_nil(event)
    end
  end)

  it("is what was set, with its own version", function()
    local conn <close> = helper.connect()
    local stream = with_events(conn, 5)
    local wanted = { ["$maxCount"] = 2, color = "pink", big = 9007199254740993 }
    local none = select(2, conn:get_metadata(stream))
    assert.equal(-1, none)
    local result = assert(conn:set_metadata(stream, wanted, { expected_version = none }))
    assert.equal(0, result.last_event_number)
    local metadata, version, event = conn:get_metadata(stream)
    assert.same(wanted, metadata)
    assert.equal(0, version)
    assert.equal("$metadata", event.type)
    assert.is_true(event.is_json)
    assert.equal(2, #assert(conn:get(stream)))
    local err = helper.fails("wrong_expected_version",
      conn:set_metadata(stream, {}, { expected_version = "no_stream" }))
    assert.equal("no_stream", err.expected)
    assert(conn:set_metadata(stream, {}, { expected_version = 0 }))
    metadata, version, event = conn:get_metadata(stream)
    assert.same({}, metadata)
    assert.equal(1, version)
    assert.equal("{}", event.data)
  end)

  it("may be JSON text", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    assert(conn:set_metadata(stream, '{ "$maxAge": 60 }'))
    local metadata, _, event = conn:get_metadata(stream)
    assert.equal(60, metadata["$maxAge"])
    assert.equal('{ "$maxAge": 60 }', event.data)
    helper.fails("json_error", conn:set_metadata(stream, "{"))
    helper.fails("json_error", conn:set_metadata(stream, { f = print }))
  end)

  it("says what is no JSON", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    assert(conn:publish_event("$$" .. stream, "$metadata", "\0"))
    helper.fails("json_error", conn:get_metadata(stream))
  end)

  it("goes by the connection's codec", function()
    local conn <close> = helper.connect { json = require "cjson" }
    local stream = helper.stream()
    assert(conn:set_metadata(stream, { a = pump.null }))
    assert.equal(pump.null, conn:get_metadata(stream).a)
  end)

  it("wants its arguments right", function()
    local conn <close> = helper.connect()
    helper.misuses("bad argument #1", conn.get_metadata, conn)
    helper.misuses("bad argument #2 .*a table or JSON text expected, got nil", conn.set_metadata,
      conn, "s")
    helper.misuses("bad option 'expected_version'", conn.set_metadata, conn, "s", {},
      { expected_version = -2 })
  end)
end)
