-- Interrupts of what runs without a terminal: how soon it ends, and with which status.
local support =
  dofile((debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or ".") .. "/support.lua")

-- What an end may take, beyond what pumpsh takes at that moment to say its version. A machine that
-- is busy with something else may delay one try, so the best of some counts.
local soon = 0.1 * support.slow * support.watched

-- What a shell starts behind itself ignores interrupts at first: waits until pumpsh does not.
local listens = [[while ! grep -q '^SigCgt:.*[2367abef]$' /proc/$pump/status; do sleep 0.02; done
]]

describe("an interrupt", function()
  teardown(support.clean)

  -- How many events are said to be written when it is interrupted after so many seconds.
  local function import(input, seconds)
    local store = "file:" .. support.path(".db")
    local result = support.run({}, { env = { "STORE=" .. store }, shell = [[
      mkfifo "$SCRATCH.in"
      (]] .. input .. [[) >"$SCRATCH.in" 2>/dev/null & writer=$!
      "$PUMPSH" -q -u "$STORE" import s <"$SCRATCH.in" & pump=$!
      ]] .. listens .. "sleep " .. seconds .. [[; kill -INT $pump; wait $pump; status=$?
      kill $writer 2>/dev/null; rm "$SCRATCH.in"; exit $status]] })
    assert.equal(130, result.status)
    local said = result.err:match(
      "^pumpsh: import: interrupted; at least ([%d,]+) events are written\n$")
    assert.truthy(said, result.err)
    local least = tonumber((said:gsub(",", "")))
    local event = "conn:get_event('s', 'last')"
    local last = tonumber(support.fine(support.run { "-u", store, "-e",
      ("local last = %s print(last and last.event_number or -1)"):format(event) }).out)
    assert.is_true(least <= last + 1, least .. " of " .. last + 1)
    return least
  end

  it("of an import says how many events are written", function()
    for _, case in ipairs {
      { [[yes '{"type":"T"}']], function(least) return least > 0 end },
      { [[yes '{"type":"T"}' | head -700; exec sleep 60]],
        function(least) return least == 700 end },
    } do
      local least
      for _, seconds in ipairs { 1, 3, 9 } do -- a busy machine may not be so far
        least = import(case[1], seconds * support.slow)
        if case[2](least) then break end
      end
      assert.is_true(case[2](least), least)
    end
  end)

  local script = support.path(".lua")
  support.write_file(script, "while true do end")

  -- Arguments, what writes to standard input (sleep: a pipe that stays empty), and what reads from
  -- standard output, if anything does.
  for name, case in pairs {
    ["an import"] = { "import big", [[yes '{"type":"T"}']] },
    ["an import that waits"] = { "import big" },
    ["lines that are waited for"] = { "" },
    ["a body that is waited for"] = { "publish s T -" },
    ["a script"] = { script },
    ["a script that waits"] = { [[-e "pump.sleep(60)"]] },
    ["a script that reads"] = { [[-e "io.read()"]] },
    ["a tail"] = { "tail news" },
    ["a ping of many"] = { "ping --count 100 >/dev/null" },
    ["output that nobody reads"] = { [[-e "while true do print(1) end"]], nil, "exec sleep 60" },
    ["an export that nobody reads"] = { "-u $STORE export long", nil, "exec sleep 60" },
    ["a table that nobody reads"] = { "-u $STORE --format table read long", nil, "exec sleep 60" },
  } do
    it("stops " .. name .. " with the status 130", function()
      local store = "file:" .. support.path(".db")
      if case[1]:find "$STORE" then
        support.fine(support.run { "-q", "-u", store, "-e", "local es = {} for i = 1, 2000 do "
          .. "es[i] = pump.new_event('T', { n = i }) end conn:publish('long', es)" })
      end
      local result = support.run({}, { env = { "STORE=" .. store }, shell = [[
        mkfifo "$SCRATCH.in" "$SCRATCH.out"
        now() { echo $(($(date +%s%N) / 1000000)); }
        for i in 1 2 3 4 5 6 7 8; do
          (]] .. (case[2] or "exec sleep 60") .. [[) >"$SCRATCH.in" 2>/dev/null & writer=$!
          (]] .. (case[3] or "exec cat >/dev/null") .. [[) <"$SCRATCH.out" & reader=$!
          "$PUMPSH" -q ]] .. case[1] .. [[ <"$SCRATCH.in" >"$SCRATCH.out" & pump=$!
          ]] .. listens .. "sleep " .. 0.7 * support.slow .. [[

          before=$(now); "$PUMPSH" --version >/dev/null; usual=$(($(now) - before))
          before=$(now); kill -INT $pump; wait $pump; status=$?
          took=$(($(now) - before - usual))
          kill $writer $reader 2>/dev/null
          echo "status $status after $took"
          [ $took -gt ]] .. math.floor(soon * 1000) .. [[ ] || break
        done; rm "$SCRATCH.in" "$SCRATCH.out"]] })
      for status in result.out:gmatch "status (%d+)" do assert.equal("130", status) end
      assert.is_true(tonumber(result.out:match("(%-?%d+)\n$")) <= soon * 1000, result.out)
    end)
  end
end)
