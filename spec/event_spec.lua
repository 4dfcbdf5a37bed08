local helper = require "helper"
local pump = require "pump"

helper.leaves_nothing(after_each)

describe("an event", function()
  it("has its fields", function()
    local conn <close> = helper.connect()
    local stream, id = helper.stream(), pump.uuid()
    assert(conn:publish_event(stream, "PonyJumped", { Height = 10 },
      { id = id, metadata = { by = "me" } }))
    local event = assert(conn:get_event(stream, 0))
    assert.equal(stream, event.stream)
    assert.equal("PonyJumped", event.type)
    assert.equal(id, event.id)
    assert.equal("integer", math.type(event.event_number))
    assert.equal(0, event.event_number)
    assert.equal('{"Height":10}', event.data)
    assert.equal('{"by":"me"}', event.metadata)
    assert.is_true(event.is_json)
    assert.is_true(event.resolved)
    assert.is_nil(event.link)
    assert.equal(event, event.received_event)
    assert.is_true(math.abs(event.created - os.time()) < 24 * 3600)
    assert.equal(10, event:json().Height)
    assert.equal("me", event:metadata_json().by)
    assert.is_nil(event.nonsense)
    assert.is_nil(event[1])
    assert.equal("pump.event", getmetatable(event).__name)
  end)

  it("is one line as text", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    assert(conn:publish(stream, {
      pump.new_event("PonyJumped", { Height = 10 }),
      pump.new_event("Photo", ("\n"):rep(300)),
      pump.new_event("Tale", { text = ("ä"):rep(300) }),
      pump.new_event("T\ny\0pe"),
    }))
    local events = assert(conn:get(stream))
    assert.matches("/0 PonyJumped %d+%-%d+%-%d+T%d+:%d+:%d+%.%d+Z {\"Height\":10}$",
      tostring(events[1]))
    assert.matches("<300 bytes>", tostring(events[2]))
    assert.matches("ä…$", tostring(events[3]))
    for _, event in ipairs(events) do
      assert.is_nil(tostring(event):find "%c")
      assert.is_not_nil(utf8.len(tostring(event)))
    end
  end)

  it("lives longer than its page and its connection", function()
    local conn = helper.connect()
    local stream = helper.stream()
    assert(conn:publish(stream, { pump.new_event("a", "x"), pump.new_event("b", "y") }))
    local kept
    for event in conn:iter(stream) do kept = event end
    conn:close()
    conn = nil
    collectgarbage()
    collectgarbage()
    assert.equal("b", kept.type)
    assert.equal("y", kept.data)
    assert.is_nil(conn)
  end)

  it("that is no JSON says so", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    assert(conn:publish(stream, { pump.new_event("t", "{oops"), pump.new_event("t") }))
    local err = helper.fails("json_error", conn:get_event(stream, 0):json())
    assert.equal(2, err.offset)
    helper.fails("json_error", conn:get_event(stream, 0):metadata_json())
    helper.fails("json_error", conn:get_event(stream, 1):json())
  end)
end)

describe("a link", function()
  local function link_to(conn, target)
    local stream = helper.stream "links"
    assert(conn:publish_event(stream, "$>", target))
    return stream
  end

  it("shows the event that it leads to, under its own number", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    assert(conn:publish(stream, { pump.new_event("a", "1"), pump.new_event("b", "2") }))
    local links = link_to(conn, "1@" .. stream)
    for _, event in ipairs { assert(conn:get_event(links, 0)), assert(conn:get(links))[1],
      (conn:iter(links)()) } do
      assert.equal("b", event.type)
      assert.equal("2", event.data)
      assert.equal(stream, event.stream)
      assert.equal(0, event.event_number)
      assert.is_true(event.resolved)
      local link = event.link
      assert.are.same({ links, "$>", "1@" .. stream, 0 },
        { link.stream, link.type, link.data, link.event_number })
      assert.is_nil(link.link)
      assert.equal(link, event.received_event)
      assert.matches("by way of " .. links, tostring(event), 1, true)
    end
  end)

  it("is itself where nobody resolves it", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    assert(conn:publish_event(stream, "a"))
    local links = link_to(conn, "0@" .. stream)
    local event = assert(conn:get_event(links, 0, { resolve_links = false }))
    assert.equal("$>", event.type)
    assert.equal("0@" .. stream, event.data)
  end)

  it("whose target is gone has no data", function()
    local conn <close> = helper.connect()
    local links = link_to(conn, "7@" .. helper.stream "gone")
    local event = assert(conn:get(links))[1]
    assert.is_nil(event.data)
    assert.is_false(event.resolved)
    assert.equal(0, event.event_number)
    assert.equal(links, event.stream)
    assert.matches("is gone", tostring(event))
    helper.fails("json_error", event:json())
  end)
end)

describe("new_event", function()
  it("makes events to write", function()
    local id = pump.uuid()
    local event = pump.new_event("t", { 1 }, { id = id, metadata = "m", content_type = "json" })
    assert.are.same({ "t", { 1 }, id, "m" }, { event.type, event.data, event.id, event.metadata })
    assert.equal("pump.new_event{t}", tostring(event))
  end)

  it("wants its arguments right", function()
    helper.misuses("string expected, got nil", pump.new_event)
    helper.misuses("a type needs a name", pump.new_event, "")
    helper.misuses("bad body", pump.new_event, "t", coroutine.create(print))
    helper.misuses("a UUID as text", pump.new_event, "t", 1, { id = "1234" })
    helper.misuses("\"json\" or \"binary\"", pump.new_event, "t", 1, { content_type = "xml" })
    helper.misuses("a table or a string", pump.new_event, "t", 1, { metadata = 5 })
    helper.misuses("unknown option", pump.new_event, "t", 1, { uuid = "x" })
  end)

  it("has ids that differ", function()
    assert.matches("^%x+%-%x+%-4%x+%-[89ab]%x+%-%x+$", pump.uuid())
    assert.are_not.equal(pump.uuid(), pump.uuid())
  end)
end)
