-- Groups of consumers, against the embedded store and a node that misbehaves.
local helper = require "helper"
local pump = require "pump"

local publish = helper.publish
local range = helper.range
local wait_until = helper.wait_until

helper.leaves_nothing(after_each)

-- A node that listens, and the URL of one who may do everything.
local function node()
  local made, address = helper.node { users = { admin = "changeit" } }
  return made, ("tcp://admin:changeit@%s"):format(address)
end

-- A stream of so many events, and a group that begins with the first.
local function group_of(conn, count, settings)
  local stream = helper.stream()
  local all = { from_event = 0 }
  for name, value in pairs(settings or {}) do all[name] = value end
  if count > 0 then publish(conn, stream, count) end
  assert(conn:create_subscription("g", stream, all))
  return stream
end

-- The next events' numbers, acknowledged; sorted, as a group keeps to no order after retries.
local function take(sub, count)
  local numbers = {}
  for i = 1, count do
    local event = assert(sub:next(2))
    numbers[i] = event.event_number
    assert(sub:ack(event))
  end
  table.sort(numbers)
  return numbers
end

local function parked(conn, stream)
  local count = 0
  local name = ("$persistentsubscription-%s::g-parked"):format(stream)
  local slice = conn:get(name, { resolve_links = false })
  for _ in ipairs(slice or {}) do count = count + 1 end
  return count
end

describe("a group", function()
  it("is created once, updated, and deleted once", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    assert.is_true(conn:create_subscription("g", stream))
    local err = helper.fails("subscription_exists", conn:create_subscription("g", stream))
    assert.equal(stream, err.stream)
    assert.equal("g", err.group)
    assert.is_true(conn:update_subscription("g", stream, { max_retry_count = 3 }))
    assert.is_true(conn:delete_subscription("g", stream))
    helper.fails("subscription_not_found", conn:update_subscription("g", stream))
    helper.fails("subscription_not_found", conn:delete_subscription("g", stream))
    helper.fails("subscription_not_found", conn:connect_subscription("g", stream))
  end)

  it("takes all settings", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    assert(conn:create_subscription("g", stream, {
      resolve_links = true, from_event = "start", message_timeout = 0, record_statistics = true,
      live_buffer_size = 10, read_batch_size = 5, buffer_size = 20, max_retry_count = 0,
      checkpoint_after = 0.5, checkpoint_max_count = 10, checkpoint_min_count = 1,
      subscriber_max_count = 2, consumer_strategy = "DispatchToSingle", timeout = 3,
    }))
    assert(conn:create_subscription("small", stream, { buffer_size = 4 }))
    assert(conn:create_subscription("large", stream, { read_batch_size = 900 }))
  end)

  it("is refused what makes no sense", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    local create, connect = conn.create_subscription, conn.connect_subscription
    for pattern, settings in pairs {
      ["more than read_batch_size expected, got 10"] = { buffer_size = 10, read_batch_size = 10 },
      ["bad option 'buffer_size'"] = { buffer_size = 1 },
      ["seconds from 0 to 2147483"] = { message_timeout = 2147484 },
      ["bad option 'max_retry_count'"] = { max_retry_count = -1 },
      ["did you mean max_retry_count"] = { max_retry = 1 },
    } do
      helper.misuses(pattern, create, conn, "g", stream, settings)
    end
    helper.misuses("bad argument #1 to 'create_subscription'", create, conn, nil, stream)
    helper.misuses("bad argument #2 to 'connect_subscription'", connect, conn, "g")
    helper.misuses("a group needs a name", conn.delete_subscription, conn, "", stream)
    helper.misuses("a stream needs a name", conn.update_subscription, conn, "g", "")
  end)

  it("says in the server's words why it failed", function()
    local conn <close> = helper.connect()
    local err = helper.fails("subscription_failed",
      conn:create_subscription("g", helper.stream(), { consumer_strategy = "Nope" }))
    assert.matches("Nope", tostring(err))
  end)

  it("has one stream, over TCP", function()
    local conn <close> = helper.connect()
    local err = helper.fails("not_supported", conn:create_subscription("g", "$all"))
    assert.matches("21%.10", tostring(err))
    helper.fails("not_supported", conn:create_subscription("g", "$all",
      { from_position = "start", filter = { stream_prefix = "pony-" } }))
    helper.fails("not_supported", conn:connect_subscription("g", "$all"))
    for name, value in pairs { exclude_system = true, from_position = "start" } do
      helper.misuses("it is for groups on %$all", conn.create_subscription, conn, "g", "s",
        { [name] = value })
    end
  end)

  it("is for those who may", function()
    local _ <close>, address = helper.node { users = { admin = "changeit" } }
    local conn <close> = assert(pump.connect("tcp://" .. address))
    local stream = helper.stream()
    helper.fails("access_denied", conn:create_subscription("g", stream))
    local login = { username = "admin", password = "changeit" }
    assert(conn:create_subscription("g", stream, login))
    helper.fails("access_denied", conn:delete_subscription("g", stream))
    assert(conn:delete_subscription("g", stream, login))
  end)
end)

describe("a consumer", function()
  it("gets the group's events, in order, and those that come", function()
    local conn <close> = helper.connect()
    local stream = group_of(conn, 100)
    local sub <close> = assert(conn:connect_subscription("g", stream, { buffer_size = 7 }))
    assert.equal("live", sub.state)
    assert.equal("g", sub.group)
    for i = 0, 99 do
      local event = assert(sub:next(2))
      assert.equal(i, event.event_number)
      assert.equal(0, event.retry_count)
      assert.equal(i + 1, event:json().n)
      assert.is_nil(event.position)
      assert.is_true(sub:ack(event))
    end
    publish(conn, stream, 50, 101)
    assert.are.same(range(100, 149), take(sub, 50))
    assert.equal(149, sub.position)
    helper.fails("timeout", sub:next(0.05))
  end)

  it("gets no more than its buffer before it answers", function()
    local conn <close> = helper.connect()
    local stream = group_of(conn, 50)
    local sub <close> = assert(conn:connect_subscription("g", stream, { buffer_size = 5 }))
    local got = {}
    for i = 1, 5 do got[i] = assert(sub:next(2)) end
    helper.fails("timeout", sub:next(0.1))
    assert(sub:ack(got))
    assert.are.same(range(5, 9), take(sub, 5))
  end)

  it("begins where the group stands, and at the end by default", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    publish(conn, stream, 10)
    assert(conn:create_subscription("g", stream))
    assert(conn:create_subscription("seven", stream, { from_event = 7 }))
    local sub <close> = assert(conn:connect_subscription("g", stream))
    local seven <close> = assert(conn:connect_subscription("seven", stream))
    publish(conn, stream, 1, 11)
    assert.are.same({ 10 }, take(sub, 1))
    assert.are.same(range(7, 10), take(seven, 4))
  end)

  it("answers links by their own id", function()
    local conn <close> = helper.connect()
    local stream, links = helper.stream(), helper.stream("links")
    publish(conn, stream, 3)
    for i = 2, 0, -1 do assert(conn:publish_event(links, "$>", ("%d@%s"):format(i, stream))) end
    assert(conn:create_subscription("g", links,
      { from_event = 0, resolve_links = true, message_timeout = 0.3 }))
    local sub <close> = assert(conn:connect_subscription("g", links))
    for i = 0, 2 do
      local event = assert(sub:next(2))
      assert.equal(i, event.event_number)
      assert.equal(3 - i, event:json().n)
      assert(sub:ack(i == 0 and event.link or event))
    end
    helper.fails("timeout", sub:next(0.6))
  end)

  it("shares the events with others", function()
    local _ <close>, url = node()
    local conn <close> = assert(pump.connect(url))
    local other <close> = assert(pump.connect(url))
    local stream = group_of(conn, 0)
    local seen, total = {}, 0
    pump.run(function()
      local subs, workers = {}, {}
      for i = 1, 3 do
        subs[i] = assert((i % 2 == 0 and other or conn):connect_subscription("g", stream))
        workers[i] = pump.spawn(function()
          local mine = 0
          for event in subs[i]:events() do
            seen[event.event_number] = (seen[event.event_number] or 0) + 1
            subs[i]:ack(event)
            total, mine = total + 1, mine + 1
          end
          return mine
        end)
      end
      publish(conn, stream, 90)
      wait_until(function() return total == 90 end)
      for _, sub in ipairs(subs) do sub:close() end
      for _, worker in ipairs(workers) do assert.is_true(worker:join(1) > 0) end
    end)
    for i = 0, 89 do assert.equal(1, seen[i]) end
  end)

  it("is one of as many as the group allows", function()
    local conn <close> = helper.connect()
    local stream = group_of(conn, 0, { subscriber_max_count = 1 })
    local sub <close> = assert(conn:connect_subscription("g", stream))
    helper.fails("max_subscribers", conn:connect_subscription("g", stream))
    sub:close()
    local second <close> = assert(conn:connect_subscription("g", stream))
    assert.equal("live", second.state)
  end)

  it("leaves its place when it is forgotten", function()
    local conn <close> = helper.connect()
    local stream = group_of(conn, 3, { subscriber_max_count = 1 })
    do
      local sub = assert(conn:connect_subscription("g", stream))
      assert(sub:ack(assert(sub:next(2))))
    end
    collectgarbage()
    collectgarbage()
    pump.sleep(0.05)
    local sub <close> = assert(conn:connect_subscription("g", stream))
    assert.are.same({ 1, 2 }, take(sub, 2))
  end)
end)

describe("an answer", function()
  it("that says to retry brings the event again, until it is parked", function()
    local conn <close> = helper.connect()
    local stream = group_of(conn, 1, { max_retry_count = 2 })
    local sub <close> = assert(conn:connect_subscription("g", stream))
    for tries = 0, 2 do
      local event = assert(sub:next(2))
      assert.equal(tries, event.retry_count)
      local action = tries > 0 and "retry" or nil
      assert(sub:nack(event, action, "not yet"))
    end
    helper.fails("timeout", sub:next(0.1))
    wait_until(function() return parked(conn, stream) == 1 end)
  end)

  for action, comes in pairs { park = 1, skip = 0, stop = 0 } do
    it(("that says to %s ends it"):format(action), function()
      local conn <close> = helper.connect()
      local stream = group_of(conn, 3, { message_timeout = 0.2 })
      local sub <close> = assert(conn:connect_subscription("g", stream))
      for i = 0, 2 do
        local event = assert(sub:next(2))
        assert.equal(i, event.event_number)
        assert(i == 1 and sub:nack(event, action, "odd") or sub:ack(event))
      end
      helper.fails("timeout", sub:next(0.4))
      wait_until(function() return parked(conn, stream) == comes end)
    end)
  end

  it("may be for a list", function()
    local conn <close> = helper.connect()
    local stream = group_of(conn, 6)
    local sub <close> = assert(conn:connect_subscription("g", stream))
    local got = {}
    for i = 1, 6 do got[i] = assert(sub:next(2)) end
    assert.is_true(sub:ack { got[1], got[2] })
    assert.is_true(sub:nack({ got[3], got[4] }, "retry", "both"))
    assert.is_true(sub:ack {})
    assert.is_true(sub:ack { got[5], got[6] })
    assert.are.same({ 2, 3 }, take(sub, 2))
  end)

  it("that does not come in time brings the event again", function()
    local conn <close> = helper.connect()
    local stream = group_of(conn, 2, { message_timeout = 0.1 })
    local sub <close> = assert(conn:connect_subscription("g", stream))
    local first, second = assert(sub:next(2)), assert(sub:next(2))
    assert(sub:ack(second))
    local again = assert(sub:next(2))
    assert.equal(first.event_number, again.event_number)
    assert.equal(1, again.retry_count)
    assert(sub:ack(again))
    helper.fails("timeout", sub:next(0.3))
  end)

  it("is for events, while there is a subscription", function()
    local conn <close> = helper.connect()
    local stream = group_of(conn, 1)
    local sub = assert(conn:connect_subscription("g", stream))
    local event = assert(sub:next(2))
    helper.misuses("an event or a list of events expected, got nil", sub.ack, sub)
    helper.misuses("got string", sub.ack, sub, { event, "x" })
    helper.misuses("got one with 2 and without 1", sub.ack, sub, { nil, event })
    helper.misuses("bad argument #2 to 'nack'", sub.nack, sub, event, "dunno")
    helper.misuses("bad argument #3 to 'nack'", sub.nack, sub, event, "park", 1)
    helper.fails("too_large", sub:nack(event, "park", ("x"):rep(70000)))
    assert(sub:ack(event))
    sub:close()
    helper.fails("closed", sub:ack(event))
    helper.fails("closed", sub:nack(event))
  end)

  it("goes out when the subscription is closed, and the connection", function()
    local _ <close>, url = node()
    local stream
    for round = 0, 9 do
      local conn <close> = assert(pump.connect(url))
      stream = stream or group_of(conn, 20, { subscriber_max_count = 1, message_timeout = 60 })
      -- That the one before hung up the node may hear a moment later.
      local sub
      wait_until(function()
        sub = sub or conn:connect_subscription("g", stream, { buffer_size = 1 })
        return sub ~= nil
      end)
      for i = 0, 1 do
        local event = assert(sub:next(2))
        assert.equal(2 * round + i, event.event_number)
        assert(sub:ack(event))
      end
      if round % 2 == 0 then sub:close() end
    end
  end)
end)

describe("auto_ack", function()
  it("acknowledges an event when the next is asked for", function()
    local conn <close> = helper.connect()
    local stream = group_of(conn, 30, { message_timeout = 60 })
    local sub = assert(conn:connect_subscription("g", stream, { auto_ack = true, buffer_size = 4 }))
    local count = 0
    for event in sub:events() do
      local function number() return event.event_number end
      assert.equal(count, number())
      count = count + 1
      if count == 20 then break end
    end
    sub:close()
    local other <close> = assert(conn:connect_subscription("g", stream))
    assert.are.same(range(19, 29), take(other, 11))
  end)

  it("does not acknowledge what the body failed with", function()
    local conn <close> = helper.connect()
    local stream = group_of(conn, 5, { message_timeout = 60 })
    local sub = assert(conn:connect_subscription("g", stream, { auto_ack = true }))
    local ok = pcall(function()
      for event in sub:events() do
        if event.event_number == 2 then error "odd" end
      end
    end)
    assert.is_false(ok)
    sub:close()
    local other <close> = assert(conn:connect_subscription("g", stream))
    assert.are.same({ 2, 3, 4 }, take(other, 3))
  end)

  it("leaves a nack as it is", function()
    local conn <close> = helper.connect()
    local stream = group_of(conn, 2, { max_retry_count = 5 })
    local sub <close> = assert(conn:connect_subscription("g", stream, { auto_ack = true }))
    local seen = {}
    for event in sub:events() do
      seen[#seen + 1] = event.event_number .. "/" .. event.retry_count
      if event.event_number == 0 and event.retry_count < 2 then sub:nack(event, "retry") end
      if #seen == 4 then break end
    end
    table.sort(seen)
    assert.are.same({ "0/0", "0/1", "0/2", "1/0" }, seen)
  end)

  it("works with next, for each task", function()
    local conn <close> = helper.connect()
    local stream = group_of(conn, 40, { message_timeout = 60 })
    local sub = assert(conn:connect_subscription("g", stream, { auto_ack = true, buffer_size = 4 }))
    local total = 0
    pump.run(function()
      for _ = 1, 4 do
        pump.spawn(function()
          while sub:next(0.2) do
            total = total + 1
            pump.sleep(0.001)
          end
        end)
      end
    end)
    assert.equal(40, total)
    sub:close()
    local other <close> = assert(conn:connect_subscription("g", stream))
    helper.fails("timeout", other:next(0.1))
  end)
end)

describe("it ends, or goes on", function()
  it("when the group is updated: by itself", function()
    local conn <close> = helper.connect()
    local stream = group_of(conn, 3)
    local sub <close> = assert(conn:connect_subscription("g", stream))
    local lives, drops = 0, 0
    pump.sleep(0.01)
    sub.on_live:append(function() lives = lives + 1 end)
    sub.on_dropped:append(function() drops = drops + 1 end)
    assert.are.same({ 0, 1, 2 }, take(sub, 3))
    pump.sleep(0.05)
    assert(conn:update_subscription("g", stream, { from_event = 0, max_retry_count = 1 }))
    wait_until(function() return lives == 1 end)
    assert.equal("live", sub.state)
    assert.equal(0, drops)
    publish(conn, stream, 1, 4)
    local event = assert(sub:next(2))
    while event.event_number ~= 3 do event = assert(sub:next(2)) end
  end)

  -- Its old place would keep what is pinned to it: first it is left at once, then the node does not
  -- hear that either, until it pushes there again.
  for refusals = 1, 2 do
    it(("when %d answers are refused: from a new place"):format(refusals), function()
      local server <close>, url = node()
      local conn <close> = assert(pump.connect(url))
      local stream = group_of(conn, 40, { consumer_strategy = "Pinned", message_timeout = 0.5 })
      local sub <close> = assert(conn:connect_subscription("g", stream))
      local seen, lives, count = {}, 0, 0
      pump.sleep(0.01)
      sub.on_live:append(function() lives = lives + 1 end)
      server.faults:set { not_handled = "too_busy", count = refusals }
      while count < 40 do
        local event = assert(sub:next(5))
        assert(sub:ack(event))
        if not seen[event.event_number] then seen[event.event_number], count = true, count + 1 end
      end
      assert.equal(1, lives)
    end)
  end

  it("when the group is deleted", function()
    local conn <close> = helper.connect()
    local stream = group_of(conn, 2)
    local sub <close> = assert(conn:connect_subscription("g", stream))
    local event, why = assert(sub:next(2)), nil
    sub.on_dropped:append(function(err) why = err end)
    assert(conn:delete_subscription("g", stream))
    local ok, err = pcall(function() for _ in sub:events() do end end)
    assert.is_false(ok)
    assert.equal("subscription_not_found", err.code)
    assert.equal(err, why)
    assert.equal("closed", sub.state)
    helper.fails("subscription_not_found", sub:ack(event))
    helper.fails("subscription_not_found", sub:next(1))
  end)

  it("when the connection is lost: by itself, and nothing is", function()
    local server <close>, url = node()
    local conn <close> = assert(pump.connect(url, { reconnect = { delay = 0.01 } }))
    local stream = group_of(conn, 200)
    local sub <close> = assert(conn:connect_subscription("g", stream))
    local seen, done, held, lives = {}, {}, {}, 0
    sub.on_live:append(function() lives = lives + 1 end)
    local function read(count)
      held = {}
      for i = 1, count do
        local event = sub:next(0.3)
        if not event then return end
        assert.is_nil(done[event.event_number], "what was acknowledged comes again")
        seen[event.event_number] = true
        held[i] = event
        assert(sub:ack(event))
      end
    end
    for round = 1, 8 do
      read(math.random(1, 15))
      pump.sleep(0.03) -- the acks are out, and with the answer to a ping the node has them
      assert(conn:ping())
      for _, event in ipairs(held) do done[event.event_number] = true end
      read(math.random(0, 3))
      server.faults:drop()
      wait_until(function() return lives > round end)
      assert(sub:ack(held)) -- of the connection that is gone: it says nothing
    end
    done = {}
    read(1000)
    for number = 0, 199 do assert.is_true(seen[number], number) end
  end)

  it("at the leader, where a follower is asked", function()
    local follower <close>, url = node()
    local leader <close> = node()
    local conn <close> = assert(pump.connect(url, { reconnect = { delay = 0.01 } }))
    local stream = group_of(conn, 3)
    local sub <close> = assert(conn:connect_subscription("g", stream))
    local other <close> = assert(pump.connect("tcp://admin:changeit@" .. leader.address))
    publish(other, stream, 2)
    assert(other:create_subscription("g", stream, { from_event = 0 }))
    assert.equal(0, assert(sub:next(2)).event_number)
    follower.faults:set { not_handled = "not_leader", leader = leader.address }
    assert(conn:update_subscription("g", stream, { from_event = 0, max_retry_count = 1 }))
    wait_until(function() return conn.endpoint == leader.address and sub.state == "live" end)
    publish(conn, stream, 1, 3)
    local count = 0
    for event in sub:events() do
      assert(sub:ack(event))
      count = count + 1
      if event.event_number == 2 then break end
    end
    assert.equal(3, count)
    helper.fails("timeout", sub:next(0.05))
  end)

  it("without what the lost connection had brought and nobody had taken", function()
    local server <close>, url = node()
    local conn <close> = assert(pump.connect(url, { reconnect = { delay = 0.01 } }))
    local stream = group_of(conn, 5, { message_timeout = 60 })
    local sub <close> = assert(conn:connect_subscription("g", stream))
    local lives = 0
    sub.on_live:append(function() lives = lives + 1 end)
    assert.equal(0, assert(sub:next(2)).event_number)
    server.faults:drop()
    wait_until(function() return lives == 2 end)
    assert.are.same(range(0, 4), take(sub, 5))
    helper.fails("timeout", sub:next(0.1))
  end)

  it("when it is closed, or its connection", function()
    local conn = helper.connect()
    local stream = group_of(conn, 1)
    pump.run(function()
      local sub = assert(conn:connect_subscription("g", stream))
      local waiting = pump.spawn(function()
        for event in sub:events() do sub:ack(event) end
        return "ended"
      end)
      pump.sleep(0.02)
      sub:close()
      assert.equal("ended", waiting:join(1))
      local other = assert(conn:connect_subscription("g", stream))
      local late = pump.spawn(function() return other:next() end)
      pump.sleep(0.02)
      conn:close()
      helper.fails("closed", late:join(1))
      assert.equal("closed", other.state)
    end)
  end)

  it("when the task that waits is cancelled", function()
    local conn <close> = helper.connect()
    local stream = group_of(conn, 1, { message_timeout = 60 })
    local sub <close> = assert(conn:connect_subscription("g", stream))
    pump.run(function()
      local waiting = pump.spawn(function()
        for event in sub:events() do sub:ack(event) end
      end)
      pump.sleep(0.02)
      waiting:cancel()
      helper.fails("cancelled", waiting:join(1))
    end)
    publish(conn, stream, 1, 2)
    assert.are.same({ 1 }, take(sub, 1))
  end)

  it("when the task that connects is cancelled", function()
    local conn <close> = helper.connect()
    local stream = group_of(conn, 1, { subscriber_max_count = 1 })
    pump.run(function()
      local connecting = pump.spawn(function() return conn:connect_subscription("g", stream) end)
      pump.sleep(0)
      connecting:cancel()
      helper.fails("cancelled", connecting:join(1))
    end)
    local sub
    wait_until(function()
      sub = sub or conn:connect_subscription("g", stream)
      return sub ~= nil
    end)
    sub:close()
  end)

  it("costs a program that does not read no memory", function()
    local conn <close> = helper.connect()
    local stream = group_of(conn, 2000, { message_timeout = 0.05, max_retry_count = 3 })
    local sub <close> = assert(conn:connect_subscription("g", stream, { buffer_size = 10 }))
    pump.sleep(1)
    assert.is_true(sub.last - sub.first <= 10)
    local event = assert(sub:next(2))
    assert.equal("Counted", event.type)
  end)
end)
