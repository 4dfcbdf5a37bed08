local core = require "pump.core"
local helper = require "helper"
local pump = require "pump"

helper.leaves_nothing(after_each)

local function fill(conn, count)
  local stream, i = helper.stream(), 0
  assert(conn:publish(stream, function()
    i = i + 1
    if i <= count then return pump.new_event("n", { i = i - 1 }) end
  end))
  return stream
end

local function numbers(list)
  local result = {}
  for i, event in ipairs(list) do result[i] = event.event_number end
  return result
end

local function walk(...)
  local result = {}
  for event in ... do result[#result + 1] = event.event_number end
  return result
end

describe("get_event", function()
  it("gives one event, or the last", function()
    local conn <close> = helper.connect()
    local stream = fill(conn, 3)
    assert.equal(1, assert(conn:get_event(stream, 1)).event_number)
    assert.equal(2, assert(conn:get_event(stream, "last")).event_number)
  end)

  it("tells what is not there", function()
    local conn <close> = helper.connect()
    local stream = fill(conn, 1)
    local err = helper.fails("event_not_found", conn:get_event(stream, 5))
    assert.equal(stream, err.stream)
    assert.equal(5, err.event_number)
    err = helper.fails("stream_not_found", conn:get_event(helper.stream "none", 0))
    assert.matches("^none", err.stream)
  end)

  it("wants a number", function()
    local conn <close> = helper.connect()
    helper.misuses("bad argument #2 to 'get_event'", conn.get_event, conn, "s")
    helper.misuses("bad argument #2 to 'get_event'", conn.get_event, conn, "s", -1)
    helper.misuses("bad argument #2 to 'get_event'", conn.get_event, conn, "s", 1.5)
  end)
end)

describe("get", function()
  it("gives a slice", function()
    local conn <close> = helper.connect()
    local stream = fill(conn, 5)
    local slice = assert(conn:get(stream, { max_count = 2 }))
    assert.are.same({ 0, 1 }, numbers(slice))
    assert.equal(2, slice.next_event_number)
    assert.equal(4, slice.last_event_number)
    assert.is_false(slice.is_end_of_stream)
    slice = assert(conn:get(stream, { from_event = 3 }))
    assert.are.same({ 3, 4 }, numbers(slice))
    assert.equal(5, slice.next_event_number)
    assert.is_true(slice.is_end_of_stream)
  end)

  it("goes backward, from the end by default", function()
    local conn <close> = helper.connect()
    local stream = fill(conn, 5)
    local slice = assert(conn:get(stream, { direction = "backward", max_count = 3 }))
    assert.are.same({ 4, 3, 2 }, numbers(slice))
    assert.equal(1, slice.next_event_number)
    slice = assert(conn:get(stream, { direction = "backward", from_event = 1 }))
    assert.are.same({ 1, 0 }, numbers(slice))
    assert.is_true(slice.is_end_of_stream)
    slice = assert(conn:get(stream, { direction = "backward", from_event = "start" }))
    assert.are.same({ 0 }, numbers(slice))
  end)

  it("from the end is empty, and tells where the end is", function()
    local conn <close> = helper.connect()
    local slice = assert(conn:get(fill(conn, 5), { from_event = "end" }))
    assert.are.same({ 0, 5, 4, true }, { #slice, slice.next_event_number,
      slice.last_event_number, slice.is_end_of_stream })
  end)

  it("tells that there is no such stream", function()
    local conn <close> = helper.connect()
    local stream = helper.stream "none"
    assert.equal(stream, helper.fails("stream_not_found", conn:get(stream)).stream)
    helper.fails("stream_not_found", conn:get(stream, { from_event = "end" }))
  end)

  it("wants its options right", function()
    local conn <close> = helper.connect()
    helper.misuses("string expected", conn.get, conn)
    helper.misuses("1 to 4096", conn.get, conn, "s", { max_count = 4097 })
    helper.misuses("1 to 4096", conn.get, conn, "s", { max_count = 0 })
    helper.misuses("\"forward\" or \"backward\"", conn.get, conn, "s", { direction = "up" })
    helper.misuses("bad option 'from_event'", conn.get, conn, "s", { from_event = -1 })
    helper.misuses("unknown option \"batch_size\"", conn.get, conn, "s", { batch_size = 5 })
  end)
end)

describe("iter", function()
  it("gives every event of a stream, over all pages", function()
    local conn <close> = helper.connect()
    local stream = fill(conn, 103)
    local all = {}
    for i = 1, 103 do all[i] = i - 1 end
    for _, size in ipairs { 1, 7, 102, 103, 104, 500 } do
      assert.are.same(all, walk(conn:iter(stream, { batch_size = size })))
    end
    local reverse = {}
    for i = 1, 103 do reverse[i] = 103 - i end
    for _, size in ipairs { 1, 7, 103, 500 } do
      local options = { batch_size = size, direction = "backward" }
      assert.are.same(reverse, walk(conn:iter(stream, options)))
    end
  end)

  it("starts and stops where it is told", function()
    local conn <close> = helper.connect()
    local stream = fill(conn, 10)
    assert.are.same({ 8, 9 }, walk(conn:iter(stream, { from_event = 8 })))
    assert.are.same({}, walk(conn:iter(stream, { from_event = 10 })))
    assert.are.same({}, walk(conn:iter(stream, { from_event = "end" })))
    assert.are.same({ 2, 1, 0 },
      walk(conn:iter(stream, { from_event = 2, direction = "backward" })))
    assert.are.same({ 0, 1, 2 }, walk(conn:iter(stream, { max_count = 3, batch_size = 2 })))
  end)

  it("ends for good", function()
    local conn <close> = helper.connect()
    local next_event = conn:iter(fill(conn, 1))
    assert.equal(0, next_event().event_number)
    assert.is_nil(next_event())
    assert.is_nil(next_event())
  end)

  it("may be left at any time", function()
    local conn <close> = helper.connect()
    local stream = fill(conn, 20)
    for _ = 1, 50 do
      for event in conn:iter(stream, { batch_size = 5 }) do
        local keep = function() return event end
        if keep().event_number == 3 then break end
      end
    end
    assert.equal(20, #walk(conn:iter(stream)))
  end)

  it("allows other calls in its body", function()
    local conn <close> = helper.connect()
    local stream, copy = fill(conn, 20), helper.stream()
    for event in conn:iter(stream, { batch_size = 3 }) do
      assert(conn:publish_event(copy, event.type, event.data))
    end
    assert.equal(20, #walk(conn:iter(copy)))
  end)

  it("works in tasks, and in generators of users in and outside of them", function()
    local conn <close> = helper.connect()
    local stream = fill(conn, 30)
    local function odd(wrap)
      return wrap(function()
        for event in conn:iter(stream, { batch_size = 4 }) do
          if event.event_number % 2 == 1 then coroutine.yield(event) end
        end
      end)
    end
    assert.equal(15, #walk(odd(pump.wrap)))
    assert.equal(15, #walk(odd(coroutine.wrap)))
    pump.run(function()
      local tasks = {}
      for i = 1, 10 do
        tasks[i] = pump.spawn(function() return #walk(conn:iter(stream, { batch_size = i })) end)
      end
      assert.equal(15, #walk(odd(pump.wrap)))
      assert.equal(15, #walk(odd(coroutine.wrap)))
      for i = 1, 10 do assert.equal(30, tasks[i]:join()) end
    end)
  end)

  it("may be shared by tasks, each event for one of them", function()
    local conn <close> = helper.connect()
    local stream = fill(conn, 50)
    for _, options in ipairs { { batch_size = 3 }, { batch_size = 3, max_count = 40 } } do
      local events = conn:iter(stream, options)
      local found = {}
      pump.run(function()
        for _ = 1, 4 do
          pump.spawn(function()
            for event in events do
              found[#found + 1] = event.event_number
              pump.sleep(0)
            end
          end)
        end
      end)
      table.sort(found)
      assert.are.same(helper.range(0, (options.max_count or 50) - 1), found)
    end
  end)

  it("goes on when a task that waits for it is cancelled", function()
    local conn <close> = helper.connect()
    local stream = fill(conn, 3)
    pump.run(function()
      for _ = 1, 20 do
        local events = conn:iter(stream)
        local quitter = pump.spawn(function() return events() end)
        pump.sleep(0)
        assert(conn:ping()) -- its answer comes behind the page, and is taken first
        quitter:cancel()
        local taken = quitter:join() and 1 or 0
        assert.equal(taken, events().event_number)
      end
    end)
  end)

  it("raises what goes wrong", function()
    local conn = helper.connect()
    local stream = helper.stream "none"
    local ok, err = pcall(walk, conn:iter(stream))
    assert.is_false(ok)
    assert.equal("stream_not_found", err.code)
    assert.equal(stream, err.stream)
    local next_event = conn:iter(fill(conn, 9), { batch_size = 2 })
    assert.equal(0, next_event().event_number)
    conn:close()
    assert.equal(1, next_event().event_number)
    ok, err = pcall(function() for _ = 1, 9 do next_event() end end)
    assert.is_false(ok)
    assert.equal("closed", err.code)
  end)

  it("keeps memory flat", function()
    local conn <close> = helper.connect()
    local stream = fill(conn, 2000)
    local most = 0
    for _ = 1, 60 do
      for _ in conn:iter(stream, { batch_size = 100 }) do
        most = math.max(most, core.page_bytes())
      end
    end
    assert.is_true(most > 0 and most < 32 * 1024 * 1024, most)
    collectgarbage()
    assert.is_true(core.page_bytes() < 1024 * 1024, core.page_bytes())
  end)
end)

describe("$all", function()
  it("is read in slices", function()
    local conn <close> = helper.connect()
    local stream = fill(conn, 12)
    local place, found = "start", {}
    repeat
      local slice = assert(conn:get_all { from_position = place, max_count = 5 })
      for _, event in ipairs(slice) do
        if event.stream == stream then found[#found + 1] = event end
      end
      assert.equal("integer", math.type(slice.position.commit))
      place = slice.next_position
    until slice.is_end_of_stream
    assert.equal(12, #found)
    assert.is_true(found[2].position.commit > found[1].position.commit)
    local last = assert(conn:get_all { direction = "backward", max_count = 1 })
    assert.equal(1, #last)
  end)

  it("is iterated in both directions", function()
    local conn <close> = helper.connect()
    local stream = fill(conn, 12)
    for _, direction in ipairs { "forward", "backward" } do
      local found = {}
      for event in conn:iter_all { direction = direction, batch_size = 5 } do
        if event.stream == stream then found[#found + 1] = event.event_number end
      end
      assert.equal(12, #found)
      assert.equal(direction == "forward" and 0 or 11, found[1])
    end
  end)

  it("is read on from the position of an event", function()
    local conn <close> = helper.connect()
    local stream = fill(conn, 5)
    local position
    for event in conn:iter_all { direction = "backward" } do
      if event.stream == stream then
        position = event.position
        break
      end
    end
    local slice = assert(conn:get_all { from_position = position })
    assert.equal(stream, slice[1].stream)
    -- As it comes back from codecs that make floats of all numbers.
    local kept = { commit = position.commit + 0.0, prepare = position.prepare + 0.0 }
    slice = assert(conn:get_all { from_position = kept })
    assert.equal(stream, slice[1].stream)
    local sub <close> = assert(conn:subscribe_to("$all", { from_position = kept }))
    assert.equal("integer", math.type(sub.position.commit))
    helper.misuses("bad option 'from_position'", conn.get_all, conn, { from_position = 5 })
    helper.misuses("bad option 'from_position'", conn.get_all, conn,
      { from_position = { commit = 0.5, prepare = 0.5 } })
  end)
end)
