-- export | import of many events: both streams the same, flat memory, and a line that tells how
-- far it is.
local folder = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
local terminal = dofile(folder .. "/terminal.lua")
local support = terminal.support

local run, fine = support.run, support.fine
local count = 60000 // support.slow
local most_memory = 40000 -- kilobytes; all those events in Lua at once take more
local is_sanitized = (os.getenv "LD_PRELOAD" or "") ~= "" -- that takes more, too
local big

-- A digest of what a stream holds, beside when it was written and where.
local function digest(store)
  return fine(run({}, { env = { "STORE=" .. store }, shell = [["$PUMPSH" -u "$STORE" export big |
    sed 's/"created":[0-9.]*//; s/"position":.*//' | sha256sum]] })).out
end

local function fill()
  big = "file:" .. support.path(".db")
  fine(run { "-u", big, "-e", string.format([[
    local i = 0
    assert(conn:publish("big", function()
      i = i + 1
      if i <= %d then return pump.new_event("PonyJumped", { i = i, Pony = "Derpy Hooves" }) end
    end))]], count) })
end

describe("export | import", function()
  setup(fill)
  teardown(support.clean)

  it("moves a stream as it is, with flat memory", function()
    local copy = "file:" .. support.path(".db")
    local result = run({}, { env = { "BIG=" .. big, "COPY=" .. copy }, shell = [[
      sh -c 'echo $$ >"$SCRATCH.out"; exec "$PUMPSH" -u "$BIG" export big' |
        sh -c 'echo $$ >"$SCRATCH.in"; exec "$PUMPSH" -u "$COPY" import big' & both=$!
      while [ ! -s "$SCRATCH.out" ] || [ ! -s "$SCRATCH.in" ]; do sleep 0.01; done
      out=$(cat "$SCRATCH.out") in=$(cat "$SCRATCH.in")
      rm "$SCRATCH.out" "$SCRATCH.in"
      while sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' /proc/$out/status /proc/$in/status; do
        sleep 0.05
      done 2>/dev/null
      wait $both]] })
    assert.equal("", result.err)
    assert.equal(0, result.status)
    assert.truthy(result.out:find(string.format('{"stream":"big","imported":%d}', count), 1, true))
    local seen = 0
    for peak in result.out:gmatch("%f[^\n%z](%d+)\n") do
      assert.is_true(is_sanitized or tonumber(peak) < most_memory, peak)
      seen = seen + 1
    end
    assert.is_true(seen > 2)
    assert.equal(digest(big), digest(copy))
  end)

  -- Lines of events with ids, from and to which number.
  local function lines(from, to)
    local list = {}
    for i = from, to do
      list[#list + 1] = string.format(
        '{"type":"t","id":"00000000-0000-4000-8000-%012x","data":%d}\n', i, i)
    end
    return table.concat(list)
  end

  local function bodies(store, stream)
    return fine(run { "-u", store, "--format", "raw", "read", stream }).out
  end

  it("goes on where it was interrupted", function()
    local store = "file:" .. support.path(".db")
    local whole = { input = lines(1, 700) }
    support.fails(1, "line 301: .*; the 300 events before it are written",
      run({ "-u", store, "import", "s" }, { input = lines(1, 300) .. "{\n" .. lines(301, 700) }))
    for _ = 1, 2 do
      assert.equal('{"stream":"s","imported":700}\n',
        fine(run({ "-u", store, "import", "s" }, whole)).out)
    end
    local numbers = {}
    for i = 1, 700 do numbers[i] = i .. "\n" end
    assert.equal(table.concat(numbers), bodies(store, "s"))
  end)

  it("goes on behind events of others, too", function()
    for _, like in ipairs { "5.0", "23.10" } do
      local store = "file:" .. support.path(".db") .. "?like=" .. like
      fine(run({ "-u", store, "import", "s" }, { input = '{"type":"first","data":0}\n' }))
      fine(run({ "-u", store, "import", "s" }, { input = lines(1, 300) }))
      fine(run({ "-u", store, "import", "s" }, { input = lines(1, 700) }))
      local numbers = {}
      for i = 0, 700 do numbers[i + 1] = i .. "\n" end
      assert.equal(table.concat(numbers), bodies(store, "s"))
    end
  end)

  it("reads long lines one after another", function()
    local line = '{"type":"t","data":"' .. ("x"):rep(3000000) .. '"}\n'
    -- Within 20 seconds of the processor: others may want this machine, too.
    local shell = ('ulimit -t %d; exec "$PUMPSH" -q import s'):format(20 * support.slow)
    assert.equal('{"stream":"s","imported":3}\n',
      fine(run({}, { input = line .. line .. line, shell = shell })).out)
  end)

  it("takes a line as it comes where others with ids are there", function()
    local store = "file:" .. support.path(".db")
    fine(run({ "-u", store, "import", "s" }, { input = lines(1, 3) }))
    local result = run({}, { env = { "STORE=" .. store, "LINE=" .. lines(4, 4) }, shell = [[
      (printf "$LINE"; exec sleep 5) | "$PUMPSH" -u "$STORE" -e '
        local transfer, output = require "repl.transfer", require "repl.output"
        pump.spawn(function()
          repeat pump.sleep(0.02) until conn:get_event("s", 3)
          print "there"
          os.exit(0)
        end)
        transfer.import(conn, output.new(), "s")' & pid=$!
      wait $pid]] })
    assert.equal("there\n", result.out)
  end)

  it("ends quietly with its reader", function()
    local result = run({}, { env = { "BIG=" .. big }, shell =
      [["$PUMPSH" -u "$BIG" export big | head -2; "$PUMPSH" -u "$BIG" read big | head -1]] })
    assert.equal("", result.err)
    assert.equal(3, support.lines(result.out))
  end)
end)

terminal.describe(describe, pending)("the line of progress", function()
  after_each(terminal.close)
  teardown(support.clean)

  setup(fill)

  local function shows_progress(verb)
    terminal.look(function(view)
      return view:find("^" .. verb .. " [%d,]+ events, [%d,]+ a second$")
    end)
  end

  -- A command line in a terminal; $PUMPSH and $BIG are there. Ctrl-C is not for who runs it.
  local function start(command)
    terminal.start(string.format("trap : INT; export PUMPSH=%s BIG=%s; %s; echo status $?; "
      .. "sleep 100", support.binary, big, command))
  end

  it("tells how far an import is, and goes", function()
    start([[(seq 20000 | sed 's/.*/{"type":"T","data":&}/'; sleep 1;
      echo '{"type":"T"}'; sleep 1; echo '{"type":"T"}') | "$PUMPSH" -q -u memory: import s]])
    shows_progress "imported"
    local view = terminal.shows "status 0"
    assert.matches("^s: 20,002 events imported\nstatus 0", view)
  end)

  it("tells how far a read into a file is, and goes when it is interrupted", function()
    start([[{ trap : INT; "$PUMPSH" -u "$BIG" read big; echo status $? >&2; } |
      (trap "" INT; while read -r line; do sleep 0.01; done)]])
    shows_progress "read"
    terminal.key "C-c"
    assert.matches("^%^?C?\n?status 130$", terminal.shows "status 130")
  end)
end)
