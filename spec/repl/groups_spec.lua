-- groups, group, consume, \ack and \nack.
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
local terminal = dofile(here .. "/terminal.lua")
local support = terminal.support
local objects, fine, fails = support.objects, support.fine, support.fails

local server

local function on(...) return support.run { "-q", "-u", server.url, ... } end

setup(function()
  server = support.serve()
  for i = 0, 4 do fine(on("publish", "ponies", "T", tostring(i))) end
end)

teardown(function()
  server.stop()
  support.clean()
end)

describe("group", function()
  it("creates, shows, changes and deletes", function()
    assert.same({ stream = "ponies", group = "g" },
      objects(fine(on("group", "create", "ponies", "g", "--max-retry-count", "2")))[1])
    fails(3, "^pumpsh: subscription_exists: ", on("group", "create", "ponies", "g"))
    local info = objects(fine(on("group", "info", "ponies", "g")))[1]
    assert.equal(2, info.max_retry_count)
    assert.equal("end", info.from_event)
    assert.equal(30, info.message_timeout)
    fine(on("group", "update", "ponies", "g", "--message-timeout", "5", "--resolve-links"))
    info = objects(fine(on("group", "info", "ponies", "g")))[1]
    assert.equal(2, info.max_retry_count) -- what was not named stays
    assert.equal(5, info.message_timeout)
    assert.is_true(info.resolve_links)
    fails(1, "^pumpsh: group: there is no terminal to ask on: say %-%-yes",
      on("group", "delete", "ponies", "g"))
    fine(on("group", "delete", "ponies", "g", "--yes"))
    fails(3, "^pumpsh: group: there is no group g of ponies",
      on("group", "info", "ponies", "g"))
    fails(3, "^pumpsh: subscription_not_found", on("group", "delete", "ponies", "g", "--yes"))
  end)

  it("says what is wrong", function()
    fails(1, "^pumpsh: group: GROUP is missing %(pumpsh group ACTION",
      on("group", "info", "ponies"))
    fails(1, 'say create, update, delete or info, not "make"', on("group", "make", "ponies", "g"))
    fails(1, '%-%-from%-event is an event number, start or end, not "begin"',
      on("group", "create", "ponies", "g", "--from-event", "begin"))
    fails(1, "%-%-max%-retry%-count must be 0 or more",
      on("group", "create", "ponies", "g", "--max-retry-count=-1"))
    fails(1, "^pumpsh: group: %-%-yes goes with delete",
      on("group", "info", "ponies", "g", "--yes"))
  end)
end)

describe("groups", function()
  it("lists them, with how far they have come", function()
    fine(on("group", "create", "ponies", "a", "--from-event", "start"))
    fine(on("group", "create", "other", "b"))
    local rows = objects(fine(on("groups")))
    assert.equal(2, #rows)
    assert.equal("b", rows[1].group)
    assert.equal("a", rows[2].group)
    local row = objects(fine(on("groups", "ponies")))[1]
    assert.equal(4, row.last_event_number)
    assert.equal(0, row.parked)
    assert.matches("^stream +group +checkpoint +last_event_number +parked\nother +b ",
      fine(on("groups", "--format", "table")).out)
    fine(on("group", "delete", "ponies", "a", "--yes"))
    fine(on("group", "delete", "other", "b", "--yes"))
    assert.equal("", fine(on("groups")).out)
  end)

  it("are an admin's to see", function()
    fails(3, "^pumpsh: groups: only an admin can look at them: access_denied",
      support.run { "-q", "-u", "tcp://" .. server.address, "groups" })
  end)
end)

describe("consume", function()
  it("acks what was shown, if it is told to", function()
    fine(on("group", "create", "ponies", "acked", "--from-event", "start"))
    local function consumed(count)
      return support.run({}, { env = { "URL=" .. server.url }, shell = string.format(
        '"$PUMPSH" -q -u "$URL" consume ponies acked --auto-ack --format raw | head -%d', count) })
    end
    assert.equal("0\n1\n2\n3\n4\n", consumed(5).out)
    fine(on("publish", "ponies", "T", "5"))
    assert.equal("5\n", consumed(1).out)
  end)

  it("acks nothing otherwise, and says so", function()
    fine(on("group", "create", "ponies", "kept", "--from-event", "start"))
    for _ = 1, 2 do
      local result = support.run({}, { env = { "URL=" .. server.url }, shell =
        '"$PUMPSH" -u "$URL" consume ponies kept --format raw | head -1' })
      assert.equal("0\n", result.out)
      assert.matches("without %-%-auto%-ack", result.err)
    end
  end)

  it("says that there is no such group", function()
    fails(3, "^pumpsh: subscription_not_found: ", on("consume", "ponies", "nobody"))
    fails(1, "GROUP is missing", on("consume", "ponies"))
  end)
end)

terminal.describe(describe, pending)("consume in a terminal", function()
  local shows, typed, look = terminal.shows, terminal.typed, terminal.look
  local prompt

  setup(terminal.setup)
  after_each(terminal.close)

  local function line(text)
    typed(text)
    terminal.key "Enter"
    return terminal.ends(prompt)
  end

  it("shows numbered events above the prompt, which ack and nack answer", function()
    fine(on("group", "create", "ponies", "shell", "--from-event", "start"))
    prompt = "pump " .. server.address .. ">"
    terminal.open("-u " .. server.url)
    terminal.ends(prompt)
    line "\\consume ponies shell"
    shows "following ponies::shell"
    shows "\n#1 ponies@0"
    shows "\n#5 ponies@4"
    assert.matches("\n1 event acked\n", line "\\ack 2")
    assert.matches("ack: there is no #2 that waits for an answer", line "\\ack #2")
    assert.matches("\n1 event parked\n", line "\\nack 1 park")
    line "\\nack 3"
    look(function(view) return view:find("\n#%d+ %(retry 1%) ponies@2") end)
    line "\\nack 4 skip"
    line "\\ack"
    assert.matches("ack: nothing that was shown waits for an answer", line "\\ack")
    assert.matches("nack: an event can be parked, retried or skipped", line "\\nack 1 eat")
    assert.matches("ack: NUMBER is one that an event was shown with", line "\\ack all")
    assert.matches("\nponies::shell  live", line "\\tails")
    line "\\untail"
    assert.equal(1, objects(fine(on("groups", "ponies")))[1] and
      objects(fine(on("group", "info", "ponies", "shell")))[1].parked)
  end)
end)
