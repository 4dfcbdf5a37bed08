-- The two ways to wait, and what is promised of each.
local core = require "pump.core"
local helper = require "helper"
local pump = require "pump"
local scheduler = require "pump.scheduler"

helper.leaves_nothing(after_each)

-- The same checks in a plain script, in a task, and in a coroutine that is no task.
local places = {
  ["a plain script"] = function(fn) fn() end,
  ["a task"] = pump.run,
  ["a coroutine of a task"] = function(fn)
    pump.run(function() coroutine.wrap(fn)() end)
  end,
  ["a generator of pump.wrap"] = function(fn)
    pump.run(function() pump.wrap(fn)() end)
  end,
}

for place, run in pairs(places) do
  describe("in " .. place, function()
    it("await gives the answer of a ticket", function()
      run(function()
        local ticket, timer = core.after(0.005)
        assert.is_true(scheduler.await(ticket))
        timer:cancel()
      end)
    end)

    it("an answer for later may come before it is asked for", function()
      run(function()
        local ticket, timer = core.after(0.005)
        local early = scheduler.later(ticket)
        pump.sleep(0.02)
        assert.is_true(scheduler.value(early))
        local other_ticket, other_timer = core.after(0.005)
        assert.is_true(scheduler.value(scheduler.later(other_ticket)))
        timer:cancel()
        other_timer:cancel()
      end)
    end)

    it("many answers come in their order", function()
      run(function()
        local boxes, timers = {}, {}
        for i = 1, 50 do
          local ticket, timer = core.after(i / 5000)
          boxes[i], timers[i] = scheduler.later(ticket), timer
        end
        for i = 50, 1, -1 do assert.is_true(scheduler.value(boxes[i])) end
        assert.equal(50, #timers)
      end)
    end)

    it("settle waits and raises nothing", function()
      run(function()
        local ticket, timer = core.after(0.005)
        scheduler.settle(ticket)
        timer:cancel()
        assert.equal(0, core.pending())
      end)
    end)
  end)
end

describe("a task that was cancelled", function()
  it("can still settle what it closes", function()
    pump.run(function()
      local settled
      local one = pump.spawn(function()
        pcall(pump.sleep, 60)
        local ticket, timer = core.after(0.01)
        scheduler.settle(ticket)
        timer:cancel()
        settled = true
      end)
      pump.sleep(0)
      one:cancel()
      one:join()
      assert.is_true(settled)
    end)
  end)
end)

describe("a signal", function()
  it("ends the wait of the loop, so that a script's ^C is heard at once", function()
    local pipe = assert(io.popen([[
      lua5.4 -e 'require("pump").sleep(60)' 2>/dev/null & script=$!
      sleep 0.5; kill -INT $script; sleep 0.5; kill -0 $script 2>/dev/null && echo "is there"
      kill -KILL $script 2>/dev/null; wait $script]]))
    local said = pipe:read("a")
    pipe:close()
    assert.equal("", said)
  end)
end)
