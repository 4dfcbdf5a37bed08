-- Loops over subscriptions, and how they are left: by break, by errors, from generators and tasks,
-- by the collector. What a loop leaves behind at the server shows as a ticket (see helper).
local core = require "pump.core"
local helper = require "helper"
local pump = require "pump"
local task = require "pump.task"

local stream_of = helper.stream_of
local wait_until = helper.wait_until

helper.leaves_nothing(after_each)

describe("a handle in a <close> variable", function()
  it("is closed however its block is left", function()
    local conn <close> = helper.connect()
    local stream = stream_of(conn, 3)
    local seen
    local function loop(how)
      local sub <close> = assert(conn:subscribe_to(stream, { from_event = 0 }))
      seen = sub
      for event in sub:events() do
        local function number() return event.event_number end
        if how == "error" then error { number() } end
        if how == "return" then return number() end
        if how == "goto" then goto out end
        if number() == 2 then break end
      end
      ::out::
      return "left"
    end
    assert.equal("left", loop "break")
    assert.equal("closed", seen.state)
    assert.equal("left", loop "goto")
    assert.equal("closed", seen.state)
    assert.equal(0, loop "return")
    assert.equal("closed", seen.state)
    local ok, err = pcall(loop, "error")
    assert.is_false(ok)
    assert.are.same({ 0 }, err)
    assert.equal("closed", seen.state)
  end)

  it("is closed when its task is cancelled", function()
    local conn <close> = helper.connect()
    local stream = stream_of(conn, 1)
    local seen
    pump.run(function()
      local reader = pump.spawn(function()
        local sub <close> = assert(conn:subscribe_to(stream, { from_event = 0 }))
        seen = sub
        for _ in sub:events() do end
      end)
      wait_until(function() return seen and seen.state == "live" end)
      reader:cancel()
      helper.fails("cancelled", reader:join(1))
    end)
    assert.equal("closed", seen.state)
  end)
end)

describe("a loop over events()", function()
  it("may stand in a generator of anybody's", function()
    local conn <close> = helper.connect()
    local stream = stream_of(conn, 6)
    for _, wrap in ipairs { coroutine.wrap, pump.wrap } do
      local function doubles()
        return wrap(function()
          local sub <close> = assert(conn:subscribe_to(stream, { from_event = 0 }))
          for event in sub:events() do
            coroutine.yield(event:json().n * 2)
            if event.event_number == 5 then return end
          end
        end)
      end
      local function sum()
        local total = 0
        for value in doubles() do total = total + value end
        return total
      end
      assert.equal(42, sum())
      assert.equal(42, pump.run(sum))
    end
  end)

  it("may stand in another one of the same subscription", function()
    local conn <close> = helper.connect()
    local stream = stream_of(conn, 6)
    local sub <close> = assert(conn:subscribe_to(stream, { from_event = 0 }))
    local outer, inner = {}, {}
    for event in sub:events() do
      outer[#outer + 1] = event.event_number
      for other in sub:events() do
        inner[#inner + 1] = other.event_number
        if #inner % 2 == 0 then break end
      end
      if #outer == 2 then break end
    end
    assert.are.same({ 0, 3 }, outer)
    assert.are.same({ 1, 2, 4, 5 }, inner)
  end)

  it("keeps each event as it was, however long it is kept", function()
    local conn <close> = helper.connect()
    local stream = stream_of(conn, 300)
    local sub <close> = assert(conn:subscribe_to(stream, { from_event = 0, batch_size = 7 }))
    local kept = {}
    for event in sub:events() do
      kept[#kept + 1] = event
      if #kept == 300 then break end
    end
    sub:close()
    collectgarbage()
    for i, event in ipairs(kept) do assert.equal(i, event:json().n) end
  end)
end)

describe("next()", function()
  it("without patience takes what is there", function()
    local conn <close> = helper.connect()
    local stream = stream_of(conn, 3)
    local sub <close> = assert(conn:subscribe_to(stream, { from_event = 0 }))
    assert.equal(0, assert(sub:next(2)).event_number)
    assert.equal(1, assert(sub:next(0)).event_number)
    assert.equal(2, assert(sub:next(0)).event_number)
    helper.fails("timeout", sub:next(0))
  end)

  it("has its own patience in each task", function()
    local conn <close> = helper.connect()
    local sub <close> = assert(conn:subscribe_to(helper.stream()))
    pump.run(function()
      local long = pump.spawn(function() return sub:next(5) end)
      local short = pump.spawn(function() return sub:next(0.02) end)
      helper.fails("timeout", short:join(2))
      assert.equal("waiting", long.status)
      assert(conn:publish_event(sub.stream, "t"))
      assert.equal(0, assert(long:join(2)).event_number)
    end)
  end)
end)

describe("a loop over stream()", function()
  local function left(how)
    local conn <close> = helper.connect()
    local stream = stream_of(conn, 3)
    local ok, err = pcall(function()
      for event in conn:stream(stream, { forever = true }) do
        local function number() return event.event_number end
        if number() == 1 then
          if how == "error" then error "odd" end
          if how == "return" then return end
          break
        end
      end
    end)
    assert.equal(how ~= "error", ok, tostring(err))
    -- Lua 5.4.4 cannot close what a loop is left with: then the collector does.
    collectgarbage()
    collectgarbage()
    pump.loop:step(0)
    assert.equal(0, core.pending())
  end

  for _, how in ipairs { "break", "error", "return" } do
    it("leaves nothing when it is left by " .. how, function() left(how) end)
  end

  it("leaves nothing when its task is cancelled", function()
    local conn <close> = helper.connect()
    local stream = stream_of(conn, 1)
    pump.run(function()
      local count = 0
      local reader = pump.spawn(function()
        for _ in conn:stream(stream, { forever = true }) do count = count + 1 end
      end)
      wait_until(function() return count == 1 end)
      reader:cancel()
      helper.fails("cancelled", reader:join(1))
    end)
    collectgarbage()
    collectgarbage()
    assert.equal(0, core.pending())
  end)
end)

describe("watch", function()
  it("may be closed by the function that it calls", function()
    local conn <close> = helper.connect()
    local stream = stream_of(conn, 5)
    local seen, sub = 0, nil
    sub = assert(conn:watch(stream, function()
      seen = seen + 1
      if seen == 2 then sub:close() end
    end, { from_event = 0 }))
    wait_until(function() return sub.state == "closed" end)
    pump.sleep(0.01)
    assert.equal(2, seen)
  end)

  it("tells all that listen, those that fail and those that come and go", function()
    local conn <close> = helper.connect()
    local stream = helper.stream()
    local reported, seen, late = 0, 0, 0
    local report = task.on_error
    task.on_error = function() reported = reported + 1 end
    finally(function() task.on_error = report end)
    conn.on_event:append(function() error "odd" end)
    local once
    once = conn.on_event:append(function()
      conn.on_event:remove(once)
      conn.on_event:append(function() late = late + 1 end)
    end)
    conn.on_event:append(function() seen = seen + 1 end)
    local sub <close> = assert(conn:watch(stream))
    for i = 1, 3 do assert(conn:publish_event(stream, "t", { n = i })) end
    wait_until(function() return seen == 3 and late == 2 end)
    assert.equal(3, reported)
    assert.equal("live", sub.state)
  end)

  it("goes on when nobody holds it, until its connection is closed", function()
    local conn = helper.connect()
    local stream = helper.stream()
    local seen = 0
    assert(conn:watch(stream, function() seen = seen + 1 end))
    collectgarbage()
    collectgarbage()
    assert(conn:publish_event(stream, "t"))
    wait_until(function() return seen == 1 end)
    conn:close()
    wait_until(function() return task.count() == 0 end)
  end)
end)
