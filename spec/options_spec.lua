local helper = require "helper"
local options = require "pump.options"

local known = { timeout = "seconds", direction = "direction", from_event = "event_number" }

describe("options", function()
  it("may be left out", function()
    assert.are.same({}, options.check(nil, known, "f"))
  end)

  it("are taken as they are", function()
    local given = { timeout = 0.5, direction = "backward", from_event = "end" }
    assert.equal(given, options.check(given, known, "f"))
  end)

  it("that nobody knows are told, with what was meant perhaps", function()
    helper.misuses("unknown option \"direktion\" to 'f'; did you mean direction%?",
      options.check, { direktion = 1 }, known, "f")
    helper.misuses("did you mean from_event%?", options.check, { from = 1 }, known, "f")
    helper.misuses("known are direction, from_event, timeout",
      options.check, { zzzzzzzz = 1 }, known, "f")
    helper.misuses("unknown option 1", options.check, { 1 }, known, "f")
    helper.misuses("unknown option boolean", options.check, { [true] = 1 }, known, "f")
  end)

  -- Values of each kind, right and wrong.
  local cases = {
    string = { { "", "x" }, { 1, true } },
    text = { { "", "x" }, { "x\0y", 1 } },
    boolean = { { true, false }, { 0, "true" } },
    port = { { 1, 1113, 65535, 80.0 }, { 0, 65536, 1.5, "80" } },
    natural = { { 0, 1, 5.0 }, { -1, 0.5, "1" } },
    count = { { 1, 5.0 }, { 0, -1, 0.5, "1" } },
    page = { { 1, 4096 }, { 0, 4097, "1" } },
    seconds = { { 0.001, 5 }, { 0, -1, math.huge, 0 / 0, "5" } },
    pause = { { 0, 5 }, { -1, math.huge, 0 / 0 } },
    direction = { { "forward", "backward" }, { "up", 1 } },
    event_number = { { 0, 7, 7.0, math.maxinteger, "start", "end" }, { -1, 0.5, "5", "last" } },
    expected_version = { { -1, 0, 7, "any", "no_stream", "stream_exists" }, { -2, "none", 1.5 } },
    position = { { "start", "end", { commit = 1, prepare = 1.0 } },
      { 0, {}, { commit = 1 }, { commit = "1", prepare = 1 }, { commit = 1, prepare = 0.5 } } },
    uuid = { { "9f2cbe1c-2a4b-4b2c-8f3d-0123456789ab" }, { "", "9f2c", 5 } },
    content_type = { { "json", "binary" }, { "text", 1 } },
    metadata = { { {}, "" }, { 5, true } },
    codec = { { require "pump.json" }, { {}, "json", 5 } },
    callback = { { print }, { {}, "f" } },
  }
  for kind, values in pairs(cases) do
    it("of the kind " .. kind .. " are checked", function()
      for _, value in ipairs(values[1]) do
        assert.is_true((options.kinds[kind](value)), tostring(value))
      end
      for _, value in ipairs(values[2]) do
        assert.is_falsy((options.kinds[kind](value)), tostring(value))
      end
    end)
  end

  it("in a URL are text", function()
    assert.equal(5, options.from_text("5", "seconds"))
    assert.is_nil(options.from_text("soon", "seconds"))
    assert.is_true(options.from_text("true", "boolean"))
    assert.is_false(options.from_text("0", "boolean"))
    assert.is_nil(options.from_text("yes", "boolean"))
    assert.equal("5", options.from_text("5", "string"))
  end)
end)

describe("a table of options with a metatable", function()
  it("counts with what it inherits", function()
    local given = setmetatable({ timeout = 1 }, { __index = { direction = "backward" } })
    assert.are.same({ timeout = 1, direction = "backward" }, options.check(given, known, "f"))
    helper.misuses("bad option 'direction' to 'f'", options.check,
      setmetatable({}, { __index = { direction = 5 } }), known, "f")
    helper.misuses("unknown option \"x\"", options.check,
      setmetatable({ x = 1 }, { __pairs = function() return next, {} end }), known, "f")
  end)
end)

describe("an error about options", function()
  it("is one line", function()
    local ok, err = pcall(options.check, { ["a\nb"] = 1 }, known, "f")
    assert.is_false(ok)
    assert.matches('unknown option "a\\nb" to', err)
    assert.is_nil(err:find "\n")
  end)
end)
