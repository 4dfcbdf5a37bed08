local errors = require "pump.error"
local helper = require "helper"

describe("an error", function()
  it("has a code, a message and what belongs to the case", function()
    local err = errors.new("wrong_expected_version", "at 5, not 3", { stream = "s", current = 5 })
    assert.equal("wrong_expected_version", err.code)
    assert.equal("at 5, not 3", err.message)
    assert.equal(5, err.current)
    assert.is_false(err.retryable)
    assert.is_true(errors.is(err))
    assert.is_false(errors.is { code = "timeout" })
  end)

  it("is one line as text, also joined to another", function()
    local err = errors.new("timeout", "no answer\n  in time")
    assert.equal("timeout: no answer in time", tostring(err))
    assert.equal("failed: timeout: no answer in time", "failed: " .. err)
    assert.equal("timeout: no answer in time!", err .. "!")
    assert.equal(2 * #tostring(err), #(err .. err))
  end)

  it("has a sentence where nobody gave one", function()
    assert.matches("came in time", errors.new("timeout").message)
  end)

  it("passes through error and pcall as it is", function()
    local err = errors.new("timeout")
    local ok, caught = pcall(error, err)
    assert.is_false(ok)
    assert.equal(err, caught)
  end)
end)

describe("an error in a task", function()
  it("reaches <close> variables as it is", function()
    local pump = require "pump"
    local told
    for _, err in ipairs { errors.new("timeout"), "over", 42 } do
      local task = pump.spawn(function()
        local guard <close> = setmetatable({}, { __close = function(_, why) told = why end })
        error(err, guard and 0)
      end)
      local _, joined = task:join()
      assert.equal(err, joined)
      assert.equal(err, told)
    end
  end)

  it("tells how many events a generator had written", function()
    local pump = require "pump"
    local conn <close> = helper.connect()
    local stream = helper.stream()
    local task = pump.spawn(function()
      return conn:publish(stream, function()
        pump.sleep(0.001)
        return pump.new_event("t")
      end)
    end)
    helper.wait_until(function() return #(conn:get(stream) or {}) > 5 end)
    task:cancel()
    local _, err = task:join()
    assert.equal("cancelled", err.code)
    assert.is_true(err.count > 5)
  end)
end)

describe("a misuse", function()
  it("is told with the place of the caller", function()
    helper.misuses("a pony expected, got nil",
      errors.misuse, "a %s expected, got %s", "pony", "nil")
  end)

  it("may stand behind a pcall", function()
    local ok, err = pcall(require("pump").sleep, "long")
    assert.is_false(ok)
    assert.matches("error_spec.lua:%d+: bad argument #1 to 'sleep'", err)
  end)
end)

describe("a method", function()
  it("says when it is called without what it belongs to", function()
    local pump = require "pump"
    local conn <close> = helper.connect()
    local stream = helper.stream_of(conn, 1)
    local sub <close> = assert(conn:subscribe_to(stream, { from_event = 0 }))
    local event = assert(sub:next(1))
    local one = pump.spawn(function() end)
    one:join()
    for _, name in ipairs { "connect", "close", "ping", "members", "stats", "get_all", "iter_all",
      "get", "get_event", "iter", "publish", "publish_event", "delete", "get_metadata",
      "set_metadata", "subscribe_to", "stream", "watch", "create_subscription",
      "connect_subscription", "delete_subscription" } do
      local pattern = ("calling '%s' on bad self %%(a connection expected, got "):format(name)
      helper.misuses(pattern .. "nil", conn[name])
      helper.misuses(pattern .. "table", conn[name], sub)
    end
    for object, names in pairs {
      [sub] = { "next", "events", "close" }, [one] = { "join", "cancel" },
      [event] = { "json", "metadata_json" }, [conn.on_closed] = { "append", "remove" },
    } do
      for _, name in ipairs(names) do
        helper.misuses(("calling '%s' on bad self"):format(name), object[name], 5)
        helper.misuses(("calling '%s' on bad self"):format(name), object[name], conn)
      end
    end
  end)
end)

describe("what a program raises", function()
  it("is shown, also where its own text fails", function()
    local pump = require "pump"
    local odd = setmetatable({}, { __tostring = function() return {} end })
    local one = pump.spawn(pump.sleep, 1)
    pump.sleep(0)
    one:cancel(odd)
    assert.equal("cancelled: table", tostring(select(2, one:join())))
    local codec = { encode = function() error(odd) end, decode = function() error(odd) end }
    local conn <close> = helper.connect { json = codec }
    helper.fails("json_error", conn:publish_event(helper.stream(), "t", {}))
  end)
end)
