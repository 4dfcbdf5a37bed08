-- Every example runs by itself, and says what it should.
local folder = "examples/"
local url = os.getenv "PUMP_TEST_URL"

local function output_of(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local text = pipe:read "a"
  local ok, _, status = pipe:close()
  return text, ok and 0 or status
end

local function run(name, arguments)
  local environment = url and ("PUMP_URL='%s' "):format(url) or "env -u PUMP_URL "
  return output_of(environment .. "lua5.4 " .. folder .. name .. ".lua " .. (arguments or ""))
end

local function count(text, pattern)
  return select(2, text:gsub(pattern, ""))
end

describe("the example", function()
  local expected = {
    write_one = "^written as event %d+\n$",
    read_one = "Derpy Hooves jumped 10 feet high\n$",
    write_two = "^written as events %d+ to %d+\n$",
    read_two = "^%d+\tPeculiar Hooves\n%d+\tSparkly Hooves\n$",
    read_backwards = "^%d+\t18\n%d+\t15\n%d+\t12\n$",
    ticker = "^10 ticks\n$",
    catch_up = "^14\t12\t2\n$",
    watch = "^Derpy Hooves!\nPeculiar Hooves!\n2 jumps, live, live\n$",
    tick_reader = "^tick 1\n.*tick 10\n$",
    subscribe = "^1\tSparkly Hooves\n2\tPeculiar Hooves\n$",
    consumer = "^0\tDerpy Hooves\n1\tSparkly Hooves\na break\n2\tPeculiar Hooves\n$",
    workers = "^11 jobs done, one tried 3 times\n$",
    feet_to_metres = "^2.74 m\n3.66 m\n4.57 m\n5.49 m\n$",
  }

  for name, pattern in pairs(expected) do
    it(name .. " prints what it says", function()
      local text, status = run(name)
      assert.equal(0, status, text)
      assert.truthy(text:find(pattern), text)
    end)
  end

  it("ticker stops after as many ticks as it is told", function()
    assert.equal("3 ticks\n", (run("ticker", "3")))
  end)

  it("tick_reader stops after as many", function()
    assert.equal(4, count(run("tick_reader", "4"), "tick %d+\n"))
  end)

  local in_c = {
    ponies = "^event 0: PonyJumped {\"Pony\":\"Derpy Hooves\",\"Height\":10}\n$",
    consumer = "^.*Derpy Hooves\"} %(try 1%)\n.*Sparkly Hooves.*Peculiar Hooves.*\n$",
  }

  for name, pattern in pairs(in_c) do
    it(name .. ".c prints what it says", function()
      local text, status = output_of(("'%s/spec/example_%s'"):format(os.getenv "PUMP_BUILD", name))
      assert.equal(0, status, text)
      assert.truthy(text:find(pattern), text)
    end)
  end

  it("has a test here", function()
    for file, name, kind in output_of("cd " .. folder .. " && ls"):gmatch "(([%w_]+)%.(%w+))" do
      assert.truthy((kind == "c" and in_c or expected)[name], file .. " has none")
    end
  end)
end)
