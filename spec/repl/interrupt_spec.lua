-- Ctrl-C: what it stops, how soon, and that the next line works.
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
local terminal = dofile(here .. "/terminal.lua")
local support = terminal.support
local clock = require("pump.core").hrtime

local key, shows, ends = terminal.key, terminal.shows, terminal.ends
local typed, line, prompt = terminal.typed, terminal.line, terminal.prompt

-- It is meant to take a tenth; the rest is for tmux, and for a machine that does other things.
local soon = 0.6 * support.slow

local function open()
  terminal.open()
  ends(prompt)
end

local function start(text)
  typed(text)
  key "Enter"
  os.execute("sleep 0.3")
end

-- Presses Ctrl-C and waits for the prompt: not for longer than is fine.
local function stops(text)
  local began = clock()
  key "C-c"
  while not terminal.screen():find(text .. "\n" .. prompt, 1, true) do
    assert.is_true(clock() - began < 20, terminal.screen())
  end
  assert.is_true(clock() - began < soon, clock() - began .. " seconds")
end

-- One by one: a signal that comes while the same one waits is none.
local function press_thrice()
  for _ = 1, 3 do
    key "C-c"
    os.execute("sleep 0.2")
  end
end

terminal.describe(describe, pending)("Ctrl-C", function()
  setup(terminal.setup)
  teardown(support.clean)
  after_each(terminal.close)

  it("drops the line at the prompt", function()
    open()
    typed "half a line"
    key "C-c"
    shows(prompt .. " half a line^C\n" .. prompt)
    typed "{ 1,"
    key("Enter", "C-c")
    assert.matches("\n3\n", line "1 + 2")
  end)

  for name, chunk in pairs {
    ["a wait"] = "pump.sleep(60)",
    ["a busy loop"] = "while true do end",
    ["a busy loop in a coroutine"] = "coroutine.wrap(function() while true do end end)()",
    ["requests without end"] = "while true do conn:ping() end",
    ["a wait in a coroutine of one's own"] = "coroutine.wrap(function() pump.sleep(60) end)()",
    ["a wait in a comparison"] = "table.sort({ 1, 2 }, function() pump.sleep(60) end)",
    ["a wait for an event"] = "conn:subscribe_to('silent'):next()",
    ["a loop over what never ends"] = "for e in conn:stream('silent', { forever = true }) do end",
    ["a join"] = "pump.spawn(pump.sleep, 60):join()",
    ["what makes events without end"] =
      "conn:publish('many', function() return pump.new_event('T') end)",
    ["a following read"] = "\\read news --follow",
    ["a watch"] = "\\watch 60 1 + 1",
    ["a watch without a pause"] = "\\watch 0.1 x = conn:ping()",
    ["a ping of many"] = "\\ping --count 100",
  } do
    it("stops " .. name .. ", and keeps the connection", function()
      open()
      line "x = conn:publish_event('kept', 'T', 1)"
      start(chunk)
      stops "^Cinterrupted"
      assert.matches("\n0\n", line "conn:get_event('kept', 0).event_number")
      start(chunk)
      stops "^Cinterrupted"
      assert.matches("\n2\n", line "1 + 1")
    end)
  end

  it("is raised in what swallows it, the second time", function()
    open()
    start "while true do pcall(function() while true do end end) end"
    key "C-c"
    os.execute("sleep 0.2")
    stops "interrupted"
    assert.matches("\n2\n", line "1 + 1")
  end)

  it("ends the program the third time, where Lua never comes to its senses", function()
    open()
    start "(('a'):rep(60)):find(('a*'):rep(60) .. 'b')"
    press_thrice()
    shows "status 130"
  end)

  it("stops a task that computes behind the prompt, and gives the terminal back", function()
    terminal.start("env HOME=" .. terminal.home .. " PS1='shell$ ' bash --norc --noprofile -i")
    ends "shell$"
    line(support.binary .. " -q -X")
    line "x = pump.spawn(function() pump.sleep(0.3) while true do end end)"
    os.execute("sleep 0.5")
    key "C-c"
    shows "interrupted"
    assert.matches("\n2\n", line "1 + 1")
    line "function hard() pump.sleep(0.3) string.find(('a'):rep(60), ('a*'):rep(60) .. 'b') end"
    line "x = pump.spawn(hard)"
    os.execute("sleep 0.5")
    press_thrice()
    ends "shell$"
    typed "echo $?"
    key "Enter"
    shows "\n130\n"
  end)
end)

describe("an interrupt", function()
  teardown(support.clean)

  it("of an import says how many events are written", function()
    local some = [[yes '{"type":"T"}' | head -700; exec sleep 60]]
    for _, input in ipairs { [[yes '{"type":"T"}']], some } do
      local store = "file:" .. support.path(".db")
      local result = support.run({}, { env = { "STORE=" .. store }, shell = [[
        mkfifo "$SCRATCH.in"
        (]] .. input .. [[) >"$SCRATCH.in" 2>/dev/null & writer=$!
        "$PUMPSH" -q -u "$STORE" import s <"$SCRATCH.in" & pump=$!
        sleep ]] .. support.slow .. [[; kill -INT $pump; wait $pump; status=$?
        kill $writer 2>/dev/null; rm "$SCRATCH.in"; exit $status]] })
      assert.equal(130, result.status)
      local said = result.err:match(
        "^pumpsh: import: interrupted; at least ([%d,]+) events are written\n$")
      assert.truthy(said, result.err)
      local least = tonumber((said:gsub(",", "")))
      local last = tonumber(support.fine(support.run { "-u", store, "-e",
        "print(assert(conn:get_event('s', 'last')).event_number)" }).out)
      assert.is_true(least > 0 and least <= last + 1, least .. " of " .. last + 1)
      if input == some then assert.equal(700, least) end
    end
  end)

  for name, command in pairs {
    ["an import"] = { [[-u memory: import big]], [[yes '{"type":"T"}']] },
    ["an import that waits"] = { [[-u memory: import big]], "exec sleep 60" },
    ["a script that waits"] = { [[-e "pump.sleep(60)"]], "exec sleep 60" },
    ["a tail"] = { [[-u memory: tail news]], "exec sleep 60" },
    ["a ping of many"] = { [[-u memory: ping --count 100 >/dev/null]], "exec sleep 60" },
  } do
    it("stops " .. name .. " with the status 130", function()
      local result = support.run({}, { shell = [[
        mkfifo "$SCRATCH.in"
        (]] .. command[2] .. [[) >"$SCRATCH.in" 2>/dev/null & writer=$!
        "$PUMPSH" -q ]] .. command[1] .. [[ <"$SCRATCH.in" & pump=$!
        sleep ]] .. 0.7 * support.slow .. [[; start=$(date +%s%N)
        kill -INT $pump; wait $pump; echo "status $?"
        echo $((($(date +%s%N) - start) / 1000000))
        kill $writer; rm "$SCRATCH.in"]] })
      assert.matches("^status 130\n", result.out)
      assert.is_true(tonumber(result.out:match("(%d+)\n$")) < soon * 1000, result.out)
    end)
  end
end)
