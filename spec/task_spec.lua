local core = require "pump.core"
local helper = require "helper"
local pump = require "pump"
local task = require "pump.task"

local elapsed, soon = helper.elapsed, helper.soon

helper.leaves_nothing(after_each)

describe("sleep", function()
  it("waits in a plain script, and never too short", function()
    for _, seconds in ipairs { 0, 0.001, 0.03 } do
      local took = elapsed(pump.sleep, seconds)
      assert.is_true(took >= seconds, took)
      soon(seconds + 0.5, took)
    end
  end)

  it("uses no CPU meanwhile", function()
    local before = os.clock()
    pump.sleep(0.2)
    assert.is_true(os.clock() - before < 0.05)
  end)

  it("wants seconds", function()
    helper.misuses("seconds expected, got string", pump.sleep, "1")
    helper.misuses("seconds expected", pump.sleep, 0 / 0)
  end)

  it("wakes in the order of the clock", function()
    local order = {} -- of when each was to wake: a busy machine may let one begin late
    pump.run(function()
      for _, seconds in ipairs { 0.03, 0.01, 0.02 } do
        pump.spawn(function()
          local due = core.hrtime() + seconds
          pump.sleep(seconds)
          order[#order + 1] = due
        end)
      end
    end)
    assert.equal(3, #order)
    for i = 2, 3 do assert.is_true(order[i - 1] < order[i] + 0.005) end
  end)

  it("wakes a thousand tasks", function()
    local woken = 0
    soon(1, elapsed(pump.run, function()
      for i = 1, 1000 do
        pump.spawn(function()
          pump.sleep(0.02 + i % 7 / 1000)
          woken = woken + 1
        end)
      end
    end))
    assert.equal(1000, woken)
  end)
end)

describe("run", function()
  it("passes arguments and results", function()
    assert.are.same({ 3, nil, "x", n = 3 }, table.pack(pump.run(function(a, b)
      pump.sleep(0)
      return a + b, nil, "x"
    end, 1, 2)))
  end)

  it("waits for everything that was spawned in it", function()
    local done = 0
    pump.run(function()
      pump.spawn(function()
        pump.sleep(0.01)
        pump.spawn(function()
          pump.sleep(0.01)
          done = done + 1
        end)
        done = done + 1
      end)
    end)
    assert.equal(2, done)
  end)

  it("raises the first unhandled error with its task's traceback, and ends the rest", function()
    local ended
    local ok, err = pcall(pump.run, function()
      pump.spawn(function()
        local guard <close> = setmetatable({}, { __close = function() ended = true end })
        pump.sleep(60)
        return guard
      end)
      pump.spawn(function()
        pump.sleep(0.01)
        local function stumble() error "over a stone" end
        stumble()
      end)
      pump.sleep(60)
    end)
    assert.is_false(ok)
    assert.matches("task_spec.lua:%d+: over a stone\n", err)
    assert.matches("in upvalue 'stumble'", (err:gsub("in local", "in upvalue")))
    assert.is_true(ended)
  end)

  it("raises error objects as they are, with the traceback beside", function()
    local errors = require "pump.error"
    local ok, err = pcall(pump.run, function() error(errors.new("timeout", "late")) end)
    assert.is_false(ok)
    assert.equal("timeout: late", tostring(err))
    assert.matches("task_spec.lua", err.traceback)
    local other = {}
    assert.equal(other, select(2, pcall(pump.run, function() error(other) end)))
  end)

  it("may stand in a task", function()
    local result = pump.run(function()
      local other = pump.spawn(pump.sleep, 0.03)
      local inner = pump.run(function()
        pump.sleep(0.01)
        return "inner"
      end)
      assert.equal("waiting", other.status)
      return inner
    end)
    assert.equal("inner", result)
  end)

  it("without a function waits for what was spawned outside", function()
    local done
    pump.spawn(function()
      pump.sleep(0.01)
      done = true
    end)
    pump.run()
    assert.is_true(done)
    pump.spawn(error, "outside")
    assert.matches("outside", select(2, pcall(pump.run)))
  end)

  it("wants a function", function()
    helper.misuses("a function expected", pump.run, 42)
    helper.misuses("a function expected", pump.spawn)
  end)
end)

describe("a task", function()
  it("gives and gets values that take themselves for equal to all others", function()
    local equal = { __eq = function() return true end }
    local function new() return setmetatable({}, equal) end
    local ok, err = pcall(pump.run, function()
      local generator = pump.wrap(function()
        pump.sleep(0.001)
        coroutine.yield(new())
        return new()
      end)
      assert.equal(equal, getmetatable(generator()))
      assert.equal(equal, getmetatable(generator()))
      local other = pump.spawn(function() error(new(), 0) end)
      other:join()
      assert.equal("failed", other.status)
      pump.spawn(function() coroutine.yield(new()) end):join()
      return error(new(), 0)
    end)
    assert.is_false(ok)
    assert.equal(equal, getmetatable(err))
  end)

  it("is joined for its results", function()
    pump.run(function()
      local one = pump.spawn(function() return 1, 2 end)
      assert.are.same({ 1, 2 }, { one:join() })
      assert.are.same({ 1, 2 }, { one:join() })
      assert.equal("done", one.status)
    end)
  end)

  it("can be joined from a plain script", function()
    local one = pump.spawn(function()
      pump.sleep(0.01)
      return "done"
    end)
    assert.equal("done", one:join())
  end)

  it("gives its error to who joins it, and nobody else", function()
    pump.run(function()
      local one = pump.spawn(function()
        pump.sleep(0.01)
        error("over", 0)
      end)
      local value, err = one:join()
      assert.is_nil(value)
      assert.equal("over", err)
      assert.equal("failed", one.status)
    end)
  end)

  it("is waited for no longer than asked", function()
    pump.run(function()
      local one = pump.spawn(pump.sleep, 60)
      local took = elapsed(function() helper.fails("timeout", one:join(0.01)) end)
      assert.is_true(took < 10)
      assert.equal("waiting", one.status)
      one:cancel()
      helper.misuses("seconds expected", one.join, one, "1")
    end)
  end)

  it("has a name", function()
    pump.run(function()
      local one = pump.spawn(function() end)
      assert.matches("^task %d+$", one.name)
      one.name = "digger"
      assert.equal("pump.task{digger, ready}", tostring(one))
    end)
  end)

  it("cannot wait for itself", function()
    pump.run(function()
      local one
      one = pump.spawn(function() return pcall(one.join, one) end)
      local ok, err = one:join()
      assert.is_false(ok)
      assert.matches("cannot join itself", err)
    end)
  end)

  it("that yields for no reason is told what to do", function()
    local ok, err = pcall(pump.run, function() coroutine.yield(1) end)
    assert.is_false(ok)
    assert.matches("task_spec.lua:%d+: coroutine.yield in a task", err)
    assert.matches("pump.wrap", err)
  end)

  it("that fails where nobody looks is reported", function()
    local reported
    local on_error = task.on_error
    task.on_error = function(...) reported = { ... } end
    pump.spawn(error, "lonely")
    pump.sleep(0)
    task.on_error = on_error
    assert.equal("lonely", reported[2])
    assert.matches("traceback", reported[3])
  end)
end)

describe("cancelling", function()
  it("raises where the task waits", function()
    pump.run(function()
      local seen
      local one = pump.spawn(function()
        local ok, err = pcall(pump.sleep, 60)
        seen = { ok, err.code, err.message }
        error(err)
      end)
      pump.sleep(0)
      assert.is_true(one:cancel("no longer needed"))
      helper.fails("cancelled", one:join())
      assert.are.same({ false, "cancelled", "no longer needed" }, seen)
      assert.equal("cancelled", one.status)
      assert.is_false(one:cancel())
    end)
  end)

  it("cannot be swallowed by a pcall in a loop", function()
    pump.run(function()
      local rounds, closed = 0, false
      local one = pump.spawn(function()
        local guard <close> = setmetatable({}, { __close = function() closed = true end })
        while guard do
          pcall(pump.sleep, 60)
          rounds = rounds + 1
        end
      end)
      pump.sleep(0)
      one:cancel()
      helper.fails("cancelled", one:join(2))
      assert.is_true(rounds > 1)
      assert.is_true(closed)
    end)
  end)

  it("ends what has not begun", function()
    pump.run(function()
      local one = pump.spawn(error, "never")
      one:cancel()
      helper.fails("cancelled", one:join())
    end)
  end)

  it("reaches a wait inside a coroutine that is no task", function()
    pump.run(function()
      local one = pump.spawn(function()
        for _ in coroutine.wrap(function() pump.sleep(60) end) do error "no" end
      end)
      pump.sleep(0.01)
      one:cancel()
      helper.fails("cancelled", one:join(2))
    end)
  end)

  it("is no failure of the run", function()
    pump.run(function()
      local one = pump.spawn(pump.sleep, 60)
      pump.sleep(0)
      one:cancel()
    end)
  end)
end)

-- Every way to make a generator that waits gives the same values, and others go on meanwhile.
describe("generators", function()
  local function count_to(n, wrap)
    return wrap(function()
      for i = 1, n do
        pump.sleep(0.005)
        coroutine.yield(i, -i)
      end
    end)
  end

  local function collect(wrap)
    local values = {}
    for i, j in count_to(4, wrap) do values[#values + 1] = i + j + i end
    return values
  end

  for name, wrap in pairs { ["pump.wrap"] = pump.wrap, ["coroutine.wrap"] = coroutine.wrap } do
    it("of " .. name .. " wait in a plain script", function()
      assert.are.same({ 1, 2, 3, 4 }, collect(wrap))
    end)

    it("of " .. name .. " wait in a task, and others go on", function()
      local ticks = 0
      pump.run(function()
        local ticker = pump.spawn(function()
          while true do
            pump.sleep(0.002)
            ticks = ticks + 1
          end
        end)
        assert.are.same({ 1, 2, 3, 4 }, collect(wrap))
        ticker:cancel()
      end)
      assert.is_true(ticks >= 4, ticks)
    end)
  end

  it("wait inside one another", function()
    pump.run(function()
      local squares = pump.wrap(function()
        for i in count_to(3, pump.wrap) do
          pump.sleep(0.001)
          coroutine.yield(i * i)
        end
      end)
      assert.are.same({ 1, 4, 9 }, { squares(), squares(), squares() })
    end)
  end)

  it("raise their errors", function()
    pump.run(function()
      local ok, err = pcall(pump.wrap(function() error("broken", 0) end))
      assert.is_false(ok)
      assert.equal("broken", err)
    end)
    helper.misuses("function expected", pump.wrap, {})
  end)

  it("of many tasks end in an error, not a crash, when they nest too deeply", function()
    local ok, err = pcall(pump.run, function()
      for _ = 1, 200 do
        pump.spawn(function() coroutine.wrap(function() pump.sleep(0.001) end)() end)
      end
    end)
    assert.is_true(ok or err:find("nested too deeply", 1, true) ~= nil, err)
  end)
end)

describe("a wait", function()
  it("works in a callback that cannot yield", function()
    pump.run(function()
      local list = { 3, 1, 2 }
      table.sort(list, function(a, b)
        pump.sleep(0.001)
        return a < b
      end)
      assert.are.same({ 1, 2, 3 }, list)
    end)
  end)

  it("that nothing can end is an error", function()
    local one, other
    one = pump.spawn(function() return pcall(other.join, other) end)
    other = pump.spawn(function() return pcall(one.join, one) end)
    local ok, err = pcall(one.join, one)
    assert.is_false(ok)
    assert.matches("wait for ever", err)
    assert.matches("task %d+ %(waiting%)", err)
    one:cancel()
    other:cancel()
    pump.sleep(0)
    pump.sleep(0)
  end)
end)

describe("the loop", function()
  it("is what a host polls", function()
    assert.equal("r", pump.loop:events())
    assert.is_true(pump.loop:pollfd() >= 0)
    assert.is_nil(pump.loop:timeout())
    local done
    pump.spawn(function()
      pump.sleep(0.03)
      done = true
    end)
    assert.equal(0, pump.loop:timeout())
    pump.loop:step(0)
    local timeout = pump.loop:timeout()
    assert.is_true(timeout > 0 and timeout <= 0.031, timeout)
    local turns = 0
    while not done do
      pump.loop:step(pump.loop:timeout())
      turns = turns + 1
    end
    assert.is_true(turns < 10, turns)
  end)

  it("does not wait longer than asked", function()
    soon(0.2, elapsed(pump.loop.step, pump.loop, 0.02))
  end)
end)
