-- Filters on $all: what they let through, page by page, and what servers without them say.
local helper = require "helper"
local pump = require "pump"

helper.leaves_nothing(after_each)

local admin = { username = "admin", password = "changeit" }

local function types(events)
  local list = {}
  for i, event in ipairs(events) do list[i] = event.type end
  return table.concat(list, " ")
end

local function all_types(conn, options)
  local list = {}
  for event in conn:iter_all(options) do list[#list + 1] = event.type end
  return table.concat(list, " ")
end

describe("a filter", function()
  local conn

  before_each(function()
    conn = assert(pump.connect("memory:?like=23.10", admin))
    for i = 1, 4 do
      assert(conn:publish_event("cats-" .. i, "Meowed" .. i))
      assert(conn:publish_event("dogs-" .. i, "Barked" .. i))
    end
    assert(conn:publish_event("links", "$>", "0@cats-1"))
  end)

  after_each(function() conn:close() end)

  it("goes by the stream or by the type, by prefixes or an expression", function()
    for filter, wanted in pairs {
      [{ stream_prefix = "cats-" }] = "Meowed1 Meowed2 Meowed3 Meowed4",
      [{ stream_prefix = { "cats-1", "dogs-3", "nobody" } }] = "Meowed1 Barked3",
      [{ stream_regex = "^(cats|dogs)-[23]$" }] = "Meowed2 Barked2 Meowed3 Barked3",
      [{ type_prefix = { "Bark" } }] = "Barked1 Barked2 Barked3 Barked4",
      [{ type_regex = "[4]$" }] = "Meowed4 Barked4",
      [{ type_prefix = "$>" }] = "Meowed1", -- links are judged themselves
    } do
      assert.equal(wanted, types(assert(conn:get_all { filter = filter })))
      for _, batch_size in ipairs { 1, 3, 500 } do
        assert.equal(wanted, all_types(conn, { filter = filter, batch_size = batch_size }))
      end
    end
  end)

  it("goes backward too", function()
    assert.equal("Barked4 Barked3 Barked2 Barked1", all_types(conn,
      { filter = { stream_prefix = "dogs" }, direction = "backward", batch_size = 3 }))
  end)

  it("leaves out what is the system's", function()
    local everything = all_types(conn)
    assert.truthy(everything:find("$", 1, true))
    assert.equal("Meowed1 Barked1 Meowed2 Barked2 Meowed3 Barked3 Meowed4 Barked4",
      all_types(conn, { exclude_system = true }))
    assert.equal(everything, all_types(conn, { exclude_system = false }))
  end)

  it("says where a page goes on, and when it was the last one", function()
    local filter = { stream_prefix = "cats-" }
    local slice = assert(conn:get_all { filter = filter, max_count = 3 })
    assert.equal("Meowed1 Meowed2 Meowed3", types(slice))
    assert.is_false(slice.is_end_of_stream)
    slice = assert(conn:get_all { filter = filter, from_position = slice.next_position })
    assert.equal("Meowed4", types(slice))
    assert.is_true(slice.is_end_of_stream)
  end)

  it("may find nothing for pages on end", function()
    local many = {}
    for i = 1, 5000 do many[i] = pump.new_event "Chirped" end
    assert(conn:publish("birds", many))
    assert(conn:publish_event("cats-9", "Meowed9"))
    local filter = { type_regex = "^Meowed[59]$" }
    local slice = assert(conn:get_all { filter = filter })
    assert.equal(0, #slice)
    assert.is_false(slice.is_end_of_stream)
    assert.equal("Meowed9", all_types(conn, { filter = filter }))
    assert.equal("Meowed9", all_types(conn, { filter = filter, direction = "backward" }))
  end)

  it("is refused where $all is", function()
    local ok, err = conn:get_all { filter = { type_prefix = "x" }, username = "admin",
      password = "wrong" }
    helper.fails("not_authenticated", ok, err)
    local node <close> = helper.node { like = "23.10" }
    local nobody <close> = assert(pump.connect("tcp://" .. node.address))
    helper.fails("access_denied", nobody:get_all { filter = { type_prefix = "x" } })
  end)

  it("is sent over a socket as well", function()
    local node <close> = helper.node { like = "23.10" }
    local guest <close> = assert(pump.connect("tcp://admin:changeit@" .. node.address))
    assert(guest:publish_event("cats-1", "Meowed"))
    assert.equal("Meowed", all_types(guest, { filter = { stream_prefix = "cats" } }))
  end)

  it("that the server cannot read is a bad request", function()
    local err = helper.fails("bad_request", conn:get_all { filter = { type_regex = "(" } })
    assert.matches("FilteredReadAllEventsForward", err.message)
  end)

  it("is checked before it is sent", function()
    for _, filter in ipairs {
      {}, { stream_prefix = {} }, { stream_prefix = "" }, { type_prefix = { "a", 1 } },
      { type_regex = { "a" } }, { type_prefix = "a", stream_prefix = "b" }, { typo = "x" },
      { type_prefix = "a", type_regex = "b" },
    } do
      helper.misuses("bad option 'filter' to 'get_all' %(a table with one of stream_prefix",
        conn.get_all, conn, { filter = filter })
    end
    helper.misuses("there is a filter already", conn.iter_all, conn,
      { filter = { type_prefix = "x" }, exclude_system = true })
  end)
end)

describe("a filtered subscription", function()
  local node, conn

  before_each(function()
    node = helper.node { like = "23.10" }
    conn = assert(pump.connect("tcp://admin:changeit@" .. node.address,
      { reconnect = { delay = 0.01, max_delay = 0.05 } }))
  end)

  after_each(function()
    conn:close()
    node:close()
  end)

  local function publish(stream, type, count)
    local events = {}
    for i = 1, count or 1 do events[i] = pump.new_event(type) end
    return assert(conn:publish(stream, events))
  end

  local function next_types(sub, count)
    local list = {}
    for i = 1, count do list[i] = assert(sub:next(5 * helper.slow)) end
    return types(list)
  end

  it("brings what was there, what comes, and nothing else", function()
    publish("cats-1", "Meowed")
    publish("dogs-1", "Barked")
    local sub <close> = assert(conn:subscribe_to("$all",
      { filter = { type_prefix = { "Meow", "Chirp" } }, from_position = "start" }))
    assert.equal("Meowed", next_types(sub, 1))
    publish("dogs-1", "Barked")
    publish("birds-1", "Chirped")
    publish("cats-1", "Meowed again")
    assert.equal("Chirped Meowed again", next_types(sub, 2))
    assert.equal("live", sub.state)
    helper.fails("timeout", sub:next(0.05))
  end)

  it("may be volatile, and leave out the system's events", function()
    local sub <close> = assert(conn:subscribe_to("$all", { exclude_system = true }))
    assert(conn:set_metadata("cats-1", { max_count = 5 }))
    publish("cats-1", "Meowed")
    assert.equal("Meowed", next_types(sub, 1))
  end)

  it("tells how far the server is, after the events before that", function()
    local sub <close> = assert(conn:subscribe_to("$all",
      { filter = { stream_prefix = "cats-" }, from_position = "start" }))
    local told = {}
    sub.on_checkpoint:append(function(position) told[#told + 1] = position end)
    local cat = publish("cats-1", "Meowed")
    publish("dogs-1", "Barked", 350)
    pump.sleep(0.1)
    for _, position in ipairs(told) do
      assert.is_true(position.commit <= cat.position.commit)
    end -- as the event before has not been taken
    assert.equal("Meowed", next_types(sub, 1))
    assert.equal(cat.position.commit, sub.position.commit)
    helper.wait_until(function()
      helper.fails("timeout", sub:next(0.2 * helper.slow))
      return #told > 0 and told[#told].commit > cat.position.commit
    end)
    local last = told[#told]
    assert.are.same(last, sub.position)
    local cat_again = publish("cats-1", "Meowed again")
    assert.is_true(last.commit <= cat_again.position.commit)
    assert.equal("Meowed again", next_types(sub, 1))
    assert.equal(cat_again.position.commit, sub.position.commit)
    local later <close> = assert(conn:subscribe_to("$all",
      { filter = { stream_prefix = "cats-" }, from_position = last }))
    assert.equal("Meowed again", next_types(later, 1))
  end)

  it("tells how far it is in a history without anything wanted, and goes on from there", function()
    publish("cats-1", "Meowed")
    for _ = 1, 3 do publish("dogs-1", "Barked", 4000) end
    local sub <close> = assert(conn:subscribe_to("$all",
      { filter = { stream_prefix = "cats-" }, from_position = "start" }))
    local told = {}
    sub.on_checkpoint:append(function(position) told[#told + 1] = position end)
    local cat = assert(sub:next(5 * helper.slow))
    helper.wait_until(function() return not sub:next(0.01) and sub.state == "live" end)
    assert.is_true(#told >= 2) -- before it was live
    for i, position in ipairs(told) do
      assert.is_true(position.commit > (told[i - 1] or cat.position).commit)
    end
    publish("cats-1", "Meowed again")
    for _, position in ipairs(told) do
      local later <close> = assert(conn:subscribe_to("$all",
        { filter = { stream_prefix = "cats-" }, from_position = position }))
      assert.equal("Meowed again", next_types(later, 1))
    end
  end)

  it("goes on where it was after a lost connection", function()
    local sub <close> = assert(conn:subscribe_to("$all",
      { filter = { stream_prefix = "cats-" }, from_position = "start" }))
    local wanted = {}
    for i = 1, 30 do
      publish("cats-" .. i, "Meowed" .. i)
      publish("dogs-1", "Barked", 40)
      if i % 7 == 0 then node.faults:drop() end
      wanted[i] = "Meowed" .. i
    end
    assert.equal(table.concat(wanted, " "), next_types(sub, #wanted))
    helper.fails("timeout", sub:next(0.05))
  end)

  it("goes back to reading when the program is slow", function()
    local sub <close> = assert(conn:subscribe_to("$all", { from_position = "start",
      filter = { stream_regex = "^cats-[0-9]+$" }, batch_size = 5, live_buffer_size = 5 }))
    publish("cats-1", "Meowed")
    assert.equal("Meowed", next_types(sub, 1))
    for _ = 1, 20 do
      publish("dogs-1", "Barked", 10)
      publish("cats-2", "Meowed", 3)
    end
    assert.equal(("Meowed "):rep(59) .. "Meowed", next_types(sub, 60))
  end)

  it("is of $all only", function()
    helper.misuses("only %$all is filtered", conn.subscribe_to, conn, "cats-1",
      { filter = { type_prefix = "x" } })
    helper.fails("bad_request", conn:subscribe_to("$all", { filter = { type_regex = "(" } }))
    local old <close> = assert(pump.connect "memory:?like=5.0")
    for _, from in ipairs { false, "start" } do
      helper.fails("not_supported", old:subscribe_to("$all",
        { exclude_system = true, from_position = from or nil }))
    end
  end)
end)

describe("where the server knows no filters", function()
  for _, like in ipairs { "4.1", "5.0" } do
    it("they are not supported, says a node like " .. like, function()
      local conn <close> = assert(pump.connect("memory:?like=" .. like, admin))
      local err = helper.fails("not_supported", conn:get_all { exclude_system = true })
      assert.matches("EventStore 20%.6", err.message)
      local ok, raised = pcall(function()
        for _ in conn:iter_all { filter = { type_prefix = "x" } } do end
      end)
      assert.is_false(ok)
      assert.equal("not_supported", raised.code)
    end)
  end
end)
