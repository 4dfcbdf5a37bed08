-- Every function of the module, called with every kind of argument, from everywhere: nothing may
-- crash, hang, leave something behind, or raise what does not say who did wrong. A failure names
-- its seed: PUMP_SEED=… PUMP_SEEDS=1 ./test hostile does the same again. By hand thousands are run.
local task = require "pump.task"
local world = require "hostile.world"

local first = math.tointeger(os.getenv "PUMP_SEED" or "1")
local count = math.tointeger(os.getenv "PUMP_SEEDS" or "20")
local CALLS = 150

describe("hostile calls", function()
  local on_error = task.on_error
  after_each(function() task.on_error = on_error end)

  local function play(seed, step)
    io.stderr:write("seed ", seed, "\n") -- the last one, if it ends here
    local one = world.new(seed)
    function task.on_error(_, err) one:judge("a task", err) end
    for _ = 1, CALLS do
      one[step](one)
      if #one.wrong > 0 then break end
    end
    one:close()
    assert.are.same({}, one.wrong)
  end

  for seed = first, first + count - 1 do
    it("do no harm, seed " .. seed, function() play(seed, "step") end)
    it("do the binding no harm, seed " .. seed, function() play(seed, "step_in_core") end)
  end
end)
