-- Subscriptions to streams and to $all, volatile and catch-up, against the embedded store, and
-- against a node that misbehaves.
local core = require "pump.core"
local helper = require "helper"
local pump = require "pump"
local task = require "pump.task"

local publish = helper.publish
local range = helper.range
local wait_until = helper.wait_until

helper.leaves_nothing(after_each)

-- The next events' numbers.
local function take(sub, count)
  local numbers = {}
  for i = 1, count do numbers[i] = assert(sub:next(2)).event_number end
  return numbers
end

describe("a volatile subscription", function()
  it("gets what is written from then on", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    publish(conn, stream, 3)
    local sub <close> = assert(conn:subscribe_to(stream))
    assert.equal("live", sub.state)
    assert.is_nil(sub.position)
    publish(conn, stream, 3, 4)
    assert.are.same({ 3, 4, 5 }, take(sub, 3))
    assert.equal(5, sub.position)
    helper.fails("timeout", sub:next(0.02))
    helper.fails("timeout", sub:next(0))
  end)

  it("to $all gets everything, with its position", function()
    local conn <close> = helper.connect()
    local sub <close> = assert(conn:subscribe_to("$all"))
    local stream = helper.stream()
    publish(conn, stream, 1)
    local event = assert(sub:next(2))
    while event.stream ~= stream do event = assert(sub:next(2)) end
    assert.are.same(event.position, sub.position)
    assert.equal("Counted", event.type)
    assert.equal(1, event:json().n)
  end)

  it("tells of the gap when its reader was too slow", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    local sub <close> = assert(conn:subscribe_to(stream, { batch_size = 5, live_buffer_size = 5 }))
    local why
    sub.on_gap:append(function(err) why = err end)
    for i = 1, 100 do publish(conn, stream, 1, i) end
    local got, last = 0, -1
    while true do
      local event = sub:next(0.05)
      if not event then break end
      assert.is_true(event.event_number > last)
      got, last = got + 1, event.event_number
    end
    assert.is_true(got < 100)
    assert.equal("slow_consumer", why and why.code)
    publish(conn, stream, 1, 101)
    assert.are.same({ 100 }, take(sub, 1))
  end)
end)

describe("a catch-up subscription", function()
  it("reads history and goes on live, each event once and in order", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    publish(conn, stream, 1234)
    local sub <close> = assert(conn:subscribe_to(stream, { from_event = 0, batch_size = 100 }))
    local lives = 0
    sub.on_live:append(function() lives = lives + 1 end)
    assert.equal("catching_up", sub.state)
    assert.are.same(range(0, 1233), take(sub, 1234))
    wait_until(function() return sub.state == "live" end)
    publish(conn, stream, 500, 1235)
    assert.are.same(range(1234, 1733), take(sub, 500))
    assert.equal(1733, sub.position)
    assert.equal(1, lives)
  end)

  it("misses nothing that is written while it catches up", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    publish(conn, stream, 300)
    local expected = 0
    pump.run(function()
      pump.spawn(function()
        for i = 1, 60 do publish(conn, stream, 5, 300 + 5 * (i - 1) + 1) end
      end)
      local sub <close> = assert(conn:subscribe_to(stream, { from_event = 0, batch_size = 20 }))
      for event in sub:events() do
        assert.equal(expected, event.event_number)
        expected = expected + 1
        if expected % 50 == 0 then pump.sleep(0.001) end
        if expected == 600 then break end
      end
    end)
    assert.equal(600, expected)
  end)

  it("begins at the event that is asked for, and goes on from a position", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    publish(conn, stream, 10)
    local sub <close> = assert(conn:subscribe_to(stream, { from_event = 4 }))
    assert.equal(3, sub.position)
    assert.are.same({ 4, 5 }, take(sub, 2))
    local other <close> = assert(conn:subscribe_to(stream, { from_event = sub.position + 1 }))
    assert.are.same(range(6, 9), take(other, 4))
    local late <close> = assert(conn:subscribe_to(stream, { from_event = "end" }))
    publish(conn, stream, 1, 11)
    assert.are.same({ 10 }, take(late, 1))
  end)

  it("waits for a stream that does not exist", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    local sub <close> = assert(conn:subscribe_to(stream, { from_event = 0 }))
    local live
    sub.on_live:append(function(which) live = which end)
    publish(conn, stream, 2)
    assert.are.same({ 0, 1 }, take(sub, 2))
    assert.equal(sub, live)
  end)

  it("to $all begins behind a position", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    publish(conn, stream, 20)
    local seen = {}
    local first <close> = assert(conn:subscribe_to("$all", { from_position = "start",
      batch_size = 7 }))
    while #seen < 5 do
      local event = assert(first:next(2))
      if event.stream == stream then seen[#seen + 1] = event.event_number end
    end
    assert.are.same(range(0, 4), seen)
    local second <close> = assert(conn:subscribe_to("$all", { from_position = first.position }))
    for number = 5, 19 do
      local event = assert(second:next(2))
      while event.stream ~= stream do event = assert(second:next(2)) end
      assert.equal(number, event.event_number)
    end
    local third <close> = assert(conn:subscribe_to("$all", { from_position = "end" }))
    publish(conn, stream, 1, 21)
    assert.equal(20, assert(third:next(2)).event_number)
  end)

  it("follows links, under the links' numbers", function()
    local conn <close> = helper.connect()
    local stream, links = helper.stream(), helper.stream("links")
    publish(conn, stream, 3)
    for i = 2, 0, -1 do assert(conn:publish_event(links, "$>", ("%d@%s"):format(i, stream))) end
    local sub <close> = assert(conn:subscribe_to(links, { from_event = 0 }))
    for i = 0, 2 do
      local event = assert(sub:next(2))
      assert.equal(i, event.event_number)
      assert.equal(3 - i, event:json().n)
    end
    assert(conn:publish_event(links, "$>", "1@" .. stream))
    assert.equal(2, assert(sub:next(2)):json().n)
    assert.equal(3, sub.position)
  end)

  it("goes back to reading when its reader is slow, and loses nothing", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    local sub <close> = assert(conn:subscribe_to(stream,
      { from_event = 0, batch_size = 10, live_buffer_size = 10 }))
    local lives = 0
    sub.on_live:append(function() lives = lives + 1 end)
    wait_until(function() return lives == 1 end)
    for i = 1, 200 do publish(conn, stream, 1, i) end
    assert.equal("catching_up", sub.state)
    assert.are.same(range(0, 199), take(sub, 200))
    wait_until(function() return lives == 2 end)
    assert.equal("live", sub.state)
  end)

  it("uses the connection's codec", function()
    local conn <close> = helper.connect { json = {
      encode = function() return "1" end, decode = function() return "decoded" end,
    } }
    local stream = helper.stream()
    local sub <close> = assert(conn:subscribe_to(stream, { from_event = 0 }))
    publish(conn, stream, 1)
    assert.equal("decoded", assert(sub:next(2)):json())
  end)
end)

describe("events()", function()
  it("goes on behind a break", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    publish(conn, stream, 10)
    local sub <close> = assert(conn:subscribe_to(stream, { from_event = 0 }))
    local seen = {}
    for _ = 1, 3 do
      for event in sub:events() do
        local function number() return event.event_number end
        seen[#seen + 1] = number()
        if #seen % 3 == 0 then break end
      end
    end
    assert.are.same(range(0, 8), seen)
    assert.are.same({ 9 }, take(sub, 1))
  end)

  it("ends when the subscription is closed, in the midst of a page and while it waits", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    publish(conn, stream, 10)
    local sub = assert(conn:subscribe_to(stream, { from_event = 0 }))
    local count = 0
    for _ in sub:events() do
      count = count + 1
      if count == 4 then assert.is_true(sub:close()) end
    end
    assert.equal(4, count)
    assert.equal(3, sub.position)
    assert.equal("closed", sub.state)
    helper.fails("closed", sub:next())
    assert.is_true(sub:close())

    pump.run(function()
      local other = assert(conn:subscribe_to(stream))
      local waiting = pump.spawn(function()
        for _ in other:events() do error "nothing was to come" end
        return "ended"
      end)
      local next_one = pump.spawn(function() return other:next() end)
      pump.sleep(0.01)
      other:close()
      assert.equal("ended", waiting:join(1))
      helper.fails("closed", next_one:join(1))
    end)
  end)

  it("ends when the connection is closed", function()
    local conn = helper.connect()
    local sub = assert(conn:subscribe_to(helper.stream()))
    pump.run(function()
      pump.spawn(function()
        pump.sleep(0.01)
        conn:close()
      end)
      for _ in sub:events() do error "nothing was to come" end
    end)
    assert.equal("closed", sub.state)
    helper.fails("closed", sub:next())
  end)

  it("shares the events among several who read", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    local seen, total = {}, 0
    pump.run(function()
      local sub <close> = assert(conn:subscribe_to(stream, { from_event = 0, batch_size = 7 }))
      local workers = {}
      for i = 1, 5 do
        workers[i] = pump.spawn(function()
          while true do
            local event = i % 2 == 0 and sub:next(0.2) or i % 2 == 1 and sub:next()
            if not event then return end
            seen[event.event_number] = (seen[event.event_number] or 0) + 1
            total = total + 1
            if total % 3 == 0 then pump.sleep(0) end
          end
        end)
      end
      publish(conn, stream, 100)
      wait_until(function() return total == 100 end)
      sub:close()
      for _, worker in ipairs(workers) do worker:join() end
    end)
    for i = 0, 99 do assert.equal(1, seen[i]) end
  end)
end)

describe("what fails", function()
  it("is told by subscribe_to when it never began", function()
    local node <close>, address = helper.node { users = { admin = "changeit" } }
    local conn <close> = assert(pump.connect("tcp://" .. address))
    local err = helper.fails("access_denied",
      conn:subscribe_to("$all", { from_position = "start" }))
    assert.equal("$all", err.stream)
    assert.is_truthy(node.address)
  end)

  it("is raised by the loop and told through on_dropped when it began", function()
    local node <close>, address = helper.node()
    local conn <close> = assert(pump.connect("tcp://" .. address, { reconnect = false }))
    local stream = helper.stream()
    publish(conn, stream, 3)
    local sub <close> = assert(conn:subscribe_to(stream, { from_event = 0 }))
    local dropped
    sub.on_dropped:append(function(err) dropped = err end)
    wait_until(function() return sub.state == "live" end)
    node.faults:drop()
    wait_until(function() return dropped ~= nil end)
    assert.equal("closed", dropped.code)
    local numbers = {}
    local ok, err = pcall(function()
      for event in sub:events() do numbers[#numbers + 1] = event.event_number end
    end)
    assert.are.same({ 0, 1, 2 }, numbers)
    assert.is_false(ok)
    assert.equal("closed", err.code)
    assert.equal("closed", sub.state)
    helper.fails("closed", sub:next(1))
  end)

  it("is misuse where it is one", function()
    local conn <close> = helper.connect()
    helper.misuses("a stream needs a name", conn.subscribe_to, conn, "")
    helper.misuses("unknown option", conn.subscribe_to, conn, "s", { from = 1 })
    helper.misuses("a stream begins at from_event", conn.subscribe_to, conn, "s",
      { from_position = "start" })
    helper.misuses("begins at from_position", conn.subscribe_to, conn, "$all", { from_event = 0 })
    helper.misuses("function expected", conn.watch, conn, "s", 5)
    helper.misuses("goes forward", conn.stream, conn, "s",
      { forever = true, direction = "backward" })
    helper.misuses("a boolean", conn.stream, conn, "s", { forever = 1 })
    local sub <close> = assert(conn:subscribe_to("s"))
    helper.misuses("seconds expected", sub.next, sub, "1")
  end)
end)

describe("tasks", function()
  it("that wait for an event can be cancelled, and the subscription goes on", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    pump.run(function()
      local sub <close> = assert(conn:subscribe_to(stream))
      local waiting = pump.spawn(function() return sub:next() end)
      pump.sleep(0.005)
      waiting:cancel()
      helper.fails("cancelled", waiting:join())
      publish(conn, stream, 1)
      assert.are.same({ 0 }, take(sub, 1))
    end)
  end)

  it("that are cancelled while they subscribe leave nothing", function()
    local conn <close> = helper.connect()
    pump.run(function()
      local waiting = pump.spawn(function() return conn:subscribe_to "$all" end)
      pump.sleep(0)
      waiting:cancel()
      helper.fails("cancelled", waiting:join())
    end)
  end)

  it("wait by the hundred on one connection", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    local got = 0
    pump.run(function()
      for _ = 1, 300 do
        pump.spawn(function()
          local sub <close> = assert(conn:subscribe_to(stream, { from_event = 0 }))
          for event in sub:events() do
            got = got + 1
            if event.event_number == 9 then return end
          end
        end)
      end
      publish(conn, stream, 10)
    end)
    assert.equal(3000, got)
  end)
end)

describe("handles that were forgotten", function()
  it("are closed by the collector", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    local function forget()
      for _ = 1, 10 do assert(conn:subscribe_to(stream)) end
      pump.sleep(0) -- those who listen to on_live are told now
      return core.pending()
    end
    local before = forget()
    collectgarbage()
    collectgarbage()
    assert.equal(before - 10, core.pending())
  end)
end)

describe("stream", function()
  it("is iter, or goes on for ever", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    publish(conn, stream, 5)
    local count = 0
    for _ in conn:stream(stream) do count = count + 1 end
    assert.equal(5, count)
    local last
    for event in conn:stream(stream, { forever = true, from_event = 2 }) do
      last = event.event_number
      if last == 4 then publish(conn, stream, 1, 6) end
      if last == 5 then break end
    end
    assert.equal(5, last)
    for event in conn:stream("$all", { forever = true }) do
      if event.stream == stream and event.event_number == 5 then break end
    end
  end)

  it("ends after max_count events", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    publish(conn, stream, 2)
    for _, options in ipairs { { max_count = 3 }, { forever = true, max_count = 3 } } do
      local numbers = {}
      for event in conn:stream(stream, options) do
        numbers[#numbers + 1] = event.event_number
        if #numbers == 2 then publish(conn, stream, 2, 3) end
      end
      assert.are.same(helper.range(0, options.forever and 2 or 1), numbers)
    end
    helper.misuses("to 'stream'", conn.stream, conn, stream, { max_cont = 1 })
  end)

  it("can be left by break with a closure in its body", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    publish(conn, stream, 1)
    local keep
    for event in conn:stream(stream, { forever = true }) do
      keep = function() return event.event_number end
      if keep() == 0 then break end
    end
    assert.equal(0, keep())
  end)

  it("raises what it cannot", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    local ok, err = pcall(function() for _ in conn:stream(stream) do error "none" end end)
    assert.is_false(ok)
    assert.equal("stream_not_found", err.code)
  end)
end)

describe("watch", function()
  it("calls a function for each event, in order, though it waits and fails", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    local seen, reported = {}, 0
    local report = task.on_error
    task.on_error = function() reported = reported + 1 end
    finally(function() task.on_error = report end)
    local sub = assert(conn:watch(stream, function(event)
      if event.event_number % 2 == 0 then pump.sleep(0.002) end
      seen[#seen + 1] = event.event_number
      if event.event_number == 3 then error "odd" end
    end))
    local others = 0
    assert(conn:watch(stream, function() others = others + 1 end))
    publish(conn, stream, 8)
    wait_until(function() return #seen == 8 end)
    assert.are.same(range(0, 7), seen)
    assert.equal(1, reported)
    assert.equal(8, others)
    sub:close()
    publish(conn, stream, 1, 9)
    wait_until(function() return others == 9 end)
    assert.equal(8, #seen)
  end)

  it("does not let a slow function stall anything else", function()
    local node <close>, address = helper.node()
    local conn <close> = assert(pump.connect("tcp://" .. address,
      { heartbeat = { interval = 0.05, timeout = 0.1 } }))
    local stream = helper.stream()
    local lost, quick = false, 0
    conn.on_disconnected:append(function() lost = true end)
    assert(conn:watch(stream, function() pump.sleep(0.4) end))
    assert(conn:watch(stream, function() quick = quick + 1 end))
    publish(conn, stream, 50)
    wait_until(function() return quick == 50 end)
    pump.sleep(0.3)
    assert.is_false(lost)
    conn:close()
    node:close()
    wait_until(function() return task.count() == 0 end)
  end)

  it("without a function tells conn.on_event", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    local seen = {}
    conn.on_event:append(function(event) seen[#seen + 1] = event.event_number end)
    publish(conn, stream, 2)
    assert(conn:watch(stream, { from_event = 0 }))
    publish(conn, stream, 2, 3)
    wait_until(function() return #seen == 4 end)
    assert.are.same(range(0, 3), seen)
  end)
end)
