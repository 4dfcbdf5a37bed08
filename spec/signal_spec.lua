local helper = require "helper"
local pump = require "pump"
local signal = require "pump.signal"

helper.leaves_nothing(after_each)

describe("a signal", function()
  it("tells all that were appended, in their order", function()
    local seen = {}
    local one = signal.new()
    one:append(function(...) seen[#seen + 1] = table.concat({ "a", ... }, " ") end)
    one:append(function(...) seen[#seen + 1] = table.concat({ "b", ... }, " ") end)
    signal.emit(one, 1, 2)
    assert.are.same({ "a 1 2", "b 1 2" }, seen)
  end)

  it("lets its functions wait", function()
    local done
    local one = signal.new()
    one:append(function()
      pump.sleep(0.01)
      done = true
    end)
    signal.emit(one)
    assert.is_nil(done)
    pump.sleep(0.03)
    assert.is_true(done)
  end)

  it("may be changed while it tells", function()
    local one, count = signal.new(), 0
    local function once()
      count = count + 1
      one:remove(once)
      one:append(function() count = count + 10 end)
    end
    one:append(once)
    signal.emit(one)
    assert.equal(1, count)
    signal.emit(one)
    assert.equal(11, count)
  end)
end)
