-- How much is under way: more where answers are waited for and come soon.
local helper = require "helper"
local paces = require "pump.pace"
local pump = require "pump"

helper.leaves_nothing(after_each)

-- A pace after so many answers that took so many seconds, or were there; and its sizes meanwhile.
local function after(pace, answers, seconds)
  local sizes = {}
  for i = 1, answers do
    pace:took(seconds)
    if i % 4 == 0 then sizes[#sizes + 1] = pace.size end
  end
  return sizes
end

describe("a pace", function()
  it("grows while answers that come soon are waited for, up to its most", function()
    assert.are.same({ 2, 4, 5, 5 }, after(paces.new(1, 5), 16, 0.2))
  end)

  it("stays where they are there, and where one is not now and then", function()
    local pace = paces.new(1, 5)
    for _ = 1, 10 do
      after(pace, 3)
      after(pace, 1, 0.2)
    end
    assert.equal(1, pace.size)
  end)

  it("stays where they come from nearby", function()
    assert.are.same({ 1, 1, 1 }, after(paces.new(1, 5), 12, 0.001))
  end)

  it("knows that more is waited for less often", function()
    local pace = paces.new(1, 8)
    for _ = 1, 40 do
      for _ = 2, pace.size do pace:took() end
      pace:took(0.01)
    end
    assert.equal(8, pace.size)
  end)

  it("stays where they take a while, and shrinks to its least where they take long", function()
    local pace = paces.new(2, 16)
    assert.are.same({ 4, 8, 16 }, after(pace, 12, 0.01))
    assert.are.same({ 16 }, after(pace, 4, 0.5))
    assert.are.same({ 8, 4, 2, 2 }, after(pace, 16, 1.1))
  end)

  it("never lets a short timeout come near", function()
    local pace = paces.new(1, 8, 0.4)
    assert.are.same({ 2 }, after(pace, 4, 0.02))
    assert.are.same({ 2 }, after(pace, 4, 0.05))
    assert.are.same({ 1 }, after(pace, 4, 0.15))
  end)

  it("does not move where it was told", function()
    local pace = paces.new(7, 7)
    assert.are.same({ 7, 7 }, after(pace, 8, 0.001))
    assert.are.same({ 7, 7 }, after(pace, 8, 100))
  end)
end)

-- Tests with a connection to a node of its own, and a function that has its answers take a while.
local function with_node(test)
  return function()
    local node <close> = helper.node()
    local conn <close> = assert(pump.connect("tcp://admin:changeit@" .. node.address))
    test(conn, function(seconds) node.faults.delay = seconds end)
  end
end

describe("a reader that is far away", function()
  -- All numbers of the stream, and how many pages were on their way at most.
  local function numbers(conn, stream, options, between)
    local all, most = {}, 0
    for event in conn:iter(stream, options) do
      all[#all + 1] = event.event_number
      local stats = conn:stats()
      most = math.max(most, stats.in_flight + stats.waiting)
      if between then between(event.event_number) end
    end
    return all, most
  end

  it("has several pages on their way, in both directions", with_node(function(conn, go_away)
    local stream = helper.stream_of(conn, 205)
    go_away(0.02)
    local all, most = numbers(conn, stream, { batch_size = 5 })
    assert.are.same(helper.range(0, 204), all)
    assert.equal(4, most)
    all, most = numbers(conn, stream, { batch_size = 5, direction = "backward" })
    table.sort(all)
    assert.are.same(helper.range(0, 204), all)
    assert.equal(4, most)
  end))

  it("reads nothing ahead but the next page where it is slow itself", with_node(function(conn)
    local stream = helper.stream_of(conn, 100)
    local _, most = numbers(conn, stream, { batch_size = 5 }, function() pump.sleep(0.002) end)
    assert.is_true(most <= 1, most)
  end))

  it("guesses no more than the stream has", with_node(function(conn, go_away)
    local stream = helper.stream_of(conn, 150)
    go_away(0.01)
    local before = conn:stats().requests
    assert.equal(150, #numbers(conn, stream, { batch_size = 5 }))
    -- The last page need not say that it is the last.
    local asked = conn:stats().requests - before
    assert.is_true(asked == 30 or asked == 31, asked)
  end))

  it("has larger pages of $all", with_node(function(conn, go_away)
    helper.stream_of(conn, 16000)
    -- So many pages, and events in them.
    local function pages(options)
      local seen, before = 0, conn:stats().requests
      for _ in conn:iter_all(options) do seen = seen + 1 end
      return conn:stats().requests - before, seen
    end
    go_away(0.02)
    local as_told, all = pages { batch_size = 500 }
    local larger, as_many = pages()
    assert.equal(all, as_many)
    assert.is_true(as_told >= 32 and larger < 28, ("%d, %d"):format(as_told, larger))
  end))

  it("takes nothing from pages that it asked for in vain", with_node(function(conn, go_away)
    local stream = helper.stream_of(conn, 200)
    go_away(0.02)
    local all = numbers(conn, stream, { batch_size = 5 }, function(number)
      if number ~= 52 then return end
      assert(conn:set_metadata(stream, { ["$tb"] = 101 }))
    end)
    local at = 1
    while all[at] and all[at] < 101 do at = at + 1 end
    assert.are.same(helper.range(0, at - 2), table.move(all, 1, at - 1, 1, {}))
    assert.are.same(helper.range(101, 199), table.move(all, at, #all, 1, {}))
    assert.is_true(at >= 54 and at < 101, at) -- a few pages were there already
  end))

  it("ends with what it is told where the stream is gone", with_node(function(conn, go_away)
    local stream = helper.stream_of(conn, 200)
    go_away(0.02)
    local all = {}
    local ok, err = pcall(function()
      for event in conn:iter(stream, { batch_size = 5 }) do
        all[#all + 1] = event.event_number
        if event.event_number == 52 then assert(conn:delete(stream, { hard = true })) end
      end
    end)
    assert.is_false(ok)
    assert.equal("stream_deleted", err.code)
    assert.are.same(helper.range(0, #all - 1), all)
    assert.is_true(#all >= 53 and #all < 200, #all)
  end))
end)

describe("a generator that is far away", function()
  -- Publishes so many events, and says how many writes that took.
  local function writes(conn, stream, count, options)
    local n, before = 0, conn:stats().requests
    local result = assert(conn:publish(stream, function()
      n = n + 1
      if n <= count then return pump.new_event("Counted", { n = n }) end
    end, options))
    assert.equal(count, result.count)
    local asked = conn:stats().requests - before
    local at = 0
    for event in conn:iter(stream) do
      at = at + 1
      assert.equal(at, event:json().n)
    end
    assert.equal(count, at)
    return asked
  end

  it("has larger batches", with_node(function(conn, go_away)
    local near = writes(conn, helper.stream(), 40000, { batch_size = 500 })
    go_away(0.03)
    local far = writes(conn, helper.stream(), 40000)
    assert.is_true(near >= 80 and far < near * 3 // 4, ("%d, %d"):format(near, far))
  end))

  it("has those that it was told to", with_node(function(conn, go_away)
    go_away(0.01)
    -- The first ones are smaller: nobody knows how long the events take to come.
    assert.is_true(writes(conn, helper.stream(), 1000, { batch_size = 20 }) >= 50)
  end))
end)
